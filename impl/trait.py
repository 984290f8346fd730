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
    HEAD_IMPORTANCE = auto()  # self-attention's loss by the gates of its heads: called with the projections, a target, the heads, gates, `by` and `loss`
    ATTRIBUTION = auto()  # number times slope of weights or inputs for self-attention's loss: called with the projections, a target, the heads, `of` and `loss`
    INTERVENTION = auto()  # self-attention with the weights of `head` replaced: called with the projections, the heads, the head and a replacement
    GRAPH = auto()  # each node weighs its incoming edges: called with nodes at either end, edges and weights; definitions in properties/cases/graphs.py
    STATIC_GRAPH = auto()  # the score of an edge rises with a number of its source, whatever its target is
    DYNAMIC_GRAPH = auto()  # the nonlinearity of a score stands before its last product, so that targets may rank the same sources differently
    HIERARCHICAL = auto()  # words within sentences, then sentences within documents: called with the lengths of both
    MULTI_SCALE = auto()  # one softmax over means of keys in cells of several `widths`, the fourth argument
    PYRAMID = auto()  # rows choose cells of keys by their means: called with a width and a number of cells
    COMPOSED = auto()  # linear in none of its inputs; its definition is written once more in properties/cases
    CROSS_MODAL = auto()  # text over vision and vision over text: called with query, key and value of either, returns the rows of both
    CO_ATTENTION = auto()  # a summary of each of two sides, steered by the affinity of every pair
    CAUSAL_STACK = auto()  # layers in which row i sees rows j ≤ i: called with tokens, positions and parameters whose first axis is the layer
    SET_LOSS = auto()  # the loss of predictions without an order against objects without one
    ENCODER_STACK = auto()  # layers in which every row sees every token that is there: called as a causal stack is, with a class token and a padding mask
    ENCODER_DECODER = auto()  # a causal stack that attends to what a stack without causality made of a source, called with both and a mask of the source
    SPATIAL = auto()  # one softmax over the places of a feature map, scored by its second argument: returns the mean of the values
    CHANNEL = auto()  # one softmax over the channels of a feature map: returns every channel of the values, weighed
    PIXELS = auto()  # self-attention among the pixels of an image, which is the first argument
    PATCHES = auto()  # patches of an image as tokens behind a class token: called with the weights of a patch, the token, positions and weights of a layer
    OBJECT_QUERIES = auto()  # learned queries [Q, D] that attend to each other and to the features of an image, the second argument
    INSTRUMENT = auto()  # reads attention weights, or what is made of them; its definition is written once more in properties/cases
    ENTROPY = auto()  # of each row of weights
    JENSEN_SHANNON = auto()  # of the heads' weights: called with `pairs` for every two of them
    MUTUAL_INFORMATION = auto()  # of a joint table of counts or probabilities
    PLUG_IN = auto()  # of pairs of samples, called with the numbers of values
    DISTANCE = auto()  # mean |i − j| `per` row or head, rows counted from `start`
    ROLLOUT = auto()  # product of a stack of layers' weights, with `residual` or without, of all `rows` or some
    FLOW = auto()  # maximum flow through a stack of layers' weights, with `residual` or without
    CONSISTENCY = auto()  # correlation of the heads of several trainings, with heads `match`ed or as numbered
    ALIGNMENT = auto()  # weight on the edges of a `tree`, or share of rows whose largest weight is there
    CORRELATION = auto()  # Pearson's or Spearman's, of two maps
    PATTERN_SCORES = auto()  # local, diagonal, broadcast, previous-token and induction scores; called with tokens and a window
    COLLAPSE = auto()  # whether rows attend one key, and whether they are alike
    VANISHING = auto()  # two bounds on the norm of the softmax's Jacobian
    IN_TRITON = auto()  # has an implementation in Triton, whose accesses to memory are watched where it is interpreted
