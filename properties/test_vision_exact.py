"""Searches on small images, sets, clocks and clouds for cases that break what theorems/vision.py says."""

from fractions import Fraction
from math import ceil

import hypothesis.strategies as st

from properties.search import searched
from theorems import vision

small = st.integers(-3, 3)
positive = st.integers(1, 5)
fractions = st.fractions(min_value=Fraction(1, 4), max_value=3, max_denominator=4)


def matrices(rows: int, columns: int) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    return st.tuples(*[st.tuples(*[small] * columns)] * rows)


def orders(length: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.permutations(range(length)).map(tuple)


maps = st.tuples(st.integers(1, 4), st.integers(1, 4)).flatmap(lambda size: matrices(*size))
channels = st.lists(small, min_size=1, max_size=5).map(tuple)
square = st.integers(1, 4).flatmap(lambda n: matrices(n, n))

test_spatial_weights_are_one_distribution = searched(vision.spatial_mass, scores=maps)
test_channel_weights_share_one = searched(vision.channel_mass, scores=channels)
test_gates_do_not_share = searched(vision.channel_gates, scores=channels)
test_every_pixel_gets_an_average = searched(vision.softmax_axis, scores=square, axis=st.sampled_from(("keys", "queries")))
test_only_over_keys_every_pixel_gets_an_average = searched(vision.softmax_over_keys, scores=square, axis=st.sampled_from(vision.AXES))

pixels = st.shared(st.integers(1, 5), key="pixels of an image")
kinds = st.shared(st.integers(1, 4), key="kinds of pixels")
test_pixels_in_any_order = searched(
    vision.pixels_in_any_order,
    pixels=st.tuples(pixels, kinds).flatmap(lambda size: st.tuples(*[st.integers(0, size[1] - 1)] * size[0])),
    table=kinds.flatmap(lambda count: matrices(count, count)),
    values=kinds.flatmap(lambda count: st.tuples(*[small] * count)),
    order=pixels.flatmap(orders),
)

image = {"height": st.integers(1, 9), "breadth": st.integers(1, 9), "side": st.integers(1, 5)}  # patches larger than the image too
of_patches = st.shared(st.integers(1, 5).flatmap(lambda p: st.tuples(st.integers(p, 9), st.integers(p, 9), st.just(p))), key="an image no smaller than a patch")
larger = {"height": of_patches.map(lambda x: x[0]), "breadth": of_patches.map(lambda x: x[1]), "side": of_patches.map(lambda x: x[2])}
test_an_image_is_cut_into_patches = searched(vision.patch_count, **larger)
test_an_image_holds_whole_patches = searched(vision.patch_count_any, **image)
sizes = st.shared(st.tuples(*[st.integers(1, 2)] * 6), key="patches")  # rows and columns of patches, rows and columns of one, channels, outputs
test_patches_are_convolved = searched(
    vision.patch_convolution,
    image=sizes.flatmap(lambda x: st.tuples(*[st.tuples(*[st.tuples(*[small] * x[4])] * (x[1] * x[3] + 1))] * (x[0] * x[2] + 1))),
    weights=sizes.flatmap(lambda x: matrices(x[5], x[2] * x[3] * x[4])),
    tall=sizes.map(lambda x: x[2]),
    wide=sizes.map(lambda x: x[3]),
)
any_image = image | {"rows": st.none() | st.integers(1, 9)}
grids = st.shared(st.tuples(st.integers(2, 3), st.integers(2, 3), st.integers(2, 4)), key="patches that fit: their side, their rows and their columns")
test_any_image_has_an_output = searched(
    vision.variable_sizes,
    height=grids.map(lambda x: x[0] * x[1]),
    breadth=grids.map(lambda x: x[0] * x[2]),
    side=grids.map(lambda x: x[0]),
    rows=st.integers(4, 9) | st.none(),
)
test_images_that_fit_have_an_output = searched(vision.sizes_that_fit, **any_image)
two = st.integers(1, 2)
test_pairs_grow_with_resolution = searched(vision.resolution_cost, down=two, across=two, factor=st.integers(1, 3), side=two)

patches = st.shared(st.tuples(st.integers(1, 5), st.integers(1, 2)), key="patches that see each other")
tiny = st.integers(-1, 1)  # no weight so small that a ball cannot tell it from 0


def tiny_matrices(rows: int, columns: int) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    return st.tuples(*[st.tuples(*[tiny] * columns)] * rows)


test_every_patch_moves_every_output = searched(
    vision.context_in_one_layer,
    tokens=patches.flatmap(lambda size: tiny_matrices(*size)),
    W_Q=patches.flatmap(lambda size: tiny_matrices(size[1], size[1])),
    W_K=patches.flatmap(lambda size: tiny_matrices(size[1], size[1])),
    values=patches.flatmap(lambda size: st.tuples(*[small] * size[0])),
    one=patches.flatmap(lambda size: st.integers(0, size[0] - 1)),
    other=patches.flatmap(lambda size: st.integers(0, size[0] - 1)),
    shift=positive,
)
board = st.shared(st.tuples(st.integers(1, 7), st.integers(1, 7)), key="pixels under convolutions")
test_convolutions_reach_as_far_as_their_windows = searched(
    vision.convolution_reach,
    height=board.map(lambda size: size[0]),
    breadth=board.map(lambda size: size[1]),
    reach=two,
    layers=st.integers(1, 4),
    place=board.flatmap(lambda size: st.integers(0, size[0] * size[1] - 1)),
)

decoders = st.shared(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2)), key="queries, features, width")
decoder = {
    "queries": decoders.flatmap(lambda size: matrices(size[0], size[2])),
    "features": decoders.flatmap(lambda size: matrices(size[1], size[2])),
    **{name: decoders.flatmap(lambda size: matrices(size[2], size[2])) for name in ("W_Q", "W_K", "W_V")},
    "layers": two,
}
test_predictions_follow_the_queries = searched(
    vision.object_queries,
    **decoder,
    order=decoders.flatmap(lambda size: orders(size[0])),
    feature_order=decoders.flatmap(lambda size: orders(size[1])),
)
of_queries = decoders.flatmap(lambda size: st.integers(0, size[0] - 1))
test_equal_queries_predict_alike = searched(vision.equal_queries, **decoder, one=of_queries, other=of_queries)
test_different_queries_may_differ = searched(vision.different_queries, first=st.integers(-5, 0), second=st.integers(1, 5), key=positive)

objects = st.shared(st.integers(1, 4), key="predictions and targets")
loss = st.integers(0, 4).map(Fraction)
test_a_matching_loss_sees_sets = searched(
    vision.set_prediction,
    costs=objects.flatmap(lambda n: st.tuples(*[st.tuples(*[loss] * n)] * n)),
    order=objects.flatmap(orders),
    target_order=objects.flatmap(orders),
)
fewer = st.shared(st.integers(1, 4).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))), key="predictions and fewer targets")
test_the_rest_is_no_object = searched(
    vision.no_object,
    costs=fewer.flatmap(lambda size: st.tuples(*[st.tuples(*[loss] * size[1])] * size[0])),
    empty=fewer.flatmap(lambda size: st.tuples(*[loss] * size[0])),
)


def sharp_or_not(classes: int) -> st.SearchStrategy[tuple[Fraction, ...]]:
    """Positive chances that sum to one: from whole weights, one of which may be large."""
    weights = st.tuples(*[st.sampled_from((1, 1, 2, 30, 200))] * (classes + 1))
    return weights.map(lambda row: tuple(Fraction(x, sum(row)) for x in row))


def sharp(classes: int, at: int) -> tuple[Fraction, ...]:
    """Nearly sure of one class, or of 'no object'."""
    return tuple(Fraction(96 if place == at else 2, 96 + 2 * classes) for place in range(classes + 1))


found = st.shared(
    st.integers(1, 2).flatmap(lambda c: st.tuples(st.just(c), st.lists(st.integers(0, c - 1), min_size=1, max_size=3))), key="objects of two classes"
)
answers = found.flatmap(
    lambda scene: (
        st.lists(sharp_or_not(scene[0]) | st.integers(0, scene[0]).map(lambda at: sharp(scene[0], at)), min_size=len(scene[1]), max_size=4)
        | st.permutations([*scene[1], *[scene[0]] * (4 - len(scene[1]))]).map(lambda named: [sharp(scene[0], at) for at in named])
    )
)
test_a_small_loss_leaves_no_duplicates = searched(
    vision.no_duplicates,
    chances=answers.map(tuple),
    classes=found.map(lambda scene: tuple(scene[1])),
    weight=st.sampled_from((Fraction(1, 10), Fraction(1, 2), Fraction(1), Fraction(2))),
)
by_hand = {"classes": positive, "boxes": positive, "weight": fractions, "other": fractions}
test_a_weight_decides_the_matching = searched(vision.matching_depends_on_weights, **by_hand)
of_a_term = st.sampled_from((Fraction(1, 2), Fraction(2), Fraction(1), Fraction(5)))
test_nothing_set_by_hand_decides_the_matching = searched(vision.no_hand_crafted, **by_hand | {"weight": of_a_term, "other": of_a_term})

test_both_directions_are_normalised_apart = searched(vision.both_ways, scores=maps)
sentences = st.shared(st.integers(2, 4), key="sentences")
summary = {
    "scores": sentences.flatmap(lambda n: st.tuples(*[small] * n)),
    "values": sentences.flatmap(lambda n: st.tuples(*[small] * n)),
    "one": sentences.flatmap(lambda n: st.integers(0, n - 1)),
    "other": sentences.flatmap(lambda n: st.integers(0, n - 1)),
}
test_heavier_sentences_matter_more = searched(vision.weights_are_importance, **summary)
test_leaving_a_sentence_out = searched(vision.effect_of_leaving_out, **summary)

clocks = {
    "scores": st.tuples(st.integers(1, 4), st.integers(1, 6)).flatmap(lambda size: matrices(*size)),
    "video_step": fractions,
    "audio_step": fractions,
    "reach": st.none() | fractions,
}


def recordings(video_step: Fraction, audio_step: Fraction, frames: int) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    """Scores of so many video frames for audio that lasts as long as they do."""
    return matrices(frames, 1 + ceil((frames - 1) * video_step / audio_step))


steps = st.shared(st.tuples(*[st.sampled_from((Fraction(1), Fraction(1, 2), Fraction(2)))] * 2, st.integers(1, 4)), key="two clocks and a number of frames")
test_frames_are_aligned_in_order = searched(
    vision.temporal_alignment,
    scores=steps.flatmap(lambda x: recordings(*x)),
    video_step=steps.map(lambda x: x[0]),
    audio_step=steps.map(lambda x: x[1]),
    reach=st.none() | steps.flatmap(lambda x: st.sampled_from((x[1] / 2, x[1], 2 * x[1]))),  # no window is empty
)
test_windows_follow_the_clock = searched(vision.window_clocks, **clocks)

test_pairs_of_a_video = searched(vision.space_time_cost, frames=st.integers(1, 5), places=st.integers(1, 5))
video = st.shared(st.tuples(st.integers(1, 3), st.integers(1, 3)), key="frames and places")
test_time_and_space_join_all = searched(
    vision.divided_attention_joins_all,
    scores_time=video.flatmap(lambda size: st.tuples(*[matrices(size[0], size[0])] * size[1])),
    scores_space=video.flatmap(lambda size: st.tuples(*[matrices(size[1], size[1])] * size[0])),
    values=video.flatmap(lambda size: matrices(*size)),
    frame=video.flatmap(lambda size: st.integers(0, size[0] - 1)),
    place=video.flatmap(lambda size: st.integers(0, size[1] - 1)),
    shift=positive,
)

cloud = st.shared(st.tuples(st.integers(1, 4), st.integers(1, 3)), key="points and coordinates")
points = cloud.flatmap(lambda size: matrices(*size))
displacement = cloud.flatmap(lambda size: st.tuples(*[small] * size[1]))
test_moving_points_tilts_the_weights = searched(
    vision.moved_points, points=points, bilinear=cloud.flatmap(lambda size: matrices(size[1], size[1])), by=displacement
)
test_distances_do_not_see_rigid_motions = searched(
    vision.rigid_motions,
    points=points,
    values=cloud.flatmap(lambda size: st.tuples(*[small] * size[0])),
    scale=positive,
    by=displacement,
    normals=st.lists(cloud.flatmap(lambda size: st.tuples(*[small] * (size[1] - 1), positive)), max_size=2).map(tuple),
)
