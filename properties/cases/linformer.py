"""Linformer attention."""

from __future__ import annotations

from collections.abc import Mapping

import hypothesis.strategies as st
from flint import arb

from impl.variant import Implementation
from properties.posed import Place, Posed, case
from properties.posing import laid_out, sizes
from properties.tracked import Tracked, contract, irrational, softmax


@case("linformer")
@st.composite
def linformer(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Projections of their own for keys and values, shared by all heads or one for each; wide scores, so that a single mixture takes all the weight."""
    s = sizes(draw, subject)
    mixtures = draw(st.sampled_from((1, 2, 4)), label="K")
    heads = (s.h,) if draw(st.booleans(), label="projection of each head") else ()
    scale = draw(st.sampled_from((None, 0.3, 2.0)), label="scale")

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        of_keys, of_values = (t[place] if heads else t[place].broadcast((s.h, mixtures, s.m)) for place in (3, 4))
        factor = irrational(1 / arb(s.d).sqrt() if scale is None else arb(scale), t[0].rounding)
        scores = contract("bhnd,hkm,bhmd->bhnk", t[0], of_keys, t[1]) * factor
        return contract("bhnk,hkm,bhme->bhne", softmax(scores), of_values, t[2])

    x = Posed(
        arguments=(
            s.tensor(s.b, s.h, s.n, s.d),
            s.tensor(s.b, s.h, s.m, s.d),
            s.value(),
            s.tensor(*heads, mixtures, s.m),
            s.tensor(*heads, mixtures, s.m),
        ),
        keywords={} if scale is None else {"scale": scale},
        define=define,
        cotangent=s.tensor(s.b, s.h, s.n, s.e, regime="normal"),
        wanted=(0, 1, 2, 3, 4),
        by_key={1: 2, 2: 2, 3: -1, 4: -1},
        regimes=(*s.regimes, f"projections: {'of each head' if heads else 'shared'}"),
    )
    return laid_out(x, s.layout)
