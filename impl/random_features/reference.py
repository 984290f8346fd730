"""Attention by random features by its definition: e^(scale q·k) is replaced by its estimate, the mean of products of features."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impl.kernelised import padding, quotient, with_ones
from impl.masked import accumulation, visible
from impl.random_features.logarithms import features, finite, scaled


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    projection: Tensor,
    is_causal: bool = False,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
    phase: Tensor | None = None,
) -> Tensor:
    """Σ_j κ_ij v_j / Σ_j κ_ij, κ_ij the mean over features r of φ_r(√scale q_i) φ_r(√scale k_j); nothing is drawn here.

    φ_r(x) = exp(w_r·x − |x|²/2), which is positive; with `phase` b [m], φ_r(x) = √2 cos(w_r·x + b_r) exp(|x|²/2): then weights may be negative, and nothing
    keeps their sum from 0. Shapes: query [..., N, D], key [..., M, D], value [..., M, E], projection [m, D] → [..., N, E]. `attn_mask` [..., 1, M], boolean,
    shows keys (True) to all rows alike; `is_causal` lets row i see keys j ≤ i; `scale` is above 0, 1/√D by default. A row whose weights sum to 0, as one that
    sees no key, is zero. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for another mask or scale.
    Sources: Choromanski et al. 2021, lemma 1, https://arxiv.org/abs/2009.14794; Rahimi and Recht 2007 (cosines), https://papers.nips.cc/paper/3182
    """
    dtype = accumulation(query.dtype)
    w, b = projection.to(dtype), None if phase is None else phase.to(dtype)
    rows, columns = (features(scaled(x.to(dtype), scale), w, b) for x in (query, key))
    weights, _ = estimates(rows, columns, padding(attn_mask), is_causal)
    return quotient(weights @ with_ones(value.to(dtype))).to(query.dtype)


def estimates(rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor], attn_mask: Tensor | None, is_causal: bool) -> tuple[Tensor, Tensor]:
    """Σ_r φ_r(q_i) φ_r(k_j) e^(−t_i) [..., N, M], 0 where not visible, and t_i [..., N, 1], the row's largest exponent (−∞ where it sees no key)."""
    exponents = rows[0].unsqueeze(-2) + columns[0].unsqueeze(-3)  # [..., N, M, m], or [..., N, M, 1] of cosines
    seen = visible(exponents[..., 0], attn_mask, is_causal)
    exponents = exponents.masked_fill(~seen.unsqueeze(-1), -math.inf)
    nothing = exponents.new_full((*exponents.shape[:-2], 1), -math.inf)
    top = torch.cat((exponents.detach().flatten(-2), nothing), -1).amax(-1, keepdim=True)  # [..., N, 1]
    raised = torch.exp(exponents - finite(top).unsqueeze(-1))
    return (raised * rows[1].unsqueeze(-2) * columns[1].unsqueeze(-3)).sum(-1), top
