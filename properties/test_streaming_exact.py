"""Searches over small decoders, short rows and small sizes for what theorems/streaming.py says of caches, windows, decay, packing and retrieval."""

from hypothesis import strategies as st

from properties.search import searched
from theorems import streaming

small = st.integers(-2, 2)
scores = st.lists(st.integers(-3, 3), min_size=1, max_size=5).map(tuple)
five_values = st.tuples(*[small] * 5)
tokens = st.lists(small, min_size=1, max_size=4).map(tuple)
heads = st.tuples(small, st.integers(-1, 1), small, st.integers(0, 1))
layer = st.lists(heads, min_size=1, max_size=2).map(tuple)
layers = st.lists(layer, min_size=1, max_size=3).map(tuple)
chunks = st.lists(st.integers(1, 3), max_size=3).map(tuple)
stream = st.lists(small, min_size=1, max_size=6).map(tuple)
thin_layers = st.lists(st.tuples(heads), min_size=1, max_size=3).map(tuple)
windows = st.integers(1, 3)

test_decoding_from_the_cache_is_the_causal_row = searched(streaming.cache_is_causal_row, tokens=tokens, layers=layers)
test_any_attention_can_be_cached = searched(streaming.caching_for_inference, tokens=tokens, layers=layers, one_way=st.booleans())
test_a_prompt_may_be_cut_anywhere = searched(streaming.any_split, tokens=tokens, layers=layers, chunks=chunks)


def calls(owners: st.SearchStrategy[int], number: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[tuple[int, int], ...]]:
    return st.lists(st.tuples(owners, number), min_size=1, max_size=4).map(tuple)


owners, numbers = st.integers(0, 2), st.integers(1, 3)
orders = st.lists(st.integers(0, 5), min_size=1, max_size=4).map(tuple)
test_the_class_is_a_cache = searched(streaming.cache_class, calls=calls(st.just(0), numbers), block=st.integers(1, 3), order=orders)
batches = st.tuples(st.integers(1, 3), st.integers(1, 3)).map(lambda sizes: tuple((owner, 1) for _ in range(sizes[1]) for owner in range(sizes[0])))
test_the_class_serves_a_batch = searched(streaming.cache_class_batch, calls=batches, block=st.integers(1, 3), order=orders)
test_where_tokens_are_stored_changes_nothing = searched(streaming.page_table, calls=calls(owners, numbers), block=st.integers(1, 3), order=orders)

stored = {
    "fmt": st.sampled_from(["float32", "float16", "bfloat16", "float64"]),
    "number": st.integers(1, 2**30) | st.integers(-(2**30), -1),
    "power": st.integers(-40, -15),
}
test_the_class_returns_what_it_was_given = searched(streaming.cache_class_format, **stored)
test_a_wide_enough_buffer_returns_what_it_was_given = searched(streaming.buffer_format, **stored)

width, count = (st.shared(st.integers(1, 2), key=f"{name} of a head-wise product") for name in ("width", "heads"))
vector = width.flatmap(lambda size: st.tuples(*[small] * size))
by_head = count.flatmap(lambda size: st.tuples(*[vector] * size))
by_token = count.flatmap(lambda size: st.tuples(*[by_head] * size))
test_returned_tensors_can_be_used_directly = searched(streaming.used_directly, query=by_head, keys=by_token, values=by_token)
test_heads_first_is_attention_head_by_head = searched(streaming.heads_first, query=by_head, keys=by_token, values=by_token)

sizes = st.integers(1, 6)
few = st.integers(1, 3)
test_what_a_decoded_token_costs = searched(streaming.decode_time, cached=st.integers(1, 12), heads=few, width=sizes)
test_what_a_cache_holds = searched(streaming.cache_memory, length=sizes, layers=few, kv_heads=few, group=few, width=few)
test_what_a_cache_saves = searched(streaming.cache_saves, length=st.integers(1, 20))

lengths = st.lists(st.integers(1, 9), min_size=1, max_size=7).map(tuple)
test_similar_lengths_need_less_padding = searched(
    streaming.similar_lengths, lengths=st.lists(st.integers(1, 4), min_size=4, max_size=7).map(tuple), size=st.integers(2, 4)
)
test_refilled_batches_need_no_more_padding = searched(streaming.sorted_batches, lengths=lengths, size=few)

sequences = st.lists(st.lists(small, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3).map(tuple)
packing = {"sequences": sequences, "layers": thin_layers, "ramp": st.integers(0, 2), "one_way": st.booleans()}
test_concatenated_sequences_are_as_alone = searched(streaming.concatenated, **packing | {"ramp": st.just(0)})
test_masked_concatenated_sequences_are_as_alone = searched(streaming.packed_positions, **packing)
test_packed_sequences_are_as_alone = searched(streaming.packed_is_each_alone, **packing)
test_concatenation_scores_fewer_pairs = searched(streaming.packing_saves, lengths=lengths)
test_blocks_have_no_more_pairs_than_padding = searched(streaming.packed_pairs, lengths=lengths)
test_a_sequence_in_a_batch_is_as_alone = searched(
    streaming.batch_alone,
    sequences=sequences,
    layers=thin_layers,
    ramp=st.integers(0, 2),
    place=st.integers(0, 2),
    other=st.lists(small, min_size=1, max_size=3).map(tuple),
)

test_a_rolling_cache_is_a_window = searched(streaming.window_cache_is_window, tokens=stream, layers=thin_layers, window=windows, sinks=st.integers(0, 2))
test_what_a_window_costs = searched(
    streaming.window_cost, length=st.integers(1, 9), layers=few, heads=few, width=few, window=st.integers(1, 5), sinks=st.integers(0, 2)
)
test_a_window_is_its_last_tokens = searched(streaming.rerun, tokens=stream, layers=thin_layers, window=windows)
test_the_reach_of_windows = searched(streaming.receptive_field, tokens=stream, layers=thin_layers, window=windows)

rates = st.integers(1, 3)
test_decay_needs_few_keys = searched(streaming.decay_bounds_memory, scores=scores, values=five_values, rate=rates, kept=few)
test_a_decayed_state_is_the_decayed_sum = searched(streaming.decay_recurrence, scores=scores, values=five_values, rate=rates, kept=few)
test_the_tail_of_decay = searched(streaming.decay_tail, scores=scores, rate=rates, kept=few)
test_decay_is_a_linear_bias = searched(streaming.decay_is_a_bias, scores=scores, rate=rates)
test_recent_tokens_weigh_more = searched(streaming.recent_weigh_more, scores=scores, rate=rates)
test_decay_shifts_mass = searched(streaming.decay_shifts_mass, scores=scores, rate=rates)

tables = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=4).map(tuple)
bits = st.lists(st.integers(0, 1), max_size=2).map(tuple)
test_a_finite_state_merges_histories = searched(streaming.no_finite_state, table=tables, later=bits)
test_a_finite_state_can_stand_for_the_history = searched(streaming.state_compression, table=tables, later=bits)
test_two_sums_stand_for_the_history_of_linear_attention = searched(streaming.linear_state, table=tables, later=bits)
test_latency = searched(streaming.latency, tokens=st.integers(1, 8), heads=few, width=few, window=st.integers(1, 5), features=sizes)

test_the_error_of_the_best_k = searched(streaming.top_k_error, scores=scores, values=five_values, found=st.tuples(*[st.booleans()] * 5))
test_the_best_k_carry_most = searched(streaming.top_k_is_best, scores=scores, chosen=st.tuples(*[st.booleans()] * 5))
test_memory_and_context_mix = searched(streaming.memory_and_context, scores=scores, values=five_values, memory=scores, memory_values=five_values)
test_retrieval_outlives_the_window = searched(
    streaming.memory_outlives_the_window, scores=scores, values=five_values, window=few, shift=st.sampled_from((-2, -1, 1, 2))
)
