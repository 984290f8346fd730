"""Laws of attention by features (linear attention, random features), and of random projections.

What a projection should be is a statement about chances. Each such law draws with seeds that follow from the claim and from the example, and is broken by
chance in no more than LEVEL of all examples, by an inequality that holds for every sample size.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

import hypothesis.strategies as st
import numpy as np
import torch
from flint import arb
from scipy import stats

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.cases.linear_attention import linear_attention
from properties.cases.random_features import random_features
from properties.inputs import plain
from properties.oracle import Array, Balls
from properties.posed import Posed
from properties.subject import Subject, expect_shape, require, same
from properties.tracked import contract, irrational, softmax
from properties.verifies import law, needs

LEVEL = 1e-9
ENTRYWISE = ("elu+1", "exp", "relu+epsilon", "polynomial")  # φ ≥ 0 entry by entry


def positive(subject: Implementation) -> st.SearchStrategy[Posed]:
    """Calls whose features are not negative, with the values of the identity."""
    if subject.variant.name == "random-features":
        return random_features(subject, kinds=("positive",)).map(reading)
    return linear_attention(subject, maps=ENTRYWISE).map(reading)


def reading(x: Posed) -> Posed:
    """The call with the identity for values, so that its output is the weights."""
    b, h, m, _ = x[2].shape
    wide = max(m, 1)  # widths are not 0
    identity = torch.eye(m, wide, dtype=x[2].dtype).expand(b, h, m, wide).contiguous()
    return x.with_tensors({2: identity}, cotangent=torch.zeros(*x.cotangent.shape[:-1], wide, dtype=x[2].dtype))


@law("linear.weights-are-a-distribution", on=Trait.KERNELISED, draw=positive)
def test_weights_of_features_that_are_not_negative_are_not_negative(subject: Subject, x: Posed) -> None:
    """No rounding makes a sum of products of numbers ≥ 0 negative, and what is hidden has no weight at all, not even by rounding."""
    subject.saw(x.regimes)
    assert x.visible is not None
    weights, shown = posed.output(subject, x), torch.from_numpy(x.visible)
    true = posed.truth(subject, x)
    promised = torch.from_numpy(np.isfinite(true.bound()))
    require(bool((weights >= 0)[promised].all()), f"negative weights {weights.tolist()} on {x}")
    require(not shown.shape[-1] or bool((weights == 0)[~shown & promised].all()), f"hidden keys have weights {weights.tolist()} on {x}")
    subject.judge("weights", weights, true.balls(), true.bound(), x)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InParts:
    """A causal call, and lengths that sum to that of the sequence."""

    x: Posed
    parts: tuple[int, ...]


@st.composite
def in_parts(draw: st.DrawFn, subject: Implementation) -> InParts:
    """Cut anywhere: off the edges of chunks, at both ends, twice at one place."""
    x = draw(linear_attention(subject, causal=(True,)))
    n = x[0].shape[2]
    cuts = sorted(draw(st.lists(st.integers(0, n), min_size=1, max_size=4), label="cuts"))
    return InParts(x=x, parts=tuple(b - a for a, b in zip([0, *cuts], [*cuts, n], strict=True)))


def offers_parts(implementation: Implementation) -> str | None:
    return None if "parts" in implementation.offers and implementation.limits.causal else "offers no sequence in parts"


@law("linear.chunks-are-exact", on=Trait.KERNELISED, draw=in_parts, lacking=offers_parts)
def test_any_split_of_the_sequence_is_one_shot(subject: Subject, case: InParts) -> None:
    """Each part starts from the state that the one before leaves: together they are the definition of the whole."""
    subject.saw((*case.x.regimes, f"parts: {len(case.parts)}"))
    whole = posed.truth(subject, case.x)
    split = subject.call(*case.x.arguments, **case.x.keywords, parts=case.parts)
    expect_shape(split, tuple(case.x.cotangent.shape), case.x.cotangent.dtype)
    subject.judge(f"the sequence in parts of {case.parts}", split, whole.balls(), whole.bound(), case.x)


def causal(subject: Implementation) -> st.SearchStrategy[Posed]:
    """Causal calls of the subject's variant."""
    return random_features(subject, causal=(True,)) if subject.variant.name == "random-features" else linear_attention(subject, causal=(True,))


@law("linear.causal-is-recurrent", on=Trait.KERNELISED, draw=causal, lacking=needs("causal option"))
def test_a_causal_row_is_a_whole_call_on_the_keys_up_to_its_own(subject: Subject, x: Posed) -> None:
    """The last row of a causal call, by a call that is not causal and is given no more than the keys it sees."""
    n, m = x[0].shape[2], x[1].shape[2]
    if not n:
        return
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    balls, bound, seen = true.balls(), true.bound(), min(n, m)
    mask = x.keywords.get("attn_mask")
    keywords = {name: given for name, given in x.keywords.items() if name not in ("is_causal", "attn_mask")}
    if mask is not None:
        keywords["attn_mask"] = mask[..., :seen]
    output = subject.call(x[0][:, :, n - 1 :], x[1][:, :, :seen], x[2][:, :, :seen], *x.arguments[3:], **keywords)
    last = Balls(*(part[:, :, n - 1 :] for part in (balls.hi, balls.lo, balls.radius)))
    subject.judge("the last row alone", output, last, bound[:, :, n - 1 :], x)


def far_down(subject: Implementation) -> st.SearchStrategy[Posed]:
    """Calls of random features with long keys: an exponent w·k − |k|²/2 lies far below 0, that of a key 0."""
    if subject.variant.name != "random-features":
        return linear_attention(subject)
    return random_features(subject, kinds=("positive",), scales=(1.0, 4.0)).map(lambda x: x.with_tensors({1: 8 * x[1]}))


@law("linear.as-kernel-attention", "symmetry.query-equivariance", on=Trait.KERNELISED, draw=far_down)
def test_each_head_is_computed_alone_beside_a_silent_one(subject: Subject, x: Posed) -> None:
    """With the keys of the first head of the first sequence set to 0, where positive features are largest, all others have the same true output."""
    if x[0].shape[0] * x[0].shape[1] < 2:
        return
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    key = x[1].clone()
    key[0, 0] = 0
    output, balls, others = posed.output(subject, x.with_tensors({1: key})), true.balls(), (x[0].shape[0] * x[0].shape[1], *true.shape[2:])
    rest = Balls(*(part.reshape(others)[1:] for part in (balls.hi, balls.lo, balls.radius)))
    subject.judge("the other heads", output.flatten(0, 1)[1:], rest, true.bound().reshape(others)[1:], x)


def only_random_features(implementation: Implementation) -> str | None:
    return None if implementation.variant.name == "random-features" else "takes no projection"


def near_softmax(subject: Implementation) -> st.SearchStrategy[Posed]:
    """Positive features, some of them many, or of small numbers: where the estimate is near the kernel and where it is not."""
    if subject.variant.name != "random-features":  # and the law is not tried
        return linear_attention(subject)
    return random_features(subject, kinds=("positive",), features=(1, 8), scales=(None, 0.01))


@law("linear.weights-from-kernel-error", on=Trait.KERNELISED, draw=near_softmax, lacking=only_random_features)
def test_the_distance_to_softmax_attention_is_that_of_the_estimated_kernel(subject: Subject, x: Posed) -> None:
    """With κ̂_ij = κ_ij (1 + ε_ij), κ the exponential kernel and p softmax attention's weights, the output is no farther from softmax attention's o than
    Σ_j p_j |ε_j| |v_j − o| / (1 − Σ_j p_j |ε_j|): Σ_j p_j (1 + ε_j)(v_j − o) = Σ_j p_j ε_j (v_j − o), over Σ_j p_j (1 + ε_j)."""
    subject.saw(x.regimes)
    assert x.visible is not None
    rounding = subject.rounding(x.cotangent.dtype)
    leaves = x.leaves(rounding)
    d = x[0].shape[-1]
    scale = x.keywords.get("scale")
    factor = irrational(1 / arb(d).sqrt() if scale is None else arb(scale), rounding)
    weights = softmax(contract("bhnd,bhmd->bhnm", leaves[0], leaves[1]) * factor, x.visible)
    exactly = contract("bhnm,bhme->bhne", weights, leaves[2])
    off = estimate_errors(x, d**-0.5 if scale is None else scale)
    share = np.where(x.visible, weights.middle * off, 0.0)
    lost = share.sum(-1, keepdims=True)
    far = np.abs(leaves[2].middle[:, :, None] - exactly.middle[..., None, :])  # [B, H, N, M, E]
    with np.errstate(divide="ignore", invalid="ignore"):
        method = np.where(lost < 1, (share[..., None] * far).sum(-2) / (1 - lost), np.inf) * (1 + 2**-20)
    own = posed.truth(subject, x).bound()
    subject.judge("output beside softmax attention", posed.output(subject, x), exactly.balls(), method + own, x)


def estimate_errors(x: Posed, scale: float) -> Array:
    """|κ̂/κ − 1| [B, H, N, M] in float64, where w·(q + k) − |q + k|²/2 is the logarithm of one feature's estimate over the kernel; with its own error."""
    q, k, w = (plain(x[place]) for place in (0, 1, 3))
    both = math.sqrt(scale) * (q[..., :, None, :] + k[..., None, :, :])  # [B, H, N, M, D]
    along, half = both @ w.T, (both * both).sum(-1)[..., None] / 2
    exponents = along - half
    own = (both.shape[-1] + 8) * 2.0**-52 * (np.abs(both) @ np.abs(w.T) + half).max(-1, initial=0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.exp(exponents).mean(-1)
        found: Array = np.abs(mean - 1) + (np.expm1(own) + 2.0**-45) * (mean + 1)
    return found


def two_keys(subject: Implementation) -> st.SearchStrategy[Posed]:
    """Calls of one positive feature and the keys k and −k, with the identity for values."""
    if subject.variant.name != "random-features":
        return linear_attention(subject)
    unmasked = replace(subject, limits=replace(subject.limits, masks=("none",)))
    calls = random_features(unmasked, kinds=("positive",), features=(1,), causal=(False,), lengths=(2,))
    return calls.map(lambda x: reading(x.with_tensors({1: torch.cat((x[1][:, :, :1], -x[1][:, :, :1]), 2)})))


def two_long(implementation: Implementation) -> str | None:
    limits = implementation.limits
    fits = 2 % limits.multiple == 0 and (limits.widths is None or 2 in limits.widths) and limits.unequal_widths
    return only_random_features(implementation) or (None if fits else "takes no two keys with values of width 2")


@law("random_features.ratio-biased", on=Trait.KERNELISED, draw=two_keys, lacking=two_long)
def test_a_single_feature_weighs_opposite_keys_alike_on_average(subject: Subject, x: Posed) -> None:
    """Over the projections w and −w, which are equally likely, k and −k have the mean weight 1/2 each, whatever the query is: softmax gives them others."""
    subject.saw(x.regimes)
    turned = x.with_tensors({3: -x[3]})
    one, other = posed.output(subject, x), posed.output(subject, turned)
    bound = (posed.truth(subject, x).bound() + posed.truth(subject, turned).bound()) / 2
    half = np.full(bound.shape, 0.5)
    subject.judge("mean weights", (one.double() + other.double()) / 2, Balls(half, 0 * half, 0 * half), bound, x)


def seed_of(claim: str, number: int) -> int:
    """The seed of an example, from the claim that it is about."""
    return int.from_bytes(hashlib.sha256(f"{claim}/{number}".encode()).digest()[:6], "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Rows and width of a projection, its seed, and a direction to look along."""

    d: int
    seed: int
    direction: tuple[float, ...]
    blocks: int

    @property
    def unit(self) -> Array:
        along = np.asarray(self.direction)
        return np.asarray(along / np.linalg.norm(along))


@st.composite
def drawn(draw: st.DrawFn, subject: Implementation, claim: str = "rounding.gamma", widths: tuple[int, ...] = (1, 2, 3, 5, 8), blocks: int = 1500) -> Draw:
    """Along a coordinate, against it, or across."""
    d = draw(st.sampled_from(widths), label="d")
    first = [1.0] + [0.0] * (d - 1)
    direction = draw(st.sampled_from((first, [-x for x in first], first[::-1], [1.0] * d)), label="direction")
    return Draw(d=d, seed=seed_of(claim, draw(st.integers(0, 999), label="seed")), direction=tuple(direction), blocks=blocks)


def blocks_of(subject: Subject, x: Draw) -> Array:
    """Independent blocks of d rows: [blocks, d, d]."""
    subject.saw((f"d: {x.d}",))
    rows = subject.call(x.blocks * x.d, x.d, x.seed)
    expect_shape(rows, (x.blocks * x.d, x.d), torch.float64)
    return plain(rows).reshape(x.blocks, x.d, x.d)


def farthest(sample: Array, distribution: Array) -> float:
    """sup |F_N − F| of a sample, given F at its sorted points."""
    steps = np.arange(sample.size + 1) / sample.size
    return float(max((steps[1:] - distribution).max(), (distribution - steps[:-1]).max()))


def massart(count: int, tests: int) -> float:
    """What the distance of an empirical distribution of `count` independent draws exceeds with a chance of at most LEVEL / tests: Massart 1990,
    P(sup |F_N − F| > t) ≤ 2 exp(−2 N t²), whatever F is."""
    return math.sqrt(math.log(2 * tests / LEVEL) / (2 * count))


@law("random_features.positive-unbiased", on=Trait.PROJECTION, draw=drawn)
def test_each_row_is_standard_normal_along_every_direction(subject: Subject, x: Draw) -> None:
    """Row r of independent blocks: w·u has the normal distribution for a unit vector u. What makes E exp(w·z) = exp(|z|²/2), and so the estimate unbiased."""
    rows = blocks_of(subject, x) @ x.unit  # [blocks, d]
    limit = massart(x.blocks, x.d)
    for r in range(x.d):
        sample = np.sort(rows[:, r])
        distance = farthest(sample, stats.norm.cdf(sample))
        subject.within(f"distance of row {r} from the normal distribution", np.asarray([distance]), np.asarray([limit]), x)


@law("random_features.orthogonal-unbiased", on=Trait.PROJECTION, draw=drawn)
def test_squared_norms_of_rows_are_chi_squared(subject: Subject, x: Draw) -> None:
    norms = (blocks_of(subject, x) ** 2).sum(-1)
    limit = massart(x.blocks, x.d)
    for r in range(x.d):
        sample = np.sort(norms[:, r])
        distance = farthest(sample, stats.chi2.cdf(sample, x.d))
        subject.within(f"distance of the squared norm of row {r} from chi-squared", np.asarray([distance]), np.asarray([limit]), x)


GROUPS = math.ceil(8 * math.log(1 / LEVEL))  # 166
GROUP = 300


def for_means(subject: Implementation) -> st.SearchStrategy[Draw]:
    return drawn(subject, widths=(1, 2, 3), blocks=GROUPS * GROUP)


@law("random_features.positive-unbiased", on=Trait.PROJECTION, draw=for_means)
def test_the_estimate_of_the_exponential_kernel_is_unbiased(subject: Subject, x: Draw) -> None:
    """The median of group means lies within 2 σ/√g of e^(x·y): Chebyshev gives each of the k means a chance of 1/4 to lie beyond, and Hoeffding the median
    one of e^(−k/8). σ² = e^(2x·y)(e^(|x + y|²) − 1) is the variance of one row's estimate; that of a block's mean is no larger, however its rows depend."""
    z = x.unit  # x = y = z/2
    kernel = math.exp(z @ z / 4)
    blocks = np.exp(blocks_of(subject, x) @ z - z @ z / 4).mean(-1)  # exp(w·x − |x|²/2) exp(w·y − |y|²/2)
    median = float(np.median(blocks.reshape(GROUPS, GROUP).mean(-1)))
    sigma = kernel * math.sqrt(math.expm1(z @ z))
    subject.within("bias of the estimate", np.asarray([abs(median - kernel)]), np.asarray([2 * sigma / math.sqrt(GROUP)]), x)


@law("random_features.positive-variance", on=Trait.PROJECTION, draw=for_means)
def test_the_estimate_has_the_variance_in_closed_form(subject: Subject, x: Draw) -> None:
    """Its second moment, e^(2x·y + |x + y|²), by the median of group means. The variance of a squared row is e^(4x·y)(e^(6|x + y|²) − e^(2|x + y|²))."""
    z = x.unit / 2  # x = y = z/2
    once, square = math.exp(z @ z / 4), z @ z
    rows = np.exp(blocks_of(subject, x)[:, 0] @ z - square / 4)
    median = float(np.median((rows**2).reshape(GROUPS, GROUP).mean(-1)))
    sigma = once**2 * math.sqrt(math.exp(6 * square) - math.exp(2 * square))
    subject.within("error of the second moment", np.asarray([abs(median - once**2 * math.exp(square))]), np.asarray([2 * sigma / math.sqrt(GROUP)]), x)


@law("random_features.positive-unbiased", on=Trait.PROJECTION, draw=drawn)
def test_a_projection_is_its_seed_s_and_a_longer_one_is_another_draw(subject: Subject, x: Draw) -> None:
    """Any number of rows, whole blocks or not; the same for the same seed, bit by bit, and different for another."""
    count = 2 * x.d + 1
    first, again, other = (subject.call(count, x.d, seed) for seed in (x.seed, x.seed, x.seed + 1))
    expect_shape(first, (count, x.d), torch.float64)
    require(same(first, again), f"two draws differ on {x}")
    require(not bool((first == other).any()), f"another seed repeats numbers on {x}")


def orthogonal(implementation: Implementation) -> str | None:
    return None if "orthogonal rows" in implementation.offers else "offers no orthogonal rows"


@law("random_features.orthogonal-unbiased", on=Trait.PROJECTION, draw=drawn, lacking=orthogonal)
def test_rows_of_a_block_are_orthogonal(subject: Subject, x: Draw) -> None:
    """To what Householder's method leaves of it, by the count of Higham 2002, lemma 19.3: a reflection I − τ v vᵀ, τ|v|² = 2, τ and v with relative errors
    γ_{d+4}, moves a unit vector by 6 γ_{d+4} + 2 γ_{d+2} + 3u ≤ 8 (d + 5) u too far; d of them do so for each of two rows, and their product rounds."""
    rows = blocks_of(subject, x)
    norms = np.linalg.norm(rows, axis=-1)
    products = np.abs(rows @ rows.swapaxes(-1, -2)) * (1 - np.eye(x.d))
    roundings = 16 * x.d * (x.d + 5) + x.d + 4
    limit = (1 + 2**-20) * roundings * 2.0**-53 * norms[..., :, None] * norms[..., None, :]
    subject.within("products of rows", products, limit, x)
