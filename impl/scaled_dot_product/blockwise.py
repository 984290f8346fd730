"""Attention tile by tile in pure PyTorch: online softmax forward, recomputing backward (Dao et al. 2022, algorithms 1 and 4).

No tensor of N × M elements exists: memory beyond inputs, outputs and their gradients is a few tiles and two numbers a row.
One head is computed after another, so that a tile is a matrix that fits into the caches, and shared keys are read where they lie.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from impl.masked import accumulation
from impl.scaled_dot_product import state
from impl.scaled_dot_product.reference import check_shapes

BLOCK, COLUMNS = 512, 1024  # queries and keys of a tile: large, as each operation on it costs microseconds to start; wide, as merging costs by row


class Tile(NamedTuple):
    """One tile of the score matrix: its rows (queries) and columns (keys)."""

    rows: slice
    columns: slice


class Options(NamedTuple):
    """What is fixed for a call: the scale of the scores, causality (row i sees keys j ≤ i) and the tile's size."""

    scale: float
    causal: bool
    block: int
    columns: int


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
    block: int | None = None,
) -> Tensor:
    """The same function as `impl.scaled_dot_product.reference.attention`, in tiles of `block` × `block` scores (BLOCK × COLUMNS where it is None).

    Raises ValueError for dropout and for shapes that do not fit.
    """
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
    block: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Output [..., H, N, E] and log-sum-exp [..., H, N] (accumulation dtype, no gradient)."""
    check_shapes(query, key, value, enable_gqa)
    if dropout_p:
        raise ValueError(f"blockwise attention has no dropout; got dropout_p={dropout_p}")
    options = Options(1 / math.sqrt(query.shape[-1]) if scale is None else scale, is_causal, block or BLOCK, block or COLUMNS)
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
    for rows in row_blocks(n, options):
        for columns in column_blocks(m, rows, options):
            yield Tile(rows, columns)


def row_blocks(n: int, options: Options) -> Iterator[slice]:
    """The queries, `block` at a time."""
    for top in range(0, n, options.block):
        yield slice(top, min(top + options.block, n))


def column_blocks(m: int, rows: slice, options: Options) -> Iterator[slice]:
    """The keys that one of these rows can see, `columns` at a time."""
    end = min(m, rows.stop) if options.causal else m
    for left in range(0, end, options.columns):
        yield slice(left, min(left + options.columns, end))


def scores(q: Tensor, k: Tensor, mask: Tensor | None, tile: Tile, options: Options) -> Tensor:
    """The tile's scores [rows, columns], a new tensor; −∞ where the mask or causality hides a key."""
    s = state.product(q[tile.rows], k[tile.columns].t()).mul_(options.scale)
    if mask is not None:
        part = mask_tile(mask, tile)
        s = s.masked_fill_(~part, -math.inf) if mask.dtype == torch.bool else s.add_(part)
    if options.causal and tile.columns.stop > tile.rows.start + 1:
        row = torch.arange(tile.rows.start, tile.rows.stop, device=s.device)
        column = torch.arange(tile.columns.start, tile.columns.stop, device=s.device)
        s = s.masked_fill_(column > row[:, None], -math.inf)
    return s


def mask_tile(mask: Tensor, tile: Tile) -> Tensor:
    """The part of a mask [N or 1, M or 1] that covers the tile (axes of size 1 stay as they are)."""
    if mask.shape[-2] != 1:
        mask = mask[tile.rows]
    return mask[:, tile.columns] if mask.shape[-1] != 1 else mask


class Blockwise(torch.autograd.Function):
    """Forward keeps the output and (top, mass) of each row; backward rebuilds every weight from them."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, options: Options) -> tuple[Tensor, Tensor]:
        lead = leading(query, key, mask)
        q, k, v = (spread(dense(x, query.dtype), lead) for x in (query, key, value))
        masks = None if mask is None else spread(mask, lead)
        output, top, mass = (q.new_empty((*lead, q.shape[-2], width)) for width in (v.shape[-1], 1, 1))
        for head in heads(lead):
            for rows in row_blocks(q.shape[-2], options):
                seen = state.empty(rows.stop - rows.start, v.shape[-1], like=q)
                for columns in column_blocks(k.shape[-2], rows, options):
                    s = scores(q[head], k[head], None if masks is None else masks[head], Tile(rows, columns), options)
                    state.merge(seen, state.of(s, v[head][columns]))
                output[head][rows], top[head][rows], mass[head][rows] = state.finish(seen), seen.top, seen.mass
        ctx.save_for_backward(query, key, value, mask, output, top, mass)
        ctx.options = options
        log_sum_exp = state.log_sum_exp(top, mass)
        ctx.mark_non_differentiable(log_sum_exp)
        return output.to(query.dtype), log_sum_exp

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, mask, output, top, mass = ctx.saved_tensors
        options: Options = ctx.options
        lead = leading(query, key, mask)
        q, k, v, d_out = (spread(dense(x, query.dtype), lead) for x in (query, key, value, cotangents[0]))
        masks = None if mask is None else spread(mask, lead)
        sums = [torch.zeros_like(x, dtype=q.dtype, memory_format=torch.contiguous_format) for x in (query, key, value)]
        d_q, d_k, d_v = (spread(x, lead) for x in sums)  # heads that share a key add to one place
        d_mask = torch.zeros_like(mask, dtype=q.dtype) if mask is not None and ctx.needs_input_grad[3] else None
        d_masks = None if d_mask is None else spread(d_mask, lead)
        delta = (d_out * output).sum(-1, keepdim=True)  # rowsum(dP ∘ P) = rowsum(dO ∘ O)
        for head in heads(lead):
            for tile in tiles(q.shape[-2], k.shape[-2], options):
                r, c = tile
                s = scores(q[head], k[head], None if masks is None else masks[head], tile, options)
                p = state.exponential(s.sub_(state.finite(top[head][r]))).div_(state.positive(mass[head][r]))
                d_s = state.product(d_out[head][r], v[head][c].t()).sub_(delta[head][r]).mul_(p)
                d_v[head][c] += state.product(d_out[head][r].t(), p).t()  # Pᵀ dO as (dOᵀ P)ᵀ: only the smaller factor is rearranged
                d_q[head][r] += state.product(d_s, k[head][c]).mul_(options.scale)
                d_k[head][c] += state.product(q[head][r].t(), d_s).mul_(options.scale).t()
                if d_masks is not None:
                    part = mask_tile(d_masks[head], tile)
                    part += d_s.sum_to_size(part.shape)
        grads = (g.to(x.dtype) for g, x in zip(sums, (query, key, value), strict=True))
        return *grads, None if d_mask is None else d_mask.to(mask.dtype), None


def leading(query: Tensor, key: Tensor, mask: Tensor | None) -> tuple[int, ...]:
    """The broadcast leading sizes (batch, heads, groups) of a call."""
    shapes = [query.shape[:-2], key.shape[:-2], *([] if mask is None else [mask.shape[:-2]])]
    return tuple(torch.broadcast_shapes(*shapes))


def heads(lead: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The index of every head of every sequence."""
    return itertools.product(*map(range, lead))


def dense(x: Tensor, dtype: torch.dtype) -> Tensor:
    """`x` in the accumulation dtype of `dtype`, without gaps between its rows."""
    return x.to(accumulation(dtype)).contiguous()


def spread(x: Tensor, lead: tuple[int, ...]) -> Tensor:
    """A view [*lead, rows, columns] of `x`: broadcast heads share memory."""
    x = torch.atleast_2d(x)
    return x.expand(*lead, *x.shape[-2:])
