"""Hierarchical attention as the course text has it: Σ_k over k, with no word of how many words a sentence or sentences a document has.

Over the slots of a padded array, padding takes weight at both levels, and the result depends on the longest sentence beside. impl/hierarchical runs over the
words and sentences that there are.
"""

from __future__ import annotations

import torch
from torch import Tensor


def attention(words: Tensor, word_scores: Tensor, sentence_scores: Tensor) -> Tensor:
    """Σ_i softmax(f)_i Σ_j softmax(e_i)_j w_ij: words [S, W, D], word_scores e [S, W], sentence_scores f [S] → [D].

    Source: Day 15.2: Attention Mechanisms Deep Dive, "Hierarchical Attention", "Mathematical Framework".
    """
    sentences = torch.einsum("sw,swd->sd", word_scores.softmax(-1), words)
    return torch.einsum("s,sd->d", sentence_scores.softmax(-1), sentences)
