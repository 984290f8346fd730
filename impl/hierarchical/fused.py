"""Hierarchical attention by the Triton kernels of `impl.segmented`: energies are torch's, the softmax and sum of words is one launch, that of sentences
another. Forward and backward."""

from __future__ import annotations

import math

from torch import Tensor

from impl.hierarchical.reference import energies, sentence_scores
from impl.masked import accumulation
from impl.segmented import fused
from impl.segmented.fused import Tile
from impl.segments import Lengths, counts

operators = fused.operators


def attention(
    words: Tensor,
    sentence_lengths: Lengths,
    document_lengths: Lengths,
    word_weight: Tensor,
    word_bias: Tensor,
    word_context: Tensor,
    sentence_weight: Tensor | None = None,
    sentence_bias: Tensor | None = None,
    sentence_context: Tensor | None = None,
    *,
    tile: Tile | None = None,
) -> Tensor:
    """As the reference. Words are read in their own dtype and weighed in the accumulator's; a sentence without words has the score −∞, which is its
    log-sum-exp. `tile`: as in `impl.segmented.fused`, which see too for what is raised besides."""
    in_sentences = counts(sentence_lengths, len(words), "sentence_lengths").to(words.device)
    in_documents = counts(document_lengths, len(in_sentences), "document_lengths").to(words.device)
    scores = energies(words.to(accumulation(words.dtype)), word_weight, word_bias, word_context)  # [T]
    sentences, log_sum_exp = fused.attention(scores, words, fused.of_lengths(in_sentences), tile=tile)  # [S, D], [S]
    learned = sentence_scores(sentences, sentence_weight, sentence_bias, sentence_context)
    of_each = log_sum_exp if learned is None else learned.masked_fill(in_sentences == 0, -math.inf)
    documents, _ = fused.attention(of_each, sentences, fused.of_lengths(in_documents), tile=tile)
    return documents.to(words.dtype)
