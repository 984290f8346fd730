"""A decoder of two layers of attention with residual connections and normalisation, no feed-forward layers; heads have gates and can be given other weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, layer_norm

from properties.trained.tasks import LENGTH, VOCABULARY, Batch

LAYERS, HEADS, WIDTH = 2, 4, 64
Replaced = Mapping[tuple[int, int], Tensor]  # (layer, head) → weights [B or 1, N, N]


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Logits [B, N, V], the weights of each layer [B, H, N, N], and what went into the first layer [B, N, C]."""

    logits: Tensor
    weights: tuple[Tensor, ...]
    embedded: Tensor


class Layer(nn.Module):
    """Causal multi-head attention, x + Σ_h g_h W_o^h P_h (x̂ W_v^h) with x̂ the normalised x."""

    def __init__(self, width: int, heads: int, random: torch.Generator) -> None:
        super().__init__()
        self.heads = heads
        drawn = torch.randn((4, width, width), generator=random) / math.sqrt(width)
        self.query, self.key, self.value, self.out = (nn.Parameter(x.clone()) for x in drawn)

    def forward(self, x: Tensor, gates: Tensor, replaced: Mapping[int, Tensor]) -> tuple[Tensor, Tensor]:
        """Output [B, N, C] and weights [B, H, N, N]; gates [H] or [B, H]; `replaced` gives some heads other weights."""
        normal = layer_norm(x, x.shape[-1:])
        q, k, v = ((normal @ w).unflatten(-1, (self.heads, -1)).transpose(1, 2) for w in (self.query, self.key, self.value))  # [B, H, N, D]
        hidden = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        scores = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).masked_fill(hidden, -math.inf)
        weights = scores.softmax(-1)
        if replaced:
            weights = torch.stack([replaced[h].expand_as(weights[:, h]) if h in replaced else weights[:, h] for h in range(self.heads)], 1)
        heads = gates[..., None, None] * (weights @ v)
        return x + heads.transpose(1, 2).flatten(2) @ self.out, weights


class Transformer(nn.Module):
    """Embeddings of tokens and positions, `LAYERS` layers, a readout."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.tokens = nn.Parameter(torch.randn((VOCABULARY, WIDTH), generator=random))
        self.positions = nn.Parameter(torch.randn((LENGTH, WIDTH), generator=random))
        self.layers = nn.ModuleList(Layer(WIDTH, HEADS, random) for _ in range(LAYERS))
        self.readout = nn.Parameter(torch.randn((WIDTH, VOCABULARY), generator=random) / math.sqrt(WIDTH))

    def forward(self, tokens: Tensor, gates: Tensor | None = None, replaced: Replaced | None = None, embedded: Tensor | None = None) -> Run:
        """One pass over tokens [B, N]; gates [L, H] or [B, L, H], all 1 unless given; `embedded` stands for the embeddings where it is given."""
        x = start = self.tokens[tokens] + self.positions[: tokens.shape[1]] if embedded is None else embedded
        gates = torch.ones(LAYERS, HEADS, dtype=x.dtype) if gates is None else gates
        weights = []
        for place, layer in enumerate(self.layers):
            x, seen = layer(x, gates[..., place, :], {h: w for (where, h), w in (replaced or {}).items() if where == place})
            weights.append(seen)
        return Run(layer_norm(x, x.shape[-1:]) @ self.readout, tuple(weights), start)


def losses(logits: Tensor, batch: Batch) -> Tensor:
    """The mean cross-entropy of each sequence over the positions that are asked [B]."""
    each = cross_entropy(logits.flatten(0, 1), batch.next.flatten(), reduction="none").reshape(batch.next.shape)
    return (each * batch.asked).sum(-1) / batch.asked.sum(-1)


def accuracy(logits: Tensor, batch: Batch) -> float:
    """The share of the asked positions whose next token is said."""
    right = (logits.argmax(-1) == batch.next) & batch.asked
    return float(right.sum()) / float(batch.asked.sum())
