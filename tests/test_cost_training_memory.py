"""What training holds between forward and backward, and what it computes twice: bytes of saved tensors, peak bytes and operations, counted."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from impl.checkpointed import by_torch, offloaded, recomputing, reference
from impl.distillation import reference as distillation
from impl.loss_scaling import reference as loss_scaling
from tests.benchmarks.live_bytes import counting

SIZES = (32, 64, 96, 160)
D, FLOAT = 8, 4
Attention = Callable[..., Tensor]


def inputs(n: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(n)
    return [torch.randn(1, 1, n, D, generator=generator, requires_grad=True) for _ in range(3)]


def saved(attention: Attention, n: int, **keywords: Any) -> int:
    """Bytes of the storages that autograd keeps for backward, each counted once."""
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(x: Tensor) -> Tensor:
        kept[x.untyped_storage()._cdata] = x.untyped_storage()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        output = attention(*inputs(n), **keywords)
    del output
    return sum(storage.nbytes() for storage in kept.values())


def operations(attention: Attention, n: int, **keywords: Any) -> int:
    """Of forward and backward."""
    x = inputs(n)
    with FlopCounterMode(display=False) as counter:
        torch.autograd.grad(attention(*x, **keywords).sum(), x)
    return int(counter.get_total_flops())


def peak(attention: Attention, n: int, **keywords: Any) -> int:
    x = inputs(n)
    with counting() as live:
        torch.autograd.grad(attention(*x, **keywords).sum(), x)
    return live.peak


@pytest.mark.parametrize("n", SIZES)
def test_plain_attention_keeps_its_weights_and_what_it_hid(n: int) -> None:
    """Weights before and after hidden ones are set to 0, and where that is, twice: 10 n² bytes beside the arguments, and one a row that sees nothing."""
    assert saved(reference.attention, n) == 3 * n * D * FLOAT + n * n * (2 * FLOAT + 2) + n


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("segments", [1, 4])
def test_checkpointed_attention_keeps_its_arguments_alone(n: int, segments: int) -> None:
    """Linear in n, and not √n: what a checkpointed layer holds are its inputs, however many segments it has."""
    assert saved(recomputing.attention, n, segments=segments) == 3 * n * D * FLOAT
    assert saved(by_torch.attention, n, segments=segments) <= 3 * n * D * FLOAT


@pytest.mark.parametrize("n", SIZES)
def test_forward_is_computed_exactly_twice(n: int) -> None:
    """Two products forward and four backward: 8 / 6 with the two again. The text's 1.5 is no count of these: 4/3, or 7/6 where the last product is left out."""
    product = 2 * n * n * D
    assert operations(reference.attention, n) == 6 * product
    assert operations(recomputing.attention, n) == 8 * product
    assert operations(by_torch.attention, n) == 7 * product, "torch stops at the last tensor that backward reads, the weights"
    assert operations(offloaded.attention, n) == 6 * product, "what is fetched back is not computed again"
    assert Fraction(operations(recomputing.attention, n), operations(reference.attention, n)) == Fraction(4, 3)


def test_a_segment_runs_forward_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for the output and once for its gradient, each of them."""
    seen: list[range] = []

    def watched(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, scale: float | None, rows: range) -> Tensor:
        seen.append(rows)
        return reference.attended(q, k, v, mask, causal, scale, rows)

    monkeypatch.setattr(recomputing, "attended", watched)
    x = query, key, value = inputs(10)
    output = recomputing.attention(query, key, value, segments=4)
    assert seen == [range(0, 3), range(3, 6), range(6, 9), range(9, 10)]
    torch.autograd.grad(output.sum(), x)
    assert sorted(seen, key=lambda rows: rows.start) == sorted(2 * reference.rows_of(x[0], 4), key=lambda rows: rows.start)


def quadratic(attention: Attention, segments: int) -> Fraction:
    """The bytes a pair of query and key at the peak: second differences of exact counts, the same at two places."""
    a, b, c, d = (peak(attention, n, segments=segments) for n in (64, 128, 192, 256))
    found, again = (Fraction(x - 2 * y + z, 2 * 64 * 64) for x, y, z in ((c, b, a), (d, c, b)))
    assert found == again
    return found


def test_the_peak_is_that_of_a_segment() -> None:
    """In one segment nothing is won: backward holds again all that plain attention held. In 8 there is an eighth of it, where plain attention keeps 10 n²."""
    whole = quadratic(recomputing.attention, 1)
    assert whole == quadratic(reference.attention, 1) == 15
    for segments in (2, 8):
        assert quadratic(recomputing.attention, segments) <= whole / segments
        assert peak(reference.attention, 128, segments=segments) > 10 * 128 * 128


@pytest.mark.parametrize("n", SIZES)
def test_offloaded_activations_are_those_of_plain_attention_and_none_is_held(n: int) -> None:
    """Every tensor that would be saved goes to a file, nothing stays; backward reads each once."""
    put, taken = [], []

    class Counted(offloaded.Shelf):
        def put(self, x: Tensor) -> Any:
            put.append(x.nbytes)
            return super().put(x)

        def take(self, ticket: Any) -> Tensor:
            taken.append(ticket)
            return super().take(ticket)

    shelf, x = Counted(), inputs(n)
    query, key, value = x
    output = offloaded.attention(query, key, value, place=lambda: torch.autograd.graph.saved_tensors_hooks(shelf.put, shelf.take))
    assert sum(put) > saved(reference.attention, n) - 3 * n * D * FLOAT, "weights and what was hidden, as plain attention keeps them"
    assert put.count(n * n * FLOAT) == 2
    torch.autograd.grad(output.sum(), x)
    assert len(taken) == len(put) == shelf.count


def bytes_of_adam(weights: list[Tensor], gradients: list[Tensor]) -> int:
    """What the optimiser holds after one step on these."""
    optimiser = torch.optim.Adam(weights)
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient.to(weight.dtype)
    optimiser.step()
    return sum(x.nbytes for state in optimiser.state.values() for name, x in state.items() if name != "step")


def activations(n: int, dtype: torch.dtype) -> int:
    """Bytes kept by softmax(Q Kᵀ) V in a dtype, without masks."""
    q, k, v = (x.detach().to(dtype).requires_grad_() for x in inputs(n))
    kept: dict[int, int] = {}
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.update({x.untyped_storage()._cdata: x.untyped_storage().nbytes()}) or x, lambda x: x):
        output = (q @ k.mT).softmax(-1) @ v
    assert output.dtype == dtype
    return sum(kept.values())


@pytest.mark.parametrize("n", SIZES)
def test_half_precision_halves_activations_and_saves_nothing_on_weights(n: int) -> None:
    """Weights, gradients and Adam's two averages take 4 + 4 + 8 bytes a number in float32; 2 + 2 + 8 and a float32 master copy of 4 in mixed precision."""
    weight = torch.ones(D, D)
    full = weight.nbytes + weight.nbytes + bytes_of_adam([weight], [torch.ones(D, D)])
    half, master = weight.half(), weight.clone()
    mixed = half.nbytes + master.nbytes + torch.ones_like(half).nbytes + bytes_of_adam([master], [torch.ones_like(half)])
    assert (full, mixed) == (16 * D * D, 16 * D * D)
    assert activations(n, torch.float32) == 2 * activations(n, torch.float16) == (3 * n * D + n * n) * FLOAT
    saved_share = Fraction(activations(n, torch.float32) - activations(n, torch.float16), full + activations(n, torch.float32))
    assert saved_share < Fraction(1, 2), "50% is a limit that no count reaches while there are weights"


def test_gradients_are_of_half_precision_before_they_are_unscaled() -> None:
    """The text says that gradients are float32: those that backward returns for half-precision weights are not; the master copy's are."""
    x, y = torch.ones(2, 3).half(), torch.ones(2, 1).half()
    assert loss_scaling.gradient_of(torch.ones(3, 1), x, y, 8.0).dtype == torch.float16


def test_what_has_no_meaning_is_refused() -> None:
    query, key, value = inputs(4)
    with pytest.raises(ValueError, match="segments"):
        recomputing.attention(query, key, value, segments=0)
    one = torch.ones(1, 1, 1)
    for scale, interval in ((3.0, 1), (0.0, 1), (8.0, 0)):
        with pytest.raises(ValueError, match=r"scale|interval"):
            loss_scaling.training(one[0], one.half(), one.half(), 0.1, scale, interval)
    with pytest.raises(ValueError, match="kind"):
        distillation.divergence(one, one, kind="js")
    with pytest.raises(ValueError, match="teacher"):
        distillation.divergence(one, one[0])
