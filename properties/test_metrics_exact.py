"""Search small maps, trees, rows and runs for counterexamples to what theorems/metrics.py says about metrics and code fragments for attention."""

from fractions import Fraction

from hypothesis import strategies as st

from properties.search import searched
from theorems import metrics

part = st.sampled_from([0, 0, 0, 1, 1, 2, 3])  # parts of a row: many exact zeros
length = st.shared(st.integers(1, 5), key="positions of a metric")
row = length.flatmap(lambda n: st.tuples(*[part] * n))
square = length.flatmap(lambda n: st.tuples(*[st.tuples(*[part] * n)] * n))
aimed = length.flatmap(lambda n: st.tuples(*[st.integers(0, n - 1).map(lambda at: tuple(int(place == at) for place in range(n)))] * n))  # one-hot rows
causal = length.flatmap(lambda n: st.tuples(*[st.tuples(*[part] * (at + 1), *[st.just(0)] * (n - at - 1)) for at in range(n)]))
rows = square | aimed | causal
disjoint = length.flatmap(lambda n: st.permutations([tuple(int(place == at) for place in range(n)) for at in range(n)])).map(tuple)  # one head for each key
heads = st.lists(row, min_size=1, max_size=4).map(tuple) | disjoint
place = st.integers(0, 4)
tokens = length.flatmap(lambda n: st.tuples(*[st.integers(0, 2)] * n))
order = length.flatmap(lambda n: st.permutations(range(n))).map(tuple) | length.map(lambda n: tuple(range(n)))
chain = length.map(lambda n: tuple(max(at - 1, 0) for at in range(n)))  # each hangs from the one named before it
choices = length.flatmap(lambda n: st.tuples(*[st.integers(0, 11)] * n)) | chain
trees = {"order": order, "choices": choices}
sentences = {"rows": rows, **trees}
positional = {
    "sentences": st.lists(st.tuples(order, choices), min_size=1, max_size=3).map(tuple),
    "absolute": st.booleans(),
    "at": st.sampled_from([-1, 1, -1, -2, 2, 0]),
    "level": st.sampled_from([Fraction(1, 2), Fraction(9, 10)]),
}

whole = st.integers(-3, 3)
entries = length.flatmap(lambda n: st.tuples(*[whole] * n))
runs = length.flatmap(lambda n: st.lists(st.tuples(*[whole] * n), min_size=2, max_size=5).map(tuple))
several = st.shared(st.integers(2, 5), key="words that are read")
read = several.flatmap(lambda n: st.tuples(*[st.integers(0, 4)] * n))
compared = {"model": read, "human": read}
uneven = st.shared(st.integers(4, 6), key="words that are read unevenly")
peaked = uneven.flatmap(lambda n: st.tuples(*[st.sampled_from([0, 1, 2, 3, 20])] * n))  # where one weight outweighs the ranks of the others
outliers = {"model": peaked, "human": peaked}

count = st.shared(st.integers(1, 4), key="heads of a run")
keys = st.shared(st.integers(2, 4), key="keys of a run's heads")
run = st.tuples(count, keys).flatmap(lambda size: st.tuples(*[st.tuples(*[st.integers(0, 3)] * size[1])] * size[0]))
numbered = {"heads": run, "others": run, "order": count.flatmap(lambda n: st.permutations(range(n))).map(tuple)}

words = st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple)
phrases = st.lists(st.integers(1, 3), min_size=2, max_size=4).map(tuple)
calls = {
    "layers": st.integers(1, 3), "heads": st.integers(1, 3), "length": st.integers(1, 4), "width": st.integers(1, 4), "form": st.sampled_from(metrics.FORMS),
}  # fmt: skip

test_the_divergence_of_heads_is_bounded = searched(metrics.jensen_shannon_range, heads=heads)
test_renormalised_rows_have_an_entropy_of_their_own = searched(
    metrics.entropy_renormalised, parts=row, others=st.lists(part, min_size=1, max_size=4).map(tuple)
)
test_a_sum_of_distances_is_an_average = searched(metrics.distance_sum, rows=rows)
test_mean_distances = searched(metrics.distance_mean, rows=rows)
test_mean_positions_are_distances = searched(metrics.code_distance, parts=row, place=place)
test_mean_positions = searched(metrics.mean_position, parts=row, place=place)
test_distances_of_standard_heads = searched(metrics.distance_closed_forms, length=st.integers(1, 9), width=st.integers(0, 9))
test_pattern_scores = searched(metrics.detector_scores, rows=rows, tokens=tokens, width=st.integers(0, 5))
test_the_code_scores_trees = searched(metrics.syntactic_code, **sentences)
test_syntactic_scores = searched(metrics.syntactic, **sentences)
test_high_scores_show_syntax = searched(metrics.shows_syntax, **positional)
test_position_alone_scores = searched(metrics.syntactic_baseline, **positional)
test_correlation_is_a_number = searched(metrics.human_correlation, **compared)
test_coefficients_agree_on_the_sign = searched(metrics.coefficient_unnamed, **outliers)
test_concordant_pairs = searched(metrics.concordant_pairs, **outliers)
test_correlation_is_bounded = searched(metrics.correlation_range, **compared)
test_what_correlations_do_not_see = searched(metrics.correlation_invariances, model=entries, human=entries, factor=st.integers(1, 4), shift=whole)
test_mean_correlations_are_bounded = searched(metrics.mean_correlation, runs=runs)
test_consistency_across_seeds = searched(metrics.consistency_across_seeds, **numbered)
test_matched_consistency = searched(metrics.matched_consistency, **numbered)
test_one_list_labels_a_heat_map = searched(metrics.heatmap_labels, queries=phrases, keys=phrases)
test_heat_maps_show_cells = searched(metrics.heatmap_cells, queries=words, keys=words)
test_outputs_are_iterated = searched(metrics.iterated, **calls)
test_attentions_have_a_name = searched(metrics.attentions_by_name, **calls)
