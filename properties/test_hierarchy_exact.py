"""Searches over short documents and cells of small integers for what breaks theorems/hierarchy.py."""

import hypothesis.strategies as st

from properties.search import searched
from theorems import hierarchy

small = st.integers(-3, 3)
lengths = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
shape = st.shared(lengths, key="lengths of the sentences of a document")
document = shape.flatmap(lambda rows: st.tuples(*[st.tuples(*[small] * row) for row in rows]))
sentences = shape.flatmap(lambda rows: st.tuples(*[small] * len(rows)))
few = st.lists(small, min_size=1, max_size=4).map(tuple)
cells = st.tuples(st.integers(2, 3), st.integers(1, 3)).flatmap(lambda shape: st.tuples(*[st.tuples(*[small] * shape[1])] * shape[0]))
count = st.integers(1, 9)
coarse = st.shared(
    st.integers(2, 9).flatmap(lambda q: st.tuples(st.just(q), st.integers(2, 9), st.integers(1, q - 1))), key="cells, keys in each, cells refined"
)
different = st.lists(st.integers(0, 3), min_size=3, max_size=4, unique=True).map(tuple)
longer = st.lists(st.integers(2, 5), min_size=2, max_size=4).map(tuple)  # sentences of two words or more

test_two_levels_are_one_distribution = searched(hierarchy.mass_is_a_distribution, words=document, sentences=sentences, values=document)
test_two_levels_are_one_softmax = searched(hierarchy.flat_by_log_sum_exp, words=document, sentences=sentences)
test_two_levels_are_one_softmax_only_by_log_sum_exp = searched(hierarchy.flat_only_by_log_sum_exp, words=document, sentences=sentences)
test_two_levels_are_cheaper = searched(hierarchy.two_levels_cost, lengths=longer, each_word=st.booleans())
test_what_two_levels_save = searched(hierarchy.count_of_scores, lengths=lengths, each_word=st.booleans())
test_coarse_to_fine_is_cheaper = searched(
    hierarchy.coarse_to_fine, cells=coarse.map(lambda x: x[0]), size=coarse.map(lambda x: x[1]), chosen=coarse.map(lambda x: x[2])
)
test_the_best_cell = searched(hierarchy.best_cell, cells=count, size=count, chosen=count)
test_the_coarse_map_may_miss_the_best_key = searched(hierarchy.coarse_may_miss, query=small, keys=cells)
test_a_coarse_score_is_a_lower_bound = searched(hierarchy.coarse_score_is_a_lower_bound, query=small, keys=cells)
test_a_coarse_key_takes_the_mean_of_variations = searched(
    hierarchy.coarse_key_variations, query=small, cell=few, moved=st.lists(small, min_size=4, max_size=4).map(tuple)
)
test_a_document_is_a_set_of_sentences = searched(hierarchy.set_of_sentences, sentences=different, content=small, place=small)
test_a_repeated_sentence_counts_twice = searched(hierarchy.repeated_sentence, sentences=few, content=small, place=small)
test_scales_run_from_plain_attention_to_the_mean = searched(
    hierarchy.scales,
    query=small,
    keys=st.shared(st.integers(1, 5), key="keys of a pyramid").flatmap(lambda n: st.tuples(*[small] * n)),
    values=st.shared(st.integers(1, 5), key="keys of a pyramid").flatmap(lambda n: st.tuples(*[small] * n)),
    width=st.integers(1, 5),
)
