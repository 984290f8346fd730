"""Laws of sparse patterns: what a row sees, what it does not, what rows see through several calls, and what a row needs to be computed alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.cases.patterns import Patterned, patterned
from properties.inputs import plain
from properties.oracle import Array, Balls
from properties.posed import Posed
from properties.posing import Masking
from properties.request import Request
from properties.subject import Subject, expect_shape, require, same
from properties.verifies import law, needs, needs_repeats

Support = npt.NDArray[np.bool_]
LEVEL = 1e-9  # joint chance of a false alarm in one example of a law about draws


def identity(p: Patterned) -> Tensor:
    """Values [B, H, M, M] whose output is the weights; widths are not 0."""
    return torch.eye(p.s.m, max(p.s.m, 1), dtype=p.s.dtype).expand(p.s.b, p.s.h, -1, -1).contiguous()


def reading(p: Patterned) -> Posed:
    """The call whose output is the weights."""
    return p.posed().with_tensors({2: identity(p)}, cotangent=torch.zeros(p.s.b, p.s.h, p.s.n, max(p.s.m, 1), dtype=p.s.dtype))


def narrow(implementation: Implementation) -> str | None:
    return None if implementation.limits.unequal_widths else "takes no values of another width than that of the keys"


@law("sparsity.support", on=Trait.PATTERN, draw=partial(patterned, moderate=True), lacking=narrow)
def test_the_support_of_the_weights_is_the_pattern_row_by_row(subject: Subject, p: Patterned) -> None:
    """Exactly 0 outside, above 0 inside wherever the bound leaves no other choice; the ends of the sequence included."""
    x = reading(p)
    subject.saw(x.regimes)
    weights, true = posed.output(subject, x), posed.truth(subject, x)
    found, inside = plain(weights)[..., : p.s.m], p.visible
    require(not found[~inside].any(), f"weights {weights.tolist()} where {inside.tolist()} is what rows see, on {x}")
    sure = (true.middle - true.bound())[..., : p.s.m] > 0
    require(bool((found > 0)[inside & sure].all()), f"weights {weights.tolist()}: a key of {inside.tolist()} has none, on {x}")
    subject.judge("weights", weights, true.balls(), true.bound(), x)


def wide_open(implementation: Implementation) -> str | None:
    return "hides something of every sequence above a length of 3" if implementation.variant.name == "dilated" else None


def unmasked(implementation: Implementation) -> str | None:
    return wide_open(implementation) or needs("boolean mask")(implementation)


@law("sparsity.sparse-is-masked-dense", on=Trait.PATTERN, draw=patterned, lacking=wide_open)
def test_a_pattern_that_hides_nothing_is_full_attention(subject: Subject, p: Patterned) -> None:
    """A window as long as the sequence, a stride of 1, one block, a layout of ones, lists of all keys."""
    assert p.pattern.whole is not None
    posed.judge_output(subject, p.called(p.pattern.whole, p.beside), "output of a pattern that hides nothing")


@law("sparsity.sparse-is-masked-dense", on=Trait.PATTERN, draw=partial(patterned, masks=False), lacking=unmasked)
def test_sparse_attention_is_full_attention_under_the_mask_of_the_pattern(subject: Subject, p: Patterned) -> None:
    """The same numbers by a pattern that hides nothing and a boolean mask: both within the bounds of one true value."""
    assert p.pattern.whole is not None
    keep = torch.from_numpy(p.shown)
    dense = replace(p, mask=Masking(keywords={"attn_mask": keep}, visible=p.visible, graded=False, regime="mask: the pattern"))
    x, y = p.posed(), dense.called(p.pattern.whole, p.visible)
    true = posed.truth(subject, x)
    subject.saw(x.regimes)
    subject.judge("output by the pattern", posed.output(subject, x), true.balls(), true.bound(), x)
    subject.judge("output by the mask", posed.output(subject, y), true.balls(), true.bound(), y)


def huge(subject: Subject, dtype: torch.dtype) -> float:
    """Finite in every format, and so are its scores, but in a half precision that adds up in itself."""
    if subject.implementation.arithmetic.accumulate == "input":
        return 30.0
    return 3e4 if dtype != torch.float64 else 3e100


def some(count: int) -> list[int]:
    """The first, the middle and the last of so many."""
    return sorted({0, count // 2, count - 1}) if count else []


@law("masks.hidden-key-has-no-influence", "sparsity.support", on=Trait.PATTERN, draw=patterned, off=needs_repeats)
def test_what_a_pattern_hides_has_no_influence_bit_by_bit(subject: Subject, p: Patterned) -> None:
    """Huge numbers in all keys and values that a row does not see, or NaN where the subject says that it is blocked: that row keeps its bits."""
    x = p.posed()
    subject.saw(x.regimes)
    x = x.with_tensors({1: x[1].contiguous(), 2: x[2].contiguous()})
    before = posed.output(subject, x)
    poison = math.nan if subject.implementation.conventions.masked_nan == "blocked" else huge(subject, p.s.dtype)
    for row in some(p.s.n):
        hidden = torch.from_numpy(~p.visible[:, :, row]).unsqueeze(-1)  # [B, H, M, 1]
        spoilt = x.with_tensors({1: x[1].masked_fill(hidden, poison), 2: x[2].masked_fill(hidden, -poison)})
        after = posed.output(subject, spoilt)
        require(same(after[:, :, row], before[:, :, row]), f"row {row} moved by what it does not see: {before.tolist()}, then {after.tolist()}, on {x}")


@law("sparsity.support", on=Trait.PATTERN, draw=patterned, lacking=needs("gradient"))
def test_a_row_sends_gradients_only_to_what_it_sees(subject: Subject, p: Patterned) -> None:
    """Exactly 0 for all other keys and values, and for all other queries."""
    x = p.posed()
    subject.saw(x.regimes)
    for row in some(p.s.n):
        cotangent = torch.zeros_like(x.cotangent)
        cotangent[:, :, row] = x.cotangent[:, :, row]
        request = Request(arguments=x.arguments, keywords=x.keywords, cotangent=cotangent, wanted=(0, 1, 2))
        d_q, d_k, d_v = subject.answered(request, 3)
        expect_shape(d_q, tuple(x[0].shape), x[0].dtype)
        require(not d_q[:, :, :row].any() and not d_q[:, :, row + 1 :].any(), f"row {row} sends gradients to other queries: {d_q.tolist()} on {x}")
        hidden = torch.from_numpy(~p.visible[:, :, row])
        for what, gradient, of in (("key", d_k, x[1]), ("value", d_v, x[2])):
            expect_shape(gradient, tuple(of.shape), of.dtype)
            require(not gradient[hidden].any(), f"row {row} sends gradients to a {what} that it does not see: {gradient.tolist()} on {x}")


stacked = partial(patterned, masks=False, moderate=True, square=True, starts=(0,))
LAYERS, TWICE = 3, 2


def through(support: Support) -> Iterator[Support]:
    """What a row sees through 1, 2, … calls: key j, where it sees one that sees j."""
    reached = support
    for _ in range(LAYERS):
        yield reached
        reached = np.einsum("...ij,...jk->...ik", reached, support)  # of booleans: whether there is a j


@law("sparsity.receptive-field", on=Trait.PATTERN, draw=stacked, lacking=narrow)
def test_calls_in_a_row_see_exactly_the_composed_support(subject: Subject, p: Patterned) -> None:
    """Queries of 0 weigh all keys that are seen alike, so that no weight is below 1/M, nor below 1/Mᴸ after L calls: far from underflow in every format."""
    x = reading(p)
    x = x.with_tensors({0: torch.zeros_like(x[0])})
    subject.saw(x.regimes)
    value = x[2]
    for layer, reached in enumerate(through(p.visible), 1):
        value = posed.output(subject, x.with_tensors({2: value}))
        influence = plain(value)[..., : p.s.m] > 0
        require(bool((influence == reached).all()), f"rows see {influence.tolist()} through {layer} calls, expected {reached.tolist()}, on {x}")


@law("sparsity.receptive-field", on=Trait.PATTERN, draw=stacked, off=needs_repeats)
def test_beyond_the_composed_support_self_attention_is_blind_bit_by_bit(subject: Subject, p: Patterned) -> None:
    """x → attention(x, x, x), once and twice: with other numbers at the positions that a row does not reach through so many calls, it keeps its bits."""
    x = p.posed()
    subject.saw(x.regimes)
    tokens = p.tensors[0]
    own = p.visible | np.eye(p.s.n, dtype=np.bool_)  # a row depends on itself by its query
    before, reach = layers(subject, p, tokens, TWICE), list(through(own))
    for row in some(p.s.n):
        for layer in range(TWICE):
            beyond = torch.from_numpy(~reach[layer][:, :, row]).unsqueeze(-1)
            after = layers(subject, p, torch.where(beyond, 3 - 2 * tokens, tokens), layer + 1)[-1]
            require(
                same(after[:, :, row], before[layer][:, :, row]), f"row {row} sees more than {reach[layer][:, :, row].tolist()} in {layer + 1} calls on {x}"
            )


def layers(subject: Subject, p: Patterned, tokens: Tensor, count: int) -> list[Tensor]:
    """What 1, 2, … calls in a row make of the tokens."""
    found = []
    for _ in range(count):
        tokens = subject.call(tokens, tokens, tokens, *p.pattern.arguments, **p.keywords)
        expect_shape(tokens, tuple(p.tensors[0].shape), p.s.dtype)
        found.append(tokens)
    return found


SHORT = 9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pieces:
    """A call, and where its rows are cut."""

    p: Patterned
    cuts: tuple[int, ...]


@st.composite
def in_pieces(draw: st.DrawFn, subject: Implementation, causal: tuple[bool, ...] = (True, True, False), masks: bool = True) -> Pieces:
    """Each row of a short sequence alone, or cut anywhere: off the edges of windows and blocks, at both ends, twice at one place."""
    p = draw(patterned(subject, causal=causal, masks=masks))
    alone = p.s.n <= SHORT and draw(st.booleans(), label="each row alone")
    cuts = range(1, p.s.n) if alone else sorted(draw(st.lists(st.integers(0, p.s.n), max_size=3), label="cuts"))
    return Pieces(p=p, cuts=(0, *cuts, p.s.n))


def of_rows(true: Balls, bound: Array, first: int, last: int) -> tuple[Balls, Array]:
    return Balls(*(part[:, :, first:last] for part in (true.hi, true.lo, true.radius))), bound[:, :, first:last]


@law("streaming.cache-is-causal-row", on=Trait.PATTERN, draw=in_pieces)
def test_rows_alone_at_their_positions_are_rows_of_the_whole(subject: Subject, case: Pieces) -> None:
    """Decoding and chunks: some rows, with `start` where they begin and, under causality, no key after them, are what the whole pass gives there."""
    p, x = case.p, case.p.posed()
    subject.saw((*x.regimes, f"pieces: {len(case.cuts) - 1}"))
    true = posed.truth(subject, x)
    balls, bound = true.balls(), true.bound()
    for first, last in itertools.pairwise(case.cuts):
        count = min(p.s.m, p.start + last) if p.is_causal else p.s.m
        keywords = x.keywords | {"start": p.start + first}
        if "attn_mask" in keywords:
            keywords["attn_mask"] = keywords["attn_mask"][..., first:last, :count]
        output = subject.call(x[0][:, :, first:last], x[1][:, :, :count], x[2][:, :, :count], *x.arguments[3:], **keywords)
        expect_shape(output, (p.s.b, p.s.h, last - first, p.s.e), p.s.dtype)
        subject.judge(f"rows {first} to {last} alone", output, *of_rows(balls, bound, first, last), x)


@law("streaming.window-cache-is-window", on=Trait.WINDOW, draw=partial(patterned, masks=False))
def test_a_row_needs_the_keys_of_its_window_and_no_others(subject: Subject, p: Patterned) -> None:
    """A row alone over its own window, counted from the window's first key: only differences of positions act."""
    x = p.posed()
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    balls, bound = true.balls(), true.bound()
    for row in some(p.s.n):
        seen = np.flatnonzero(p.shown[row])
        if not seen.size:
            continue
        first, last = int(seen[0]), int(seen[-1]) + 1
        keywords = x.keywords | {"start": p.start + row - first}
        if keywords["start"] < 0:  # all that it sees lies after it
            continue
        output = subject.call(x[0][:, :, row : row + 1], x[1][:, :, first:last], x[2][:, :, first:last], *x.arguments[3:], **keywords)
        expect_shape(output, (p.s.b, p.s.h, 1, p.s.e), p.s.dtype)
        subject.judge(f"row {row} over its window", output, *of_rows(balls, bound, row, row + 1), x)


@law("sparsity.sparse-is-masked-dense", on=Trait.WINDOW, draw=partial(patterned, masks=False))
def test_a_window_of_one_key_returns_the_row_s_own_value(subject: Subject, p: Patterned) -> None:
    """And 0 in rows that stand beyond the last key."""
    own = replace(p, pattern=replace(p.pattern, arguments=(1,), sees=lambda i, j: i == j))
    x = own.posed()
    subject.saw(x.regimes)
    value = np.zeros((p.s.b, p.s.h, p.s.n, p.s.e))
    there = plain(p.tensors[2])[:, :, p.start : p.start + p.s.n]
    value[:, :, : there.shape[2]] = there
    bound = posed.truth(subject, x).bound()
    subject.judge("the row's own value", posed.output(subject, x), Balls(value, 0 * value, 0 * value), bound, x)


ROWS, KEYS, EACH = 600, 16, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Keys drawn for ROWS rows, by a seed."""

    seed: int


def drawings(subject: Implementation) -> st.SearchStrategy[Drawing]:
    return st.builds(Drawing, seed=st.integers(0, 999))


def drawn_sets(subject: Subject, seed: int) -> Support:
    """The sets of a call whose queries are 0, [ROWS, KEYS]."""
    query, key, value = torch.zeros(1, 1, ROWS, 1), torch.zeros(1, 1, KEYS, 1), torch.eye(KEYS)[None, None]
    window = (0,) if subject.implementation.variant.name == "bigbird" else ()
    found = subject.call(query, key, value, *window, (EACH, seed), start=KEYS)  # behind the last key: no window shows any
    expect_shape(found, (1, 1, ROWS, KEYS), torch.float32)
    return np.asarray(plain(found)[0, 0] > 0)


def offers_draws(implementation: Implementation) -> str | None:
    return None if "draws" in implementation.offers else "draws no keys by itself"


@law("long_range.unread-keys", on=Trait.PATTERN, draw=drawings, lacking=offers_draws)
def test_keys_at_random_are_uniform_and_each_row_s_own(subject: Subject, x: Drawing) -> None:
    """Exactly EACH different keys a row. By Hoeffding's inequality, how many of ROWS independent rows see a key is within t of its mean ROWS · EACH / KEYS
    for all keys, and so is what neighbouring rows have in common, EACH² / KEYS in the mean; the same for a seed, others for another."""
    sets, again, other = (drawn_sets(subject, seed) for seed in (x.seed, x.seed, x.seed + 1))
    require(bool((sets == again).all()) and bool((sets != other).any()), f"a seed does not choose the sets on {x}")
    require(bool((sets.sum(-1) == EACH).all()), f"rows see {np.unique(sets.sum(-1)).tolist()} keys, expected {EACH}, on {x}")
    chance = math.log(2 * (KEYS + 1) / LEVEL)
    spread = math.sqrt(ROWS * chance / 2)
    subject.within("rows that see a key", np.abs(sets.sum(0) - ROWS * EACH / KEYS), np.full(KEYS, spread), x)
    shared = (sets[::2] & sets[1::2]).sum()
    subject.within("what neighbours share", np.abs(np.asarray([shared - ROWS / 2 * EACH**2 / KEYS])), np.asarray([EACH * math.sqrt(ROWS / 2 * chance / 2)]), x)
