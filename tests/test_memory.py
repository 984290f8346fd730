"""What the watch over an interpreted kernel's memory catches, each time beside the right kernel that it lets pass. Toy kernels, each with one knob."""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

if torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("a process that uses the GPU cannot interpret kernels: run this file by itself with TRITON_INTERPRET=1", allow_module_level=True)
pytest.importorskip("triton", reason="needs triton (pip install attention-ledger[kernels]; Linux only)")
import triton
import triton.language as tl
from triton.runtime import interpreter, jit
from triton.tools.tensor_descriptor import TensorDescriptor

from impl._triton import memory

ROOT = Path(__file__).parents[1]
N, BLOCK = 13, 8  # two programs, the second one partly masked


@triton.jit
def double(x, out, n, loads, stores, shift, BLOCK: tl.constexpr):
    """out[i] = 2 x[i + shift] for i < stores; what is loaded from n on (up to `loads`) is hidden by a where."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at + shift, mask=at < loads, other=0)
    tl.store(out + at, tl.where(at < n, value + value, 0), mask=at < stores)


@triton.jit
def row_sums(x, out, rows, columns, stride, column_stride, BLOCK: tl.constexpr):
    """out[i] = sum of row i, one row a program."""
    row = tl.program_id(0)
    at = tl.arange(0, BLOCK)
    tl.store(out + row, tl.sum(tl.load(x + row * stride + at * column_stride, mask=at < columns, other=0.0), 0))


@triton.jit
def add(x, y, out, n, SECOND_MASKED: tl.constexpr, BLOCK: tl.constexpr):
    """out = x + y; one of the two loads may lack its mask."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    left = tl.load(x + at, mask=at < n)
    if SECOND_MASKED:
        right = tl.load(y + at, mask=at < n)
    else:
        right = tl.load(y + at)
    tl.store(out + at, left + right, mask=at < n)


@triton.jit
def accumulate(x, out, n, size, BLOCK: tl.constexpr):
    """Every program adds its block of x into out[0 : size] by atomics."""
    at = tl.arange(0, BLOCK)
    block = tl.load(x + tl.program_id(0) * BLOCK + at, mask=tl.program_id(0) * BLOCK + at < n, other=0.0)
    tl.atomic_add(out + at, block, mask=at < size)


@triton.jit
def swap(lock, at, CAS: tl.constexpr):
    """Sets lock[at], and reads it."""
    if CAS:
        tl.atomic_cas(lock + at, 0, 1)
    else:
        tl.atomic_xchg(lock + at, 1)
    tl.load(lock + at)


@triton.jit
def blocks(x, out, rows, columns, stride, CHECKED: tl.constexpr, R: tl.constexpr, C: tl.constexpr):
    """A copy through block pointers."""
    source = tl.make_block_ptr(x, (rows, columns), (stride, 1), (tl.program_id(0) * R, 0), (R, C), (1, 0))
    target = tl.make_block_ptr(out, (rows, columns), (columns, 1), (tl.program_id(0) * R, 0), (R, C), (1, 0))
    if CHECKED:
        tl.store(target, tl.load(source, boundary_check=(0, 1)), boundary_check=(0, 1))
    else:
        tl.store(target, tl.load(source), boundary_check=(0, 1))


@triton.jit
def described(source, target, R: tl.constexpr, C: tl.constexpr):
    """A copy through tensor descriptors that the host made."""
    target.store([tl.program_id(0) * R, 0], source.load([tl.program_id(0) * R, 0]))


@triton.jit
def describes(x, out, rows, columns, told, R: tl.constexpr, C: tl.constexpr):
    """A copy through descriptors made in the kernel; the source is told to have `told` rows."""
    source = tl.make_tensor_descriptor(x, [told, columns], [columns, 1], [R, C])
    target = tl.make_tensor_descriptor(out, [rows, columns], [columns, 1], [R, C])
    target.store([tl.program_id(0) * R, 0], source.load([tl.program_id(0) * R, 0]))


@triton.jit
def overlap(out, step, BLOCK: tl.constexpr):
    """Program p stores p into out[p step : p step + BLOCK]."""
    tl.store(out + tl.program_id(0) * step + tl.arange(0, BLOCK), tl.program_id(0).to(tl.float32))


@triton.jit
def neighbour(x, reads, BLOCK: tl.constexpr):
    """Program p stores block p of x, having read block p + reads (−1: what another stored before; +1: what another will store)."""
    at = tl.arange(0, BLOCK)
    block = tl.program_id(0) + reads
    inside = (block >= 0) & (block < tl.num_programs(0))
    value = tl.load(x + block * BLOCK + at, mask=inside & (at >= 0), other=0.0)
    tl.store(x + tl.program_id(0) * BLOCK + at, value + 1)


@triton.jit
def mixed(x, FIRST: tl.constexpr, SECOND: tl.constexpr):
    """Program 0 does what FIRST names to the one element, program 1 what SECOND names, in the order load, store, atomic, reload."""
    for program, what in ((0, FIRST), (1, SECOND)):
        if tl.program_id(0) == program:
            if what == "load":
                tl.load(x)
            if what == "store":
                tl.store(x, 1.0)
            if what == "atomic" or what == "atomic and reload":
                tl.atomic_add(x, 1.0)
            if what == "atomic and reload":
                tl.load(x)


@triton.jit
def lanes(out, step, VALUE: tl.constexpr, BLOCK: tl.constexpr):
    """Lane i stores VALUE i into out[i step]."""
    tl.store(out + tl.arange(0, BLOCK) * step, tl.arange(0, BLOCK) * VALUE)


@triton.jit
def single_bytes(out, step):
    """Program p stores byte p step of out."""
    tl.store(out.to(tl.pointer_type(tl.int8)) + tl.program_id(0) * step, 1)


@triton.jit
def bump(x, out, n, TWICE: tl.constexpr, BLOCK: tl.constexpr):
    """out = x, and then out = out + 1 where TWICE; with x = out this reads before anything is written."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + at, tl.load(x + at, mask=at < n), mask=at < n)
    if TWICE:
        tl.store(out + at, tl.load(out + at, mask=at < n) + 1, mask=at < n)


@triton.jit
def pairs(x, out, n, shift, TYPE: tl.constexpr, BLOCK: tl.constexpr):
    """Copies bytes through pointers of another width."""
    at = tl.arange(0, BLOCK)
    tl.store(out.to(tl.pointer_type(TYPE)) + at, tl.load((x.to(tl.pointer_type(tl.int8)) + shift).to(tl.pointer_type(TYPE)) + at, mask=at < n), mask=at < n)


@triton.jit
def either(x, y, out, n, BLOCK: tl.constexpr):
    """out[i] = x[i] for even i and y[i] for odd i, by one load of chosen pointers."""
    at = tl.arange(0, BLOCK)
    tl.store(out + at, tl.load(tl.where(at % 2 == 0, x + at, y + at), mask=at < n), mask=at < n)


@triton.jit
def twos(tensors, n, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    tl.store(tensors[1] + at, 2 * tl.load(tensors[0] + at, mask=at < n), mask=at < n)


@triton.jit
def through(table, out):
    """Loads through an address that lies in memory."""
    tl.store(out, tl.load(tl.load(table).to(tl.pointer_type(tl.float32))))


def doubled(x: Tensor, *, loads: int | None = None, stores: int | None = None, shift: int = 0, out: Tensor | None = None) -> Tensor:
    """2 x by the kernel `double`, wrong where a knob is turned."""
    n = x.numel()
    out = torch.empty_like(x) if out is None else out
    double[(triton.cdiv(n, BLOCK),)](x, out, n, n if loads is None else loads, n if stores is None else stores, shift, BLOCK)
    return out


def summed(x: Tensor, stride: int, column_stride: int = 1) -> Tensor:
    out = x.new_empty(x.shape[0])
    row_sums[(x.shape[0],)](x, out, *x.shape, stride, column_stride, BLOCK)
    return out


def guarded(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Ones in the middle of a larger allocation, so that an access just outside reads memory that exists."""
    room = torch.ones(64 + int(torch.tensor(shape).prod()) + 64, dtype=dtype)
    return room[64:-64].view(shape)


DTYPES = [torch.float16, torch.float32, torch.float64, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_an_element_too_many_is_caught_in_every_dtype_and_the_right_kernel_passes(dtype: torch.dtype) -> None:
    x = torch.arange(N).to(dtype)
    plain = doubled(x)
    with memory.watched() as seen:
        assert torch.equal(doubled(x), plain)
    assert seen.launches == ["double"]
    assert seen.accesses == 2 * N
    with pytest.raises(memory.OutOfBounds), memory.watched():
        doubled(x, loads=N + 1)
    with pytest.raises(memory.OutOfBounds), memory.watched():
        doubled(x, stores=N + 1)


def test_booleans_are_watched() -> None:
    x = torch.arange(N) % 3 == 0
    with memory.watched():
        out = torch.empty_like(x)
        bump[(2,)](x, out, N, False, BLOCK)
    assert torch.equal(out, x)
    with pytest.raises(memory.OutOfBounds), memory.watched():
        bump[(2,)](x, torch.empty_like(x), N + 1, False, BLOCK)


def test_a_load_past_the_end_that_a_where_hides_is_caught_and_named() -> None:
    x = guarded(N)
    assert torch.equal(doubled(x, loads=N + 1), doubled(x)), "the values alone show nothing"
    with pytest.raises(memory.OutOfBounds) as caught, memory.watched():
        doubled(x, loads=N + 1)
    text = str(caught.value)
    for part in (
        "double, program (1, 0, 0): load, lane (5,)",
        "4 bytes (1 elements) past the end of x: float32 [13], strides [1]",
        "test_memory.py:",
        "tl.load",
    ):
        assert part in text, text


def test_a_store_past_the_end_is_caught_before_it_happens() -> None:
    room = torch.zeros(2 * N)
    out = room[:N]
    with pytest.raises(memory.OutOfBounds, match=r"store, lane \(5,\), goes 4 bytes \(1 elements\) past the end of out"), memory.watched():
        doubled(torch.ones(N), stores=N + 1, out=out)
    assert not room[N:].any()
    doubled(torch.ones(N), stores=N + 1, out=out)
    assert not room[N:].any(), "unwatched, the kernel stores a zero there, which no value shows"


def test_a_negative_offset_is_caught() -> None:
    with pytest.raises(memory.OutOfBounds, match=r"8 bytes \(2 elements\) before the start of x"), memory.watched():
        doubled(guarded(N), shift=-2)


def test_a_wrong_stride_on_a_padded_view_hits_the_gap() -> None:
    x = torch.ones(4, 8)[:, :5]
    with memory.watched():
        assert torch.equal(summed(x, stride=8), x.sum(1))
    with pytest.raises(memory.OutOfBounds, match=r"program \(1, 0, 0\).*between the elements of x: float32 \[4, 5\], strides \[8, 1\]"), memory.watched():
        summed(x, stride=5)


def test_views_of_every_kind_are_known_element_by_element() -> None:
    square = torch.randn(6, 8)
    for x in (square.T[:7], square[1::2, ::2][:, :3], torch.randn(5).expand(4, 5), square[2:, 3:]):
        with memory.watched():
            assert torch.allclose(summed(x, *x.stride()), x.sum(1), rtol=0, atol=8 * 2**-22 * 8)  # 8 terms below 8, summed in some order
    with pytest.raises(memory.OutOfBounds), memory.watched():
        summed(square[1::2, ::2], 16, 1)


def test_a_mask_missing_from_one_of_two_loads_is_caught() -> None:
    x, y = torch.ones(N), guarded(N)
    with memory.watched():
        add[(2,)](x, y, torch.empty(N), N, True, BLOCK)
    with pytest.raises(memory.OutOfBounds, match=r"past the end of y.*right = tl\.load\(y \+ at\)"), memory.watched():
        add[(2,)](x, y, torch.empty(N), N, False, BLOCK)


def test_one_argument_may_not_be_reached_through_anothers_pointer() -> None:
    packed = torch.ones(2, N)
    with pytest.raises(memory.OutOfBounds, match=r"past the end of x.*\(in the memory of y\)"), memory.watched():
        add[(2,)](packed[0], packed[1], torch.empty(N), N + 1, True, BLOCK)


def test_lanes_of_one_load_may_come_from_two_tensors() -> None:
    x, y = torch.arange(8.0), -torch.arange(8.0)
    with memory.watched():
        out = torch.empty(8)
        either[(1,)](x, y, out, 8, 8)
    assert out.tolist() == [0, -1, 2, -3, 4, -5, 6, -7]
    with pytest.raises(memory.OutOfBounds, match=r"lane \(7,\).*past the end of y"), memory.watched():
        either[(1,)](x, y[:7], torch.empty(8), 8, 8)


def test_tensors_in_a_tuple_are_watched() -> None:
    with memory.watched():
        out = torch.empty(5)
        twos[(1,)]((torch.ones(5), out), 5, 8)
    assert out.tolist() == [2] * 5
    with pytest.raises(memory.OutOfBounds, match=r"past the end of tensors\[0\]"), memory.watched():
        twos[(1,)]((torch.ones(4), torch.empty(5)), 5, 8)


def test_an_address_read_from_memory_belongs_to_no_argument() -> None:
    x = torch.ones(1)
    table = torch.tensor([x.data_ptr()])
    through[(1,)](table, torch.empty(1))
    with pytest.raises(memory.OutOfBounds, match="computed from no tensor argument"), memory.watched():
        through[(1,)](table, torch.empty(1))


def test_an_atomic_out_of_range_is_caught() -> None:
    x, out = torch.ones(16), torch.zeros(5)
    with memory.watched():
        accumulate[(2,)](x, out, 16, 5, BLOCK)
    assert out.tolist() == [2] * 5
    with pytest.raises(memory.OutOfBounds, match="atomic"), memory.watched():
        accumulate[(2,)](x, out, 16, 6, BLOCK)


@pytest.mark.parametrize("cas", [True, False])
def test_an_exchange_out_of_range_is_caught(cas: bool) -> None:
    lock = torch.zeros(2, dtype=torch.int32)
    with memory.watched():
        swap[(1,)](lock, 1, cas)
    assert lock.tolist() == [0, 1]
    with pytest.raises(memory.OutOfBounds, match="atomic"), memory.watched():
        swap[(1,)](lock, 2, cas)


def test_a_block_pointer_without_boundary_check_is_caught() -> None:
    x = guarded(6, 7)
    with memory.watched():
        out = torch.empty(6, 7)
        blocks[(2,)](x, out, 6, 7, 7, True, 4, 8)
    assert torch.equal(out, x)
    with pytest.raises(memory.OutOfBounds, match="past the end of x"), memory.watched():
        blocks[(2,)](x, torch.empty(6, 7), 6, 7, 7, False, 4, 8)


def test_a_descriptor_guards_its_own_shape_but_must_not_exceed_the_tensor() -> None:
    x = torch.arange(24.0).view(6, 4)

    def copy(told: int) -> Tensor:
        out = torch.empty(6, 4)
        source = TensorDescriptor(x, [told, 4], [4, 1], [4, 4])
        described[(2,)](source, TensorDescriptor.from_tensor(out, [4, 4]), 4, 4)
        return out

    with memory.watched():
        assert torch.equal(copy(6), x)  # rows 6 and 7 of the second block are read as zero and not stored
    with pytest.raises(memory.OutOfBounds, match=r"load, lane \(2, 0\).*past the end of source"), memory.watched():
        copy(7)


def test_a_descriptor_made_in_the_kernel_must_not_exceed_the_tensor() -> None:
    x = torch.arange(24.0).view(6, 4)
    with memory.watched():
        out = torch.empty(6, 4)
        describes[(2,)](x, out, 6, 4, 6, 4, 4)
    assert torch.equal(out, x)
    with pytest.raises(memory.OutOfBounds, match="past the end of x"), memory.watched():
        describes[(2,)](x, torch.empty(6, 4), 6, 4, 7, 4, 4)
    with pytest.raises(interpreter.InterpreterError, match="16-byte aligned"), memory.watched():  # pointers look as well aligned as they are
        describes[(2,)](torch.ones(25)[1:], torch.empty(6, 4), 6, 4, 6, 4, 4)


def test_pointers_cast_to_other_widths_are_followed() -> None:
    x = torch.arange(8, dtype=torch.int32)
    for kind, count in ((tl.int8, 32), (tl.int16, 16), (tl.int64, 4)):
        with memory.watched() as seen:
            out = torch.empty_like(x)
            pairs[(1,)](x, out, count, 0, kind, 32)
        assert torch.equal(out, x)
        assert not seen.unwritten()
        with pytest.raises(memory.OutOfBounds, match="past the end"), memory.watched():
            pairs[(1,)](x, torch.empty_like(x), count + 1, 0, kind, 64)
    with pytest.raises(memory.OutOfBounds, match="of 8 bytes is not aligned"), memory.watched():
        pairs[(1,)](x, torch.empty_like(x), 2, 4, tl.int64, 2)
    with pytest.raises(memory.OutOfBounds, match="between the elements of x"), memory.watched():
        pairs[(1,)](x[::2], torch.empty_like(x), 2, 0, tl.int64, 2)


def test_an_output_left_partly_unwritten_is_caught_unless_declared() -> None:
    x = torch.ones(N)
    with (
        pytest.raises(memory.LeftUnwritten, match=r"double stores into out \[13\] but nobody writes 2 of its elements, the first of them at \(11,\)"),
        memory.watched(),
    ):
        doubled(x, stores=N - 2)
    with memory.watched(partial=("out",)) as seen:
        doubled(x, stores=N - 2)
    assert [(u.missing, u.poisoned, u.first) for u in seen.unwritten()] == [(2, 2, (11,))]
    mine = memory.poison(torch.empty(N))
    with pytest.raises(memory.LeftUnwritten), memory.watched():
        doubled(x, stores=N - 2, out=mine)
    with memory.watched(partial=(mine,)):
        doubled(x, stores=N - 2, out=mine)


def test_what_two_launches_or_the_host_write_together_is_written() -> None:
    with memory.watched() as seen:
        out = torch.empty(2, N)
        doubled(torch.ones(N), out=out[0])
        doubled(torch.ones(N), out=out[1])
        half = torch.empty(N)
        doubled(torch.ones(N), stores=4, out=half)
        half[4:] = 0
        kept = torch.zeros(N)
        doubled(torch.ones(N), stores=4, out=kept)  # an update in place of what the host initialised
    assert [(u.missing, u.poisoned) for u in seen.unwritten()] == [(9, 0), (9, 0)]


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool], ids=str
)
def test_reading_before_writing_is_caught(dtype: torch.dtype) -> None:
    with memory.watched():
        out = torch.empty(N, dtype=dtype)
        bump[(2,)](torch.ones(N, dtype=dtype), out, N, dtype not in (torch.bfloat16, torch.bool), BLOCK)
        bump[(2,)](out, torch.empty(N, dtype=dtype), N, False, BLOCK)
        host = torch.empty(N, dtype=dtype)
        host.fill_(1)
        bump[(2,)](host, torch.empty(N, dtype=dtype), N, False, BLOCK)
    with pytest.raises(memory.ReadBeforeWrite, match="x: "), memory.watched():
        bump[(2,)](torch.empty(N, dtype=dtype), torch.zeros(N, dtype=dtype), N, False, BLOCK)


def test_a_poisoned_element_counts_until_somebody_writes_it() -> None:
    with memory.watched():
        x = torch.empty(N)
        x[: N - 1] = 0
        x[N - 1 :].zero_()
        doubled(x)


def test_the_one_element_that_nobody_wrote_is_named() -> None:
    def almost() -> Tensor:
        x = torch.empty(N)
        x[: N - 1] = 0
        return doubled(x)

    with pytest.raises(memory.ReadBeforeWrite, match=r"program \(1, 0, 0\): load, lane \(4,\)"), memory.watched():
        almost()


def test_poisoning_again_makes_written_elements_unwritten() -> None:
    x = torch.zeros(N)
    with memory.watched():
        doubled(doubled(x, out=x))
    with pytest.raises(memory.ReadBeforeWrite), memory.watched():
        doubled(memory.poison(doubled(x, out=x)))


def test_small_integers_that_equal_the_poison_by_chance_are_data() -> None:
    every = torch.arange(-128, 128, dtype=torch.int16).to(torch.int8)
    with memory.watched():
        doubled(every)
        fresh = torch.empty_like(every)
        fresh.copy_(every)
        doubled(fresh)
        doubled(torch.full((N,), every[128 - 0x4B].item(), dtype=torch.int8))


def test_a_kernel_may_store_what_looks_like_poison() -> None:
    x = torch.full((N,), 0x3FFD3FFD, dtype=torch.int32)
    with memory.watched() as seen:
        out = doubled(x)
        assert torch.equal(out, memory.poison(torch.zeros_like(out)))
        doubled(out)
    assert not seen.unwritten()


def test_two_views_of_one_storage_may_differ_in_width() -> None:
    def read_half() -> None:
        room = torch.empty(64, dtype=torch.int8)
        numbers = room[32:].view(torch.int32)
        numbers.fill_(1)
        add[(1,)](room[:32], numbers, torch.empty(8, dtype=torch.int32), 8, True, BLOCK)

    with pytest.raises(memory.ReadBeforeWrite, match="x: int8"), memory.watched():
        read_half()


def test_an_atomic_on_poison_reads_it_but_an_exchange_does_not() -> None:
    with pytest.raises(memory.ReadBeforeWrite, match="atomic"), memory.watched():
        accumulate[(2,)](torch.ones(16), torch.empty(BLOCK), 16, BLOCK, BLOCK)
    with pytest.raises(memory.ReadBeforeWrite), memory.watched():
        swap[(1,)](torch.empty(1, dtype=torch.int32), 0, True)
    with memory.watched():
        lock = torch.empty(1, dtype=torch.int32)
        swap[(1,)](lock, 0, False)
    assert lock.item() == 1
    with pytest.raises(memory.LeftUnwritten, match="swap stores into lock"), memory.watched():
        swap[(1,)](torch.empty(2, dtype=torch.int32), 0, False)


def test_two_programs_that_store_to_one_address_conflict() -> None:
    with memory.watched():
        overlap[(3,)](torch.empty(24), 8, 8)
    with pytest.raises(memory.WriteConflict, match=r"program \(1, 0, 0\): store, lane \(0,\), overwrites what another program"), memory.watched():
        overlap[(3,)](torch.empty(22), 7, 8)
    with memory.watched(races=False):
        overlap[(3,)](torch.empty(22), 7, 8)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_programs_are_told_apart_along_every_axis_of_the_grid(axis: int) -> None:
    grid = [1, 1, 1]
    grid[axis] = 2
    with pytest.raises(memory.WriteConflict), memory.watched():
        overlap[tuple(grid)](torch.empty(8), 0, 8)


@pytest.mark.parametrize("reads", [-1, 1])
def test_a_program_that_loads_what_another_stores_conflicts(reads: int) -> None:
    with memory.watched():
        neighbour[(3,)](torch.zeros(24), 0, 8)
    with pytest.raises(memory.WriteConflict, match="reads" if reads == -1 else "overwrites what another program of the launch reads"), memory.watched():
        neighbour[(3,)](torch.zeros(24), reads, 8)


@pytest.mark.parametrize("first", ["load", "store", "atomic"])
@pytest.mark.parametrize("second", ["load", "store", "atomic"])
def test_atomics_share_an_address_with_each_other_only(first: str, second: str) -> None:
    x = torch.zeros(1)
    with memory.watched():  # one program may do what it likes
        mixed[(1,)](x, first, second)
    if first == second != "store":
        with memory.watched():
            mixed[(2,)](x, first, second)
    else:
        with pytest.raises(memory.WriteConflict), memory.watched():
            mixed[(2,)](x, first, second)


def test_a_program_with_an_atomic_of_its_own_may_not_reload_what_another_changes() -> None:
    with memory.watched():
        mixed[(1,)](torch.zeros(1), "atomic and reload", "")
    with pytest.raises(memory.WriteConflict, match="reads, without an atomic"), memory.watched():
        mixed[(2,)](torch.zeros(1), "atomic", "atomic and reload")


def test_programs_may_share_a_word_but_not_a_byte() -> None:
    with memory.watched():
        single_bytes[(4,)](torch.zeros(1, dtype=torch.int32), 1)
    with pytest.raises(memory.WriteConflict), memory.watched():
        single_bytes[(2,)](torch.zeros(1, dtype=torch.int32), 0)


def test_a_second_launch_may_overwrite_what_the_first_stored() -> None:
    with memory.watched():
        out = torch.empty(24)
        overlap[(3,)](out, 8, 8)
        overlap[(2,)](out, 12, 8)
        neighbour[(3,)](out, 0, 8)


def test_two_lanes_that_store_different_values_at_one_address_conflict() -> None:
    with memory.watched(partial=("out",)):
        lanes[(1,)](torch.empty(8, dtype=torch.int32), 1, 1, 8)
        lanes[(1,)](torch.empty(8, dtype=torch.int32), 0, 0, 8)  # the same value from every lane
    with pytest.raises(memory.WriteConflict, match="another value than a later lane"), memory.watched(partial=("out",), races=False):
        lanes[(1,)](torch.empty(8, dtype=torch.int32), 0, 1, 8)


def test_a_store_to_what_is_declared_read_only_is_caught() -> None:
    x = torch.ones(N)
    with memory.watched(readonly=(x, "x")):
        doubled(x)
    for declared in (x, x[3:4], "out"):
        with pytest.raises(memory.StoreToReadonly, match="stores into read-only"), memory.watched(readonly=(declared,)):
            doubled(x, out=x)
    assert torch.equal(x[3:], torch.ones(N)[3:])
    words = torch.zeros(2, dtype=torch.int32)
    with memory.watched(readonly=(words.view(torch.int8)[1:2],)):
        single_bytes[(3,)](words, 2)
    with pytest.raises(memory.StoreToReadonly), memory.watched(readonly=(words.view(torch.int8)[1:2],)):
        single_bytes[(2,)](words, 1)
    with pytest.raises(memory.StoreToReadonly, match="changes read-only"), memory.watched(readonly=("out",)):
        accumulate[(2,)](torch.ones(16), torch.zeros(BLOCK), 16, BLOCK, BLOCK)


def test_poison_is_nan_in_every_float_and_spares_the_gaps() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        assert memory.poison(torch.zeros(3, dtype=dtype, requires_grad=True)).isnan().all()
    x = torch.zeros(4, 8)
    memory.poison(x[:, :5])
    assert x[:, :5].isnan().all()
    assert not x[:, 5:].any()
    with pytest.raises(TypeError, match="complex128"):
        memory.poison(torch.zeros(2, dtype=torch.complex128))


def test_every_way_to_allocate_without_filling_poisons_inside_and_only_there() -> None:
    x = torch.zeros(3)
    ways: list[Callable[[], Tensor]] = [
        lambda: torch.empty(3),
        lambda: torch.empty_like(x),
        lambda: torch.empty_strided((3,), (2,)),
        lambda: torch.empty_permuted((3, 1), (1, 0)),
        lambda: x.new_empty(3),
        lambda: x.new_empty_strided((3,), (2,)),
    ]
    with memory.watched() as seen:
        assert all(way().isnan().all() for way in ways)
        assert torch.empty(3, dtype=torch.int8, device="meta").shape == (3,)
        assert not seen.fresh, "a meta tensor has no memory to keep"
        assert torch.empty(3, dtype=torch.complex128).shape == (3,)


def patched() -> list[object]:
    """Everything that a watch replaces while it is open."""
    builder, executor = interpreter.interpreter_builder, interpreter.GridExecutor
    operations = [getattr(builder, f"create_{name}") for name in ("masked_load", "masked_store", "atomic_rmw", "atomic_cas")]
    replaced = [executor.__call__, executor._init_args_hst, interpreter._implicit_cvt, jit.JITFunction.run]
    return [*operations, *replaced, *(getattr(owner, name) for owner, name in memory.ALLOCATE), sorted(vars(builder)), sorted(vars(Tensor))]


def test_everything_is_restored_after_faults_and_other_exceptions() -> None:
    before = patched()
    with memory.watched():
        assert all(old != new for old, new in zip(before[:-1], patched()[:-1], strict=True))
    assert patched() == before
    with pytest.raises(memory.OutOfBounds), memory.watched():
        doubled(torch.ones(N), loads=N + 1)
    assert patched() == before
    with pytest.raises(ZeroDivisionError), memory.watched():
        _ = 1 // 0
    assert patched() == before
    with memory.watched():
        doubled(torch.ones(N))
    assert patched() == before
    assert torch.equal(doubled(torch.ones(N)), torch.full((N,), 2.0))


def test_a_kernels_own_exception_comes_out_as_the_interpreter_raises_it() -> None:
    @triton.jit
    def fails(x):
        tl.static_assert(False, "no such tile")

    with memory.watched() as seen:
        with pytest.raises(interpreter.InterpreterError, match="no such tile"):
            fails[(1,)](torch.ones(1))
        assert seen.launch is None
        doubled(torch.ones(N))


def test_a_fault_that_somebody_swallows_is_raised_at_the_end() -> None:
    def forgiving(x: Tensor) -> Tensor:
        try:
            return doubled(x, loads=N + 1)
        except Exception:
            return 2 * x

    with pytest.raises(memory.OutOfBounds), memory.watched():
        assert forgiving(torch.ones(N)).sum() == 2 * N


class Doubling(torch.autograd.Function):
    """A stranger's operator: its kernels are launched by autograd, the second by the engine."""

    @staticmethod
    def forward(ctx, x: Tensor, slip: int) -> Tensor:
        ctx.slip = slip
        return doubled(x.contiguous())

    @staticmethod
    def backward(ctx, *cotangents: Tensor) -> tuple[Tensor, None]:
        g = cotangents[0].contiguous()
        return doubled(g, loads=g.numel() + ctx.slip), None


def test_a_strangers_backward_pass_is_watched() -> None:
    x = torch.randn(N, requires_grad=True)
    with memory.watched() as seen:
        Doubling.apply(x, 0).backward(torch.ones(N))
    assert seen.launches == ["double", "double"]
    with pytest.raises(memory.OutOfBounds, match="double"), memory.watched():
        Doubling.apply(x, 1).backward(torch.ones(N))


def test_a_custom_operator_is_watched() -> None:
    @torch.library.custom_op("ledger_memory_test::double", mutates_args=())
    def operator(x: Tensor, stores: int) -> Tensor:
        return doubled(x, stores=stores)

    with memory.watched() as seen:
        operator(torch.ones(N), N)
    assert seen.launches == ["double"]
    with pytest.raises(memory.LeftUnwritten), memory.watched():
        operator(torch.ones(N), N - 1)


def test_watches_do_not_nest() -> None:
    with memory.watched():
        with pytest.raises(RuntimeError, match="cannot be nested"), memory.watched():
            pass
        doubled(torch.ones(N))
    with memory.watched() as seen:
        doubled(torch.ones(N))
    assert seen.launches == ["double"]


def test_a_compiled_kernel_is_refused_inside() -> None:
    def plain(x):
        pass

    with pytest.raises(RuntimeError, match="plain is not interpreted"), memory.watched():
        jit.JITFunction(plain)[(1,)](torch.ones(1))


def test_without_the_interpreter_the_error_says_what_to_do() -> None:
    code = "from impl._triton import memory\nwith memory.watched(): pass"
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "set the environment variable TRITON_INTERPRET=1 before triton is first imported" in done.stderr
