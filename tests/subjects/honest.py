"""Right attentions that look unusual and that nobody may accuse, each with the declaration that it needs (`DECLARED`)."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from typing import Any

import torch

T = torch.Tensor
M = torch.Tensor | None
S = float | None

HALF = (torch.float16, torch.bfloat16)
LOG2E = math.log2(math.e)


def _work(x: T) -> torch.dtype:
    return torch.float32 if x.dtype in HALF else x.dtype


def _factor(query: T, scale: S) -> float:
    return max(query.shape[-1], 1) ** -0.5 if scale is None else scale


def _heads(query: T, x: T, enable_gqa: bool) -> T:
    """Each head of keys or values repeated for the query heads that share it, neighbours together."""
    return x.repeat_interleave(query.shape[-3] // x.shape[-3], dim=-3) if enable_gqa else x


def _biased(scores: T, mask: M, causal: bool) -> T:
    """Masks added to scores, as torch does: 0 or -inf for boolean masks and for causality."""
    if mask is not None:
        scores = scores + (torch.zeros(mask.shape, dtype=scores.dtype).masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else mask.to(scores.dtype))
    if causal:
        scores = scores + torch.full(scores.shape[-2:], -torch.inf, dtype=scores.dtype).triu(1)
    return scores


def _scores(query: T, key: T, mask: M, causal: bool, scale: S, dtype: torch.dtype) -> T:
    return _biased((query.to(dtype) @ key.to(dtype).transpose(-1, -2)) * _factor(query, scale), mask, causal)


def _top(scores: T) -> T:
    """The largest score of each row, 0 where no key is seen."""
    if scores.shape[-1] == 0:
        return scores.new_zeros((*scores.shape[:-1], 1))
    top = scores.detach().amax(-1, keepdim=True)
    return top.masked_fill(top == -torch.inf, 0.0)


def _safe(total: T) -> T:
    return total.masked_fill(total == 0, 1.0)


def _softmax(scores: T, dropout_p: float = 0.0) -> T:
    """Softmax whose dead rows are zero."""
    p = torch.exp(scores - _top(scores))
    return torch.nn.functional.dropout(p / _safe(p.sum(-1, keepdim=True)), dropout_p)


def _plain(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    work = _work(query)
    key, value = _heads(query, key, enable_gqa), _heads(query, value, enable_gqa)
    return (_softmax(_scores(query, key, attn_mask, is_causal, scale, work), dropout_p) @ value.to(work)).to(query.dtype)


def softmax_in_float64(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Everything in float64, then rounded once."""
    return _plain(query.double(), key.double(), value.double(), attn_mask, dropout_p, is_causal, scale, enable_gqa).to(query.dtype)


def exp2_with_log2e(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Powers of two; log2(e) is folded into the scale, unless a mask is added: its lowest number times log2(e) would be infinite."""
    key, value = _heads(query, key, enable_gqa), _heads(query, value, enable_gqa)
    added = attn_mask is not None and attn_mask.dtype != torch.bool
    s = _scores(query, key, attn_mask, is_causal, _factor(query, scale) * (1.0 if added else LOG2E), _work(query))
    p = torch.exp2((s - _top(s)) * LOG2E if added else s - _top(s))
    weights = torch.nn.functional.dropout(p / _safe(p.sum(-1, keepdim=True)), dropout_p)
    return (weights @ value.to(s.dtype)).to(query.dtype)


def _online(query: T, key: T, value: T, scores: T, dropout_p: float, tile: int, backwards: bool) -> T:
    """The keys in tiles, with a running maximum, sum and weighted sum."""
    values = value.to(scores.dtype)
    top = scores.new_full((*scores.shape[:-1], 1), -torch.inf)
    total = torch.zeros_like(top)
    out = torch.zeros((*scores.shape[:-1], value.shape[-1]), dtype=scores.dtype)
    starts = range(0, key.shape[-2], tile)
    for start in reversed(starts) if backwards else starts:
        s = scores[..., start : start + tile]
        new = torch.maximum(top, s.detach().amax(-1, keepdim=True))
        frame = new.masked_fill(new == -torch.inf, 0.0)
        p, old = torch.exp(s - frame), torch.exp(top - frame)
        total = total * old + p.sum(-1, keepdim=True)
        out = out * old + torch.nn.functional.dropout(p, dropout_p) @ values[..., start : start + tile, :]
        top = new
    return (out / _safe(total)).to(query.dtype)


def online_in_tiles_of_three(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Online softmax, three keys at a time."""
    key, value = _heads(query, key, enable_gqa), _heads(query, value, enable_gqa)
    return _online(query, key, value, _scores(query, key, attn_mask, is_causal, scale, _work(query)), dropout_p, 3, False)


def online_from_the_right(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Online softmax in tiles of four, the last keys first: under causality the first tiles are fully masked for early rows."""
    key, value = _heads(query, key, enable_gqa), _heads(query, value, enable_gqa)
    return _online(query, key, value, _scores(query, key, attn_mask, is_causal, scale, _work(query)), dropout_p, 4, True)


def stabiliser_a_power_of_two(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Rows are scaled by exp(max) rounded up to a power of two, so that rescaling would be exact; by exp(max) itself where its base-two logarithm overflows."""
    key, value = _heads(query, key, enable_gqa), _heads(query, value, enable_gqa)
    s = _scores(query, key, attn_mask, is_causal, scale, _work(query))
    top = _top(s)
    stabiliser = torch.ceil(top * LOG2E) / LOG2E
    p = torch.exp(s - torch.where(stabiliser.isfinite(), stabiliser, top))
    weights = torch.nn.functional.dropout(p / _safe(p.sum(-1, keepdim=True)), dropout_p)
    return (weights @ value.to(s.dtype)).to(query.dtype)


def weights_in_the_input_dtype(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Weights are rounded to the inputs' dtype before they meet the values; the sum is not."""
    key, value = _heads(query, key, enable_gqa), _heads(query, value, enable_gqa)
    s = _scores(query, key, attn_mask, is_causal, scale, _work(query))
    p = torch.exp(s - _top(s))
    rounded = torch.nn.functional.dropout(p, dropout_p).to(query.dtype).to(s.dtype)
    return ((rounded @ value.to(s.dtype)) / _safe(p.sum(-1, keepdim=True))).to(query.dtype)


def all_in_the_input_dtype(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Every step in the inputs' dtype, half precisions too."""
    key, value = _heads(query, key, enable_gqa), _heads(query, value, enable_gqa)
    s = _biased((query * _factor(query, scale)) @ key.transpose(-1, -2), attn_mask, is_causal)
    return _softmax(s, dropout_p) @ value


def dead_rows_nan(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """torch.softmax of -inf: rows that see no key are 0/0."""
    key, value = _heads(query, key, enable_gqa), _heads(query, value, enable_gqa)
    s = _scores(query, key, attn_mask, is_causal, scale, _work(query))
    weights = torch.nn.functional.dropout(torch.softmax(s, -1), dropout_p)
    return (weights @ value.to(s.dtype)).to(query.dtype)


def dead_rows_mean(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """The most negative finite number masks: rows that see no key take the mean of all values."""
    key, value = _heads(query, key, enable_gqa), _heads(query, value, enable_gqa)
    s = _scores(query, key, attn_mask, is_causal, scale, _work(query))
    s = s.masked_fill(s == -torch.inf, torch.finfo(s.dtype).min)
    return (torch.nn.functional.dropout(torch.softmax(s, -1), dropout_p) @ value.to(s.dtype)).to(query.dtype)


def causal_from_the_bottom_right(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """The last query sees all keys, each earlier one a key fewer."""
    if is_causal:
        rows, columns = query.shape[-2], key.shape[-2]
        seen = torch.ones(rows, columns, dtype=torch.bool).tril(columns - rows)
        if attn_mask is None:
            attn_mask = seen
        elif attn_mask.dtype == torch.bool:
            attn_mask = attn_mask & seen
        else:
            attn_mask = attn_mask + torch.zeros(rows, columns, dtype=attn_mask.dtype).masked_fill(~seen, -torch.inf)
    return _plain(query, key, value, attn_mask, dropout_p, False, scale, enable_gqa)


def gqa_tiled(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    """Query head h reads key head h modulo the number of key heads."""
    if enable_gqa:
        times = query.shape[-3] // key.shape[-3]
        key, value = torch.cat([key] * times, dim=-3), torch.cat([value] * times, dim=-3)
    return _plain(query, key, value, attn_mask, dropout_p, is_causal, scale)


def mask_means_block(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """True in a boolean mask forbids."""
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = ~attn_mask
    return _plain(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def layout_bnhd(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Positions before heads, in and out."""
    query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    return _plain(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa).transpose(1, 2)


def without_masks(query: T, key: T, value: T) -> T:
    """Three tensors and no options."""
    return _plain(query, key, value)


def without_masks_but_causal(query: T, key: T, value: T, *, is_causal: bool = False, scale: S = None) -> T:
    """No mask, dropout or grouped queries; options by keyword only."""
    return _plain(query, key, value, None, 0.0, is_causal, scale)


def float64_as_float32(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """float64 is taken, computed in float32 and returned as float64."""
    if attn_mask is not None and attn_mask.dtype != torch.bool:
        attn_mask = attn_mask.float()
    return _plain(query.float(), key.float(), value.float(), attn_mask, dropout_p, is_causal, scale, enable_gqa).to(query.dtype)


def torchs_math_backend(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """torch's own, made to use its plain backend."""
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        return torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)


def einsum_with_groups(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Einstein sums with an axis for the group, nothing repeated."""
    if not enable_gqa:
        return _plain(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    work = _work(query)
    groups = key.shape[-3]
    q = query.to(work).unflatten(-3, (groups, query.shape[-3] // groups))
    s = torch.einsum("...grnd,...gmd->...grnm", q, key.to(work)) * _factor(query, scale)
    if attn_mask is not None and attn_mask.dim() > 2:
        attn_mask = attn_mask.unflatten(-3, (groups, -1)) if attn_mask.shape[-3] > 1 else attn_mask.unsqueeze(-3)
    weights = _softmax(_biased(s, attn_mask, is_causal), dropout_p)
    return torch.einsum("...grnm,...gme->...grne", weights, value.to(work)).flatten(-4, -3).to(query.dtype)


class _Recomputing(torch.autograd.Function):
    """Saves its inputs, maxima, sums and output, and forms the weights again in backward."""

    @staticmethod
    def forward(ctx: Any, query: T, key: T, value: T, bias: T, factor: float) -> T:
        s = (query @ key.transpose(-1, -2)) * factor + bias
        top = _top(s)
        p = torch.exp(s - top)
        total = _safe(p.sum(-1, keepdim=True))
        out = (p @ value) / total
        ctx.save_for_backward(query, key, value, bias, top, total, out)
        ctx.factor = factor
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: T) -> tuple[T, T, T, T, None]:
        query, key, value, bias, top, total, out = ctx.saved_tensors
        g = gradients[0]
        weights = torch.exp((query @ key.transpose(-1, -2)) * ctx.factor + bias - top) / total
        ds = weights * (g @ value.transpose(-1, -2) - (g * out).sum(-1, keepdim=True))
        dq, dk, dv = (ds @ key) * ctx.factor, (ds.transpose(-1, -2) @ query) * ctx.factor, weights.transpose(-1, -2) @ g
        return dq.sum_to_size(query.shape), dk.sum_to_size(key.shape), dv.sum_to_size(value.shape), ds.sum_to_size(bias.shape), None


def recomputing_function(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """An autograd.Function whose backward recomputes the weights."""
    if dropout_p:
        return _plain(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    work = _work(query)
    key, value = _heads(query, key, enable_gqa), _heads(query, value, enable_gqa)
    bias = _biased(torch.zeros(query.shape[-2], key.shape[-2], dtype=work), attn_mask, is_causal)
    out: T = _Recomputing.apply(query.to(work), key.to(work), value.to(work), bias, _factor(query, scale))  # type: ignore[no-untyped-call]
    return out.to(query.dtype)


_warned = False


def warns_once(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Says something on stderr at its first call."""
    global _warned
    if not _warned:
        print("attention is slow without a GPU", file=sys.stderr)
        _warned = True
    return _plain(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


@functools.lru_cache(maxsize=16)
def _specialised(factor: float, causal: bool, work: torch.dtype) -> Callable[[T, T, T, M, float], T]:
    """A function compiled for these options."""
    code = f"lambda q, k, v, m, p: soft(bias((q.to(w) @ k.to(w).transpose(-1, -2)) * {factor!r}, m, {causal!r}), p) @ v.to(w)"
    made: Callable[[T, T, T, M, float], T] = eval(code, {"soft": _softmax, "bias": _biased, "w": work, "inf": math.inf, "nan": math.nan})
    return made


def keeps_a_compiled_closure(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Keeps one function for each scale, causality and dtype; no tensor is kept."""
    run = _specialised(float(_factor(query, scale)), is_causal, _work(query))
    return run(query, _heads(query, key, enable_gqa), _heads(query, value, enable_gqa), attn_mask, dropout_p).to(query.dtype)


def values_in_chunks(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """The columns of the values five at a time."""
    work = _work(query)
    key, value = _heads(query, key, enable_gqa), _heads(query, value, enable_gqa)
    weights = _softmax(_scores(query, key, attn_mask, is_causal, scale, work), dropout_p)
    return torch.cat([weights @ part.to(work) for part in value.split(5, dim=-1)], dim=-1).to(query.dtype)


def log_space(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    """Weights as exp of log-weights: the logarithm of the sum is subtracted, nothing is divided."""
    work = _work(query)
    key, value = _heads(query, key, enable_gqa), _heads(query, value, enable_gqa)
    s = _scores(query, key, attn_mask, is_causal, scale, work)
    s = s - _top(s)
    weights = torch.exp(s - torch.log(_safe(torch.exp(s).sum(-1, keepdim=True))))
    return (torch.nn.functional.dropout(weights, dropout_p) @ value.to(work)).to(query.dtype)


def log_sum_exp_subtracted(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Weights as exp(score - log-sum-exp), the latter rounded at its own magnitude; forward only, as backward would need that declared."""
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (query, key, value, attn_mask)):
        raise NotImplementedError("no gradient")
    work = _work(query)
    key, value = _heads(query, key, enable_gqa), _heads(query, value, enable_gqa)
    s = _scores(query, key, attn_mask, is_causal, scale, work)
    lse = torch.logsumexp(s, -1, keepdim=True)
    weights = torch.exp(s - lse.masked_fill(lse == -torch.inf, 0.0))
    return (torch.nn.functional.dropout(weights, dropout_p) @ value.to(work)).to(query.dtype)


def sum_by_a_column_of_ones(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """The normaliser is the output for a column of ones beside the values."""
    if dropout_p:
        return _plain(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    key, value = _heads(query, key, enable_gqa), _heads(query, value, enable_gqa)
    s = _scores(query, key, attn_mask, is_causal, scale, _work(query))
    v = value.to(s.dtype)
    both = torch.exp(s - _top(s)) @ torch.cat([v, torch.ones_like(key[..., :1], dtype=s.dtype)], dim=-1)
    return (both[..., :-1] / _safe(both[..., -1:])).to(query.dtype)


def keys_reversed(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Keys and values are read from last to first: the order of a sum is nobody's business."""
    key, value = _heads(query, key, enable_gqa), _heads(query, value, enable_gqa)
    s = _scores(query, key, attn_mask, is_causal, scale, _work(query)).flip(-1)
    return (_softmax(s, dropout_p) @ value.to(s.dtype).flip(-2)).to(query.dtype)


def output_strided(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """The output is a transposed view with gaps between its rows."""
    out = _plain(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    wide = torch.cat([out, torch.full_like(out, torch.nan)], dim=-1).transpose(-1, -2).contiguous().transpose(-1, -2)
    return wide[..., : out.shape[-1]]


def masked_nan_blocked(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Keys and values that a row does not see are replaced with zeros for that row: NaN in them goes nowhere."""
    work = _work(query)
    key, value = _heads(query, key, enable_gqa), _heads(query, value, enable_gqa)
    bias = _biased(torch.zeros(query.shape[-2], key.shape[-2], dtype=work), attn_mask, is_causal)
    seen = (bias.detach() != -torch.inf).unsqueeze(-1)
    k = torch.where(seen, key.to(work).unsqueeze(-3), 0.0)
    v = torch.where(seen, value.to(work).unsqueeze(-3), 0.0)
    s = (query.to(work).unsqueeze(-2) @ k.transpose(-1, -2)).squeeze(-2) * _factor(query, scale) + bias
    return (_softmax(s, dropout_p).unsqueeze(-2) @ v).squeeze(-2).to(query.dtype)


def lengths_in_multiples_of_four(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Refuses lengths that are not multiples of four, and empty ones."""
    if query.shape[-2] % 4 or key.shape[-2] % 4 or not query.shape[-2] or not key.shape[-2]:
        raise ValueError("lengths must be positive multiples of 4")
    return _plain(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def narrow(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    """Takes only 4-D float32 with contiguous rows, equal widths of 16 or 32, and one mask at a time."""
    if query.dim() != 4 or query.dtype != torch.float32 or query.shape[-1] not in (16, 32) or value.shape[-1] != query.shape[-1]:
        raise ValueError("4-D float32 of width 16 or 32 only")
    if is_causal and attn_mask is not None:
        raise ValueError("a mask or causality, not both")
    if any(x.stride(-1) != 1 and x.numel() for x in (query, key, value)):
        raise ValueError("rows must be contiguous")
    return _plain(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def forward_only(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Has no gradient, and says so."""
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (query, key, value, attn_mask)):
        raise NotImplementedError("no gradient")
    return _plain(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa).detach()


def in_numpy(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> Any:
    """The textbook formula on NumPy arrays."""
    import numpy as np

    work = np.float32 if query.dtype == np.float16 else query.dtype
    q, k, v = (np.asarray(x, dtype=work) for x in (query, key, value))
    if enable_gqa:
        k, v = (np.repeat(x, q.shape[-3] // x.shape[-3], axis=-3) for x in (k, v))
    s = (q @ np.swapaxes(k, -1, -2)) * np.asarray(_factor(query, scale), dtype=work)
    if attn_mask is not None:
        s = s + (np.where(attn_mask, 0.0, -np.inf) if attn_mask.dtype == bool else attn_mask).astype(work)
    if is_causal:
        s = np.where(np.tri(*s.shape[-2:]) > 0, s, np.asarray(-np.inf, dtype=work))
    top = s.max(-1, keepdims=True, initial=-np.inf)
    p = np.exp(s - np.where(top == -np.inf, np.asarray(0.0, dtype=work), top))
    total = p.sum(-1, keepdims=True)
    return ((p / np.where(total == 0, np.asarray(1.0, dtype=work), total)) @ v).astype(query.dtype)


# name -> the options that declare it
DECLARED: dict[str, str] = {
    "softmax_in_float64": "--arithmetic accumulate=float64",
    "exp2_with_log2e": "",
    "online_in_tiles_of_three": "--arithmetic tile=3",
    "online_from_the_right": "--arithmetic tile=4",
    "stabiliser_a_power_of_two": "--arithmetic stabiliser=1.0",
    "weights_in_the_input_dtype": "--arithmetic p-dtype=input",
    "all_in_the_input_dtype": "--arithmetic accumulate=input,p-dtype=input",
    "dead_rows_nan": "--convention dead-rows=nan --limits empty=no",
    "dead_rows_mean": "--convention dead-rows=mean --limits empty=no",
    "causal_from_the_bottom_right": "--convention causal=bottom-right",
    "gqa_tiled": "--convention gqa=tiled",
    "mask_means_block": "--convention mask=block",
    "layout_bnhd": "--convention layout=BNHD->BNHD --limits axes=4",
    "without_masks": "",
    "without_masks_but_causal": "",
    "float64_as_float32": "--convention float64=as-float32",
    "torchs_math_backend": "",
    "einsum_with_groups": "",
    "recomputing_function": "",
    "warns_once": "",
    "keeps_a_compiled_closure": "",
    "values_in_chunks": "",
    "log_space": "",
    "log_sum_exp_subtracted": "--limits grad=no --arithmetic normalise=log-sum-exp",
    "sum_by_a_column_of_ones": "",
    "keys_reversed": "",
    "output_strided": "",
    "masked_nan_blocked": "--convention masked-nan=blocked",
    "lengths_in_multiples_of_four": "--limits n-multiple=4,empty=no",
    "narrow": "--limits axes=4,dtypes=float32,d=16+32,dv=dk,strides=rows --convention mask+causal=error",
    "forward_only": "--limits grad=no",
    "in_numpy": "--framework numpy --limits grad=no,dtypes=float64+float32+float16 --convention masked-nan=any",
}
EXPECTED: dict[str, str] = dict.fromkeys(DECLARED, "conforms")
