"""Searches on small integers for what theorems/heads.py says of several heads: patterns, single heads against two, errors, and the listing of a course text."""

from hypothesis import strategies as st

from properties.search import searched
from theorems import heads

Matrices = st.SearchStrategy[list[list[int]]]
small = st.integers(-2, 2)
few = st.integers(1, 3)
factors = st.sampled_from([1, 2, -1])


def matrices(rows: int, columns: int, entries: st.SearchStrategy[int] = small) -> Matrices:
    return st.lists(st.lists(entries, min_size=columns, max_size=columns), min_size=rows, max_size=rows)


def repeated(what: st.SearchStrategy[object], times: int) -> st.SearchStrategy[object]:
    return st.lists(what, min_size=times, max_size=times)


tokens, count = st.shared(few, key="tokens of a pattern"), st.shared(st.integers(1, 4), key="heads of a layer")
patterns = st.tuples(count, tokens).flatmap(lambda size: repeated(matrices(size[1], size[1], st.integers(1, 5)), size[0]))
shapes = st.shared(st.sampled_from([(2, 1), (2, 2), (3, 1), (3, 3), (4, 1), (4, 2), (4, 4)]), key="model width and heads")
scores = {"scores": shapes.flatmap(lambda shape: matrices(shape[0], shape[0])), "heads": shapes.map(lambda shape: shape[1])}
widths = st.shared(few, key="width of a single head")
through = st.one_of(st.just([[1, 0], [0, 1]]), matrices(2, 2))
errors = st.tuples(few, st.integers(2, 4)).flatmap(lambda size: matrices(*size))
sizes = st.shared(st.tuples(few, few, few, few, few), key="rows, keys, features, outputs, heads")
orders = count.flatmap(lambda size: st.permutations(range(size)))
keys = st.shared(few, key="keys of a row")
row = keys.flatmap(lambda size: st.lists(small, min_size=size, max_size=size))
starts = count.flatmap(lambda size: st.lists(st.tuples(small, small), min_size=size, max_size=size))
width = st.shared(few, key="width of the model")
layers = st.tuples(width, few, st.integers(1, 2)).flatmap(
    lambda size: repeated(st.tuples(*[matrices(size[0], size[1], factors)] * 3, matrices(size[1], size[0], factors)), size[2]),
)
wide = st.shared(st.integers(2, 3), key="width of a model with several features")
several = st.integers(2, 3)
wide_layers = st.tuples(wide, few, st.integers(1, 2)).flatmap(
    lambda size: repeated(st.tuples(*[matrices(size[0], size[1], factors)] * 3, matrices(size[1], size[0], factors)), size[2]),
)
wide_listing = {"tokens": st.tuples(several, wide).flatmap(lambda size: matrices(*size)), "heads": wide_layers}
listing = {"tokens": st.tuples(few, width).flatmap(lambda size: matrices(*size)), "heads": layers}

test_heads_have_any_patterns = searched(heads.any_patterns, patterns=patterns)
test_h_heads_have_h_patterns = searched(heads.distinct_patterns, tokens=st.lists(st.integers(-3, 3), min_size=1, max_size=4), heads=st.integers(1, 4))
test_narrower_heads_keep_every_pattern = searched(heads.more_heads, **scores)
test_the_rank_decides_which_patterns_a_head_has = searched(heads.pattern_rank, **scores)
test_no_single_head_computes_what_two_compute = searched(
    heads.two_beat_one,
    query=widths.flatmap(lambda size: matrices(2, size)),
    key=widths.flatmap(lambda size: matrices(2, size)),
    through=through,
)
test_narrower_heads_keep_every_map = searched(heads.expressivity, query=matrices(2, 2), key=matrices(2, 2), through=matrices(2, 2))
test_redundant_heads_err_less = searched(heads.redundancy, errors=errors)
test_heads_err_less_as_far_as_they_differ = searched(heads.mean_of_heads, errors=errors)
test_heads_with_one_pattern_are_one_head = searched(
    heads.shared_pattern,
    pattern=sizes.flatmap(lambda size: matrices(size[0], size[1])),
    values=sizes.flatmap(lambda size: repeated(matrices(size[1], size[2]), size[4])),
    blocks=sizes.flatmap(lambda size: repeated(matrices(size[2], size[3]), size[4])),
)
test_a_lost_head_takes_its_share = searched(
    heads.lost_head,
    value=sizes.flatmap(lambda size: st.lists(small, min_size=size[2], max_size=size[2])),
    block=sizes.flatmap(lambda size: matrices(size[2], size[3])),
    heads=st.integers(1, 4),
    gone=st.integers(0, 3),
)
test_heads_stand_in_any_order = searched(
    heads.order_is_arbitrary,
    heads=st.tuples(count, sizes).flatmap(lambda size: repeated(matrices(size[1][0], size[1][2]), size[0])),
    blocks=st.tuples(count, sizes).flatmap(lambda size: repeated(matrices(size[1][2], size[1][3]), size[0])),
    order=orders,
)
test_equal_heads_stay_equal = searched(heads.equal_starts_stay_equal, starts=starts, features=row, values=row, target=small, order=orders)
test_descent_raises_the_scores_of_useful_keys = searched(
    heads.learns_what_is_useful,
    features=row,
    factor=st.integers(-1, 1),
    values=keys.flatmap(lambda size: matrices(size, 2)),
    cotangent=st.lists(small, min_size=2, max_size=2),
)
test_descent_learns_what_is_relevant = searched(
    heads.learns_relevance,
    features=st.lists(small, min_size=3, max_size=3),
    factor=st.just(0),
    values=matrices(3, 1),
    cotangent=st.just([-1]),
)
test_the_listing_is_a_transformer_layer = searched(heads.module_is_a_layer, **wide_listing)
test_the_listing_makes_a_layer_on_projected_inputs = searched(heads.module_inside_a_layer, **listing)
