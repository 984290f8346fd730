"""What is wrong with a compiled kernel, as sentences; an empty list where nothing is. Pure functions of what `compiled.read` returns."""

from __future__ import annotations

from impl._triton.compiled import Compiled, Part
from impl._triton.occupancy import LIMITS

WIDEST = 16  # bytes that one thread's load can fetch at most on sm_80, sm_90 and gfx942; sm_100 has 32, which Triton 3.7 does not use for tiles


def complaints(compiled: Compiled) -> list[str]:
    """Everything below."""
    return [*local_memory(compiled), *scalar_products(compiled), *shared_memory(compiled), *narrow_loads(compiled)]


def local_memory(compiled: Compiled) -> list[str]:
    """Loads and stores of local memory inside a loop: registers that were spilled. Stack that no loop touches (sm_100 has some) is no complaint."""
    found = []
    for i, loop in enumerate(compiled.loops):
        loads, stores = (loop.counts.get(kind, 0) for kind in ("local load", "local store"))
        if loads or stores:
            found.append(f"loop {i} loads {loads} and stores {stores} times from and to local memory: {named(loop, 'LDL', 'STL', 'scratch_')}")
    return found


def scalar_products(compiled: Compiled) -> list[str]:
    """Matrix products that became loops of fused multiply-adds."""
    if compiled.scalar_products:
        return [f"{compiled.scalar_products} of {compiled.products} matrix products are left to fused multiply-adds"]
    if compiled.products and not any(x.counts.get("tensor core") for x in (*compiled.loops, compiled.outside)):
        return [f"{compiled.products} matrix products, and no tensor-core instruction"]
    return []


def shared_memory(compiled: Compiled) -> list[str]:
    """More shared memory than a block may have, or more registers or warps than fit at all."""
    most = LIMITS[compiled.target].block_shared
    if compiled.shared > most:
        return [f"{compiled.shared} bytes of shared memory a block; {compiled.target} has {most}"]
    return [] if compiled.occupancy.blocks else [f"not one block fits: too many {compiled.occupancy.limit}"]


def narrow_loads(compiled: Compiled) -> list[str]:
    """Loads of tiles that fetch less than 16 bytes a thread at once.

    Vectors, single numbers and tiny tiles are loaded narrowly with good reason, so a part may fetch as many bytes narrowly as those need. Where the source's
    loop is not known, any narrow load is a complaint, because nothing excuses it. Outside the loops, their first and last passes may stand.
    """
    found = []
    excused = [allowance(loop) for loop in compiled.loops]
    for i, loop in enumerate(compiled.loops):
        found += too_narrow(f"loop {i}", loop, excused[i])
    return found + too_narrow("the code outside loops", compiled.outside, sum(excused) + allowance(compiled.outside))


def too_narrow(where: str, part: Part, excused: int) -> list[str]:
    """The complaint about one part, if there is one."""
    narrow = sum(width * times for width, times in part.widths.items() if width < WIDEST)
    if narrow <= excused:
        return []
    return [f"{where} fetches {narrow} bytes a thread in pieces of less than {WIDEST}, where {excused} are excused: {named(part, 'L', 'global_', 'buffer_')}"]


def allowance(part: Part) -> int:
    """Bytes a thread that may be fetched narrowly; 0 where it is not known."""
    return 0 if part.need is None or part.need.narrow is None else part.need.narrow * (part.unroll or 1)


def named(part: Part, *starts: str) -> str:
    """The mnemonics that begin so, with their numbers: "2 × LDL.64"."""
    return ", ".join(f"{times} × {name}" for name, times in part.moves.items() if name.startswith(starts))
