"""Hierarchical attention with two softmaxes over segments, of words and of sentences: O(T · D · A + S · D · A'), whatever the longest sentence is."""

from __future__ import annotations

from torch import Tensor

from impl import segments
from impl.hierarchical.reference import energies, sentence_scores
from impl.masked import accumulation
from impl.segments import Lengths, counts, owners


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
) -> Tensor:
    """As the reference, without padding: no tensor holds more than T · max(D, A) or S · max(D, A') numbers."""
    x = words.to(accumulation(words.dtype))
    in_sentences = counts(sentence_lengths, len(words), "sentence_lengths").to(words.device)
    in_documents = counts(document_lengths, len(in_sentences), "document_lengths").to(words.device)
    of_words, filled = owners(in_sentences), in_sentences.nonzero().flatten()
    of_sentences, count = owners(in_documents)[filled], len(in_documents)
    scores = energies(x, word_weight, word_bias, word_context)  # [T]
    weights = segments.softmax(scores, of_words, len(in_sentences))
    sentences = segments.total(weights.unsqueeze(-1) * x, of_words, len(in_sentences))[filled]  # those with words [S', D]
    learned = sentence_scores(sentences, sentence_weight, sentence_bias, sentence_context)
    of_each = segments.log_sum_exp(scores, of_words, len(in_sentences))[filled] if learned is None else learned
    weights = segments.softmax(of_each, of_sentences, count)
    return segments.total(weights.unsqueeze(-1) * sentences, of_sentences, count).to(words.dtype)
