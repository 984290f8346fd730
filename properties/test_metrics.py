"""Laws of what is measured on maps of weights: distances, detectors, agreement with trees, people and other trainings; also on maps known by hand."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import torch
from flint import arb, fmpq
from torch import Tensor

from impl.trait import Trait
from properties import posed
from properties.inputs import plain
from properties.oracle import Array, Balls, _balls
from properties.posed import any_case
from properties.reading import Reading
from properties.subject import Subject, require
from properties.test_information import dyadic, everywhere
from properties.verifies import law

# --------------------------------------------------------------------------------------------------------------------- maps that are known by hand


def uniform(n: int, m: int) -> Tensor:
    return torch.full((n, m), 1 / max(m, 1), dtype=torch.float64)


def diagonal(n: int, m: int) -> Tensor:
    """Each row on its own place, as far as there are keys; the rest on the last one."""
    return pointing([min(i, m - 1) for i in range(n)], m)


def previous(n: int, m: int) -> Tensor:
    """Each row on the place before its own, the first one on itself."""
    return pointing([min(max(i - 1, 0), m - 1) for i in range(n)], m)


def sink(n: int, m: int) -> Tensor:
    """All rows on the first key."""
    return pointing([0] * n, m)


def pointing(keys: list[int], m: int) -> Tensor:
    """One-hot rows."""
    found = torch.zeros(len(keys), m, dtype=torch.float64)
    for i, key in enumerate(keys):
        found[i, key] = 1
    return found


def on(x: Reading, one: Tensor) -> Reading:
    """The call with one map in place of each of its own."""
    return x.with_tensors({0: one.to(x[0].dtype).expand(x[0].shape).contiguous()})


def fractions(values: list[Fraction], like: Array) -> Balls:
    """The same numbers along the last axes of an array."""
    balls = [arb(fmpq(v.numerator, v.denominator)) for v in values]
    return _balls(balls * (like.size // max(len(values), 1)), like.shape)


def agree(subject: Subject, x: Reading, values: list[Fraction], what: str) -> None:
    """Require what is read of the call's map to be these numbers, for each map alike, within the bound that they have by the definition."""
    bound = posed.truth(subject, x).bound()
    subject.judge(what, posed.output(subject, x), fractions(values, bound), bound, x)


# --------------------------------------------------------------------------------------------------------------------------------------- distance


@law("metrics.distance-closed-forms", on=Trait.DISTANCE, draw=any_case)
def test_distances_of_known_maps(subject: Subject, x: Reading) -> None:
    """Hand-computed, for rows at start + i: |start + i − j| of a row that points at j, exactly; the mean of |start + i − j| over all keys for uniform rows,
    which makes (N² − 1) / (3 N) for a whole map of N = M from 0 on."""
    n, m = x[0].shape[-2:]
    if not n or not m:
        return
    subject.saw(x.regimes)
    start, head = x.keywords.get("start", 0), "per" in x.keywords
    for name, one, keys in (
        ("diagonal", diagonal(n, m), [min(i, m - 1) for i in range(n)]),
        ("previous", previous(n, m), [min(max(i - 1, 0), m - 1) for i in range(n)]),
        ("sink", sink(n, m), [0] * n),
    ):
        rows = [Fraction(abs(start + i - j)) for i, j in enumerate(keys)]
        agree(subject, on(x, one), [sum(rows, Fraction(0)) / n] if head else rows, f"distance of a {name} map")
    share = Fraction(float(uniform(1, m).to(x[0].dtype)[0, 0]))  # 1/M as the dtype has it
    rows = [share * sum(abs(start + i - j) for j in range(m)) for i in range(n)]
    agree(subject, on(x, uniform(n, m)), [sum(rows, Fraction(0)) / n] if head else rows, "distance of a uniform map")
    if head and not start and n == m and n & (n - 1) == 0:
        agree(subject, on(x, uniform(n, m)), [Fraction(n * n - 1, 3 * n)], "mean distance of a uniform map")


@law("metrics.distance-closed-forms", on=Trait.DISTANCE, draw=any_case)
def test_causal_rows_that_attend_evenly_look_half_way_back(subject: Subject, x: Reading) -> None:
    """Row i sees the keys 0 … i: i / 2, in the rows whose i + 1 is a power of 2; the other rows have no weight, and no distance."""
    n, m = x[0].shape[-2:]
    if "per" in x.keywords or "start" in x.keywords or not n or not m:
        return
    subject.saw(x.regimes)
    even = [i for i in range(min(n, m)) if (i + 1) & i == 0]
    one = torch.zeros(n, m, dtype=torch.float64)
    for i in even:
        one[i, : i + 1] = 1 / (i + 1)
    agree(subject, on(x, one), [Fraction(i, 2) if i in even else Fraction(0) for i in range(n)], "distance of even causal rows")


@law("metrics.distance-closed-forms", on=Trait.DISTANCE, draw=any_case)
def test_no_mean_distance_is_beyond_the_farthest_key(subject: Subject, x: Reading) -> None:
    """Of rows that sum to 1: 0 ≤ distance ≤ the largest |start + i − j|."""
    n, m = x[0].shape[-2:]
    if not n or not m:
        return
    y = x.with_tensors({0: dyadic(x[0])})
    subject.saw(x.regimes)
    found, bound = plain(posed.output(subject, y)), posed.truth(subject, y).bound()
    start = x.keywords.get("start", 0)
    most = max(abs(start + n - 1), abs(start - m + 1))
    require(bool(((found >= 0) & (found <= most + bound)).all()), f"distances {found.tolist()} of keys at most {most} away, on {y}")


# ---------------------------------------------------------------------------------------------------------------------------------------- detectors


@law("metrics.detector-scores", on=Trait.PATTERN_SCORES, draw=any_case)
def test_each_pattern_has_its_own_score_of_one(subject: Subject, x: Reading) -> None:
    """Hand-computed: local, diagonal, broadcast and previous-token scores of maps that are nothing else, exactly; all five of a uniform map, for N a power of
    2."""
    n = x[0].shape[-1]
    if not n:
        return
    subject.saw(x.regimes)
    window = x.keywords.get("window", 1)
    diagonal_, previous_, sink_ = (plain(posed.output(subject, on(x, one(n, n)))) for one in (diagonal, previous, sink))
    require(bool((diagonal_[..., :2] == 1).all()), f"scores {diagonal_.tolist()} of the diagonal, on {x}")
    require(bool((sink_[..., 2] == 1).all()), f"scores {sink_.tolist()} of a sink, on {x}")
    if n > 1:
        require(bool((previous_[..., 3] == 1).all()), f"scores {previous_.tolist()} of the previous token, on {x}")
        require(bool((diagonal_[..., 3] == 0).all()), f"scores {diagonal_.tolist()} of the diagonal, on {x}")
    if window:
        require(bool((previous_[..., 0] == 1).all()), f"scores {previous_.tolist()} of the previous token, on {x}")
    if n & (n - 1) == 0:
        reach, share = min(window, n - 1), Fraction(1, n)
        places = [Fraction(n * (2 * reach + 1) - reach * (reach + 1), n * n), share, share, share if n > 1 else Fraction(0)]
        b, h = x[0].shape[:2]
        agree(subject, on(x, uniform(n, n)), [v for s in range(b) for v in h * [*places, behind_evenly(x[1][s, 0].tolist())]], "scores of a uniform map")


def behind_evenly(tokens: list[int]) -> Fraction:
    """Induction of a uniform map: the mean number of places behind earlier ones of the row's token, over N; 0 where no token comes twice."""
    earlier = [tokens[:i].count(token) for i, token in enumerate(tokens) if token in tokens[:i]]
    return Fraction(sum(earlier), len(tokens) * max(len(earlier), 1))


@law("metrics.detector-scores", on=Trait.PATTERN_SCORES, draw=any_case)
def test_induction_looks_behind_the_last_time(subject: Subject, x: Reading) -> None:
    """Rows point behind the last earlier place of their own token: 1, exactly, where any token comes twice, and 0 where none does; a map that points at the
    earlier place itself has 0, unless a token follows itself."""
    n = x[0].shape[-1]
    subject.saw(x.regimes)
    b = x[0].shape[0]
    behind, at = torch.zeros_like(x[0]), torch.zeros_like(x[0])
    expected = np.zeros(b)
    for s in range(b):
        tokens = x[1][s, 0].tolist()
        last = {i: max((k for k in range(i) if tokens[k] == tokens[i]), default=-1) for i in range(n)}
        rows = [i for i in range(n) if last[i] >= 0]
        for i in rows:
            behind[s, :, i, last[i] + 1] = at[s, :, i, last[i]] = 1
        expected[s] = float(bool(rows))
    found, other = (plain(posed.output(subject, x.with_tensors({0: one})))[..., 4] for one in (behind, at))
    require(bool((found == expected[:, None]).all()), f"induction scores {found.tolist()}, should be {expected.tolist()}, on {x}")
    alone = np.array([all(t != u for t, u in pairwise(x[1][s, 0].tolist())) for s in range(b)], dtype=bool)
    require(bool((other[alone] == 0).all()), f"induction scores {other.tolist()} of maps at the earlier place, on {x}")


@law("metrics.detector-scores", on=Trait.PATTERN_SCORES, draw=any_case)
def test_scores_of_weights_lie_from_zero_to_one(subject: Subject, x: Reading) -> None:
    """Of rows that sum to 1; the diagonal is local, and no column has more than the most."""
    y = x.with_tensors({0: dyadic(x[0])})
    subject.saw(x.regimes)
    found, bound = plain(posed.output(subject, y)), posed.truth(subject, y).bound()
    require(bool(((found >= 0) & (found <= 1 + bound)).all()), f"scores {found.tolist()} on {y}")
    require(bool((found[..., 1] <= found[..., 0] + bound[..., 0] + bound[..., 1]).all()), f"less is local than diagonal: {found.tolist()} on {y}")
    require(not x[0].shape[-1] or bool((found[..., 2] * x[0].shape[-1] >= 1 - bound[..., 2] * x[0].shape[-1]).all()), f"no column has the mean: {found} on {y}")


@law("collapse.column-share", on=Trait.PATTERN_SCORES, draw=any_case)
def test_the_largest_share_of_a_column_is_one_less_what_goes_elsewhere(subject: Subject, x: Reading) -> None:
    """Of rows of sixteenths that sum to 1, whose sums are exact: broadcast = 1 − min_j (1/N) Σ_i Σ_{k≠j} p_ik."""
    n = x[0].shape[-1]
    if not n:
        return
    y = x.with_tensors({0: dyadic(x[0])})
    subject.saw(x.regimes)
    p = plain(y[0])
    elsewhere = (p.sum((-1, -2))[..., None] - p.sum(-2)).min(-1) / n
    found, bound = plain(posed.output(subject, y))[..., 2], posed.truth(subject, y).bound()[..., 2]
    own = 3 * 2.0**-53  # a quotient and two differences in float64, none of them above 1
    subject.within("the largest share beside what goes elsewhere", np.abs(found - (1 - elsewhere)), bound + own, y)


@law("running.contraction", "running.quotient", on=Trait.COLLAPSE, draw=any_case)
def test_collapse_of_known_maps(subject: Subject, x: Reading) -> None:
    """Hand-computed: (1, 1) where all rows are one-hot at one key; (1/M, 1) where they are uniform; (0, 1/N) for the identity; (0, 1/2) where half of the rows
    point at one key and half at another."""
    n, m = x[0].shape[-2:]
    subject.saw(x.regimes)
    agree(subject, on(x, sink(n, m)), [Fraction(1), Fraction(1)], "collapse of a sink")
    if m & (m - 1) == 0:
        agree(subject, on(x, uniform(n, m)), [Fraction(1, m), Fraction(1)], "collapse of a uniform map")
    if 1 < n <= m:
        agree(subject, on(x, diagonal(n, m)), [Fraction(0), Fraction(1, n)], "collapse of the identity")
    if n % 2 == 0 and m > 1:
        agree(subject, on(x, pointing([i % 2 for i in range(n)], m)), [Fraction(0), Fraction(1, 2)], "collapse of two halves")


@law("collapse.collapsed-rows-agree", on=Trait.COLLAPSE, draw=any_case)
def test_collapse_scores_lie_from_zero_to_one(subject: Subject, x: Reading) -> None:
    """Of rows that sum to 1; rows that agree on one key by p are alike by p at least: they and their mean have 1 − ε there, so that no values in [0, 1] have
    means under them that are more than ε apart, which is half of their distance."""
    y = x.with_tensors({0: dyadic(x[0])})
    subject.saw(x.regimes)
    found, bound = plain(posed.output(subject, y)), posed.truth(subject, y).bound()
    require(bool(((found >= -bound) & (found <= 1 + bound)).all()), f"scores {found.tolist()} on {y}")
    require(bool((found[..., 0] <= found[..., 1] + bound.sum(-1)).all()), f"rows agree on a key, and are not alike: {found.tolist()} on {y}")


@law("gradients.jacobian-near-one-hot", "gradients.jacobian-norm", on=Trait.VANISHING, draw=any_case)
def test_gradient_bounds_of_known_rows(subject: Subject, x: Reading) -> None:
    """Hand-computed: exactly (0, 0) of one-hot rows; (1 − 1/k, 2 (1 − 1/k) / k) of 1/k at k keys each, which for two keys is the largest norm there is, 1/2."""
    n, m = x[0].shape[-2:]
    subject.saw(x.regimes)
    saturated = posed.output(subject, on(x, sink(n, m)))
    require(bool((saturated == 0).all()), f"bounds {saturated.tolist()} of one-hot rows, on {x}")
    for k in (2**p for p in range(m.bit_length()) if 2**p <= m):
        one = torch.zeros(n, m, dtype=torch.float64)
        one[:, :k] = 1 / k
        agree(subject, on(x, one), [1 - Fraction(1, k), 2 * (1 - Fraction(1, k)) / k], f"bounds of {k} equal weights")


@law("gradients.jacobian-near-one-hot", "gradients.jacobian-norm", on=Trait.VANISHING, draw=any_case)
def test_no_direction_passes_more_than_either_bound(subject: Subject, x: Reading) -> None:
    """xᵀ (diag(p) − p pᵀ) x / xᵀx along each key and each difference of two keys, for rows that sum to 1; their sums are exact in float64. The second bound,
    2 p (1 − p), is never above 1/2, and no norm is."""
    y = x.with_tensors({0: dyadic(x[0])})
    subject.saw(x.regimes)
    found, bound, p = plain(posed.output(subject, y)), posed.truth(subject, y).bound(), plain(y[0])
    along = (p * (1 - p)).max(-1)
    one, other = p[..., :, None], p[..., None, :]
    apart = np.eye(p.shape[-1])
    between = np.where(apart, 0, (one + other - (one - other) ** 2) / 2).max((-1, -2))
    most = np.maximum(along, between)[..., None]
    require(bool((found >= most - bound).all()), f"bounds {found.tolist()}, {most.tolist()} passes, on {y}")
    require(bool((found[..., 1] <= 0.5 + bound[..., 1]).all()), f"bounds {found.tolist()}, of which the second should be 1/2 at most, on {y}")


# ------------------------------------------------------------------------------------------------------------- agreement with people and other trainings


@law("metrics.matched-consistency", on=Trait.CONSISTENCY, draw=any_case)
def test_renumbered_heads_are_as_consistent_as_before(subject: Subject, x: Reading) -> None:
    """The heads of the last training in another order: matched, nothing changes; and trainings that differ in nothing else have the consistency 1."""
    if x.keywords.get("match") is False:
        return
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    turned = x[0].clone()
    turned[:, -1] = turned[:, -1].roll(1, 1)
    y = x.with_tensors({0: turned})
    subject.judge("consistency with heads renumbered", posed.output(subject, y), true.balls(), true.bound(), y)
    same = torch.stack([x[0][:, 0].roll(k, 1) for k in range(x[0].shape[1])], 1)
    z = x.with_tensors({0: same})
    bound = posed.truth(subject, z).bound()
    subject.judge("consistency with itself renumbered", posed.output(subject, z), everywhere(1, bound), bound, z)


@law("metrics.matched-consistency", on=Trait.CONSISTENCY, draw=any_case)
def test_matching_never_lowers_consistency_and_both_stay_in_range(subject: Subject, x: Reading) -> None:
    """The numbers they have are one way to match heads; and the mean over pairs of K vectors of length 1 is no less than −1 / (K − 1), as their sum has a
    square."""
    if x.keywords.get("match") is False:
        return
    subject.saw(x.regimes)
    found = []
    for match in (True, False):
        y = x.with_tensors({})
        y.keywords["match"] = match
        found.append(plain(subject.call(*y.arguments, **y.keywords)))
    bound = 2 * posed.truth(subject, x).bound() + 2.0**-50  # that of the largest over all ways to match covers each way
    k = x[0].shape[1]
    require(bool((found[0] >= found[1] - bound).all()), f"consistency {found[0].tolist()} matched, {found[1].tolist()} as numbered, on {x}")
    require(all(bool(((f >= -1 / (k - 1) - bound) & (f <= 1 + bound)).all()) for f in found), f"consistency {found} of {k} trainings, on {x}")


@law("metrics.correlation-range", on=Trait.CORRELATION, draw=any_case)
def test_a_map_correlates_with_itself_by_one_and_with_its_negative_by_minus_one(subject: Subject, x: Reading) -> None:
    """And with its double and its half as with itself; the other way round it is the same; never outside −1 … 1."""
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    for other, expected in ((x[0], 1), (-x[0], -1), (x[0] * 2, 1)):
        y = x.with_tensors({1: other.clone()})
        bound = posed.truth(subject, y).bound()
        found = posed.output(subject, y)
        subject.judge(f"correlation of a map with itself, {expected}", found, everywhere(expected, bound), bound, y)
        require(bool((found.abs() <= 1).all()), f"correlation {found.tolist()} on {y}")
    turned = x.with_tensors({0: x[1], 1: x[0]})
    subject.judge("correlation the other way round", posed.output(subject, turned), true.balls(), true.bound(), turned)


@law("metrics.correlation-range", on=Trait.CORRELATION, draw=any_case)
def test_a_constant_map_has_no_correlation(subject: Subject, x: Reading) -> None:
    """NaN, whatever the constant: also 0.1, whose mean over a few of it rounds to another number. The maps beside it in the batch have theirs."""
    subject.saw(x.regimes)
    for value in (0.1, 0.0, 1 / 3):
        for place in (0, 1):
            flat = x[place].clone()
            flat[0] = value
            found = posed.output(subject, x.with_tensors({place: flat}))
            require(bool(found[0].isnan()) and not bool(found[1:].isnan().any()), f"correlation {found.tolist()} with {value} for one map, on {x}")


@law("metrics.correlation-range", on=Trait.CORRELATION, draw=any_case)
def test_ranks_see_order_alone(subject: Subject, x: Reading) -> None:
    """Spearman's correlation of maps is that of any maps in the same order, ties included."""
    if "kind" not in x.keywords:
        return
    subject.saw(x.regimes)
    y = x.with_tensors({0: order_of(x[0]), 1: order_of(x[1])})
    true = posed.truth(subject, x)
    subject.judge("correlation of other maps in the same order", posed.output(subject, y), true.balls(), true.bound(), y)


def order_of(x: Tensor) -> Tensor:
    """Multiples of 4 in the order of the numbers along the last axis, ties kept."""
    dense = torch.stack([row.unique(return_inverse=True)[1] for row in x])
    return ((dense - dense.amax(-1, keepdim=True) // 2) * 4.0).to(x.dtype)


# ---------------------------------------------------------------------------------------------------------------------------------------------- trees


@law("metrics.syntactic-score", on=Trait.ALIGNMENT, draw=any_case)
def test_alignment_of_known_maps(subject: Subject, x: Reading) -> None:
    """Hand-computed: 1 where each row points at its head, exactly; 0 where the map is empty there; 1/M where it is uniform, by weight and by largest weight."""
    subject.saw(x.regimes)
    n, m = x[0].shape[-2:]
    heads = [(3 * i + 1) % m for i in range(n)]
    chain = torch.tensor([[head, i] for i, head in enumerate(heads)])
    there = x.with_tensors({0: on(x, pointing(heads, m))[0], 1: chain})
    found = plain(subject.call(*there.arguments, **there.keywords))
    require(bool((found == 1).all()), f"alignment {found.tolist()} of rows that point at their heads, on {there}")
    if m > 1:
        away = x.with_tensors({0: on(x, pointing([(head + 1) % m for head in heads], m))[0], 1: chain})
        found = plain(subject.call(*away.arguments, **away.keywords))
        require(bool((found == 0).all()), f"alignment {found.tolist()} of rows that point elsewhere, on {away}")
    if m & (m - 1) == 0:
        agree(subject, on(x, uniform(n, m)), [Fraction(1, m)], "alignment of a uniform map")


@law("metrics.syntactic-score", on=Trait.ALIGNMENT, draw=any_case)
def test_alignment_is_the_mean_of_that_with_each_edge(subject: Subject, x: Reading) -> None:
    """In [0, 1], for weights that sum to 1; each edge alone reads one entry."""
    y = x.with_tensors({0: dyadic(x[0])})
    subject.saw(x.regimes)
    parts = [plain(subject.call(y[0], y[1][e : e + 1].clone(), **y.keywords)) for e in range(len(y[1]))]
    true = posed.truth(subject, y)
    found, bound = plain(posed.output(subject, y)), true.bound()
    rounding = subject.rounding(y.cotangent.dtype)
    own = float(rounding.gamma(3 * rounding.declared.detours)) + rounding.u_out  # of each part, which is 1 at most
    require(bool(((found >= 0) & (found <= 1 + bound)).all()), f"alignment {found.tolist()} on {y}")
    subject.within("the mean over edges", np.abs(np.mean(parts, 0) - found), bound + own, y)
    if "kind" not in y.keywords:
        for (head, dependent), part in zip(y[1].tolist(), parts, strict=True):
            require(bool((part == plain(y[0])[..., dependent, head]).all()), f"one edge {head, dependent} reads {part.tolist()}, on {y}")
