"""Searches for the claims about training in less memory: loops are run and counted, formats are emulated operation by operation."""

from fractions import Fraction
from itertools import pairwise

from hypothesis import strategies as st

from properties.search import searched
from theorems import training_memory

sizes = st.integers(1, 9)
few = st.integers(1, 4)
counts = st.integers(1, 20)
entries = st.integers(-3, 3)

test_memory_is_the_square_root_of_the_length = searched(
    training_memory.square_root_of_length, count=counts, length=st.sampled_from((16, 64, 256, 1024)), width=few, share=st.integers(1, 100)
)
test_memory_is_the_square_root_of_the_layers = searched(
    training_memory.square_root_of_layers, count=st.integers(1, 40), length=sizes, width=few, share=st.just(1)
)
test_chunks_of_keys_need_a_square_root = searched(training_memory.chunks_of_keys, length=st.integers(1, 60), block=sizes, width=few)
test_recomputation_costs_a_half = searched(training_memory.half_more_computation, length=st.integers(2, 12), width=st.integers(2, 12), at_most=st.booleans())
test_recomputation_costs_a_third_to_a_half = searched(training_memory.one_more_forward, length=sizes, width=sizes)
test_products_of_a_checkpointed_step = searched(training_memory.products, rows=sizes, keys=sizes, width=sizes)
test_checkpointing_solves_memory_and_computation = searched(
    training_memory.checkpointing_for_computation, count=st.integers(2, 12), length=sizes, width=few, memory_alone=st.booleans()
)
test_what_checkpointed_layers_hold_and_compute = searched(training_memory.checkpointed_layers, count=sizes, length=sizes, width=few)

queries, keys, features, value_features = (st.shared(few, key=key) for key in ("queries", "keys", "features", "value features"))


def matrices(length: st.SearchStrategy[int], width: st.SearchStrategy[int]) -> st.SearchStrategy[list[list[int]]]:
    """Integer matrices [length, width], both drawn."""
    shape = st.tuples(length, width)
    return shape.flatmap(lambda size: st.lists(st.lists(entries, min_size=size[1], max_size=size[1]), min_size=size[0], max_size=size[0]))


test_recomputed_gradients_are_exact = searched(
    training_memory.checkpointing_is_exact,
    queries=matrices(queries, features), keys=matrices(keys, features), values=matrices(keys, value_features), cotangent=matrices(queries, value_features),
    directions=st.tuples(matrices(queries, features), matrices(keys, features), matrices(keys, value_features)),
)  # fmt: skip


width = st.shared(st.integers(1, 3), key="width of a layer")
depth = st.shared(st.integers(1, 5), key="layers of a chain")
vectors = width.flatmap(lambda size: st.lists(entries, min_size=size, max_size=size))
test_segments_give_the_plain_gradient = searched(
    training_memory.segments_are_exact,
    chain=depth.flatmap(lambda count: st.lists(matrices(width, width), min_size=count, max_size=count)),
    ends=depth.flatmap(lambda count: st.lists(st.integers(0, 1), min_size=count, max_size=count)),
    x=vectors, cotangent=vectors, direction=vectors,
)  # fmt: skip


def rows(element: st.SearchStrategy[int]) -> st.SearchStrategy[list[int]]:
    """Lists as long as there are keys."""
    return keys.flatmap(lambda length: st.lists(element, min_size=length, max_size=length))


bits = st.integers(0, 1)
dropped = {
    "scores": rows(entries),
    "values": rows(entries),
    "drawn": rows(bits),
    "again": rows(bits),
    "kept": st.sampled_from((Fraction(1, 2), Fraction(9, 10))),
}
test_a_new_mask_gives_the_same_gradients = searched(training_memory.recomputing_dropout, **dropped)
test_the_same_mask_gives_the_same_gradients = searched(training_memory.restored_masks, **dropped)

test_the_snippet_stores_activations_elsewhere = searched(training_memory.snippet_offloads, rows=sizes, keys=sizes, width=sizes)
test_the_snippet_computes_its_scores_twice = searched(training_memory.snippet_recomputes, rows=sizes, keys=sizes, width=sizes)

parameters = st.integers(1, 12)
activations = st.integers(1, 20) | st.integers(300, 600)  # both sides of 36 a parameter
test_mixed_precision_halves_memory = searched(training_memory.half_of_memory, parameters=parameters, activations=activations)
test_bytes_of_mixed_precision = searched(training_memory.byte_count, parameters=parameters, activations=st.just(0) | activations)
test_the_softmax_in_float32_is_kept_twice = searched(training_memory.softmax_kept_twice, rows=st.integers(1, 30), keys=st.integers(1, 30), width=few)

shares = st.fractions(min_value=Fraction(1, 12), max_value=1, max_denominator=12)
test_the_gain_is_bounded_by_what_gains = searched(training_memory.amdahl, share=shares, factor=st.integers(2, 16))
test_tiles_move_two_to_four_times_less = searched(training_memory.tiled_traffic, blocks=sizes, block=st.integers(1, 16), width=sizes)
test_the_roofline_bounds_the_speed = searched(
    training_memory.roofline,
    queries=st.just(1) | st.integers(1, 60),
    keys=st.integers(1, 60),
    width=st.integers(1, 9),
    block_rows=st.integers(1, 16),
    ridge=st.sampled_from((1, 20, 300)),
)

half_numbers = st.tuples(st.integers(1, 2**11 - 1), st.integers(-40, 4)) | st.tuples(st.integers(1, 3), st.integers(-27, -22) | st.integers(10, 15))
edges = st.sampled_from(((1, 0), (1, -24), (2**11 - 1, 5)))  # with the scales below, products on either side of 65520, and on it
gradients = {
    "gradients": st.lists(half_numbers | edges, min_size=1, max_size=3),
    "scale": st.tuples(st.just(1) | st.integers(1, 9), st.integers(-4, 40)) | st.sampled_from(((2**12 - 1, 4), (2**13 - 1, 3), (2**13 + 1, -13))),
}
test_float16_needs_loss_scaling = searched(training_memory.loss_scaling, **gradients)
test_bfloat16_has_the_range_of_float32 = searched(
    training_memory.bfloat16_range,
    significand=st.integers(2**23, 2**24 - 1) | st.integers(1, 2**9) | st.integers(2**24 - 2**17, 2**24 - 1),
    exponent=st.integers(-149, 104) | st.sampled_from((-149, 104)),
)


def halves(low: int, high: int) -> st.SearchStrategy[Fraction]:
    """Numbers with few significant bits, far from float16's limits: m · 2^−4."""
    return st.integers(low, high).map(lambda x: Fraction(x, 16))


test_a_power_of_two_passes_through_every_rounding = searched(
    training_memory.loss_scale_is_exact,
    weights=keys.flatmap(lambda length: st.lists(st.integers(1, 2**10).map(lambda x: Fraction(x, 2**10)), min_size=length, max_size=length)),
    values=keys.flatmap(lambda length: st.lists(halves(-99, 99), min_size=length, max_size=length)),
    keys=keys.flatmap(lambda length: st.lists(halves(-99, 99), min_size=length, max_size=length)),
    cotangent=st.integers(-(2**11) + 1, 2**11 - 1).map(lambda x: Fraction(x, 2**9)),
    scale=st.integers(-2, 5),
)

exponents = st.integers(-24, 4)
numbers = st.tuples(st.integers(-(2**11) + 1, 2**11 - 1), exponents) | st.tuples(st.integers(-4, 4), st.integers(-14, -10))  # products near 2^−25
test_gradients_are_those_of_float32 = searched(training_memory.gradients_are_float32, cotangent=numbers, activation=numbers)
test_gradients_have_their_own_format = searched(training_memory.gradients_own_format, cotangent=numbers, activation=numbers)

PARTS = 64


def weights_of_sum_one(count: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Positive multiples of 2^−6 that add up to 1, as significands and exponents."""
    ends = st.lists(st.integers(1, PARTS - 1), min_size=count - 1, max_size=count - 1, unique=True).map(sorted)
    return ends.map(lambda cuts: [(after - before, -6) for before, after in pairwise((0, *cuts, PARTS))])


short = st.tuples(st.integers(-(2**8) + 1, 2**8 - 1), st.integers(-12, 7))  # numbers of float16 and of bfloat16
stored = {
    "name": st.sampled_from(("float16", "bfloat16")),
    "weights": keys.flatmap(weights_of_sum_one),
    "values": keys.flatmap(lambda length: st.lists(short, min_size=length, max_size=length)),
    "order": keys.flatmap(lambda length: st.permutations(range(length))),
}
test_a_copy_is_the_same_bits = searched(training_memory.copy_is_exact, **stored)
test_another_machine_gives_the_same_sum = searched(training_memory.computed_elsewhere, **stored)
