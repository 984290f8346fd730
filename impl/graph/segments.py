"""Graph attention with a softmax over each node's own edges: O((N + M) · D · H · C + E · H · (C + F)), and no pair that is no edge."""

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
    weight: Tensor,
    energy: Tensor,
    edge_features: Tensor | None = None,
    edge_energy: Tensor | None = None,
    indptr: Tensor | None = None,
    negative_slope: float = 0.2,
) -> Tensor:
    """As the reference: aᵀ [W h_i ‖ W h_j] is a number of the target and one of the source, so that an edge adds two numbers a head; its largest tensors
    hold E · H · C or max(N, M) · H · C numbers."""
    scores, sent, of, to = scored(target, source, edges, weight, energy, edge_features, edge_energy, indptr)
    weights = segments.softmax(leaky_relu(scores, negative_slope), to, len(target))
    carried = weights.unsqueeze(-1) * sent[of]  # [E, H, C]
    return segments.total(carried, to, len(target)).flatten(1).to(target.dtype)


def scored(
    target: Tensor,
    source: Tensor,
    edges: Tensor,
    weight: Tensor,
    energy: Tensor,
    edge_features: Tensor | None,
    edge_energy: Tensor | None,
    indptr: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scores before the nonlinearity [E, H] and values W h_j [M, H, C], both in the accumulator's dtype, and the source and target of each edge [E]."""
    dtype = accumulation(target.dtype)
    of, to = listed(edges, indptr, len(source), len(target))
    checked(len(of), edge_features, edge_energy, "edge_energy")
    fits(energy, (weight.shape[1], 2 * weight.shape[2]), "energy")
    w = weight.to(dtype)
    to_target, to_source = energy.to(dtype).chunk(2, dim=-1)  # [H, C] each
    received, sent = (torch.einsum("nd,dhc->nhc", x.to(dtype), w) for x in (target, source))
    scores = (received * to_target).sum(-1)[to] + (sent * to_source).sum(-1)[of]  # [E, H]
    if edge_features is not None and edge_energy is not None:
        scores = scores + edge_features.to(dtype) @ edge_energy.to(dtype).mT
    return scores, sent, of, to
