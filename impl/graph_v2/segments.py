"""Graph attention of the second kind with a softmax over each node's own edges: O((N · D_t + M · D_s + E · (1 + F)) · H · C), and no pair that is no edge."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from impl import segments
from impl.edges import checked, fits, listed
from impl.masked import accumulation


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
) -> Tensor:
    """As the reference. The hidden layer of an edge is not a sum of one for each end: its largest tensors hold E · H · C or max(N, M) · H · C
    numbers."""
    hidden, sent, of, to = projected(target, source, edges, target_weight, source_weight, energy, edge_features, edge_weight, indptr)
    scores = (leaky_relu(hidden, negative_slope) * energy.to(hidden.dtype)).sum(-1)  # [E, H]
    weights = segments.softmax(scores, to, len(target))
    return segments.total(weights.unsqueeze(-1) * sent[of], to, len(target)).flatten(1).to(target.dtype)


def projected(
    target: Tensor,
    source: Tensor,
    edges: Tensor,
    target_weight: Tensor,
    source_weight: Tensor,
    energy: Tensor,
    edge_features: Tensor | None,
    edge_weight: Tensor | None,
    indptr: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The hidden layer [E, H, C] and values W_s h_j [M, H, C], both in the accumulator's dtype, and the source and target of each edge [E]."""
    dtype = accumulation(target.dtype)
    of, to = listed(edges, indptr, len(source), len(target))
    checked(len(of), edge_features, edge_weight, "edge_weight")
    fits(energy, tuple(source_weight.shape[1:]), "energy")
    sent = torch.einsum("md,dhc->mhc", source.to(dtype), source_weight.to(dtype))
    hidden = torch.einsum("nd,dhc->nhc", target.to(dtype), target_weight.to(dtype))[to] + sent[of]  # [E, H, C]
    if edge_features is not None and edge_weight is not None:
        hidden = hidden + torch.einsum("ef,fhc->ehc", edge_features.to(dtype), edge_weight.to(dtype))
    return hidden, sent, of, to
