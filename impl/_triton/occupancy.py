"""How many blocks a multiprocessor (NVIDIA) or compute unit (AMD) holds at once, and what it takes to hold more. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one multiprocessor or compute unit has. Registers are counted a lane of a warp; bytes for shared memory.

    `quarters`: register files, each serving its own warps. `registers`: registers that a lane of one file holds for all its warps together;
    `granule`: they are given to a warp in multiples of it; `thread_registers`: the most that one thread can name.
    `shared`: bytes in all; `block_shared`: the most one block may ask for; `reserved`: what the system takes of each block; `shared_granule`: rounding.
    `tensor_columns`: columns of tensor memory, 0 where there is none. `source`: where the figures are published.
    """

    warps: int
    blocks: int
    quarters: int
    registers: int
    granule: int
    thread_registers: int
    shared: int
    block_shared: int
    reserved: int
    shared_granule: int
    tensor_columns: int
    source: str


# NVIDIA: 65,536 registers = 4 files × 512 a lane × 32 lanes, given in units of 256 = 8 a lane. Units and rounding: the occupancy calculator of
# https://docs.nvidia.com/nsight-compute/NsightCompute/index.html#occupancy-calculator, and the table of technical specifications in
# https://docs.nvidia.com/cuda/cuda-c-programming-guide/#compute-capabilities. Tensor memory: https://docs.nvidia.com/cuda/parallel-thread-execution/#tensor-memory.
# AMD: waves, registers and their granule as in LLVM's GCNSubtarget, https://llvm.org/docs/CommandGuide/llvm-calc-occupancy.html.
LIMITS = {
    "sm_80": Limits(
        warps=64,
        blocks=32,
        quarters=4,
        registers=512,
        granule=8,
        thread_registers=255,
        shared=164 * 1024,
        block_shared=163 * 1024,
        reserved=1024,
        shared_granule=128,
        tensor_columns=0,
        source="https://docs.nvidia.com/cuda/ampere-tuning-guide/#occupancy",
    ),
    "sm_90": Limits(
        warps=64,
        blocks=32,
        quarters=4,
        registers=512,
        granule=8,
        thread_registers=255,
        shared=228 * 1024,
        block_shared=227 * 1024,
        reserved=1024,
        shared_granule=128,
        tensor_columns=0,
        source="https://docs.nvidia.com/cuda/hopper-tuning-guide/#occupancy",
    ),
    "sm_100": Limits(
        warps=64,
        blocks=32,
        quarters=4,
        registers=512,
        granule=8,
        thread_registers=255,
        shared=228 * 1024,
        block_shared=227 * 1024,
        reserved=1024,
        shared_granule=128,
        tensor_columns=512,
        source="https://docs.nvidia.com/cuda/blackwell-tuning-guide/#occupancy",
    ),
    "gfx942": Limits(
        warps=32,
        blocks=32,
        quarters=4,
        registers=512,
        granule=8,
        thread_registers=512,
        shared=64 * 1024,
        block_shared=64 * 1024,
        reserved=0,
        shared_granule=512,
        tensor_columns=0,
        source="https://rocm.docs.amd.com/en/latest/reference/gpu-arch-specs.html",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """`blocks` and `warps` at once; `limit` names what forbids one more: "registers", "shared memory", "tensor memory", "warps" or "blocks"."""

    blocks: int
    warps: int
    limit: str


def occupancy(target: str, *, warps: int, registers: int, shared: int, tensor_columns: int = 0) -> Occupancy:
    """For blocks of `warps` warps with `registers` a thread, `shared` bytes and `tensor_columns` columns a block. Raises KeyError for an unknown target."""
    have = LIMITS[target]
    each = rounded(max(registers, 1), have.granule)
    bytes_each = rounded(shared + have.reserved, have.shared_granule)
    room = {"registers": have.registers // each * have.quarters // warps, "warps": have.warps // warps, "blocks": have.blocks}
    if bytes_each:
        room["shared memory"] = have.shared // bytes_each
    if tensor_columns:
        room["tensor memory"] = have.tensor_columns // tensor_columns
    limit = min(room, key=lambda name: room[name])
    return Occupancy(blocks=room[limit], warps=room[limit] * warps, limit=limit)


def rounded(amount: int, granule: int) -> int:
    """The amount, rounded up to a multiple of the granule."""
    return ceil(amount / granule) * granule
