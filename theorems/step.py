"""One checked relation of a derivation, and how it is decided: symbolically, then again in balls at random points."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

import sympy as sp
from flint import arb
from sympy.printing.latex import LatexPrinter

from theorems import algebra, balls
from theorems.outcome import Outcome
from theorems.sources import Source

Relation = Literal["=", "<=", "<", "!="]
LATEX = {"=": "=", "<=": r"\le", "<": "<", "!=": r"\ne"}
POINTS = 8


@dataclass(frozen=True, slots=True)
class Step:
    """``left relation right``, and why a reader should believe it.

    An inequality is decided by its `certificate`: an expression equal to right - left whose sign follows from the assumptions on
    its symbols (right - left itself, if none is given). `nonzero` lists divisors that the claim assumes to be non-zero; every other divisor
    must be positive by assumption. `cites` marks a classical lemma: it is not proved here, only spot-checked, and shown as cited.
    `domain` narrows where the ball check draws a symbol, to (low, high).
    """

    left: sp.Expr
    relation: Relation
    right: sp.Expr
    because: str
    certificate: sp.Expr | None = None
    nonzero: tuple[sp.Expr, ...] = ()
    cites: Source | None = None
    domain: balls.Domain = field(default_factory=dict)

    @property
    def latex(self) -> str:
        return f"{written(self.left)} {LATEX[self.relation]} {written(self.right)}"

    def check(self) -> Outcome:
        """HELD only if the symbols decide it and no ball contradicts; REFUTED if a ball does; UNDECIDED otherwise, and if both sides are written alike."""
        if self.relation == "=" and sp.sympify(self.left) == sp.sympify(self.right):
            return Outcome.UNDECIDED  # says nothing: `sp.UnevaluatedExpr` keeps a side as a reader would write it
        at_points = self._check_points()
        if at_points is not Outcome.HELD or self.cites:
            return at_points
        return Outcome.HELD if self._divides_safely() and self._decided() else Outcome.UNDECIDED

    @property
    def _sides(self) -> tuple[sp.Expr, sp.Expr]:
        """Both sides with their derivatives carried out: what is checked; the page shows them as written."""
        return algebra.differentiated(self.left), algebra.differentiated(self.right)

    def _divides_safely(self) -> bool:
        written = [*self._sides, *([] if self.certificate is None else [sp.sympify(self.certificate)])]  # a certificate with a pole says nothing there
        return all(algebra.is_positive(x) or x.is_nonzero or x in self.nonzero for part in written for x in algebra.denominators(part))

    def _decided(self) -> bool:
        left, right = self._sides
        if self.relation == "=":
            return algebra.is_zero(left - right) is True
        gap = sp.sympify(right - left)
        if self.certificate is not None and algebra.is_zero(gap - self.certificate) is not True:
            return False
        certificate = sp.sympify(gap if self.certificate is None else self.certificate)
        match self.relation:
            case "<=":
                return algebra.is_nonnegative(certificate)
            case "<":
                return algebra.is_positive(certificate)
        return algebra.is_positive(certificate) or algebra.is_positive(-certificate) or certificate.is_nonzero is True

    def _check_points(self) -> Outcome:
        """Evaluate both sides in balls at random points of the scope (the same ones on every run)."""
        left, right = self._sides
        for seed in range(POINTS):
            point = balls.Point(random.Random(seed), self.domain)
            try:
                gap = balls.evaluate(right, point) - balls.evaluate(left, point)
            except (balls.CannotEvaluate, ZeroDivisionError):
                return Outcome.UNDECIDED
            if not gap.is_finite():
                return Outcome.UNDECIDED
            if _contradicts(self.relation, gap):
                return Outcome.REFUTED
        return Outcome.HELD


class _Printer(LatexPrinter):  # type: ignore[misc]
    """SymPy's, with brackets around what is kept apart: its own leaves them out, and 2·(a + b) would read 2a + b."""

    def _print_UnevaluatedExpr(self, expr: sp.UnevaluatedExpr) -> str:
        inside = expr.args[0]
        shown: str = self._print(inside)
        whole = inside.is_Symbol or isinstance(inside, sp.Indexed) or (inside.is_Integer and inside.is_nonnegative)
        return shown if whole or (inside.is_Function and not isinstance(inside, sp.exp)) else rf"\left({shown}\right)"

    def _needs_mul_brackets(self, expr: sp.Expr, first: bool = False, last: bool = False) -> bool:
        return not isinstance(expr, sp.UnevaluatedExpr) and bool(super()._needs_mul_brackets(expr, first, last))

    def _needs_add_brackets(self, expr: sp.Expr) -> bool:
        return not isinstance(expr, sp.UnevaluatedExpr) and bool(super()._needs_add_brackets(expr))


def written(side: sp.Expr) -> str:
    """A side of a relation in LaTeX; what is kept apart as a whole needs no brackets."""
    while isinstance(side, sp.UnevaluatedExpr):
        side = side.args[0]
    latex: str = _Printer().doprint(side)
    return latex


def _contradicts(relation: Relation, gap: arb) -> bool:
    """Whether the ball `gap` = right - left excludes the relation (for < and !=, an exact zero does too)."""
    match relation:
        case "=":
            return not gap.contains(0)
        case "<=":
            return bool(gap < 0)
        case "<":
            return bool(gap <= 0)
    return bool(gap == 0)
