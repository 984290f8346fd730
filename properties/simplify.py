"""Makes the numbers of a counterexample small: Hypothesis has chosen the sizes and options, this tries 0, 1 and whole numbers for each entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from properties.inputs import Inputs, beside_causal, dense, square
from properties.subject import same
from properties.verifies import Law

FEW = 48  # entries of a tensor that are tried one by one
NAMES = ("query", "key", "value", "cotangent", "attn_mask")


def free(law: Law) -> tuple[str, ...]:
    """The tensors whose entries may be anything without leaving what the law draws; none where the law draws inputs of a structure of its own."""
    if law.draw in (dense, square, beside_causal):
        return NAMES
    if isinstance(law.draw, partial) and law.draw.func is dense:
        return tuple(name for name in NAMES if not (name == "value" and "values" in law.draw.keywords))
    return ()


def simplified(x: Inputs, names: tuple[str, ...], fails: Callable[[Inputs], bool]) -> Inputs:
    """The simplest inputs found that still fail: whole tensors first, then entry by entry. `fails` may end the search by returning False for ever."""
    for name in names:
        t = getattr(x, name)
        if t is None or t.dtype == torch.bool or not t.numel():
            continue
        for whole in (torch.zeros_like(t), torch.ones_like(t), small(t)):
            candidate = changed(x, name, whole)
            if not same(whole, t) and fails(candidate):
                x = candidate
                break
        x = entries_simplified(x, name, fails)
    return x


def entries_simplified(x: Inputs, name: str, fails: Callable[[Inputs], bool]) -> Inputs:
    t = getattr(x, name)
    if not t.is_contiguous() or t.numel() > FEW:
        return x
    for at in range(t.numel()):
        for number in simpler(t.flatten()[at].item()):
            edited = getattr(x, name).clone()
            edited.view(-1)[at] = number
            candidate = changed(x, name, edited)
            if fails(candidate):
                x = candidate
                break
    return x


def changed(x: Inputs, name: str, t: Tensor) -> Inputs:
    changes: dict[str, Any] = {name: t}
    return replace(x, **changes)


def simpler(number: Any) -> Iterator[float]:
    """Numbers simpler than this one, the simplest first."""
    if number in (0.0, float("inf"), float("-inf")) or number != number:
        return
    yield 0.0
    if number != 1.0:
        yield 1.0
    if abs(number) < 1e6 and float(round(number)) not in (0.0, 1.0, number):
        yield float(round(number))


def small(t: Tensor) -> Tensor:
    """The entries rounded, and infinities as they are."""
    return torch.where(t.isfinite() & (t.abs() < 1e6), t.round(), t)
