"""Numbers that carry their true value and a bound on how far a computation in floating point may be from it: running error analysis, forward and backward.

A definition that is written once over `Tracked` arrays gives the true output and gradients, enclosed in balls, and the bound of each of their elements. The
rules are those of theorems/running.py: every operation returns its exact result times (1 + δ), |δ| ≤ u, up to an underflow of at most η; functions have a
relative error ε; a sum of products has its bound whatever the order of the sums (Higham 2002, chapter 3). Bounds are float64 and meant for `SLACK`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import arb, ctx

from properties.oracle import BITS, Array, Balls, _balls
from properties.tolerance import SLACK, Rounding

Objects = npt.NDArray[np.object_]
Pull = Callable[["Tracked"], "Tracked"]
Flags = npt.NDArray[np.bool_]

_lift = np.frompyfunc(lambda x: arb(x), 1, 1)
_middle = np.frompyfunc(lambda x: float(x.mid()), 1, 1)
_of = {name: np.frompyfunc(lambda x, name=name: getattr(x, name)(), 1, 1) for name in ("exp", "log", "tanh", "cos", "sin", "sqrt", "log1p", "expm1")}
_sigmoid = np.frompyfunc(lambda x: 1 / (1 + (-x).exp()), 1, 1)


def exact(x: Array) -> Objects:
    """float64 numbers as balls of radius 0."""
    ctx.prec = BITS
    return _array(_lift(np.asarray(x, dtype=np.float64)))


@dataclass(slots=True, eq=False, kw_only=True)
class Tracked:
    """An array: `true` values (balls), `off` ≥ |computed − true| per element, and, for gradients, what each `parent` gets of this array's cotangent.

    `rounding` is the arithmetic of the computation. Operators and the functions of this module round each result once; what is exact says so. An element that
    is a sum knows how many `terms` it has at most, and their `mass`, the sum of their sizes: further terms may join the same sum, in any order.
    """

    true: Objects
    off: Array
    rounding: Rounding
    parents: tuple[tuple[Tracked, Pull], ...] = ()
    terms: int = 1
    mass: Array | None = None
    _size: Array | None = field(default=None)

    @property
    def size(self) -> Array:
        """|true| in float64."""
        if self._size is None:
            self._size = np.abs(self.middle)
        return self._size

    @property
    def middle(self) -> Array:
        """The true values in float64."""
        values: Array = np.asarray(_middle(self.true), dtype=np.float64)
        return values

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.true.shape)

    @property
    def reach(self) -> Array:
        """The largest |computed value|."""
        return self.size + self.off

    @property
    def summed(self) -> Array:
        """The sizes of what was added up to this, in all."""
        return self.reach if self.mass is None else self.mass

    def __add__(self, other: Tracked | float) -> Tracked:
        right = self.like(other)
        return rounded(
            self.true + right.true, self.off + right.off, self.rounding, (self, lambda g: fold(g, self.shape)), (right, lambda g: fold(g, right.shape))
        )

    def __sub__(self, other: Tracked | float) -> Tracked:
        return self + (-self.like(other))

    def __rsub__(self, other: float) -> Tracked:
        return self.like(other) - self

    def __neg__(self) -> Tracked:
        return Tracked(true=-self.true, off=self.off, rounding=self.rounding, parents=((self, lambda g: -g),), terms=self.terms, mass=self.mass)

    def __mul__(self, other: Tracked | float) -> Tracked:
        right = self.like(other)
        off = self.size * right.off + self.off * right.reach
        pulls = (self, lambda g: fold(g * right, self.shape)), (right, lambda g: fold(g * self, right.shape))
        return rounded(self.true * right.true, times_infinity(off), self.rounding, *pulls)

    def __truediv__(self, other: Tracked | float) -> Tracked:
        """The quotient. Where the denominator may be 0, nothing is promised; where it is 0, the true value is NaN."""
        right = self.like(other)
        true = self.true / right.true
        least = right.size - right.off
        with np.errstate(divide="ignore", invalid="ignore"):
            off = np.where(least > 0, (self.off + np.abs(np.asarray(_middle(true), dtype=np.float64)) * right.off) / least, np.inf)
        result = rounded(true, times_infinity(off), self.rounding)
        result.parents = ((self, lambda g: fold(g / right, self.shape)), (right, lambda g: fold(-(g * result) / right, right.shape)))
        return result

    def __getitem__(self, at: Any) -> Tracked:
        return Tracked(
            true=_array(self.true[at]), off=np.asarray(self.off[at]), rounding=self.rounding, parents=((self, lambda g: scattered(g, at, self.shape)),)
        )

    def like(self, other: Tracked | float | Array) -> Tracked:
        """`other` itself, or exact numbers in the same arithmetic."""
        return other if isinstance(other, Tracked) else constant(np.asarray(other, dtype=np.float64), self.rounding)

    def reshape(self, *shape: int) -> Tracked:
        mass = None if self.mass is None else self.mass.reshape(shape)
        parents: Any = ((self, lambda g: g.reshape(*self.shape)),)
        return Tracked(true=self.true.reshape(shape), off=self.off.reshape(shape), rounding=self.rounding, parents=parents, terms=self.terms, mass=mass)

    def swapaxes(self, one: int, other: int) -> Tracked:
        parents: Any = ((self, lambda g: g.swapaxes(one, other)),)
        mass = None if self.mass is None else self.mass.swapaxes(one, other)
        true, off = self.true.swapaxes(one, other), self.off.swapaxes(one, other)
        return Tracked(true=true, off=off, rounding=self.rounding, parents=parents, terms=self.terms, mass=mass)

    def sum(self, axis: int, *, keepdims: bool = False) -> Tracked:
        """The sum along an axis in any order."""

        def pull(g: Tracked) -> Tracked:
            back = g if keepdims else g.reshape(*np.expand_dims(g.off, axis).shape)
            return back.broadcast(self.shape)

        total = added_up(self, (axis,), keepdims=keepdims)
        total.parents = ((self, pull),)
        return total

    def broadcast(self, shape: tuple[int, ...]) -> Tracked:
        """Repeated to a shape: exact."""
        wide = np.broadcast_to(self.true, shape), np.broadcast_to(self.off, shape)
        return Tracked(true=wide[0], off=wide[1], rounding=self.rounding, parents=((self, lambda g: fold(g, self.shape)),))

    def where(self, keep: Flags, other: float = 0.0) -> Tracked:
        """`other` where not `keep`: exact, and no gradient passes there."""
        keep = np.broadcast_to(keep, self.shape)
        true = np.where(keep, self.true, exact(np.asarray(other)))
        return Tracked(true=true, off=np.where(keep, self.off, 0.0), rounding=self.rounding, parents=((self, lambda g: g.where(keep)),))

    def balls(self) -> Balls:
        return _balls(list(self.true.ravel()), self.shape)

    def bound(self) -> Array:
        """|returned − true| where the result is rounded once more, to the output's dtype, which may be the narrower one."""
        a = self.rounding
        return np.asarray(SLACK * np.where(self.reach >= a.largest_out, np.inf, self.off + a.u_out * self.reach + a.least_out), dtype=np.float64)


def constant(x: Array, rounding: Rounding) -> Tracked:
    """Exact numbers."""
    x = np.asarray(x, dtype=np.float64)
    return Tracked(true=exact(x), off=np.zeros(x.shape), rounding=rounding)


def irrational(x: arb | Objects, rounding: Rounding) -> Tracked:
    """Numbers that have to be computed, such as 1/√d, with as many roundings as may stand for an operation."""
    true = _array(x)
    return rounded(true, np.zeros(true.shape), rounding)


def recast(x: Tracked, rounding: Rounding) -> Tracked:
    """A constant, converted to another arithmetic: rounded once there."""
    return rounded(x.true, x.off, rounding)


def rounded(true: Objects, off: Array, rounding: Rounding, *parents: tuple[Tracked, Pull]) -> Tracked:
    """The result of one operation: `off` as its operands bring it, and its own rounding, in all that is allowed to stand for it."""
    true = _array(true)
    size = np.abs(np.asarray(_middle(true), dtype=np.float64))
    off = off + rounding.gamma(rounding.declared.detours) * (size + off) + rounding.declared.detours * rounding.tiny
    return Tracked(true=true, off=capped(off, true, rounding, size), rounding=rounding, parents=parents, _size=size)


def capped(off: Array, true: Objects, rounding: Rounding, size: Array | None = None) -> Array:
    """Nothing is promised where the format may overflow."""
    size = np.abs(np.asarray(_middle(true), dtype=np.float64)) if size is None else size
    with np.errstate(invalid="ignore"):
        return np.where(size + off < rounding.largest, off, np.inf)


def times_infinity(off: Array) -> Array:
    """0 · ∞ where an error is unbounded is an unbounded error."""
    return np.where(np.isnan(off), np.inf, off)


def added_up(x: Tracked, axes: tuple[int, ...], *, keepdims: bool = False) -> Tracked:
    """The sum along several axes at once, in any order of all its terms."""
    a, count = x.rounding, math.prod(x.shape[axis] for axis in axes)
    mass = x.reach.sum(axes, keepdims=keepdims)
    off = x.off.sum(axes, keepdims=keepdims) + a.gamma(max(count + a.declared.detours - 2, 0)) * mass
    true = _array(x.true.sum(axis=axes, keepdims=keepdims)) if count else exact(np.zeros(off.shape))
    off = np.where(mass < a.largest, times_infinity(np.asarray(off)), np.inf)
    return Tracked(true=true, off=off, rounding=a, terms=max(count, 1) * x.terms, mass=x.summed.sum(axes, keepdims=keepdims))


def fold(g: Tracked, shape: tuple[int, ...]) -> Tracked:
    """Sum the axes along which an operand was broadcast."""
    beyond = len(g.shape) - len(shape)
    axes = tuple(range(beyond)) + tuple(beyond + axis for axis, length in enumerate(shape) if length == 1 and g.shape[beyond + axis] != 1)
    if not axes:
        return g
    total = added_up(g, axes)
    assert total.mass is not None
    return Tracked(
        true=total.true.reshape(shape), off=total.off.reshape(shape), rounding=g.rounding, terms=total.terms, mass=total.mass.reshape(shape)
    )  # fmt: skip


def scattered(g: Tracked, at: Any, shape: tuple[int, ...]) -> Tracked:
    """The cotangent of a slice, or of gathered elements, as one of the whole: what falls on one element is added in any order."""
    true, off, many, mass = exact(np.zeros(shape)), np.zeros(shape), np.zeros(shape), np.zeros(shape)
    np.add.at(off, at, g.off)
    np.add.at(many, at, 1.0)
    np.add.at(mass, at, g.summed)
    np.add.at(true, at, g.true)
    terms = max(int(many.max(initial=0)), 1) * g.terms
    with np.errstate(invalid="ignore"):
        off = off + g.rounding.gamma(np.where(many > 1, many * g.terms - 1, 0)) * mass
    return Tracked(true=true, off=times_infinity(off), rounding=g.rounding, terms=terms, mass=mass)


def contract(subscripts: str, *operands: Tracked) -> Tracked:
    """An Einstein sum of products, in any association and order of the sums: each term is a product of rounded factors, and no more roundings touch it than
    products and sums are long. Each subscript stands once in an operand."""
    rounding = operands[0].rounding
    inputs, output = subscripts.split("->")
    labels = inputs.split(",")
    lengths = {label: length for names, x in zip(labels, operands, strict=True) for label, length in zip(names, x.shape, strict=True)}
    summed = [length for label, length in lengths.items() if label not in output]
    roundings = rounding.declared.detours + len(operands) - 1 + max(math.prod(summed) - 1, 0)
    sizes, offs, reaches = [x.size for x in operands], [x.off for x in operands], [x.reach for x in operands]
    with np.errstate(invalid="ignore", over="ignore"):
        off = sum(  # Π reach − Π size, telescoped: nothing cancels
            (times_infinity(np.einsum(subscripts, *sizes[:i], offs[i], *reaches[i + 1 :])) for i in range(len(operands)) if offs[i].any()),
            np.zeros(tuple(lengths[label] for label in output)),
        )
        mass = times_infinity(np.einsum(subscripts, *reaches))
        off = off + times_infinity(rounding.gamma(roundings) * mass)
        off = off + math.prod(summed) * len(operands) * rounding.tiny * largest_factor(operands)
        off = np.where((mass < rounding.largest) & (largest_factor(operands) < rounding.largest), off, np.inf)  # some association may overflow on the way
    true = np.einsum(subscripts, *(x.true for x in operands)) if all(lengths.values()) else exact(np.zeros(off.shape))
    result = Tracked(true=_array(true), off=times_infinity(np.asarray(off)), rounding=rounding, terms=max(math.prod(summed), 1), mass=np.asarray(mass))

    def pull(place: int) -> Pull:
        others = [(labels[i], x) for i, x in enumerate(operands) if i != place]

        def back(g: Tracked) -> Tracked:
            names = [output, *(name for name, _ in others)]
            present = set("".join(names))
            kept = "".join(label for label in labels[place] if label in present)
            found = contract(f"{','.join(names)}->{kept}", g, *(x for _, x in others))
            if kept == labels[place]:
                return found
            spread = found.reshape(*(lengths[label] if label in present else 1 for label in labels[place]))
            return spread.broadcast(tuple(lengths[label] for label in labels[place]))

        return back

    result.parents = tuple((x, pull(place)) for place, x in enumerate(operands))
    return result


def largest_factor(operands: Sequence[Tracked]) -> float:
    """By how much an underflow may be multiplied afterwards."""
    return math.prod(max(1.0, float(x.reach.max(initial=0))) for x in operands)


def steep(x: Tracked, function: str, slope: Callable[[Array, Array], Array], derivative: Callable[[Tracked, Tracked], Tracked]) -> Tracked:
    """f(x) with its own relative error; `slope` bounds |f'| over [lo, hi], `derivative` computes f' from x and f(x), as backward does."""
    a = x.rounding
    true = _sigmoid(x.true) if function == "sigmoid" else _of[function](x.true)
    size = np.abs(np.asarray(_middle(true), dtype=np.float64))
    with np.errstate(over="ignore", invalid="ignore"):
        brought = times_infinity(np.where(x.off == 0, 0.0, slope(x.middle - x.off, x.middle + x.off) * x.off))
        off = brought + (a.exp + a.gamma(a.declared.detours - 1)) * (size + brought) + a.tiny
    result = Tracked(true=_array(true), off=capped(off, _array(true), a, size), rounding=a, _size=size)
    result.parents = ((x, lambda g: g * derivative(x, result)),)
    return result


def exp(x: Tracked) -> Tracked:
    return steep(x, "exp", lambda lo, hi: np.exp(hi), lambda _, y: y)


def expm1(x: Tracked) -> Tracked:
    """e^x − 1, with an error relative to that difference."""
    return steep(x, "expm1", lambda lo, hi: np.exp(hi), lambda _, y: y + 1)


def log(x: Tracked) -> Tracked:
    """Nothing is promised where x may reach 0. The error of the logarithm is relative to its argument's too: near 1 an absolute one of ε is allowed."""
    y = steep(x, "log", lambda lo, hi: np.where(lo > 0, 1 / np.maximum(lo, 1e-300), np.inf), lambda x, _: constant(np.ones(()), x.rounding) / x)
    y.off = y.off + x.rounding.exp
    return y


def tanh(x: Tracked) -> Tracked:
    def slope(lo: Array, hi: Array) -> Array:
        nearest = np.where((lo <= 0) & (hi >= 0), 0.0, np.minimum(np.abs(lo), np.abs(hi)))
        return np.asarray(1 / np.cosh(np.minimum(nearest, 300)) ** 2)

    return steep(x, "tanh", slope, lambda _, y: 1 - y * y)


def sigmoid(x: Tracked) -> Tracked:
    return steep(x, "sigmoid", lambda lo, hi: np.minimum(0.25, np.exp(np.minimum(hi, 0.0))), lambda _, y: y * (1 - y))


def cos(x: Tracked) -> Tracked:
    y = steep(x, "cos", lambda lo, hi: np.ones_like(lo), lambda x, _: -sin(x))
    y.off = y.off + x.rounding.exp * np.minimum(1.0, x.reach)  # near a zero of the cosine the error is relative to the argument
    return y


def sin(x: Tracked) -> Tracked:
    y = steep(x, "sin", lambda lo, hi: np.ones_like(lo), lambda x, _: cos(x))
    y.off = y.off + x.rounding.exp * np.minimum(1.0, x.reach)
    return y


def sqrt(x: Tracked) -> Tracked:
    return steep(
        x, "sqrt", lambda lo, hi: np.where(lo > 0, 0.5 / np.sqrt(np.maximum(lo, 1e-300)), np.inf), lambda x, y: constant(np.full((), 0.5), x.rounding) / y
    )


def relu(x: Tracked) -> Tracked:
    """max(x, 0). Where the sign is in doubt, so is the gradient: either of 0 and g is within the bound."""
    positive = x.middle > 0
    doubtful = np.abs(x.middle) <= x.off  # at 0 itself any subgradient will do

    def pull(g: Tracked) -> Tracked:
        passed = g.where(positive)
        return Tracked(true=passed.true, off=np.where(doubtful, g.reach, passed.off), rounding=g.rounding)

    true = np.where(positive, x.true, exact(np.zeros(())))
    return Tracked(true=true, off=np.where(positive | doubtful, x.off, 0.0), rounding=x.rounding, parents=((x, pull),))


def softmax(scores: Tracked, visible: Flags | None = None) -> Tracked:
    """Weights along the last axis, 0 where not `visible` (and in a row that sees nothing), by any stabiliser within `declared.stabiliser` of the maximum.

    With errors a_j of the exponents, the relative error of p_j is at most (1 + θ_j) / (1 − Σ p θ) − 1 with θ_j = e^{a_j} − 1, but for the roundings of the
    sum and the quotient; p_j never leaves [0, 1]. a_j: the score's own error, its difference to the stabiliser, the exponentials of its own and of each
    merge; and the logarithm's, where weights are rebuilt from one.
    """
    a = scores.rounding
    seen = np.ones(scores.shape, dtype=np.bool_) if visible is None else np.broadcast_to(visible, scores.shape)
    middle = np.where(seen, scores.middle, -np.inf)
    top = middle.max(-1, keepdims=True, initial=-np.inf)
    depth = np.where(seen, np.where(np.isfinite(top), top, 0) - np.where(seen, middle, 0), 0)
    off = np.where(seen, scores.off, 0.0)
    rise = np.where(seen, off - depth, 0).max(-1, keepdims=True, initial=0)
    steps = a.merges(scores.shape[-1]) + 1  # exponentials that a weight meets: its own, and one a merge
    with np.errstate(invalid="ignore", over="ignore"):
        distance = depth + off + rise + 3 * a.declared.stabiliser
        exponent = off + a.gamma(a.declared.exponent_roundings) * distance + steps * (np.log1p(2 * a.exp) + a.declared.exponent_roundings * a.tiny)
        if "log-sum-exp" in (a.declared.normalise, a.declared.recompute):  # p = exp(s − log Σ): what is off in the logarithm is off in every weight
            size = np.abs(np.where(np.isfinite(top), top, 0)) + np.log(max(scores.shape[-1], 1)) + a.declared.stabiliser
            shared = np.where(seen, exponent, 0).max(-1, keepdims=True, initial=0) + a.exp * size + a.gamma(4) * (size + distance)
            exponent = exponent + shared
        theta = np.where(seen, np.expm1(exponent), 0)
        true = _normalised(scores.true, seen, top)
        p = np.asarray(_middle(true), dtype=np.float64)
        lost = (p * np.where(p > 0, theta, 0)).sum(-1, keepdims=True)
        relative = np.where(lost < 1, (1 + theta) / np.maximum(1 - lost, 1e-300) - 1, np.inf)
        relative = relative + (1 + relative) * a.gamma(scores.shape[-1] + 1 + a.declared.detours + 3 * steps)
        lift = np.exp((2 + 3 * a.gamma(1)) * a.declared.stabiliser + steps * np.log1p(2 * a.exp))
        own = times_infinity(p * relative) + a.tiny * (scores.shape[-1] + 2) * lift
        own = own + a.u_weights * (p + own) + a.least_weights
    own = np.where(np.isfinite(scores.off).all(-1, keepdims=True, where=seen), np.minimum(own, 1.0), np.inf)
    result = Tracked(true=true, off=np.where(seen, own, 0.0), rounding=a)

    def pull(g: Tracked) -> Tracked:
        delta = (result * g).sum(-1, keepdims=True)
        return (result * (g - delta)).where(seen)

    result.parents = ((scores, pull),)
    return result


def _normalised(true: Objects, seen: Flags, top: Array) -> Objects:
    shift = exact(np.where(np.isfinite(top), top, 0))
    raised = np.where(seen, _of["exp"](np.where(seen, true, exact(np.zeros(()))) - shift), exact(np.zeros(())))
    mass = np.add.reduce(raised, axis=-1, keepdims=True) if true.shape[-1] else exact(np.ones((*true.shape[:-1], 1)))
    mass = np.where(seen.any(-1, keepdims=True), mass, exact(np.ones(())))
    return _array(raised / mass)


def stack(parts: Sequence[Tracked], axis: int) -> Tracked:
    """Parts side by side along a new axis."""

    def pull(place: int) -> Pull:
        return lambda g: g[tuple([slice(None)] * (axis % len(g.shape)) + [place])]

    true, off = np.stack([x.true for x in parts], axis), np.stack([x.off for x in parts], axis)
    return Tracked(true=true, off=off, rounding=parts[0].rounding, parents=tuple((x, pull(place)) for place, x in enumerate(parts)))


def concatenate(parts: Sequence[Tracked], axis: int) -> Tracked:
    """Parts one behind the other along an axis."""
    ends = np.cumsum([0, *(x.shape[axis] for x in parts)])

    def pull(place: int) -> Pull:
        return lambda g: g[tuple([slice(None)] * (axis % len(g.shape)) + [slice(int(ends[place]), int(ends[place + 1]))])]

    true, off = np.concatenate([x.true for x in parts], axis), np.concatenate([x.off for x in parts], axis)
    return Tracked(true=true, off=off, rounding=parts[0].rounding, parents=tuple((x, pull(place)) for place, x in enumerate(parts)))


def gradients(output: Tracked, cotangent: Tracked, leaves: Sequence[Tracked]) -> list[Tracked]:
    """d⟨output, cotangent⟩ with respect to each leaf, as reverse accumulation computes it: what several uses of a number contribute is added in any order."""
    order: list[Tracked] = []
    seen: set[int] = set()

    def visit(node: Tracked) -> None:
        waiting = [(node, False)]
        while waiting:
            here, done = waiting.pop()
            if done:
                order.append(here)
            elif id(here) not in seen:
                seen.add(id(here))
                waiting.append((here, True))
                waiting += [(parent, False) for parent, _ in here.parents if id(parent) not in seen]

    visit(output)
    wanted, needed = {id(leaf) for leaf in leaves}, set()
    for node in order:  # parents first
        if id(node) in wanted or any(id(parent) in needed for parent, _ in node.parents):
            needed.add(id(node))
    arrived: dict[int, list[Tracked]] = {id(output): [cotangent]}
    for node in reversed(order):
        if id(node) not in arrived or id(node) not in needed:
            continue
        total = together(arrived[id(node)])
        arrived[id(node)] = [total]
        for parent, pull in node.parents:
            if id(parent) in needed:
                arrived.setdefault(id(parent), []).append(bare(pull(total)))
    zero = {id(leaf): constant(np.zeros(leaf.shape), leaf.rounding) for leaf in leaves}
    return [cast(arrived[id(leaf)][0]) if id(leaf) in arrived else zero[id(leaf)] for leaf in leaves]


def together(parts: list[Tracked]) -> Tracked:
    """The sum of several cotangents, and of what each of them is a sum of, in any order."""
    if len(parts) == 1:
        return parts[0]
    a, terms = parts[0].rounding, sum(x.terms for x in parts)
    mass = np.sum([x.summed for x in parts], axis=0)
    off = np.sum([x.off for x in parts], axis=0) + a.gamma(terms - 1) * mass
    true = np.add.reduce([x.true for x in parts])
    return Tracked(true=_array(true), off=capped(times_infinity(off), _array(true), a), rounding=a, terms=terms, mass=mass)


def cast(x: Tracked) -> Tracked:
    """The gradient of an input of a half precision: where each use of it is converted by itself, what comes back from each is rounded to that precision, and
    added in it."""
    a = x.rounding
    if a.declared.casts == "once" or a.u_out <= a.u:
        return x
    k = x.terms * a.u_out
    with np.errstate(invalid="ignore"):
        off = x.off + (k / (1 - k) if k < 0.5 else np.inf) * x.summed + x.terms * a.least_out
    return Tracked(true=x.true, off=times_infinity(off), rounding=a)


def bare(x: Tracked) -> Tracked:
    """Without a history: gradients of gradients are not asked for."""
    return Tracked(true=x.true, off=x.off, rounding=x.rounding, terms=x.terms, mass=x.mass)


def _array(x: Any) -> Objects:
    """Object arrays of no axes too: numpy hands back a bare element."""
    if isinstance(x, np.ndarray):
        return x
    whole: Objects = np.empty((), dtype=object)
    whole[()] = x
    return whole
