"""Softmax in floating point: where the exponential overflows, and what the proposed remedies do about it.

The exact checks emulate a format: every operation is rounded to nearest, ties to even, from a ball that contains its true value
(an exponential is taken to be correctly rounded), and a result beyond the largest finite number becomes infinite. So a finding does
not depend on any library's exponential.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, derived
from theorems.outcome import Outcome
from theorems.sources import BLANCHARD, HIGHAM, MILAKOV, S1
from theorems.step import Step
from theorems.symbols import T, i, j, l, n, s, total

INFINITE = "inf"
NOT_A_NUMBER = "nan"
Float = Fraction | str  # a finite number of the format, or one of the two words above


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A binary floating-point format: significant bits with the leading one, and the largest and smallest exponent of a normal number."""

    name: str
    bits: int
    top: int
    bottom: int

    @property
    def largest(self) -> Fraction:
        return (2 - Fraction(1, 2 ** (self.bits - 1))) * (1 << self.top)

    @property
    def edge(self) -> Fraction:
        """Half a unit above the largest finite number: from here on rounding gives infinity (a tie goes there too)."""
        return self.largest + Fraction(2) ** (self.top - self.bits)

    def rounded(self, x: Fraction) -> Float:
        """The nearest number of the format (ties to even); infinite from half a unit above the largest finite number on (the sign of an infinity is dropped)."""
        if x <= 0:
            mirrored = self.rounded(-x) if x else x
            return -mirrored if isinstance(mirrored, Fraction) else mirrored
        exponent = max(x.numerator.bit_length() - x.denominator.bit_length(), self.bottom)
        exponent -= x < Fraction(2) ** exponent and exponent > self.bottom
        unit = Fraction(2) ** (exponent - self.bits + 1)
        nearest = round(x / unit) * unit
        return nearest if nearest <= self.largest else INFINITE


HALF = Format(name="float16", bits=11, top=15, bottom=-14)
BRAIN = Format(name="bfloat16", bits=8, top=127, bottom=-126)
SINGLE = Format(name="float32", bits=24, top=127, bottom=-126)
DOUBLE = Format(name="float64", bits=53, top=1023, bottom=-1022)
FORMATS = {f.name: f for f in (HALF, BRAIN, SINGLE, DOUBLE)}


class TooClose(ArithmeticError):
    """Raised when a ball straddles a rounding boundary, so that the rounded value is not known."""


def _rounded_ball(x: arb, fmt: Format) -> Float:
    """The format's value of the real number in the ball. Raises TooClose if both ends do not round to the same."""
    low, high = (fmt.rounded(_fraction(end)) for end in (x.lower(), x.upper()))
    if low != high:
        raise TooClose(f"{x} straddles a rounding boundary of {fmt.name}")
    return low


def _fraction(x: arb) -> Fraction:
    mantissa, exponent = x.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _exponential(x: Fraction, fmt: Format) -> Float:
    return _rounded_ball(exact.ball(x).exp(), fmt)


def _sum(terms: Sequence[Float], fmt: Format) -> Float:
    """Terms added from the left, each partial sum rounded; all terms are ≥ 0."""
    sofar: Float = Fraction(0)
    for term in terms:
        sofar = INFINITE if isinstance(sofar, str) or isinstance(term, str) else fmt.rounded(sofar + term)
    return sofar


def _quotient(above: Float, below: Float, fmt: Format) -> Float:
    if isinstance(above, str) or below == 0:
        return NOT_A_NUMBER  # ∞/∞, since the sum holds the same infinity; or 0/0
    return Fraction(0) if isinstance(below, str) else fmt.rounded(above / below)


def naive_softmax(scores: Sequence[Fraction], fmt: Format) -> list[Float]:
    """exp(s_j)/Σ exp(s_l) with every operation rounded to the format."""
    exponentials = [_exponential(x, fmt) for x in scores]
    mass = _sum(exponentials, fmt)
    return [_quotient(x, mass, fmt) for x in exponentials]


def shifted_softmax(scores: Sequence[Fraction], fmt: Format) -> list[Float]:
    """The same after subtracting the largest score (a difference of scores is rounded too)."""
    top = max(scores)
    gaps = [fmt.rounded(top - x) for x in scores]
    return naive_softmax([-gap for gap in gaps if isinstance(gap, Fraction)], fmt) if INFINITE not in gaps else _with_infinite_gaps(gaps, fmt)


def _with_infinite_gaps(gaps: Sequence[Float], fmt: Format) -> list[Float]:
    """exp(−∞) is exactly 0."""
    exponentials: list[Float] = [Fraction(0) if isinstance(gap, str) else _exponential(-gap, fmt) for gap in gaps]
    mass = _sum(exponentials, fmt)
    return [_quotient(x, mass, fmt) for x in exponentials]


def _finite(weights: Sequence[Float]) -> bool:
    return not any(isinstance(x, str) for x in weights)


def _overflows(scores: Sequence[Fraction], fmt: Format) -> bool:
    """Whether an exponential of softmax as written, or their sum, is infinite. (Weights need not show it: a finite number over ∞ is 0.)"""
    exponentials = [_exponential(x, fmt) for x in scores]
    return INFINITE in exponentials or _sum(exponentials, fmt) == INFINITE


def _unless_too_close(decide: Callable[[], bool]) -> Outcome:
    try:
        return exact.decided(decide())
    except TooClose:
        return Outcome.UNDECIDED


def _in(fmt: str, scores: Sequence[int] | Sequence[Fraction]) -> list[Fraction]:
    """Scores as numbers of the format."""
    return _finite_numbers([Fraction(x) for x in scores], FORMATS[fmt])


def _finite_numbers(values: Sequence[Fraction], fmt: Format) -> list[Fraction]:
    """Each value rounded to the format. Raises OverflowError if one is too large for it."""
    rounded = [fmt.rounded(x) for x in values]
    if INFINITE in rounded:
        raise OverflowError(f"{max(values)} is beyond the largest {fmt.name}")
    return [x for x in rounded if isinstance(x, Fraction)]


def _shown(weights: Sequence[Float]) -> str:
    return "[" + ", ".join(x if isinstance(x, str) else f"{float(x):.6g}" for x in weights) + "]"


def _snippet(fmt: str, scores: Sequence[int], temperature: int = 1) -> str:
    """Three lines of Python that show the overflow (NumPy has no bfloat16; float32 has the same range)."""
    dtype = "float32" if fmt == "bfloat16" else fmt
    divided = f" / np.{dtype}({temperature})" if temperature != 1 else ""
    return f"\n\n```python\nimport numpy as np\ns = np.array({list(scores)}, np.{dtype}){divided}\nprint(np.exp(s) / np.exp(s).sum())\n```"


# --- the naive softmax ----------------------------------------------------------------------------------------------------------------

limit = sp.Symbol("Omega", positive=True)  # the largest finite number of the format
excess = sp.Symbol("h", positive=True)


def _power_of(exponent: sp.Expr) -> sp.Expr:
    """e to the exponent as it is written: SymPy would cancel the logarithm in it."""
    return sp.exp(exponent, evaluate=False)


def _naive_holds(fmt: str, scores: Sequence[int]) -> Outcome:
    """Not-a-number wherever the largest exponential lies beyond the edge from which rounding gives infinity."""
    form, given = FORMATS[fmt], _in(fmt, scores)
    beyond = exact.ball(max(given)).exp() > exact.ball(form.edge)
    return _unless_too_close(lambda: not beyond or NOT_A_NUMBER in naive_softmax(given, form))


@derived(
    Claim(
        id="overflow.naive",
        title="Softmax as written overflows once the largest score exceeds the logarithm of the format's range",
        states="Large attention scores can make softmax overflow.",
        reading="Softmax computed as it is written: first the exponentials of the scores, then their sum, then the quotients.",
        precise=r"A format with $p$ significant bits and the largest exponent $E$ has the largest finite number $\Omega = (2 - 2^{1-p})2^E$, and rounding gives infinity from the edge $\Omega' = \Omega + 2^{E-p}$ on. "
        r"$\Omega' < e^s$ for every score $s > \log\Omega'$. Its exponential is then infinite, the sum as well, and the weight is $\infty/\infty$: not a number. "
        r"$\log\Omega'$ is 11.09 for float16, 88.72 for float32 and bfloat16, and 709.78 for float64; to these digits $\log\Omega$ is the same. (A row whose scores all lie far below 0 fails "
        r"too: every exponential becomes 0, and the weights are $0/0$.)",
        sources=(S1.at("Attention Overflow"), BLANCHARD),
        scope="every binary format with rounding to nearest, ties to even; the exponential is correctly rounded",
        inventory=("C252",),
        holds=_naive_holds,
    )
)
def naive() -> Iterator[Step]:
    exponent, bits = sp.symbols("E p", integer=True)
    largest, from_here = (2 - 2 ** (1 - bits)) * 2**exponent, sp.Symbol("Omegaprime", positive=True)
    yield Step(
        2 ** (exponent + 1) - (largest + 2 ** (exponent - bits)), "=", 2 ** (exponent - bits),
        "The edge Ω' lies half-way between Ω and 2^(E + 1), which is the next number that a format without a limit would have; ties go to the even one, which is that.",
    )  # fmt: skip
    yield Step(
        from_here,
        "<",
        _power_of(sp.log(from_here) + excess),
        "A score is log Ω' + h with h > 0; its exponential is Ω' e^h, and e^h exceeds 1.",
        certificate=from_here * (sp.exp(excess) - 1),
    )


gap = sp.IndexedBase("g", nonnegative=True)  # how far score j lies below the row's maximum, or below another height


def _fits(written: Callable[[sp.Expr], sp.Expr], because: str) -> Step:
    """Σ e^x ≤ Ω/2 for exponents x that lie g_j ≥ 0 below log(Ω/2n), each as `written`."""
    top = sp.log(limit / (2 * n))
    return Step(total(_power_of(written(top - gap[j])), j), "<=", limit / 2, because, certificate=total(limit / (2 * n) * (1 - sp.exp(-gap[j])), j))


def _may_fit(scores: Sequence[Fraction], fmt: Format) -> bool:
    """Whether no score exceeds log(Ω/2n), and the row is no longer than 2^(p − 1)."""
    count = len(scores)
    return 2 * count <= 2**fmt.bits and bool(exact.ball(max(scores)).exp() * (2 * count) <= exact.ball(fmt.largest))


def _below_holds(fmt: str, scores: Sequence[Fraction], temperature: int = 1, cap: int | Fraction | None = None) -> Outcome:
    """No overflow where the scores, divided, clipped and rounded, stay at or below the threshold; of other rows nothing is said."""
    form, given = FORMATS[fmt], _clipped(fmt, _cooled(fmt, scores, temperature), cap)
    return _unless_too_close(lambda: not _overflows(given, form)) if _may_fit(given, form) else Outcome.HELD


@derived(
    Claim(
        id="overflow.below-the-threshold",
        title="Softmax as written overflows on no row of n scores up to log(Ω/2n), if n is at most 2^(p − 1)",
        states="(Not in the text; it follows from the format's range and the error of a rounded sum.) What divided, clipped or widely held scores must satisfy, so that neither an exponential nor their sum overflows.",
        reading="Scores as the format holds them, after any division or clipping. Each exponential is correctly rounded, they are added one after the other, and each partial sum is rounded.",
        precise=r"Let $p$ be the significant bits, $u = 2^{-p}$ the unit roundoff, $\Omega$ the largest finite number, and $nu \le \frac12$. With $s_j \le \log(\Omega/2n)$ each computed exponential is at most $b(1 + u)$, $b = \Omega/2n$ (a rounding keeps the order, and $b$ is a normal number's size), and the sum of the first $k$ is at most "
        r"$kb/(1 - ku)$ by induction, before its rounding as well: a rounding adds at most the factor $1 + u$. For $k = n$ that is at most $\Omega$. (In the steps $u = 1/(k + 1 + y)$ with $y > 0$, so that $(k + 1)u < 1$; in the last $u = 1/(2n + y)$ with $y \ge 0$.)",
        sources=(HIGHAM.at("section 4.2"), BLANCHARD),
        scope="float16, bfloat16, float32 and float64, rounding to nearest, correctly rounded exponentials; rows of up to 1024, 128, 2^23 and 2^52 scores (b is then a normal number of the format)",
        holds=_below_holds,
    )
)
def below_the_threshold() -> Iterator[Step]:
    bound, count, room = sp.Symbol("b", positive=True), sp.Symbol("k", integer=True, positive=True), sp.Symbol("y", positive=True)
    yield _fits(lambda x: x, "In real arithmetic: score j lies g_j ≥ 0 below log(Ω/2n), so that its exponential is at most Ω/2n; there are n of them.")
    unit = 1 / (2 + room)
    yield Step(
        bound * (1 + unit), "<=", bound / (1 - unit), "The start, k = 1, with u = 1/(2 + y): one exponential and its rounding.",
        certificate=sp.factor(bound / (1 - unit) - bound * (1 + unit)),
    )  # fmt: skip
    unit = 1 / (count + 1 + room)
    before, after = count * bound / (1 - count * unit) + bound * (1 + unit), (count + 1) * bound / (1 - (count + 1) * unit)
    more = sp.Symbol("q", integer=True, nonnegative=True)
    yield Step(
        (before * (1 + unit)).subs(count, 1 + more), "<=", after.subs(count, 1 + more),
        "From k = 1 + q exponentials to k + 1: the sum so far, the next exponential with its rounding, and the rounding of the new sum.",
        certificate=sp.factor(sp.together((after - before * (1 + unit)).subs(count, 1 + more))),
    )  # fmt: skip
    spare = sp.Symbol("y", nonnegative=True)
    unit = 1 / (2 * n + spare)
    yield Step(
        n * (limit / (2 * n)) / (1 - n * unit), "<=", limit, "All n of them, with nu ≤ ½: no partial sum exceeds Ω, so none is rounded to infinity.",
        certificate=limit * spare / (2 * (n + spare)),
    )  # fmt: skip


# --- subtracting the maximum ----------------------------------------------------------------------------------------------------------


def _shift_holds(scores: Sequence[int]) -> Outcome:
    return exact.equal(exact.softmax(scores), exact.softmax([x - max(scores) for x in scores]))


@derived(
    Claim(
        id="overflow.shift-is-exact",
        title="Subtracting the row's maximum changes no weight",
        states="(Not in the text, whose remedies for overflow do not include it.) The maximum of a row may be subtracted before exponentiating.",
        precise=r"$\mathrm{softmax}(s - c)_j = \mathrm{softmax}(s)_j$ for every real $c$, the row's maximum among them (in real arithmetic; in floats "
        r"each difference is rounded).",
        sources=(S1.at("Attention Overflow"), MILAKOV.at("Section 2"), BLANCHARD),
        scope="any n ≥ 1, real scores",
        inventory=("C255",),
        holds=_shift_holds,
    )
)
def shift_is_exact() -> Iterator[Step]:
    shift = sp.Symbol("c", real=True)
    yield Step(
        sp.exp(s[j] - shift) / total(sp.exp(s[l] - shift), l),
        "=",
        sp.exp(s[j]) / total(sp.exp(s[l]), l),
        "The factor exp(−c) is common to numerator and denominator.",
    )


def _shifted_holds(fmt: str, scores: Sequence[int]) -> Outcome:
    """No exponential and no sum overflows, and all weights are finite and one is positive."""
    form, given = FORMATS[fmt], _in(fmt, scores)

    def decide() -> bool:
        gaps = [form.rounded(max(given) - x) for x in given]  # an infinite gap has the exponential 0
        weights = shifted_softmax(given, form)
        kept = not _overflows([-gap for gap in gaps if isinstance(gap, Fraction)], form)
        return kept and _finite(weights) and any(x > 0 for x in weights if isinstance(x, Fraction))

    return _unless_too_close(decide)


@derived(
    Claim(
        id="overflow.shifted",
        title="After subtracting the maximum nothing overflows",
        states="(Not in the text, whose remedies for overflow do not include it.) Subtracting the row's maximum before exponentiating avoids overflow.",
        precise=r"$1 \le \sum_j e^{s_j - \max s} \le n$: every exponential is at most 1 and the largest is exactly 1, so the divisor is never 0. In real arithmetic the sum stays below the range of a format with $\Omega \ge n$. "
        r"Rounded after every addition, one exponential after the other, it never exceeds $2^{p+1}$ in a format of $p$ significant bits, however long the row: above $2^{p+1}$ the numbers of the format are 4 apart, so $2^{p+1} + 1$ is rounded "
        r"down again. That is 4096 in float16 and far below the range of each of the four formats. "
        r"Small weights may still underflow to 0, and a difference $s_j - \max s$ may become $-\infty$, whose exponential is the same 0.",
        sources=(S1.at("Attention Overflow"), MILAKOV.at("Section 2"), BLANCHARD),
        scope="any n ≥ 1, finite scores; float16, bfloat16, float32 and float64, rounding to nearest, the exponentials added one after the other (in another order a sum of rounded sums may pass n: "
        "65504 ones can be added up to infinity in float16)",
        inventory=("C255",),
        uses=("overflow.shift-is-exact",),
        holds=_shifted_holds,
    )
)
def shifted() -> Iterator[Step]:
    other = 1 - sp.KroneckerDelta(i, j)  # 0 at i, the place of the maximum
    mass = total(sp.exp(-gap[j] * other), j)
    yield Step(sp.exp(-gap[j]), "<=", sp.Integer(1), "Score j lies g_j ≥ 0 below the maximum, and e^g is at least 1.")
    bits, short = sp.Symbol("p", integer=True, positive=True), sp.Symbol("y", nonnegative=True)
    stop = 2 ** (bits + 1)
    yield Step(
        (stop + 1 - short) - stop,
        "<",
        (stop + 4) - (stop + 1 - short),
        "A rounded sum of at most 2^(p + 1) and an exponential 1 − y: the result is nearer to 2^(p + 1) than to the next number, 2^(p + 1) + 4, so it is rounded to 2^(p + 1) or less.",
        certificate=2 + 2 * short,
    )
    for form in FORMATS.values():
        yield Step(
            sp.Integer(2 ** (form.bits + 1)),
            "<=",
            sp.Rational(form.largest.numerator, form.largest.denominator),
            f"Where the sum stops growing at the latest is within the range of {form.name}.",
        )
    yield Step(
        sp.Integer(1),
        "<=",
        mass,
        "The largest score, at place i, lies 0 below itself: its exponential is 1, and the others only add to it.",
        certificate=total(other**2 * sp.exp(-gap[j]), j),
    )
    yield Step(mass, "<=", n, "Each of the n exponentials is at most 1.", certificate=total(other**2 * (1 - sp.exp(-gap[j])), j))


# --- the remedies that the text lists -------------------------------------------------------------------------------------------------


def _cooled(fmt: str, scores: Sequence[int] | Sequence[Fraction], temperature: int) -> list[Fraction]:
    """Scores over the temperature, rounded."""
    return _finite_numbers([x / temperature for x in _in(fmt, scores)], FORMATS[fmt])


def _clipped(fmt: str, scores: Sequence[Fraction], cap: int | Fraction | None) -> list[Fraction]:
    """No score above the cap, as the format holds it."""
    return list(scores) if cap is None else [min(x, *_finite_numbers([Fraction(cap)], FORMATS[fmt])) for x in scores]


def _temperature_holds(fmt: str, scores: Sequence[int], temperature: int) -> Outcome:
    return _unless_too_close(lambda: not _overflows(_cooled(fmt, scores, temperature), FORMATS[fmt]))


def _temperature_worked(fmt: str, scores: Sequence[int], temperature: int) -> str:
    top = Fraction(max(scores), temperature)
    return (
        f"In {fmt}, whose largest number is Ω = {_largest(fmt)}, take the scores {list(scores)} and the temperature {temperature}. The largest divided score is {top}, with e^({top}) = {_power(top)}. "
        + _in_steps(_cooled(fmt, scores, temperature), fmt)
        + _snippet(fmt, scores, temperature)
    )


def _power(x: Fraction | int) -> str:
    return exact.show(exact.ball(x).exp())


def _in_steps(scores: Sequence[Fraction], fmt: str) -> str:
    """What softmax as written computes, step by step: exponentials, their sum, quotients."""
    form = FORMATS[fmt]
    exponentials, weights = [_exponential(x, form) for x in scores], naive_softmax(scores, form)
    mass = _shown([_sum(exponentials, form)])[1:-1]
    return (
        f"Rounded to {fmt}, the exponentials are {_shown(exponentials)} and their sum is {mass}; divided by it, they give the weights {_shown(weights)}"
        f"{' (nan: ∞/∞ has no value)' if NOT_A_NUMBER in weights else ''}."
    )


def _largest(fmt: str) -> str:
    return exact.show(exact.ball(FORMATS[fmt].largest))


@derived(
    Claim(
        id="overflow.temperature",
        title="Dividing the scores by a temperature solves overflow",
        states="Temperature scaling, dividing scores by a temperature parameter, is a remedy for softmax overflow.",
        reading="With a temperature fixed before the scores are seen, softmax as written overflows on no row of finite scores.",
        precise=r"$\sum_j e^{s_j/T} \le \Omega/2$ if no divided score exceeds $\log(\Omega/2n)$ (in real arithmetic; with it the rounded sum is at most $\Omega$: overflow.below-the-threshold). A temperature only moves the threshold "
        r"(below $T = 1$ it lowers it): $\Omega < e^{s/T}$ for every score $s > T\log\Omega$.",
        sources=(S1.at("Attention Overflow"),),
        scope="any n ≥ 1; formats float16, bfloat16, float32 and float64; temperatures below Ω/log Ω (beyond that no finite score is large enough to "
        "overflow alone). A remark: a temperature changes the weights too, unless all scores of a row are equal; subtracting the row's maximum changes none (overflow.shifted)",
        inventory=("C253",),
        uses=("overflow.naive", "overflow.below-the-threshold"),
        unsaid="no score, divided by T and rounded, exceeds log(Ω/2n), and n is at most 2^(p − 1), where n is the length of the row, Ω the largest finite number of the format and p its significant bits",
        corrected_by="overflow.below-the-threshold",
        holds=_temperature_holds,
        worked=_temperature_worked,
    )
)
def temperature() -> Iterator[Step]:
    score = T * (sp.log(limit) + excess)
    yield Step(
        limit,
        "<",
        _power_of(sp.Mul(score, 1 / T, evaluate=False)),
        "A score is T (log Ω + h) with h > 0; divided by T it still exceeds log Ω.",
        certificate=limit * (sp.exp(excess) - 1),
    )
    yield _fits(
        lambda x: sp.Mul(T * x, 1 / T, evaluate=False),
        "Score j is T (log(Ω/2n) − g_j) with g_j ≥ 0: divided by T, its exponential is at most Ω/2n; there are n of them.",
    )


def _clipping_holds(fmt: str, scores: Sequence[int], cap: int) -> Outcome:
    clipped = _clipped(fmt, _in(fmt, scores), cap)
    return _unless_too_close(lambda: not _overflows(clipped, FORMATS[fmt]))


def _clipping_worked(fmt: str, scores: Sequence[int], cap: int) -> str:
    clipped = [min(x, cap) for x in scores]
    return (
        f"In {fmt}, whose largest number is Ω = {_largest(fmt)}, take the scores {list(scores)} and clip them at {cap}: {clipped}. The largest exponential is e^{max(clipped)} = {_power(max(clipped))}. "
        + _in_steps(_in(fmt, clipped), fmt)
        + _snippet(fmt, clipped)
    )


@derived(
    Claim(
        id="overflow.clipping",
        title="Clipping the scores prevents overflow",
        states="Limiting the maximum score is a remedy for softmax overflow.",
        reading="Scores above some limit are replaced by the limit; then softmax as written does not overflow.",
        precise=r"$\sum_j e^{s_j} \le \Omega/2$ if every score is at most $\log(\Omega/2n)$ (in real arithmetic; with it the rounded sum is at most $\Omega$: overflow.below-the-threshold): with the limit there, the sum of exponentials "
        r"stays finite. A limit above $\log\Omega$ prevents nothing: $\Omega < e^{s}$ for every score $s > \log\Omega$ that it lets pass.",
        sources=(S1.at("Attention Overflow"),),
        scope="any n ≥ 1; finite scores. A remark: against underflow it does nothing, a row far below 0 still gives 0/0; subtracting the row's maximum helps against both (overflow.shifted)",
        inventory=("C254",),
        uses=("overflow.below-the-threshold",),
        unsaid="the limit, as the format holds it, is at most log(Ω/2n), and n is at most 2^(p − 1), where n is the length of the row, Ω the largest finite number of the format and p its significant bits",
        corrected_by="overflow.below-the-threshold",
        holds=_clipping_holds,
        worked=_clipping_worked,
    )
)
def clipping() -> Iterator[Step]:
    yield Step(
        limit,
        "<",
        _power_of(sp.log(limit) + excess),
        "A limit above log Ω lets a score h > 0 above log Ω pass, which overflows alone.",
        certificate=limit * (sp.exp(excess) - 1),
    )
    yield _fits(lambda x: x, "Clipped at log(Ω/2n), score j lies g_j ≥ 0 below it, so that its exponential is at most Ω/2n; there are n of them.")


def _clipped_weights_hold(scores: Sequence[int], cap: int) -> Outcome:
    return exact.equal(exact.softmax(scores), exact.softmax([min(x, cap) for x in scores]))


def _clipped_weights_worked(scores: Sequence[int], cap: int) -> str:
    clipped = [min(x, cap) for x in scores]
    before, after = (", ".join(exact.show(p) for p in exact.softmax(row)) for row in (scores, clipped))
    return f"Clipped at {cap}, the scores {list(scores)} become {clipped}. The weights were [{before}] and are now [{after}]: what set the clipped scores apart is lost."


def _clipped_odds_hold(scores: Sequence[int], cap: int) -> Outcome:
    """Clipping multiplies the odds of i against j by e^(h_j − h_i), where h is what it cuts off; with no score above the cap it changes no weight."""
    before, after = exact.softmax(scores), exact.softmax([min(x, cap) for x in scores])
    off = [max(x - cap, 0) for x in scores]
    expected = [[x / y * exact.ball(h_y - h_x).exp() for y, h_y in zip(before, off, strict=True)] for x, h_x in zip(before, off, strict=True)]
    kept = [] if any(off) else [exact.equal(before, after)]
    return Outcome.worst([exact.equal([[x / y for y in after] for x in after], expected), *kept])


def _clipped_ratio() -> Iterator[Step]:
    top, above, below = sp.Symbol("C", real=True), sp.Symbol("h", positive=True), sp.Symbol("g", nonnegative=True)
    odds = sp.exp(top - (top - below))
    yield Step(
        odds,
        "<",
        sp.exp((top + above) - (top - below)),
        "One score is h > 0 above the limit C, another g ≥ 0 below: clipping lowers the odds between them.",
        certificate=sp.exp(below) * (sp.exp(above) - 1),
    )
    cut, other = sp.symbols("h_i h_j", nonnegative=True)
    yield Step(
        sp.exp((s[i] - cut) - (s[j] - other)),
        "=",
        sp.UnevaluatedExpr(sp.exp(other - cut)) * sp.UnevaluatedExpr(sp.exp(s[i] - s[j])),
        "In general, with h_i and h_j cut off: the odds of i against j are multiplied by e^(h_j − h_i), which is 1 if nothing is cut off.",
    )


clipped_odds = derived(
    Claim(
        id="overflow.clipped-odds",
        title="Clipping divides the odds of a clipped key by e to what is cut off, and changes nothing where no score exceeds the limit",
        states="(Not in the text; it follows from the definition of softmax.) What clipping does to the weights.",
        precise=r"With $h_j \ge 0$ cut off score $j$ ($h_j = 0$ up to the limit $C$), the odds of $i$ against $j$ become $e^{s_i - h_i}/e^{s_j - h_j} = e^{h_j - h_i}\,e^{s_i - s_j}$. So no weight changes if no score exceeds $C$; "
        r"and $e^{C - s_j} < e^{s_i - s_j}$ for $s_j \le C < s_i$: a clipped key loses against any that is not clipped. All clipped keys become equal.",
        sources=(S1.at("Attention Overflow"),),
        scope="any n ≥ 1, real scores",
        holds=_clipped_odds_hold,
    )
)(_clipped_ratio)
clipping_keeps_the_weights = Claim(
    id="overflow.clipping-keeps-the-weights",
    title="Clipping does no harm to the weights",
    states="As a remedy for overflow, clipping is offered without a warning: softmax of the clipped scores stands for softmax of the scores.",
    reading="The weights after clipping are the weights before. (The text does not say this outright; it lists clipping as a solution and names no cost.)",
    unsaid="no score of the row exceeds the limit (then nothing is clipped)",
    precise=r"$\mathrm{softmax}(\min(s, C)) = \mathrm{softmax}(s)$ for every row $s$ and every limit $C$.",
    sources=(S1.at("Attention Overflow"),),
    scope="any n ≥ 1, real scores",
    inventory=("C254",),
    uses=("overflow.clipped-odds",),
    corrected_by="overflow.clipped-odds",
    holds=_clipped_weights_hold,
    worked=_clipped_weights_worked,
)


def _precision_holds(fmt: str, scores: Sequence[int]) -> Outcome:
    return _unless_too_close(lambda: not _overflows(_in(fmt, scores), FORMATS[fmt]))


def _precision_worked(fmt: str, scores: Sequence[int]) -> str:
    top = max(scores)
    return (
        f"The scores {list(scores)} are finite numbers of float16. Softmax is computed in {fmt}, whose largest number is Ω = {_largest(fmt)}. The largest exponential is e^{top} = {_power(top)}. "
        + _in_steps(_in(fmt, scores), fmt)
        + _snippet(fmt, scores)
    )


def _every_format() -> Iterator[Step]:
    yield Step(
        limit,
        "<",
        _power_of(sp.log(limit) + excess),
        "Whatever the format, Ω is finite, and a score h > 0 above log Ω overflows.",
        certificate=limit * (sp.exp(excess) - 1),
    )
    yield _fits(lambda x: x, "With Ω that of the wider format: score j is log(Ω/2n) − g_j with g_j ≥ 0, so that each of the n exponentials is at most Ω/2n.")


higher_precision = derived(
    Claim(
        id="overflow.higher-precision",
        title="Higher precision avoids overflow",
        states="Using a higher precision for the critical computations is a remedy for softmax overflow.",
        reading="Scores held in float16, and a softmax as written in float32 or float64: it overflows on no finite row.",
        precise=r"$\sum_j e^{s_j} \le \Omega/2$ if no score exceeds $\log(\Omega/2n)$ (in real arithmetic; with it the rounded sum is at most $\Omega$: overflow.below-the-threshold), and $\Omega < e^{s}$ for $s > \log\Omega$, in every "
        r"format: a wider exponent range moves the threshold (11.09, 88.72, 709.78), while float16 scores reach 65504. "
        "It is the range that counts, not the precision: bfloat16 has fewer significant bits than float16 and the threshold of float32.",
        sources=(S1.at("Attention Overflow"),),
        scope="float16 scores; computed in float32 or float64",
        inventory=("C256",),
        uses=("overflow.naive", "overflow.below-the-threshold"),
        unsaid="no score exceeds log(Ω/2n), and n is at most 2^(p − 1), where n is the length of the row, Ω the largest finite number of the wider format and p its significant bits",
        corrected_by="overflow.below-the-threshold",
        holds=_precision_holds,
        worked=_precision_worked,
    )
)(_every_format)


# --- exploding gradients ----------------------------------------------------------------------------------------------------------------


def _slopes_of(gap: int, wider_by: int) -> tuple[arb, arb]:
    """p (1 − p) for two keys whose scores differ by `gap`, and by more."""
    (p, p_other), (q, q_other) = exact.softmax([gap, 0]), exact.softmax([gap + wider_by, 0])
    return p * p_other, q * q_other


def _larger_weight_holds(gap: int, wider_by: int) -> Outcome:
    smaller, larger = _slopes_of(gap, wider_by)
    return exact.at_most([smaller], [larger])


def _smaller_slope_holds(gap: int, wider_by: int) -> Outcome:
    first, second = _slopes_of(gap, wider_by)
    return exact.decided(bool(second < first))


def _larger_weight_worked(gap: int, wider_by: int) -> str:
    rows = [(difference, exact.softmax([difference, 0])[0]) for difference in (gap, gap + wider_by)]
    told = "; ".join(
        f"a gap of {difference} gives the larger weight {exact.show(p)} and the derivative p (1 − p) = {exact.show(p * (1 - p))}" for difference, p in rows
    )
    return f"Two keys: {told}. The derivative is what the weight passes on to its score. The claim needs it to be no smaller for the larger weight, and it is smaller."


@derived(
    Claim(
        id="overflow.large-weight-small-gradient",
        title="The larger the larger one of two weights, the smaller the gradient that softmax passes to the scores",
        states="A weight never exceeds 1, and a weight near 1 passes almost no gradient to the scores.",
        precise=r"$p'(1 - p') < p\,(1 - p)$ for two keys with score gaps $g' > g \ge 0$, $p = e^g/(1 + e^g)$: the derivative falls as the larger weight "
        r"grows.",
        sources=(S1.at("Gradient Flow"),),
        scope="two keys, any scores",
        holds=_smaller_slope_holds,
    )
)
def large_weight_small_gradient() -> Iterator[Step]:
    g, more = sp.Symbol("g", nonnegative=True), sp.Symbol("h", positive=True)
    u, v = sp.exp(g), sp.exp(more)
    p, larger = u / (1 + u), u * v / (1 + u * v)
    yield Step(p, "<", larger, "A wider gap makes the larger weight larger.", certificate=u * (v - 1) / ((1 + u) * (1 + u * v)))
    yield Step(
        larger * (1 - larger),
        "<",
        p * (1 - p),
        "Over the common denominator the difference is e^g (e^h − 1)(e^(2g + h) − 1), where the wider gap is g + h.",
        certificate=u * (v - 1) * (sp.exp(2 * g + more) - 1) / ((1 + u) ** 2 * (1 + u * v) ** 2),
    )


def _larger_projections_hold(gap: int, wider_by: int) -> Outcome:
    """The slope of the first output at q = 0, for tokens q, 1, 1 and the products `gap` and gap + wider_by of scale and projections, value projection 1: by the
    product rule on p_j x_j, where the score c q x_j has the slope c x_j (and c q² the slope 0). It grows by 2/9 for every unit of the product."""
    n_others = 2

    def slope(product: int) -> arb:
        tokens, rises = [0, *[1] * n_others], [0, *[product] * n_others]
        weights = exact.softmax([0] * len(tokens))
        mean = sum((p * rise for p, rise in zip(weights, rises, strict=True)), arb(0))
        return weights[0] + sum((p * (rise - mean) * x for p, rise, x in zip(weights, rises, tokens, strict=True)), arb(0))

    grown = slope(gap + wider_by) - slope(gap)
    return Outcome.worst([exact.equal([grown], [exact.ball(Fraction(n_others * wider_by, (n_others + 1) ** 2))]), exact.decided(bool(grown > 0))])


large_weights_explode = Claim(
    id="overflow.large-weights-explode",
    title="Large attention weights make gradients explode",
    states="Exploding gradients occur with large attention weights.",
    reading="Attention weights are the entries of softmax's output, as in the text's own code; of two rows, the one with the larger weight passes the "
    "larger gradient to its scores.",
    precise=r"For two keys with score gaps $g' > g \ge 0$ and $p = e^g/(1 + e^g)$: $p\,(1 - p) \le p'(1 - p')$. (A weight of softmax is at most 1, and the derivative falls as the larger weight grows: overflow.large-weight-small-gradient.)",
    sources=(S1.at("Gradient Flow"),),
    scope="the softmax weights of two keys, any scores",
    inventory=("C247",),
    uses=("overflow.large-weight-small-gradient", "overflow.large-projections"),
    unsaid="'attention weights' means the parameters of the layer's projections, and the row has equal scores, as that of a token q = 0 has (where a row is saturated, larger projections of query and key make the gradient smaller)",
    corrected_by="overflow.large-projections",
    holds=_larger_weight_holds,
    worked=_larger_weight_worked,
)


@derived(
    Claim(
        id="overflow.large-projections",
        title="At a token 0, the gradient of attention grows without bound with its projections",
        states="(Not in the text; it follows from the definition of attention.) Large parameters can make a gradient large, and do so where the weights of softmax are equal.",
        precise=r"$\dfrac{w\,c\,n\,y^2}{(n+1)^2} < f'(0)$ for the first output $f(q)$ of tokens $q, y, \dots, y$ ($n$ copies of $y$), value projection $w > 0$, "
        r"and product $c > 0$ of the scale and the projections of query and key: the bound is proportional to $w$ and to $c$.",
        sources=(S1.at("Gradient Flow"),),
        scope="layers of width one, two tokens or more, the first of them 0. Elsewhere it may fall: at the tokens 1 and −1, w = 1, the derivative in the first is about 1.5 at c = 1 and 1.0 at c = 50",
        holds=_larger_projections_hold,
    )
)
def large_projections() -> Iterator[Step]:
    q, y, c, w = sp.Symbol("q", real=True), sp.Symbol("y", positive=True), sp.Symbol("c", positive=True), sp.Symbol("w", positive=True)
    output = w * (q * sp.exp(c * q**2) + n * y * sp.exp(c * q * y)) / (sp.exp(c * q**2) + n * sp.exp(c * q * y))
    slope, spread = sp.Subs(sp.Derivative(output, q), q, 0), w * c * n * y**2 / (n + 1) ** 2
    yield Step(slope, "=", w / (n + 1) + spread, "At q = 0 all scores are 0 and all weights of softmax are equal: 1/(n + 1).")
    yield Step(spread, "<", slope, "It grows without bound with the value projection, and with those of query and key.", certificate=w / (n + 1))
