"""Attention tile by tile in pure PyTorch: online softmax forward, recomputing backward (Dao et al. 2022, algorithms 1 and 4).

No tensor of N × M elements exists: memory beyond inputs, outputs and their gradients is a few tiles and two numbers a row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from impl.scaled_dot_product import state
from impl.scaled_dot_product.reference import accumulation, check_shapes

BLOCK = 64


class Tile(NamedTuple):
    """One tile of the score matrix: its rows (queries) and columns (keys)."""

    rows: slice
    columns: slice


class Options(NamedTuple):
    """What is fixed for a call: the scale of the scores, causality (row i sees keys j ≤ i) and the tile size."""

    scale: float
    causal: bool
    block: int


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    block: int = BLOCK,
) -> Tensor:
    """The same function as `impl.scaled_dot_product.reference.attention`, in tiles of `block` × `block` scores. Raises ValueError for dropout."""
    return attention_with_log_sum_exp(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, block=block)[0]


def attention_with_log_sum_exp(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    block: int = BLOCK,
) -> tuple[Tensor, Tensor]:
    """Output [..., H, N, E] and log-sum-exp [..., H, N] (accumulation dtype, no gradient)."""
    check_shapes(query, key, value, enable_gqa)
    if dropout_p:
        raise ValueError(f"blockwise attention has no dropout; got dropout_p={dropout_p}")
    options = Options(1 / math.sqrt(query.shape[-1]) if scale is None else scale, is_causal, block)
    if not enable_gqa:
        return Blockwise.apply(query, key, value, attn_mask, options)  # type: ignore[no-untyped-call, no-any-return]
    heads = query.shape[-3]  # [..., H, N, D] → [..., H_kv, G, N, D]: the G queries of a group share key head h // G without a copy
    grouped = query.unflatten(-3, (key.shape[-3], -1))
    shared = value.repeat_interleave(key.shape[-3] // value.shape[-3], dim=-3) if value.shape[-3] != key.shape[-3] else value
    if attn_mask is not None and attn_mask.dim() > 2:
        attn_mask = attn_mask.unsqueeze(-3) if attn_mask.shape[-3] == 1 else attn_mask.unflatten(-3, (key.shape[-3], -1))
    output, log_sum_exp = Blockwise.apply(grouped, key.unsqueeze(-3), shared.unsqueeze(-3), attn_mask, options)  # type: ignore[no-untyped-call]
    return output.flatten(-4, -3).unflatten(-3, (heads,)), log_sum_exp.flatten(-3, -2)


def tiles(n: int, m: int, options: Options) -> Iterator[Tile]:
    """Every tile that a row can see into, row blocks outermost."""
    for top in range(0, n, options.block):
        rows = slice(top, min(top + options.block, n))
        end = min(m, rows.stop) if options.causal else m
        for left in range(0, end, options.block):
            yield Tile(rows, slice(left, min(left + options.block, m)))


def scores(q: Tensor, k: Tensor, mask: Tensor | None, tile: Tile, options: Options) -> Tensor:
    """The tile's scores [..., rows, columns]; −∞ where the mask or causality hides a key."""
    s = q[..., tile.rows, :] @ k[..., tile.columns, :].transpose(-2, -1) * options.scale
    if mask is not None:
        part = mask_tile(mask, tile)
        s = s.masked_fill(~part, -math.inf) if mask.dtype == torch.bool else s + part.to(s.dtype)
    if options.causal and tile.columns.stop > tile.rows.start + 1:
        row = torch.arange(tile.rows.start, tile.rows.stop, device=s.device)
        column = torch.arange(tile.columns.start, tile.columns.stop, device=s.device)
        s = s.masked_fill(column > row[:, None], -math.inf)
    return s


def mask_tile(mask: Tensor, tile: Tile) -> Tensor:
    """The part of a broadcastable mask that covers the tile (axes of size 1 stay as they are)."""
    if mask.dim() >= 2 and mask.shape[-2] != 1:
        mask = mask[..., tile.rows, :]
    return mask[..., tile.columns] if mask.shape[-1] != 1 else mask


class Blockwise(torch.autograd.Function):
    """Forward keeps the output and (top, mass) of each row; backward rebuilds every weight from them."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, options: Options) -> tuple[Tensor, Tensor]:
        q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
        n, m, rows = q.shape[-2], k.shape[-2], leading(query, key, mask)
        done = state.empty(*rows, n, width=v.shape[-1], like=q)
        for tile in tiles(n, m, options):
            seen = state.State(*(x[..., tile.rows, :] for x in done))
            fresh = state.of(scores(q, k, mask, tile, options), v[..., tile.columns, :])
            for whole, part in zip(done, state.merge(seen, fresh), strict=True):
                whole[..., tile.rows, :] = part
        output, log_sum_exp = state.finish(done)
        ctx.save_for_backward(query, key, value, mask, output, done.top, done.mass)
        ctx.options = options
        ctx.mark_non_differentiable(log_sum_exp)
        return output.to(query.dtype), log_sum_exp

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, mask, output, top, mass = ctx.saved_tensors
        q, k, v, d_out = (x.to(accumulation(query.dtype)) for x in (query, key, value, cotangents[0]))
        options: Options = ctx.options
        rows = leading(query, key, mask)
        d_q, d_k, d_v = (x.new_zeros((*rows, *x.shape[-2:])) for x in (q, k, v))
        d_mask = torch.zeros_like(mask, dtype=q.dtype) if mask is not None and ctx.needs_input_grad[3] else None
        delta = (d_out * output).sum(-1, keepdim=True)  # rowsum(dP ∘ P) = rowsum(dO ∘ O)
        for tile in tiles(q.shape[-2], k.shape[-2], options):
            r, c = tile
            s = scores(q, k, mask, tile, options)
            p = torch.exp(s - state.finite(top[..., r, :])) / mass[..., r, :].masked_fill(mass[..., r, :] == 0, 1)
            d_s = p * (d_out[..., r, :] @ v[..., c, :].transpose(-2, -1) - delta[..., r, :])
            d_v[..., c, :] += p.transpose(-2, -1) @ d_out[..., r, :]
            d_q[..., r, :] += d_s @ k[..., c, :] * options.scale
            d_k[..., c, :] += d_s.transpose(-2, -1) @ q[..., r, :] * options.scale
            if d_mask is not None:
                part = mask_tile(d_mask, tile)
                part += d_s.sum_to_size(part.shape)
        grads = (g.sum_to_size(x.shape).to(x.dtype) for g, x in ((d_q, query), (d_k, key), (d_v, value)))
        return *grads, None if d_mask is None else d_mask.to(mask.dtype), None


def leading(query: Tensor, key: Tensor, mask: Tensor | None) -> tuple[int, ...]:
    """The broadcast leading sizes (batch, heads, groups) of a call."""
    shapes = [query.shape[:-2], key.shape[:-2], *([] if mask is None else [mask.shape[:-2]])]
    return tuple(torch.broadcast_shapes(*shapes))
