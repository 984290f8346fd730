"""The command line: write the pages, check them, or count what is settled."""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from properties.evidence import BadEvidence, Evidence, write_text
from reports import benchmarks, gpu, kernels, peers, trained
from reports.book import Book, bound, evidence_in, mutants_in
from reports.coverage import coverage
from reports.headings import headings
from reports.render import FOLDERS, MARK, pages
from reports.render_explanations import fitting
from theorems import CLAIMS, BadLedger, inventory, sources
from theorems.claim import Claim
from theorems.disagreements import disagreements
from theorems.kernels import explanations
from theorems.sources import Source

HERE = Path(__file__).parent
BAD_INPUT = 2
EXAMPLES = """examples:
  python -m reports                    write every page from reports/evidence
  python -m reports --check            exit 1 and name each page that is out of date; write nothing
  python -m reports --coverage         count the settled statements of the course texts

Exit status: 0 all well; 1 a page is out of date, or evidence contradicts a claim; 2 an input cannot be used."""


def main(
    arguments: Sequence[str] | None = None,
    *,
    of_row: Callable[[Evidence], str],
    of_law: Callable[[str], str],
    of_peers: Callable[[], str],
    of_kernels: Callable[[], Mapping[str, str]] = dict,
    of_trained: Callable[[], str] = str,
    claims: Mapping[str, Claim] = CLAIMS,
) -> int:
    """Run the command and return its exit status. The functions `of_…` give the digests that a run would write today."""
    options = _parser().parse_args(arguments)
    try:
        book = replace(_book(options.evidence, claims, of_row, of_law), laws=of_peers(), sources_of_kernels=of_kernels())
        book = replace(book, kernels=kernels.read(options.evidence / kernels.FILE), explanations=explanations(), gpu=gpu.read(options.evidence))
        book = replace(book, benchmarks=benchmarks.read(options.evidence))
        fitting(book)
        book = replace(book, trained=trained.read(options.evidence), code_of_trained=of_trained())
    except (BadEvidence, BadLedger) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return BAD_INPUT
    if options.coverage:
        print(coverage(book))
    elif options.check:
        return _checked(book, options.out)
    else:
        _written(book, options.out)
    return _contradicted(book)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reports",
        description="Turn the committed evidence into verdicts and pages. Needs no torch and runs no check.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="exit 1 naming each page that is out of date with the evidence; write nothing")
    what.add_argument("--coverage", action="store_true", help="print how many statements are settled, by verdict and by text, and which")
    parser.add_argument("--evidence", type=Path, default=HERE / "evidence", metavar="DIR", help="the evidence files (default: reports/evidence)")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="where the pages stand (default: reports)")
    return parser


def _book(folder: Path, claims: Mapping[str, Claim], of_row: Callable[[Evidence], str], of_law: Callable[[str], str]) -> Book:
    return bound(
        claims,
        evidence_in(folder, claims),
        mutants_in(folder, claims),
        of_row=of_row,
        of_law=of_law,
        inventory=inventory.rows(),
        headings=headings(),
        texts=sources.TEXTS,
        sources={x.key: x for x in vars(sources).values() if isinstance(x, Source)},
        version=_version(),
        disagreements=disagreements(),
        judged=tuple(peers.read(folder / peers.FILE)),
    )


def _version() -> str:
    """The clone's version, or that of the installed package where there is no clone."""
    project = HERE.parent / "pyproject.toml"
    if project.is_file():
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    return metadata.version("attention-ledger")


def _written(book: Book, out: Path) -> None:
    """Write the pages that differ and remove those that nothing gives rise to any more."""
    fresh = pages(book)
    for path, text in fresh.items():
        if _found(out / path) != text:
            write_text(out / path, text)
    for old in _left_over(fresh, out):
        old.unlink()
    counts = ", ".join(f"{count} {verdict.value}" for verdict, count in book.counted().items() if count)
    print(f"{len(book.claims)} claims: {counts or 'none'}; {len(fresh)} pages in {out}")


def _checked(book: Book, out: Path) -> int:
    fresh = pages(book)
    late = [f"{path} is {'missing' if _found(out / path) is None else 'out of date'}" for path, text in fresh.items() if _found(out / path) != text]
    late += [f"{path.relative_to(out).as_posix()} belongs to nothing any more" for path in _left_over(fresh, out)]
    for problem in late:
        print(f"{problem}; run python -m reports", file=sys.stderr)
    return max(1 if late else 0, _contradicted(book))


def _contradicted(book: Book) -> int:
    for id in book.contradictions:
        print(f"{id}: {book.judgements[id].reason}", file=sys.stderr)
    return 1 if book.contradictions else 0


def _found(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _left_over(fresh: Mapping[str, str], out: Path) -> list[Path]:
    """Pages that an earlier run wrote and that this book does not have. A page written by hand is left alone."""
    old = sorted(path for folder in FOLDERS for path in (out / folder).glob("*.md"))
    return [path for path in old if path.relative_to(out).as_posix() not in fresh and (_found(path) or "").startswith(MARK)]
