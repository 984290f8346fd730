"""Compiles the attention kernels that ship, for GPUs that need not be there, and writes what they are made of: `python -m properties.kernels`.

The evidence, reports/evidence/kernels.json, is read from the compiled objects: registers, memory, occupancy, and what each loop does. Nothing is run or
timed. The same sources and the same triton give the same bytes; `checks` is the digest of the sources, so that old evidence shows.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from properties import digest
from properties.evidence import write_text

EVIDENCE = digest.ROOT / "reports" / "evidence" / "kernels.json"
SCHEMA = "attention-ledger/kernels/1"
WIDTHS = (16, 32, 64, 80, 128, 256)  # 80 is no power of two: its tiles are padded to 128
DTYPES = ("bfloat16", "float16")
KERNELS = ("forward", "backward_queries", "backward_keys")
SHAPE = {"batch": 2, "heads": 16, "key_heads": 4, "queries": 1024, "keys": 1024}  # what a launcher would see: aligned tensors, grouped queries
BAD_INPUT = 2
# Triton's own fused attention tutorial (the version with block pointers) in our tiles, compiled for sm_90 in float16 by Triton 3.7.1 and counted by
# impl._triton.compiled: instructions a tile of the loop without and with a mask, by width; and of the loop without a mask of its causal variant.
PEER = {
    "name": "Triton's fused attention tutorial",
    "url": "https://triton-lang.org/main/getting-started/tutorials/06-fused-attention.html",
    "triton": "3.7.1",
    "target": "sm_90",
    "dtype": "float16",
    "instructions": {
        "64": {"configuration": [128, 64, 4, 3], "unmasked": 517, "masked": 723, "causal": 514},
        "128": {"configuration": [128, 64, 8, 3], "unmasked": 353, "masked": 468},
    },
}


class Case(NamedTuple):
    """One kernel to compile in its shipping configuration, the first of the table's row."""

    target: str
    kernel: str
    width: int
    dtype: str
    causal: bool

    def __str__(self) -> str:
        return f"{self.target} {self.kernel} {self.width} {self.dtype}{' causal' if self.causal else ''}"


def cases(targets: Iterable[str], kernels: Sequence[str] = KERNELS, widths: Sequence[int] = WIDTHS, dtypes: Sequence[str] = DTYPES) -> list[Case]:
    """Every combination, causal and not."""
    return [Case(*each) for each in product(targets, kernels, widths, dtypes, (False, True))]


def current() -> str:
    """The digest of the sources that a run of today would write: this file, the kernels, their launches and the reading of compiled objects."""
    return digest.digest_of((Path(__file__).resolve(),))


def row(case: Case) -> dict[str, Any]:
    """One kernel compiled and read, as JSON values. Needs triton, imported here with its interpreter off; raises what Triton raises if it does not compile."""
    os.environ["TRITON_INTERPRET"] = "0"
    from impl._triton.compiled import read
    from impl._triton.complaints import local_memory, scalar_products, shared_memory

    launch, configuration = prepared(case)
    kernel = launch.compiled(case.target)
    found = read(kernel)
    shown = asdict(found)
    for part in (*shown["loops"], shown["outside"]):
        del part["need"]  # what the source needs, not what the object has
        part["widths"] = {str(width): times for width, times in part["widths"].items()}
    del shown["name"], shown["warps"]
    wrong = [*local_memory(found), *scalar_products(found), *shared_memory(found), *narrow_tiles(case, configuration, shown)]
    return {**case._asdict(), "configuration": list(configuration), **shown, "complaints": wrong, "remarks": serialised(case, kernel)}


def prepared(case: Case) -> tuple[Any, tuple[int, int, int, int]]:
    """The launch of a call of SHAPE, and its configuration (rows, columns, warps, stages)."""
    import torch

    from impl.scaled_dot_product import launch

    dtype = getattr(torch, case.dtype)
    query = torch.empty(SHAPE["batch"], SHAPE["heads"], SHAPE["queries"], case.width, dtype=dtype)
    key, value = (torch.empty(SHAPE["batch"], SHAPE["key_heads"], SHAPE["keys"], case.width, dtype=dtype) for _ in range(2))
    call = launch.Call(query, key, value, None, None, None, None, [], case.width**-0.5, 0.0, case.causal, False, 0.0, 0, [], case.target)
    configuration = call.configurations(case.kernel)[0]
    output, log_sum_exp = launch.results(query, value)
    if case.kernel == "forward":
        return call.forward(output, log_sum_exp, None, configuration), configuration
    d_query, d_key, d_value, _, delta = launch.gradients(log_sum_exp, query, key, value, False)
    return call.backward(output, log_sum_exp, output, None, delta, d_query, d_key, d_value, None)[case.kernel](configuration), configuration


def narrow_tiles(case: Case, configuration: Sequence[int], shown: dict[str, Any]) -> list[str]:
    """Complaints about loops, and the code outside them, that load a tile in pieces of less than 16 bytes.

    Each pass loads two tiles (K and V, or Q and the output's cotangent), the code before the loops those that stay. Its 16-byte loads must fetch as many
    bytes as all of them have; and because vectors may be loaded so too, what it fetches narrowly must be less than one tile. Copies of whole tiles (TMA)
    have no width a thread, and stand for both. A width that is no power of two is padded with lanes that load nothing.
    """
    if case.width * 2 % 16:
        return []
    rows, columns, warps, _ = configuration
    padded = 1 << (case.width - 1).bit_length()
    threads = warps * (64 if case.target.startswith("gfx") else 32)
    staying, walked = (columns, rows) if case.kernel == "backward_keys" else (rows, columns)
    stay = {"forward": 1, "backward_queries": 3, "backward_keys": 2}[case.kernel]  # Q; Q, O and dO; K and V
    loops = [(f"loop {i}", loop, walked, 2 * (loop["unroll"] or 1)) for i, loop in enumerate(shown["loops"]) if works(i, shown["loops"])]
    found = []
    for where, part, positions, tiles in [*loops, ("the code outside loops", shown["outside"], staying, stay)]:
        whole = any(name.startswith("UTMALDG") for name in part["moves"]) and part is not shown["outside"]
        tile = positions * padded * 2 / threads
        wide, narrow = (sum(int(width) * n for width, n in part["widths"].items() if (int(width) >= 16) == is_wide) for is_wide in (True, False))
        if (wide < tiles * tile and not whole) or narrow >= tile:
            found.append(f"{where} fetches {wide} bytes a thread in pieces of 16 and {narrow} in smaller ones, where each of {tiles} tiles has {tile:g}")
    return found


def works(i: int, loops: Sequence[dict[str, Any]]) -> bool:
    """Does this loop multiply matrices, and no loop inside it?"""
    return "tensor core" in loops[i]["counts"] and not any(x["parent"] == i and "tensor core" in x["counts"] for x in loops)


def serialised(case: Case, kernel: Any) -> list[str]:
    """What costs time and breaks no rule: on sm_90, asynchronous matrix instructions that ptxas makes wait for each other one by one.

    A product of several instructions needs one WARPGROUP.ARRIVE before the first of them; serialised ones have one each.
    """
    from impl._triton.compiled import output

    if case.target != "sm_90":
        return []
    listing = output("nvdisasm", "-c", kernel.asm["cubin"])
    instructions, arrivals = listing.count("HGMMA."), listing.count("WARPGROUP.ARRIVE")
    return ["its wgmma instructions wait for each other one by one"] if instructions and arrivals >= instructions else []


def compiled(wanted: Sequence[Case], jobs: int) -> list[dict[str, Any]]:
    """A row for each case, in fresh processes, with a line of progress each. Raises RuntimeError, naming the case, for a kernel that does not compile."""
    rows = []
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [(case, pool.submit(row, case)) for case in wanted]
        for place, (case, future) in enumerate(futures, 1):
            try:
                rows.append(found := future.result())
            except Exception as error:
                pool.shutdown(cancel_futures=True)
                raise RuntimeError(f"{case} does not compile ({type(error).__name__}: {' '.join(str(error).split())[:300]})") from error
            print(f"[{place}/{len(wanted)}] {case}: {said(found)}", flush=True)
    return rows


def said(found: dict[str, Any]) -> str:
    """A row in one line."""
    facts = f"{found['registers']} registers, {found['shared']} bytes shared, {found['occupancy']['warps']} warps at once"
    return "; ".join([facts, *found["complaints"], *found["remarks"]])


def kept(path: Path, fresh: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of an earlier file that `fresh` does not replace, if they come from the same sources and the same triton; else none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        same = (document["schema"], document["checks"], document["triton"]) == (SCHEMA, current(), metadata.version("triton"))
        new = {key(x) for x in fresh}
        return [x for x in document["rows"] if key(x) not in new] if same else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def key(found: dict[str, Any]) -> tuple[str, int, int, str, bool]:
    """What a row is about; rows are sorted by it."""
    return found["target"], KERNELS.index(found["kernel"]), found["width"], found["dtype"], found["causal"]


def document(rows: Iterable[dict[str, Any]]) -> str:
    """The whole file, one row a line."""
    about = {"schema": SCHEMA, "checks": current(), "triton": metadata.version("triton"), "shape": SHAPE, "peer": PEER}
    head = "".join(f'"{name}": {json.dumps(value, sort_keys=True, ensure_ascii=False)},\n' for name, value in about.items())
    lines = ",\n".join(json.dumps(x, sort_keys=True, ensure_ascii=False) for x in sorted(rows, key=key))
    return f'{{\n{head}"rows": [\n{lines}\n]\n}}\n'


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 all well; 1 there are complaints, or a kernel does not compile; 2 an input cannot be used, or triton is missing."""
    options = parser().parse_args(arguments)
    if importlib.util.find_spec("triton") is None:
        print("compiling needs triton, which is not installed (Linux only): pip install -e '.[kernels]'", file=sys.stderr)
        return BAD_INPUT
    os.environ["TRITON_INTERPRET"] = "0"
    from impl.scaled_dot_product.configuration import TABLE

    sources, targets = current(), options.targets or list(TABLE)
    if unknown := [x for x in targets if x not in TABLE]:
        print(f"no configuration for {', '.join(unknown)}; possible targets are {', '.join(TABLE)}", file=sys.stderr)
        return BAD_INPUT
    try:
        fresh = compiled(cases(targets, options.kernels, options.widths, options.dtypes), options.jobs)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    digest.digest_of.cache_clear()
    if current() != sources:
        print("the sources changed while they were compiled; nothing is written", file=sys.stderr)
        return BAD_INPUT
    rows = [*kept(options.out, fresh), *fresh]
    write_text(options.out, document(rows))
    bad = sum(bool(x["complaints"]) for x in fresh)
    print(f"{len(fresh)} kernels compiled, {bad} with complaints; {len(rows)} in {options.out}")
    return 1 if bad else 0


def parser() -> argparse.ArgumentParser:
    says = argparse.ArgumentParser(
        prog="python -m properties.kernels",
        description="Compile the attention kernels for GPUs that need not be there, and write what they are made of. Needs triton and no GPU.",
        epilog="Where only some are compiled, the others' rows stay if the sources are the same, and are dropped if not. "
        "Exit status: 0 all well; 1 a kernel does not compile or has complaints; 2 an input cannot be used.",
    )
    says.add_argument("--targets", nargs="+", metavar="TARGET", help="sm_80, sm_90, sm_100, gfx942 (default: every target of the table of configurations)")
    says.add_argument("--kernels", nargs="+", default=list(KERNELS), choices=KERNELS, metavar="KERNEL", help=f"which of {', '.join(KERNELS)} (default: all)")
    says.add_argument("--widths", nargs="+", type=int, default=list(WIDTHS), choices=WIDTHS, metavar="WIDTH", help=f"which of {WIDTHS} (default: all)")
    says.add_argument("--dtypes", nargs="+", default=list(DTYPES), choices=DTYPES, metavar="DTYPE", help=f"which of {', '.join(DTYPES)} (default: both)")
    says.add_argument("--jobs", type=int, default=2, metavar="N", help="processes at once (default: 2)")
    says.add_argument("--out", type=Path, default=EVIDENCE, metavar="FILE", help="where to write (default: reports/evidence/kernels.json)")
    return says


if __name__ == "__main__":
    sys.exit(main())
