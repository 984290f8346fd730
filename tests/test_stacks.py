"""What stacks, images and pairs of modalities say to bad input: an error that quotes it, and says what would be right; and what they return at edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from impl import bert, channel, co_attention, cross_modal, detr, gpt, pixel, set_matching, spatial, t5, vit


def zeros(*shape: int) -> Tensor:
    return torch.zeros(*shape)


def feed(d: int) -> tuple[Tensor, ...]:
    return zeros(1, d, 2), zeros(1, 2), zeros(1, 2, d), zeros(1, d)


ENCODER = zeros(1, 4, 4, 4), zeros(1, 4, 2), zeros(1, 2, 4), zeros(1, 2, 4)
DECODER = zeros(1, 2, 4, 4, 4), zeros(1, 4, 2), zeros(1, 2, 4), zeros(1, 3, 4)
DECODING: Callable[..., Any] = gpt.incremental.Decoder
OF_VIT = zeros(4, 4), *(zeros(4, 4) for _ in range(3))
OF_T5 = *ENCODER, *DECODER, zeros(2, 4), zeros(2, 3), zeros(2, 2)
OF_DETR = zeros(2, 4), zeros(1, 3, 4), zeros(3, 4), zeros(1, 2, 4, 4, 4), *feed(4), zeros(1, 3, 2, 4), zeros(4, 2), 2
PAIR = zeros(2, 3), zeros(2, 4), zeros(2, 5), zeros(6, 4), zeros(6, 3), zeros(6, 5)
SIDES = zeros(2, 3), zeros(4, 3), *(zeros(3, 3) for _ in range(3)), zeros(3), zeros(3)
BAD: list[tuple[Callable[..., Any], tuple[Any, ...], str]] = [
    (gpt.reference.attention, (zeros(1, 2, 4), zeros(2, 4), zeros(1, 4, 4, 4), *feed(4), zeros(1, 2, 2, 4), 3), "3 heads do not divide the width 4"),
    (gpt.incremental.attention, (zeros(1, 3, 4), zeros(2, 4), zeros(1, 4, 4, 4), *feed(4), zeros(1, 2, 2, 4), 2), "3 tokens and positions for 2"),
    (
        bert.reference.attention,
        (zeros(1, 2, 4), zeros(4), zeros(2, 4), zeros(1, 4, 4, 4), *feed(4), zeros(1, 2, 2, 4), 2),
        "a class token and 2 tokens, and positions for 2",
    ),
    (
        bert.unpadded.attention,
        (zeros(1, 2, 4), zeros(4), zeros(3, 4), zeros(1, 4, 4, 4), *feed(4), zeros(1, 2, 2, 4), 2, torch.ones(1, 3, dtype=torch.bool)),
        r"padding_mask is torch.bool \(1, 3\): expected torch.bool \(1, 2\)",
    ),
    (t5.reference.attention, (zeros(1, 2, 4), zeros(1, 2, 4), *ENCODER, *DECODER, zeros(2, 4), zeros(2, 4), zeros(2, 2)), r"expected \[H, 2R \+ 1\]"),
    (
        t5.stepwise.attention,
        (zeros(1, 2, 4), zeros(1, 2, 4), *ENCODER, *DECODER, zeros(2, 4), zeros(3, 3), zeros(3, 2)),
        "3 heads do not divide the width 4: expected one of its divisors",
    ),
    (vit.reference.attention, (zeros(1, 1, 4, 6), zeros(9, 4), zeros(4), zeros(3, 4), *OF_VIT, 1, 3), "patches of 3 × 3 do not divide an image of 4 × 6"),
    (vit.convolved.attention, (zeros(1, 1, 4, 6), zeros(4, 4), zeros(4), zeros(6, 4), *OF_VIT, 1, 2), "6 positions for a class token and 6 patches"),
    (vit.reference.attention, (zeros(1, 2, 4, 6), zeros(4, 4), zeros(4), zeros(7, 4), *OF_VIT, 1, 2), "takes 4 numbers: expected 2 · 2 · 2"),
    (
        detr.reference.attention,
        (zeros(2, 4), zeros(1, 3, 4), zeros(3, 4), zeros(1, 2, 4, 4, 4), *feed(4), zeros(1, 3, 2, 4), zeros(4, 2), 0),
        "0 heads do not divide the width 4",
    ),
    (spatial.reference.attention, (zeros(1, 2, 3, 4), zeros(2), zeros(1, 2, 4, 3)), r"features of \(3, 4\) places and values of \(4, 3\)"),
    (spatial.reference.attention, (zeros(1, 2, 3, 4), zeros(2), zeros(1, 2, 3, 4), zeros(1, 3, 4)), "attn_mask is torch.float32: expected torch.bool"),
    (channel.reference.attention, (zeros(1, 2, 3, 4), zeros(3, 4), zeros(1, 3, 3, 4)), "features of 2 channels and values of 3"),
    (pixel.rows.attention, (zeros(1, 2, 3, 4), zeros(2, 3), zeros(2, 4), zeros(2, 1)), "an image of 2 channels and weights of shapes"),
    (
        cross_modal.reference.attention,
        (zeros(2, 3), zeros(2, 4), zeros(2, 5), zeros(6, 4), zeros(6, 2), zeros(6, 5)),
        "vision into text: queries are 3 wide and the other modality's keys 2",
    ),
    (cross_modal.blockwise.attention, (zeros(2, 3), zeros(1, 4), zeros(2, 5), zeros(6, 4), zeros(6, 3), zeros(6, 5)), r"lengths \[2, 1, 2\]"),
    (cross_modal.reference.attention, (zeros(2, 3), zeros(2, 4), zeros(2, 5), zeros(6, 4), zeros(6, 3), zeros(6, 1)), "values are 5 and 1 wide"),
    (co_attention.tiled.attention, (zeros(2, 3), zeros(2, 4), *(zeros(3, 3) for _ in range(3)), zeros(3), zeros(3)), "vision is 3 wide and text 4"),
    (
        set_matching.reference.attention,
        (zeros(1, 1, 3), zeros(1, 1, 4), torch.zeros(1, 2, dtype=torch.int64), zeros(1, 2, 4)),
        "2 objects and 1 predictions: expected no more",
    ),
    (set_matching.hungarian.attention, (zeros(1, 2, 3), zeros(1, 2, 4), torch.tensor([[2]]), zeros(1, 1, 4)), "labels from 2 to 2: expected 0 to 1"),
    (set_matching.reference.attention, (zeros(1, 2, 3), zeros(1, 2, 4), zeros(1, 1), zeros(1, 1, 4)), "labels are torch.float32: expected integers"),
    (
        set_matching.hungarian.attention,
        (zeros(1, 2, 3), zeros(1, 2, 4) * torch.tensor([[[torch.nan], [1.0]]]), torch.tensor([[1]]), zeros(1, 1, 4)),
        "the matching cost of some prediction is NaN",
    ),
    (cross_modal.reference.attention, (*PAIR, None, torch.tensor([1, 1, 1, 0, 0, 0])), "vision_mask is torch.int64: expected torch.bool"),
    (cross_modal.blockwise.attention, (*PAIR, torch.tensor([1.0, 0.0])), "text_mask is torch.float32: expected torch.bool"),
    (co_attention.reference.attention, (*SIDES, torch.tensor([1.0, 0.0])), "vision_mask is torch.float32: expected torch.bool"),
    (co_attention.tiled.attention, (*SIDES, None, torch.tensor([1, 1, 0, 0])), "text_mask is torch.int64: expected torch.bool"),
    (t5.reference.attention, (zeros(1, 2, 4), zeros(1, 2, 4), *OF_T5, zeros(1, 2)), "source_mask is torch.float32: expected torch.bool"),
    (t5.stepwise.attention, (zeros(1, 2, 4), zeros(1, 2, 4), *OF_T5, zeros(1, 2).long()), "source_mask is torch.int64: expected torch.bool"),
    (detr.reference.attention, (*OF_DETR, zeros(1, 3)), "feature_mask is torch.float32: expected torch.bool"),
    (detr.memory_first.attention, (*OF_DETR, zeros(1, 3).long()), "feature_mask is torch.int64: expected torch.bool"),
]


@pytest.mark.parametrize(("attention", "arguments", "said"), BAD, ids=[said for _, _, said in BAD])
def test_bad_input_is_quoted(attention: Callable[..., Any], arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        attention(*arguments)


def test_a_decoder_takes_no_more_tokens_than_positions() -> None:
    """Neither in one step nor behind those that it holds; and a step that it refuses leaves it as it was."""
    decoder = DECODING(torch.ones(4, 4), zeros(1, 4, 4, 4), *feed(4), zeros(1, 2, 2, 4), 2)
    decoder.step(zeros(1, 3, 4))
    with pytest.raises(ValueError, match="3 tokens held and 2 more, and positions for 4: expected no more tokens than positions"):
        decoder.step(zeros(1, 2, 4))
    assert decoder.step(zeros(1, 1, 4)).shape == (1, 1, 4)
    with pytest.raises(ValueError, match="4 tokens held and 1 more"):
        decoder.step(zeros(1, 1, 4))


def test_a_decoder_s_heads_divide_its_width() -> None:
    with pytest.raises(ValueError, match="3 heads do not divide the width 4"):
        DECODING(zeros(2, 4), zeros(1, 4, 4, 4), *feed(4), zeros(1, 2, 2, 4), 3)


@pytest.mark.parametrize("attention", [t5.reference.attention, t5.stepwise.attention])
def test_a_target_without_tokens_has_no_rows(attention: Callable[..., Tensor]) -> None:
    assert attention(zeros(2, 3, 4), zeros(2, 0, 4), *OF_T5).shape == (2, 0, 4)


@pytest.mark.parametrize("attention", [set_matching.reference.attention, set_matching.hungarian.attention])
def test_labels_of_any_integers_are_the_same_labels(attention: Callable[..., Tensor]) -> None:
    """As many objects as classes with ∅: labels of uint8 are no mask."""
    random = torch.Generator().manual_seed(0)
    logits, boxes, objects = (torch.randn(1, 3, width, generator=random) for width in (3, 4, 4))
    labels = torch.tensor([[1, 1, 1]])
    assert torch.equal(attention(logits, boxes, labels.to(torch.uint8), objects), attention(logits, boxes, labels, objects))
