"""The names of what laws may require of a variant: which variants have one is said in impl/<variant>, and which laws speak of it in properties/.

This file alone is left out of the digests of evidence, so that a further name makes nothing stale: evidence is kept by law and implementation, and says
which met."""

from __future__ import annotations

from enum import Enum, auto


class Trait(Enum):
    """A mathematical feature that laws may require of a variant."""

    DOT_PRODUCT = auto()  # scores are scale · q kᵀ + bias; called as torch's scaled_dot_product_attention is
    MULTI_HEAD = auto()  # projections in, heads, concatenation, projection out
    KERNELISED = auto()  # a query weighs keys by products of features, over their sum; is_causal, and a boolean attn_mask of one row [..., 1, M]
    PROJECTION = auto()  # draws random projections: called with a number of rows, a width and a seed
    NORMALISER = auto()  # scores scale · q kᵀ + mask, and a function of its own that makes weights of them
    SHIFT_INVARIANT = auto()  # one number added to all scores of a row changes nothing
    SPARSE = auto()  # weights sum to 1, and those of keys far below the best are exactly 0
    SINK = auto()  # the denominator has one more term, exp of a logit a head
    SIGMOID = auto()  # each weight is the logistic function of its own score
    DROPOUT = auto()  # called with the mask of weights that are kept, and the probability of a weight to be dropped
    MONOTONIC = auto()  # expected alignment of scans that stop with probability sigmoid(energy)
    HARD_MONOTONIC = auto()  # each row attends the first key whose energy is above 0, from where the last row stopped
    CHUNKWISE_MONOTONIC = auto()  # soft attention over a window that ends where a monotonic scan stops
    RELATIVE = auto()  # positions count from `start`, and only their differences act
    LINEAR_BIAS = auto()  # scores fall with the distance by a slope for each head
    ADDITIVE = auto()  # scores vᵀ tanh(…), where v is the last positional argument
    BILINEAR = auto()  # qᵀ W k with a bias for queries and one for keys
    NYSTROM = auto()  # weights over all keys are rebuilt from those of landmarks: called with their number
    DEFINED = auto()  # its definition is written once more in properties/cases, over numbers that carry their error bound
