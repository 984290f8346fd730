"""Laws of caches and streaming states: a sequence in parts is the sequence at once, unused memory has no influence, what has left a window is forgotten, what
fades does so by a power of the decay.

Where a call offers it, a law reaches into what a cache holds: "unused", the number that stands in slots not written yet; "page_table", which page holds which
tokens; "overwritten", the number that fills the caller's tensors once they are handed over.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import hypothesis.strategies as st
import numpy as np
import torch
from flint import arb
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.cases.cached import cut
from properties.cases.compressed_state import compressed_state
from properties.cases.decayed import decayed
from properties.cases.kernelised import ratio
from properties.cases.linear_attention import mapped
from properties.cases.window_cache import window_cache
from properties.inputs import plain
from properties.oracle import Balls
from properties.posed import Place, Posed, any_case
from properties.simplex import factor
from properties.subject import Subject, require, same
from properties.tracked import Flags, Objects, Tracked, contract, exact, softmax
from properties.verifies import Needed, law, needs_repeats

PARTS = 3  # the place of the parts among the arguments


def in_parts(x: Posed, parts: tuple[int, ...]) -> Posed:
    """The same call with its sequence cut otherwise."""
    return replace(x, arguments=(*x.arguments[:PARTS], parts, *x.arguments[PARTS + 1 :]))


def rows_of(balls: Balls, rows: slice) -> Balls:
    return Balls(*(part[:, :, rows] for part in (balls.hi, balls.lo, balls.radius)))


def offers(option: str) -> Needed:
    """A law's `lacking` for what a call may have beside its variant's signature."""
    return lambda implementation: None if option in implementation.offers else f"offers no {option.replace('_', ' ')}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """A call, and ways to cut its sequence."""

    x: Posed
    ways: tuple[tuple[int, ...], ...]


@st.composite
def several_cuts(draw: st.DrawFn, subject: Implementation) -> Cut:
    """At once, one by one, with empty parts at both ends and in the middle, and anywhere."""
    x = draw(any_case(subject))
    n = x[0].shape[2]
    return Cut(x=x, ways=((n,), (1,) * n, (0, n // 2, 0, n - n // 2, 0), cut(draw, n)))


@law("streaming.any-split", on=Trait.CACHED, draw=several_cuts)
def test_any_split_of_the_sequence_is_one_shot(subject: Subject, case: Cut) -> None:
    subject.saw(case.x.regimes)
    true = posed.truth(subject, case.x)
    balls, bound = true.balls(), true.bound()
    for parts in case.ways:
        x = in_parts(case.x, parts)
        subject.judge(f"the sequence in {len(parts)} parts", posed.output(subject, x), balls, bound, x)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stopped:
    """A call, and how many of its rows are left of it."""

    x: Posed
    rows: int


@st.composite
def stopped(draw: st.DrawFn, subject: Implementation) -> Stopped:
    x = draw(any_case(subject))
    return Stopped(x=x, rows=draw(st.integers(0, x[0].shape[2]), label="rows"))


@law("streaming.cache-is-causal-row", on=Trait.CACHED, draw=stopped)
def test_a_sequence_that_stops_earlier_is_the_beginning_of_the_longer_one(subject: Subject, case: Stopped) -> None:
    """No row knows what follows, nor how long the sequence will be."""
    x, rows, gone = case.x, case.rows, case.x[0].shape[2] - case.rows
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    m = x[1].shape[2] - gone
    shorter = in_parts(
        x.with_tensors({0: x[0][:, :, :rows], 1: x[1][:, :, :m], 2: x[2][:, :, :m]}, cotangent=x.cotangent[:, :, :rows]), (rows - rows // 2, rows // 2)
    )
    here = slice(0, rows)
    subject.judge("the shorter sequence", posed.output(subject, shorter), rows_of(true.balls(), here), true.bound()[:, :, here], shorter)


POISONS = (math.nan, math.inf, -math.inf, 1e4)


@law("masks.hidden-key-has-no-influence", "streaming.page-table", on=Trait.CACHED, draw=any_case, lacking=offers("unused"), off=needs_repeats)
def test_what_stands_in_an_unused_slot_has_no_influence(subject: Subject, x: Posed) -> None:
    """NaN, infinities and numbers that would win every softmax, to the last bit."""
    subject.saw(x.regimes)
    clean = posed.output(subject, x)
    for number in POISONS:
        poisoned = posed.output(subject, replace(x, keywords=x.keywords | {"unused": number}))
        require(same(clean, poisoned), f"with {number} in unused slots {poisoned.tolist()}, with 0 {clean.tolist()}, on {x}")


@law("streaming.page-table", on=Trait.CACHED, draw=any_case, lacking=offers("overwritten"), off=needs_repeats)
def test_a_cache_owns_its_memory(subject: Subject, x: Posed) -> None:
    """Each part's tensors are overwritten once they are handed over: nothing moves."""
    subject.saw(x.regimes)
    kept = posed.output(subject, x)
    for number in (math.nan, 3.0):
        reused = posed.output(subject, replace(x, keywords=x.keywords | {"overwritten": number}))
        require(same(kept, reused), f"parts overwritten with {number} give {reused.tolist()}, untouched ones {kept.tolist()}, on {x}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paged:
    """A call, and a page table that is long enough for pages of one token."""

    x: Posed
    table: Tensor


@st.composite
def in_pages(draw: st.DrawFn, subject: Implementation) -> Paged:
    """Pages in any order, those of one sequence between another's, and up to three that are nobody's."""
    x = draw(any_case(subject))
    b, _, m, _ = x[1].shape
    spare = draw(st.integers(0, 3), label="pages that are nobody's")
    order = torch.randperm(b * m + spare, generator=torch.Generator().manual_seed(draw(st.integers(0, 2**16), label="order")))
    return Paged(x=x, table=order[: b * m].reshape(b, m))


@law("streaming.page-table", on=Trait.CACHED, draw=in_pages, lacking=offers("page_table"))
def test_any_page_table_is_one_shot(subject: Subject, case: Paged) -> None:
    """Whatever pages hold which tokens, with NaN in all that is not written."""
    subject.saw(case.x.regimes)
    true = posed.truth(subject, case.x)
    x = replace(case.x, keywords=case.x.keywords | {"page_table": case.table, "unused": math.nan})
    subject.judge("the paged sequence", posed.output(subject, x), true.balls(), true.bound(), x)


def causal(x: Posed, subject: Subject, window: int | None = None) -> Tracked:
    """Softmax attention of each row over the keys up to its own, or the last `window` of those."""
    t = x.leaves(subject.rounding(x.cotangent.dtype))
    h, n = x[0].shape[1:3]
    of = np.arange(h) // (h // x[1].shape[1])
    i, j = np.arange(n)[:, None], np.arange(n)
    seen: Flags = (j <= i) & (j > i - (n if window is None else window))
    scores = contract("bhnd,bhmd->bhnm", t[0], t[1][:, of]) * factor(x.keywords.get("scale"), x[0].shape[3], t[0].rounding)
    return contract("bhnm,bhme->bhne", softmax(scores, np.broadcast_to(seen, scores.shape)), t[2][:, of])


def around_the_window(subject: Implementation) -> st.SearchStrategy[Posed]:
    return window_cache(subject, around=True)


@law("streaming.window-cache-is-window", on=Trait.ROLLING, draw=around_the_window)
def test_decoding_around_the_window_is_the_windowed_pass(subject: Subject, x: Posed) -> None:
    """At W − 1, W, W + 1 tokens and about 2W, one token at a time after a prefill of every length."""
    subject.saw(x.regimes)
    true, n = posed.truth(subject, x), x[0].shape[2]
    balls, bound = true.balls(), true.bound()
    for prefill in range(n + 1):
        decoding = in_parts(x, (prefill, *(1,) * (n - prefill)))
        subject.judge(f"decoding after a prefill of {prefill}", posed.output(subject, decoding), balls, bound, decoding)


@law("streaming.window-cache-is-window", on=Trait.ROLLING, draw=around_the_window)
def test_a_window_as_long_as_the_sequence_is_causal_attention(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    true = causal(x, subject)
    for window in (x[0].shape[2], x[0].shape[2] + 3):
        wide = replace(x, arguments=(*x.arguments[:4], window, *x.arguments[5:]))
        subject.judge(f"a window of {window}", posed.output(subject, wide), true.balls(), true.bound(), wide)


@law("streaming.window-cache-is-window", on=Trait.ROLLING, draw=around_the_window, off=needs_repeats)
def test_tokens_that_have_left_the_window_act_no_more(subject: Subject, x: Posed) -> None:
    """Other numbers in all of them, sinks apart: the last row does not move, to the last bit, at unchanged shapes."""
    n, window, sinks = x[0].shape[2], x[4], x[5]
    if sinks >= n - window:
        return
    subject.saw(x.regimes)
    changed: dict[Place, Tensor] = {place: x[place].clone() for place in (1, 2)}
    for other in changed.values():
        other[:, :, sinks : n - window].mul_(-3).add_(7)
    before, after = posed.output(subject, x)[:, :, -1], posed.output(subject, x.with_tensors(changed))[:, :, -1]
    require(same(before, after), f"the last row is {before.tolist()}, then {after.tolist()}, on {x}")


def probed(subject: Implementation) -> st.SearchStrategy[Posed]:
    """Calls with queries of 0, so that visible tokens weigh alike, and the identity for values, so that the output is the weights."""

    def probe(x: Posed) -> Posed:
        b, groups, n, _ = x[2].shape
        identity = torch.eye(n, dtype=x[2].dtype).expand(b, groups, n, n).contiguous()
        zero = torch.zeros_like(x[0])
        return x.with_tensors({0: zero, 2: identity}, cotangent=torch.zeros(*x.cotangent.shape[:-1], n, dtype=x[2].dtype))

    return window_cache(subject, around=True).map(probe)


def any_value_width(implementation: Implementation) -> str | None:
    return None if implementation.limits.unequal_widths else "takes no values of another width than the keys'"


@law("streaming.window-cache-is-window", on=Trait.ROLLING, draw=probed, lacking=any_value_width)
def test_the_tokens_with_weight_are_the_window_and_the_sinks(subject: Subject, x: Posed) -> None:
    """Each of them has the same weight, the sinks in every row; all others have none at all."""
    subject.saw(x.regimes)
    assert x.visible is not None
    seen = torch.from_numpy(x.visible)
    weights = posed.output(subject, x)
    require(bool((weights[~seen] == 0).all()), f"tokens outside the window and the sinks have weights, {weights.tolist()}, on {x}")
    alike = exact(np.where(x.visible, 1.0, 0.0)) / exact(x.visible.sum(-1, keepdims=True).astype(np.float64))
    true = posed.truth(subject, x)
    subject.judge("weights", weights, replace_true(true, alike).balls(), true.bound(), x)


def replace_true(x: Tracked, true: Objects) -> Tracked:
    """The same bounds about values that were found otherwise."""
    return Tracked(true=true, off=x.off, rounding=x.rounding)


def without_decay(subject: Implementation) -> st.SearchStrategy[Posed]:
    return decayed(subject, decays=(1.0,))


@law("streaming.decay-recurrence", on=Trait.DECAYED, draw=without_decay)
def test_decay_1_is_plain_linear_attention(subject: Subject, x: Posed) -> None:
    """The definition of causal linear attention, in whose sums no decay stands."""
    subject.saw(x.regimes)
    assert x.visible is not None
    t = x.leaves(subject.rounding(x.cotangent.dtype))
    plainly = ratio(mapped(t[0], "elu+1", {}), mapped(t[1], "elu+1", {}), t[2], x.visible)
    subject.judge("output at decay 1", posed.output(subject, x), plainly.balls(), posed.truth(subject, x).bound(), x)


def only_itself(subject: Implementation) -> st.SearchStrategy[Posed]:
    return decayed(subject, decays=(0.0,))


@law("streaming.decay-recurrence", on=Trait.DECAYED, draw=only_itself)
def test_decay_0_leaves_each_token_its_own_value(subject: Subject, x: Posed) -> None:
    """λ⁰ = 1 and all higher powers are 0: φ(q_i)·φ(k_i) v_i over φ(q_i)·φ(k_i)."""
    subject.saw(x.regimes)
    value = plain(x[2])
    subject.judge("output at decay 0", posed.output(subject, x), Balls(value, 0 * value, 0 * value), posed.truth(subject, x).bound(), x)


def of_equal_keys(subject: Implementation) -> st.SearchStrategy[Posed]:
    """Calls with queries and keys of 0, whose features are 1, and the identity for values."""

    def probe(x: Posed) -> Posed:
        b, h, n, _ = x[2].shape
        identity = torch.eye(n, max(n, 1), dtype=x[2].dtype).expand(b, h, n, max(n, 1)).contiguous()
        zeros: dict[Place, Tensor] = {place: torch.zeros_like(x[place]) for place in (0, 1)}
        return x.with_tensors(zeros | {2: identity}, cotangent=torch.zeros(*x.cotangent.shape[:-1], max(n, 1), dtype=x[2].dtype))

    return decayed(subject, decays=(0.5, 0.96875, 0.7)).map(probe)


@law("streaming.decay-recurrence", on=Trait.DECAYED, draw=of_equal_keys, lacking=any_value_width)
def test_weights_of_equal_keys_are_the_geometric_series_of_the_decay(subject: Subject, x: Posed) -> None:
    """λ^(i−j) (1 − λ) / (1 − λ^(i+1)): the sum of the recurrence in closed form."""
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    series = exact(np.zeros(true.shape))
    for (h, decay), i in itertools.product(enumerate(plain(x[4])), range(x[0].shape[2])):
        for j in range(i + 1):
            series[:, h, i, j] = arb(decay) ** (i - j) * (1 - arb(decay)) / (1 - arb(decay) ** (i + 1))
    subject.judge("weights", posed.output(subject, x), replace_true(true, series).balls(), true.bound(), x)


def of_single_tokens(subject: Implementation) -> st.SearchStrategy[Posed]:
    return compressed_state(subject, groups=(1,))


@law("streaming.window-cache-is-window", on=Trait.COMPRESSED, draw=of_single_tokens)
def test_groups_of_one_token_are_a_window_longer_by_the_slots(subject: Subject, x: Posed) -> None:
    """The mean of one token is itself: window + slots tokens are seen, all of them where there are slots enough."""
    subject.saw(x.regimes)
    true = causal(x, subject, x[4] + x[6])
    subject.judge("output", posed.output(subject, x), true.balls(), true.bound(), x)


@law("streaming.window-cache-is-window", on=Trait.COMPRESSED, draw=any_case)
def test_nothing_is_compressed_inside_the_window(subject: Subject, x: Posed) -> None:
    """With a window as long as the sequence, and a group longer than it: causal attention."""
    subject.saw(x.regimes)
    true, n = causal(x, subject), x[0].shape[2]
    for window, group in ((max(n, 1), x[5]), (1, max(n, 1))):
        wide = replace(x, arguments=(*x.arguments[:4], window, group, x[6], *x.arguments[7:]))
        subject.judge(f"a window of {window} and groups of {group}", posed.output(subject, wide), true.balls(), true.bound(), wide)


def with_a_group(subject: Implementation) -> st.SearchStrategy[Posed]:
    return compressed_state(subject, groups=(2, 3), slots=(1, 2))


@law("streaming.no-finite-state", on=Trait.COMPRESSED, draw=with_a_group)
def test_the_order_within_a_compressed_group_is_lost(subject: Subject, x: Posed) -> None:
    """The tokens of each group that the last row sees as a mean, in reverse: its output is the same."""
    n, window, group = x[0].shape[2], x[4], x[5]
    done = max(n - window, 0) // group * group
    if not done:
        return
    subject.saw(x.regimes)
    turned: dict[Place, Tensor] = {
        place: torch.cat((x[place][:, :, :done].unflatten(2, (-1, group)).flip(3).flatten(2, 3), x[place][:, :, done:]), 2) for place in (1, 2)
    }  # fmt: skip
    true, last = posed.truth(subject, x), slice(n - 1, n)
    changed = x.with_tensors(turned)
    subject.judge("the last row", posed.output(subject, changed)[:, :, last], rows_of(true.balls(), last), true.bound()[:, :, last], changed)
