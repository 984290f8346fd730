"""Graph attention by the Triton kernels of `impl.segmented`: projections and scores are torch's, each node's softmax and sum are one kernel. Forward and
backward."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import leaky_relu

from impl.graph.segments import scored
from impl.segmented import fused
from impl.segmented.fused import Tile

operators = fused.operators


def attention(
    target: Tensor,
    source: Tensor,
    edges: Tensor,
    weight: Tensor,
    energy: Tensor,
    edge_features: Tensor | None = None,
    edge_energy: Tensor | None = None,
    indptr: Tensor | None = None,
    negative_slope: float = 0.2,
    *,
    tile: Tile | None = None,
) -> Tensor:
    """As the reference: no tensor holds E · H · C numbers. `tile`: as in `impl.segmented.fused`, which see too for what is raised besides."""
    scores, sent, of, to = scored(target, source, edges, weight, energy, edge_features, edge_energy, indptr)
    segments = fused.of_edges(of, to, len(source), len(target), indptr=indptr, gradient=sent.requires_grad)
    output, _ = fused.attention(leaky_relu(scores, negative_slope), sent, segments, tile=tile)
    return output.flatten(1).to(target.dtype)
