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
    PATTERN = auto()  # softmax attention over keys that positions and parameters choose; called with `start`, the first row's position
    WINDOW = auto()  # the pattern is a window around the row's own position, the fourth argument: a number of keys, or a pair of widths
    CACHED = auto()  # a causal sequence comes in `parts`, the fourth argument: lengths that sum to its own; definition in properties/cases
    ROLLING = auto()  # called with a window and a number of sinks after the parts
    DECAYED = auto()  # features of a key fade by `decay`, a factor for each head, with every token
    COMPRESSED = auto()  # called with a window, a group's length and a number of slots after the parts
    QUANTISED = auto()  # queries and keys are whole numbers times a step of their own row; called with `bits`, for all heads or one for each
    BINARY = auto()  # of queries and keys remain the signs of features and their mean size
    PRUNED = auto()  # weights below a share `threshold` of the row's largest, or outside its `top_k`, are dropped; `head_mask` switches heads off
    CHECKPOINTED = auto()  # softmax attention in `segments` of queries, whose backward reads little of what forward computed
    LOSS_SCALED = auto()  # steps of training in half precision under a loss scale: returns the master weights and the scale after each
    DISTILLED = auto()  # called with the scores of a student and a teacher, returns a divergence of their weights for each row
    SEQUENCE_PARALLEL = auto()  # softmax attention of a sequence that `world` ranks share in a `layout`: neither changes the result
    PACKED = auto()  # sequences one behind the other, called with the lengths of their queries and of their keys
    RETRIEVAL = auto()  # the best entries of a memory join the local keys: called with its keys, its values and their number
    ADAPTIVE_SPAN = auto()  # keys count by a soft mask on their distance, called with its reach and the length of its edge
