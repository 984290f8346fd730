"""Hierarchical attention by its definition: words within each sentence, then sentences within each document, padded to the longest under masks."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation, softmax
from impl.segments import Lengths, counts


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
    """d = Σ_i β_i s_i with s_i = Σ_j α_ij w_ij, α_i· = softmax(u_wᵀ tanh(W_w w_ij + b_w)) in a sentence, β = softmax(u_sᵀ tanh(W_s s_i + b_s)) in a document.

    Shapes: words [T, D] of all documents, one behind the other; `sentence_lengths` [S] in words, `document_lengths` [N] in sentences; word_weight [D, A],
    word_bias and word_context [A], sentence_weight [D, A'], sentence_bias and sentence_context [A'] → documents [N, D]. Without the last three, a sentence's
    score is the log-sum-exp of its words' scores. A sentence without words takes no part, and a document without words is 0. Encoders of words and sentences
    are up to the caller. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for lengths that do not sum to what there is, or a
    part of the sentence's weights. Source: Yang et al. 2016, equations 5 to 10 (without the recurrent encoders), https://aclanthology.org/N16-1174/
    """
    dtype = accumulation(words.dtype)
    x = words.to(dtype)
    in_sentences = counts(sentence_lengths, len(words), "sentence_lengths").to(words.device)
    in_documents = counts(document_lengths, len(in_sentences), "document_lengths").to(words.device)
    table, there = padded(in_sentences)  # [S, W]
    scores = energies(x, word_weight, word_bias, word_context)[table]  # [S, W]
    sentences = (softmax(scores, there).unsqueeze(-2) @ rows_of(x, table, there)).squeeze(-2)  # [S, D]
    learned = sentence_scores(sentences, sentence_weight, sentence_bias, sentence_context)
    of_each = log_sum_exp(scores, there) if learned is None else learned  # [S]
    table, there = padded(in_documents)  # [N, S']
    counted = there & (in_sentences > 0)[table]
    weights = softmax(of_each[table], counted)
    return (weights.unsqueeze(-2) @ rows_of(sentences, table, counted)).squeeze(-2).to(words.dtype)


def energies(x: Tensor, weight: Tensor, bias: Tensor, context: Tensor) -> Tensor:
    """uᵀ tanh(W x + b) of rows [R, D]: [R]."""
    return (x @ weight.to(x.dtype) + bias.to(x.dtype)).tanh() @ context.to(x.dtype)


def sentence_scores(sentences: Tensor, weight: Tensor | None, bias: Tensor | None, context: Tensor | None) -> Tensor | None:
    """Scores [S] of sentences [S, D], or None without weights. Raises ValueError for a part of them."""
    if weight is not None and bias is not None and context is not None:
        return energies(sentences, weight, bias, context)
    if weight is None and bias is None and context is None:
        return None
    raise ValueError("sentence_weight, sentence_bias and sentence_context belong together: one or two of them are missing")


def log_sum_exp(scores: Tensor, there: Tensor) -> Tensor:
    """log Σ exp over the words that are there: [S, W] → [S]; 0 for a sentence without words."""
    if not scores.shape[-1]:
        return scores.sum(-1)
    hidden = scores.masked_fill(~there, -torch.inf)
    top = hidden.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
    raised = (scores - top).masked_fill(~there, -torch.inf).exp().sum(-1)
    empty = ~there.any(-1)
    return (raised.masked_fill(empty, 1.0).log() + top.squeeze(-1)).masked_fill(empty, 0.0)


def padded(lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Where the rows of each segment stand, int64 [S, W] as wide as the longest, 0 where there is none, and which are there."""
    inside = torch.arange(int(lengths.max()) if len(lengths) else 0, device=lengths.device)
    there = inside < lengths.unsqueeze(-1)
    return ((lengths.cumsum(0) - lengths).unsqueeze(-1) + inside).masked_fill(~there, 0), there


def rows_of(x: Tensor, table: Tensor, there: Tensor) -> Tensor:
    """The rows [S, W, D] that stand at `table` [S, W] of x [R, D], 0 where there is none: a NaN elsewhere stays there."""
    return x[table].masked_fill(~there.unsqueeze(-1), 0.0)
