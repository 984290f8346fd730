"""What a derivation may not get away with: false, undecidable or divided-by-zero steps never count as held."""

from __future__ import annotations

import pytest
import sympy as sp

from theorems import BadLedger, algebra, gathered
from theorems.claim import Claim, derived
from theorems.outcome import Outcome
from theorems.sources import S0, VASWANI
from theorems.step import Step
from theorems.symbols import K, Q, V, a, b, c, d, g, i, j, k, l, n, p, r, s, softmax, t, total, v
from theorems.symbols import h as heads

x, y = sp.symbols("x y", real=True)
h = sp.Symbol("h", positive=True)
seldom = (n - 1) * (n - 2) * (n - 3) * (n - 4)  # zero at every size that the balls try, so that only the symbols can object
seldom_heads = seldom.subs(n, heads)
delta = sp.KroneckerDelta


@pytest.mark.parametrize(
    "step",
    [
        Step(softmax(s, i, j).diff(s[k]), "=", softmax(s, i, j) * (sp.KroneckerDelta(i, k) - softmax(s, k, j)), ""),
        Step(total(softmax(s, i), i), "=", sp.Integer(1), ""),
        Step(total(total(p[i] * p[j], i), j), "=", total(p[i], i) ** 2, ""),
        Step((c * total(Q[r, a] * K[j, a], a)).diff(K[k, b]), "=", c * sp.KroneckerDelta(j, k) * Q[r, b], ""),
        Step(2 * x * y, "<=", x**2 + y**2, "", certificate=(x - y) ** 2),
        Step(
            total(sp.sin(s[j]) * sp.sin(x) + sp.cos(s[j]) * sp.cos(x), j) - n, "=", total(sp.cos(s[j] - x), j) - total(sp.sin(y) ** 2 + sp.cos(y) ** 2, j), ""
        ),
        Step(sp.Integer(0), "<", softmax(s, i), ""),
        Step(sp.UnevaluatedExpr(x + 1) - sp.UnevaluatedExpr(x), "=", sp.Integer(1), ""),
        Step(1 + h, "<", sp.exp(h), "", cites=VASWANI),
        Step(sp.Derivative(total(sp.exp(s[j]), j), s[j]), "=", sp.exp(s[j]), ""),
        Step(
            sp.Sum(sp.exp(sp.Sum(V[j, a], (a, 1, d))) * sp.Sum(delta(j, 2 * g) * v[g], (g, 1, heads)), (j, 1, 2 * heads)),
            "=",
            sp.Sum(sp.exp(sp.Sum(V[2 * g, a], (a, 1, d))) * v[g], (g, 1, heads)),
            "",
        ),
    ],
    ids=lambda step: step.latex[:40],
)
def test_true_steps_hold(step: Step) -> None:
    assert step.check() is Outcome.HELD


@pytest.mark.parametrize(
    "step",
    [
        Step(softmax(s, i, j).diff(s[k]), "=", softmax(s, i, j) * (sp.KroneckerDelta(i, k) + softmax(s, k, j)), "wrong sign"),
        Step(total(softmax(s, i), i), "=", n, "wrong total"),
        Step(seldom * total(sp.sin(s[j]) * sp.sin(x) + sp.cos(s[j]) * sp.cos(x), j), "=", seldom * total(sp.cos(s[j] + x), j), "cosine of the sum"),
        Step(seldom * total(sp.sin(s[j]) ** 2 + sp.cos(s[j]) ** 2, j), "=", seldom * (n + 1), "one more than there are"),
        Step(total(sp.cos(s[j]), j) ** 2 + total(sp.sin(s[j]), j) ** 2, "=", n**2, "squares of sums are not summed"),
        Step(total(p[i] * p[i], i), "=", total(p[i], i) ** 2, "a square of a sum is no sum of squares"),
        Step(total(sp.KroneckerDelta(i, r) * p[i], i), "=", p[r], "r runs over another range, so the delta may miss it"),
        Step(x**2 + y**2, "<=", 2 * x * y, "wrong direction", certificate=-((x - y) ** 2)),
        Step(2 * x * y, "<=", x**2 + y**2, "certificate of something else", certificate=(x - y) ** 2 + 1),
        Step(softmax(s, i), "<", sp.Integer(1), "false for n = 1"),
        Step((x**2 - y**2) / (x - y), "=", x + y, "the divisor may be zero"),
        Step(sp.log(x**2), "=", 2 * sp.log(x), "the logarithm of a negative number"),
        Step(sp.sqrt(x**2), "=", x, "false for negative x"),
        Step(1 + x, "<", sp.exp(x), "equality at 0 cannot be seen by sampling", certificate=sp.exp(x) - 1 - x),
        Step(sp.Function("g")(x), "=", sp.Function("g")(y), "unknown functions cannot be evaluated"),
        Step(sp.Integer(0), "<", sp.Sum(sp.exp(s[j]), (j, 1, 5 - n)), "a sum over no key is zero"),
        Step(sp.Sum(s[j], (j, 1, 5 - n)) / sp.Sum(p[j], (j, 1, 5 - n)), "=", sp.Sum(s[j] / sp.Sum(p[l], (l, 1, 5 - n)), (j, 1, 5 - n)), "nothing to divide by"),
        Step(seldom * sp.Sum(1, (j, 1, n - 6)), "=", seldom * (n - 6), "an empty sum has no negative length"),
        Step(sp.Integer(0), "<", x**2, "a certificate with a pole", certificate=(1 + x**2) / (1 / x**2 + 1)),
        Step(sp.Derivative(total(sp.exp(s[j]), j), s[j]), "=", total(sp.exp(s[j]), j), "the letter of the sum is not that of the derivative"),
        Step(sp.Subs(total(x * s[j], j), x, s[j]), "=", total(s[j] ** 2, j), "the value put in is not one of the sum's"),
        Step(sp.Subs(x - y, (x, y), (y, x)), "=", sp.Integer(0), "values are put in at once, not one after the other"),
        Step(seldom * total(delta(j, sp.Dummy(integer=True, positive=True)), j), "=", seldom, "a letter of no range may miss every key"),
        Step(
            seldom * sp.Sum(total(delta(j, k) * v[k], k), (j, 1, 2 * n)), "=", seldom * sp.Sum(v[j], (j, 1, 2 * n)), "the outer index exceeds the inner range"
        ),
        Step(seldom * sp.Sum(delta(j, j**2) * s[j], (j, 1, n**2)), "=", seldom * s[j**2], "a delta in one index alone"),
        Step(seldom * total(sp.Sum(V[k, j], (j, 1, k)), k), "=", seldom * total(sp.Sum(V[l, j], (j, 1, k)), l), "an inner limit that follows the outer index"),
        Step(
            seldom_heads * sp.Sum(sp.exp(sp.Sum(V[j, a], (a, 1, heads))) * sp.Sum(delta(j, 2 * g) * v[g], (g, 1, heads)), (j, 1, 2 * heads)),
            "=",
            seldom_heads * sp.Sum(sp.exp(sp.Sum(V[2 * a, a], (a, 1, heads))) * v[g], (g, 1, heads)),
            "an index put into a sum that uses the same letter",
        ),
    ],
    ids=lambda step: step.because,
)
def test_false_or_undecided_steps_do_not_hold(step: Step) -> None:
    assert step.check() is not Outcome.HELD


def test_a_cited_lemma_must_still_survive_the_balls() -> None:
    assert Step(sp.exp(h), "<", 1 + h, "", cites=VASWANI).check() is Outcome.REFUTED


def test_no_steps_is_not_held() -> None:
    assert Outcome.worst([]) is Outcome.NOT_RUN
    assert Outcome.worst([Outcome.HELD, Outcome.UNDECIDED]) is Outcome.UNDECIDED
    assert Outcome.worst([Outcome.UNDECIDED, Outcome.HELD, Outcome.REFUTED]) is Outcome.REFUTED


def test_the_order_of_nested_sums_does_not_matter() -> None:
    body = Q[r, a] * K[j, a] * Q[t, b]
    assert algebra.normal(total(total(body, a), b) - total(total(body, b), a)) == 0


def declared(identifier: str, **fields: object) -> Claim:
    return Claim(id=identifier, title="", states="", precise="", sources=(S0,), scope="", **fields)  # type: ignore[arg-type]


class Topic:
    """Stands in for a topic's module."""

    def __init__(self, *claims: Claim) -> None:
        self.__dict__.update({f"claim{number}": claim for number, claim in enumerate(claims)})


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ((declared("a.b"), declared("a.b")), r"'a\.b' is declared twice"),
        ((declared("a.b", inventory=("C999",)),), r"unknown inventory rows \['C999'\]"),
        ((declared("a.b", corrected_by="a.c"),), r"unknown claims \['a\.c'\]"),
    ],
)
def test_a_bad_ledger_is_refused_with_the_name_of_what_is_wrong(claims: tuple[Claim, ...], message: str) -> None:
    with pytest.raises(BadLedger, match=message):
        gathered((Topic(*claims),))  # type: ignore[arg-type]


def test_derived_attaches_the_steps() -> None:
    @derived(declared("a.b"))
    def claim():  # type: ignore[no-untyped-def]
        yield Step(sp.sin(x) ** 2 + sp.cos(x) ** 2, "=", sp.Integer(1), "")

    assert isinstance(claim, Claim)
    assert [step.check() for step in claim.derive()] == [Outcome.HELD]  # type: ignore[misc]


@pytest.mark.parametrize("side", [x, sp.Integer(0), total(s[j], j) - total(s[j], j)], ids=str)
def test_a_relation_whose_sides_are_written_alike_says_nothing(side: sp.Expr) -> None:
    assert Step(side, "=", side, "").check() is Outcome.UNDECIDED


@pytest.mark.parametrize(
    ("side", "latex"),
    [
        (2 * sp.UnevaluatedExpr(x + y), r"2 \left(x + y\right)"),
        (-sp.UnevaluatedExpr(x + y), r"- \left(x + y\right)"),
        (sp.UnevaluatedExpr(sp.exp(-x)) ** 2, r"\left(e^{- x}\right)^{2}"),
        (sp.UnevaluatedExpr(x - sp.UnevaluatedExpr(-y)), r"x - \left(- y\right)"),
        (sp.UnevaluatedExpr(sp.Integer(3)) * sp.UnevaluatedExpr(sp.Integer(4)), r"3 \cdot 4"),
        (sp.UnevaluatedExpr(x + 1), "x + 1"),
    ],
)
def test_what_is_kept_apart_is_printed_with_its_brackets(side: sp.Expr, latex: str) -> None:
    assert Step(side, "<", sp.Integer(0), "").latex == f"{latex} < 0"
