"""Score functions: bilinear, concat, location-based, hybrid, and the Gaussian kernel of a distance."""

from __future__ import annotations

from collections.abc import Mapping

import hypothesis.strategies as st
import torch

from impl.variant import Implementation
from properties.oracle import true_scale
from properties.posed import Place, Posed, case
from properties.posing import masking, posed, sizes
from properties.tracked import Tracked, contract, irrational, softmax, tanh


@case("bilinear")
@st.composite
def bilinear(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Each bias given or not; widths Dq and Dk apart."""
    s = sizes(draw, subject)
    of_keys = draw(st.sampled_from((1, 2, 4)), label="d_k")
    mask = masking(draw, subject, s)
    tensors = s.query(), s.tensor(s.b, s.h, s.m, of_keys), s.value(), s.tensor(s.d, of_keys)
    given = draw(st.sampled_from(((), ("key_bias",), ("query_bias",), ("query_bias", "key_bias"))), label="biases")
    biases = {name: s.tensor(s.d if name == "query_bias" else of_keys) for name in given}

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        scores = contract("bhnd,de,bhme->bhnm", t[0], t[3], t[1])
        if "query_bias" in t:
            scores = scores + contract("bhnd,d->bhn", t[0], t["query_bias"]).reshape(s.b, s.h, s.n, 1)
        if "key_bias" in t:
            scores = scores + contract("bhme,e->bhm", t[1], t["key_bias"]).reshape(s.b, s.h, 1, s.m)
        return contract("bhnm,bhme->bhne", softmax(mask(scores, t), mask.visible), t[2])

    return posed(s, mask, tensors, define, keywords=biases, wanted=(0, 1, 2, 3, *given), regimes=(f"biases: {' and '.join(given) or 'none'}",))


@case("concat")
@st.composite
def concat(draw: st.DrawFn, subject: Implementation) -> Posed:
    s = sizes(draw, subject)
    of_keys, hidden = draw(st.sampled_from((1, 2, 4)), label="d_k"), draw(st.sampled_from((1, 3, 6)), label="d_a")
    mask = masking(draw, subject, s)
    tensors = s.query(), s.tensor(s.b, s.h, s.m, of_keys), s.value()
    weights = s.tensor(s.d + of_keys, hidden), s.tensor(hidden, times=draw(st.sampled_from((1.0, 30.0)), label="energies times"))

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        of_query, of_key = t[3][: s.d], t[3][s.d :]
        rows = contract("bhnd,da->bhna", t[0], of_query).reshape(s.b, s.h, s.n, 1, hidden)
        columns = contract("bhmd,da->bhma", t[1], of_key).reshape(s.b, s.h, 1, s.m, hidden)
        weighted = softmax(mask(contract("bhnma,a->bhnm", tanh(rows + columns), t[4]), t), mask.visible)
        return contract("bhnm,bhme->bhne", weighted, t[2])

    return posed(s, mask, (*tensors, *weights), define, wanted=(0, 1, 2, 3, 4))


@case("location")
@st.composite
def location(draw: st.DrawFn, subject: Implementation) -> Posed:
    """The weight knows as many positions as there are values, or more. Permuting values and the weight's columns alike changes nothing."""
    s = sizes(draw, subject)
    known = s.m + draw(st.sampled_from((0, 2)), label="positions beyond the values")
    mask = masking(draw, subject, s)

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        scores = contract("bhnd,dm->bhnm", t[0], t[2][:, : s.m])
        return contract("bhnm,bhme->bhne", softmax(mask(scores, t), mask.visible), t[1])

    return posed(
        s,
        mask,
        (s.query(), s.value(), s.tensor(s.d, known)),
        define,
        values=(1,),
        batched=(0, 1),
        by_key={1: 2, 2: 1} if known == s.m else {1: 2},
        ordered=() if known == s.m else ("keys",),
        regimes=(f"positions beyond the values: {known - s.m}",),
    )


@case("hybrid")
@st.composite
def hybrid(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Either weight may be 0, which leaves content or location alone."""
    s = sizes(draw, subject)
    scale = draw(st.sampled_from((None, 0.5, -1.0)), label="scale")
    mask = masking(draw, subject, s)
    shares = [torch.tensor(draw(st.sampled_from((1.0, 0.0, 0.5, -2.0)), label=name), dtype=s.dtype) for name in ("content", "location")]
    tensors = s.query(), s.key(), s.value(), s.tensor(s.n, s.m)

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        scaled = contract("bhnd,bhmd->bhnm", t[0], t[1]) * irrational(true_scale(s.d, scale), t[0].rounding)
        return contract("bhnm,bhme->bhne", softmax(mask(scaled * t[4] + t[3] * t[5], t), mask.visible), t[2])

    return posed(
        s,
        mask,
        (*tensors, *shares),
        define,
        keywords={} if scale is None else {"scale": scale},
        wanted=(0, 1, 2, 3, 4, 5),
        by_key={1: 2, 2: 2, 3: 1},
        by_query={0: 2, 3: 0},
        regimes=(f"content × {float(shares[0]):g}, location × {float(shares[1]):g}",),
    )


@case("kernel-density")
@st.composite
def kernel_density(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Squared distances term by term, so that their bound serves differences as well as products."""
    s = sizes(draw, subject)
    bandwidth = draw(st.sampled_from((1.0, 0.5, 3.0)), label="bandwidth")
    mask = masking(draw, subject, s)

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        of_queries = contract("bhnd,bhnd->bhn", t[0], t[0]).reshape(s.b, s.h, s.n, 1)
        of_keys = contract("bhmd,bhmd->bhm", t[1], t[1]).reshape(s.b, s.h, 1, s.m)
        halves = (contract("bhnd,bhmd->bhnm", t[0], t[1]) - of_queries * 0.5) - of_keys * 0.5
        weighted = softmax(mask(halves / (halves.like(bandwidth) * bandwidth), t), mask.visible)
        return contract("bhnm,bhme->bhne", weighted, t[2])

    return posed(s, mask, (s.query(), s.key(), s.value()), define, keywords={"bandwidth": bandwidth}, regimes=(f"bandwidth: {bandwidth:g}",))
