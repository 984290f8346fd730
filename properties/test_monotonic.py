"""Laws of monotonic attention: its mass, its order, what it is the expectation of. Weights are read off with the identity for values."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import torch
from flint import arb
from hypothesis.strategies import SearchStrategy
from torch import Tensor
from torch.nn.functional import pad

from impl.trait import Trait
from impl.variant import Implementation, Limits
from properties import posed
from properties.cases.monotonic import SURE, aligned, chunked, first_stops
from properties.inputs import numbers, plain
from properties.oracle import Array, Balls, _balls
from properties.posed import Place, Posed, any_case
from properties.request import Request
from properties.subject import Subject, require, same
from properties.tolerance import Rounding
from properties.tracked import Objects, Tracked, constant, contract, exact, gradients
from properties.verifies import law, needs

SMALL = ((1, 1), (1, 3), (2, 2), (2, 3), (3, 2), (1, 6), (6, 1))  # N, M with at most 2^6 outcomes of the draws
LONG = 40  # rows of the one law about long ones, where lengths as usual as USUAL are accepted
USUAL = Limits().max_length
_sigmoid = np.frompyfunc(lambda energy: 1 / (1 + (-energy).exp()), 1, 1)
_softplus = np.frompyfunc(lambda energy: energy.exp().log1p(), 1, 1)  # −log(1 − p)
_stopped = np.frompyfunc(lambda x: -(-x).expm1(), 1, 1)


def reading_weights(x: Posed) -> Posed:
    """The call with the identity for values: it returns its weights [B, H, N, M]."""
    (place,) = x.values
    b, h, m, _ = x[place].shape
    eye = torch.eye(m, dtype=x.cotangent.dtype).repeat(b, h, 1, 1)
    return x.with_tensors({place: eye}, cotangent=torch.zeros((*x.cotangent.shape[:-1], m), dtype=x.cotangent.dtype))


def before_the_values(x: Posed) -> range:
    """The places of the energies."""
    (place,) = x.values
    assert isinstance(place, int)
    return range(place)


def rows_of(x: Posed, rows: slice, **further: Tensor) -> Posed:
    """The call of some of its rows, with further keywords. (Its definition is still that of all.)"""
    energies: dict[Place, Tensor] = {place: x[place][:, :, rows] for place in before_the_values(x)}
    mask = {"attn_mask": x["attn_mask"][..., rows, :]} if "attn_mask" in x.keywords else {}
    return replace(x.with_tensors(energies, cotangent=x.cotangent[:, :, rows]), keywords=x.keywords | mask | further)


def energy_of(x: Posed, rounding: Rounding) -> Tracked:
    """The energies, with an additive mask added."""
    energy, mask = constant(plain(x[0]), rounding), x.keywords.get("attn_mask")
    if mask is None or mask.dtype == torch.bool:
        return energy
    added = np.broadcast_to(plain(mask), energy.shape)
    return energy + constant(np.where(np.isfinite(added), added, 0.0), rounding)


def seen_by(x: Posed) -> npt.NDArray[np.bool_]:
    """Where the scan may stop [B, H, N, M]."""
    assert x.visible is not None
    return x.visible


def chances(subject: Subject, x: Posed) -> tuple[Objects, Objects]:
    """p and 1 − p [B, H, N, M] as balls; 0 and 1 where the scan cannot stop."""
    energy, seen = energy_of(x, subject.rounding(x.cotangent.dtype)).true, seen_by(x)
    return np.where(seen, _sigmoid(energy), exact(np.zeros(()))), np.where(seen, _sigmoid(-energy), exact(np.ones(())))


def begins(x: Posed) -> Objects:
    """Where the first row's scan begins, as balls [B, H, M]: `previous`, or the first position."""
    b, h, _, m = x[0].shape
    given = x.keywords.get("previous")
    return exact(np.broadcast_to(np.arange(m) == 0, (b, h, m)).astype(np.float64) if given is None else plain(given))


def enclosed(true: Objects) -> Balls:
    return _balls(list(true.ravel()), true.shape)


@law("monotonic.mass", on=Trait.MONOTONIC, draw=any_case)
def test_a_row_s_mass_is_the_probability_of_not_passing_everything(subject: Subject, x: Posed) -> None:
    """Σ_j α_ij = Σ_k α_{i−1,k} (1 − Π_{l≥k} (1 − p_il)), without a word about single weights of the row. The product is that of logarithms, in balls."""
    subject.saw(x.regimes)
    weights = posed.truth(subject, reading_weights(x)).true
    before = np.concatenate((begins(x)[:, :, None], weights[:, :, :-1]), axis=2)[:, :, : weights.shape[2]]
    energy = energy_of(x, subject.rounding(x.cotangent.dtype)).true
    resistance = np.where(seen_by(x), _softplus(energy), exact(np.zeros(())))
    stopped = _stopped(np.add.accumulate(resistance[..., ::-1], axis=-1)[..., ::-1])
    mass = (before * stopped).sum(-1, keepdims=True) if weights.shape[-1] else exact(np.zeros((*weights.shape[:-1], 1)))
    ones = x.with_tensors({1: torch.ones_like(x[1][..., :1])}, cotangent=x.cotangent[..., :1])
    subject.judge("the sum of the weights", posed.output(subject, ones), enclosed(mass), posed.truth(subject, ones).bound(), ones)


@law("monotonic.prefix-mass", on=Trait.MONOTONIC, draw=any_case)
def test_no_prefix_of_positions_gains_mass(subject: Subject, x: Posed) -> None:
    """From row to row, as far as both rows' bounds can tell; sums are exact fractions."""
    subject.saw(x.regimes)
    x = reading_weights(x)
    bound = posed.truth(subject, x).bound()
    found = prefixes(plain(posed.output(subject, x)))
    gained = np.maximum(found[:, :, 1:] - found[:, :, :-1], 0).astype(np.float64)
    subject.within("mass that a prefix gains", gained, np.asarray((bound[:, :, 1:] + bound[:, :, :-1]).cumsum(-1)), x)


def prefixes(weights: Array) -> Objects:
    """Sums over the first positions, as fractions. Raises LawBroken for what is no number."""
    require(bool(np.isfinite(weights).all()), f"a weight is no finite number: {weights.tolist()}")
    fractions = np.array([Fraction(w) for w in weights.ravel().tolist()] or [Fraction(0)], dtype=object)[: weights.size].reshape(weights.shape)
    return np.asarray(np.add.accumulate(fractions, axis=-1))


def saturated(subject: Implementation) -> SearchStrategy[Posed]:
    """Calls in which every p is exactly 0 or 1."""

    def sure(x: Posed) -> Posed:
        return x.with_tensors({0: torch.where(x[0] > 0, SURE, -SURE).to(x[0].dtype)})

    return any_case(subject).map(sure)


@law("monotonic.saturated", on=Trait.MONOTONIC, draw=saturated)
def test_saturated_probabilities_give_the_hard_scan_bit_by_bit(subject: Subject, x: Posed) -> None:
    """Each weight of the step before moves to where a scan from its position stops. All weights are eighths, which no format rounds."""
    subject.saw(x.regimes)
    x = reading_weights(x)
    energy, row, rows = plain(x[0]), np.vectorize(float, otypes=[float])(begins(x)) if x[0].numel() else np.zeros(0), []
    for i in range(x[0].shape[2] if x[0].numel() else 0):
        places = [first_stops(energy[:, :, i : i + 1], seen_by(x)[:, :, i : i + 1], np.full(row.shape[:2], k))[:, :, 0] for k in range(row.shape[-1])]
        row = sum((row[..., k : k + 1] * (at[..., None] == np.arange(row.shape[-1])) for k, at in enumerate(places)), np.zeros(row.shape))
        rows.append(row)
    expected = torch.from_numpy(np.stack(rows, 2)).to(x.cotangent.dtype) if rows else torch.zeros_like(x.cotangent)
    found = posed.output(subject, x)
    require(same(found, expected), f"weights {found.tolist()}, the hard scan has {expected.tolist()}, on {x}")


@law("monotonic.online", on=Trait.MONOTONIC, draw=any_case)
def test_later_energies_do_not_reach_earlier_weights(subject: Subject, x: Posed) -> None:
    """Other energies from the middle on, in every row: the weights before it stay, to the last bit."""
    subject.saw(x.regimes)
    x = reading_weights(x)
    middle = x[0].shape[-1] // 2
    other = x[0].clone()
    other[..., middle:] = 1 - 2 * other[..., middle:]
    before, after = posed.output(subject, x), posed.output(subject, x.with_tensors({0: other}))
    require(same(before[..., :middle], after[..., :middle]), f"the first {middle} weights move when later energies do, on {x}")


@law("monotonic.recurrence", on=Trait.MONOTONIC, draw=any_case)
def test_rows_in_two_calls_are_the_rows_of_one(subject: Subject, x: Posed) -> None:
    """The last weights of the first call, rounded as they were returned, are handed over as `previous`."""
    x = reading_weights(x)
    cut, rounding = x[0].shape[2] // 2, subject.rounding(x.cotangent.dtype)
    if not cut:
        return
    subject.saw(x.regimes)
    first = posed.output(subject, rows_of(x, slice(cut)))
    second = rows_of(x, slice(cut, None), previous=first[:, :, -1].contiguous())
    whole = posed.truth(subject, x)
    handed = Tracked(true=whole.true[:, :, cut - 1], off=whole.bound()[:, :, cut - 1], rounding=rounding)
    weights = aligned(energy_of(second, rounding), seen_by(x)[:, :, cut:], handed)
    eye = constant(plain(x[1]), rounding)
    true = contract("bhnm,bhme->bhne", weights, eye)
    subject.judge("weights of the second call", posed.output(subject, second), true.balls(), true.bound(), second)


def chosen_outcomes(n: int, m: int) -> npt.NDArray[np.bool_]:
    """Every outcome of the draws z: [2^(N·M), N, M]."""
    return np.array(list(itertools.product((False, True), repeat=n * m))).reshape(-1, n, m)


@st.composite
def few_positions(draw: st.DrawFn, subject: Implementation) -> Posed:
    """One sequence whose draws can be enumerated, or a long one; without a mask."""
    n, m = draw(st.sampled_from(SMALL), label="N, M")
    return one_sequence(draw, subject, n, m, times=draw(st.sampled_from((1.0, 5.0)), label="energies times"))


def one_sequence(draw: st.DrawFn, subject: Implementation, n: int, m: int, times: float = 1.0, offset: float = 0.0) -> Posed:
    """Energies [1, 1, N, M], and the identity for values."""
    dtype = getattr(torch, draw(st.sampled_from(subject.limits.dtypes), label="dtype"))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**16), label="seed"))
    energy = (numbers((1, 1, n, m), draw(st.sampled_from(("normal", "small integers")), label="numbers"), random) * times + offset).to(dtype)
    start = torch.randint(0, m + 1, (1, 1, 8, 1), generator=random)
    previous = {"previous": ((start == torch.arange(m)).sum(-2) / 8).to(dtype)} if draw(st.booleans(), label="previous") else {}

    def define(t: Any) -> Tracked:
        return contract("bhnm,bhme->bhne", aligned(t[0], visible, t.get("previous")), t[1])

    visible = np.ones((1, 1, n, m), dtype=np.bool_)
    eye, cotangent = torch.eye(m, dtype=dtype)[None, None], torch.zeros(1, 1, n, m, dtype=dtype)
    regimes = (f"energies: × {times:g} + {offset:g}", f"dtype: {str(dtype).removeprefix('torch.')}")
    fields: dict[str, Any] = {"wanted": (0,), "values": (1,), "visible": visible, "regimes": regimes}
    return Posed(arguments=(energy, eye), keywords=dict(previous), define=define, cotangent=cotangent, **fields)


@law("monotonic.expectation", on=Trait.MONOTONIC, draw=few_positions)
def test_the_weights_are_the_mean_over_every_outcome_of_the_draws(subject: Subject, x: Posed) -> None:
    """Every outcome of all N · M draws, with its probability, and every position where the first scan may begin."""
    subject.saw(x.regimes)
    (p, go), (_, _, n, m) = (part[0, 0] for part in chances(subject, x)), x[0].shape
    mean = exact(np.zeros((n, m)))
    draws = chosen_outcomes(n, m)
    for k, begun in enumerate(begins(x)[0, 0]):
        stops = first_stops(np.where(draws, 1.0, -1.0)[:, None], np.ones((len(draws), 1, n, m)), np.full((len(draws), 1), k))[:, 0]
        for z, at in zip(draws, stops, strict=True):
            chance = np.multiply.reduce(np.where(z, p, go).ravel()) * begun
            mean = mean + (at[:, None] == np.arange(m)) * chance
    subject.judge("weights", posed.output(subject, x), enclosed(mean[None, None]), posed.truth(subject, x).bound(), x)


@st.composite
def long_rows(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Rows along which the product of 1 − p falls below every format's smallest number, or hardly at all."""
    times, offset = draw(st.sampled_from(((1.0, 0.0), (3.0, 4.0), (1.0, 8.0), (1.0, -6.0), (10.0, 0.0))), label="energies")
    return one_sequence(draw, subject, 2, LONG if subject.limits.max_length >= USUAL else subject.limits.max_length, times, offset)


@law("monotonic.recurrence-in-floats", on=Trait.MONOTONIC, draw=long_rows)
def test_long_rows_stay_within_their_bound(subject: Subject, x: Posed) -> None:
    posed.judge_output(subject, x)


@law("monotonic.gradient", on=Trait.MONOTONIC, draw=long_rows, lacking=needs("gradient"))
def test_the_mass_grows_with_every_energy_by_a_closed_form(subject: Subject, x: Posed) -> None:
    """d mass / d e_l = p_l (1 − p_l) times what comes to l times what passes everything after l, in the first row: 0 nowhere on paper."""
    subject.saw(x.regimes)
    ones = x.with_tensors({1: torch.ones_like(x[1][..., :1])}, cotangent=(torch.arange(x[0].shape[2]) == 0).to(x[0].dtype)[None, None, :, None])
    p, go = (part[0, 0, 0] for part in chances(subject, x))
    come, behind = arb(0), [*np.multiply.accumulate(go[::-1])[::-1][1:], arb(1)]
    slope = exact(np.zeros(x[0].shape))
    for place, start in enumerate(begins(x)[0, 0]):
        come = come + start
        slope[0, 0, 0, place] = p[place] * go[place] * come * behind[place]
        come = go[place] * come
    rounding = subject.rounding(x[0].dtype)
    leaves = ones.leaves(rounding)
    (bound,) = gradients(ones.define(leaves), constant(plain(ones.cotangent), rounding), [leaves[0]])
    (found,) = subject.answered(Request(arguments=ones.arguments, keywords=ones.keywords, cotangent=ones.cotangent, wanted=(0,)), 1)
    subject.judge("gradient of the mass", found, enclosed(slope), bound.bound(), ones)


@st.composite
def padded(draw: st.DrawFn, subject: Implementation) -> tuple[Posed, int, int]:
    """A call without a mask, and how many positions to add on the left and on the right."""
    bare = replace(subject, limits=replace(subject.limits, masks=()))
    return draw(any_case(bare)), draw(st.sampled_from((0, 1, 3)), label="left"), draw(st.sampled_from((0, 2)), label="right")


def widened(x: Posed, left: int, right: int) -> Posed:
    """The call with hidden positions on both sides, whose energies and values are anything; `previous` is 0 there."""
    energies: dict[Place, Tensor] = {place: pad(x[place], (left, right), value=3.0) for place in before_the_values(x)}
    seen = pad(torch.ones_like(x[0], dtype=torch.bool), (left, right), value=False)
    changed = {place: pad(x[place], (0, 0, left, right), value=-7.0) for place in x.values} | energies
    previous = {"previous": pad(x["previous"], (left, right))} if "previous" in x.keywords else {}
    return replace(x.with_tensors(changed), keywords=x.keywords | previous | {"attn_mask": seen}, visible=seen.numpy())


@law("masks.hidden-key-has-no-influence", on=Trait.MONOTONIC, draw=padded, lacking=needs("boolean mask"))
def test_padding_on_either_side_changes_nothing(subject: Subject, x: tuple[Posed, int, int]) -> None:
    """Hidden positions in front of the first and behind the last; the bound is that of the longer rows."""
    call, left, right = x
    wide, rounding = widened(call, left, right), subject.rounding(call.cotangent.dtype)
    subject.saw((*call.regimes, f"padding: {left} left, {right} right"))
    leaves = wide.leaves(rounding)
    longer = contract("bhnm,bhme->bhne", aligned(leaves[0], seen_by(wide), leaves.get("previous")), leaves[1])
    subject.judge("output beside padding", posed.output(subject, wide), posed.truth(subject, call).balls(), longer.bound(), wide)


@law("masks.hidden-key-has-no-influence", on=Trait.CHUNKWISE_MONOTONIC, draw=padded, lacking=needs("boolean mask"))
def test_padding_on_either_side_changes_no_chunk(subject: Subject, x: tuple[Posed, int, int]) -> None:
    call, left, right = x
    wide, rounding = widened(call, left, right), subject.rounding(call.cotangent.dtype)
    subject.saw((*call.regimes, f"padding: {left} left, {right} right"))
    leaves = wide.leaves(rounding)
    shares, members = chunked(leaves[1], seen_by(wide), min(call[3], max(wide[0].shape[-1], 1)))
    stops = aligned(leaves[0], seen_by(wide), leaves.get("previous"))
    longer = contract("bhnk,bhnkw,bhkwe->bhne", stops, shares, leaves[2][:, :, members])
    subject.judge("output beside padding", posed.output(subject, wide), posed.truth(subject, call).balls(), longer.bound(), wide)


@law("monotonic.chunkwise-mass", on=Trait.CHUNKWISE_MONOTONIC, draw=any_case)
def test_chunks_keep_the_mass_of_the_monotonic_weights(subject: Subject, x: Posed) -> None:
    """Σ_j β_ij = Σ_k α_ik, whatever the chunk energies."""
    subject.saw(x.regimes)
    ones = x.with_tensors({2: torch.ones_like(x[2][..., :1])}, cotangent=x.cotangent[..., :1])
    stops = stopping(subject, x)
    mass = stops.sum(-1, keepdims=True) if stops.shape[-1] else exact(np.zeros((*stops.shape[:-1], 1)))
    subject.judge("the sum of the weights", posed.output(subject, ones), enclosed(np.asarray(mass)), posed.truth(subject, ones).bound(), ones)


def stopping(subject: Subject, x: Posed) -> Objects:
    """The monotonic weights α [B, H, N, M] of a chunkwise call."""
    leaves = x.leaves(subject.rounding(x.cotangent.dtype))
    return aligned(leaves[0], seen_by(x), leaves.get("previous")).true


@law("monotonic.chunkwise-mass", on=Trait.CHUNKWISE_MONOTONIC, draw=any_case)
def test_chunks_of_one_position_are_monotonic_attention(subject: Subject, x: Posed) -> None:
    """A softmax over one position is 1: the weights are α, to within the bound of the chunkwise weights."""
    subject.saw(x.regimes)
    x = reading_weights(x)
    x = replace(x, arguments=(*x.arguments[:3], 1))
    leaves = x.leaves(subject.rounding(x.cotangent.dtype))
    shares, members = chunked(leaves[1], seen_by(x), 1)
    defined = contract("bhnk,bhnkw,bhkwe->bhne", aligned(leaves[0], seen_by(x), leaves.get("previous")), shares, leaves[2][:, :, members])
    subject.judge("weights of width 1", posed.output(subject, x), enclosed(stopping(subject, x)), defined.bound(), x)


@law("monotonic.online", on=Trait.CHUNKWISE_MONOTONIC, draw=any_case)
def test_what_lies_beyond_a_position_s_chunks_does_not_reach_it(subject: Subject, x: Posed) -> None:
    """Other energies of both kinds from the middle on: weights of positions whose chunks all end before it stay, to the last bit."""
    subject.saw(x.regimes)
    x = reading_weights(x)
    middle = x[0].shape[-1] // 2
    kept = max(middle - x[3] + 1, 0)
    other: dict[Place, Tensor] = {place: torch.cat((x[place][..., :middle], 1 - 2 * x[place][..., middle:]), dim=-1) for place in (0, 1)}
    before, after = posed.output(subject, x), posed.output(subject, x.with_tensors(other))
    require(same(before[..., :kept], after[..., :kept]), f"the first {kept} weights move when energies from {middle} on do, on {x}")


@law("monotonic.one-position", on=Trait.HARD_MONOTONIC, draw=any_case)
def test_each_step_takes_one_position_or_none_and_never_an_earlier_one(subject: Subject, x: Posed) -> None:
    """With the identity for values: rows of zeros but for at most one 1, and where the 1 stands never decreases; after a row of zeros nothing is taken."""
    subject.saw(x.regimes)
    x = reading_weights(x)
    found = posed.output(subject, x)
    taken = found.sum(-1)
    require(bool(((found == 0) | (found == 1)).all() and (taken <= 1).all()), f"weights {found.tolist()}, on {x}")
    at = torch.where(taken == 1, (found * torch.arange(found.shape[-1])).sum(-1), found.shape[-1])
    require(bool((at[..., 1:] >= at[..., :-1]).all()), f"positions {at.tolist()} step back, on {x}")


@law("monotonic.saturated", on=Trait.HARD_MONOTONIC, draw=any_case)
def test_each_output_is_a_value_bit_by_bit_or_zero(subject: Subject, x: Posed) -> None:
    """The value at the first energy above 0 that is not hidden, from where the step before stopped."""
    subject.saw(x.regimes)
    (b, h, _, m), start = x[0].shape, x.keywords.get("start")
    energy = energy_of(x, subject.rounding(x.cotangent.dtype)).middle
    at = torch.from_numpy(first_stops(energy, seen_by(x), np.zeros((b, h), dtype=int) if start is None else start.numpy()))
    expected = torch.take_along_dim(pad(x[1], (0, 0, 0, 1)), at[..., None], dim=2)
    found = posed.output(subject, x)
    require(same(found, expected), f"output {found.tolist()}, the values are {expected.tolist()} (positions {at.tolist()} of {m}), on {x}")


@law("monotonic.prefix-mass", on=Trait.HARD_MONOTONIC, draw=any_case)
def test_steps_in_two_calls_are_the_steps_of_one(subject: Subject, x: Posed) -> None:
    """The position of the first call's last step is handed over as `start`, M where it took none."""
    x = reading_weights(x)
    cut = x[0].shape[2] // 2
    if not cut:
        return
    subject.saw(x.regimes)
    whole, first = posed.output(subject, x), posed.output(subject, rows_of(x, slice(cut)))
    last, m = first[:, :, -1], first.shape[-1]
    at = torch.where(last.sum(-1) == 1, (last * torch.arange(m)).sum(-1), m).long()
    second = posed.output(subject, rows_of(x, slice(cut, None), start=at))
    require(same(torch.cat((first, second), dim=2), whole), f"{first.tolist()} and {second.tolist()} in two calls, {whole.tolist()} in one, on {x}")


@st.composite
def every_outcome(draw: st.DrawFn, subject: Implementation) -> tuple[Posed, npt.NDArray[np.bool_], list[Fraction]]:
    """A batch of all outcomes of N · M draws as energies of either sign, and a probability for each draw."""
    n, m = draw(st.sampled_from(SMALL), label="N, M")
    dtype = getattr(torch, draw(st.sampled_from(subject.limits.dtypes), label="dtype"))
    chances = [Fraction(draw(st.integers(0, 8), label="eighths"), 8) for _ in range(n * m)]
    draws = chosen_outcomes(n, m)
    energy = torch.from_numpy(np.where(draws, 1.0, -1.0))[:, None].to(dtype)
    x = Posed(
        arguments=(energy, torch.eye(m, dtype=dtype).repeat(len(draws), 1, 1, 1)),
        keywords={},
        define=lambda t: t[1],
        cotangent=torch.zeros(len(draws), 1, n, m, dtype=dtype),
        wanted=(1,),
        regimes=(f"dtype: {str(dtype).removeprefix('torch.')}", f"outcomes: {len(draws)}"),
    )
    return x, draws, chances


@law("monotonic.expectation", on=Trait.HARD_MONOTONIC, draw=every_outcome)
def test_the_mean_over_every_outcome_is_the_expected_alignment(subject: Subject, x: tuple[Posed, npt.NDArray[np.bool_], list[Fraction]]) -> None:
    """In fractions: the outputs weighted with the outcomes' probabilities against α_ij = p_ij Σ_k α_{i−1,k} Π_l (1 − p_il)."""
    call, draws, chances = x
    subject.saw(call.regimes)
    _, n, m = draws.shape
    found = plain(posed.output(subject, call))[:, 0]
    mean = [[Fraction(0)] * m for _ in range(n)]
    for z, output in zip(draws, found, strict=True):
        chance = product(p if bit else 1 - p for bit, p in zip(z.ravel(), chances, strict=True))
        mean = [[total + chance * Fraction(w) for total, w in zip(row, weights, strict=True)] for row, weights in zip(mean, output.tolist(), strict=True)]
    before, expected = [Fraction(int(k == 0)) for k in range(m)], []
    for i in range(n):
        p = chances[i * m : (i + 1) * m]
        before = [p[j] * sum((before[k] * product(1 - q for q in p[k:j]) for k in range(j + 1)), Fraction(0)) for j in range(m)]
        expected.append(before)
    require(mean == expected, f"mean {mean}, expected alignment {expected}, for p = {chances} on {n} × {m}")


def product(factors: Any) -> Fraction:
    result = Fraction(1)
    for factor in factors:
        result *= factor
    return result
