"""The interpreter patches the language once a launch: the same numbers, fewer patches, and a language that is restored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from impl.monotonic import fused
from impl.scaled_dot_product import flash

if why := flash.missing():
    pytest.skip(why, allow_module_level=True)

import triton.language as tl
from triton.runtime import interpreter

from impl._triton.patching import patch_once_a_launch


@pytest.fixture
def as_shipped(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Called, it takes Triton's own interpreter for the rest of the test."""

    def back() -> None:
        for owner in (interpreter.GridExecutor, interpreter.InterpretedFunction):
            monkeypatch.setattr(owner, "__call__", owner.__call__.__wrapped__)

    return back


def gradients() -> list[torch.Tensor]:
    """Output and gradients of a causal call: programs that call functions that call reductions."""
    random = torch.Generator().manual_seed(5)
    q, k, v = (torch.randn(1, 2, 20, 8, generator=random, dtype=torch.float64).requires_grad_() for _ in range(3))
    out = flash.attention(q, k, v, is_causal=True)
    return [out.detach(), *torch.autograd.grad(out, (q, k, v), torch.randn(out.shape, generator=random, dtype=out.dtype))]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    patch, seen = interpreter._patch_lang, []

    def counting(function: Any) -> Any:
        seen.append(function)
        return patch(function)

    monkeypatch.setattr(interpreter, "_patch_lang", counting)
    return seen


def test_the_numbers_are_those_of_the_interpreter_as_shipped(as_shipped: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counted(monkeypatch)
    once, few = gradients(), len(seen)
    as_shipped()
    assert all(torch.equal(a, b) for a, b in zip(once, gradients(), strict=True))
    assert 0 < 5 * few < len(seen) - few


def test_scans_are_those_of_the_interpreter_as_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probabilities of a half, and of 0, make sums of powers of 2 that are exact in either order: forward in three tiles, backward from the far end."""
    energy = torch.zeros(1, 1, 2, 9, dtype=torch.float64)
    energy[..., 3::4] = -1000
    energy.requires_grad_()
    slopes = torch.arange(18, dtype=torch.float64).reshape(2, 9) % 7

    def both() -> list[torch.Tensor]:
        weights = fused.alignment(energy, tile=4)
        return [weights.detach(), *torch.autograd.grad(weights, energy, slopes.expand(weights.shape))]

    doubled = both()
    assert doubled[0].gt(0).sum() == 14
    assert doubled[1].ne(0).sum() > 9
    monkeypatch.setattr(interpreter.ScanOps, "generic_scan", interpreter.ScanOps.generic_scan.__wrapped__)
    assert all(torch.equal(a, b) for a, b in zip(doubled, both(), strict=True))


def test_the_language_is_restored_after_a_launch_and_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(vars(tl))
    gradients()
    assert dict(vars(tl)) == before
    monkeypatch.setattr(interpreter.InterpretedFunction, "rewrite", lambda self: None)
    with pytest.raises(Exception, match=r".+"):
        gradients()
    assert dict(vars(tl)) == before


def test_a_second_time_changes_nothing() -> None:
    patch_once_a_launch()
    calls = interpreter.GridExecutor.__call__, interpreter.InterpretedFunction.__call__
    patch_once_a_launch()
    assert calls == (interpreter.GridExecutor.__call__, interpreter.InterpretedFunction.__call__)
    assert not hasattr(calls[0].__wrapped__, "__wrapped__")
