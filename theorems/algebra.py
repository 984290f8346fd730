"""Deciding equalities and signs of expressions with indexed sums of symbolic length. Never numerically: `None` means undecided."""

from __future__ import annotations

import itertools

import sympy as sp

from theorems.symbols import RANGE


def is_zero(expression: sp.Expr) -> bool | None:
    """True if `expression` is identically zero under its symbols' assumptions; None where that could not be shown."""
    flat = normal(expression)
    if flat == 0:
        return True
    atoms = {x: sp.Dummy(f"sum{i}", positive=x.is_positive or None, real=True) for i, x in enumerate(sorted(flat.atoms(sp.Sum), key=sp.default_sort_key))}
    closed = flat.xreplace(atoms)
    for simplify in (lambda x: sp.cancel(sp.together(x)), sp.simplify, lambda x: sp.simplify(sp.expand_log(sp.expand(x)))):
        try:
            if simplify(closed) == 0:
                return True
        except (sp.PolynomialError, NotImplementedError, RecursionError):
            continue
    return None


def normal(expression: sp.Expr) -> sp.Expr:
    """`expression` as a sum of terms with contracted deltas, constants outside the sums and canonical dummy names."""
    expression = sp.expand(_inner(sp.sympify(expression)))
    return sp.Add(*(_merge_deltas(term) for term in sp.Add.make_args(expression)))


def _inner(expression: sp.Expr) -> sp.Expr:
    """Rewrite every sum inside `expression`, innermost first."""
    if not expression.has(sp.Sum):
        return expression
    if isinstance(expression, sp.Sum):
        body: sp.Expr = expression.function
        for limits in expression.limits:
            body = _sum(_inner(body), *limits)
        return body
    return expression.func(*map(_inner, expression.args))


def _sum(body: sp.Expr, index: sp.Symbol, low: sp.Expr, high: sp.Expr) -> sp.Expr:
    return sp.Add(*(_sum_term(_merge_deltas(term), index, low, high) for term in sp.Add.make_args(sp.expand(body))))


def _sum_term(term: sp.Expr, index: sp.Symbol, low: sp.Expr, high: sp.Expr) -> sp.Expr:
    for delta in term.atoms(sp.KroneckerDelta):
        if index in delta.args and delta in sp.Mul.make_args(term):
            other = delta.args[1] if delta.args[0] == index else delta.args[0]
            if low == 1 and RANGE.get(other, high if other.is_Dummy else None) == high:  # the delta's other index surely lies in the range
                return _inner((term / delta).subs(index, other))
    constant, body = term.as_independent(index, as_Add=False)
    if body == 1:
        return constant * (high - low + 1)
    outer, inner = sp.Integer(1), []
    for factor in sp.Mul.make_args(body):  # merge directly nested sums, so that their order does not matter
        if isinstance(factor, sp.Sum) and factor.has(index):
            inner.append(factor)
        else:
            outer *= factor
    if len(inner) == 1:
        fresh = [sp.Dummy(integer=True, positive=True) for _ in inner[0].limits]
        names = dict(zip(inner[0].variables, fresh, strict=True))
        limits = [(names[v], *bounds) for v, *bounds in inner[0].limits]
        return constant * _canonical(outer * inner[0].function.xreplace(names), [*limits, (index, low, high)])
    return constant * _canonical(body, [(index, low, high)])


def _canonical(body: sp.Expr, limits: list[tuple[sp.Expr, ...]]) -> sp.Expr:
    """Name the summation variables so that equal sums look equal: the order whose printed form is smallest."""
    names = sp.symbols(f"_x1:{len(limits) + 1}", integer=True, positive=True)
    candidates = []
    for order in itertools.permutations(limits):
        renamed = body.xreplace({limit[0]: name for limit, name in zip(order, names, strict=True)})
        candidates.append(sp.Sum(renamed, *((name, *limit[1:]) for limit, name in zip(order, names, strict=True))))
    return min(candidates, key=sp.default_sort_key)


def _merge_deltas(term: sp.Expr) -> sp.Expr:
    """δ_ik f(i) → δ_ik f(k) for free indices, and δ² → δ."""
    factors = sp.Mul.make_args(term)
    for factor in factors:
        delta = factor.base if isinstance(factor, sp.Pow) else factor
        if isinstance(delta, sp.KroneckerDelta) and delta.args[0] != delta.args[1]:
            low, high = sorted(delta.args, key=str)
            rest = sp.Mul(*(x for x in factors if x != factor))
            if rest.has(high):
                return _merge_deltas(sp.expand(delta * rest.xreplace({high: low})))
            return delta * rest
    return term


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
        return _decided(expression.function, sign)
    if isinstance(expression, sp.Add):
        parts = expression.args
        return all(_decided(x, "is_nonnegative") for x in parts) and (sign == "is_nonnegative" or any(_decided(x, "is_positive") for x in parts))
    if isinstance(expression, sp.Mul):
        return all(_decided(x, sign) for x in expression.args)
    if isinstance(expression, sp.Pow):
        return bool(expression.exp.is_even and sign == "is_nonnegative" and expression.base.is_real) or (
            bool(expression.exp.is_real) and _decided(expression.base, "is_positive")
        )
    if isinstance(expression, sp.Max):
        return any(_decided(x, sign) for x in expression.args)
    return False
