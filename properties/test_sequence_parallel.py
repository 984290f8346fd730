"""Laws of sequence parallelism: how many ranks share a sequence, and which positions each of them holds, changes nothing but the roundings of the merges."""

from __future__ import annotations

from dataclasses import dataclass, replace

import hypothesis.strategies as st
import numpy as np
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import oracle, posed, tolerance
from properties.cases.scored import Scored
from properties.cases.sequence_parallel import LAYOUTS, SPREAD, WORLDS, calls, merged, shared
from properties.inputs import plain
from properties.posed import Place, Posed
from properties.request import Request
from properties.subject import Subject, expect_shape, require, same
from properties.tracked import constant, gradients
from properties.verifies import law, needs, needs_all, needs_repeats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shared:
    """A call, and how it is shared."""

    call: Scored
    world: int
    layout: str

    @property
    def posed(self) -> Posed:
        return shared(self.call, self.world, self.layout)


@st.composite
def among(
    draw: st.DrawFn, subject: Implementation, *, worlds: tuple[int, ...] = WORLDS, spreads: tuple[str, ...] = SPREAD,
    causal: tuple[bool, ...] = (False, True), lengths: tuple[int, ...] = (),
) -> Shared:  # fmt: skip
    call = draw(calls(subject, spreads=spreads, causal=causal, lengths=lengths))
    return Shared(call=call, world=draw(st.sampled_from(worlds), label="world"), layout=draw(st.sampled_from(LAYOUTS), label="layout of shards"))


@law("flash.any-tiling-is-exact", on=Trait.SEQUENCE_PARALLEL, draw=among)
def test_any_number_of_ranks_is_one_shot(subject: Subject, x: Shared) -> None:
    """The same call among 1, 2, 3, 4 and 8 ranks: each output lies within its own bound of one truth, which knows nothing of ranks."""
    balls = posed.truth(subject, x.posed).balls()
    for world in WORLDS:
        y = shared(x.call, world, x.layout)
        subject.saw(y.regimes)
        subject.judge(f"output among {world}", posed.output(subject, y), balls, posed.truth(subject, y).bound(), y)


@law("flash.any-tiling-is-exact", on=Trait.SEQUENCE_PARALLEL, draw=among, lacking=needs("gradient"))
def test_any_number_of_ranks_has_the_gradients_of_one_shot(subject: Subject, x: Shared) -> None:
    """Shares of the gradients of keys and values, which arise on all ranks, add up to the gradients of the whole."""
    subject.saw(x.posed.regimes)
    for world in sorted({1, x.world}):
        posed.judge_gradients(subject, shared(x.call, world, x.layout))


def one_length(subject: Implementation) -> st.SearchStrategy[Shared]:
    """More ranks than positions now and then."""
    return among(subject, worlds=(2, 3, 4, 8), lengths=(1, 2, 3, 5, 7), spreads=("no",))


@law("flash.merge-identity", on=Trait.SEQUENCE_PARALLEL, draw=one_length)
def test_ranks_without_positions_change_nothing(subject: Subject, x: Shared) -> None:
    """Lengths that the number of ranks does not divide, and ranks that hold no query or no key: among more ranks, and among as many as there are positions."""
    balls = posed.truth(subject, x.posed).balls()
    for world in sorted({x.world, max(1, x.call.sizes.n), x.call.sizes.n + 1}):
        y = shared(x.call, world, x.layout, regimes=("ranks: as many as positions" if world == x.call.sizes.n else "ranks: others",))
        subject.saw(y.regimes)
        subject.judge(f"output among {world}", posed.output(subject, y), balls, posed.truth(subject, y).bound(), y)


@law("flash.merge-commutative", "flash.merge-associative", on=Trait.SEQUENCE_PARALLEL, draw=among)
def test_the_layout_of_shards_changes_nothing(subject: Subject, x: Shared) -> None:
    """Output rows come back in the order of the queries, whichever rank held them, and a causal row sees the same keys."""
    balls = posed.truth(subject, x.posed).balls()
    for layout in LAYOUTS:
        y = shared(x.call, x.world, layout)
        subject.saw(y.regimes)
        subject.judge(f"output of {layout} shards", posed.output(subject, y), balls, posed.truth(subject, y).bound(), y)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """A causal call whose keys from position `at` on change."""

    x: Posed
    at: int


@st.composite
def cut(draw: st.DrawFn, subject: Implementation) -> Cut:
    """Cut anywhere: on the edges of shards and off them."""
    x = draw(among(subject, causal=(True,), spreads=("no", "alternating")))
    return Cut(x=x.posed, at=draw(st.integers(0, x.call.sizes.m), label="cut"))


@law("masks.causal-rows", on=Trait.SEQUENCE_PARALLEL, draw=cut, lacking=needs("causal option"), off=needs_repeats)
def test_a_causal_row_sees_no_later_shard_bit_by_bit(subject: Subject, case: Cut) -> None:
    """Rows before the cut, with other numbers at all keys and values from there on, 1000 times as large."""
    x, at = case.x, case.at
    subject.saw(x.regimes)
    changed: dict[Place, Tensor] = {place: x[place].clone() for place in (1, 2)}
    for later in changed.values():
        later[:, :, at:] = (later[:, :, at:].double() * -1000 + 7).clamp(-6e4, 6e4).to(later.dtype)
    before, after = posed.output(subject, x), posed.output(subject, x.with_tensors(changed))
    moved = f"{before[:, :, :at].tolist()}, then {after[:, :, :at].tolist()}"
    require(same(before[:, :, :at], after[:, :, :at]), f"rows before {at} move with the keys from there on: {moved}, on {x}")


@law("masks.causal-rows", on=Trait.SEQUENCE_PARALLEL, draw=cut, lacking=needs_all(needs("causal option"), needs("gradient")))
def test_a_later_shard_gets_no_gradient_from_earlier_rows(subject: Subject, case: Cut) -> None:
    """With a cotangent of 0 at all rows from the cut on, the keys and values from there on have the gradient 0 to the last bit."""
    subject.saw(case.x.regimes)
    cotangent = case.x.cotangent.clone()
    cotangent[:, :, case.at :] = 0
    x = replace(case.x, cotangent=cotangent)
    found = subject.answered(Request(arguments=x.arguments, keywords=x.keywords, cotangent=x.cotangent, wanted=x.wanted), len(x.wanted))
    for name, gradient in zip(("keys", "values"), found[1:], strict=True):
        later = gradient[:, :, case.at :]
        require(bool((later == 0).all()), f"{name} from {case.at} on get {later.tolist()} from rows that do not see them, on {x}")


def dead(subject: Implementation) -> st.SearchStrategy[Shared]:
    """Causal calls with more keys than queries, so that the own keys of some ranks lie behind all their queries; or with no keys at all."""
    return among(subject, causal=(True,), worlds=(2, 3, 4, 8), spreads=("no", "falling")).map(with_few_queries)


def with_few_queries(x: Shared) -> Shared:
    """The call with the first third of its queries."""
    n = -(-x.call.sizes.n // 3)
    mask = replace(x.call.mask, visible=x.call.mask.visible[:, :, :n])
    query, key, value = x.call.tensors
    return replace(x, call=replace(x.call, sizes=replace(x.call.sizes, n=n), mask=mask, tensors=(query[:, :, :n].contiguous(), key, value)))


@law("flash.merge-identity", on=Trait.SEQUENCE_PARALLEL, draw=dead, lacking=needs_all(needs("causal option"), needs("free number of keys"), needs("gradient")))
def test_a_shard_of_which_a_row_sees_nothing_adds_nothing(subject: Subject, x: Shared) -> None:
    """The empty state is the merge's neutral element, also as the first and as the only one: no NaN, and a row that sees no key at all is 0."""
    posed.judge_output(subject, x.posed)
    posed.judge_gradients(subject, x.posed)


def far_apart(subject: Implementation) -> st.SearchStrategy[Shared]:
    return among(subject, spreads=("rising", "falling", "alternating"), worlds=(2, 3, 4))


@law("flash.blocks-combine-by-log-sum-exp", on=Trait.SEQUENCE_PARALLEL, draw=far_apart)
def test_shards_whose_sums_lie_far_apart_merge_without_overflow(subject: Subject, x: Shared) -> None:
    """The log-sum-exps of two shards differ by more than e^x can bridge: the smaller one adds 0, in either order, and nothing overflows."""
    posed.judge_output(subject, x.posed)
    if subject.implementation.limits.gradients:
        posed.judge_gradients(subject, x.posed)


def beyond_one(subject: Implementation) -> st.SearchStrategy[Shared]:
    """Among several ranks."""
    return among(subject, worlds=(2, 3, 4, 8))


@law("flash.blocks-combine-by-log-sum-exp", on=Trait.SEQUENCE_PARALLEL, draw=beyond_one, lacking=needs("log-sum-exp"))
def test_the_log_sum_exp_is_that_of_all_shards(subject: Subject, x: Shared) -> None:
    """What is merged once more somewhere else: log Σ_j exp(score_j) over the keys of all ranks, −∞ for a row that sees none."""
    y, s = x.posed, x.call.sizes
    subject.saw(y.regimes)
    q, k, v = (plain(tensor) for tensor in x.call.tensors)
    visible = np.broadcast_to(x.call.mask.visible, (s.b, s.h, s.n, s.m))
    problem = oracle.Problem(q=q, k=k, v=v, bias=np.zeros(visible.shape), visible=visible, scale=oracle.true_scale(s.d, x.call.scale))
    truth = oracle.attention(problem)
    rounding = merged(subject.rounding(y.cotangent.dtype), s.m, x.world, x.layout)
    found = subject.answered(Request(arguments=y.arguments, keywords=y.keywords, log_sum_exp=True), 2)[1]
    expect_shape(found, (s.b, s.h, s.n), found.dtype)
    subject.judge("log-sum-exp", found, truth.log_sum_exp, tolerance.forward(problem, truth, rounding).log_sum_exp, y)


def halves(subject: Implementation) -> Implementation:
    dtypes = tuple(dtype for dtype in subject.limits.dtypes if dtype in ("float16", "bfloat16"))
    return replace(subject, limits=replace(subject.limits, dtypes=dtypes or subject.limits.dtypes))


def in_half_precision(subject: Implementation) -> st.SearchStrategy[Shared]:
    return among(halves(subject), spreads=("no",), worlds=(8,))


def half_precision(implementation: Implementation) -> str | None:
    return None if {"float16", "bfloat16"} & set(implementation.limits.dtypes) else "takes no half precision"


@law("flash.any-tiling-is-exact", on=Trait.SEQUENCE_PARALLEL, draw=in_half_precision, lacking=half_precision)
def test_the_output_is_rounded_once_however_many_ranks_there_are(subject: Subject, x: Shared) -> None:
    """Half precision: states are merged in the accumulator's dtype, so that eight ranks are no farther from the truth than one but for its own roundings."""
    balls = posed.truth(subject, x.posed).balls()
    for world in (1, 4, 8):
        y = shared(x.call, world, x.layout)
        subject.saw(y.regimes)
        subject.judge(f"output among {world}", posed.output(subject, y), balls, posed.truth(subject, y).bound(), y)


def several(subject: Implementation) -> st.SearchStrategy[Shared]:
    """Two sequences, of two heads or of three."""
    return among(subject, lengths=(3, 5), worlds=(2, 3, 4), spreads=("no",)).map(twofold)


def twofold(x: Shared) -> Shared:
    """The call beside itself with other numbers: 2 sequences and H + 1 heads, lengths and widths as they are."""
    heads = x.call.sizes.h + 1
    s = replace(x.call.sizes, b=2, h=heads, profile="plain")
    visible = np.broadcast_to(x.call.mask.visible[:1, :1], (2, heads, s.n, s.m))
    return replace(x, call=replace(x.call, sizes=s, mask=replace(x.call.mask, visible=visible), tensors=(s.query(), s.key(), s.value())))


@law("flash.any-tiling-is-exact", on=Trait.SEQUENCE_PARALLEL, draw=several, lacking=needs("gradient"))
def test_every_head_of_every_sequence_stays_where_it_is(subject: Subject, x: Shared) -> None:
    """Of several sequences and heads in another order, each has its own output and gradients, there: shards are cut along positions alone."""
    y = x.posed
    subject.saw(y.regimes)
    rounding = subject.rounding(y.cotangent.dtype)
    leaves = y.leaves(rounding)
    true = y.define(leaves)
    turned = y.with_tensors({place: y[place].flip(0, 1) for place in (0, 1, 2)}, cotangent=y.cotangent.flip(0, 1))
    subject.judge("output", posed.output(subject, turned).flip(0, 1), true.balls(), true.bound(), turned)
    expected = gradients(true, constant(plain(y.cotangent), rounding), [leaves[place] for place in y.wanted])
    request = Request(arguments=turned.arguments, keywords=turned.keywords, cotangent=turned.cotangent, wanted=turned.wanted)
    for place, found, gradient in zip(y.wanted, subject.answered(request, len(y.wanted)), expected, strict=True):
        subject.judge(f"gradient of {place}", found.flip(0, 1), gradient.balls(), gradient.bound(), turned)
