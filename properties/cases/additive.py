"""Additive attention."""

from __future__ import annotations

from collections.abc import Mapping

import hypothesis.strategies as st

from impl.variant import Implementation
from properties.narrowed import averaged
from properties.posed import Place, Posed, case
from properties.posing import masking, posed, sizes
from properties.tracked import Tracked, contract, softmax, tanh


@case("additive")
@st.composite
def additive(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Widths Dq, Dk, A and E apart; with and without a bias; energies that saturate the weights now and then."""
    s = sizes(draw, subject)
    of_keys, hidden = draw(st.sampled_from((1, 2, 4)), label="d_k"), draw(st.sampled_from((1, 3, 6)), label="d_a")
    energy = draw(st.sampled_from((1.0, 30.0)), label="energies times")
    mask = masking(draw, subject, s)
    tensors = s.query(), s.tensor(s.b, s.h, s.m, of_keys), s.value()
    weights = s.tensor(s.d, hidden), s.tensor(of_keys, hidden), s.tensor(hidden, times=energy)
    bias = {"bias": s.tensor(hidden)} if draw(st.booleans(), label="bias") else {}

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        rows = contract("bhnd,da->bhna", t[0], t[3]).reshape(s.b, s.h, s.n, 1, hidden)
        columns = contract("bhmd,da->bhma", t[1], t[4]).reshape(s.b, s.h, 1, s.m, hidden)
        energies = rows + columns + t["bias"] if bias else rows + columns
        scores = mask(contract("bhnma,a->bhnm", tanh(energies), t[5]), t)
        if t[0].rounding.u_weights:
            return averaged(scores, t[2], mask.visible)
        return contract("bhnm,bhme->bhne", softmax(scores, mask.visible), t[2])

    return posed(s, mask, (*tensors, *weights), define, keywords=bias, wanted=(0, 1, 2, 3, 4, 5, *bias), regimes=(f"energies times {energy:g}",))
