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
_of = {name: np.frompyfunc(lambda x, name=name: getattr(x, name)(), 1, 1) for name in ("exp", "log", "tanh", "cos", "sin", "sqrt", "log1p")}
_sigmoid = np.frompyfunc(lambda x: 1 / (1 + (-x).exp()), 1, 1)


def exact(x: Array) -> Objects:
    """float64 numbers as balls of radius 0."""
    ctx.prec = BITS
    return _array(_lift(np.asarray(x, dtype=np.float64)))


@dataclass(slots=True, eq=False, kw_only=True)
class Tracked:
    """An array: `true` values (balls), `off` ≥ |computed − true| per element, and, for gradients, what each `parent` gets of this array's cotangent.

    `rounding` is the arithmetic of the computation. Operators and the functions of this module round each result once; what is exact says so.
    """

    true: Objects
    off: Array
    rounding: Rounding
    parents: tuple[tuple[Tracked, Pull], ...] = ()
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
        return Tracked(true=-self.true, off=self.off, rounding=self.rounding, parents=((self, lambda g: -g),))

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
        return Tracked(true=self.true.reshape(shape), off=self.off.reshape(shape), rounding=self.rounding, parents=((self, lambda g: g.reshape(*self.shape)),))

    def swapaxes(self, one: int, other: int) -> Tracked:
        parents: Any = ((self, lambda g: g.swapaxes(one, other)),)
        return Tracked(true=self.true.swapaxes(one, other), off=self.off.swapaxes(one, other), rounding=self.rounding, parents=parents)

    def sum(self, axis: int, *, keepdims: bool = False) -> Tracked:
        """The sum along an axis in any order."""
        count = self.shape[axis]
        off = self.off.sum(axis, keepdims=keepdims) + self.rounding.gamma(max(count - 1, 0)) * self.reach.sum(axis, keepdims=keepdims)

        def pull(g: Tracked) -> Tracked:
            back = g if keepdims else g.reshape(*np.expand_dims(g.off, axis).shape)
            return back.broadcast(self.shape)

        true = self.true.sum(axis=axis, keepdims=keepdims) if count else exact(np.zeros(off.shape))
        return Tracked(true=_array(true), off=capped(np.asarray(off), true, self.rounding), rounding=self.rounding, parents=((self, pull),))

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


def fold(g: Tracked, shape: tuple[int, ...]) -> Tracked:
    """Sum the axes along which an operand was broadcast."""
    while len(g.shape) > len(shape):
        g = g.sum(0)
    for axis, length in enumerate(shape):
        if length == 1 and g.shape[axis] != 1:
            g = g.sum(axis, keepdims=True)
    return g


def scattered(g: Tracked, at: Any, shape: tuple[int, ...]) -> Tracked:
    """The cotangent of a slice, or of gathered elements, as one of the whole."""
    true, off, many = exact(np.zeros(shape)), np.zeros(shape), np.zeros(shape)
    np.add.at(off, at, g.off)
    np.add.at(many, at, 1.0)
    reach = np.zeros(shape)
    np.add.at(reach, at, g.reach)
    np.add.at(true, at, g.true)
    off = off + g.rounding.gamma(np.maximum(many - 1, 0)) * reach
    return Tracked(true=true, off=off, rounding=g.rounding)


def contract(subscripts: str, *operands: Tracked) -> Tracked:
    """An Einstein sum of products, in any association and order of the sums: each term is a product of rounded factors, and no more roundings touch it than
    products and sums are long. Each subscript stands once in an operand."""
    rounding = operands[0].rounding
    inputs, output = subscripts.split("->")
    labels = inputs.split(",")
    lengths = {label: length for names, x in zip(labels, operands, strict=True) for label, length in zip(names, x.shape, strict=True)}
    summed = [length for label, length in lengths.items() if label not in output]
    roundings = rounding.declared.detours + len(operands) - 1 + sum(max(length - 1, 0) for length in summed)
    sizes, offs, reaches = [x.size for x in operands], [x.off for x in operands], [x.reach for x in operands]
    with np.errstate(invalid="ignore", over="ignore"):
        off = sum(  # Π reach − Π size, telescoped: nothing cancels
            (times_infinity(np.einsum(subscripts, *sizes[:i], offs[i], *reaches[i + 1 :])) for i in range(len(operands)) if offs[i].any()),
            np.zeros(tuple(lengths[label] for label in output)),
        )
        off = off + times_infinity(rounding.gamma(roundings) * np.einsum(subscripts, *reaches))
        off = off + math.prod(summed) * len(operands) * rounding.tiny * largest_factor(operands)
    true = np.einsum(subscripts, *(x.true for x in operands)) if all(lengths.values()) else exact(np.zeros(off.shape))
    result = Tracked(true=_array(true), off=capped(np.asarray(off), _array(true), rounding), rounding=rounding)

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
    doubtful = (np.abs(x.middle) <= x.off) & (x.off > 0)

    def pull(g: Tracked) -> Tracked:
        passed = g.where(positive)
        return Tracked(true=passed.true, off=np.where(doubtful, g.reach, passed.off), rounding=g.rounding)

    true = np.where(positive, x.true, exact(np.zeros(())))
    return Tracked(true=true, off=np.where(positive | doubtful, x.off, 0.0), rounding=x.rounding, parents=((x, pull),))


def softmax(scores: Tracked, visible: Flags | None = None) -> Tracked:
    """Weights along the last axis, 0 where not `visible` (and in a row that sees nothing), by any stabiliser within `declared.stabiliser` of the maximum.

    With errors a_j of the exponents, the relative error of p_j is at most (1 + θ_j) / (1 − Σ p θ) − 1 with θ_j = e^{a_j} − 1, but for the roundings of the
    sum and the quotient; p_j never leaves [0, 1]. a_j: the score's own error, its difference to the stabiliser, the exponential.
    """
    a = scores.rounding
    seen = np.ones(scores.shape, dtype=np.bool_) if visible is None else np.broadcast_to(visible, scores.shape)
    middle = np.where(seen, scores.middle, -np.inf)
    top = middle.max(-1, keepdims=True, initial=-np.inf)
    depth = np.where(seen, np.where(np.isfinite(top), top, 0) - np.where(seen, middle, 0), 0)
    off = np.where(seen, scores.off, 0.0)
    rise = np.where(seen, off - depth, 0).max(-1, keepdims=True, initial=0)
    with np.errstate(invalid="ignore", over="ignore"):
        distance = depth + off + rise + 3 * a.declared.stabiliser
        theta = np.where(seen, np.expm1(off + a.gamma(a.declared.exponent_roundings) * distance + np.log1p(2 * a.exp)), 0)
        true = _normalised(scores.true, seen, top)
        p = np.asarray(_middle(true), dtype=np.float64)
        lost = (p * np.where(p > 0, theta, 0)).sum(-1, keepdims=True)
        relative = np.where(lost < 1, (1 + theta) / np.maximum(1 - lost, 1e-300) - 1, np.inf)
        relative = relative + (1 + relative) * a.gamma(scores.shape[-1] + 2)
        own = times_infinity(p * relative) + a.tiny * (scores.shape[-1] + 2)
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
    return [arrived[id(leaf)][0] if id(leaf) in arrived else zero[id(leaf)] for leaf in leaves]


def together(parts: list[Tracked]) -> Tracked:
    """The sum of several cotangents in any order."""
    return parts[0] if len(parts) == 1 else bare(stack(parts, 0).sum(0))


def bare(x: Tracked) -> Tracked:
    """Without a history: gradients of gradients are not asked for."""
    return Tracked(true=x.true, off=x.off, rounding=x.rounding)


def _array(x: Any) -> Objects:
    """Object arrays of no axes too: numpy hands back a bare element."""
    if isinstance(x, np.ndarray):
        return x
    whole: Objects = np.empty((), dtype=object)
    whole[()] = x
    return whole
