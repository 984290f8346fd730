"""Searches on small tokens and parameters for what theorems/landscape.py says of the loss, its critical points and gradient descent."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from properties.search import searched
from theorems import landscape

Strategy = st.SearchStrategy[Any]
small = st.integers(-2, 2)
sizes = st.shared(st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)), key="length, width of tokens, width of queries")


def matrix(rows: int, columns: int) -> Strategy:
    """Any, or of rank at most one, or zero."""
    free = st.tuples(*[st.tuples(*[small] * columns)] * rows)
    thin = st.tuples(st.tuples(*[small] * rows), st.tuples(*[small] * columns)).map(lambda uv: tuple(tuple(x * y for y in uv[1]) for x in uv[0]))
    return st.one_of(free, thin, st.just(((0,) * columns,) * rows))


def shaped(shape: Callable[[int, int, int], tuple[int, int]]) -> Strategy:
    return sizes.flatmap(lambda s: matrix(*shape(*s)))


def full(rows: int, columns: int) -> Strategy:
    """Entries that are mostly not zero."""
    return st.tuples(*[st.tuples(*[st.sampled_from([1, 2, -1, 0])] * columns)] * rows)


layer: dict[str, Strategy] = {
    "tokens": sizes.flatmap(lambda s: full(s[0], s[1])),
    "W_Q": shaped(lambda n, d, d_k: (d, d_k)),
    "W_K": shaped(lambda n, d, d_k: (d, d_k)),
    "W_V": sizes.flatmap(lambda s: full(s[1], 1)),
}
targets: dict[str, Strategy] = {"targets": sizes.flatmap(lambda s: full(s[0], 1))}
fraction = st.sampled_from([Fraction(x, 2) for x in (1, -1, 2, -2, 3, -3, 4, -4, 0)])
length = st.shared(st.integers(2, 3), key="tokens whose product has a sign")
weight = st.sampled_from([1, -1, 2, -2, 0])
inner = st.shared(st.integers(1, 2), key="width of queries in a descent")


def several(width: int) -> Strategy:
    """Up to four sequences of one to three tokens, which need not have one length."""
    token = st.tuples(*[small] * width)
    return st.lists(st.lists(token, min_size=1, max_size=3).map(tuple), min_size=1, max_size=4).map(tuple)


def distinct(width: int) -> Strategy:
    """One sequence of two different tokens: few enough to redo what descent makes of them by hand."""
    token = st.tuples(*[small] * width)
    return st.lists(token, min_size=2, max_size=2, unique=True).map(lambda rows: (tuple(rows),))


def descent(widths: Strategy, data: Callable[[int], Strategy]) -> dict[str, Strategy]:
    """Data, a teacher that sets the targets, a start, and a step."""
    width = st.shared(widths, key="width of tokens in a descent")
    return {
        "data": width.flatmap(data),
        "teacher": fraction,
        "goal": width.flatmap(lambda d: st.tuples(*[weight] * d)),
        "queries": inner.flatmap(lambda d_k: st.tuples(*[fraction] * d_k)),
        "keys": inner.flatmap(lambda d_k: st.tuples(*[fraction] * d_k)),
        "values": width.flatmap(lambda d: st.tuples(*[weight] * d)),
        "share": st.sampled_from([Fraction(1, 4), Fraction(1, 2), Fraction(1)]),
    }


pair = st.shared(st.integers(1, 4), key="tokens at the origin").flatmap(lambda n: st.tuples(*[st.integers(-3, 3)] * n))

test_the_loss_sees_the_product = searched(landscape.loss_through_product, **layer)
test_symmetries_of_the_loss = searched(landscape.scaling_symmetry, **layer, factor=st.sampled_from([Fraction(1, 2), Fraction(3), Fraction(-1)]), shear=small)
test_rank_deficient_parameters_are_degenerate_critical_points = searched(landscape.rank_deficient, **layer, **targets)
test_gradients_along_null_vectors = searched(landscape.dead_features, **layer, **targets)
test_critical_points_are_degenerate = searched(landscape.degenerate, **layer, **targets)
test_the_origin_as_a_critical_point = searched(landscape.nondegenerate_origin, tokens=pair, targets=pair)
test_gradient_descent_converges = searched(landscape.gradient_descent, **descent(st.just(1), distinct))
test_gradient_descent_on_means = searched(landscape.descent_from_uniform, **descent(st.integers(1, 3), several))
test_the_sign_of_the_product = searched(
    landscape.sign_of_the_product,
    tokens=length.flatmap(lambda n: st.tuples(*[st.integers(-2, 2)] * n)),
    targets=length.flatmap(lambda n: st.tuples(*[small] * n)),
    product=fraction,
    value=small,
)
test_copying_is_never_exact = searched(
    landscape.copying_has_no_optimum,
    words=st.integers(2, 3),
    sequence=st.lists(st.integers(0, 2), min_size=1, max_size=4).map(tuple),
    sharpness=st.integers(0, 12),
    weights=st.tuples(*[st.tuples(*[small] * 3)] * 3),
)
