"""What one pass of each loop of a kernel needs, read off Triton's GPU dialect: the yardstick that tells how often the machine code repeats it.

A product (tt.dot) of M × N × K becomes, in each warp, ⌈M / (m·w_m)⌉ · ⌈N / (n·w_n)⌉ · K / k tensor-core instructions of shape m × n × k, where the warps
stand w_m × w_n; the layout of the result names all of these. Likewise a blocked layout says how many elements of a tensor each thread loads. So the
counts are exact where the layouts are known, whatever ptxas or LLVM unroll later, and None where they are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod

ALIAS = re.compile(r"^#(\w+) = (#.*)$", re.MULTILINE)
PRODUCT = re.compile(
    r"= (tt\.dot|ttng\.warp_group_dot)\b(?!_)(?P<types>.*)|(?P<fifth>ttng\.tc_gen5_mma)\b(?P<memory>.*)|= tt\.dot_scaled\b|ttng\.tc_gen5_mma_scaled\b"
)
OPERAND = re.compile(r"(?:tensor|memdesc)<((?:\d+x)+)([a-z]\w*)")
RESULT = re.compile(r"-> tensor<[\dx]+\w+, #(\w+)>")
MEMORY = re.compile(r"(?:\d+x)+f32, #(\w+), #ttng.tensor_memory")
LOAD = re.compile(r"= (?:tt\.load|ttg\.async_copy_global_to_local|amdg\.buffer_load(?:_to_local)?)\b(?P<rest>.*)")
POINTERS = re.compile(r": tensor<(?P<shape>(?:\d+x)*)(?:!tt\.ptr<)?(?P<element>[a-z]\w*)>?(?:, (?P<layout>#.*?))?>(?: ->| loc|$)")
SCALAR = re.compile(r": !tt\.ptr<(?P<element>\w+)>")
LOOP = re.compile(r"\bscf\.(for|while)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one pass of a loop (without the loops inside it), or the code outside all loops, needs.

    `products`: its matrix products; `scalar_products`: those whose layout leaves them to fused multiply-adds.
    `tensor_instructions`: tensor-core instructions that a warp issues for them; `loaded`: bytes that a thread loads from global memory;
    `narrow`: those of them that no 16-byte load can fetch: of vectors, single numbers and tiles of less than 16 bytes a thread.
    None: a layout is not understood.
    """

    products: int = 0
    scalar_products: int = 0
    tensor_instructions: int | None = 0
    loaded: int | None = 0
    narrow: int | None = 0


def needs(ttgir: str) -> tuple[Need, tuple[Need, ...]]:
    """The need of the code outside all loops, and of each loop in the order of the text."""
    layouts = dict(ALIAS.findall(ttgir))
    loops: list[list[str]] = []
    outside: list[str] = []
    around: list[list[str]] = []  # the innermost loop, or `outside`, that each open region belongs to
    for text in ttgir.splitlines():
        if text.startswith("#"):
            continue
        home = around[-1] if around else outside
        home.append(text)
        opened = text.count("{") - text.count("}")
        if opened > 0 and LOOP.search(text):
            loops.append([])
            home = loops[-1]
        around += [home] * opened
        del around[len(around) + min(opened, 0) :]
    return need(outside, layouts), tuple(need(body, layouts) for body in loops)


def need(body: Sequence[str], layouts: Mapping[str, str]) -> Need:
    """The need of some lines."""
    products = [instructions(line, layouts) for line in map(PRODUCT.search, body) if line]
    tiles = [(rank, size) for line in map(LOAD.search, body) if line for rank, size in loaded(line["rest"], layouts)]
    return Need(
        products=len(products),
        scalar_products=products.count(0),
        tensor_instructions=total(products),
        loaded=total([size for _, size in tiles]),
        narrow=total([size for rank, size in tiles if rank < 2 or size is None or size < 16]),
    )


def total(parts: Sequence[int | None]) -> int | None:
    """The sum, or None if a part is unknown."""
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def instructions(line: re.Match[str], layouts: Mapping[str, str]) -> int | None:
    """Tensor-core instructions a warp for one product; 0 where it is left to fused multiply-adds, None where the layout is not understood."""
    types = line["types"] or line["memory"] or ""
    operands = OPERAND.findall(types.rpartition(" : ")[2])
    named = (MEMORY if line["fifth"] else RESULT).search(types)
    layout = layouts.get(named[1], "") if named else ""
    if layout.startswith("#ttg.blocked"):
        return 0
    shape = instruction_shape(layout, operands[0][1]) if operands else None
    if shape is None:
        return None
    *batch, m, k = sizes(operands[0][0])
    n = sizes(operands[1][0])[-1]
    warps = numbers(layout, "warpsPerCTA") or [1, 1]
    batches = prod(ceil(size / w) for size, w in zip(batch, warps[:-2] or [1] * len(batch), strict=True))
    return batches * ceil(m / (shape[0] * warps[-2])) * ceil(n / (shape[1] * warps[-1])) * ceil(k / shape[2])


def instruction_shape(layout: str, element: str) -> tuple[int, int, int] | None:
    """m, n, k of the instruction that a layout of the accumulator names. Second-generation and Blackwell layouts leave k open: 32 bytes of the operand."""
    if element not in WIDTHS or WIDTHS[element] > 4:
        return None
    shape = numbers(layout, "instrShape")
    if layout.startswith("#ttg.nvidia_mma") and shape[:1] == [1]:  # of a batch of products
        shape = shape[1:]
    if layout.startswith("#ttng.tensor_memory_encoding"):
        shape = [int(x) for x in re.findall(r"block[MN] = (\d+)", layout)]
        shape = [shape[0], min(shape[1], 256)] if len(shape) == 2 and "twoCTAs" not in layout else []
    return (shape[0], shape[1], shape[2] if len(shape) == 3 else 32 // WIDTHS[element]) if len(shape) in (2, 3) else None


WIDTHS = {"f64": 8, "i64": 8, "f32": 4, "i32": 4, "f16": 2, "bf16": 2, "i16": 2, "i8": 1, "i1": 1} | {
    f"f8E{e}": 1 for e in ("4M3FN", "5M2", "4M3FNUZ", "5M2FNUZ")
}


def loaded(rest: str, layouts: Mapping[str, str]) -> Iterator[tuple[int, int | None]]:
    """Rank of what a load line loads, and bytes a thread."""
    if tensor := POINTERS.search(rest):
        shape = sizes(tensor["shape"])
        each, element = elements(shape, tensor["layout"] or "", layouts), WIDTHS.get(tensor["element"])
        yield sum(size > 1 for size in shape), None if each is None or element is None else each * element
    elif scalar := SCALAR.search(rest):
        yield 0, WIDTHS.get(scalar["element"])
    else:
        yield 2, None


def elements(shape: Sequence[int], layout: str, layouts: Mapping[str, str]) -> int | None:
    """Elements of a tensor that each thread holds, for blocked and linear layouts, for those of tensor cores' results and of AMD's operands, and for slices of
    all but linear ones."""
    if cut := re.fullmatch(r"#ttg\.slice<\{dim = (\d+), parent = (.*)\}>", layout):
        at = int(cut[1])
        return elements([*shape[:at], 1, *shape[at:]], cut[2], layouts)
    if operand := re.fullmatch(r"#ttg\.dot_op<\{opIdx = ([01]), parent = #(\w+), kWidth = (\d+)\}>", layout):
        return in_operands(shape, layouts.get(operand[2], ""), operand[1] == "0", int(operand[3]))
    layout = layouts.get(layout.removeprefix("#"), layout)
    if layout.startswith("#ttg.linear") and (bases := re.search(r"register = \[((?:\[[^]]*\](?:, )?)*)\]", layout)):
        return int(2 ** bases[1].count("["))
    if layout.startswith(("#ttg.nvidia_mma", "#ttg.amd_mfma")):
        return in_results(shape, layout)
    if not layout.startswith("#ttg.blocked"):
        return None
    each, lanes, warps = (numbers(layout, name) for name in ("sizePerThread", "threadsPerWarp", "warpsPerCTA"))
    return prod(min(e, s) * ceil(s / (e * t * w)) for s, e, t, w in zip(shape, each, lanes, warps, strict=True))


def in_results(shape: Sequence[int], layout: str) -> int | None:
    """Elements that each thread holds of a matrix in the layout of tensor cores' results, or of a row or column of one (an axis of length 1 is cut away).

    NVIDIA's: of 16 rows two, of 8 columns two neighbours (PTX ISA, fragments of mma.m16n8k16 and of wgmma). AMD's: of 32 × 32 one row and 16 columns, of
    16 × 16 one row and 4 columns, or rows and columns the other way round (CDNA3 ISA, section 7.1.4).
    """
    warps, instruction = numbers(layout, "warpsPerCTA"), numbers(layout, "instrShape")
    if len(shape) == len(warps) == 3:  # a batch of products: each thread of a warp has its part of all that the warp takes
        each = in_results(shape[1:], layout.replace(f"warpsPerCTA = [{warps[0]}, ", "warpsPerCTA = ["))
        return None if each is None else each * ceil(shape[0] / warps[0])
    if len(shape) != 2 or len(warps) != 2 or len(instruction) < 2:
        return None
    if layout.startswith("#ttg.nvidia_mma"):
        block, own = (16, 8), (2, 2)
    elif instruction[0] == instruction[1] and instruction[0] in (16, 32):
        block, own = (instruction[0], instruction[1]), (1, instruction[0] ** 2 // 64)
        own = own if "isTransposed = true" in layout else own[::-1]
    else:
        return None
    return prod(1 if size == 1 else of * ceil(size / (b * w)) for size, b, of, w in zip(shape, block, own, warps, strict=True))


def in_operands(shape: Sequence[int], layout: str, first: bool, together: int) -> int | None:
    """Elements that each thread holds of the first or second operand, a matrix, of AMD's tensor cores, or of a row or column of one: of 32 × 32 and 16 × 16
    results, lanes stand along the 32 or 16 rows (columns), and 64 / 32 or 64 / 16 of them, with `together` elements each, along the axis that is summed over
    (CDNA3 ISA, section 7.1.4)."""
    warps, instruction = numbers(layout, "warpsPerCTA"), numbers(layout, "instrShape")
    if not layout.startswith("#ttg.amd_mfma") or len(shape) != 2 or len(warps) != 2 or instruction[:2] not in ([32, 32], [16, 16]):
        return None
    (kept, summed), along = (shape if first else shape[::-1]), warps[0 if first else 1]
    return ceil(kept / (instruction[0] * along)) * (1 if summed == 1 else together * ceil(summed * instruction[0] / (64 * together)))


def numbers(layout: str, name: str) -> list[int]:
    """The list of integers that a layout gives under a name; empty if it gives none."""
    found = re.search(rf"\b{name} = \[([\d, ]*)\]", layout)
    return [int(x) for x in found[1].split(",")] if found else []


def sizes(shape: str) -> list[int]:
    """ "128x64x" → [128, 64]."""
    return [int(x) for x in shape.split("x") if x]
