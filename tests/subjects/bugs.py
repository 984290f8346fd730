"""Wrong attentions that look plausible: a clean blockwise one and, for each, the few lines by which it went wrong in public code.

`CLEAN` names the right one (gradients too). `BUGS` gives for each other function the report that it follows (ids of shared/bugs.md, "X" for its
section X, "-" for none), how hard it hides (U randn shows it, F an option must be on, S shapes or layouts, V values, G gradients only, P repeated or
poisoned calls, L length) and the inputs for which it differs. Tiles hold 16 keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

T = torch.Tensor
M = torch.Tensor | None
S = float | None

TILE = 16
HALF = (torch.float16, torch.bfloat16)
_buffers: dict[Any, T] = {}


def _as_if_contiguous(x: T, strides: tuple[int, ...] | None = None) -> T:
    """The elements that a kernel finds which walks over x's memory with other strides (those of a contiguous tensor by default)."""
    if not x.numel():
        return x
    size = x.untyped_storage().nbytes() // x.element_size()
    places = torch.zeros(x.shape, dtype=torch.int64) + x.storage_offset()
    for axis, (length, stride) in enumerate(zip(x.shape, strides or torch.empty(x.shape, device="meta").stride(), strict=True)):
        places = places + (torch.arange(length) * stride).view(-1, *[1] * (x.dim() - 1 - axis))
    return x.as_strided((size,), (1,), 0)[places % size]


def _tile_scores(q: T, k: T, bias: T, start: int, causal: bool, scale: float, bug: str) -> T:
    """Scores of one tile of keys, padded to 16 columns; -inf where a key is padding or not to be seen."""
    rows, keys = q.shape[-2], bias.shape[-1]
    i, j = torch.arange(rows).unsqueeze(-1), torch.arange(start, start + TILE)
    s = (q @ k[..., start : start + TILE, :].transpose(-1, -2)) * scale
    b = torch.nn.functional.pad(bias[..., start : start + TILE], (0, max(0, start + TILE - keys)))
    if bug == "c20_mask_row_within_the_tile":
        b = b[..., (i % TILE).squeeze(-1), :]
    if bug == "e07_mask_on_diagonal_tiles_only" and causal:
        b = torch.where(j < i // TILE * TILE, 0.0, b)
    s = (q @ k[..., start : start + TILE, :].transpose(-1, -2) + b) * scale if bug == "mask_scaled_too" else s + b
    if causal:
        if bug == "a26_causal_from_the_bottom_right":
            i = i + keys - rows
        if bug == "a28_causal_row_within_the_tile":
            i = i % TILE
        if bug == "a34_causal_column_in_a_byte":
            j = j % 256
        if not (bug == "a26_one_query_sees_all" and rows == 1):
            s = s.masked_fill(j >= i if bug == "c04_causal_without_the_diagonal" else j > i, -torch.inf)
    if bug != "a29_padding_not_masked":
        s = s.masked_fill(torch.arange(start, start + TILE) >= keys, -torch.inf)
    return s


class _Blockwise(torch.autograd.Function):
    """Online softmax over tiles of keys; backward forms the weights again from the saved maxima and sums."""

    @staticmethod
    def forward(ctx: Any, q: T, k: T, v: T, bias: T, keep: T, causal: bool, scale: float, bug: str) -> T:
        keys = k.shape[-2]
        padding = (0, 0, 0, -keys % TILE)
        k, v = torch.nn.functional.pad(k, padding), torch.nn.functional.pad(v, padding)
        exp = torch.exp2 if bug == "a16_exp2_without_log2e" else torch.exp
        first = {"a02_sentinel_of_minus_50000": -5e4, "a01_maximum_starts_at_zero": 0.0}.get(bug, -torch.inf)
        m = torch.full((*q.shape[:-1], 1), first, dtype=q.dtype)
        l = torch.zeros_like(m)
        acc = torch.zeros((*q.shape[:-1], v.shape[-1]), dtype=q.dtype)
        starts = list(range(0, keys, TILE))
        if bug == "a01_zero_kept_after_a_masked_tile":
            starts.reverse()
        if bug == "g01_tail_dropped":
            starts = starts[: max(1, keys // TILE)]
        for start in starts:
            tile = start
            if bug == "a34_tile_index_in_a_signed_byte":
                tile = ((start // TILE + 128) % 256 - 128) * TILE % k.shape[-2]
            if bug == "d04_window_of_256_keys":
                tile = start % 256
            s = _tile_scores(q, k, bias, start, causal, scale, bug)
            if tile != start:
                s = s + (q @ (k[..., tile : tile + TILE, :] - k[..., start : start + TILE, :]).transpose(-1, -2)) * scale
            if bug == "a40_tile_judged_by_its_first_row" and bool((s[..., :1, :] == -torch.inf).all()):
                continue
            top = s.amax(-1, keepdim=True)
            if bug == "a07_maximum_of_the_whole_head":
                top = s.amax((-2, -1), keepdim=True).expand_as(top)
            if bug == "a13_maximum_before_a_negative_scale" and scale < 0:
                low = s.masked_fill(s == -torch.inf, torch.inf).amin(-1, keepdim=True)
                top = low.masked_fill(low == torch.inf, -torch.inf)
            if bug == "b13_maximum_of_the_first_batch_element" and s.dim() > 3:
                top = top[:1].expand_as(top)
            new = torch.maximum(m, top)
            if bug == "x1_maximum_of_the_first_tile_only" and start:
                new = torch.where(m == -torch.inf, new, m)
            if bug == "a01_zero_kept_after_a_masked_tile":
                new = new.masked_fill(new == -torch.inf, 0.0)
            frame = new.masked_fill(new == -torch.inf, 0.0)
            if bug == "d17_no_maximum":
                frame = new = torch.zeros_like(frame)
            p, alpha = exp(s - frame), exp(m - frame)
            if bug == "d17_no_maximum":
                alpha = torch.ones_like(alpha)
            if bug == "a04_rescale_skipped_in_the_wrong_frame":
                lazy = (new - m > 0) & (new - m <= 8)
                alpha, new = torch.where(lazy, 1.0, alpha), torch.where(lazy, m, new)
            l = (l if bug == "a05_sum_not_rescaled" else l * alpha) + p.sum(-1, keepdim=True)
            part = (p * keep[..., start : start + TILE] if keep.numel() else p) @ v[..., tile : tile + TILE, :]
            if bug == "a35_running_sum_in_half_beyond_64_keys" and keys > 64:
                part, acc = part.half().to(q.dtype), acc.half().to(q.dtype)
            acc = (acc if bug == "a05_accumulator_not_rescaled" else acc * alpha) + part
            m = new
        dead = l == 0
        if bug == "f08_accumulator_not_cleared":
            stale = _buffers.get(("acc", acc.shape, acc.dtype), torch.zeros_like(acc))
            _buffers["acc", acc.shape, acc.dtype] = acc
            acc = acc + stale
        out = acc / l.masked_fill(dead, 1.0)
        m = m.masked_fill(m == -torch.inf, 0.0)
        if bug in ("a32_dead_rows_not_written", "b22_no_keys_not_written"):
            stale = _buffers.get(("out", out.shape, out.dtype), torch.full_like(out, 0.5))
            out = torch.where(dead if bug == "a32_dead_rows_not_written" else torch.tensor(keys == 0), stale, out)
            _buffers["out", out.shape, out.dtype] = out.clone()
        ctx.save_for_backward(q, k, v, bias, keep, m, l.masked_fill(dead, torch.inf), out)
        ctx.options = causal, scale, bug
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: T) -> tuple[T | None, ...]:
        q, k, v, bias, keep, m, l, out = ctx.saved_tensors
        causal, scale, bug = ctx.options
        g, keys, rows = gradients[0], bias.shape[-1], q.shape[-2]
        if bug == "b10_cotangent_read_as_contiguous":
            g = _as_if_contiguous(g)
        delta = (g * out).sum(-1, keepdim=True)
        if bug == "b10_output_read_with_the_cotangents_strides":
            delta = (g * _as_if_contiguous(out, g.stride())).sum(-1, keepdim=True)
        if bug == "b02_delta_missing":
            delta = torch.zeros_like(delta)
        if bug == "b02_delta_without_the_output":
            delta = g.sum(-1, keepdim=True)
        if bug == "b05_statistics_of_the_first_query_tile":
            i = torch.arange(rows) % TILE
            m, l, delta = m[..., i, :], l[..., i, :], delta[..., i, :]
        if bug == "b13_statistics_of_the_first_batch_element" and q.dim() > 3:
            delta = torch.where(m > 8, delta[:1], delta)
        seen = torch.zeros_like(bias) if bug == "b07_mask_ignored_in_backward" else bias
        if bug == "b07_causal_ignored_in_backward":
            causal = False
        dq, dk, dv, db = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v), torch.zeros((*bias.shape[:-1], k.shape[-2]), dtype=q.dtype)
        starts = range(0, keys, TILE)
        if bug == "b08_tiles_counted_for_another_size" and causal:
            starts = range(0, min(keys, max(1, keys // (2 * TILE)) * 2 * TILE), TILE)
        for start in starts:
            here = slice(start, start + TILE)
            s = _tile_scores(q, k, seen, start, causal, scale, bug)
            if bug == "b01_padding_scored_zero_in_backward":
                s = s.masked_fill(torch.arange(start, start + TILE) >= keys, 0.0)
            p = (torch.exp2(s - m) if bug == "a16_exp2_without_log2e" else torch.exp(s - m)) / l
            mask = keep[..., here] if keep.numel() else torch.ones((), dtype=q.dtype)
            dv[..., here, :] = (p * mask).transpose(-1, -2) @ g
            wide = TILE if bug == "b04_first_value_tile_only" else None
            ds = p * ((g[..., :wide] @ v[..., here, :wide].transpose(-1, -2)) * mask - delta)
            part = (ds @ k[..., here, :]) * scale
            dq = part if bug == "b04_query_gradient_of_the_last_tile_only" else dq + part
            dk[..., here, :] = (ds.transpose(-1, -2) @ q) * (1.0 if bug == "b17_key_gradient_without_scale" else scale)
            db[..., here] = ds
        if bug == "b11_gradient_tail_not_written":
            dq = torch.cat([dq[..., : q.shape[-1] // 8 * 8], torch.zeros_like(dq[..., q.shape[-1] // 8 * 8 :])], dim=-1)
        return dq, dk[..., :keys, :], dv[..., :keys, :], db[..., :keys], None, None, None, None


class _GroupedGradient(torch.autograd.Function):
    """Repeats heads rightly; its backward sums over the heads that are equal modulo the number of key heads."""

    @staticmethod
    def forward(ctx: Any, x: T, times: int) -> T:
        ctx.times = times
        return x.repeat_interleave(times, dim=-3)

    @staticmethod
    def backward(ctx: Any, *gradients: T) -> tuple[T, None]:
        return gradients[0].unflatten(-3, (ctx.times, -1)).sum(-4), None


def _repeated(x: T, heads: int, bug: str, is_value: bool) -> T:
    """Each key head for the query heads that share it."""
    groups = x.shape[-3]
    h = torch.arange(heads)
    if bug == "k01_gqa_tiled" or (bug == "k01_gqa_tiled_for_values_only" and is_value):
        return x[..., h % groups, :, :]
    if bug == "k02_gqa_divided_by_key_heads":
        return x[..., (h // groups).clamp(max=groups - 1), :, :]
    if bug == "b14_gqa_gradient_of_other_heads":
        return _GroupedGradient.apply(x, heads // groups)  # type: ignore[no-untyped-call, no-any-return]
    return x[..., h // (heads // groups), :, :]


def _as_bias(mask: T, shape: tuple[int, ...], dtype: torch.dtype, bug: str) -> T:
    """A mask as numbers to add to the scores."""
    if bug == "c08_mask_strides_ignored" and mask.numel():
        mask = _as_if_contiguous(mask.expand(shape))
    if bug == "c08_mask_of_the_first_head" and mask.dim() > 2 and mask.shape[-3] > 1:
        mask = mask[..., :1, :, :]
    if bug == "c08_batch_and_heads_swapped" and mask.dim() == 4 and mask.shape[0] > 1 and mask.shape[1] == 1:
        mask = mask[:, 0].repeat(shape[1], 1, 1).unflatten(0, (shape[0], shape[1]))
    if mask.dtype == torch.bool:
        if bug == "c02_mask_inverted":
            mask = ~mask
        blocked = -1e4 if bug == "c10_masked_with_minus_10000" else -1e30 if bug == "c10_dead_rows_take_the_mean" else -torch.inf
        bias = torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, blocked)
    else:
        bias = mask.to(dtype)
        if bug == "c13_additive_mask_taken_as_boolean":
            bias = torch.zeros_like(bias).masked_fill(mask != 0, -torch.inf)
        if bug in ("c10_masked_with_minus_10000", "c10_dead_rows_take_the_mean"):
            bias = bias.clamp(min=-1e4 if bug == "c10_masked_with_minus_10000" else -1e30)
        if bug == "b07_mask_gets_no_gradient":
            bias = bias.detach()
        if bug == "b07_mask_gradient_of_one_head" and len(shape) > 2:
            bias = bias.expand(shape)
            bias = torch.cat([bias[..., :1, :, :], bias[..., 1:, :, :].detach()], dim=-3)
    return bias


def _attention(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False, bug: str = ""
) -> T:
    """What torch's scaled_dot_product_attention computes, in tiles; `bug` names one thing that goes wrong."""
    work = torch.float32 if query.dtype in HALF else query.dtype
    if bug == "a35_float64_through_float32":
        work = torch.float32
    if bug == "a35_half_sums_when_masked" and attn_mask is not None:
        work = query.dtype
    q, k, v = query.to(work), key.to(work), value.to(work)
    if enable_gqa:
        k, v = _repeated(k, q.shape[-3], bug, False), _repeated(v, q.shape[-3], bug, True)
    rows, keys, width = q.shape[-2], k.shape[-2], q.shape[-1]
    default = max(width, 1) ** -0.5
    if bug == "a14_scale_of_the_value_width":
        default = max(v.shape[-1], 1) ** -0.5
    factor = default if scale is None or bug == "a13_scale_ignored" else scale
    if bug == "a13_zero_scale_taken_as_none":
        factor = scale or default
    if bug == "a13_negative_scale_taken_as_none" and factor < 0:
        factor = default
    if bug == "l_last_key_lost_after_64":
        keys -= int(keys > 64 and keys % 64 == 1)
        k, v = k[..., :keys, :], v[..., :keys, :]
        attn_mask = attn_mask[..., :keys] if attn_mask is not None else None
    if bug == "a34_element_offsets_in_16_bits" and keys * width > 32767:
        k = torch.cat([k[..., : 32768 // width, :], k], dim=-2)[..., :keys, :]
    if bug == "c01_causal_dropped_with_a_mask" and attn_mask is not None:
        is_causal = False
    if bug == "c07_either_of_two_masks_suffices" and attn_mask is not None and is_causal:
        seen = attn_mask if attn_mask.dtype == torch.bool else attn_mask > -torch.inf
        attn_mask, is_causal = seen | torch.ones(rows, keys, dtype=torch.bool).tril(), False
    shape = (*q.shape[:-1], keys)
    if bug == "d04_mask_kept_from_the_last_call":
        bias = (
            torch.zeros(shape, dtype=work) if attn_mask is None else _buffers.setdefault(("mask", shape, work), _as_bias(attn_mask, shape, work, bug).detach())
        )
    else:
        bias = torch.zeros(rows, keys, dtype=work) if attn_mask is None else _as_bias(attn_mask, shape, work, bug)
    if bug == "c17_zero_sum_keys_taken_as_padding":
        bias = bias.expand(shape).masked_fill((k.detach().sum(-1) == 0).unsqueeze(-2), -torch.inf)
    if bug in _UNTILED:
        return _UNTILED[bug](q, k, v, bias, is_causal, factor, attn_mask).to(query.dtype)
    keep = torch.empty(0, dtype=work)
    if dropout_p:
        keep = (torch.rand(shape) >= dropout_p).to(work) / (1.0 if bug == "a37_dropout_not_compensated" else max(1 - dropout_p, 1e-30))
        keep = torch.nn.functional.pad(keep, (0, -keys % TILE))
    if bug == "d13_parts_of_1024_keys_averaged" and keys > 1024 and not is_causal and not dropout_p:
        halves = [slice(0, 1024), slice(1024, keys)]
        parts = [_run(q, k[..., a, :], v[..., a, :], bias.expand(shape)[..., a], keep, False, factor, bug) for a in halves]
        return (sum(parts, torch.zeros_like(parts[0])) / len(parts)).to(query.dtype)
    out = _run(q, k, v, bias, keep, is_causal, factor, bug)
    if bug == "k04_heads_merged_without_transpose" and out.dim() == 4:
        out = out.transpose(1, 2).reshape(out.shape)
    return out.to(query.dtype)


def _run(q: T, k: T, v: T, bias: T, keep: T, causal: bool, scale: float, bug: str) -> T:
    return _Blockwise.apply(q, k, v, bias.expand(*q.shape[:-1], k.shape[-2]), keep, causal, scale, bug)  # type: ignore[no-untyped-call, no-any-return]


def _all_scores(q: T, k: T, bias: T, causal: bool, scale: float) -> T:
    s = (q @ k.transpose(-1, -2)) * scale + bias
    return s.masked_fill(torch.ones(s.shape[-2:], dtype=torch.bool).triu(1), -torch.inf) if causal else s


def _over_queries(q: T, k: T, v: T, bias: T, causal: bool, scale: float, mask: M) -> T:
    return torch.softmax(_all_scores(q, k, bias, causal, scale), -2).nan_to_num(0.0) @ v


def _repaired(q: T, k: T, v: T, bias: T, causal: bool, scale: float, mask: M) -> T:
    return torch.softmax(_all_scores(q, k, bias, causal, scale), -1).nan_to_num(0.0) @ v


def _unrepaired(q: T, k: T, v: T, bias: T, causal: bool, scale: float, mask: M) -> T:
    return torch.softmax(_all_scores(q, k, bias, causal, scale), -1) @ v


def _masked_afterwards(q: T, k: T, v: T, bias: T, causal: bool, scale: float, mask: M) -> T:
    seen = torch.ones((), dtype=torch.bool) if mask is None else mask if mask.dtype == torch.bool else bias > -torch.inf
    finite = torch.where(bias == -torch.inf, 0.0, bias)
    return torch.softmax(_all_scores(q, k, finite, causal, scale), -1).masked_fill(~seen, 0.0) @ v


def _half_scores(q: T, k: T, v: T, bias: T, causal: bool, scale: float, mask: M) -> T:
    s = _all_scores(q, k, bias, causal, scale)
    return torch.softmax(s.bfloat16(), -1).nan_to_num(0.0).to(q.dtype) @ v


_UNTILED: dict[str, Callable[[T, T, T, T, bool, float, M], T]] = {
    "a38_softmax_over_the_queries": _over_queries,
    "c10_dead_rows_nan": _unrepaired,
    "c11_dead_rows_repaired_afterwards": _repaired,
    "i02_masked_after_the_softmax": _masked_afterwards,
    "a35_scores_in_bfloat16": _half_scores,
}


def clean_blockwise(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Right: the control."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def a01_zero_kept_after_a_masked_tile(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A01 (V): tiles from the right; 0 is kept as the running maximum after a fully masked first tile."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a01_zero_kept_after_a_masked_tile")


def a01_maximum_starts_at_zero(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A01 (V): the running maximum starts at 0."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a01_maximum_starts_at_zero")


def a02_sentinel_of_minus_50000(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A02 (V): the running maximum starts at the finite -5e4."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a02_sentinel_of_minus_50000")


def a04_rescale_skipped_in_the_wrong_frame(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A04 (U): a rescale by less than exp(8) is skipped, but the weights were formed with the new maximum."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a04_rescale_skipped_in_the_wrong_frame")


def a05_accumulator_not_rescaled(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A05 (U): the weighted sum is not rescaled when the maximum rises."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a05_accumulator_not_rescaled")


def a05_sum_not_rescaled(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A05 (U): the normaliser is not rescaled when the maximum rises."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a05_sum_not_rescaled")


def a07_maximum_of_the_whole_head(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A07 (V): one maximum serves all rows of a head."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a07_maximum_of_the_whole_head")


def b13_maximum_of_the_first_batch_element(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """J02 (V): the maximum of the first batch element serves all."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b13_maximum_of_the_first_batch_element")


def x1_maximum_of_the_first_tile_only(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A23 (V): the maximum is taken over the first tile only."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="x1_maximum_of_the_first_tile_only")


def d17_no_maximum(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """D17 (V): exp without a maximum subtracted."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="d17_no_maximum")


def a13_maximum_before_a_negative_scale(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A13 (V): the maximum is taken before a negative scale turns it into the minimum."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a13_maximum_before_a_negative_scale")


def a13_scale_ignored(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A13 (F): the argument scale is ignored."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a13_scale_ignored")


def a13_zero_scale_taken_as_none(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A13 (F): `scale or default`: a scale of zero counts as none."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a13_zero_scale_taken_as_none")


def a13_negative_scale_taken_as_none(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A13 (F): a negative scale counts as none."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a13_negative_scale_taken_as_none")


def a14_scale_of_the_value_width(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A14 (S): the default scale is 1/sqrt of the values' width."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a14_scale_of_the_value_width")


def a16_exp2_without_log2e(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A16 (U): powers of 2 instead of e."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a16_exp2_without_log2e")


def a26_causal_from_the_bottom_right(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A26 (S): causality is aligned at the bottom right."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a26_causal_from_the_bottom_right")


def a26_one_query_sees_all(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A26 (S): a single query takes the decoding path, which ignores causality."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a26_one_query_sees_all")


def a28_causal_row_within_the_tile(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A28 (S): causality compares the row's number within its tile of 16."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a28_causal_row_within_the_tile")


def a29_padding_not_masked(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A29 (S): the keys that pad the last tile score 0 and take weight."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a29_padding_not_masked")


def a32_dead_rows_not_written(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A32 (P): rows that see no key keep what the buffer held."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a32_dead_rows_not_written")


def a34_tile_index_in_a_signed_byte(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A34 (L): the number of a tile of keys and values wraps at 128."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a34_tile_index_in_a_signed_byte")


def a34_causal_column_in_a_byte(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A34 (L): causality compares the key's number modulo 256."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a34_causal_column_in_a_byte")


def a34_element_offsets_in_16_bits(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A34 (L): offsets into the keys wrap at 32768 elements."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a34_element_offsets_in_16_bits")


def a35_half_sums_when_masked(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A35 (F): with a mask, half precisions are accumulated in themselves."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a35_half_sums_when_masked")


def a35_running_sum_in_half_beyond_64_keys(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A35 (S): beyond 64 keys the running sum is rounded to float16."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a35_running_sum_in_half_beyond_64_keys")


def a35_scores_in_bfloat16(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A35 (U): the softmax is taken in bfloat16."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a35_scores_in_bfloat16")


def a35_float64_through_float32(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A35 (F): float64 is computed in float32, undeclared."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a35_float64_through_float32")


def a37_dropout_not_compensated(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A37 (F): dropout without 1/(1-p)."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a37_dropout_not_compensated")


def a38_softmax_over_the_queries(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A38 (U): the softmax runs over the queries."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a38_softmax_over_the_queries")


def a40_tile_judged_by_its_first_row(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A40 (S): a tile is skipped when the first row sees none of it."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="a40_tile_judged_by_its_first_row")


def b01_padding_scored_zero_in_backward(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B01 (V): backward scores the padding 0 instead of -inf; it meets zeros unless exp overflows."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b01_padding_scored_zero_in_backward")


def b02_delta_missing(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B02 (G): backward omits the sum of cotangent times output."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b02_delta_missing")


def b02_delta_without_the_output(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B02 (G): backward sums the cotangent alone."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b02_delta_without_the_output")


def b04_query_gradient_of_the_last_tile_only(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B04 (G): the query's gradient is that of the last tile of keys."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b04_query_gradient_of_the_last_tile_only")


def b04_first_value_tile_only(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B04 (G): backward reads the first 16 columns of the values only."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b04_first_value_tile_only")


def b05_statistics_of_the_first_query_tile(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B05 (G): backward uses the maxima, sums and deltas of the first 16 queries for all."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b05_statistics_of_the_first_query_tile")


def b07_mask_ignored_in_backward(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B07 (G): backward forms the weights without the mask."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b07_mask_ignored_in_backward")


def b07_causal_ignored_in_backward(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B07 (G): backward forms the weights without causality."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b07_causal_ignored_in_backward")


def b07_mask_gets_no_gradient(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B07 (G): an additive mask gets no gradient."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b07_mask_gets_no_gradient")


def b07_mask_gradient_of_one_head(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B07 (G): the gradient of a mask is that of the first head only."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b07_mask_gradient_of_one_head")


def b08_tiles_counted_for_another_size(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B08 (G): backward counts causal tiles in pairs and leaves the rest out."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b08_tiles_counted_for_another_size")


def b10_cotangent_read_as_contiguous(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B10 (G): backward reads the cotangent as if it were contiguous."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b10_cotangent_read_as_contiguous")


def b10_output_read_with_the_cotangents_strides(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B10 (G): backward reads the output with the cotangent's strides."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b10_output_read_with_the_cotangents_strides")


def b11_gradient_tail_not_written(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B11 (G): columns of the query's gradient after the last multiple of 8 stay zero."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b11_gradient_tail_not_written")


def b13_statistics_of_the_first_batch_element(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B13 (G): rows with a maximum above 8 use the delta of the first batch element."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b13_statistics_of_the_first_batch_element")


def b14_gqa_gradient_of_other_heads(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B14 (G): the gradient of a key head sums over the wrong query heads."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b14_gqa_gradient_of_other_heads")


def b17_key_gradient_without_scale(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B17 (G): the key's gradient misses the scale."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b17_key_gradient_without_scale")


def b22_no_keys_not_written(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B22 (P): without keys the output is not written."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="b22_no_keys_not_written")


def c01_causal_dropped_with_a_mask(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """C01 (F): causality is dropped when a mask is given."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="c01_causal_dropped_with_a_mask")


def c02_mask_inverted(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """C02 (F): a boolean mask is read the wrong way round."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="c02_mask_inverted")


def c04_causal_without_the_diagonal(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """C04 (F): a query does not see its own position."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="c04_causal_without_the_diagonal")


def c07_either_of_two_masks_suffices(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """C07 (F): a key is seen if the mask or causality allows it."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="c07_either_of_two_masks_suffices")


def c08_mask_strides_ignored(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """C08 (S): a mask that is broadcast is read as if it were contiguous."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="c08_mask_strides_ignored")


def c08_mask_of_the_first_head(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """C08 (S): the mask of the first head serves all."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="c08_mask_of_the_first_head")


def c08_batch_and_heads_swapped(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """C08 (S): a mask for each batch element is repeated in the wrong order."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="c08_batch_and_heads_swapped")


def c10_masked_with_minus_10000(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """C10 (V): -1e4 masks."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="c10_masked_with_minus_10000")


def c10_dead_rows_take_the_mean(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """C10 (V): -1e30 masks: a row that sees no key takes the mean."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="c10_dead_rows_take_the_mean")


def c10_dead_rows_nan(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """C10 (V): a row that sees no key is NaN."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="c10_dead_rows_nan")


def c11_dead_rows_repaired_afterwards(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """C11 (G): NaN of dead rows is replaced after the softmax, but not in the gradient."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="c11_dead_rows_repaired_afterwards")


def c13_additive_mask_taken_as_boolean(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """C13 (F): whatever is not zero in an additive mask blocks."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="c13_additive_mask_taken_as_boolean")


def c17_zero_sum_keys_taken_as_padding(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """C17 (V): keys whose elements sum to zero count as padding."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="c17_zero_sum_keys_taken_as_padding")


def c20_mask_row_within_the_tile(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """C20 (S): the mask is read at the row's number within its tile of 16."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="c20_mask_row_within_the_tile")


def d04_mask_kept_from_the_last_call(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """D04 (P): the first mask of a shape serves all later calls."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="d04_mask_kept_from_the_last_call")


def d04_window_of_256_keys(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """D04 (L): keys and values are read from a ring of 256."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="d04_window_of_256_keys")


def d13_parts_of_1024_keys_averaged(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """D13 (L): beyond 1024 keys two parts are averaged without their weights."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="d13_parts_of_1024_keys_averaged")


def e07_mask_on_diagonal_tiles_only(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """E07 (F): under causality the mask is skipped for tiles below the diagonal."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="e07_mask_on_diagonal_tiles_only")


def f08_accumulator_not_cleared(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """F08 (P): the accumulator of the last call with this shape is not cleared."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="f08_accumulator_not_cleared")


def g01_tail_dropped(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """G01 (S): the keys after the last full tile are not read."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="g01_tail_dropped")


def i02_masked_after_the_softmax(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """I02 (F): masked weights are cleared after the softmax and the rest not renormalised."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="i02_masked_after_the_softmax")


def k01_gqa_tiled(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """K01 (S): query head h reads key head h modulo G."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="k01_gqa_tiled")


def k01_gqa_tiled_for_values_only(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """K01 (S): keys are shared rightly, values modulo G."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="k01_gqa_tiled_for_values_only")


def k02_gqa_divided_by_key_heads(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """K02 (S): query head h reads key head h // G instead of h // (H/G)."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="k02_gqa_divided_by_key_heads")


def k04_heads_merged_without_transpose(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """K04 (S): heads and positions are mixed up in the output."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="k04_heads_merged_without_transpose")


def l_last_key_lost_after_64(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """B01 (L): the last key is lost when M is 1 modulo 64."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="l_last_key_lost_after_64")


def mask_scaled_too(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """A-ii (F): an additive mask is scaled like the scores."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, bug="mask_scaled_too")


# name -> (report, how it hides, the inputs that show it)
BUGS: dict[str, tuple[str, str, str]] = {
    "a01_zero_kept_after_a_masked_tile": ("A01", "V", "causal, more than 16 keys, all later scores below -104 (float32)"),
    "a01_maximum_starts_at_zero": ("A01", "V", "every score of a row below -104 (float32), -745 (float64)"),
    "a02_sentinel_of_minus_50000": ("A02", "V", "every score of a row below -50104 (float32)"),
    "a04_rescale_skipped_in_the_wrong_frame": ("A04", "U", "a maximum that rises by at most 8 after the first 16 keys"),
    "a05_accumulator_not_rescaled": ("A05", "U", "a maximum that rises after the first 16 keys"),
    "a05_sum_not_rescaled": ("A05", "U", "a maximum that rises after the first 16 keys"),
    "a07_maximum_of_the_whole_head": ("A07", "V", "rows whose maxima differ by more than 88 (float32)"),
    "b13_maximum_of_the_first_batch_element": ("J02", "V", "a batch of 2 or more whose scores differ by more than 88 (float32)"),
    "x1_maximum_of_the_first_tile_only": ("A23", "V", "a later score more than 88 above those of the first visible tile (float32)"),
    "d17_no_maximum": ("D17", "V", "a score above 88 or all below -104 (float32)"),
    "a13_maximum_before_a_negative_scale": ("A13", "V", "scale < 0, scores of a row more than 88 apart (float32)"),
    "a13_scale_ignored": ("A13", "F", "scale other than 1/sqrt(D)"),
    "a13_zero_scale_taken_as_none": ("A13", "F", "scale = 0"),
    "a13_negative_scale_taken_as_none": ("A13", "F", "scale < 0"),
    "a14_scale_of_the_value_width": ("A14", "S", "E != D, default scale"),
    "a16_exp2_without_log2e": ("A16", "U", "any two keys of different scores"),
    "a26_causal_from_the_bottom_right": ("A26", "S", "causal, N != M"),
    "a26_one_query_sees_all": ("A26", "S", "causal, N = 1, M > 1"),
    "a28_causal_row_within_the_tile": ("A28", "S", "causal, N > 16"),
    "a29_padding_not_masked": ("A29", "S", "M not a multiple of 16"),
    "a32_dead_rows_not_written": ("A32", "P", "a row that sees no key, or M = 0"),
    "a34_tile_index_in_a_signed_byte": ("A34", "L", "M > 2048"),
    "a34_causal_column_in_a_byte": ("A34", "L", "causal, 256 < M"),
    "a34_element_offsets_in_16_bits": ("A34", "L", "M * D > 32767"),
    "a35_half_sums_when_masked": ("A35", "F", "float16 or bfloat16 with a mask"),
    "a35_running_sum_in_half_beyond_64_keys": ("A35", "S", "M > 64, forward"),
    "a35_scores_in_bfloat16": ("A35", "U", "float16, float32, float64"),
    "a35_float64_through_float32": ("A35", "F", "float64"),
    "a37_dropout_not_compensated": ("A37", "F", "0 < dropout_p < 1: the mean over draws"),
    "a38_softmax_over_the_queries": ("A38", "U", "N > 1 or M > 1"),
    "a40_tile_judged_by_its_first_row": ("A40", "S", "causal or masked, M > 16; or a first row that sees no key"),
    "b01_padding_scored_zero_in_backward": ("B01", "V", "M not a multiple of 16, a row's maximum below -88 (float32), gradients"),
    "b02_delta_missing": ("B02", "G", "gradients"),
    "b02_delta_without_the_output": ("B02", "G", "gradients"),
    "b04_query_gradient_of_the_last_tile_only": ("B04", "G", "gradients, M > 16"),
    "b04_first_value_tile_only": ("B04", "G", "gradients, E > 16"),
    "b05_statistics_of_the_first_query_tile": ("B05", "G", "gradients, N > 16"),
    "b07_mask_ignored_in_backward": ("B07", "G", "gradients with a mask"),
    "b07_causal_ignored_in_backward": ("B07", "G", "gradients, causal, M > 1"),
    "b07_mask_gets_no_gradient": ("B07", "G", "gradient of the mask"),
    "b07_mask_gradient_of_one_head": ("B07", "G", "gradient of the mask, 2 or more heads"),
    "b08_tiles_counted_for_another_size": ("B08", "G", "gradients, causal, N > 32, M > 32 and not a multiple of 32"),
    "b10_cotangent_read_as_contiguous": ("B10", "G", "gradients, a cotangent transposed or expanded along E (not a constant); float32 or float64"),
    "b10_output_read_with_the_cotangents_strides": ("B10", "G", "gradients, a cotangent expanded or transposed; float32 or float64"),
    "b11_gradient_tail_not_written": ("B11", "G", "gradients, D not a multiple of 8"),
    "b13_statistics_of_the_first_batch_element": ("B13", "G", "gradients, a batch of 2 or more, scores above 8"),
    "b14_gqa_gradient_of_other_heads": ("B14", "G", "gradients, enable_gqa, 1 < G < H"),
    "b17_key_gradient_without_scale": ("B17", "G", "gradients, scale != 1"),
    "b22_no_keys_not_written": ("B22", "P", "M = 0, N > 0"),
    "c01_causal_dropped_with_a_mask": ("C01", "F", "causal with a mask"),
    "c02_mask_inverted": ("C02", "F", "boolean mask"),
    "c04_causal_without_the_diagonal": ("C04", "F", "causal"),
    "c07_either_of_two_masks_suffices": ("C07", "F", "causal with a mask"),
    "c08_mask_strides_ignored": ("C08", "S", "a mask that is expanded or strided"),
    "c08_mask_of_the_first_head": ("C08", "S", "a mask with a head axis longer than 1"),
    "c08_batch_and_heads_swapped": ("C08", "S", "mask [B, 1, N, M], B and H of 2 or more"),
    "c10_masked_with_minus_10000": ("C10", "V", "a masked key that scores 1e4 more than the seen ones, an additive mask below -1e4, or a row that sees no key"),
    "c10_dead_rows_take_the_mean": ("C10", "V", "a row that sees no key"),
    "c10_dead_rows_nan": ("C10", "V", "a row that sees no key"),
    "c11_dead_rows_repaired_afterwards": ("C11", "G", "gradients with a row that sees no key"),
    "c13_additive_mask_taken_as_boolean": ("C13", "F", "additive mask"),
    "c17_zero_sum_keys_taken_as_padding": ("C17", "V", "a key that sums to zero"),
    "c20_mask_row_within_the_tile": ("C20", "S", "a mask, N > 16"),
    "d04_mask_kept_from_the_last_call": ("D04", "P", "a second mask of the same shape, or the gradient of a mask"),
    "d04_window_of_256_keys": ("D04", "L", "M > 256"),
    "d13_parts_of_1024_keys_averaged": ("D13", "L", "M > 1024, not causal"),
    "e07_mask_on_diagonal_tiles_only": ("E07", "F", "causal with a mask, N > 16"),
    "f08_accumulator_not_cleared": ("F08", "P", "a second call with the same shape"),
    "g01_tail_dropped": ("G01", "S", "M > 16 and not a multiple of 16"),
    "i02_masked_after_the_softmax": ("I02", "F", "a mask with -inf or False"),
    "k01_gqa_tiled": ("K01", "S", "enable_gqa, 1 < G < H"),
    "k01_gqa_tiled_for_values_only": ("K01", "S", "enable_gqa, 1 < G < H"),
    "k02_gqa_divided_by_key_heads": ("K02", "S", "enable_gqa, G > 1, H != G * G"),
    "k04_heads_merged_without_transpose": ("K04", "S", "H > 1, N > 1"),
    "l_last_key_lost_after_64": ("B01", "L", "M = 65, 129, ..."),
    "mask_scaled_too": ("A-ii", "F", "finite additive mask, scale != 1"),
}
CLEAN = "clean_blockwise"
EXPECTED: dict[str, str] = {CLEAN: "conforms", **dict.fromkeys(BUGS, "violates")}
