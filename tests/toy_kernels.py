"""Small kernels, compiled for GPUs that are not there and read. Run as a program it prints what was read, as JSON; it needs triton and a writable cache."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from typing import Any

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from impl._triton.compiled import read
from impl._triton.complaints import complaints

A100, H100, B200, MI300 = GPUTarget("cuda", 80, 32), GPUTarget("cuda", 90, 32), GPUTarget("cuda", 100, 32), GPUTarget("hip", "gfx942", 64)


@triton.jit  # type: ignore[untyped-decorator]
def product(A, B, C, K, stride, M: tl.constexpr, N: tl.constexpr, TILE: tl.constexpr):  # type: ignore[no-untyped-def]
    """C [M, N] = A [M, K] B [K, N], one tile of K a pass."""
    i, j, k = tl.arange(0, M), tl.arange(0, N), tl.arange(0, TILE)
    total = tl.zeros((M, N), tl.float32)
    for at in range(0, K, TILE):
        a = tl.load(A + i[:, None] * stride + (at + k)[None, :])
        b = tl.load(B + (at + k)[:, None] * stride + j[None, :])
        total = tl.dot(a, b, total, input_precision="ieee")
    tl.store(C + i[:, None] * stride + j[None, :], total)


@triton.jit  # type: ignore[untyped-decorator]
def powers(A, B, n, TILE: tl.constexpr):  # type: ignore[no-untyped-def]
    """B = A^(2^n): a loop that loads nothing."""
    i = tl.arange(0, TILE)
    a = tl.load(A + i[:, None] * TILE + i[None, :])
    for _ in range(n):
        a = tl.dot(a, a).to(tl.float16)
    tl.store(B + i[:, None] * TILE + i[None, :], a)


@triton.jit  # type: ignore[untyped-decorator]
def row_sums(A, B, rows, n, TILE: tl.constexpr):  # type: ignore[no-untyped-def]
    """B [rows] = the row sums of A [rows, n]: a loop in a loop, no product."""
    i = tl.arange(0, TILE)
    for row in range(rows):
        total = tl.zeros((TILE,), tl.float32)
        for at in range(0, n, TILE):
            total += tl.load(A + row * n + at + i)
        tl.store(B + row, tl.sum(total, 0))


def compiled(kernel: Any, target: GPUTarget, types: dict[str, str], constants: dict[str, int], *, aligned: bool = True, **options: int) -> Any:
    """The compiled kernel. `aligned`: pointers and numbers are multiples of 16, as the launcher would find them to be."""
    alignment = {(i,): [["tt.divisibility", 16]] for i in range(len(types))} if aligned else {}
    source = ASTSource(kernel, types | dict.fromkeys(constants, "constexpr"), constants, alignment)
    return triton.compile(source, target=target, options={"num_warps": 4, **options})


def toys() -> dict[str, Any]:
    """Every toy by name."""
    half = {"A": "*fp16", "B": "*fp16", "C": "*fp32", "K": "i32", "stride": "i32"}
    single = half | {"A": "*fp32", "B": "*fp32"}
    square = {"M": 64, "N": 64, "TILE": 64}
    summed = {"A": "*fp32", "B": "*fp32", "rows": "i32", "n": "i32"}
    return {
        "product sm_80": compiled(product, A100, half, square),
        "product sm_90": compiled(product, H100, half, square),
        "product sm_100": compiled(product, B200, half, square),
        "product gfx942": compiled(product, MI300, half, square, num_stages=2),
        "not aligned": compiled(product, H100, half, square, aligned=False),
        "no tensor cores": compiled(product, A100, single, square | {"TILE": 16}),
        "few registers": compiled(product, A100, half, {"M": 128, "N": 128, "TILE": 32}, maxnreg=96),
        "much shared memory": compiled(product, H100, half, {"M": 128, "N": 128, "TILE": 128}, num_stages=5),
        "powers": compiled(powers, H100, {"A": "*fp16", "B": "*fp16", "n": "i32"}, {"TILE": 32}),
        "row sums": compiled(row_sums, H100, summed, {"TILE": 1024}),
        "row sums gfx942": compiled(row_sums, MI300, summed, {"TILE": 1024}),
    }


def main() -> None:
    """Print {name: {"read": …, "complaints": […], "waves": LLVM's own count of waves a SIMD, AMD only}}."""
    found = {}
    for name, kernel in toys().items():
        what = read(kernel)
        waves = re.search(r"^; Occupancy: (\d+)", kernel.asm.get("amdgcn", ""), re.MULTILINE)
        found[name] = {"read": dataclasses.asdict(what), "complaints": complaints(what), "waves": int(waves[1]) if waves else None}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
