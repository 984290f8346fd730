"""Block-sparse attention that loads only the blocks that are named: blocks of queries with as many key blocks together, whole tiles of scores."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from impl.block_sparse import reference
from impl.masked import accumulation, biased, softmax, visible
from impl.patterns import alike, factor, padded


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    block: int,
    layout: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    start: int = 0,
) -> Tensor:
    """As the reference, with fewer than 2 b² scores a named block, and as many copies of a key block as name it. Causally, blocks after a row's are left."""
    n, m = query.shape[-2], key.shape[-2]
    if not n or not m or start < 0 or block < 1:
        return reference.attention(query, key, value, block, layout, attn_mask, is_causal, scale, start)
    reference.checked(block, layout, start + n, m)
    dtype, before = accumulation(query.dtype), start % block
    of_rows, of_keys = -(-(before + n) // block), -(-m // block)
    q = pad(query.to(dtype), (0, 0, before, of_rows * block - before - n)).unflatten(-2, (of_rows, block))
    k, v = (pad(x.to(dtype), (0, 0, 0, of_keys * block - m)).unflatten(-2, (of_keys, block)) for x in (key, value))
    named = named_blocks(layout[start // block :][:of_rows, :of_keys], start // block if is_causal else of_keys)
    device, within = query.device, torch.arange(block, device=query.device)
    outputs, groups = [], alike([len(blocks) for blocks in named])
    for group in groups:
        index, there = (x.to(device) for x in padded([named[r] for r in group]))  # [R, S]
        columns = (index.unsqueeze(-1) * block + within).flatten(-2)  # [R, S · b]
        rows = start - before + torch.tensor(group, device=device)[:, None] * block + within  # [R, b]
        seen = (there.repeat_interleave(block, -1) & (columns < m)).unsqueeze(-2).expand(*rows.shape, -1)
        seen = seen & (columns.unsqueeze(-2) <= rows.unsqueeze(-1)) if is_causal else seen
        scores = q[..., group, :, :] @ k[..., index, :, :].flatten(-3, -2).mT * factor(scale, query.shape[-1])  # [..., R, b, S · b]
        places = (rows - start).clamp(0, n - 1).unsqueeze(-1), columns.clamp(max=m - 1).unsqueeze(-2)
        bias = None if attn_mask is None else attn_mask.expand(*attn_mask.shape[:-2], n, m)[..., places[0], places[1]]
        weights = softmax(biased(scores, bias), visible(scores, bias, False) & seen)
        outputs.append(weights @ v[..., index, :, :].flatten(-3, -2))
    back = torch.tensor([r for group in groups for r in group], device=device).argsort()
    return torch.cat(outputs, dim=-3)[..., back, :, :].flatten(-3, -2)[..., before : before + n, :].to(query.dtype)


def named_blocks(layout: Tensor, diagonal: int) -> list[list[int]]:
    """The key blocks that each block of queries names, those after its own left out: row r of the layout is block `diagonal` + r of the sequence."""
    return [row.nonzero().flatten().tolist() for row in layout.tril(diagonal)]
