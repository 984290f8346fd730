"""Laws of multi-head attention with its projections."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import oracle, tolerance
from properties.inputs import numbers, plain
from properties.oracle import Array, Balls
from properties.subject import Subject, expect_shape, require
from properties.verifies import law

MASKS = ("none", "causal", "boolean", "per sequence", "additive")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadInputs:
    """One call: query [B, N, C], key and value [B, M, C], weights [C, H·D], [C, H·D], [C, H·E], [H·E, C]."""

    query: Tensor
    key: Tensor
    value: Tensor
    query_weight: Tensor
    key_weight: Tensor
    value_weight: Tensor
    out_weight: Tensor
    num_heads: int
    attn_mask: Tensor | None
    is_causal: bool
    regimes: tuple[str, ...]

    def __repr__(self) -> str:
        sizes = f"B, N, C = {tuple(self.query.shape)}, M = {self.key.shape[1]}, H = {self.num_heads}, {self.query.dtype}"
        small = self.query.numel() + self.key.numel() <= 24
        numbers = {name: getattr(self, name).tolist() for name in ("query", "key", "value", "query_weight", "key_weight", "value_weight", "out_weight")}
        return f"HeadInputs({sizes}, drawn as {'/'.join(self.regimes)}{', ' + str(numbers) if small else ''})"

    @property
    def weights(self) -> tuple[Tensor, ...]:
        return self.query_weight, self.key_weight, self.value_weight, self.out_weight


def called(subject: Subject, x: HeadInputs) -> Tensor:
    output = subject.call(x.query, x.key, x.value, *x.weights, x.num_heads, attn_mask=x.attn_mask, is_causal=x.is_causal)
    expect_shape(output, tuple(x.query.shape), x.query.dtype)
    return output


@st.composite
def head_inputs(draw: st.DrawFn, subject: Implementation) -> HeadInputs:
    """Inputs inside the subject's limits; all sizes distinct where they may be."""
    limits = subject.limits
    heads = draw(st.sampled_from((1, 2, 3, 6)), label="heads")
    width = draw(st.sampled_from((1, 2, 3)), label="width")
    value_width = draw(st.sampled_from((1, 2, 4))) if limits.unequal_widths else width
    model = draw(st.sampled_from((1, 4, 5))) if limits.unequal_widths else heads * width
    batch, n, m = draw(st.sampled_from((1, 3))), draw(st.sampled_from((1, 2, 5))), draw(st.sampled_from((1, 3, 7)))
    dtype = getattr(torch, draw(st.sampled_from(limits.dtypes), label="dtype"))
    mask, regime = draw(st.sampled_from(MASKS), label="mask"), draw(st.sampled_from(("small integers", "normal")), label="numbers")
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**16), label="seed"))
    tensors = [numbers(shape, regime, random).to(dtype) for shape in ((batch, n, model), (batch, m, model), (batch, m, model))]
    shapes = ((model, heads * width), (model, heads * width), (model, heads * value_width), (heads * value_width, model))
    weights = [numbers(shape, regime, random).to(dtype) for shape in shapes]
    attn_mask = None
    if mask == "boolean":
        attn_mask = torch.rand((n, m), generator=random) < 0.6
        attn_mask[:, 0] = True
    elif mask == "per sequence":
        attn_mask = torch.rand((batch, n, m), generator=random) < 0.6
        attn_mask[..., 0] = True
    elif mask == "additive":
        attn_mask = numbers((n, m), "normal", random).to(dtype)
    regimes = (f"numbers: {regime}", f"mask: {mask}", f"heads: {heads}", f"dtype: {str(dtype).removeprefix('torch.')}")
    q, k, v = tensors
    w_q, w_k, w_v, w_o = weights
    return HeadInputs(
        query=q, key=k, value=v, query_weight=w_q, key_weight=w_k, value_weight=w_v, out_weight=w_o,
        num_heads=heads, attn_mask=attn_mask, is_causal=mask == "causal", regimes=regimes,
    )  # fmt: skip


def split(x: Array, heads: int) -> Array:
    """[B, N, H·D] → [B, H, N, D]."""
    parted: Array = x.reshape(*x.shape[:-1], heads, -1).swapaxes(1, 2)
    return parted


def projected(x: Tensor, weight: Tensor, heads: int, arithmetic: tolerance.Rounding) -> tuple[Array, Array]:
    """x W in float64 by heads, and a bound on how far the subject's projection (and this one) may be from it."""
    a, w = plain(x), plain(weight)
    width = a.shape[-1]
    off = (arithmetic.gamma(width) + 2.0**-53 * width / (1 - 2.0**-53 * width)) * (np.abs(a) @ np.abs(w)) + width * arithmetic.tiny
    return split(a @ w, heads), split(off, heads)


def bounded(subject: Subject, x: HeadInputs) -> tuple[Balls, Array]:
    """The true output [B, N, C] and the bound of each element: projections, attention under moved inputs, projection out."""
    subject.saw(x.regimes)
    arithmetic = subject.rounding(x.query.dtype)
    heads = x.num_heads
    (q, off_q), (k, off_k), (v, off_v) = (
        projected(t, w, heads, arithmetic) for t, w in ((x.query, x.query_weight), (x.key, x.key_weight), (x.value, x.value_weight))
    )
    b, h, n, m = q.shape[0], heads, q.shape[2], k.shape[2]
    visible, bias = np.ones((b, h, n, m), dtype=np.bool_), np.zeros((b, h, n, m))
    if x.attn_mask is not None:
        mask = x.attn_mask.unsqueeze(1) if x.attn_mask.dim() == 3 else x.attn_mask
        if mask.dtype == torch.bool:
            visible &= np.broadcast_to(mask.numpy(), visible.shape)
        else:
            bias = bias + plain(mask)
    if x.is_causal:
        visible &= np.tril(np.ones((n, m), dtype=np.bool_))
    posed = oracle.Problem(q=q, k=k, v=v, bias=bias, visible=visible, scale=oracle.true_scale(q.shape[-1], None))
    truth = oracle.attention(posed)
    scale = float(posed.scale.mid())
    moved = scale * (off_q @ np.abs(k).swapaxes(-1, -2) + np.abs(q) @ off_k.swapaxes(-1, -2) + off_q @ off_k.swapaxes(-1, -2))
    ahead = tolerance.forward(posed, truth, replace(arithmetic, u_out=arithmetic.u), (moved, off_v))
    joined = truth.output.hi.swapaxes(1, 2).reshape(b, n, -1)
    off = ahead.output.swapaxes(1, 2).reshape(b, n, -1)
    w = plain(x.out_weight)
    out = joined @ w
    counted = arithmetic.gamma(w.shape[0] + 1) + 2.0**-53 * (w.shape[0] + 1)
    limit = off @ np.abs(w) + counted * ((np.abs(joined) + off) @ np.abs(w)) + 2 * w.shape[0] * arithmetic.tiny  # a product and a sum each
    limit = tolerance.SLACK * (limit + arithmetic.u_out * (np.abs(out) + limit) + arithmetic.least_out)
    return Balls(out, np.zeros_like(out), np.zeros_like(out)), limit


@law("multi_head.concatenation-is-sum", on=Trait.MULTI_HEAD, draw=head_inputs)
def test_the_output_lies_within_the_bound(subject: Subject, x: HeadInputs) -> None:
    truth, bound = bounded(subject, x)
    subject.judge("output", called(subject, x), truth, bound, x)


@law("multi_head.concatenation-is-sum", on=Trait.MULTI_HEAD, draw=head_inputs)
def test_the_output_is_the_sum_of_what_single_heads_give(subject: Subject, x: HeadInputs) -> None:
    """Every head's part, from a call that zeroes the other heads' rows of the output projection, adds up to the whole."""
    truth, bound = bounded(subject, x)
    parts = [plain(called(subject, only(x, {head}))) for head in range(x.num_heads)]
    limits = [bounded(subject, only(x, {head}))[1] for head in range(x.num_heads)]
    error = np.abs(sum(parts) - truth.hi)
    subject.within("the sum over heads", error, sum(limits, bound) + 2.0**-50 * sum(map(np.abs, parts)), x)


@law("multi_head.removing-a-head", on=Trait.MULTI_HEAD, draw=head_inputs)
def test_a_head_without_output_rows_leaves_no_trace(subject: Subject, x: HeadInputs) -> None:
    """With its rows of W^O at zero, a head's projections may be anything."""
    subject.saw(x.regimes)
    for head in range(x.num_heads):
        kept = only(x, set(range(x.num_heads)) - {head})
        width = x.value_weight.shape[1] // x.num_heads
        other = x.value_weight.clone()
        other[:, head * width : (head + 1) * width] = 3
        changed = called(subject, replace(kept, value_weight=other))
        require(torch.equal(changed, called(subject, kept)), f"head {head} acts although its output rows are zero on {x}")


@law("multi_head.concatenation-is-sum", on=Trait.MULTI_HEAD, draw=head_inputs)
def test_reordering_the_heads_changes_nothing(subject: Subject, x: HeadInputs) -> None:
    truth, bound = bounded(subject, x)
    order = list(itertools.chain(range(1, x.num_heads), [0]))
    w_q, w_k, w_v = (torch.cat([w.chunk(x.num_heads, 1)[h] for h in order], 1) for w in x.weights[:3])
    w_o = torch.cat([x.out_weight.chunk(x.num_heads, 0)[h] for h in order], 0)
    turned = replace(x, query_weight=w_q, key_weight=w_k, value_weight=w_v, out_weight=w_o)
    subject.judge("output with the heads in another order", called(subject, turned), truth, bound, x)


def only(x: HeadInputs, heads: set[int]) -> HeadInputs:
    """The call with the output rows of all other heads set to zero."""
    blocks: list[Any] = [block if head in heads else torch.zeros_like(block) for head, block in enumerate(x.out_weight.chunk(x.num_heads, 0))]
    return replace(x, out_weight=torch.cat(blocks, 0))
