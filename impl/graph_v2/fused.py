"""Graph attention of the second kind by the Triton kernels of `impl.segmented`: hidden layers and scores are torch's, each node's softmax and sum are one
kernel. Forward and backward."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import leaky_relu

from impl.graph_v2.segments import projected
from impl.segmented import fused
from impl.segmented.fused import Tile

operators = fused.operators


def attention(
    target: Tensor,
    source: Tensor,
    edges: Tensor,
    target_weight: Tensor,
    source_weight: Tensor,
    energy: Tensor,
    edge_features: Tensor | None = None,
    edge_weight: Tensor | None = None,
    indptr: Tensor | None = None,
    negative_slope: float = 0.2,
    *,
    tile: Tile | None = None,
) -> Tensor:
    """As the reference. `tile`: as in `impl.segmented.fused`, which see too for what is raised besides."""
    hidden, sent, of, to = projected(target, source, edges, target_weight, source_weight, energy, edge_features, edge_weight, indptr)
    scores = (leaky_relu(hidden, negative_slope) * energy.to(hidden.dtype)).sum(-1)  # [E, H]
    segments = fused.of_edges(of, to, len(source), len(target), indptr=indptr, gradient=sent.requires_grad)
    output, _ = fused.attention(scores, sent, segments, tile=tile)
    return output.flatten(1).to(target.dtype)
