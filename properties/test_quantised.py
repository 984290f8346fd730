"""Laws of attention that keeps less of its numbers: scores in whole numbers of few bits, in signs, and weights of which the small ones are dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import torch
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.cases.int8 import Quantised, quantised, to_the_nearest, unchanged, within_half_a_step
from properties.cases.pruned import Pruned, drawn
from properties.inputs import plain
from properties.oracle import Array, Balls
from properties.posed import Place, Posed, any_case
from properties.simplex import factor
from properties.subject import Subject, require, same
from properties.tolerance import SLACK
from properties.tracked import Tracked, contract, rounded, softmax
from properties.verifies import law, needs, needs_repeats


def numbers(values: Array) -> Balls:
    """Exact float64 numbers."""
    return Balls(values, np.zeros_like(values), np.zeros_like(values))


# ------------------------------------------------------------------------------------------------------------------- whole numbers of few bits


@st.composite
def on_the_grid(draw: st.DrawFn, subject: Implementation) -> Quantised:
    return draw(quantised(subject, ("on the grid",)))


@law("compression.int8-rounding", on=Trait.QUANTISED, draw=on_the_grid)
def test_rows_on_the_grid_lose_nothing(subject: Subject, call: Quantised) -> None:
    """Whole numbers times a power of 2, the largest of a row being that of the bits, are their own quantisation: the output is that of softmax attention."""
    posed.judge_output(subject, call.posed(unchanged))


@law("compression.int8-scores", "compression.int8-error", on=Trait.QUANTISED, draw=quantised)
def test_scores_are_off_by_half_a_step_of_each_factor_at_most(subject: Subject, call: Quantised) -> None:
    """With x̂ within Δ / 2 of x, a product of rows is off by Σ (|q| Δ_k + |k| Δ_q + Δ_q Δ_k / 2) / 2, and the output by what softmax makes of that."""
    posed.judge_output(subject, call.posed(within_half_a_step), "output beside that of exact attention")


def mass_bound(subject: Subject, x: Posed) -> Array:
    """By how much the weights of a row may miss the sum 1, whatever the scores: numerator and denominator are sums of the same M numbers, each rescaled once a
    tile, and a quotient; what vanishes is less than the smallest normal number each, beside a largest one of e^−stabiliser. Weights that are never divided
    by their sum promise nothing here."""
    a, keys = subject.rounding(x.cotangent.dtype), x[1].shape[2]
    off = a.gamma(2 * keys + 4 * a.merges(keys) + a.declared.detours + 2) + (keys + 2) * a.tiny * np.exp(2 * a.declared.stabiliser)
    off = off + a.u_weights * (1 + off) + keys * a.least_weights
    off = np.inf if a.declared.normalise == "log-sum-exp" else off
    return np.full(x.cotangent.shape, SLACK * (off + a.u_out * (1 + off)))


def judge_mass(subject: Subject, x: Posed) -> None:
    assert x.visible is not None
    subject.saw(x.regimes)
    ones = x.with_tensors({2: torch.ones_like(x[2])})
    alive = np.broadcast_to(x.visible.any(-1, keepdims=True), x.cotangent.shape).astype(np.float64)
    subject.judge("the sum of the weights", posed.output(subject, ones), numbers(alive), mass_bound(subject, ones), ones)


@law("convexity.output-in-the-hull", on=Trait.QUANTISED, draw=any_case)
def test_weights_of_quantised_scores_sum_to_one(subject: Subject, x: Posed) -> None:
    """To rounding alone, however coarse the scores: the weights themselves are not quantised, or their sum is that of what is kept of them."""
    judge_mass(subject, x)


@law("convexity.output-in-the-hull", on=Trait.BINARY, draw=any_case)
def test_weights_of_binary_scores_sum_to_one(subject: Subject, x: Posed) -> None:
    judge_mass(subject, x)


@law("compression.int8-rounding", on=Trait.QUANTISED, draw=quantised, off=needs_repeats)
def test_a_power_of_two_moves_from_queries_to_keys(subject: Subject, call: Quantised) -> None:
    """Whole numbers are those of the unscaled rows, and steps pass every product: rows of size 1e-3 and 1e3 are quantised as well as rows of size 1."""
    whole = [(x * 4).round().clamp(-32, 32) for x in call.tensors[:2]]
    x = replace(call, tensors=(whole[0], whole[1], call.tensors[2])).posed(unchanged)
    subject.saw(x.regimes)
    before = posed.output(subject, x)
    for power in (-10, 6):
        moved = x.with_tensors({0: x[0] * 2.0**power, 1: x[1] * 2.0**-power})
        after = posed.output(subject, moved)
        require(same(before, after), f"{before.tolist()}, and {after.tolist()} with queries times 2^{power} and keys times 2^{-power}, on {x}")


@law("masks.hidden-key-has-no-influence", on=Trait.QUANTISED, draw=any_case, off=needs_repeats)
def test_a_loud_query_leaves_the_other_rows_bit_by_bit(subject: Subject, x: Posed) -> None:
    """No step is shared between rows."""
    if x[0].shape[2] < 2:
        return
    subject.saw(x.regimes)
    before = posed.output(subject, x)
    after = posed.output(subject, x.with_tensors({0: louder(x[0], slice(0, 1))}))
    require(same(before[:, :, 1:], after[:, :, 1:]), f"rows {before[:, :, 1:].tolist()}, then {after[:, :, 1:].tolist()} with a loud first one, on {x}")


def louder(x: Tensor, rows: slice) -> Tensor:
    """With these rows 1000 times as large, as far as the dtype reaches, in the same layout."""
    other = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype).copy_(x)
    most = torch.finfo(x.dtype).max / 2
    other[:, :, rows] = (x[:, :, rows].double() * 1000).clamp(-most, most).to(x.dtype)
    return other


@st.composite
def causal(draw: st.DrawFn, subject: Implementation) -> tuple[Posed, int]:
    """A causal call without another mask, and the first of the keys that are loud."""
    call = draw(quantised(replace(subject, limits=replace(subject.limits, masks=("none",)))))
    visible = np.broadcast_to(np.tril(np.ones((call.sizes.n, call.sizes.m), dtype=np.bool_)), call.mask.visible.shape)
    mask = replace(call.mask, keywords={"is_causal": True}, visible=visible, regime="mask: causal")
    return replace(call, mask=mask).posed(within_half_a_step), draw(st.integers(1, max(call.sizes.m - 1, 1)), label="cut")


@law("masks.hidden-key-has-no-influence", on=Trait.QUANTISED, draw=causal, lacking=needs("causal option"), off=needs_repeats)
def test_later_keys_do_not_act_through_a_scale(subject: Subject, drawn: tuple[Posed, int]) -> None:
    """Keys and values from a cut on, anywhere in a tile, times 1000: the rows before it do not move, to the last bit."""
    x, cut = drawn
    subject.saw(x.regimes)
    before = posed.output(subject, x)
    after = posed.output(subject, x.with_tensors({1: louder(x[1], slice(cut, None)), 2: louder(x[2], slice(cut, None))}))
    require(same(before[:, :, :cut], after[:, :, :cut]), f"rows before {cut} move from {before.tolist()} to {after.tolist()} with louder keys, on {x}")


@st.composite
def bits_apart(draw: st.DrawFn, subject: Implementation) -> Quantised:
    """Each head with its own number of bits."""
    call = draw(quantised(subject))
    return replace(call, bits=[draw(st.integers(2, 8), label="bits") for _ in range(call.sizes.h)])


@law("compression.heads-add", on=Trait.QUANTISED, draw=bits_apart)
def test_a_head_has_its_own_number_of_bits(subject: Subject, call: Quantised) -> None:
    """Each head returns what it would if all heads had its bits: neither steps nor levels of another head act on it."""
    assert not isinstance(call.bits, int)
    x = call.posed(to_the_nearest)
    subject.saw(x.regimes)
    output = posed.output(subject, x)
    for head, bits in enumerate(call.bits):
        true = posed.truth(subject, replace(call, bits=bits).posed(to_the_nearest))
        balls = true.balls()
        own = Balls(*(part[:, head] for part in (balls.hi, balls.lo, balls.radius)))
        subject.judge(f"head of {bits} bits", output[:, head], own, true.bound()[:, head], x)


# ------------------------------------------------------------------------------------------------------------------------------------- signs


@st.composite
def without_zeros(draw: st.DrawFn, subject: Implementation) -> Posed:
    x = draw(any_case(subject))
    return x.with_tensors({place: torch.where(x[place] == 0, torch.ones_like(x[place]), x[place]) for place in (0, 1)})


@st.composite
def of_one_size(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Features of one size a row, ± a power of 2."""
    x = draw(without_zeros(subject))
    power = [torch.arange(x[place].shape[2]).remainder(4).sub(2)[:, None] for place in (0, 1)]
    alike: dict[Place, Tensor] = {place: (x[place].sign() * 2.0 ** power[place]).to(x[place].dtype) for place in (0, 1)}
    return x.with_tensors(alike)


@law("compression.binary-scores", on=Trait.BINARY, draw=of_one_size)
def test_rows_of_one_size_are_their_own_binary_form(subject: Subject, x: Posed) -> None:
    """x = mean|x| · σ(x) where all features of a row have one size: the output is that of softmax attention."""

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        factors = (rounded(t[place].true, t[place].rounding.gamma(t[place].shape[-1] + 4) * t[place].size, t[place].rounding) for place in (0, 1))
        scores = contract("bhnd,bhmd->bhnm", *factors) * factor(x.keywords.get("scale"), x[0].shape[-1], t[0].rounding)
        mask = x.keywords.get("attn_mask")
        if mask is not None and mask.is_floating_point():
            scores = scores + t["attn_mask"].where(np.isfinite(t["attn_mask"].middle))
        return contract("bhnm,bhme->bhne", softmax(scores, x.visible), t[2])

    posed.judge_output(subject, replace(x, define=define))


@law("compression.binary-scores", on=Trait.BINARY, draw=without_zeros, off=needs_repeats)
def test_a_feature_turned_over_in_queries_and_keys_changes_nothing(subject: Subject, x: Posed) -> None:
    """To the last bit: of a feature only whether its two signs agree counts, and the sizes are unmoved."""
    subject.saw(x.regimes)
    turned: dict[Place, Tensor] = {}
    for place in (0, 1):
        turned[place] = torch.empty_strided(x[place].shape, x[place].stride(), dtype=x[place].dtype).copy_(x[place])
        turned[place][..., -1:] *= -1
    before, after = posed.output(subject, x), posed.output(subject, x.with_tensors(turned))
    require(same(before, after), f"{before.tolist()}, and {after.tolist()} with the last feature turned over, on {x}")


@law("compression.binary-scores", on=Trait.BINARY, draw=without_zeros)
def test_sizes_act_through_their_mean_alone(subject: Subject, x: Posed) -> None:
    """Each row's sizes go to other features, the signs stay."""
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    moved = x.with_tensors({place: x[place].abs().roll(1, -1) * x[place].sign() for place in (0, 1)})
    subject.judge("output with sizes at other features", posed.output(subject, moved), true.balls(), true.bound(), moved)


# ----------------------------------------------------------------------------------------------------------------------------------- dropped keys


@st.composite
def of_all_heads(draw: st.DrawFn, subject: Implementation) -> Pruned:
    return draw(drawn(subject, heads=False))


def identity(x: Posed) -> Posed:
    """The call whose output is the weights: the values are the unit vectors."""
    b, h, m, _ = x[1].shape
    eye = torch.eye(m, dtype=x[2].dtype).expand(b, h, m, m).clone()
    return x.with_tensors({2: eye}, cotangent=torch.zeros(*x.cotangent.shape[:-1], m, dtype=x.cotangent.dtype))


@law("convexity.pruned-mass", "compression.pruned-keys", on=Trait.PRUNED, draw=of_all_heads)
def test_dropping_a_mass_moves_the_output_by_no_more_of_the_values_extent(subject: Subject, call: Pruned) -> None:
    """|o − o'| ≤ ε (max v − min v) along each coordinate, where ε is what softmax gives to the keys that are dropped."""
    x = call.posed()
    subject.saw(x.regimes)
    t = x.leaves(subject.rounding(x.cotangent.dtype))
    scores, visible = call.scored.scores(t), call.scored.mask.visible
    kept, _ = call.kept(scores, visible)
    weights = softmax(scores, np.broadcast_to(visible, scores.shape))
    lost = np.where(kept, 0, weights.middle).sum(-1, keepdims=True)
    values = np.where(visible[..., None], plain(x[2])[:, :, None], np.nan)  # [B, H, N, M, E]
    alive = np.asarray(visible.any(-1))[..., None]
    extent = np.where(alive, span(np.where(alive[..., None], values, 0)), 0)
    dense = contract("bhnm,bhme->bhne", weights, t[2])
    bound = SLACK * lost * extent + x.define(t).bound()
    subject.judge("output beside that of all keys", posed.output(subject, x), dense.balls(), bound, x)


def span(values: Array) -> Array:
    """max − min over the keys that are numbers [..., M, E] → [..., E]."""
    if not values.shape[-2]:
        return np.zeros((*values.shape[:-2], values.shape[-1]))
    found: Array = np.nanmax(values, -2) - np.nanmin(values, -2)
    return found


@law("compression.smallest-mass", on=Trait.PRUNED, draw=of_all_heads)
def test_the_best_keys_are_kept_and_no_others(subject: Subject, call: Pruned) -> None:
    """Exactly as many weights as `top_k` and `threshold` leave are above 0, wherever no rounding can move the cut; they sum to 1."""
    x = identity(call.posed())
    subject.saw(x.regimes)
    t = x.leaves(subject.rounding(x.cotangent.dtype))
    kept, doubtful = call.kept(call.scored.scores(t), call.scored.mask.visible)
    weights, true = plain(posed.output(subject, x)), x.define(t)
    sure = np.broadcast_to(~doubtful, kept.shape)
    large = true.middle > 4 * torch.finfo(x.cotangent.dtype).tiny
    wrong = sure & ((~kept & (weights != 0)) | (kept & large & (weights <= 0)))
    require(not wrong.any(), f"weights {weights.tolist()} where {kept.tolist()} should be kept, on {x}")
    ones = x.with_tensors({2: torch.ones_like(x[2])})
    alive = np.broadcast_to(call.scored.mask.visible.any(-1, keepdims=True), x.cotangent.shape).astype(np.float64)
    subject.judge("the sum of the weights", posed.output(subject, ones), numbers(alive), mass_bound(subject, ones), ones)


@law("compression.pruned-keys", on=Trait.PRUNED, draw=of_all_heads, off=needs_repeats)
def test_a_dropped_key_has_no_influence_by_its_value(subject: Subject, call: Pruned) -> None:
    x = call.posed()
    t = x.leaves(subject.rounding(x.cotangent.dtype))
    kept, doubtful = call.kept(call.scored.scores(t), call.scored.mask.visible)
    dropped = ~kept & ~doubtful
    if not dropped.any():
        return
    subject.saw(x.regimes)
    key = int(dropped.mean((0, 1, 2)).argmax())
    other = torch.empty_strided(x[2].shape, x[2].stride(), dtype=x[2].dtype).copy_(x[2])
    other.select(2, key).mul_(-3).add_(1000)
    before, after = posed.output(subject, x), posed.output(subject, x.with_tensors({2: other}))
    rows = torch.from_numpy(np.ascontiguousarray(dropped[..., key]))
    require(same(before[rows], after[rows]), f"rows that drop key {key} move from {before[rows].tolist()} to {after[rows].tolist()} with its value, on {x}")


@st.composite
def with_a_head_off(draw: st.DrawFn, subject: Implementation) -> Pruned:
    call = draw(drawn(subject))
    off = draw(st.integers(0, call.scored.sizes.h - 1), label="off")
    return replace(call, heads=tuple(head != off and (call.heads is None or call.heads[head]) for head in range(call.scored.sizes.h)))


@law("multi_head.removing-a-head", on=Trait.PRUNED, draw=with_a_head_off)
def test_a_head_that_is_off_is_zero_whatever_it_holds(subject: Subject, call: Pruned) -> None:
    """NaN in its queries, keys and values reaches nothing; the other heads follow the definition."""
    x = call.posed()
    assert call.heads is not None
    subject.saw(x.regimes)
    true, off = posed.truth(subject, x), ~torch.tensor(call.heads)
    spoilt: dict[Place, Tensor] = {}
    for place in (0, 1, 2):
        spoilt[place] = torch.empty_strided(x[place].shape, x[place].stride(), dtype=x[place].dtype).copy_(x[place])
        spoilt[place][:, off] = torch.nan
    found = posed.output(subject, x.with_tensors(spoilt))
    require(bool((found[:, off] == 0).all()), f"heads that are off return {found[:, off].tolist()} on {x}")
    subject.judge("the other heads", found, true.balls(), true.bound(), x)
