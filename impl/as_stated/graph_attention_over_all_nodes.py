"""Graph attention as the course text has it: a softmax without a word of what it runs over, and a sum over j without N_i.

Over all j the graph takes no part: every node attends to every other, and one without neighbours is no exception. impl/graph runs over a node's own edges.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu


def attention(nodes: Tensor, weight: Tensor, energy: Tensor) -> Tensor:
    """softmax_j(LeakyReLU(aᵀ [W h_i ‖ W h_j])) summed with W h_j over all nodes j: nodes [N, D], weight [D, C], energy [2 C] → [N, C].

    Source: Day 42: Attention Mechanisms, "Graph Attention Networks" (without its outer nonlinearity).
    """
    carried = nodes @ weight
    of_target, of_source = (carried @ part for part in energy.chunk(2))
    scores = leaky_relu(of_target.unsqueeze(-1) + of_source, 0.2)  # [N, N]
    weights: Tensor = torch.softmax(scores, -1)
    return weights @ carried
