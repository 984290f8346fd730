"""What the instruments that need a model cost: operations from torch's count of products, exact at every size.
Beside it a slope by finite differences, dtypes and devices, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from impl.instruments import layer as model
from impl.instruments.gradient_attribution.reference import attribution
from impl.instruments.head_importance import heads_once, reference
from impl.instruments.intervention.reference import intervention

SIZES = list(product((3, 8, 16), (1, 2, 5)))  # N, H
B, C, D, E = 2, 6, 3, 4
Call = Callable[..., Tensor]
IMPORTANCE: Call = reference.importance
HEADS_ONCE: Call = heads_once.importance
ATTRIBUTION: Call = attribution
INTERVENTION: Call = intervention


def layer(n: int, h: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(n)
    shapes = ((B, n, C), (C, h * D), (C, h * D), (C, h * E), (h * E, C))
    return [torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes]


def operations(call: Call, *arguments: Any, **keywords: Any) -> int:
    with FlopCounterMode(display=False) as counter:
        call(*arguments, **keywords)
    return int(counter.get_total_flops())


def scores(n: int, h: int) -> int:
    """Queries, keys and their products."""
    return 2 * B * (2 * n * C * h * D + h * n * n * D)


def heads(n: int, h: int) -> int:
    """Values, and the sums that weights make of them."""
    return 2 * B * (n * C * h * E + h * n * n * E)


def out(n: int, h: int) -> int:
    return 2 * B * n * h * E * C


@pytest.mark.parametrize(("n", "h"), SIZES)
def test_ablation_by_its_definition_mixes_the_values_once_more_a_head(n: int, h: int) -> None:
    x = layer(n, h)
    assert operations(IMPORTANCE, *x, x[0], h) == scores(n, h) + (h + 1) * (heads(n, h) + out(n, h))


@pytest.mark.parametrize(("n", "h"), SIZES)
def test_ablation_of_heads_computed_once_projects_out_once_more_a_head(n: int, h: int) -> None:
    x = layer(n, h)
    assert operations(HEADS_ONCE, *x, x[0], h) == scores(n, h) + heads(n, h) + (h + 1) * out(n, h)


@pytest.mark.parametrize("way", [reference.importance, heads_once.importance])
@pytest.mark.parametrize(("n", "h"), SIZES)
def test_all_slopes_cost_one_projection_beside_the_layer(way: Call, n: int, h: int) -> None:
    """Whatever the number of heads: that is what the gradient is for."""
    x = layer(n, h)
    assert operations(way, *x, x[0], h, by="gradient") == scores(n, h) + heads(n, h) + 2 * out(n, h)


@pytest.mark.parametrize(("n", "h"), SIZES)
def test_an_intervention_costs_what_the_layer_costs(n: int, h: int) -> None:
    assert operations(INTERVENTION, *layer(n, h), h, h - 1) == scores(n, h) + heads(n, h) + out(n, h)


@pytest.mark.parametrize(("n", "h"), SIZES)
def test_attributions_of_all_weights_cost_one_way_back_to_them(n: int, h: int) -> None:
    """Out of the projection, and the product with the values."""
    x = layer(n, h)
    assert operations(ATTRIBUTION, *x, x[0], h) == scores(n, h) + heads(n, h) + out(n, h) + out(n, h) + 2 * B * h * n * n * E


@pytest.mark.parametrize(
    ("call", "quoted"),
    [
        (lambda x: IMPORTANCE(*x, x[0][:, :1], 2), r"target \(2, 1, 6\) for an output \(2, 3, 6\)"),
        (lambda x: IMPORTANCE(*x, x[0], 2, gates=torch.ones(2, 3)), r"gates \(2, 3\); expected one for each of 2 sequences and 2 heads"),
        (lambda x: IMPORTANCE(*x, x[0], 2, by="magic"), "by='magic'; there are 'ablation' and 'gradient'"),
        (lambda x: HEADS_ONCE(*x, x[0], 2, by="gradient", loss="cube"), "loss='cube'; there are 'linear' and 'squares'"),
        (lambda x: IMPORTANCE(*x, x[0], 4), r"4 heads do not fit the projected widths \(6, 6, 8, 8\)"),
        (lambda x: ATTRIBUTION(*x, x[0], 2, of="scores"), "of='scores'; there are 'weights' and 'inputs'"),
        (lambda x: INTERVENTION(*x, 2, 2), "head=2 of 2; they count from 0 to 1"),
        (lambda x: INTERVENTION(*x, 2, 0, torch.ones(3, 4)), r"replacement \(3, 4\); expected \(3, 3\) or \(2, 3, 3\)"),
        (lambda x: INTERVENTION(x[0][0], *x[1:], 2, 0), r"inputs \(3, 6\) and projections"),
        (lambda x: INTERVENTION(x[0][..., :5], *x[1:], 2, 0), r"inputs \(2, 3, 5\) do not fit the projections"),
    ],
)
def test_wrong_input_is_quoted(call: Callable[[list[Any]], Tensor], quoted: str) -> None:
    with pytest.raises(ValueError, match=quoted):
        call(layer(3, 2))


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("loss", ["linear", "squares"])
def test_a_token_s_attribution_is_the_limit_of_central_differences(loss: str, is_causal: bool) -> None:
    """By the token's scale: the distance falls to a quarter where the step is halved."""
    x, q, k, v, o = layer(3, 2)
    target = x.flip(1)
    found = attribution(x, q, k, v, o, target, 2, of="inputs", loss=loss, is_causal=is_causal)

    def at(z: Tensor) -> Tensor:
        return model.loss_of(model.mixed(model.attended(z, q, k, 2, is_causal), z, v, o), target, loss)

    def error(step: float) -> Tensor:
        moved = [(torch.arange(3) == place).double()[:, None] * step for place in range(3)]
        return torch.stack([(at(x * (1 + m)) - at(x * (1 - m))) / (2 * step) for m in moved], 1) - found

    ratio = error(2.0**-7) / error(2.0**-8)
    assert bool(((ratio > 3.5) & (ratio < 4.5)).all())


def test_gates_and_replacements_may_be_of_another_dtype() -> None:
    """Halves and quarters, which every dtype has: the same as in the layer's own, and the output is of the layer's."""
    single = [z.float() for z in layer(3, 2)]
    gates, given = torch.tensor([[0.5, 1.0], [0.25, 2.0]]), torch.full((3, 3), 0.25)
    for way in (IMPORTANCE, HEADS_ONCE):
        for by in ("ablation", "gradient"):
            own, other = (way(*single, single[0], 2, gates=g, by=by) for g in (gates, gates.double()))
            assert torch.equal(own, other)
            assert other.dtype == torch.float32
    own, other = (INTERVENTION(*single, 2, 1, w) for w in (given, given.double()))
    assert torch.equal(own, other)
    assert other.dtype == torch.float32


@pytest.mark.parametrize("is_causal", [False, True])
def test_nothing_is_made_on_another_device_than_the_inputs(is_causal: bool) -> None:
    """On torch's device without memory, which refuses tensors of the CPU beside its own."""
    x = [z.to("meta") for z in layer(3, 2)]
    found = [way(*x, x[0], 2, by=by, is_causal=is_causal) for way in (IMPORTANCE, HEADS_ONCE) for by in ("ablation", "gradient")]
    found += [ATTRIBUTION(*x, x[0], 2, of=of, is_causal=is_causal) for of in ("weights", "inputs")]
    found += [INTERVENTION(*x, 2, 1, w, is_causal=is_causal) for w in (None, torch.zeros(3, 3, device="meta"))]
    assert {z.device.type for z in found} == {"meta"}
