"""Compiles the attention kernels that ship, for GPUs that need not be there, and writes what they are made of: `python -m properties.kernels`.

What is compiled: every specimen that a module of `listings` yields. The evidence, reports/evidence/kernels.json, is read from the compiled objects:
registers, memory, occupancy, and what each loop does; beside it stands what a call costs, by a formula that a test compares with a count. Nothing is run
or timed. The same sources and the same triton give the same bytes; `checks` has the digest of each folder's sources, so that old evidence shows.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import multiprocessing
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from importlib import metadata
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from properties import digest
from properties.evidence import write_text

EVIDENCE = digest.ROOT / "reports" / "evidence" / "kernels.json"
SCHEMA = "attention-ledger/kernels/2"
TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")
DTYPES = ("bfloat16", "float16")
DENSE = "scaled_dot_product"  # its folder lists no specimens of its own: properties.dense_kernels does
KERNELS = ("forward", "backward_queries", "backward_keys")  # of dense attention
WIDTHS = (16, 32, 64, 80, 128, 256)  # 80 is no power of two: its tiles are padded to 128
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
    """One specimen for one target in one dtype."""

    target: str
    folder: str
    kernel: str
    case: str
    dtype: str

    def __str__(self) -> str:
        return f"{self.target} {self.folder} {self.kernel}, {self.case}, {self.dtype}"


def listings() -> dict[str, str]:
    """By folder of impl, the module whose `specimens(target, dtype)` lists what is compiled: the folder's launch.py, if it has that function."""
    found = sorted(file.parent.name for file in (digest.ROOT / "impl").glob("*/launch.py") if "\ndef specimens(" in file.read_text(encoding="utf-8"))
    return {DENSE: "properties.dense_kernels", **{folder: f"impl.{folder}.launch" for folder in found}}


def current() -> dict[str, str]:
    """By folder, the digest of the sources that a run of today would write: this file, the kernels, their launches and the reading of compiled objects."""
    paths = {folder: digest.ROOT.joinpath(*module.split(".")).with_suffix(".py") for folder, module in listings().items()}
    return {folder: digest.digest_of((Path(__file__).resolve(), path)) for folder, path in paths.items()}


def specimens(folder: str, target: str, dtype: str) -> Iterator[Any]:
    """The folder's specimens. Needs triton."""
    import torch

    yield from importlib.import_module(listings()[folder]).specimens(target, getattr(torch, dtype))


def cases(folders: Iterable[str], targets: Iterable[str] = TARGETS, dtypes: Iterable[str] = DTYPES) -> list[Case]:
    """Every specimen of the folders. Raises RuntimeError where a folder's cannot be listed, or two of them have one name. Needs triton."""
    found = []
    for folder, target, dtype in product(folders, targets, dtypes):
        try:
            mine = [Case(target, folder, x.kernel, x.case, dtype) for x in specimens(folder, target, dtype)]
        except Exception as error:
            raise RuntimeError(f"the specimens of {folder} for {target} in {dtype} cannot be listed ({type(error).__name__}: {error})") from error
        if twice := {str(x) for x in mine if mine.count(x) > 1}:
            raise RuntimeError(f"two specimens have one name: {'; '.join(sorted(twice))}")
        found += mine
    return found


def row(case: Case) -> dict[str, Any]:
    """One kernel compiled and read, as JSON values. Needs triton, imported here with its interpreter off; raises what Triton raises if it does not compile."""
    os.environ["TRITON_INTERPRET"] = "0"
    from impl._triton.compiled import read

    specimen = next(x for x in specimens(case.folder, case.target, case.dtype) if (x.kernel, x.case) == (case.kernel, case.case))
    kernel = specimen.launch.compiled(case.target)
    shown = asdict(read(kernel))
    for part in (*shown["loops"], shown["outside"]):
        part["widths"] = {str(width): times for width, times in part["widths"].items()}
    del shown["name"]
    tensors = given(specimen.launch.arguments)
    cost = {**specimen.cost._asdict(), "once": once(tensors.values())}
    about = {**case._asdict(), "configuration": configuration(specimen.launch), "shapes": {name: list(x.shape) for name, x in tensors.items()}, "cost": cost}
    found: dict[str, Any] = json.loads(json.dumps({**about, **shown}, sort_keys=True))  # as a reader of the file will see it
    return {**found, "complaints": complaints(found), "remarks": serialised(case, kernel)}


def configuration(launch: Any) -> dict[str, Any]:
    """The grid, the compiler's options, and those constants of the kernel that are numbers, words, true or false."""
    constants = {x.name: launch.arguments[x.name] for x in launch.kernel.params if x.is_constexpr}
    return {"grid": list(launch.grid), "options": launch.options, "constants": {k: v for k, v in constants.items() if isinstance(v, int | float | str)}}


def given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors among the arguments, and those that descriptors describe."""
    return {name: tensor for name, x in arguments.items() if hasattr(tensor := getattr(x, "base", x), "data_ptr")}


def once(tensors: Iterable[Any]) -> int:
    """Bytes of the tensors, each element once however often it is loaded, and a tensor that is given twice once."""
    apart = ((x, zip(x.shape, x.stride(), strict=True)) for x in tensors if x.numel())
    return sum({x.data_ptr(): prod(size for size, step in axes if step) * x.element_size() for x, axes in apart}.values())


def complaints(found: Mapping[str, Any]) -> list[str]:
    """What is wrong with a row, from its figures alone. Dense attention's tiles have a rule of their own, which is stricter."""
    from impl._triton import complaints as rules

    read = restored(found)
    if found["folder"] != DENSE:
        return rules.complaints(read)
    return [*rules.local_memory(read), *rules.scalar_products(read), *rules.shared_memory(read), *narrow_tiles(found)]


def restored(found: Mapping[str, Any]) -> Any:
    """What `row` read, as `impl._triton.compiled.Compiled`."""
    from impl._triton.compiled import Compiled, Part
    from impl._triton.occupancy import Occupancy
    from impl._triton.ttgir import Need

    def part(x: Mapping[str, Any]) -> Part:
        need = None if x["need"] is None else Need(**x["need"])
        return Part(**{**x, "widths": {int(width): times for width, times in x["widths"].items()}, "need": need})

    plain = {name: found[name] for name in FIGURES}
    loops = tuple(map(part, found["loops"]))
    return Compiled(name=found["kernel"], loops=loops, outside=part(found["outside"]), occupancy=Occupancy(**found["occupancy"]), **plain)


FIGURES = ("target", "warps", "registers", "shared", "stack", "spills", "products", "scalar_products", "tensor_columns")


def narrow_tiles(found: Mapping[str, Any]) -> list[str]:
    """Complaints about loops of a dense kernel, and the code outside them, that load a tile in pieces of less than 16 bytes.

    Each pass loads two tiles (K and V, or Q and the output's cotangent), the code before the loops those that stay. Its 16-byte loads must fetch as many
    bytes as all of them have; and because vectors may be loaded so too, what it fetches narrowly must be less than one tile. Copies of whole tiles (TMA)
    have no width a thread, and stand for both. A width that is no power of two is padded with lanes that load nothing.
    """
    constants, kernel = found["configuration"]["constants"], found["kernel"]
    if constants["WIDTH"] * 2 % 16:
        return []
    threads = found["warps"] * (64 if found["target"].startswith("gfx") else 32)
    staying, walked = (constants[name] for name in (("COLUMNS", "ROWS") if kernel == "backward_keys" else ("ROWS", "COLUMNS")))
    stay = {"forward": 1, "backward_queries": 3, "backward_keys": 2}[kernel]  # Q; Q, O and dO; K and V
    loops = [(f"loop {i}", loop, walked, 2 * (loop["unroll"] or 1)) for i, loop in enumerate(found["loops"]) if works(i, found["loops"])]
    wrong = []
    for where, part, positions, tiles in [*loops, ("the code outside loops", found["outside"], staying, stay)]:
        whole = any(name.startswith("UTMALDG") for name in part["moves"]) and part is not found["outside"]
        tile = positions * constants["D"] * 2 / threads
        wide, narrow = (sum(int(width) * n for width, n in part["widths"].items() if (int(width) >= 16) == is_wide) for is_wide in (True, False))
        if (wide < tiles * tile and not whole) or narrow >= tile:
            wrong.append(f"{where} fetches {wide} bytes a thread in pieces of 16 and {narrow} in smaller ones, where each of {tiles} tiles has {tile:g}")
    return wrong


def works(i: int, loops: Sequence[Mapping[str, Any]]) -> bool:
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
    instructions, arrivals = sum(listing.count(f"{name}GMMA.") for name in ("H", "I", "Q")), listing.count("WARPGROUP.ARRIVE")
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


def kept(path: Path, fresh: Sequence[dict[str, Any]], whole: Iterable[tuple[str, str, str]] = ()) -> list[dict[str, Any]]:
    """The rows of an earlier file that `fresh` does not replace, if their folder's sources and triton are the same. Of what was compiled as a whole
    (`whole`: target, folder, dtype) none is kept, so that specimens which are listed no more leave the file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        same = (document["schema"], document["triton"]) == (SCHEMA, metadata.version("triton"))
        now = {folder for folder, digest in current().items() if document["checks"].get(folder) == digest}
        new, gone = {key(x) for x in fresh}, set(whole)
        rows = [x for x in document["rows"] if x["folder"] in now and (x["target"], x["folder"], x["dtype"]) not in gone]
        return [x for x in rows if key(x) not in new] if same else []
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def key(found: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a row is about; rows are sorted by it: dense attention first, numbers in words by their size."""
    dense, kernel = found["folder"] == DENSE, found["kernel"]
    order = KERNELS.index(kernel) if dense and kernel in KERNELS else 0
    words = [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", found["case"])]
    return not dense, found["folder"], TARGETS.index(found["target"]), order, kernel, tuple(words), found["dtype"]


def document(rows: Iterable[dict[str, Any]]) -> str:
    """The whole file, one row a line."""
    ordered = sorted(rows, key=key)
    checks = {folder: digest for folder, digest in current().items() if any(x["folder"] == folder for x in ordered)}
    about = {"schema": SCHEMA, "checks": checks, "triton": metadata.version("triton"), "peer": PEER}
    head = "".join(f'"{name}": {json.dumps(value, sort_keys=True, ensure_ascii=False)},\n' for name, value in about.items())
    lines = ",\n".join(json.dumps(x, sort_keys=True, ensure_ascii=False) for x in ordered)
    return f'{{\n{head}"rows": [\n{lines}\n]\n}}\n'


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 all well; 1 there are complaints, or a kernel does not compile; 2 an input cannot be used, or triton is missing."""
    options = parser().parse_args(arguments)
    if importlib.util.find_spec("triton") is None:
        print("compiling needs triton, which is not installed (Linux only): pip install -e '.[kernels]'", file=sys.stderr)
        return BAD_INPUT
    dense = bool(options.kernels or options.widths)
    folders = options.folders or ([DENSE] if dense else list(listings()))
    for name, given, possible in (("target", options.targets, TARGETS), ("folder", folders, tuple(listings()))):
        if unknown := [x for x in given if x not in possible]:
            print(f"unknown {name} {', '.join(unknown)}; possible are {', '.join(possible)}", file=sys.stderr)
            return BAD_INPUT
    os.environ["TRITON_INTERPRET"] = "0"
    sources = current()
    try:
        listed = cases(folders, options.targets, options.dtypes)
        wanted = [x for x in listed if x.folder != DENSE or chosen(x, options.kernels or KERNELS, options.widths or WIDTHS)]
        fresh = compiled(wanted, options.jobs)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    digest.digest_of.cache_clear()
    if current() != sources:
        print("the sources changed while they were compiled; nothing is written", file=sys.stderr)
        return BAD_INPUT
    whole = [x for x in product(options.targets, folders, options.dtypes) if x[1] != DENSE or not dense]
    rows = [*kept(options.out, fresh, whole), *fresh]
    write_text(options.out, document(rows))
    bad = sum(bool(x["complaints"]) for x in fresh)
    print(f"{len(fresh)} kernels compiled, {bad} with complaints; {len(rows)} in {options.out}")
    return 1 if bad else 0


def chosen(case: Case, kernels: Sequence[str], widths: Sequence[int]) -> bool:
    """Is a case of dense attention of one of these kernels and widths?"""
    return case.kernel in kernels and any(case.case.partition(",")[0] == f"width {width}" for width in widths)


def parser() -> argparse.ArgumentParser:
    says = argparse.ArgumentParser(
        prog="python -m properties.kernels",
        description="Compile the attention kernels for GPUs that need not be there, and write what they are made of. Needs triton and no GPU.",
        epilog="Where only some are compiled, the others' rows stay if their folder's sources are the same, and are dropped if not. "
        "Exit status: 0 all well; 1 a kernel does not compile or has complaints; 2 an input cannot be used.",
    )
    says.add_argument("--targets", nargs="+", metavar="TARGET", default=list(TARGETS), help=f"which of {', '.join(TARGETS)} (default: all)")
    says.add_argument("--folders", nargs="+", metavar="FOLDER", help=f"whose kernels: {', '.join(listings())} (default: all)")
    says.add_argument(
        "--kernels", nargs="+", choices=KERNELS, metavar="KERNEL", help=f"of dense attention only {', '.join(KERNELS)}; without --folders, nothing else"
    )
    says.add_argument(
        "--widths", nargs="+", type=int, choices=WIDTHS, metavar="WIDTH", help=f"of dense attention only {WIDTHS}; without --folders, nothing else"
    )
    says.add_argument("--dtypes", nargs="+", default=list(DTYPES), choices=DTYPES, metavar="DTYPE", help=f"which of {', '.join(DTYPES)} (default: both)")
    says.add_argument("--jobs", type=int, default=2, metavar="N", help="processes at once (default: 2)")
    says.add_argument("--out", type=Path, default=EVIDENCE, metavar="FILE", help="where to write (default: reports/evidence/kernels.json)")
    return says


if __name__ == "__main__":
    sys.exit(main())
