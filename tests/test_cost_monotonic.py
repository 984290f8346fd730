"""What monotonic attention costs, counted: products in sequence, bytes held, energies read. And what its published forms lose in floating point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from impl.as_stated import chunkwise_by_unstable_sums, monotonic_closed_form, soft_monotonic
from impl.chunkwise_monotonic import moving
from impl.chunkwise_monotonic import reference as chunkwise
from impl.hard_monotonic import reference as hard
from impl.hard_monotonic import walk
from impl.monotonic import reference, scan
from tests.benchmarks.live_bytes import LiveBytes, counting

FLOAT, ROWS, WIDTH = 4, 3, 2
LENGTHS = (1, 2, 3, 4, 5, 8, 9, 16, 17, 40)
Align = Callable[[Tensor], Tensor]


class Operations(TorchDispatchMode):
    """Counts operations by name, and the numbers that indexing reads."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: Counter[str] = Counter()
        self.read = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        name = func.overloadpacket.__name__
        self.calls[name] += 1
        if name == "index":
            self.read += result.numel()
        return result


def products(align: Align, m: int) -> int:
    """Products in sequence, in one row of m positions: all of them, but for those that a row begins with and ends with."""
    with Operations() as two:
        align(torch.zeros(2, m))
    with Operations() as one:
        align(torch.zeros(1, m))
    return int(two.calls["mul"] - one.calls["mul"])


@pytest.mark.parametrize("m", LENGTHS)
def test_the_scan_takes_log2_steps_a_row_and_the_recurrence_one_a_position(m: int) -> None:
    """Each further row adds ⌈log₂ M⌉ products and the one with p; by the recurrence two a position."""
    assert products(scan.alignment, m) == (m - 1).bit_length() + 1
    assert products(reference.alignment, m) == 2 * m


@pytest.mark.parametrize("m", LENGTHS)
def test_the_scan_holds_one_span_a_level(m: int) -> None:
    """N · M numbers for each of ⌈log₂ M⌉ levels."""
    levels = scan.spans(torch.rand(ROWS, m))
    assert [x.numel() for x in levels] == [ROWS * m] * (m - 1).bit_length()


def held(attention: Callable[..., Tensor], m: int, *further: Any, energies: int = 1) -> LiveBytes:
    """Bytes of a forward and a backward pass."""
    random = torch.Generator().manual_seed(m)
    tensors = [torch.randn(ROWS, m, generator=random, requires_grad=True) for _ in range(energies)]
    tensors.append(torch.randn(m, WIDTH, generator=random, requires_grad=True))
    with counting() as live:
        torch.autograd.grad(attention(*tensors, *further), tensors, torch.ones(ROWS, WIDTH))
    return live


def test_the_scan_s_memory_grows_like_n_m_log_m() -> None:
    """At powers of 2 the peak is M · (a + b log₂ M) bytes and a constant: three sizes give it, two held out confirm it."""
    sizes = (64, 256, 1024)
    by_hand = torch.tensor([[m, m * (m.bit_length() - 1), 1] for m in sizes], dtype=torch.float64)
    fit = torch.linalg.solve(by_hand, torch.tensor([held(scan.attention, m).peak for m in sizes], dtype=torch.float64))
    for m in (128, 512):
        assert held(scan.attention, m).peak == pytest.approx(float(fit @ torch.tensor([m, m * (m.bit_length() - 1), 1], dtype=torch.float64)), rel=1e-9)
    assert held(scan.attention, 512).largest == ROWS * 512 * FLOAT


def test_chunks_by_moving_sums_hold_no_tensor_of_pairs() -> None:
    for m in (16, 32, 64):
        assert held(moving.attention, m, 4, energies=2).largest == ROWS * m * FLOAT
        assert held(chunkwise.attention, m, 4, energies=2).largest == ROWS * m * m * FLOAT


def test_a_walk_reads_at_most_n_plus_m_minus_1_energies_of_each_sequence() -> None:
    for n, m in ((1, 1), (3, 8), (8, 3), (20, 30)):
        energy = torch.randn(5, n, m, generator=torch.Generator().manual_seed(n))
        with Operations() as counted:
            found = walk.stops(energy)
        assert counted.read == 5 * (n + m - 1) <= energy.numel()
        assert torch.equal(found, hard.stops(energy))


def test_the_closed_form_breaks_in_float32_where_the_scan_does_not() -> None:
    """p = 1/2, then 1 − p = 2^−20 at 40 positions: from the eighth on the product of 1 − p is 0, and mass that begins there is divided by it. The truth is the
    recurrence in float64. A weight is made of two rows of at most 40 factors, with no more than 8 roundings each (the sigmoid, product and sum)."""
    m = LENGTHS[-1]
    energy, eye = torch.stack((torch.zeros(m), torch.full((m,), 1 - 2.0**-20).logit())), torch.eye(m)
    true = reference.attention(energy.double(), eye.double())
    assert not monotonic_closed_form.attention(energy, eye).isfinite().all()
    assert torch.allclose(scan.attention(energy, eye).double(), true, rtol=2 * LENGTHS[-1] * 8 * 2**-24, atol=0)


def test_the_closed_form_breaks_behind_a_sure_stop() -> None:
    """p is exactly 1 at the second of three positions, and the step before may have stopped at the third."""
    energy = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1000.0, 0.0]])
    assert torch.equal(scan.alignment(energy)[1], torch.tensor([0.25, 0.5, 0.0625]))
    assert monotonic_closed_form.attention(energy, torch.eye(3))[1].isnan().any()


def test_without_memory_a_step_goes_back() -> None:
    """Row 1 stops at the third position for sure, row 2 at the first: as the course states it the second row does so, behind the third it cannot."""
    energy = torch.tensor([[-1000.0, -1000.0, 1000.0], [1000.0, -1000.0, -1000.0]])
    assert torch.equal(soft_monotonic.attention(energy, torch.eye(3)), torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
    assert torch.equal(reference.alignment(energy), torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))


@pytest.mark.parametrize("offset", [100.0, -110.0])
def test_chunks_by_sums_of_exponentials_break_where_a_maximum_does_not(offset: float) -> None:
    """Equal chunk energies: every chunk of two is shared half and half, whatever the energies are."""
    energy, chunk = torch.tensor([[-1000.0, 1000.0, 0.0]]), torch.full((1, 3), offset)
    assert torch.equal(moving.attention(energy, chunk, torch.eye(3), 2), torch.tensor([[0.5, 0.5, 0.0]]))
    assert not chunkwise_by_unstable_sums.attention(energy, chunk, torch.eye(3), 2).isfinite().all()
