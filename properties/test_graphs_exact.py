"""Searches on small graphs for cases that break what theorems/graphs.py says."""

from fractions import Fraction

import hypothesis.strategies as st

from properties.search import searched
from theorems import graphs

small = st.integers(-3, 3)
tiny = st.integers(-1, 1)
slopes = st.sampled_from((Fraction(1, 100), Fraction(1, 5), Fraction(1, 2), Fraction(9, 10)))
nodes = st.shared(st.integers(1, 4), key="nodes of a graph")
of_nodes = nodes.flatmap(lambda n: st.integers(0, n - 1))


def rows(count: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[small] * count)


def matrices(tall: int, wide: int) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    return st.tuples(*[rows(wide)] * tall)


def edge_lists(count: int, *, twice: bool = False) -> st.SearchStrategy[tuple[tuple[int, int], ...]]:
    edge = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    return st.lists(edge, max_size=8, unique=not twice).map(tuple)


edges = nodes.flatmap(edge_lists)
values = nodes.flatmap(rows)
tables = nodes.flatmap(lambda n: matrices(n, n))

test_weights_sum_to_one = searched(graphs.weights_sum_to_one, edges=edges, scores=tables)
test_weights_sum_to_one_where_there_are_neighbours = searched(graphs.neighbours_mass, edges=edges, scores=tables)
test_segments_are_masked_dense = searched(graphs.segments_are_masked_dense, edges=edges, scores=tables, values=values)

listed = st.shared(nodes.flatmap(lambda n: edge_lists(n, twice=True)), key="edges, perhaps listed twice")
of_edges = listed.flatmap(lambda found: rows(len(found)))
test_edges_in_any_order = searched(
    graphs.edges_in_any_order,
    edges=listed,
    scores=of_edges,
    values=values,
    order=listed.flatmap(lambda found: st.permutations(range(len(found))).map(tuple)),
)
near = st.shared(st.integers(1, 4), key="neighbours")
test_copies_add_their_logarithm = searched(
    graphs.duplicate_edges,
    scores=near.flatmap(rows),
    values=near.flatmap(rows),
    copies=near.flatmap(lambda n: st.tuples(*[st.integers(1, 3)] * n)),
)
test_groups_are_independent = searched(graphs.groups_are_independent, edges=listed, scores=of_edges, values=values, shifts=values, size=st.integers(-9, 9))
far = st.integers(-150, 150)
extreme = st.sampled_from((-(2**127), 2**127))  # so far apart that in float32 their difference is infinite
row_of_scores = st.lists(far, min_size=1, max_size=3).map(tuple) | st.lists(extreme, min_size=1, max_size=3).map(tuple)
rows_of_scores = st.lists(row_of_scores, min_size=1, max_size=3).map(tuple)
test_one_maximum_for_all_nodes = searched(graphs.global_maximum, rows=rows_of_scores)
test_a_maximum_for_each_node = searched(graphs.own_maximum, rows=rows_of_scores)

widths = st.shared(st.tuples(st.integers(1, 3), st.integers(1, 2)), key="width of features and of a head")
features = st.tuples(nodes, widths).flatmap(lambda x: matrices(x[0], x[1][0]))
projection = widths.flatmap(lambda x: matrices(x[1], x[0]))
vector = widths.flatmap(lambda x: rows(2 * x[1]))
test_there_is_one_ranking = searched(graphs.one_ranking, features=features, W=projection, a=vector, left=slopes)
test_each_node_can_rank_itself_first = searched(graphs.rankings_that_differ, first=st.integers(-9, 0), second=st.integers(1, 9), left=slopes)
test_on_the_complete_graph = searched(
    graphs.complete_graph,
    heights=st.lists(small, min_size=1, max_size=4).map(tuple),
    offsets=st.lists(small, min_size=1, max_size=4).map(tuple),
    left=slopes,
)

score = st.shared(small, key="score of an edge")
company = st.lists(small, max_size=3).map(tuple) | st.tuples(score, st.integers(0, 3)).map(lambda x: (x[0],) * x[1])  # others, or copies
beside = {"score": score, "company": company, "other_company": company}
test_an_edge_alone_has_a_weight = searched(graphs.edge_attention, **beside)
test_two_edges_alone_have_odds = searched(graphs.edge_attention_normalised, **beside)
grid = st.shared(st.tuples(st.integers(1, 3), st.integers(1, 3)), key="nodes that attend, and their neighbours")
test_edge_terms_can_change_the_ranking = searched(
    graphs.edge_term_ranking,
    offsets=grid.flatmap(lambda x: rows(x[0])),
    heights=grid.flatmap(lambda x: rows(x[1])),
    terms=grid.flatmap(lambda x: matrices(*x)),
    left=slopes,
)
kinds = st.shared(st.integers(1, 3), key="kinds of nodes and of edges")
looped = nodes.flatmap(lambda n: edge_lists(n).map(lambda found: tuple({*found, *((node, node) for node in range(n))})))
test_renaming_the_nodes_renames_the_outputs = searched(
    graphs.relabelling,
    table=kinds.flatmap(lambda x: st.tuples(*[matrices(x, x)] * x)),
    edges=looped,
    kinds=st.tuples(nodes, kinds).flatmap(lambda x: st.tuples(*[st.integers(0, x[1] - 1)] * x[0])),
    edge_kinds=st.tuples(nodes, kinds).flatmap(lambda x: st.tuples(*[st.tuples(*[st.integers(0, x[1] - 1)] * x[0])] * x[0])),
    values=kinds.flatmap(rows),
    order=nodes.flatmap(lambda n: st.permutations(range(n)).map(tuple)),
)

layers = {
    "features": features,
    "edges": edges,
    "heads": st.lists(st.tuples(projection, vector), min_size=1, max_size=2).map(tuple),
    "left": slopes,
    "bend": st.sampled_from(graphs.BENDS),
}
test_two_texts_give_one_layer = searched(graphs.two_texts_one_layer, **layers)
test_two_texts_differ_by_the_bend = searched(graphs.same_but_for_the_bend, **layers)
joined = {name: strategy for name, strategy in layers.items() if name != "bend"}
test_heads_lie_side_by_side = searched(graphs.heads_side_by_side, **joined, projection=matrices(2, 4))

path_like = st.shared(st.integers(1, 6), key="nodes of a sparse graph")
steps = path_like.flatmap(lambda n: st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=7, unique=True).map(tuple))
path = path_like.map(lambda n: tuple((node, node + 1) for node in range(n - 1)))
test_layers_see_the_ball_of_their_number = searched(
    graphs.hops,
    edges=steps | path,
    marks=path_like.flatmap(rows),
    a=st.tuples(tiny, tiny),
    layers=st.integers(1, 4),
    place=path_like.flatmap(lambda n: st.integers(0, n - 1)),
    shift=st.integers(1, 3),
)
counts = {"edges": edges, "count": nodes, "width": st.integers(1, 3), "out": st.integers(1, 3)}
test_edges_take_the_place_of_pairs = searched(graphs.edge_cost, **counts, heads=st.integers(1, 3))
test_scores_cost_two_products_a_node = searched(graphs.score_cost, **counts)
