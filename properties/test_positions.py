"""Laws of positions: where only differences act, all positions may move together."""

from __future__ import annotations

from dataclasses import replace

import torch

from impl.trait import Trait
from properties import posed
from properties.cases import positions  # noqa: F401
from properties.posed import Posed, any_case
from properties.subject import Subject
from properties.verifies import law


@law("positions.rotary-is-relative", "positions.toeplitz-odds", on=Trait.RELATIVE, draw=any_case)
def test_moving_all_positions_together_changes_nothing(subject: Subject, x: Posed) -> None:
    """Counted from 0, or from half as far: the truth is that of the drawn start, whose angles are the largest, and so is the bound."""
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    for start in {0, x.keywords["start"] // 2} - {x.keywords["start"]}:
        moved = replace(x, keywords=x.keywords | {"start": start})
        subject.judge(f"output with positions from {start}", posed.output(subject, moved), true.balls(), true.bound(), moved)


@law("positions.linear-bias-of-the-key", on=Trait.LINEAR_BIAS, draw=any_case)
def test_under_causality_a_linear_bias_is_one_of_the_key_alone(subject: Subject, x: Posed) -> None:
    """−m (i − j) = −m i + m j, and a row does not see what all its keys share. The slopes are powers of 2, so that m j is exact."""
    if "is_causal" not in x.keywords or "attn_mask" in x.keywords or "slopes" in x.keywords:
        return
    subject.saw(x.regimes)
    heads, keys, dtype = x[0].shape[1], x[1].shape[2], x[0].dtype
    if heads not in (1, 2, 4, 8):
        return
    true = posed.truth(subject, x)
    slopes = 2.0 ** (-8 * torch.arange(1, heads + 1) // heads)
    of_keys = (slopes[:, None, None] * torch.arange(keys)).to(dtype).unsqueeze(0)  # [1, H, 1, M]
    instead = replace(x, keywords=x.keywords | {"slopes": torch.zeros(heads, dtype=dtype), "attn_mask": of_keys})
    subject.judge("output with a bias of the key in place of the distance", posed.output(subject, instead), true.balls(), true.bound(), instead)
