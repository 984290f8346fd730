"""Inputs stay inside what is declared, whatever is declared, and are worth trying."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import HealthCheck

from impl import VARIANTS
from impl.variant import Conventions, Implementation
from properties.declared import declared
from properties.inputs import Inputs, dense, problem
from properties.judge import STRANGER, unreachable

LIMITS = (
    "", "n-multiple=32", "n-multiple=64", "n-multiple=128,empty=no", "n-multiple=64,nk=nq,empty=no", "n-max=1", "nk=nq", "nk=nq,empty=no,gqa=no",
    "n-max=3,strides=contiguous", "n-multiple=4,empty=no,strides=contiguous,d=16+32", "d=256,dv=dk", "mask=additive,causal=no", "dtypes=float16,scale=positive",
    "strides=rows,scale=no,mask=none",
)  # fmt: skip
CONVENTIONS = ("", "dead-rows=nan", "dead-rows=mean,causal=bottom-right,mask+causal=both", "float64=as-float32")


@pytest.mark.parametrize("conventions", CONVENTIONS)
@pytest.mark.parametrize("limits", LIMITS)
def test_inputs_stay_inside_the_limits(limits: str, conventions: str) -> None:
    inside = declared("--limits", limits, STRANGER)
    means = declared("--convention", conventions, Conventions())
    subject = Implementation(variant=VARIANTS["scaled-dot-product"], name="x", call=unreachable, limits=inside, conventions=means)
    counts = {"all": 0, "empty": 0}

    @hypothesis.settings(max_examples=60, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @hypothesis.seed(1)
    @hypothesis.given(dense(subject))
    def drawn(x: Inputs) -> None:
        tensors = [t for t in (x.query, x.key, x.value, x.cotangent, x.attn_mask) if t is not None]
        n, m, d, e = x.query.shape[2], x.key.shape[2], x.query.shape[3], x.value.shape[3]
        counts["all"] += 1
        counts["empty"] += 0 in x.query.shape + x.key.shape
        assert not n % inside.multiple
        assert not m % inside.multiple
        assert max(n, m) <= inside.max_length
        assert n * m <= 2**16, "more than the oracle can afford"
        assert inside.unequal_lengths or n == m
        assert inside.unequal_widths or d == e
        assert inside.widths is None or {d, e} <= set(inside.widths)
        assert inside.zero_length or 0 not in x.query.shape + x.key.shape
        assert inside.grouped_queries or x.query.shape[1] == x.key.shape[1]
        assert inside.causal or not x.is_causal
        assert str(x.query.dtype).removeprefix("torch.") in inside.dtypes
        assert x.scale is None or (inside.scale and (x.scale > 0 or not inside.positive_scale))
        assert x.attn_mask is None or ("boolean" if x.attn_mask.dtype.is_floating_point is False else "additive") in inside.masks
        assert inside.strides != "contiguous" or all(t.is_contiguous() for t in tensors)
        assert inside.strides != "rows" or all(t.stride(-1) == 1 or t.shape[-1] <= 1 for t in tensors)
        assert means.dead_rows == "zero" or problem(x).visible.any(-1).all()
        assert means.float64 == "honoured" or (x.query.float().double() == x.query.double()).all()

    drawn()
    assert counts["all"] >= 50
    assert counts["empty"] <= counts["all"] / 2
