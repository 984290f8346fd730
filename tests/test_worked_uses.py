"""Attention at work on video, points in space and sound beside pictures: one property of each, worked through on cases whose results are exact."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from impl.cross_modal import reference as cross_modal
from impl.scaled_dot_product import reference as dense
from impl.sliding_window import reference as sliding_window


def test_a_frame_of_a_video_hears_only_of_frames_within_its_window() -> None:
    """Each place of a frame attends to the same place over time, two frames either way: another frame 5 moves frames 3 to 7, and no bit of the others."""
    frames, places = 9, 4
    random = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, places, frames, 3, generator=random) for _ in range(3))  # places are a batch axis
    before = sliding_window.attention(query, key, value, 3)
    key[:, :, 5], value[:, :, 5] = 7.0, -7.0
    after = sliding_window.attention(query, key, value, 3)
    changed = [t for t in range(frames) if not torch.equal(before[:, :, t], after[:, :, t])]
    assert changed == [3, 4, 5, 6, 7]


def test_a_cut_in_a_video_does_not_cross_a_causal_window() -> None:
    """A film of two scenes, 0 and 1, with all scores alike: behind the cut each frame's share of the new scene rises by 1/4 a frame, until it is whole."""
    scenes = torch.tensor([0.0] * 4 + [1.0] * 6).reshape(1, 1, 10, 1)
    flat = torch.zeros(1, 1, 10, 2)
    found = sliding_window.attention(flat, flat, scenes, 4, is_causal=True).flatten()
    assert found.tolist() == [0.0, 0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def nearness(points: Tensor) -> Tensor:
    """−|x_i − x_j|² · 512 for each pair [P, P]: beside a point at the same place, one at a distance of 1 or more has a weight of 0 in float32."""
    return -512 * (points[:, None] - points).square().sum(-1)


def test_points_know_neither_an_order_nor_where_the_origin_is() -> None:
    """Four pairs of points that coincide, at whole coordinates: every point's row is the mean of its pair, to the last bit, in any order and anywhere."""
    corners = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, -3.0], [4.0, 0.0, 1.0], [-2.0, 5.0, 2.0]])
    points, colours = corners.repeat(2, 1), torch.arange(8.0).reshape(1, 8, 1)
    flat = torch.zeros(1, 8, 2)
    means = torch.tensor([2.0, 3.0, 4.0, 5.0]).repeat(2)
    assert torch.equal(dense.attention(flat, flat, colours, nearness(points)).flatten(), means)
    assert torch.equal(dense.attention(flat, flat, colours, nearness(points + torch.tensor([100.0, -7.0, 3.0]))).flatten(), means)
    for order in itertools.islice(itertools.permutations(range(8)), 0, 40320, 4999):
        turned = dense.attention(flat, flat, colours[:, list(order)], nearness(points[list(order)])).flatten()
        assert torch.equal(turned, means[list(order)])


def test_absolute_coordinates_move_with_the_origin() -> None:
    """What relative coordinates are for: scores by products of the coordinates themselves change when all points are moved alike."""
    points = torch.tensor([[[0.0], [1.0], [2.0]]])
    assert not torch.equal(dense.attention(points, points, points), dense.attention(points + 4, points + 4, points))


def test_sound_and_pictures_are_aligned_along_a_rising_diagonal() -> None:
    """Two frames of sound to a picture, both with a code of their time: each sound finds its picture, and each picture the mean of its two sounds."""
    pictures, sounds = 4, 8
    time = torch.eye(pictures) * 64  # a score of 64²/2 where times agree, beside 0
    heard, seen = time.repeat_interleave(2, 0)[None], time[None]
    of_sound, of_pictures = torch.arange(float(sounds)).reshape(1, sounds, 1), 10 * torch.arange(float(pictures)).reshape(1, pictures, 1)
    found = cross_modal.attention(heard, heard, of_sound, seen, seen, of_pictures).flatten()
    aligned, fused = found[:sounds], found[sounds:]
    assert aligned.tolist() == [0.0, 0.0, 10.0, 10.0, 20.0, 20.0, 30.0, 30.0]
    assert bool((aligned.diff() >= 0).all()), "time runs forward"
    assert fused.tolist() == [0.5, 2.5, 4.5, 6.5]
