"""What packing without a mask does to neighbours, and a span's mask behind the softmax to its row, by cases that are exact."""

from __future__ import annotations

import torch

from impl.adaptive_span import reference as adaptive_span
from impl.as_stated import packed_without_a_mask, span_masked_after_the_softmax
from impl.packed import buckets, reference, segments


def test_concatenation_alone_mixes_the_sequences() -> None:
    """Queries of zeros weigh all keys alike: two sequences with the values 0 and 1 both get 1/2."""
    zeros, values = [torch.zeros(2, 1), torch.zeros(2, 1)], [torch.zeros(2, 1), torch.ones(2, 1)]
    mixed = packed_without_a_mask.attention(zeros, zeros, values)
    assert [part.tolist() for part in mixed] == [[[0.5], [0.5]], [[0.5], [0.5]]]
    for attention in (reference.attention, segments.attention, buckets.attention):
        apart = attention(torch.zeros(4, 1), torch.zeros(4, 1), torch.cat(values), [2, 2], [2, 2])
        assert apart.tolist() == [[0.0], [0.0], [1.0], [1.0]]


def test_a_loud_key_beyond_the_span_leaves_nothing_of_its_row() -> None:
    """With R = 1 and z = 0 each row is its own value; the first key's score lies 1000 above that of the others."""
    query, key, value = torch.ones(1, 3, 1), torch.tensor([[[1000.0], [0.0], [0.0]]]), torch.ones(1, 3, 1)
    span = torch.zeros(1)
    assert adaptive_span.attention(query, key, value, span, 1.0).flatten().tolist() == [1.0, 1.0, 1.0]
    assert span_masked_after_the_softmax.attention(query, key, value, span, 1.0).flatten().tolist() == [1.0, 0.0, 0.0]
