"""Monotonic attention's kernels where the laws' short rows do not lead: rows longer than the tile that ships, and what is refused."""

from __future__ import annotations

import pytest
import torch

from impl.monotonic import fused, reference
from impl.scaled_dot_product import flash

if why := fused.operators.missing():
    pytest.skip(why, allow_module_level=True)

from impl._triton.patching import patch_once_a_launch
from impl.monotonic.launch import MOST

patch_once_a_launch()


def test_a_row_of_several_tiles_as_shipped_is_exact() -> None:
    """Stops of probability a half on either side of the border between tiles, none elsewhere: all weights and slopes are sums of few powers of 2."""
    m = MOST + 5
    energy = torch.full((1, 2, 3, m), -1000.0)
    energy[..., [0, 700, MOST - 2, MOST - 1, MOST, MOST + 3]] = 0.0
    energy.requires_grad_()
    previous = (torch.arange(m) == 3).float().expand(1, 2, m).clone().requires_grad_()
    slopes = torch.arange(3 * m).reshape(3, m).remainder(5).float().expand(1, 2, 3, m)
    device = flash.device()
    answers = []
    for aligned in (fused.alignment, reference.alignment):
        weights = aligned(energy.to(device), None, previous.to(device))
        answers.append([weights, *torch.autograd.grad(weights, (energy, previous), slopes.to(device))])
    assert all(torch.equal(a, b) for a, b in zip(*answers, strict=True))
    assert answers[0][0].gt(0).sum() == 2 * 15


@pytest.mark.parametrize(
    ("keywords", "complaint"),
    [
        ({"tile": 12}, "power of 2, got 12"),
        ({"tile": 0}, "power of 2, got 0"),
        ({"previous": torch.ones(1, 4)}, "previous has 4 positions, energy has 5"),
    ],
)
def test_what_does_not_fit_is_refused(keywords: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        fused.attention(torch.zeros(1, 2, 5), torch.zeros(1, 5, 3), **keywords)  # type: ignore[arg-type]


def test_energies_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match=r"int64 \(2, 5\)"):
        fused.attention(torch.zeros(2, 5, dtype=torch.int64), torch.zeros(5, 3))
