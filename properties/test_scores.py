"""Laws of score functions: how far additive weights may spread, and what the softmax cannot see."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import torch

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.cases import additive, scores  # noqa: F401
from properties.inputs import plain
from properties.posed import Posed, any_case
from properties.subject import Subject
from properties.tolerance import SLACK
from properties.verifies import law


def weights_read_off(subject: Implementation) -> st.SearchStrategy[Posed]:
    """Calls whose values are the rows of the identity, so that the output is the weights."""

    def with_identity(x: Posed) -> Posed:
        (place,) = x.values
        value = x[place]
        m = value.shape[-2]
        identity = torch.eye(m, dtype=value.dtype).expand(*value.shape[:-2], m, m)
        return x.with_tensors({place: identity}, cotangent=x.cotangent.new_zeros((*x.cotangent.shape[:-1], m)))

    return any_case(subject).map(with_identity)


@law("energies.additive-weights-are-bounded", on=Trait.ADDITIVE, draw=weights_read_off)
def test_additive_weights_stay_within_their_range(subject: Subject, x: Posed) -> None:
    """tanh lies within ±1, so that scores lie within ±‖v‖₁: with n visible keys no weight leaves 1 / (1 + (n − 1) e^(±2‖v‖₁))."""
    mask = x.keywords.get("attn_mask")
    assert x.visible is not None
    if mask is not None and mask.dtype != torch.bool:
        return
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    actual = plain(posed.output(subject, x))
    others = np.maximum(x.visible.sum(-1, keepdims=True) - 1, 0)
    with np.errstate(over="ignore"):
        reach = np.exp(2 * np.abs(plain(x.arguments[-1])).sum())
    among = np.maximum(others, 1)
    low, high = np.where(others, 1 / (SLACK * (1 + among * reach)), 1 / SLACK), np.where(others, SLACK / (1 + among / reach), SLACK)
    beyond = np.where(x.visible, np.maximum(np.maximum(low - actual, actual - high), 0), np.abs(actual))
    subject.within("a weight beyond its range", beyond, true.bound(), x)


@law("softmax.query-bias-is-inert", "energies.biaffine", on=Trait.BILINEAR, draw=any_case)
def test_a_bias_of_the_query_changes_nothing(subject: Subject, x: Posed) -> None:
    """The same for all keys of a row: with another one, or none, the output is the same."""
    if "query_bias" not in x.keywords:
        return
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    without = replace(x, keywords={name: given for name, given in x.keywords.items() if name != "query_bias"})
    subject.judge("output without the query's bias", posed.output(subject, without), true.balls(), true.bound(), without)
