"""Graph attention by its definition: each node weighs its incoming edges, by a mask over all pairs of a node and an edge."""

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
    weight: Tensor,
    energy: Tensor,
    edge_features: Tensor | None = None,
    edge_energy: Tensor | None = None,
    indptr: Tensor | None = None,
    negative_slope: float = 0.2,
) -> Tensor:
    """Σ α_ij W h_j over the edges j → i, α_i· = softmax(LeakyReLU(aᵀ [W h_i ‖ W h_j ‖ e_ij])), each head's beside the next.

    Shapes: target h_i [N, D], source h_j [M, D] (the same tensor for a graph with one kind of nodes), weight W [D, H, C], energy a [H, 2 C], the part of the
    target first, edge_features e [E, F] with their part of a, edge_energy [H, F] → [N, H · C]. `edges` is [2, E], sources above targets, or the sources [E]
    alone with `indptr` [N + 1], as CSR has them. An edge that comes twice counts twice, no edge from a node to itself is added, and a node without
    incoming edges is 0. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for edges and features that do not fit.
    Source: Veličković et al. 2018, equations 1 to 5 (without the outer nonlinearity), https://arxiv.org/abs/1710.10903; bipartite graphs and edge features
    as in PyTorch Geometric's GATConv.
    """
    dtype = accumulation(target.dtype)
    of, to = listed(edges, indptr, len(source), len(target))
    checked(len(of), edge_features, edge_energy, "edge_energy")
    fits(energy, (weight.shape[1], 2 * weight.shape[2]), "energy")
    w = weight.to(dtype)
    sent = torch.einsum("md,dhc->mhc", source.to(dtype), w)[of]  # W h_j [E, H, C]
    received = torch.einsum("nd,dhc->nhc", target.to(dtype), w)[to]  # W h_i
    scores = (torch.cat((received, sent), dim=-1) * energy.to(dtype)).sum(-1)  # [E, H]
    if edge_features is not None and edge_energy is not None:
        scores = scores + edge_features.to(dtype) @ edge_energy.to(dtype).mT
    scores = leaky_relu(scores, negative_slope)
    incoming = to == torch.arange(len(target), device=to.device).unsqueeze(-1)  # [N, E]
    weights = softmax(scores.mT.unsqueeze(-2).expand(-1, *incoming.shape), incoming.expand(scores.shape[-1], *incoming.shape))  # [H, N, E]
    return (weights @ sent.transpose(0, 1)).transpose(0, 1).flatten(1).to(target.dtype)
