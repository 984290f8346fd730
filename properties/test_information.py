"""Laws of entropy, Jensen-Shannon divergence and mutual information: ranges, cases known in closed form, and the bias of an estimate from samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import factorial, prod

import hypothesis.strategies as st
import numpy as np
import torch
from flint import arb, fmpq
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.cases.information import shared_information
from properties.inputs import plain
from properties.oracle import Array, Balls, _balls
from properties.posed import any_case
from properties.reading import Reading, informed
from properties.subject import Subject, require
from properties.tolerance import SLACK
from properties.tracked import constant
from properties.verifies import law

# ---------------------------------------------------------------------------------------------------------------------------------------- entropy


def log(n: int) -> arb:
    return arb(n).log()


def everywhere(value: arb | int, like: Array) -> Balls:
    """One number in the shape of an array."""
    return _balls([arb(value)] * like.size, like.shape)


def powers(m: int) -> list[int]:
    """Powers of 2 up to m."""
    return [2**p for p in range(m.bit_length()) if 2**p <= m]


def shares(k: int, x: Reading) -> Tensor:
    """Rows that give 1/k to each of k keys, which start where the row's number says; nothing to the others."""
    n, m = x[0].shape[-2:]
    keys = (torch.arange(m) - torch.arange(n).unsqueeze(-1)) % max(m, 1)
    found: Tensor = (keys < k).to(x[0].dtype).div(k).expand(x[0].shape).contiguous()
    return found


@law("entropy.maximum-iff-uniform", "entropy.range", on=Trait.ENTROPY, draw=any_case)
def test_k_equal_weights_have_the_entropy_log_k(subject: Subject, x: Reading) -> None:
    """Hand-computed: 0 for one-hot rows, exactly, and log M for uniform ones; keys without weight add nothing."""
    subject.saw(x.regimes)
    for k in powers(x[0].shape[-1]):
        y = x.with_tensors({0: shares(k, x)})
        found, bound = posed.output(subject, y), posed.truth(subject, y).bound()
        require(k > 1 or bool((found == 0).all()), f"entropies {found.tolist()} of one-hot rows, on {y}")
        subject.judge(f"entropy of {k} equal weights", found, everywhere(log(k), bound), bound, y)


@law("entropy.range", "entropy.low-means-peaked", on=Trait.ENTROPY, draw=any_case)
def test_entropy_lies_between_the_largest_weight_and_the_support(subject: Subject, x: Reading) -> None:
    """For weights of sum m, k of them above 0: −m log max p ≤ H ≤ m log(k / m), by concavity; neither has a logarithm of 0."""
    p = plain(x[0])
    found, bound = plain(posed.output(subject, x)), posed.truth(subject, x).bound()
    subject.saw(x.regimes)
    mass, most, support = p.sum(-1), np.maximum(p.max(-1, initial=0), 0), (p > 0).sum(-1)
    alive = mass > 0
    own = 2.0**-48 * (1 + p.shape[-1]) * (1 + np.abs(found))  # of these in float64
    upper = np.where(alive, mass * np.log(np.where(alive, np.maximum(support, 1) / np.where(alive, mass, 1), 1)), 0)
    lower = np.where(alive, -mass * np.log(np.where(alive, most, 1)), 0)
    inside = (found <= upper + bound + own) & (found >= lower - bound - own)
    require(bool(inside.all()), f"entropies {found.tolist()} outside {lower.tolist()} … {upper.tolist()}, on {x}")


@law("entropy.average-of-heads", on=Trait.ENTROPY, draw=any_case)
def test_the_entropy_of_the_mean_head_is_no_less_than_the_mean_entropy(subject: Subject, x: Reading) -> None:
    """Of pairs of heads that agree or do not, in weights whose mean is exact: concavity, within the bounds of both."""
    sixteenths = x.with_tensors({0: dyadic(x[0])})
    other = sixteenths.with_tensors({0: sixteenths[0].roll(1, -1)})
    mixed = sixteenths.with_tensors({0: (sixteenths[0] + other[0]) / 2})
    subject.saw(x.regimes)
    ends = [plain(posed.output(subject, y)) for y in (sixteenths, other, mixed)]
    bound = sum(posed.truth(subject, y).bound() for y in (sixteenths, other, mixed))
    require(bool((ends[2] - (ends[0] + ends[1]) / 2 >= -bound).all()), f"entropies {ends[2].tolist()} of the mean of heads with {ends[:2]}, on {mixed}")


def dyadic(p: Tensor) -> Tensor:
    """Weights near p that are sixteenths of sum 1: what p has in whole ones, and what is left on the first key."""
    if not p.shape[-1]:
        return p.clone()
    mass = p.to(torch.float64).sum(-1, keepdim=True).clamp(min=1)
    units = (p.to(torch.float64) / mass * 16).floor()
    units[..., 0] += 16 - units.sum(-1)
    return (units / 16).to(p.dtype)


# --------------------------------------------------------------------------------------------------------------------------------- Jensen-Shannon


@law("metrics.jensen-shannon-range", on=Trait.JENSEN_SHANNON, draw=any_case)
def test_divergence_is_zero_for_equal_heads_and_log_h_for_disjoint_ones(subject: Subject, x: Reading) -> None:
    """Hand-computed; in between for all others: 0 ≤ D ≤ log H, finite however far apart."""
    subject.saw(x.regimes)
    h, m = x[0].shape[1], x[0].shape[-1]
    count = 2 if "pairs" in x.keywords else h
    if m:
        equal = x.with_tensors({0: x[0][:, :1].expand(x[0].shape).contiguous()})
        bound = posed.truth(subject, equal).bound()
        subject.judge("divergence of equal heads", posed.output(subject, equal), everywhere(0, bound), bound, equal)
    if m >= h:
        apart = x.with_tensors({0: one_hot_heads(x[0])})
        true = posed.truth(subject, apart)
        expected = Balls(*(np.broadcast_to(part, true.shape) for part in apart_from(h, "pairs" in x.keywords)))
        subject.judge("divergence of disjoint heads", posed.output(subject, apart), expected, true.bound(), apart)
    if m > 1:
        beside = x.with_tensors({0: smallest_beside(x[0])})
        bound = posed.truth(subject, beside).bound()
        subject.judge("divergence of heads but for the smallest weight", posed.output(subject, beside), everywhere(0, bound), bound, beside)
    whole = x.with_tensors({0: dyadic(x[0])})
    found, bound = plain(posed.output(subject, whole)), posed.truth(subject, whole).bound()
    inside = (found >= -bound) & (found <= np.log(max(count, 1)) * (1 + 2.0**-50) + bound) if m else found == 0
    require(bool(inside.all()), f"divergences {found.tolist()} of {count} heads, on {whole}")


def one_hot_heads(p: Tensor) -> Tensor:
    """Head h attends key h alone."""
    found = torch.zeros_like(p)
    for h in range(p.shape[1]):
        found[:, h, :, h] = 1
    return found


def smallest_beside(p: Tensor) -> Tensor:
    """All heads attend the first key, and the first head the second one too, by the smallest number of float32 or float64: half of it is 0. What is left of the
    divergence, that number times log H, is far below any bound."""
    found = torch.zeros_like(p)
    found[..., 0] = 1
    if p.dtype.itemsize > 2:
        found[:, 0, :, 1] = torch.finfo(p.dtype).tiny * torch.finfo(p.dtype).eps
    return found


def apart_from(h: int, pairs: bool) -> tuple[Array, Array, Array]:
    """log 2 between different heads [H, H, 1], or log H [1]: value, remainder and radius."""
    found = _balls([arb(0) if a == b else log(2) for a in range(h) for b in range(h)], (h, h, 1)) if pairs else _balls([log(h)], (1,))
    return found.hi, found.lo, found.radius


@law("entropy.root-js-is-a-metric", on=Trait.JENSEN_SHANNON, draw=any_case)
def test_the_root_of_the_divergence_is_a_metric(subject: Subject, x: Reading) -> None:
    """Between every two heads of weights that sum to 1: symmetric, 0 on the diagonal, and √D(a, c) ≤ √D(a, b) + √D(b, c)."""
    y = x.with_tensors({0: dyadic(x[0])})
    if "pairs" not in x.keywords:
        return
    subject.saw(x.regimes)
    found, bound = plain(posed.output(subject, y)), posed.truth(subject, y).bound()
    low, high = np.sqrt(np.maximum(found - bound, 0)), np.sqrt(np.maximum(found + bound, 0))
    require(bool((np.abs(found - found.swapaxes(1, 2)) <= bound + bound.swapaxes(1, 2)).all()), f"divergences {found.tolist()} are not symmetric, on {y}")
    around = high[:, :, :, None] + high[:, None, :, :]  # a to b to c [B, a, b, c, N]
    require(bool((low[:, :, None] * (1 - 2.0**-50) <= around).all()), f"roots of divergences {found.tolist()} are no metric, on {y}")


@law("metrics.jensen-shannon-range", "information.with-labels", on=Trait.JENSEN_SHANNON, draw=any_case)
def test_the_divergence_is_the_information_about_which_head_attends(subject: Subject, x: Reading) -> None:
    """Of heads that are as likely as each other and whose weights sum to 1: I(attended key; head), row by row."""
    y = x.with_tensors({0: dyadic(x[0])})
    if "pairs" in x.keywords or not x[0].shape[-1]:
        return
    subject.saw(x.regimes)
    true = shared_information(y.leaves(subject.rounding(y.cotangent.dtype))[0].swapaxes(1, 2))
    subject.judge("divergence of heads", posed.output(subject, y), true.balls(), posed.truth(subject, y).bound(), y)


# ------------------------------------------------------------------------------------------------------------------------------ mutual information


@law("information.with-labels", on=Trait.MUTUAL_INFORMATION, draw=any_case)
def test_information_of_known_tables(subject: Subject, x: Reading) -> None:
    """Hand-computed: 0 for a product of margins, log k for k values that go one to one, log 2 − h(1/4) for a bit that is turned over one time in four; the same
    where all counts are doubled. With p = 1/4: log 2 − h(p) = (3/4) log 3 − log 2."""
    subject.saw(x.regimes)
    a, b = x[0].shape[-2:]
    rows, columns = torch.arange(a) % 3 + 1, torch.arange(b) % 2 + 1
    k = min(a, b)
    known = {"independent": ((rows.unsqueeze(-1) * columns), arb(0)), "one to one": (torch.eye(a, b), log(k))}
    if k >= 2:
        turned = torch.zeros(a, b)
        turned[:2, :2] = torch.tensor([[3.0, 1.0], [1.0, 3.0]])
        known["one in four turned over"] = turned, log(3) * 3 / 4 - log(2)
    for name, (table, expected) in known.items():
        for times in (1, 2):
            y = x.with_tensors({0: (table * times).to(x[0].dtype).expand(x[0].shape).contiguous()})
            bound = posed.truth(subject, y).bound()
            subject.judge(f"information of a table, {name}", posed.output(subject, y), everywhere(expected, bound), bound, y)


@law("information.with-labels", on=Trait.MUTUAL_INFORMATION, draw=any_case)
def test_information_is_not_below_zero_nor_above_either_entropy(subject: Subject, x: Reading) -> None:
    subject.saw(x.regimes)
    found, bound, c = plain(posed.output(subject, x)), posed.truth(subject, x).bound(), plain(x[0])
    p = c / c.sum((-1, -2), keepdims=True)
    entropies = [-(q * np.log(np.where(q > 0, q, 1))).sum(-1) for q in (p.sum(-1), p.sum(-2))]
    most = np.minimum(*entropies) * (1 + 2.0**-45) + 2.0**-45
    require(bool(((found >= -bound) & (found <= most + bound)).all()), f"information {found.tolist()} beside entropies {most.tolist()}, on {x}")


@law("information.with-position", on=Trait.MUTUAL_INFORMATION, draw=any_case)
def test_information_about_position_is_the_entropy_of_the_mean_row_less_the_mean_entropy(subject: Subject, x: Reading) -> None:
    """Of rows that sum to 1, as tables of a position, each as likely, and the position that it attends."""
    y = x.with_tensors({0: dyadic(x[0])})
    subject.saw(x.regimes)
    p = y.leaves(subject.rounding(y.cotangent.dtype))[0]
    rows = float(p.shape[-2])
    true = informed(p).sum(-1).sum(-1) / rows - informed(p.sum(-2) / rows).sum(-1)
    subject.judge("information about position", posed.output(subject, y), true.balls(), posed.truth(subject, y).bound(), y)


@law("information.chain-rule", "information.with-labels", on=Trait.MUTUAL_INFORMATION, draw=any_case)
def test_values_that_are_no_longer_told_apart_inform_no_better(subject: Subject, x: Reading) -> None:
    """The last two columns put together, in tables of whole numbers whose sums are exact: what is lost is what told them apart, by the chain rule their share
    times the information of their own table; and that is not below 0."""
    if x[0].shape[-1] < 2:
        return
    subject.saw(x.regimes)
    whole = x.with_tensors({0: (x[0] * 8).ceil().clamp(max=64)})
    coarse = whole.with_tensors({0: torch.cat((whole[0][..., :-2], whole[0][..., -2:].sum(-1, keepdim=True)), -1)})
    last = whole[0][..., -2:]
    mass = last.sum((-1, -2), keepdim=True, dtype=torch.float64)
    apart = whole.with_tensors({0: torch.where(mass > 0, last, torch.ones_like(last))})  # no table sums to 0; its share does
    fine, less, lost = (plain(posed.output(subject, y)) for y in (whole, coarse, apart))
    share = plain(mass)[..., 0, 0] / plain(whole[0]).sum((-1, -2))
    bound = posed.truth(subject, whole).bound() + posed.truth(subject, coarse).bound()
    own = 4 * 2.0**-53 * (np.abs(fine) + np.abs(less) + np.abs(share * lost))  # a quotient, a product and two differences in float64
    subject.within("what is lost", np.abs(fine - less - share * lost), bound + share * posed.truth(subject, apart).bound() + own, whole)
    require(bool((less <= fine + bound).all()), f"information {less.tolist()} with two values put together, {fine.tolist()} apart, on {whole}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Every way to draw N pairs of values below A and B, with the chance of each pair in 16ths or the like."""

    sizes: tuple[int, int]
    count: int
    chances: tuple[Fraction, ...]

    def __str__(self) -> str:
        return f"all {len(self.chances)}^{self.count} samples of {self.count} pairs of values below {self.sizes}, with chances {list(map(str, self.chances))}"


JOINTS = (
    ((2, 2), (1, 1, 1, 1), 4),
    ((2, 2), (3, 1, 1, 3), 3),
    ((2, 2), (1, 0, 0, 1), 3),
    ((2, 2), (1, 3, 3, 9), 3),
    ((2, 3), (1, 1, 1, 1, 1, 1), 3),
    ((3, 2), (2, 1, 0, 1, 3, 1), 2),
    ((1, 4), (1, 2, 3, 2), 3),
)


def samplings(subject: Implementation) -> st.SearchStrategy[Sampling]:
    """Independent variables and others, few enough that all samples fit into one call."""

    def of(drawn: tuple[tuple[int, int], Sequence[int], int], fewer: int) -> Sampling:
        sizes, units, most = drawn
        return Sampling(sizes=sizes, count=max(most - fewer, 1), chances=tuple(Fraction(u, sum(units)) for u in units))

    return st.builds(of, st.sampled_from(JOINTS), st.integers(0, 2))


@law("information.bias", on=Trait.PLUG_IN, draw=samplings)
def test_the_mean_estimate_over_all_samples_is_its_expectation(subject: Subject, x: Sampling) -> None:
    """All samples in one call, each with its probability; against Σ over tables of counts of the multinomial probability times the table's information. For
    independent variables, of which there is nothing to know, that is above 0 as soon as two samples can show both values of both: the bias."""
    subject.saw((f"{x.sizes} values", f"{x.count} samples"))
    draws = np.array(list(product(range(len(x.chances)), repeat=x.count)))
    first, second = (torch.from_numpy(z) for z in np.divmod(draws, x.sizes[1]))
    found = plain(subject.call(first, second, x.sizes))
    require(found.shape == (len(draws),), f"returned shape {found.shape} for {len(draws)} sequences of samples")
    weights = [prod(x.chances[cell] for cell in draw) for draw in draws.tolist()]
    mean = sum((arb(fmpq(w.numerator, w.denominator)) * arb(value) for w, value in zip(weights, found.tolist(), strict=True)), arb(0))
    true, bound = expectation(subject, x)
    subject.judge("mean estimate", torch.tensor([float(mean.mid())], dtype=torch.float64), _balls([true], (1,)), np.array([bound]), x)
    if x.count > 1 and independent(x):
        require(bool(mean > bound), f"mean estimate {mean} of nothing, on {x}")


def expectation(subject: Subject, x: Sampling) -> tuple[arb, float]:
    """Σ over tables of N counts: multinomial probability times information; and the mean of the tables' bounds."""
    tables = [counts for counts in product(range(x.count + 1), repeat=len(x.chances)) if sum(counts) == x.count]
    leaf = constant(np.array(tables, dtype=np.float64).reshape(-1, *x.sizes), subject.rounding(torch.float64))
    true = shared_information(leaf)
    chances = [factorial(x.count) * prod(p**c / Fraction(factorial(c)) for p, c in zip(x.chances, counts, strict=True)) for counts in tables]
    mean = sum((arb(fmpq(p.numerator, p.denominator)) * value for p, value in zip(chances, true.true.tolist(), strict=True)), arb(0))
    return mean, float(sum(float(p) * b for p, b in zip(chances, true.bound().tolist(), strict=True)) + 2.0**-52) * SLACK


def independent(x: Sampling) -> bool:
    """Whether the chances are the product of their margins, of which neither is of one value."""
    a, b = x.sizes
    table = [x.chances[i * b : (i + 1) * b] for i in range(a)]
    rows, columns = [sum(row) for row in table], [sum(column) for column in zip(*table, strict=True)]
    return all(table[i][j] == rows[i] * columns[j] for i in range(a) for j in range(b)) and sum(map(bool, rows)) > 1 and sum(map(bool, columns)) > 1


@law("information.with-labels", on=Trait.PLUG_IN, draw=any_case)
def test_one_value_informs_about_nothing_and_a_copy_about_all(subject: Subject, x: Reading) -> None:
    """Hand-computed: exactly 0 where either is constant; of k values, equally often and one to one, log k."""
    subject.saw(x.regimes)
    b, (first, second) = x[0].shape[0], x[2]
    for k in range(1, min(first, second) + 1):
        values = (torch.arange(4 * k) % k).expand(b, 4 * k).contiguous()
        renamed = k - 1 - values
        found = subject.call(values, renamed, (first, second))
        true = shared_information(constant(np.eye(k) * 4, subject.rounding(torch.float64)).reshape(1, k, k))
        bound = np.broadcast_to(true.bound(), (b,))
        subject.judge(f"information of {k} values about themselves", found, everywhere(log(k), bound), bound, x)
