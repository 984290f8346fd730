"""Attention inputs drawn where bugs live: awkward sizes, structured scores and values, every kind of mask, odd memory layouts.

Everything is decided by a few drawn choices and a seed, and built in torch: cheap, and it shrinks to the first choice of each list.
Inputs are drawn inside an implementation's limits; nothing is filtered away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
from torch import Tensor

from impl.variant import Implementation, Limits
from properties.oracle import Array, Problem, true_scale


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """One call: query [B, H, N, D], key [B, G, M, D], value [B, G, M, E], with the cotangent [B, H, N, E] for backward.

    `alignment` is the corner from which `is_causal` counts. `regimes` names how they were drawn, for the coverage that reports show.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    cotangent: Tensor
    attn_mask: Tensor | None = None
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False
    alignment: str = "top-left"
    regimes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Small inputs in full, so that a counterexample can be copied; large ones by shape."""
        tensors = {name: getattr(self, name) for name in ("query", "key", "value", "attn_mask") if getattr(self, name) is not None}
        shown = (f"{name}={x.tolist() if x.numel() <= 24 else f'[{x.dtype}, shape {tuple(x.shape)}]'}" for name, x in tensors.items())
        rest = f"is_causal={self.is_causal}, scale={self.scale}, dtype={self.query.dtype}, drawn as {'/'.join(self.regimes)}"
        return f"Inputs({', '.join(shown)}, {rest})"

    @property
    def keywords(self) -> dict[str, Any]:
        """The keyword arguments of torch's signature, only those that differ from its defaults."""
        given = {"attn_mask": self.attn_mask, "is_causal": self.is_causal, "scale": self.scale, "enable_gqa": self.enable_gqa}
        return {name: value for name, value in given.items() if value is not None and value is not False}


SCORES = (
    "small integers",
    "normal",
    "equal",
    "rising",
    "falling",
    "one huge",
    "rows apart",
    "shifted down",
    "shifted far down",
    "shifted up",
    "shifted far up",
    "tiny",
    "wide",
)
SHIFTS = {"shifted down": -150.0, "shifted far down": -6e4, "shifted up": 150.0, "shifted far up": 6e4}
VALUES = ("small integers", "normal", "ones", "one-hot", "offset", "wide", "large")
MASKS = (
    "none", "causal", "boolean", "dead row", "first keys hidden", "padding", "per head", "additive", "additive with -inf", "one query row",
    "causal and boolean", "additive per head", "additive far down", "causal and additive",
)  # fmt: skip
BOOLEAN = ("boolean", "dead row", "first keys hidden", "padding", "per head", "one query row", "causal and boolean")
LAYOUTS = {  # by the strides that a subject accepts
    "any": ("contiguous", "transposed", "sliced", "expanded", "by columns", "mixed"),
    "rows": ("contiguous", "transposed", "sliced", "expanded"),
    "contiguous": ("contiguous",),
}
STRICT = ("dtype", "scores", "mask")  # what a law that narrows these says is true of nothing else
SHORT, MIDDLE, LONG = 17, 72, 600  # both axes are below MIDDLE, or one of them is below SHORT: what the oracle can afford
MIXED = {"query": "transposed", "key": "by columns", "value": "sliced", "cotangent": "expanded"}
SCALES = (None, 0.3, 1.0, -0.5, 0.0)
# Regimes that only bite together, drawn beside the free combinations.
TOGETHER = (
    {"scores": "shifted down", "mask": "first keys hidden"},
    {"scores": "shifted down", "mask": "causal"},
    {"scores": "shifted far down", "mask": "none"},
    {"scores": "shifted down", "mask": "padding"},
    {"scores": "rising", "mask": "none"},
    {"scores": "wide", "mask": "per head"},
    {"scores": "normal", "mask": "dead row"},
    {"scores": "shifted down", "mask": "additive with -inf"},
    {"mask": "causal", "reach": "both"},
)


@st.composite
def dense(draw: st.DrawFn, /, subject: Implementation, *, dead_rows: bool = False, **fixed: Any) -> Inputs:
    """Inputs inside the subject's limits. `fixed` narrows choices by name to a tuple of options: scores, values, mask, layout, scale, dtype, n, m, width,
    heads, batch. Rows that see no key are drawn where the subject says that they are zero, or where the law asks for `dead_rows`."""
    limits, conventions = subject.limits, subject.conventions
    together = draw(st.sampled_from(({}, *TOGETHER)), label="together")

    def pick(name: str, options: Any) -> Any:
        inside = [x for x in fixed[name] if x in options] if name in fixed else list(options)
        if not inside and name in STRICT:
            raise ValueError(f"a law wants {name} in {fixed[name]}, the limits have {options}: its `lacking` should have said so")
        inside = inside or list(options)[:1]
        return together[name] if name in together and together[name] in inside else draw(st.sampled_from(inside), label=name)

    zero = conventions.dead_rows == "zero"
    dead = dead_rows or zero
    mask = pick("mask", allowed_masks(subject))
    n, m = draw_sizes(draw, limits, pick)
    if not m and not zero:  # no keys at all, and none visible, are alike only where both give zero
        m = draw_lengths(limits)[0]
        n = n if limits.unequal_lengths else m
    if not dead:
        n = min(n, m) if mask.startswith("causal") and conventions.causal == "bottom-right" else n
    small = max(n, m) <= 16
    heads = [(1, 1), (2, 2), (6, 2), (6, 3), (7, 1)] if small else [(1, 1), (2, 1)]
    query_heads, key_heads = pick("heads", [(h, g) for h, g in heads if h <= limits.max_heads])
    if not limits.grouped_queries:
        query_heads = key_heads
    batches = ((1, 3, 1, 3, 1, 3, 0) if limits.zero_length else (1, 3)) if (small and query_heads <= 3) or max(n, m) <= 3 else (1,)
    batch = pick("batch", [b for b in batches if b * query_heads <= limits.max_heads])
    width = pick("width", limits.widths or ((1, 2, 3, 5, 8, 33) if max(n, m) < LONG else (16, 1)))
    value_width = (
        pick("value_width", (*(width,) * 4, *(limits.widths or ((1, 2, 4, 7, 17) if max(n, m) < LONG else (1, 4))))) if limits.unequal_widths else width
    )
    inputs = build(
        shape=(batch, query_heads, key_heads, n, m, width, value_width),
        dtype=getattr(torch, pick("dtype", limits.dtypes)),
        scores=pick("scores", SCORES),
        values=pick("values", VALUES),
        mask=mask,
        scale=pick("scale", [scale for scale in SCALES if not limits.positive_scale or scale is None or scale > 0]) if limits.scale else None,
        seed=draw(st.integers(0, 2**16), label="seed"),
    )
    if conventions.float64 == "as-float32" and inputs.query.dtype == torch.float64:
        inputs = single(inputs)
    if not dead and inputs.attn_mask is not None:
        inputs = replace(inputs, attn_mask=alive(inputs.attn_mask, inputs.is_causal))
    return laid_out(replace(inputs, alignment=conventions.causal), pick("layout", LAYOUTS[limits.strides]))


def square(subject: Implementation) -> st.SearchStrategy[Inputs]:
    """Dense inputs with as many keys as queries, and no mask."""
    return dense(replace(subject, limits=replace(subject.limits, unequal_lengths=False)), mask=("none",))


ALL_TOGETHER = ("causal and boolean", "causal and additive")


def beside_causal(subject: Implementation) -> st.SearchStrategy[Inputs]:
    """A mask and the causal flag together, whatever the subject says of that."""
    return dense(replace(subject, conventions=replace(subject.conventions, mask_and_causal="both")), mask=ALL_TOGETHER)


@st.composite
def shifted(draw: st.DrawFn, subject: Implementation) -> Inputs:
    """Dense inputs whose first feature adds the same amount to every score of a row, and nothing else."""
    widths = subject.limits.widths or (2, 3, 5, 8, 33)
    x = draw(dense(subject, scores=("small integers", "normal", "rising", "falling", "equal"), width=[width for width in widths if width > 1]))
    amount = draw(st.sampled_from((30.0, -30.0, 150.0, -150.0, 4096.0, -6e4)), label="amount")
    query, key = x.query.clone(), x.key.clone()
    query[..., 0], key[..., 0] = 1, amount
    return replace(x, query=query, key=key, regimes=(*x.regimes, f"shift: {amount:g}"))


def draw_sizes(draw: st.DrawFn, limits: Limits, pick: Any) -> tuple[int, int]:
    """N and M. Where the subject wants `long` axes, one of them is long now and then, very long more rarely, or both are of middle length."""
    empty = [0] if limits.zero_length else []
    lengths = [x for x in draw_lengths(limits) if x]
    if not limits.long:
        n = pick("n", lengths + empty)
        return n, pick("m", lengths + empty) if limits.unequal_lengths else n
    short = [x for x in lengths if x < SHORT] or lengths[:1]
    middle = [x for x in lengths if SHORT <= x < max(MIDDLE, 2 * limits.multiple)]
    long, longest = [x for x in lengths if SHORT <= x < LONG], [x for x in lengths if x >= LONG]
    if short[0] >= SHORT:  # no axis is short: the other one is not long either
        long, longest = [x for x in long if x <= 3 * short[0]], []
    reach = pick("reach", ("short",) * 9 + ("many keys", "many queries", "both")) if middle and long else "short"
    if reach == "short" or not (reach == "both" or limits.unequal_lengths):
        options = short * max(1, 8 // len(short)) + empty  # an empty axis now and then
        n = pick("n", options)
        return n, pick("m", options) if limits.unequal_lengths else n
    if reach == "both":
        n = pick("n", middle)
        return n, pick("m", middle) if limits.unequal_lengths else n
    if longest and draw(st.integers(0, 5), label="very") == 5:
        long = longest
    few = [x for x in short if x <= 3] or short[:1]
    return (pick("n", few), pick("m", long)) if reach == "many keys" else (pick("n", long), pick("m", few))


def draw_lengths(limits: Limits) -> list[int]:
    """The lengths to be drawn, in ascending order, 0 last."""
    near = {edge + offset for edge in limits.edges for offset in (-1, 0, 1)} | {2 * edge + 1 for edge in limits.edges}
    lengths = {1, 2, 3, 5, 7, min(limits.max_length, 9) if limits.long else limits.max_length} | near
    if limits.multiple > 1:
        lengths = {-(-length // limits.multiple) * limits.multiple for length in lengths} | {2 * limits.multiple, 3 * limits.multiple}
    inside = sorted(x for x in lengths if 0 < x <= limits.max_length) or [limits.multiple]
    return inside + ([0] if limits.zero_length else [])


def allowed_masks(subject: Implementation) -> list[str]:
    """The mask regimes inside the limits."""
    limits, both = subject.limits, subject.conventions.mask_and_causal == "both"
    return [
        mask
        for mask in MASKS
        if (mask not in BOOLEAN or "boolean" in limits.masks)
        and ("additive" not in mask or "additive" in limits.masks)
        and (not mask.startswith("causal") or limits.causal)
        and (not mask.startswith("causal and") or both)
    ]


def build(shape: tuple[int, int, int, int, int, int, int], dtype: torch.dtype, scores: str, values: str, mask: str, scale: float | None, seed: int) -> Inputs:
    """The inputs that these choices mean. `shape` is (B, H, G, N, M, D, E)."""
    b, h, g, n, m, d, e = shape
    random = torch.Generator().manual_seed(seed)
    q, k = (numbers((b, heads, length, d), scores, random) for heads, length in ((h, n), (g, m)))
    factor = 1 / math.sqrt(d) if scale is None else scale
    q, k = steered(q, k, scores, factor, random)
    bounds = torch.finfo(dtype)
    q, k = (x.clamp(-bounds.max / 2, bounds.max / 2) for x in (q, k))
    return Inputs(
        query=q.to(dtype),
        key=k.to(dtype),
        value=(value_numbers((b, g, m, e), values, random) / (64 if values == "large" and dtype == torch.float16 else 1)).to(dtype),
        cotangent=numbers((b, h, n, e), "small integers" if values == "small integers" else "normal", random).to(dtype),
        attn_mask=masked(mask, (b, h, n, m), dtype, random),
        is_causal=mask.startswith("causal"),
        scale=scale,
        enable_gqa=h != g,
        regimes=(f"scores: {scores}", f"values: {values}", f"mask: {mask}", f"dtype: {str(dtype).removeprefix('torch.')}"),
    )


def numbers(shape: tuple[int, ...], regime: str, random: torch.Generator) -> Tensor:
    """float64 entries: integers within ±2, tiny or wide normals, or normals."""
    if regime == "small integers":
        return torch.randint(-2, 3, shape, generator=random).double()
    return torch.randn(shape, generator=random, dtype=torch.float64) * {"tiny": 1e-3, "wide": 6.0}.get(regime, 1.0)


def steered(q: Tensor, k: Tensor, regime: str, scale: float, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Give the first feature to a chosen profile of scores over the keys: score_ij = profile_ij + (the rest of q·k)·scale."""
    q, k = q.clone(), k.clone()
    m, n = k.shape[-2], q.shape[-2]
    by = scale if scale else 1.0
    if regime == "equal":
        k[...] = 0
    elif regime in ("rising", "falling"):
        q[..., 0] = 1
        k[..., 0] = torch.arange(m, dtype=torch.float64) * (4 if regime == "rising" else -4) / by
    elif regime == "one huge" and m:
        q[..., 0] = 1
        k[..., 0] = 0
        k[..., int(torch.randint(m, (), generator=random)), 0] = 60 / by
    elif regime == "rows apart":
        q[..., 0] = torch.arange(n, dtype=torch.float64) * 150 / by
        k[..., 0] = 1
    elif regime in SHIFTS:
        q[..., 0] = 1
        k[..., 0] = SHIFTS[regime] / by
    return q, k


def value_numbers(shape: tuple[int, ...], regime: str, random: torch.Generator) -> Tensor:
    if regime == "ones":
        return torch.ones(shape, dtype=torch.float64)
    if regime == "one-hot":  # shows a dropped or doubled key that averages hide
        value = torch.zeros(shape, dtype=torch.float64)
        for j in range(shape[-2]):
            value[..., j, j % shape[-1]] = 1
        return value
    if regime == "offset":
        return 100 + numbers(shape, "normal", random)
    if regime == "large":
        return 8192 * numbers(shape, "normal", random)
    return numbers(shape, regime, random)


def masked(regime: str, shape: tuple[int, int, int, int], dtype: torch.dtype, random: torch.Generator) -> Tensor | None:
    """A mask for scores [B, H, N, M]; boolean (True = visible) or additive in `dtype`."""
    b, h, n, m = shape
    if regime in ("none", "causal"):
        return None
    if regime == "first keys hidden":
        return (torch.arange(m) >= m // 2).expand(n, m)  # a whole tile, where there are two
    if regime == "padding":  # each sequence of the batch ends elsewhere
        lengths = torch.randint(0, m + 1, (b, 1, 1, 1), generator=random)
        return torch.arange(m) < lengths
    if regime == "one query row":
        return torch.rand((1, m), generator=random) < 0.6
    if "additive" in regime:
        bias = torch.randn((1, h, n, m) if regime == "additive per head" else (b, 1, n, m), generator=random, dtype=torch.float64) * 3
        if regime == "additive far down":  # some keys, and some rows as a whole
            for axes in ((b, 1, n, m), (b, 1, n, 1)):
                bias = bias - 3e4 * (torch.rand(axes, generator=random) < 0.4)
            return bias.to(dtype)
        hidden = torch.rand((b, 1, n, m), generator=random) < (0.4 if regime.endswith("inf") else 0)
        return bias.masked_fill(hidden, -math.inf).to(dtype)
    visible = torch.rand((b, h, n, m) if regime == "per head" else (n, m), generator=random) < 0.6
    if regime == "dead row" and n:
        visible[..., int(torch.randint(n, (), generator=random)), :] = False
    return visible


def single(x: Inputs) -> Inputs:
    """The float64 inputs rounded to float32, for a subject that computes them so."""
    mask = x.attn_mask if x.attn_mask is None or x.attn_mask.dtype == torch.bool else x.attn_mask.float().double()
    query, key, value, cotangent = (getattr(x, name).float().double() for name in MIXED)
    return replace(x, query=query, key=key, value=value, cotangent=cotangent, attn_mask=mask)


def alive(mask: Tensor, is_causal: bool) -> Tensor:
    """The mask with the first key shown to every row that sees none; beside causality, to every row."""
    mask, hidden = mask.clone(), ~mask if mask.dtype == torch.bool else mask == -math.inf
    dead = hidden[..., 0] if is_causal else hidden.all(-1)
    mask[..., 0] = mask[..., 0] | dead if mask.dtype == torch.bool else mask[..., 0].masked_fill(dead, 0)
    return mask


def laid_out(x: Inputs, layout: str) -> Inputs:
    """The inputs in another memory layout; "expanded" repeats the first sequence, or the first head, where it is the only way to a stride of 0."""
    mask = x.attn_mask
    if mask is not None and layout in ("sliced", "by columns", "mixed"):
        mask = relaid(mask, "sliced" if layout == "mixed" else layout)
    elif mask is not None and layout == "expanded":
        mask = mask.expand(*x.query.shape[:-1], x.key.shape[-2])
    elif mask is not None:
        mask = mask.contiguous()
    query, key, value, cotangent = (relaid(getattr(x, name), chosen if layout == "mixed" else layout) for name, chosen in MIXED.items())
    return replace(x, query=query, key=key, value=value, cotangent=cotangent, attn_mask=mask, regimes=(*x.regimes, f"layout: {layout}"))


def relaid(x: Tensor, layout: str) -> Tensor:
    """`x` as a [B, N, H, D] or [B, H, D, N] tensor seen through a transpose, as a slice of a larger one at an offset, or with a stride of 0."""
    match layout:
        case "transposed":
            return x.transpose(1, 2).contiguous().transpose(1, 2)
        case "sliced":
            room = x.new_full((*x.shape[:-1], x.shape[-1] + 3), 7.0)
            room[..., 2:-1] = x
            return room[..., 2:-1]
        case "by columns":
            return x.transpose(-2, -1).contiguous().transpose(-2, -1)
        case "expanded" if x.numel():
            return (x[:1] if x.shape[0] > 1 else x[:, :1]).expand(x.shape)
    return x.contiguous()


def problem(x: Inputs, *, gradients: bool = False) -> Problem:
    """The same call in float64 numbers, for the oracle."""
    b, h, n, m = x.query.shape[0], x.query.shape[1], x.query.shape[2], x.key.shape[2]
    visible, bias = np.ones((b, h, n, m), dtype=np.bool_), np.zeros((b, h, n, m))
    if x.attn_mask is not None and x.attn_mask.dtype == torch.bool:
        visible &= np.broadcast_to(x.attn_mask.numpy(), visible.shape)
    elif x.attn_mask is not None:
        bias = np.broadcast_to(plain(x.attn_mask), bias.shape)
        visible &= bias != -np.inf
        bias = np.where(visible, bias, 0)
    if x.is_causal:
        visible &= np.tril(np.ones((n, m), dtype=np.bool_), m - n if x.alignment == "bottom-right" else 0)
    g = plain(x.cotangent) if gradients else None
    return Problem(q=plain(x.query), k=plain(x.key), v=plain(x.value), bias=bias, visible=visible, scale=true_scale(x.query.shape[-1], x.scale), g=g)


def plain(x: Tensor) -> Array:
    """A tensor of any float dtype as float64 numbers, exactly."""
    converted: Array = x.detach().to(torch.float64).contiguous().numpy()
    return converted
