"""Try the planted bugs, and keep what noticed them in reports/evidence/mutants.json, which verdicts read.

`python -m tests.trials` tries those whose evidence is not about the code as it is now: each row has the digest of all that decided it (the edit, the sources it
is planted in, the laws that it meets and how their inputs are drawn, or the topic and its searches). What was tried is written as it comes in.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from fnmatch import fnmatch
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from impl import IMPLEMENTATIONS
from impl._triton.patching import patch_once_a_launch
from impl.scaled_dot_product import flash
from impl.variant import Implementation
from properties import digest
from properties.evidence import DERIVATION, SEARCH, write_text
from properties.verifies import EXAMPLES, LAWS
from reports.mutants import FILE, SCHEMA
from tests.planting import ENOUGH, ROOT, SEEDS, BadMutant, Mutant, examined, laws_here, load_checks, mutants, mutated_implementation, noticed_by

EVIDENCE = ROOT / "reports" / "evidence" / FILE
TRIED_BY = ROOT / "tests" / "planting.py"
OFTEN = 10  # rows between two writings
KINDS = {"mutants": ("kills", "breaks"), "controls": ("accused_by",), "survivors": ("survives",)}

Row = dict[str, Any]


def met(mutant: Mutant) -> str:
    """The digest of everything that decides what notices the mutant."""
    whole = hashlib.sha256(f"{mutant} {SEEDS} {ENOUGH} {EXAMPLES['ci']} {digest_of_trying()}".encode())
    for part in met_in_theorems(mutant) if mutant.of_theorem else met_in_impl(mutant):
        whole.update(f"\0{part}".encode())
    return whole.hexdigest()[:16]


@cache
def digest_of_trying() -> str:
    return hashlib.sha256(TRIED_BY.read_bytes()).hexdigest()


def met_in_theorems(mutant: Mutant) -> list[str]:
    """The edited file, and what derives or searches each claim that it breaks."""
    law = f"search:{Path(mutant.file).stem}"
    files = {path for claim in mutant.breaks for subject in (DERIVATION, SEARCH) for path in digest.roots(law, subject, claim)}
    return [digest.digest_of((ROOT / mutant.file, *sorted(files)))]


def met_in_impl(mutant: Mutant) -> list[str]:
    """The edited file, the variant of the implementation that shows the edit, and each law that it may meet."""
    implementation = shown(mutant.shown_by)
    names = mutant.laws or sorted(law.id for law in laws_here(implementation))
    files = (ROOT / mutant.file, *digest.of_variant(implementation.variant.name))
    whole = digest.digest_of(files) if implementation.triton else digest_without_kernels(files)
    return [whole, *(f"{name} {digest.of_law(name)}" for name in names)]


@cache
def digest_without_kernels(files: tuple[Path, ...]) -> str:
    """As `digest.digest_of`, of what can be imported where there is no Triton: what a PyTorch path does cannot depend on anything else."""
    seen: set[Path] = set()
    found = [file for file in files if file.exists()]
    while found:
        if (here := found.pop()) not in seen and not imports_triton(here):
            seen.add(here)
            found += digest.direct_imports(here)
    whole = hashlib.sha256(digest.PINS.read_bytes())
    for file in sorted(seen):
        whole.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return whole.hexdigest()[:16]


@cache
def imports_triton(file: Path) -> bool:
    """Whether the file itself imports triton as soon as it is imported."""
    names = [name for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.Import | ast.ImportFrom) for name in modules_of(node)]
    return any(name.partition(".")[0] == "triton" for name in names)


def modules_of(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]


def shown(subject: str) -> Implementation:
    """The implementation of that name. Raises BadMutant if there is none."""
    every: dict[str, Implementation] = {f"{i.variant.name}/{i.name}": i for i in IMPLEMENTATIONS}
    if subject not in every:
        raise BadMutant(f"subject {subject!r} is unknown; possible are {', '.join(sorted(every))}")
    return every[subject]


def committed() -> dict[str, Row]:
    """The rows as they stand, by name. A kill by a law that has changed since is no longer one."""
    if not EVIDENCE.exists():
        return {}
    document: dict[str, Any] = json.loads(EVIDENCE.read_text(encoding="utf-8"))
    if document.get("schema") != SCHEMA:
        return {}
    same = {name for name, then in document["digests"].items() if digest.of_law(name) == then}
    rows = [row for kind in KINDS for row in document[kind]]
    return {row["name"]: row | {key: [x for x in row[key] if x in same] for key in ("kills", "breaks") if key in row} for row in rows}


def waiting(chosen: Iterable[Mutant], rows: dict[str, Row]) -> list[Mutant]:
    """Those of the mutants that have no row, or one about other code."""
    return [mutant for mutant in chosen if rows.get(mutant.name, {}).get("met") != met(mutant)]


def write(rows: Iterable[Row]) -> None:
    """The evidence file, of all these rows."""
    by_kind = {kind: sorted((row for row in rows if any(key in row for key in keys)), key=lambda row: str(row["name"])) for kind, keys in KINDS.items()}
    names = sorted({name for row in by_kind["mutants"] for name in (*row.get("kills", ()), *row.get("breaks", ()))})
    document = {"schema": SCHEMA, **by_kind, "digests": {name: digest.of_law(name) for name in names}}
    write_text(EVIDENCE, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def tried(mutant: Mutant) -> Row:
    """Its row in the evidence."""
    load_checks()
    if not flash.missing():
        patch_once_a_launch()
    return examined(mutant) | {"met": met(mutant)}


def show_every_law(rows: dict[str, Row], by_name: dict[str, Mutant]) -> None:
    """Add to the rows one kill for each law that came too late to kill anything: the first mutant that it notices under every seed, kernels' last."""
    quick_first = sorted((row for row in rows.values() if "kills" in row), key=lambda row: (by_name[row["name"]].of_kernel, row["name"]))
    for law in (law for name, law in LAWS.items() if not law.apart and name not in {kill for row in rows.values() for kill in row.get("kills", ())}):
        for row in quick_first:
            mutant = by_name[row["name"]]
            if law.on not in shown(mutant.shown_by).variant.traits:
                continue
            implementation = mutated_implementation(mutant)
            if all(noticed_by(law, implementation, seed) for seed in SEEDS):
                row["kills"].append(law.id)
                print(f"{law.id} is shown by {mutant.name}", flush=True)
                break
        else:
            print(f"{law.id} is shown by no mutant", flush=True)


def is_bad(row: Row) -> bool:
    """A mutant that nothing noticed, a survivor that something did, or a control that is accused."""
    return bool(row.get("accused_by") or row.get("noticed_by") or not row.get("kills", row.get("breaks", True)))


def all_tried(chosen: Sequence[Mutant], rows: dict[str, Row], jobs: int) -> None:
    """Try each, put its row among `rows`, and write them all as they come in."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            for number, row in enumerate(pool.map(tried, chosen), 1):
                noticed = [name for key in ("kills", "breaks", "accused_by", "noticed_by") for name in row.get(key, ())]
                print(f"[{number}/{len(chosen)}] {row['name']}: {', '.join(noticed) or 'nothing noticed'}", flush=True)
                rows[row["name"]] = row
                if number % OFTEN == 0:
                    write(rows.values())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            write(rows.values())


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.trials", description="Try planted bugs and write what noticed them to reports/evidence/mutants.json."
    )
    parser.add_argument(
        "only",
        nargs="*",
        metavar="PATTERN",
        help="names of mutants to try, or files (*/kernel.py), tried already or not; without one, those not tried as they are now",
    )
    parser.add_argument("--all", action="store_true", help="try every mutant, tried already or not")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    options = parser.parse_args()
    load_checks()
    by_name = {mutant.name: mutant for mutant in mutants()}
    for mutant in by_name.values():  # what is wrong with one is said now, and not after half an hour
        mutant.source_text()
        if unknown := set(mutant.laws) - LAWS.keys():
            raise BadMutant(f"mutant {mutant.name!r} names unknown laws {sorted(unknown)}")
    rows = {name: row for name, row in committed().items() if name in by_name}
    named = [m for m in by_name.values() if any(fnmatch(x, pattern) for x in (m.name, m.file) for pattern in options.only)]
    if options.only and not named:
        parser.error(f"no mutant is called, and no edited file is, {' or '.join(map(repr, options.only))}")
    chosen = named or (list(by_name.values()) if options.all else waiting(by_name.values(), rows))
    all_tried(chosen, rows, options.jobs)
    if not options.only:
        show_every_law(rows, by_name)
        write(rows.values())
    bad = sorted(row["name"] for row in rows.values() if is_bad(row)) if not options.only else [m.name for m in named if is_bad(rows[m.name])]
    print(f"{len(chosen)} tried, {len(bad)} mutants unnoticed, survivors noticed or controls accused{': ' + ', '.join(bad) if bad else ''}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
