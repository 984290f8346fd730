"""Deciding equalities and signs of expressions with indexed sums of symbolic length. Never numerically: `None` means undecided."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import sympy as sp
from sympy.functions.elementary.trigonometric import TrigonometricFunction

from theorems.symbols import RANGE

Ranges = Mapping[sp.Symbol, sp.Expr]  # indices that run over 1..this
BINDERS = (sp.Sum, sp.Product)  # what gives an index a meaning of its own


def is_zero(expression: sp.Expr, apart: frozenset[sp.Expr] = frozenset()) -> bool | None:
    """True if `expression` is identically zero under its symbols' assumptions; None where that could not be shown.

    `apart` holds the deltas that the case at hand takes to be 0, so that one which reappears as sums contract is 0 as well.
    """
    none = {delta: sp.Integer(0) for delta in apart}
    if delta := _free_delta(expression := sp.sympify(expression).xreplace(none)):
        off, on = _cases(expression, delta)
        return True if is_zero(off, apart | {delta}) and is_zero(on) else None
    flat = sp.expand(normal(expression).xreplace(none))
    if flat == 0:
        return True
    if _free_delta(flat):
        return is_zero(flat, apart)
    atoms = {x: sp.Dummy(f"sum{i}", positive=x.is_positive or None, real=True) for i, x in enumerate(sorted(flat.atoms(sp.Sum), key=sp.default_sort_key))}
    closed = flat.xreplace(atoms)
    for simplify in (lambda x: sp.cancel(sp.together(x)), sp.simplify, lambda x: sp.simplify(sp.expand_log(sp.expand(x)))):
        try:
            if simplify(closed) == 0:
                return True
        except (sp.PolynomialError, NotImplementedError, RecursionError):
            continue
    return _termwise_zero(flat)


def _termwise_zero(flat: sp.Expr) -> bool | None:
    """True if `flat` is zero once sums of sines and cosines over one range are put together and their body is simplified: addition theorems need this."""
    bodies: dict[tuple[sp.Tuple, ...], sp.Expr] = {}
    rest = sp.Integer(0)
    for term in sp.Add.make_args(flat):
        constant, sums = term.as_independent(sp.Sum, as_Add=False)
        if isinstance(sums, sp.Sum):
            bodies[sums.limits] = bodies.get(sums.limits, sp.Integer(0)) + constant * sums.function
        else:
            rest += term
    if not bodies or not flat.has(TrigonometricFunction):
        return None
    together = rest + sp.Add(*(sp.Sum(sp.simplify(body), *limits) for limits, body in bodies.items()))
    try:
        return True if sp.simplify(normal(together)) == 0 else None
    except StopIteration:  # SymPy's sum_combine lets one escape
        return None


def normal(expression: sp.Expr) -> sp.Expr:
    """`expression` as a sum of terms with contracted deltas, constants outside the sums and canonical dummy names."""
    expression = sp.sympify(expression)
    again = {x: sp.Dummy(**x.assumptions0) for x in _bound(expression) if x.name.startswith("_x")}  # names of an earlier pass would meet those of this one
    expression = sp.expand(_inner(expression.xreplace(again), RANGE))
    return sp.Add(*(_merge_deltas(term) for term in sp.Add.make_args(expression)))


def _inner(expression: sp.Expr, ranges: Ranges) -> sp.Expr:
    """Rewrite every sum inside `expression`, innermost first."""
    if not expression.has(*BINDERS, sp.KroneckerDelta):
        return expression
    if isinstance(expression, BINDERS):
        body: sp.Expr = expression.function
        if isinstance(expression, sp.Product):
            return _canonical(_inner(body, _within(expression.limits, ranges)), [tuple(limits) for limits in expression.limits], sp.Product)
        for place, (index, low, high) in enumerate(expression.limits):
            inside = _within(expression.limits[place:], ranges)
            body = _sum(_inner(body, inside), index, low, high, inside)
        return body
    return _polynomial_in_deltas(expression.func(*(_inner(x, ranges) for x in expression.args)))


def _bound(expression: sp.Expr) -> set[sp.Symbol]:
    """The indices that a sum or product in `expression` runs over."""
    return {index for x in expression.atoms(*BINDERS) for index in x.variables}


def _within(limits: Sequence[sp.Tuple], ranges: Ranges) -> Ranges:
    """The ranges of the indices inside these limits (innermost first), whatever the same letters mean outside."""
    inside = dict(ranges)
    for index, first, last in reversed(limits):
        inside.pop(index, None)
        if first == 1:
            inside[index] = last
    return inside


def _freshened(expression: sp.Expr, taken: set[sp.Symbol]) -> sp.Expr:
    """`expression` with new names for those of its bound indices that are `taken`, so that nothing put into it is captured."""

    def renamed(binder: sp.Expr) -> sp.Expr:
        names = {x: sp.Dummy(**x.assumptions0) for x in binder.variables if x in taken}
        limits = []
        for place, (x, *bounds) in enumerate(binder.limits):  # a bound may use the indices further out
            outer = {y: names[y] for y, *_ in binder.limits[place + 1 :] if y in names}
            limits.append((names.get(x, x), *(bound.xreplace(outer) for bound in bounds)))
        return binder.func(binder.function.xreplace(names), *limits)

    return expression.replace(lambda x: isinstance(x, BINDERS), renamed) if _bound(expression) & taken else expression


def _put(place: sp.Expr, index: sp.Symbol, expression: sp.Expr) -> sp.Expr:
    """`expression` with `place` for `index`."""
    return _freshened(expression, place.free_symbols).subs(index, place)


def _polynomial_in_deltas(node: sp.Expr) -> sp.Expr:
    """f(δ) = (1 − δ) f(0) + δ f(1) for a delta inside an exponential or a quotient, so that a sum around it can contract the delta."""
    delta = _free_delta(node)
    if delta is None or not (isinstance(node, sp.exp) or (isinstance(node, sp.Pow) and not (node.exp.is_Integer and node.exp > 0))):
        return node
    off, on = (_polynomial_in_deltas(node.xreplace({delta: sp.Integer(value)})) for value in (0, 1))
    return (1 - delta) * off + delta * on


def _free_delta(expression: sp.Expr) -> sp.KroneckerDelta | None:
    """A delta of `expression` between indices that no sum or product in it runs over, if there is one."""
    summed = _bound(expression)
    return min((x for x in expression.atoms(sp.KroneckerDelta) if not x.free_symbols & summed), key=sp.default_sort_key, default=None)


def _cases(expression: sp.Expr, delta: sp.KroneckerDelta) -> tuple[sp.Expr, sp.Expr]:
    """`expression` where the delta's two indices differ, and where they are the same index."""
    low, high = sorted(delta.args, key=str)
    return expression.xreplace({delta: sp.Integer(0)}), expression.xreplace({delta: sp.Integer(1)}).xreplace({high: low})


def _sum(body: sp.Expr, index: sp.Symbol, low: sp.Expr, high: sp.Expr, ranges: Ranges) -> sp.Expr:
    return sp.Add(*(_sum_term(_merge_deltas(term), index, low, high, ranges) for term in sp.Add.make_args(sp.expand(body))))


def _sum_term(term: sp.Expr, index: sp.Symbol, low: sp.Expr, high: sp.Expr, ranges: Ranges) -> sp.Expr:
    for delta in term.atoms(sp.KroneckerDelta):
        if index in delta.args and delta in sp.Mul.make_args(term):
            other = delta.args[1] if delta.args[0] == index else delta.args[0]
            if low == 1 and not other.has(index) and _in_range(other, high, ranges):
                return _inner(_put(other, index, term / delta), ranges)
    constant, body = term.as_independent(index, as_Add=False)
    if body == 1 and (high - low + 1).is_nonnegative:
        return constant * (high - low + 1)
    outer, inner = sp.Integer(1), []
    for factor in sp.Mul.make_args(body):  # merge directly nested sums, so that their order does not matter
        if isinstance(factor, sp.Sum) and factor.has(index):
            inner.append(factor)
        else:
            outer *= factor
    if len(inner) == 1:
        nested = _freshened(inner[0], set(inner[0].variables))
        if low == 1 and (contracted := _contracted_inside(outer, nested, index, high, ranges)) is not None:
            return constant * contracted
        return constant * _canonical(outer * nested.function, [*map(tuple, nested.limits), (index, low, high)])
    return constant * _canonical(body, [(index, low, high)])


def _contracted_inside(outer: sp.Expr, inner: sp.Sum, index: sp.Symbol, high: sp.Expr, ranges: Ranges) -> sp.Expr | None:
    """Σ_index outer Σ δ(index, place) f = Σ (outer f)(index = place), if every place of the inner sum lies in 1..high; None where there is no such delta."""
    if any(bound.has(index) for _, *bounds in inner.limits for bound in bounds):
        return None
    for delta in sp.Mul.make_args(inner.function):
        if isinstance(delta, sp.KroneckerDelta) and index in delta.args:
            place = delta.args[1] if delta.args[0] == index else delta.args[0]
            if not place.has(index) and _in_range(place, high, _within(inner.limits, ranges)):
                return _inner(sp.Sum(_put(place, index, outer * inner.function / delta), *inner.limits), ranges)
    return None


def _in_range(place: sp.Expr, high: sp.Expr, ranges: Ranges) -> bool:
    """Whether 1 <= place <= high for all values of the indices in `place`, each of which runs over 1..its range."""
    if ranges.get(place) == high:
        return True
    indices = sorted(place.free_symbols & ranges.keys(), key=str)
    slack = [sp.Dummy(integer=True, nonnegative=True) for _ in indices]
    above_one = (place - 1).subs({x: 1 + more for x, more in zip(indices, slack, strict=True)})
    room = (high - place).subs({ranges[x]: x + more for x, more in zip(indices, slack, strict=True)})
    return bool(indices) and is_nonnegative(sp.expand(above_one)) and is_nonnegative(sp.expand(room))


def _canonical(body: sp.Expr, limits: list[tuple[sp.Expr, ...]], binder: type[sp.Expr] = sp.Sum) -> sp.Expr:
    """Name the bound variables so that equal sums look equal: the order whose printed form is smallest, if no limit depends on another.

    The names start after those that sums and products inside `body` bind, so that no outer variable is captured by an inner sum.
    """
    deepest = max((int(x.name[2:]) for x in _bound(body) if x.name.startswith("_x")), default=0)
    names = sp.symbols(f"_x{deepest + 1}:{deepest + len(limits) + 1}", integer=True, positive=True)
    variables = {limit[0] for limit in limits}
    entwined = any(bound.free_symbols & variables for _, *bounds in limits for bound in map(sp.sympify, bounds))
    candidates = []
    for order in [limits] if entwined else itertools.permutations(limits):
        renamed = {limit[0]: name for limit, name in zip(order, names, strict=True)}
        named = []
        for place, (index, *bounds) in enumerate(order):  # a bound may use the indices further out
            outer = {x: renamed[x] for x, *_ in order[place + 1 :] if x != index}
            named.append((renamed[index], *(sp.sympify(bound).xreplace(outer) for bound in bounds)))
        candidates.append(binder(body.xreplace(renamed), *named))
    return min(candidates, key=sp.default_sort_key)


def _merge_deltas(term: sp.Expr) -> sp.Expr:
    """δ_ik f(i) → δ_ik f(k) for free indices, and δ² → δ."""
    factors = sp.Mul.make_args(term)
    for factor in factors:
        delta = factor.base if isinstance(factor, sp.Pow) and factor.exp.is_positive else factor
        if isinstance(delta, sp.KroneckerDelta) and delta.args[0] != delta.args[1]:
            low, high = sorted(delta.args, key=str)
            rest = sp.Mul(*(x for x in factors if x != factor))
            if rest.has(high):
                return _merge_deltas(sp.expand(delta * rest.xreplace({high: low})))
            return delta * rest
    return term


def differentiated(expression: sp.Expr) -> sp.Expr:
    """`expression` with every derivative that it writes down carried out, and every value put in for a letter after that. What is kept apart for
    the reader (`sp.UnevaluatedExpr`) is put together first."""

    def slope(x: sp.Derivative) -> sp.Expr:
        letters = {y for letter in x.variables for y in letter.free_symbols}
        return sp.diff(_freshened(x.expr, letters), *x.variable_count)

    def value(x: sp.Subs) -> sp.Expr:
        return _freshened(x.expr, x.point.free_symbols).subs(dict(zip(x.variables, x.point, strict=True)), simultaneous=True)

    written = sp.sympify(expression).replace(lambda x: isinstance(x, sp.UnevaluatedExpr), lambda x: x.args[0])
    carried_out = written.replace(lambda x: isinstance(x, sp.Derivative), slope)
    return carried_out.replace(lambda x: isinstance(x, sp.Subs), value)


def denominators(expression: sp.Expr) -> set[sp.Expr]:
    """Everything that `expression` divides by, and the arguments of its logarithms (which must be positive)."""
    below = {power.base for power in expression.atoms(sp.Pow) if power.exp.could_extract_minus_sign() and not power.base.is_number}
    return below | {log.args[0] for log in expression.atoms(sp.log) if not log.args[0].is_number}


def is_positive(expression: sp.Expr) -> bool:
    return bool(_decided(expression, "is_positive"))


def is_nonnegative(expression: sp.Expr) -> bool:
    return bool(_decided(expression, "is_nonnegative"))


def _decided(expression: sp.Expr, sign: str) -> bool:
    """Whether the assumptions on the symbols settle the sign, looking inside sums, products and positive combinations."""
    if getattr(expression, sign) is True:
        return True
    if isinstance(expression, sp.Sum):
        return _decided(expression.function, sign) and (sign == "is_nonnegative" or _never_empty(expression))
    if isinstance(expression, sp.Add):
        return _by_terms(expression, sign) or _by_cases(expression, sign)
    if isinstance(expression, sp.Mul):
        return all(_decided(x, sign) for x in expression.args)
    if isinstance(expression, sp.Pow):
        return bool(expression.exp.is_even and sign == "is_nonnegative" and expression.base.is_real) or (
            bool(expression.exp.is_real) and _decided(expression.base, "is_positive")
        )
    if isinstance(expression, sp.Max):
        return any(_decided(x, sign) for x in expression.args)
    return False


def _never_empty(expression: sp.Sum) -> bool:
    return all((last - first).is_nonnegative for _, first, last in expression.limits)


def _by_terms(expression: sp.Expr, sign: str) -> bool:
    """Whether every term of the sum is non-negative (and one of them positive, if that is asked)."""
    parts = sp.Add.make_args(expression)
    return all(_decided(x, "is_nonnegative") for x in parts) and (sign == "is_nonnegative" or any(_decided(x, "is_positive") for x in parts))


def _by_cases(expression: sp.Expr, sign: str) -> bool:
    """The sign over one common denominator: every delta as 0 and as 1, and e^y as 1 + x (y ≥ 0) or 1/(1 + x) (y ≤ 0) for some x ≥ 0.

    Inside a sum these would have to vary with its index, so there they are left alone.
    """
    free = not expression.has(sp.Sum)
    for delta in expression.atoms(sp.KroneckerDelta) if free else ():
        return all(_decided(expression.xreplace({delta: sp.Integer(value)}), sign) for value in (0, 1))
    exponentials = expression.atoms(sp.exp) if free else ()
    grown = {power: _grown(power.args[0]) for power in exponentials if power.args[0].is_nonnegative or power.args[0].is_nonpositive}
    above, below = sp.fraction(sp.together(expression.xreplace(grown)))
    return _decided(below, "is_positive") and _by_terms(sp.expand_mul(above), sign)


def _grown(exponent: sp.Expr) -> sp.Expr:
    growth = 1 + sp.Dummy(positive=exponent.is_nonzero or None, nonnegative=True)
    return growth if exponent.is_nonnegative else 1 / growth
