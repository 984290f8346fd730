"""Pages: golden files of a small ledger, the command line, and the promise that rendering needs no torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from properties import evidence
from properties.evidence import BadEvidence
from reports import markdown, mutants, peers
from reports.book import Book, bound, evidence_in, mutants_in
from reports.command import main
from reports.coverage import coverage, settled_rows
from reports.render import MARK, pages
from reports.verdict import Verdict
from tests.golden import toy
from theorems.claim import Claim
from theorems.outcome import Outcome
from theorems.sources import S4

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"


def book(folder: Path = GOLDEN / "evidence", claims: Mapping[str, Claim] = toy.CLAIMS) -> Book:
    bare = bound(
        claims,
        evidence_in(folder, claims),
        mutants_in(folder, claims),
        of_row=lambda row: "now",
        of_law=lambda law: "now",
        inventory=toy.INVENTORY,
        headings=toy.HEADINGS,
        texts=toy.TEXTS,
        sources=toy.SOURCES,
        version="1.2.3",
        disagreements=toy.DISAGREEMENTS,
        judged=tuple(peers.read(folder / peers.FILE)),
    )
    return replace(bare, laws="now")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the toy evidence, free to be spoilt."""
    return Path(shutil.copytree(GOLDEN / "evidence", tmp_path / "evidence"))


def run(*arguments: object) -> int:
    return main([str(x) for x in arguments], of_row=lambda row: "now", of_law=lambda law: "now", of_peers=lambda: "now", claims=toy.CLAIMS)


@pytest.mark.parametrize("path", sorted(pages(book())))
def test_pages_are_those_that_a_reader_approved(path: str, refresh: bool) -> None:
    written, golden = pages(book())[path], GOLDEN / "pages" / path
    if refresh:
        evidence.write_text(golden, written)
    assert golden.read_text(encoding="utf-8") == written, f"{golden} differs; if the new page is right: pytest tests/test_reports.py --refresh"


def test_no_golden_page_is_left_over() -> None:
    assert {p.relative_to(GOLDEN / "pages").as_posix() for p in (GOLDEN / "pages").rglob("*.*")} == set(pages(book()))


def test_every_verdict_of_the_toy_ledger_is_the_intended_one() -> None:
    verdicts = {id: j.verdict.value for id, j in book().judgements.items()}
    assert verdicts == {
        "toy.row-sum": "proved", "toy.norm": "derived", "toy.order": "refuted", "toy.equivariance": "tested", "toy.masked": "conditional",
        "toy.taste": "not-checkable", "toy.later": "open", "toy.old": "stale", "toy.idle": "vacuous", "costs.products": "measured",
    }  # fmt: skip


def test_the_same_evidence_gives_the_same_bytes() -> None:
    backwards = dict(reversed(toy.CLAIMS.items()))
    assert pages(book()) == pages(book()) == pages(book(claims=backwards))


def test_links_lead_somewhere() -> None:
    """Every relative link of every page names a page that is written and an anchor that stands on it."""
    written = pages(book())
    for path, text in written.items():
        for target in markdown_links(text) if path.endswith(".md") else ():
            file, _, place = target.partition("#")
            parts = [*path.split("/")[:-1], *file.split("/")]
            while ".." in parts:
                at = parts.index("..")
                del parts[at - 1 : at + 1]
            assert "/".join(parts) in written, f"{path} links to {target}"
            assert not place or f'<a id="{place}">' in written["/".join(parts)], f"{path} links to {target}"


def markdown_links(text: str) -> list[str]:
    found = [part.partition(")")[0] for part in text.split("](")[1:]]
    return [target for target in found if "://" not in target]


def test_no_cell_of_a_table_is_torn() -> None:
    for path, text in pages(book()).items():
        columns = 0
        for line in text.splitlines() if path.endswith(".md") else ():
            bars = line.replace(r"\|", "").count("|") if line.startswith("| ") else 0
            assert not columns or not bars or bars == columns, f"{path}: {line}"
            columns = bars


def test_entries_carry_what_a_program_may_ask_for() -> None:
    entries = {e["id"]: e for e in json.loads(pages(book())["ledger.json"])["entries"]}
    wanted = {"id", "statement", "precise", "sources", "inventory", "verdict", "scope", "sizes", "assumptions", "reason", "corrected_by", "evidence"}
    assert all(wanted <= entry.keys() for entry in entries.values())
    assert entries["toy.norm"]["sizes"] == [2, 3]
    assert entries["toy.order"]["corrected_by"] == "toy.equivariance"
    assert entries["toy.row-sum"]["sources"][0] == {"document": S4.title, "heading": "Step 3: Apply Softmax", "url": ""}
    assert {e["outcome"] for e in entries["toy.row-sum"]["evidence"]} == {"held", "refuted", "not run"}


def test_numbers_without_a_json_word_are_written_as_text(folder: Path) -> None:
    worsen(folder, worst=float("inf"))
    entries = json.loads(pages(book(folder))["ledger.json"], parse_constant=pytest.fail)["entries"]
    assert "inf" in {row.get("worst") for entry in entries for row in entry["evidence"]}


def worsen(folder: Path, **fields: Any) -> None:
    """Let the toy's reference break a law."""
    path = folder / "linux-one.json"
    file = evidence.read(path)
    rows = [replace(e, outcome=Outcome.REFUTED, **fields) if e.subject == "toy/reference" else e for e in file.evidence]
    evidence.write(path, replace(file, evidence=tuple(rows)))


def test_a_derivation_that_did_not_hold_concludes_nothing(folder: Path) -> None:
    path = folder / "linux-one.json"
    file = evidence.read(path)
    doubted = [replace(e, steps=(*e.steps[:-1], replace(e.steps[-1], outcome=Outcome.UNDECIDED))) if e.steps else e for e in file.evidence]
    evidence.write(path, replace(file, evidence=tuple(doubted)))
    doubtful = book(folder)
    assert doubtful.judgements["toy.row-sum"].verdict is Verdict.OPEN
    assert "concludes" not in pages(doubtful)["topics/toy.md"]


def test_settled_rows_are_counted_under_their_harshest_verdict() -> None:
    settled = settled_rows(book())
    assert {row: v.value for row, v in settled.items()} == {"C003": "proved", "C004": "conditional", "C047": "refuted", "C049": "not-checkable"}
    assert coverage(book()).startswith("4 of 5 rows settled")
    assert "not settled 1: C048" in coverage(book())


# The command line.


def test_writing_then_checking_is_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--evidence", GOLDEN / "evidence", "--out", tmp_path)
    assert run(*arguments) == 0
    assert capsys.readouterr().out.startswith("10 claims: 1 proved, 1 derived, 1 tested, 1 measured, 1 conditional, 1 refuted, 1 not-checkable")
    assert run("--check", *arguments) == 0
    assert capsys.readouterr() == ("", "")


def test_check_names_every_page_that_is_out_of_date_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--evidence", GOLDEN / "evidence", "--out", tmp_path)
    run(*arguments)
    changed, missing, extra = tmp_path / "topics" / "toy.md", tmp_path / "texts" / "S2.md", tmp_path / "topics" / "gone.md"
    changed.write_text(changed.read_text(encoding="utf-8").replace("refuted", "proved"), encoding="utf-8")
    missing.unlink()
    extra.write_text(MARK, encoding="utf-8")
    before = changed.read_bytes()
    capsys.readouterr()
    assert run("--check", *arguments) == 1
    told = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in told] == ["topics/toy.md", "texts/S2.md", "topics/gone.md"]
    assert (changed.read_bytes(), missing.exists(), extra.exists()) == (before, False, True)


def test_pages_of_topics_that_are_gone_are_removed_and_others_left(tmp_path: Path) -> None:
    gone, by_hand = tmp_path / "topics" / "gone.md", tmp_path / "topics" / "bounds.md"
    evidence.write_text(gone, MARK)
    evidence.write_text(by_hand, "# Written by hand\n")
    run("--evidence", GOLDEN / "evidence", "--out", tmp_path)
    assert not gone.exists()
    assert by_hand.exists()


def test_a_contradiction_is_named_and_fails(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    worsen(folder)
    assert run("--evidence", folder, "--out", tmp_path / "out") == 1
    assert "toy.row-sum: contradiction: refuted by test_toy::rows_sum_to_one on toy/reference" in capsys.readouterr().err
    assert "**contradiction" in (tmp_path / "out" / "topics" / "toy.md").read_text(encoding="utf-8")
    assert run("--check", "--evidence", folder, "--out", tmp_path / "out") == 1


MUTANT = '{"schema": "attention-ledger/mutants/1", "controls": [], "digests": {}, "mutants": [{"name": "x", "file": "y", "why": "z", %s}]}'
BAD = {
    "no JSON": ("linux-one.json", "{", "not readable"),
    "foreign": ("linux-one.json", '{"schema": "someone-elses/1"}', "someone-elses/1"),
    "a list": ("linux-one.json", "[]", "list"),
    "a row of the wrong type": ("linux-one.json", None, "examples"),
    "an unknown claim": ("linux-one.json", None, "toy.row-sums"),
    "foreign mutants": ("mutants.json", '{"schema": "attention-ledger/evidence/1"}', "attention-ledger/mutants/1"),
    "mutants without digests": ("mutants.json", '{"schema": "attention-ledger/mutants/1", "mutants": [], "controls": []}', "digests"),
    "kills that are no list": ("mutants.json", MUTANT % '"kills": "w"', "kills"),
    "a mutant with an unknown field": ("mutants.json", MUTANT % '"killed": "w"', "killed"),
    "a mutant that breaks an unknown claim": ("mutants.json", MUTANT % '"breaks": ["toy.nothing"]', "toy.nothing"),
}
SPOILT = {"a row of the wrong type": ('"examples": 200', '"examples": "200"'), "an unknown claim": ('"claim": "toy.row-sum"', '"claim": "toy.row-sums"')}


@pytest.mark.parametrize("kind", BAD)
def test_bad_evidence_is_named_in_one_line_and_left_as_it_is(kind: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, text, quoted = BAD[kind]
    path = folder / name
    path.write_text(text if text is not None else path.read_text(encoding="utf-8").replace(*SPOILT[kind]), encoding="utf-8")
    before = path.read_bytes()
    assert run("--evidence", folder, "--out", tmp_path / "out") == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert str(path) in err
    assert quoted in err
    assert path.read_bytes() == before
    assert not (tmp_path / "out").exists()


def test_a_missing_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--evidence", tmp_path / "nowhere", "--out", tmp_path) == 2
    assert "nowhere" in capsys.readouterr().err


def test_without_evidence_everything_is_open(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    empty = book(tmp_path / "evidence")
    assert {j.verdict for j in empty.judgements.values()} == {Verdict.OPEN, Verdict.NOT_CHECKABLE}
    assert "No evidence has been taken yet." in pages(empty)["README.md"]


ALONE = """
import runpy, sys
for blocked in ("torch", "triton", "impl"):
    sys.modules[blocked] = None  # importing it now raises ImportError
sys.argv = ["reports", "--out", sys.argv[1]]
runpy.run_module("reports", run_name="__main__")
"""


def test_rendering_needs_neither_torch_nor_triton_nor_an_implementation(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ALONE, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (tmp_path / "ledger.json").exists(), done.stderr


def test_a_malformed_ledger_is_told_in_one_line(tmp_path: Path) -> None:
    for package in ("theorems", "properties", "reports"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "evidence", "*.md"))
    with (tmp_path / "theorems" / "__init__.py").open("a", encoding="utf-8") as ledger:
        ledger.write("\ntwice = Claim(id='softmax.twice', title='', states='', precise='', sources=(), scope='', inventory=('C999',))\n")
        ledger.write("gathered((ModuleType('topic'), type('topic', (), {'twice': twice})))\n")
    done = subprocess.run([sys.executable, "-m", "reports"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr == "claim 'softmax.twice' names unknown inventory rows ['C999']; rows run from C001 to C332\n"


# Mutant evidence.


def test_a_kill_counts_only_for_the_law_as_it_is_today(folder: Path) -> None:
    planted = mutants.read(folder / "mutants.json")
    row = evidence.Evidence(claim="toy.idle", law="search:toy.idle", subject=evidence.SEARCH, outcome=Outcome.HELD)
    assert planted.breaking("toy.idle", [row], lambda law: "now") == ()
    assert planted.breaking("toy.idle", [row], lambda law: "before") == ("met_another_law",)
    assert planted.breaking("toy.idle", [replace(row, subject="toy/stranger")], lambda law: "before") == ()
    assert planted.breaking("toy.equivariance", [], lambda law: "now") == ("order_reversed",)


def test_no_mutant_file_means_no_mutant(tmp_path: Path) -> None:
    assert mutants.read(tmp_path / "mutants.json") == mutants.Mutants()
    with pytest.raises(BadEvidence, match="not readable"):
        mutants.read(tmp_path)


# Markdown.


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("$p_i < 1$ and $q_i$", "$`p_i < 1`$ and $`q_i`$"),
        ("costs \\$5 and \\$6", "costs \\$5 and \\$6"),
        ("already $`x_i`$", "already $`x_i`$"),
        ("code `a $x$ b` stays", "code `a $x$ b` stays"),
        ("a <b> c", "a &lt;b> c"),
        ("so $$x^2$$ holds", "so \n\n```math\nx^2\n```\n\n holds"),
    ],
)
def test_formulas_survive_markdown(text: str, written: str) -> None:
    assert markdown.prose(text) == written


def test_bars_do_not_end_a_cell() -> None:
    assert markdown.cell("$|x|$ | $\\|x\\|$ | `a|b` $$y$$") == "$`\\vert x\\vert `$ \\| $`\\Vert x\\Vert `$ \\| `a\\|b` $`y`$"
    assert markdown.plain("a|b_c<d> *e*") == "a\\|b\\_c&lt;d> \\*e\\*"


def test_a_broken_file_of_peers_is_named(folder: Path) -> None:
    for text in ("{", '{"schema": "somebody-else/1", "peers": {}}', '{"schema": "attention-ledger/peers/1", "peers": {"x": {}}}'):
        (folder / peers.FILE).write_text(text)
        with pytest.raises(BadEvidence, match=r"peers\.json: malformed"):
            peers.read(folder / peers.FILE)
