"""Attention on exact inputs in ball arithmetic: what `Claim.holds` decides with. Independent of `impl` on purpose.

Inputs are integers or fractions (nested sequences of them); results are balls at BITS bits that contain the true real value.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from flint import arb, ctx

from theorems.balls import BITS
from theorems.outcome import Outcome

Number = int | Fraction | arb
Row = Sequence[Number]
Matrix = Sequence[Row]
Visible = Sequence[Sequence[bool]]
NARROW = arb(2) ** (-BITS // 2)  # a ball wider than this decides nothing


def ball(x: Number) -> arb:
    ctx.prec = BITS
    return arb(x.numerator) / x.denominator if isinstance(x, Fraction) else arb(x)


def softmax(scores: Row, visible: Sequence[bool] | None = None) -> list[arb]:
    """exp(s_j) / Σ exp(s_l) over the visible keys; 0 at the others. Raises ZeroDivisionError if no key is visible."""
    weights = [ball(x).exp() if visible is None or visible[j] else arb(0) for j, x in enumerate(scores)]
    mass = sum(weights, arb(0))
    if mass == 0:
        raise ZeroDivisionError("softmax over no visible key")
    return [w / mass for w in weights]


def scores(Q: Matrix, K: Matrix, scale: Number = 1) -> list[list[arb]]:
    """scale · Q Kᵀ. Shapes: Q [m, d], K [n, d] → [m, n]."""
    return [[ball(scale) * sum((ball(x) * ball(y) for x, y in zip(q, k, strict=True)), arb(0)) for k in K] for q in Q]


def attention(Q: Matrix, K: Matrix, V: Matrix, scale: Number = 1, visible: Visible | None = None) -> list[list[arb]]:
    """softmax(scale · Q Kᵀ) V, row by row over the visible keys. Shapes: V [n, e] → [m, e]."""
    rows = scores(Q, K, scale)
    weights = [softmax(row, visible[i] if visible is not None else None) for i, row in enumerate(rows)]
    return [[sum((p * ball(v[c]) for p, v in zip(ps, V, strict=True)), arb(0)) for c in range(len(V[0]))] for ps in weights]


def entropy(weights: Row) -> arb:
    """−Σ p log p in nats, with 0 log 0 = 0."""
    return -sum((ball(p) * ball(p).log() for p in weights if p != 0), arb(0))


def flat(values: object) -> list[arb]:
    """Every entry of nested sequences, as balls."""
    if isinstance(values, list | tuple):
        return [y for x in values for y in flat(x)]
    return [ball(values)]  # type: ignore[arg-type]


def equal(left: object, right: object) -> Outcome:
    """REFUTED if two entries certainly differ; HELD if all entries agree to BITS/2 bits; UNDECIDED where balls are too wide."""
    gaps = [x - y for x, y in zip(flat(left), flat(right), strict=True)]
    if any(not gap.contains(0) for gap in gaps):
        return Outcome.REFUTED
    return Outcome.HELD if all(abs(gap) < NARROW for gap in gaps) else Outcome.UNDECIDED


def at_most(left: object, right: object) -> Outcome:
    """Entry by entry left ≤ right: REFUTED if some entry certainly exceeds; HELD if none does by more than 2^(-BITS/2)."""
    gaps = [x - y for x, y in zip(flat(left), flat(right), strict=True)]
    if any(gap > 0 for gap in gaps):
        return Outcome.REFUTED
    return Outcome.HELD if all(gap < NARROW for gap in gaps) else Outcome.UNDECIDED


def decided(truth: bool) -> Outcome:
    """The outcome of a check in integers or fractions, where nothing rounds."""
    return Outcome.HELD if truth else Outcome.REFUTED


def show(x: Number, digits: int = 6) -> str:
    """A number for a page: a fraction as it is, a ball to `digits` digits."""
    return str(x) if isinstance(x, int | Fraction) else x.str(digits, radius=False)
