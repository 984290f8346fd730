"""Try to exceed the error bounds: attention computed with every rounding chosen by an adversary, at a unit roundoff so large that float64 is exact beside it.

Each operation's result is multiplied by (1 + δ), |δ| ≤ u, or moved by η, |η| ≤ tiny, where it is that small. The adversary differentiates one error
with respect to every δ and η, and sets each to the end of its range that enlarges the error: to first order nothing larger can happen.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from flint import arb
from torch import Tensor

from impl.variant import Arithmetic
from properties import oracle, tolerance
from properties.oracle import Array, Problem
from properties.tolerance import Rounding

U = 2.0**-12
TINY = 2.0**-60
QUANTITIES = ("output", "log_sum_exp", "d_q", "d_k", "d_v", "d_scores")
Results = dict[str, Tensor]


@dataclass(slots=True)
class Adversary:
    """Hands out one number in [−1, 1] for each rounding, in the order of the operations; `played` are those of an earlier run."""

    arithmetic: Rounding
    start: Callable[[tuple[int, ...]], Tensor]
    played: list[Tensor] = field(default_factory=list)
    leaves: list[Tensor] = field(default_factory=list)

    def within(self, x: Tensor, relative: float, absolute: float = 0.0) -> Tensor:
        """`x` with a relative error of at most `relative`, or an absolute one of at most `absolute` where x is smaller than that; 0 stays 0."""
        at = len(self.leaves)
        leaf = (self.played[at] if at < len(self.played) else self.start(tuple(x.shape))).detach().requires_grad_()
        self.leaves.append(leaf)
        vanishing = (x.detach().abs() < absolute) & (x.detach() != 0)
        return torch.where(vanishing, x + absolute * leaf, x * (1 + relative * leaf))

    def rounded(self, x: Tensor) -> Tensor:
        return self.within(x, self.arithmetic.u, self.arithmetic.tiny)

    def raised(self, x: Tensor) -> Tensor:
        """exp(x), never negative."""
        return self.within(torch.exp(x), self.arithmetic.exp, self.arithmetic.tiny).clamp(min=0)

    def narrowed(self, x: Tensor) -> Tensor:
        """A weight, or its gradient, in the dtype in which weights meet values."""
        return self.within(x, self.arithmetic.u_weights, self.arithmetic.least_weights) if self.arithmetic.u_weights else x

    def stored(self, x: Tensor) -> Tensor:
        """A result in the output dtype."""
        return self.within(x, self.arithmetic.u_out, self.arithmetic.least_out)

    def total(self, terms: Tensor, order: Callable[[int], list[int]]) -> Tensor:
        """The last axis summed in some order, each partial sum rounded."""
        parts = [terms[..., t] for t in order(terms.shape[-1])]
        if not parts:
            return terms.sum(-1)
        return functools.reduce(lambda x, y: self.rounded(x + y), parts)

    def product(self, x: Tensor, y: Tensor, order: Callable[[int], list[int]]) -> Tensor:
        """x [..., A, C] times y [..., C, B] → [..., A, B]."""
        return self.total(self.rounded(x[..., :, None, :] * y[..., None, :, :].transpose(-1, -2)), order)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the emulator goes about it: tiles of keys, the order of every sum, the stabiliser's offset for each tile, and how backward finds D."""

    tiles: tuple[tuple[int, ...], ...]
    order: Callable[[int], list[int]]
    offsets: tuple[float, ...]
    delta_from_output: bool


def emulate(problem: Problem, plan: Plan, adversary: Adversary) -> Results:
    """Forward and backward with roundings. float64 tensors; hidden keys have the score −∞."""
    adversary.leaves.clear()
    group = problem.q.shape[1] // problem.k.shape[1]
    q, k, v, bias, g = (torch.tensor(x) for x in (problem.q, *(np.repeat(x, group, 1) for x in (problem.k, problem.v)), problem.bias, problem.g))
    scale = float(problem.scale.mid())
    seen = torch.tensor(problem.visible)
    a, declared = adversary, adversary.arithmetic.declared
    saved = scores(a, q, k, bias, seen, scale, plan)
    top, mass, summed = fold(a, saved, v, plan) if declared.tile else one_pass(a, saved, v, plan)
    o = a.rounded(summed / torch.where(mass == 0, 1.0, mass)) if declared.tile else summed
    logarithm = a.within(torch.log(torch.where(mass == 0, 1.0, mass)), declared.exp_ulp * 2 * a.arithmetic.u)
    lse = torch.where(mass == 0, -math.inf, a.rounded(top + logarithm))
    result = {"output": a.stored(o), "log_sum_exp": lse[..., 0]}
    result |= backward(a, problem, plan, (q, k, v, g), scores(a, q, k, bias, seen, scale, plan), (o, top, mass, lse))
    return result


def scores(a: Adversary, q: Tensor, k: Tensor, bias: Tensor, seen: Tensor, scale: float, plan: Plan) -> Tensor:
    """`score_roundings` of them beyond the product: the scale's own, its application, the rest after the bias was added."""
    count = a.arithmetic.declared.score_roundings
    s = a.product(q, k.transpose(-1, -2), plan.order)
    if count:
        s = a.rounded(s * scale)
    else:
        s = s * scale
    s = s + bias
    for _ in range(count - 1):
        s = a.rounded(s)
    return torch.where(seen, s, -math.inf)


def exponent(a: Adversary, s: Tensor, top: Tensor) -> Tensor:
    """s − top with `exponent_roundings` roundings; −∞ where the key is hidden."""
    gap = torch.where(s == -math.inf, 0.0, s - top)
    for _ in range(a.arithmetic.declared.exponent_roundings):
        gap = a.rounded(gap)
    return torch.where(s == -math.inf, -math.inf, gap)


def stabiliser(s: Tensor, offset: float) -> Tensor:
    """The largest score and an offset, 0 where no key is visible."""
    top = s.amax(-1, keepdim=True)
    return torch.where(top == -math.inf, 0.0, top + offset).detach()


def one_pass(a: Adversary, s: Tensor, v: Tensor, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    """Stabiliser, mass and output by the definition: weights are divided by the mass, then meet the values."""
    top = stabiliser(s, plan.offsets[0])
    w = a.raised(exponent(a, s, top))
    mass = a.total(w, plan.order)[..., None]
    weights = a.narrowed(a.rounded(w / torch.where(mass == 0, 1.0, mass)))
    return top, mass, a.product(weights, v, plan.order)


def fold(a: Adversary, s: Tensor, v: Tensor, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    """Stabiliser, mass and sum, tile by tile; the stabiliser never falls, and the first merge is one with nothing."""
    top = torch.full_like(s[..., :1], -math.inf)
    mass, summed = torch.zeros_like(top), torch.zeros_like(s[..., :1] * v[..., :1, :])
    for tile, offset in zip(plan.tiles, plan.offsets, strict=True):
        part = s[..., list(tile)]
        local = part.amax(-1, keepdim=True).detach()
        fresh = torch.where(local == -math.inf, 0.0, local)
        w = a.raised(exponent(a, part, fresh))
        sum_of_tile, mass_of_tile = a.product(a.narrowed(w), v[..., list(tile), :], plan.order), a.total(w, plan.order)[..., None]
        after = torch.maximum(top, local + offset)
        base = torch.where(after == -math.inf, 0.0, after)
        left, right = a.raised(exponent(a, top, base)), a.raised(exponent(a, local, base))
        mass = a.rounded(a.rounded(mass * left) + a.rounded(mass_of_tile * right))
        summed = a.rounded(a.rounded(summed * left) + a.rounded(sum_of_tile * right))
        top = after
    return torch.where(top == -math.inf, 0.0, top), mass, summed


def backward(a: Adversary, problem: Problem, plan: Plan, inputs: tuple[Tensor, ...], s: Tensor, kept: tuple[Tensor, ...]) -> Results:
    q, k, v, g = inputs
    o, top, mass, lse = kept
    scale = torch.tensor(float(problem.scale.mid()), dtype=torch.float64)
    factor = a.rounded(a.rounded(scale))
    if a.arithmetic.declared.recompute == "log-sum-exp":
        p = a.raised(exponent(a, s, torch.where(lse == -math.inf, 0.0, lse)))
    else:
        p = a.rounded(a.raised(exponent(a, s, top)) / torch.where(mass == 0, 1.0, mass))
    d_p = a.narrowed(a.product(g, v.transpose(-1, -2), plan.order))
    saved = a.within(o, a.arithmetic.u_saved, a.arithmetic.least_out) if a.arithmetic.u_saved else o
    delta = a.total(a.rounded(g * saved), plan.order) if plan.delta_from_output else a.total(a.rounded(a.narrowed(p) * d_p), plan.order)
    d_s = a.narrowed(a.rounded(a.narrowed(p) * a.rounded(d_p - delta[..., None])))
    heads = [a.rounded(a.product(d_s, k, plan.order) * factor), a.rounded(a.product(d_s.transpose(-1, -2), q, plan.order) * factor)]
    d_q, d_k, d_v = heads[0], heads[1], a.product(a.narrowed(p).transpose(-1, -2), g, plan.order)
    groups = problem.k.shape[1]

    def shared(x: Tensor) -> Tensor:
        """Every query head's part in the output dtype, then summed in it over the heads that share a key head."""
        parts = a.stored(x).unflatten(1, (groups, -1)).unbind(2)
        summed: Tensor = functools.reduce(lambda y, z: a.stored(y + z), parts)
        return summed

    return {"d_q": a.stored(d_q), "d_k": shared(d_k), "d_v": shared(d_v), "d_scores": d_s}


def bounds(problem: Problem, truth: oracle.Truth, arithmetic: Rounding) -> dict[str, tuple[Array, Array]]:
    """For each quantity its true value and its bound."""
    ahead = tolerance.forward(problem, truth, arithmetic)
    after = tolerance.backward(problem, truth, arithmetic, ahead)
    assert truth.d_q is not None
    assert truth.d_k is not None
    assert truth.d_v is not None
    assert truth.d_scores is not None
    return {
        "output": (truth.output.hi, ahead.output),
        "log_sum_exp": (truth.log_sum_exp.hi, ahead.log_sum_exp),
        "d_q": (truth.d_q.hi, after.d_q),
        "d_k": (tolerance.shared(truth.d_k.hi, problem), after.d_k),
        "d_v": (tolerance.shared(truth.d_v.hi, problem), after.d_v),
        "d_scores": (truth.d_scores.hi, after.d_scores),
    }


def ratio(actual: Tensor, true: Array, bound: Array) -> Array:
    """|actual − true| / bound per element: 0 where both agree, infinities included; infinite where either is not a number."""
    found = actual.detach().numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(found == true, 0.0, np.abs(found - true) / bound)
    return np.where(np.isnan(ratios), np.inf, ratios)


def attacked(problem: Problem, plan: Plan, adversary: Adversary, quantity: str, limits: dict[str, tuple[Array, Array]], random: np.random.Generator) -> float:
    """The worst error/bound of `quantity` that the adversary reaches, going for one randomly chosen element up and down."""
    true, bound = limits[quantity]
    alive = np.argwhere(np.isfinite(true) & (bound > 0))
    if not len(alive):
        return 0.0
    at = tuple(alive[random.integers(len(alive))])
    worst = 0.0
    for sign in (1.0, -1.0):
        adversary.played, adversary.start = [], lambda shape: torch.zeros(shape, dtype=torch.float64)
        for _ in range(2):
            actual = emulate(problem, plan, adversary)[quantity]
            worst = max(worst, float(ratio(actual, true, bound).max()))
            slopes = torch.autograd.grad(sign * actual[at], adversary.leaves, allow_unused=True, materialize_grads=True)
            adversary.played = [slope.sign() for slope in slopes]
        worst = max(worst, float(ratio(emulate(problem, plan, adversary)[quantity], true, bound).max()))
    return worst


# Cases: what is drawn.


def orderly(count: int) -> list[int]:
    return list(range(count))


def shuffled(random: np.random.Generator) -> Callable[[int], list[int]]:
    """One fixed order for every length."""
    orders = [random.permutation(count).tolist() for count in range(16)]
    return lambda count: orders[count]


KINDS = (
    "normal",
    "one huge",
    "equal",
    "shifted",
    "shifted far",
    "rising",
    "falling",
    "offset values",
    "biased",
    "hidden",
    "one key",
    "dead row",
    "grouped",
    "vanishing",
    "zero",
)


def posed(kind: str, random: np.random.Generator) -> Problem:
    """A small problem of that kind. Scores of hundreds at u = 2⁻¹² stand for −6e4 and worse at float32's 2⁻²⁴."""
    n, m, d, e = (int(random.integers(low, high)) for low, high in ((1, 4), (1, 7), (1, 4), (1, 3)))
    h, kv = (3, 1) if kind == "grouped" else (1, 1)
    m = 1 if kind == "one key" else m
    q, k, v, g = (random.standard_normal(shape) for shape in ((1, h, n, d), (1, kv, m, d), (1, kv, m, e), (1, h, n, e)))
    scale = 2.0 ** -int(random.integers(0, 3))
    lifts = {
        "shifted": np.full(m, -15.0),
        "shifted far": np.full(m, -250.0),
        "rising": 4.0 * np.arange(m),
        "falling": -30.0 * np.arange(m),
        "vanishing": -14.0 * np.arange(m),
    }
    if kind in lifts or kind == "one huge":
        q[..., 0], k[..., 0] = 1, lifts.get(kind, 60.0 * (np.arange(m) == m // 2)) / scale
    if kind == "equal":
        k[...] = k[:, :, :1]
    if kind == "offset values":
        v += 100
    if kind in ("vanishing", "zero"):
        v, g = v * 2.0 ** -(50 if kind == "vanishing" else 0), g * (kind != "zero")
    visible = np.ones((1, h, n, m), dtype=np.bool_)
    if kind in ("hidden", "grouped"):
        visible = random.random(visible.shape) < 0.6
    if kind == "dead row":
        visible[:, :, 0] = False
    bias = random.standard_normal(visible.shape) * (100 if kind == "biased" else 0)
    return Problem(q=q, k=k, v=v, bias=bias, visible=visible, scale=arb(scale), g=g)


def arithmetic(declared: Arithmetic, **fields: float) -> Rounding:
    """The arithmetic at unit roundoff U; half-like dtypes are 2⁻⁷."""
    narrow = {"weights": declared.weights == "input", "saved": declared.saved_output == "input"}
    given = {
        "u": U, "tiny": TINY, "u_out": 2.0**-7, "least_out": TINY, "exp": declared.exp_ulp * 2 * U,
        "u_weights": 2.0**-7 * narrow["weights"], "least_weights": 2.0**-40 * narrow["weights"], "u_saved": 2.0**-7 * narrow["saved"],
    }  # fmt: skip
    return Rounding(declared=declared, **given | fields)


PLAIN = Arithmetic(score_roundings=3, exponent_roundings=1, tile=None)
ARITHMETICS = {
    "one pass": PLAIN,
    "tiles of two": replace(PLAIN, tile=2),
    "tiles of one, four roundings of an exponent": replace(PLAIN, tile=1, score_roundings=6, exponent_roundings=4),
    "weights rounded": replace(PLAIN, weights="input", saved_output="input"),
    "from the log-sum-exp": replace(PLAIN, tile=2, recompute="log-sum-exp"),
    "all of these": replace(PLAIN, tile=1, weights="input", saved_output="input", recompute="log-sum-exp"),
    "stabiliser apart": replace(PLAIN, stabiliser=3.0),
    "stabiliser apart, in tiles": replace(PLAIN, stabiliser=3.0, tile=1),
}


def planned(problem: Problem, declared: Arithmetic, random: np.random.Generator) -> Plan:
    """Tiles of at least the declared size in a random order of the keys, or none; offsets within the declared reach."""
    keys = problem.k.shape[2]
    order = random.permutation(keys).tolist()
    tile = declared.tile or max(keys, 1)
    tiles = tuple(tuple(order[at : at + tile]) for at in range(0, keys, tile))
    offsets = tuple(float(random.choice([-1, 0, 1])) * declared.stabiliser for _ in tiles) or (0.0,)
    summing = orderly if random.random() < 0.5 else shuffled(random)
    return Plan(tiles=tiles, order=summing, offsets=offsets, delta_from_output=bool(random.random() < 0.5))


def worst_of(kind: str, actual: Rounding, judged: Rounding, quantity: str, seeds: range) -> float:
    """The worst error/bound over some problems of a kind, computed in the arithmetic `actual` and judged by the bounds for `judged`."""
    worst = 0.0
    for seed in seeds:
        random = np.random.default_rng(seed)
        problem = posed(kind, random)
        limits = bounds(problem, oracle.attention(problem), judged)
        adversary = Adversary(actual, lambda shape: torch.zeros(shape, dtype=torch.float64))
        worst = max(worst, attacked(problem, planned(problem, actual.declared, random), adversary, quantity, limits, random))
    return worst


@functools.cache
def reached() -> dict[tuple[str, str, str], float]:
    """The worst error/bound by arithmetic, kind and quantity: one problem each, every arithmetic with problems of its own."""
    found = {}
    for number, (name, declared) in enumerate(ARITHMETICS.items()):
        for kind in KINDS:
            for quantity in QUANTITIES:
                found[name, kind, quantity] = worst_of(kind, arithmetic(declared), arithmetic(declared), quantity, range(number, number + 1))
    return found


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors of a dozen numbers are slower on two threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_no_adversary_exceeds_a_bound() -> None:
    exceeded = {case: worst for case, worst in reached().items() if worst > 1}
    assert not exceeded


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_bound_is_approached(quantity: str) -> None:
    """A bound first order in u, whose terms can all be reached at once, is reached up to what its whole counts leave over: within a factor of two somewhere."""
    assert max(worst for case, worst in reached().items() if case[2] == quantity) > 0.5


@pytest.mark.parametrize("arithmetic_name", ARITHMETICS)
def test_every_arithmetic_is_judged_sharply(arithmetic_name: str) -> None:
    """Within a factor of four for each quantity: counts hold for every order of a sum, so one order leaves some of them unused."""
    for quantity in QUANTITIES:
        assert max(worst for case, worst in reached().items() if case[0] == arithmetic_name and case[2] == quantity) > 0.25, quantity


@pytest.mark.parametrize("kind", ["normal", "one huge", "rising", "grouped"])
def test_roundings_of_one_sign_or_of_random_signs_stay_within_too(kind: str) -> None:
    """Beyond first order: every rounding at the same end of its range, or at a random end."""
    random = np.random.default_rng(7)
    for declared in ARITHMETICS.values():
        problem, actual = posed(kind, random), arithmetic(declared)
        limits = bounds(problem, oracle.attention(problem), actual)
        for start in (torch.ones, lambda shape, **_: -torch.ones(shape, dtype=torch.float64), signs(random), signs(random)):
            adversary = Adversary(actual, lambda shape, start=start: start(shape, dtype=torch.float64))  # type: ignore[misc]
            results = emulate(problem, planned(problem, declared, random), adversary)
            assert all((ratio(results[quantity], *limits[quantity]) <= 1).all() for quantity in QUANTITIES)


def signs(random: np.random.Generator) -> Callable[..., Tensor]:
    return lambda shape, **_: torch.tensor(random.choice([-1.0, 1.0], size=shape))


class Halved(Rounding):
    """γ with half of every count."""

    def gamma(self, operations: float | Array) -> Array:
        return Rounding.gamma(self, np.asarray(operations) / 2)


BARE = {"u_out": 0.0, "least_out": 0.0, "exp": 0.0}  # nothing but the accumulator rounds
COUNTED = replace(PLAIN, score_roundings=0, exp_ulp=0.0)
TOO_SMALL: dict[
    str, tuple[str, str, Arithmetic, dict[str, float], dict[str, Any]]
] = {  # what is left out of the bound: the kind of problem, the quantity, the arithmetic, and what the bound is told instead
    "half of every count": ("one huge", "output", PLAIN, BARE, {"halved": True}),
    "half of every count, backward": ("one huge", "d_k", PLAIN, BARE, {"halved": True}),
    "roundings of the score": ("shifted far", "output", PLAIN, BARE, {"score_roundings": 0}),
    "roundings of the exponent": ("falling", "d_scores", replace(COUNTED, exponent_roundings=9), BARE, {"exponent_roundings": 0}),
    "merges": ("equal", "output", replace(COUNTED, tile=1, exp_ulp=4.0), {"u_out": 0.0}, {"tile": None}),
    "the exponential's error": ("equal", "output", replace(COUNTED, exp_ulp=9.0), {"u_out": 0.0}, {"exp": 0.0}),
    "the logarithm's error": ("equal", "log_sum_exp", replace(COUNTED, exp_ulp=9.0), {"u_out": 0.0}, {"exp": 0.0}),
    "the stabiliser's distance": ("one key", "log_sum_exp", replace(COUNTED, stabiliser=8.0), BARE, {"stabiliser": 0.0}),
    "rounded weights": ("normal", "output", replace(PLAIN, weights="input"), BARE, {"u_weights": 0.0}),
    "rounded gradient of the weights": ("normal", "d_scores", replace(PLAIN, weights="input"), BARE, {"u_weights": 0.0}),
    "the smallest rounded weight": ("vanishing", "d_scores", replace(PLAIN, weights="input"), BARE, {"least_weights": 0.0}),
    "the rounded output": ("normal", "output", PLAIN, {}, {"u_out": 0.0}),
    "the output saved rounded": ("offset values", "d_scores", replace(PLAIN, saved_output="input"), BARE, {"u_saved": 0.0}),
    "weights rebuilt from a rounded log-sum-exp": ("shifted far", "d_v", replace(PLAIN, recompute="log-sum-exp"), BARE, {"recompute": "max-and-sum"}),
    "underflow": ("vanishing", "d_q", PLAIN, BARE, {"tiny": 0.0}),
}


@pytest.mark.parametrize("left_out", TOO_SMALL)
def test_a_bound_with_anything_left_out_is_exceeded(left_out: str) -> None:
    kind, quantity, declared, fields, told = TOO_SMALL[left_out]
    actual = arithmetic(declared, **fields)
    judged = replace(actual, **{name: value for name, value in told.items() if hasattr(actual, name)})
    judged = replace(judged, declared=replace(declared, **{name: value for name, value in told.items() if hasattr(declared, name)}))
    if "halved" in told:
        judged = Halved(**{name: getattr(judged, name) for name in Rounding.__dataclass_fields__})
    assert worst_of(kind, actual, judged, quantity, range(4)) > 1
    assert worst_of(kind, actual, actual, quantity, range(4)) <= 1


def test_a_bound_that_forgets_the_bias_is_exceeded() -> None:
    """The size of a score's error is that of everything that was added up, and a bias may be most of it."""
    random = np.random.default_rng(1)
    problem, actual = posed("biased", random), arithmetic(PLAIN, **BARE)
    truth = oracle.attention(problem)
    forgetful = bounds(replace(problem, bias=np.zeros_like(problem.bias)), truth, actual)
    adversary = Adversary(actual, lambda shape: torch.zeros(shape, dtype=torch.float64))
    assert attacked(problem, planned(problem, PLAIN, random), adversary, "log_sum_exp", forgetful, random) > 1


@pytest.mark.parametrize("kind", ["normal", "one huge", "offset values", "hidden", "dead row"])
def test_inputs_that_already_carry_an_error_are_allowed_for(kind: str) -> None:
    """Keys and values moved by known amounts: the bound for the unmoved problem covers attention with the moved ones."""
    worst = 0.0
    for seed in range(4):
        random = np.random.default_rng(seed)
        problem, actual = posed(kind, random), arithmetic(PLAIN)
        off_k, off_v = 2.0**-9 * np.abs(problem.k), 2.0**-5 * np.abs(problem.v)
        off_s = abs(float(problem.scale.mid())) * np.abs(problem.q) @ tolerance.heads(off_k, problem).swapaxes(-1, -2)
        truth = oracle.attention(problem)
        limits = {"output": (truth.output.hi, tolerance.forward(problem, truth, actual, (off_s, off_v)).output)}
        for sign in (1, -1):
            moved = replace(problem, k=problem.k + sign * off_k * np.sign(problem.k), v=problem.v + off_v)
            adversary = Adversary(actual, lambda shape: torch.zeros(shape, dtype=torch.float64))
            worst = max(worst, attacked(moved, planned(moved, PLAIN, random), adversary, "output", limits, random))
    assert 0.5 < worst <= 1


@pytest.mark.parametrize("kind", ["normal", "one huge", "shifted far", "rising", "hidden"])
def test_merged_parts_stay_within_their_bound(kind: str) -> None:
    """Parts whose outputs and log-sum-exps lie at the ends of their bounds, merged."""
    worst = 0.0
    for seed in range(4):
        random = np.random.default_rng(seed)
        problem, actual = posed(kind, random), arithmetic(PLAIN)
        cut = problem.k.shape[2] // 2
        pieces = [
            replace(problem, k=problem.k[:, :, keys], v=problem.v[:, :, keys], bias=problem.bias[..., keys], visible=problem.visible[..., keys])
            for keys in (slice(None, cut), slice(cut, None))
        ]
        truths = [oracle.attention(piece) for piece in pieces]
        aheads = [tolerance.forward(piece, truth, actual) for piece, truth in zip(pieces, truths, strict=True)]
        whole = oracle.attention(problem)
        for first, second in ((1, 1), (1, -1), (-1, 1)):
            parts = [
                (truth.output.hi + first * ahead.output, truth.log_sum_exp.hi + sign * ahead.log_sum_exp, truth, ahead)
                for truth, ahead, sign in zip(truths, aheads, (second, -second), strict=True)
            ]
            merged, limit = tolerance.merged(parts, whole)
            worst = max(worst, float(ratio(torch.tensor(merged), whole.output.hi, limit).max()))
    assert 0.4 < worst <= 1


def test_gamma_covers_every_product_of_roundings() -> None:
    """(1 + u)^k − 1 and (1 − u)^−k − 1 are at most γ_k, and by no more than a tenth while k u is below a tenth."""
    bounding = arithmetic(PLAIN)
    for k in range(1, 400):
        gamma = float(bounding.gamma(k))
        assert (1 + U) ** k - 1 < (1 - U) ** -k - 1 <= gamma * tolerance.SLACK
        assert gamma <= 1.1 * ((1 - U) ** -k - 1)
    assert bounding.gamma(1 / U) == np.inf  # too many operations: no promise


def test_a_weight_that_vanishes_beside_a_huge_bias_spoils_no_bound() -> None:
    """A key pushed away by the most negative float costs the others nothing: the bound stays finite and small."""
    random = np.random.default_rng(3)
    problem = posed("normal", random)
    far = np.finfo(np.float32).min * (np.arange(problem.k.shape[2]) == problem.k.shape[2] - 1)
    pushed = replace(problem, bias=problem.bias + far) if problem.k.shape[2] > 1 else problem
    limits = bounds(pushed, oracle.attention(pushed), tolerance.rounding(torch.float32, PLAIN))
    assert all(np.isfinite(bound).all() for _, bound in limits.values())
    assert limits["output"][1].max() < 2.0**-16
