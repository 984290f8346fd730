"""What a compiled Triton kernel is made of, read from its machine code without a GPU: registers, memory, occupancy, and what its loops do.

The rule for counting: the instructions of a loop's body as they stand, conditional blocks counted as executed, loops inside it counted apart, divided by
the number of tiles that one pass works off.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Protocol

from impl._triton import gcn, sass, ttgir
from impl._triton.control_flow import Instruction, cycles
from impl._triton.occupancy import Occupancy, occupancy
from impl._triton.ttgir import Need

WAITING = frozenset({"barrier", "branch", "move", "other", "tensor memory"})
MEMORY = frozenset({"global load", "global store", "async copy", "local load", "local store"})


class Kernel(Protocol):
    """Triton's CompiledKernel, or whatever has its dictionary of listings and its metadata."""

    asm: Mapping[str, Any]
    metadata: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A loop, or the code outside all loops. `parent`: the index of the loop just around it.

    `instructions`: how many, and `counts`: how many by class. `moves`: how many by mnemonic, of those that touch global or local memory; `widths`: bytes
    a thread of the global loads and asynchronous copies, each with how often it occurs. `need`: what one pass of the loop in the source needs, None where
    the loops of source and machine code cannot be told apart; `unroll`: how many such passes one pass of this loop is worth, None where no count tells.
    """

    parent: int | None = None
    instructions: int
    counts: dict[str, int]
    moves: dict[str, int]
    widths: dict[int, int]
    need: Need | None = None
    unroll: int | None = None

    @property
    def a_tile(self) -> float | None:
        """Instructions a tile: of one pass of the loop in the source."""
        return None if self.unroll is None else self.instructions / self.unroll

    @property
    def waits(self) -> bool:
        """Does it do nothing but wait (for a barrier, for registers, for tensor memory)?"""
        return set(self.counts) <= WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """`registers` a thread; `shared` bytes a block; `stack` bytes a thread; `spills`: loads and stores of local memory, in and out of loops.

    `products`: matrix products in the source as Triton lays it out, prologues included; `scalar_products`: those left to fused multiply-adds.
    `loops` stand in order of address, those that only wait among them. `tensor_columns` of tensor memory a block (sm_100).
    """

    name: str
    target: str
    warps: int
    registers: int
    shared: int
    stack: int
    spills: int
    occupancy: Occupancy
    loops: tuple[Part, ...]
    outside: Part
    products: int
    scalar_products: int
    tensor_columns: int = 0


def read(kernel: Kernel) -> Compiled:
    """Read a kernel that was compiled for sm_80, sm_90, sm_100 or gfx942. Raises KeyError for another target, ValueError where a listing is not understood."""
    metadata = kernel.metadata
    target = f"sm_{metadata.target.arch}" if metadata.target.backend == "cuda" else str(metadata.target.arch)
    machine: ModuleType = sass if metadata.target.backend == "cuda" else gcn
    if machine is sass:
        code = sass.instructions(output("nvdisasm", "-c", kernel.asm["cubin"]), metadata.name)
        registers, stack = usage(output("cuobjdump", "-res-usage", kernel.asm["cubin"]), metadata.name)
    else:
        code = gcn.instructions(kernel.asm["amdgcn"], metadata.name)
        registers, stack = gcn.usage(kernel.asm["amdgcn"])
    found = cycles(code)
    first, sources = ttgir.needs(kernel.asm["ttgir"])
    loops = measured([part(code, cycle.own, machine, parent=cycle.parent) for cycle in found], sources)
    outside = part(code, set(range(len(code))).difference(*(cycle.body for cycle in found)), machine, need=first)
    columns = getattr(metadata, "tmem_size", 0) or 0
    return Compiled(
        name=metadata.name,
        target=target,
        warps=metadata.num_warps,
        registers=registers,
        shared=metadata.shared,
        stack=stack,
        spills=sum(map(spills, (*loops, outside))),
        tensor_columns=columns,
        occupancy=occupancy(target, warps=metadata.num_warps, registers=registers, shared=metadata.shared, tensor_columns=columns),
        loops=loops,
        outside=outside,
        products=sum(x.products for x in (first, *sources)),
        scalar_products=sum(x.scalar_products for x in (first, *sources)),
    )


def output(tool: str, option: str, cubin: bytes) -> str:
    """What one of the tools that come with triton prints about a cubin."""
    from triton import knobs  # here, so that what is read can be judged where triton is missing

    path = getattr(knobs.nvidia, tool).path
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        return subprocess.run([path, option, file.name], capture_output=True, text=True, check=True).stdout


def usage(listing: str, name: str) -> tuple[int, int]:
    """Registers and stack bytes a thread, of one function in the output of `cuobjdump -res-usage`. Raises ValueError if it is not there."""
    found = re.search(rf"Function {re.escape(name)}:\s+REG:(\d+) STACK:(\d+)", listing)
    if found is None:
        raise ValueError(f"no resource usage of {name!r} in the listing")
    return int(found[1]), int(found[2])


def part(code: Sequence[Instruction], where: Collection[int], machine: ModuleType, *, parent: int | None = None, need: Need | None = None) -> Part:
    """The counts of some of the instructions."""
    mine = [code[i] for i in sorted(where)]
    kinds = [machine.class_of(x) for x in mine]
    memory = [x.name for x, kind in zip(mine, kinds, strict=True) if kind in MEMORY]
    widths = Counter(machine.width(x) for x, kind in zip(mine, kinds, strict=True) if kind in ("global load", "async copy"))
    return Part(
        parent=parent,
        instructions=len(mine),
        counts=dict(Counter(kinds).most_common()),
        moves=dict(Counter(memory).most_common()),
        widths={width: widths[width] for width in sorted(x for x in widths if x is not None)},
        need=need,
    )


def spills(x: Part) -> int:
    """Loads and stores of local memory."""
    return x.counts.get("local load", 0) + x.counts.get("local store", 0)


def measured(loops: Sequence[Part], sources: Sequence[Need]) -> tuple[Part, ...]:
    """The loops with their needs: those with tensor-core instructions are measured by these, the others by the bytes that a thread loads."""
    work = {i: n for i, x in enumerate(loops) if (n := x.counts.get("tensor core", 0))}
    load = {i: n for i, x in enumerate(loops) if i not in work and (n := sum(width * n for width, n in x.widths.items()))}
    pairs = matched(innermost(load, loops), [(x, x.loaded if x.tensor_instructions == 0 else 0) for x in sources])
    pairs |= matched(innermost(work, loops), [(x, x.tensor_instructions) for x in sources])
    nothing: tuple[None, None] = (None, None)
    return tuple(replace(x, need=need, unroll=unroll) for i, x in enumerate(loops) for need, unroll in [pairs.get(i, nothing)])


def innermost(amounts: dict[int, int], loops: Sequence[Part]) -> dict[int, int]:
    """Without the loops around another: what they hold besides it is its prologue (or a dispatcher of specialised warps), and no tile of their own."""
    around = set()
    for i in amounts:
        parent = loops[i].parent
        while parent is not None:
            around.add(parent)
            parent = loops[parent].parent
    return {i: amount for i, amount in amounts.items() if i not in around}


def matched(have: dict[int, int], sources: Sequence[tuple[Need, int | None]]) -> dict[int, tuple[Need | None, int | None]]:
    """For each loop of the machine code that has an amount: the need of its loop in the source, and how many passes of that it is worth.

    Equally many loops on both sides stand in the same order. Otherwise (unrolling leaves a second loop for the rest) the source's amounts must be alike.
    Empty where neither holds or an amount is unknown; the number of passes is None where it does not come out whole.
    """
    wanted = [(need, amount) for need, amount in sources if amount != 0]
    in_order = len(have) == len(wanted)
    alike = len({amount for _, amount in wanted}) == 1
    found: dict[int, tuple[Need | None, int | None]] = {}
    for at, (i, amount) in enumerate(have.items()):
        need, each = wanted[at] if in_order else wanted[0] if alike else (None, None)
        if each is None:
            return {}
        sure = in_order or all(other == need for other, _ in wanted)
        found[i] = (need if sure else None, amount // each if amount % each == 0 else None)
    return found
