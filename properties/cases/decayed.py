"""Linear attention with exponential decay, for a sequence that comes in parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import torch

from impl.variant import Implementation
from properties.cases.cached import cut, hidden
from properties.cases.kernelised import exactly_zero
from properties.cases.linear_attention import mapped
from properties.posed import Place, Posed, case
from properties.posing import posed, sizes
from properties.tracked import Tracked, constant, contract, stack

DECAYS = (0.5, 0.96875, 1.0, 0.0, 0.7, 1e-3)


@st.composite
def decayed(draw: st.DrawFn, subject: Implementation, *, decays: tuple[float, ...] = DECAYS) -> Posed:
    """A decay for each head: none, all at once, and between."""
    s = sizes(draw, subject, square=True)
    s = replace(s, m=s.n)
    parts = cut(draw, s.n)
    decay = torch.tensor([draw(st.sampled_from(decays), label="decay") for _ in range(s.h)], dtype=torch.float64).to(s.dtype)
    visible = np.broadcast_to(np.tril(np.ones((s.n, s.n), dtype=np.bool_)), (s.b, s.h, s.n, s.n)).copy()
    visible[:, [x == 0 for x in decay.tolist()]] &= np.eye(s.n, dtype=np.bool_)
    return posed(
        s,
        hidden(visible, "no mask"),
        (s.tensor(s.b, s.h, s.n, s.d), s.tensor(s.b, s.h, s.n, s.d), s.value(), parts, decay),
        summed,
        wanted=(0, 1, 2, 4),
        ordered=("keys", "queries"),
        regimes=(f"parts: {len(parts)}", *(f"decay: {x:g}" for x in sorted(set(decay.tolist())))),
    )


case("decayed")(decayed)


def summed(t: Mapping[Place, Tracked]) -> Tracked:
    """Σ_{j ≤ i} λ^(i−j) φ(q_i)·φ(k_j) v_j over the same sum without v_j; zero where that is."""
    rows, columns = (mapped(t[place], "elu+1", {}) for place in (0, 1))
    n, h, rounding = rows.shape[2], rows.shape[1], rows.rounding
    powers = [constant(np.ones(h), rounding)]
    for _ in range(n - 1):
        powers.append(powers[-1] * t[4])
    i, j = np.arange(n)[:, None], np.arange(n)
    weights = stack(powers, 1)[:, np.maximum(i - j, 0)].where(j <= i)  # [H, N, N]
    sums = contract("bhif,bhjf,hij,bhje->bhie", rows, columns, weights, t[2]), contract("bhif,bhjf,hij->bhi", rows, columns, weights)
    mass = sums[1].reshape(*sums[1].shape, 1)
    return sums[0] / mass.where(~exactly_zero(mass), 1.0)
