"""Evaluate SymPy expressions in ball arithmetic at random points: the check that every step of a derivation must also survive."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import sympy as sp
from flint import arb, ctx

from theorems.symbols import RANGE

BITS = 160  # enough that cancellation in a true identity leaves a ball far smaller than any real difference
Domain = Mapping[sp.Basic, tuple[float, float]]


class CannotEvaluate(ValueError):
    """Raised for a SymPy node that has no ball evaluation here; the step is then UNDECIDED."""


@dataclass(slots=True)
class Point:
    """A random point of a step's scope: values are drawn when first asked for, so that both sides see the same."""

    draw: random.Random
    domain: Domain
    values: dict[sp.Basic, arb] = field(default_factory=dict)
    whole: dict[sp.Symbol, int] = field(default_factory=dict)

    def integer(self, symbol: sp.Symbol) -> int:
        """The value of a size (1..4), or of an index within its size."""
        if symbol not in self.whole:
            low, high = self.domain.get(symbol, (1, self.integer(RANGE[symbol]) if symbol in RANGE else 4))
            self.whole[symbol] = self.draw.randint(int(low), int(high))
        return self.whole[symbol]

    def real(self, quantity: sp.Basic) -> arb:
        if quantity not in self.values:
            base = quantity.base if isinstance(quantity, sp.Indexed) else quantity
            low, high = self.domain.get(base, (0.0625 if quantity.is_positive else 0.0 if quantity.is_nonnegative else -3.0, 3.0))
            self.values[quantity] = arb(self.draw.uniform(float(low), float(high)))
        return self.values[quantity]


def evaluate(expression: sp.Expr, at: Point) -> arb:
    """A ball that contains the true value of `expression` at the point. Raises CannotEvaluate for unknown nodes."""
    ctx.prec = BITS
    return _value(expression, at)


def _value(x: sp.Expr, at: Point) -> arb:
    match x:
        case sp.Integer():
            return arb(int(x))
        case sp.Rational():
            return arb(int(x.p)) / arb(int(x.q))
        case sp.Symbol():
            return arb(at.integer(x)) if x.is_integer else at.real(x)
        case sp.Indexed():
            places = tuple(_whole(index, at) for index in x.indices)
            return at.real(x.base[places])
        case sp.Add():
            return sum((_value(y, at) for y in x.args), arb(0))
        case sp.Mul():
            product = arb(1)
            for y in x.args:
                product *= _value(y, at)
            return product
        case sp.exp():
            return _value(x.args[0], at).exp()
        case sp.Pow():
            base = _value(x.base, at)
            if x.exp == sp.Rational(1, 2):
                return base.sqrt()
            if x.exp == sp.Rational(-1, 2):
                return base.rsqrt()
            return _power(base, int(x.exp)) if x.exp.is_Integer else base ** _value(x.exp, at)
        case sp.Sum():
            return _sum(x, at)
        case sp.KroneckerDelta():
            return arb(int(_whole(x.args[0], at) == _whole(x.args[1], at)))
        case sp.log():
            return _value(x.args[0], at).log()
        case sp.tanh():
            return _value(x.args[0], at).tanh()
        case sp.cos():
            return _value(x.args[0], at).cos()
        case sp.sin():
            return _value(x.args[0], at).sin()
        case sp.Abs():
            return abs(_value(x.args[0], at))
        case sp.Max():
            values = [_value(y, at) for y in x.args]
            return max(values, key=lambda y: float(y.mid()))
        case sp.Min():
            values = [_value(y, at) for y in x.args]
            return min(values, key=lambda y: float(y.mid()))
    if x == sp.pi:
        return arb.pi()
    if x == sp.E:
        return arb(1).exp()
    raise CannotEvaluate(f"no ball evaluation for {type(x).__name__} in {x}")


def _whole(x: sp.Expr, at: Point) -> int:
    """The integer in the ball of `x`. Raises CannotEvaluate if there is none, or more than one."""
    value = _value(x, at).unique_fmpz()
    if value is None:
        raise CannotEvaluate(f"{x} is not an integer")
    return int(value)


def _power(base: arb, exponent: int) -> arb:
    """A whole power by multiplication, which (unlike arb's own power) is defined for balls that contain 0."""
    product = arb(1)
    for _ in range(abs(exponent)):
        product *= base
    return product if exponent >= 0 else 1 / product


def _sum(x: sp.Sum, at: Point) -> arb:
    (index, low, high), *outer = reversed(x.limits)  # the last limit is the outermost
    body = sp.Sum(x.function, *reversed(outer)) if outer else x.function
    first, last = _whole(low, at), _whole(high, at)
    result, hidden = arb(0), at.whole.get(index)
    for place in range(first, last + 1):
        at.whole[index] = place
        result += _value(body, at)
    if hidden is None:
        at.whole.pop(index, None)
    else:
        at.whole[index] = hidden
    return result
