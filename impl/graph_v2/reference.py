"""Graph attention of the second kind by its definition: the nonlinearity stands between W and a, by a mask over all pairs of a node and an edge."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from impl.edges import checked, fits, listed
from impl.masked import accumulation, softmax


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
    """Σ α_ij W_s h_j over the edges j → i, α_i· = softmax(aᵀ LeakyReLU(W_t h_i + W_s h_j + W_e e_ij)), each head's beside the next.

    W [h_i ‖ h_j] is W_t h_i + W_s h_j. Shapes: target h_i [N, D_t], source h_j [M, D_s], target_weight [D_t, H, C], source_weight [D_s, H, C], energy a
    [H, C], edge_features e [E, F], edge_weight [F, H, C] → [N, H · C]. Edges, and what else there is to say, as for impl/graph. Source: Brody, Alon and
    Yahav 2022, equation 7 (without the outer nonlinearity), https://arxiv.org/abs/2105.14491; bipartite graphs and edge features as in PyTorch Geometric's
    GATv2Conv.
    """
    dtype = accumulation(target.dtype)
    of, to = listed(edges, indptr, len(source), len(target))
    checked(len(of), edge_features, edge_weight, "edge_weight")
    fits(energy, tuple(source_weight.shape[1:]), "energy")
    sent = torch.einsum("md,dhc->mhc", source.to(dtype), source_weight.to(dtype))[of]  # W_s h_j [E, H, C]
    hidden = torch.einsum("nd,dhc->nhc", target.to(dtype), target_weight.to(dtype))[to] + sent
    if edge_features is not None and edge_weight is not None:
        hidden = hidden + torch.einsum("ef,fhc->ehc", edge_features.to(dtype), edge_weight.to(dtype))
    scores = (leaky_relu(hidden, negative_slope) * energy.to(dtype)).sum(-1)  # [E, H]
    incoming = to == torch.arange(len(target), device=to.device).unsqueeze(-1)  # [N, E]
    weights = softmax(scores.mT.unsqueeze(-2).expand(-1, *incoming.shape), incoming.expand(scores.shape[-1], *incoming.shape))  # [H, N, E]
    return (weights @ sent.transpose(0, 1)).transpose(0, 1).flatten(1).to(target.dtype)
