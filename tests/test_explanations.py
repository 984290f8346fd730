"""How the kernels work, as a page tells it: the file is whole, what it names exists, and its formulas agree with the counts."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from impl import IMPLEMENTATIONS
from properties import kernels as command
from reports.command import main
from reports.kernels import read as read_kernels
from reports.render import pages
from reports.render_explanations import explanations_page, fitting, unsupported
from reports.verdict import POSITIVE, Verdict
from tests.golden import toy
from tests.test_reports import GOLDEN, book
from theorems import CLAIMS, BadLedger
from theorems import kernels as file
from theorems.kernels import Exact, Explanation, Kernel, Limit, Source, explanations, read

ROOT = Path(__file__).parents[1]
TOY = Explanation(
    folder="toy",
    title="A toy",
    computes="A row of $|p|$, and | a bar.",
    algorithm="$$p_j = e^{s_j}$$",
    implementations=("toy/reference", "toy/missing"),
    files=("impl/toy.py",),
    sources=(Source(title="Somebody", url="https://example.org"),),
    exact=(Exact(claim="toy.row-sum", because="It sums to one."), Exact(claim="toy.later", because="One day.")),
    limits=(Limit(limit="None below one.", reason="There is no half a key."),),
    kernels=(
        Kernel(name="forward", does="All of it.", cost="$2RC$.", tile="2 * ROWS * COLUMNS * (D + E)"),
        Kernel(name="other", does="More.", cost="Nothing."),
    ),
)


def test_every_folder_of_kernels_is_explained_and_no_other() -> None:
    assert {x.folder for x in explanations()} == set(command.listings())


@pytest.mark.parametrize("explained", explanations(), ids=lambda x: x.folder)
def test_what_an_entry_names_exists(explained: Explanation) -> None:
    variants = {x.partition("/")[0] for x in explained.implementations}
    ours = {f"{x.variant.name}/{x.name}" for x in IMPLEMENTATIONS if x.triton and x.variant.name in variants}
    assert ours, f"{explained.folder}: no implementation in Triton among {sorted(variants)}"
    assert set(explained.implementations) == ours, f"{explained.folder}: the implementations in Triton are {sorted(ours)}"
    assert [x for x in explained.files if not (ROOT / x).is_file()] == []
    assert f"impl/{explained.folder}/kernel.py" in explained.files
    assert all(x.url.startswith("https://") for x in explained.sources)


def test_what_the_kernels_lean_on_is_supported() -> None:
    """In the committed ledger; a page says so too where it is not."""
    verdicts = {entry["id"]: Verdict(entry["verdict"]) for entry in json.loads((ROOT / "reports" / "ledger.json").read_text(encoding="utf-8"))["entries"]}
    claims = {part.claim for explained in explanations() for part in explained.exact}
    assert {id: verdicts[id].value for id in claims if verdicts[id] not in POSITIVE} == {}


@pytest.mark.parametrize("explained", explanations(), ids=lambda x: x.folder)
def test_its_kernels_are_those_that_are_compiled_and_their_tiles_count(explained: Explanation) -> None:
    """The operations of a tile divide those of a call, for every specimen: else the formula is not the kernel's."""
    evidence = read_kernels(command.EVIDENCE)
    assert evidence is not None
    rows = evidence.of(explained.folder)
    assert {x.name for x in explained.kernels} == {row.kernel for row in rows}
    for row in rows:
        (kernel,) = (x for x in explained.kernels if x.name == row.kernel)
        if kernel.tile:
            assert row.cost.products % kernel.a_tile(row.constants) == 0 < row.cost.products, str(row)


@cache
def entry() -> dict[str, Any]:
    return {
        "title": "A toy", "computes": "x", "algorithm": "x", "implementations": ["toy/triton"], "files": ["x.py"], "sources": [{"title": "x", "url": "x"}],
        "exact": [{"claim": "toy.row-sum", "because": "x"}], "limits": [{"limit": "x", "reason": "x"}],
        "kernels": [{"name": "turn", "does": "x", "cost": "x", "tile": "2 * ROWS"}],
    }  # fmt: skip


def written(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {written(x)}" for name, x in value.items()) + "}"
    return "[" + ", ".join(map(written, value)) + "]" if isinstance(value, list) else repr(value)


def spoilt(change: Callable[[dict[str, Any]], Any]) -> str:
    text = written(entry())
    copy = tomllib.loads(f"x = {text}")["x"]
    change(copy)
    return f"toy = {written(copy)}"


def test_a_whole_entry_is_read() -> None:
    (found,) = read(spoilt(lambda x: None), toy.CLAIMS)
    assert (found.folder, found.kernels[0].a_tile({"ROWS": 16}), found.remarks) == ("toy", 32, ())
    assert Kernel(name="x", does="x", cost="x", tile="(A + 1) * B - A // 2").a_tile({"A": 5, "B": 7}) == 40


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x: x.pop("algorithm"), "toy lacks algorithm"),
        (lambda x: x.update(proof="x"), "toy has the unknown proof; its fields are title, "),
        (lambda x: x.update(title=" "), "toy: title is ' ', which should be text"),
        (lambda x: x.update(files=[]), "toy: files is [], which should be a list of texts"),
        (lambda x: x.update(limits=[]), "toy: limits is [], which should be a list of tables"),
        (lambda x: x.update(limits="none"), "toy: limits is 'none', which should be a list of tables"),
        (lambda x: x["kernels"].append("turn"), "toy, kernels 2 is 'turn', and no table"),
        (lambda x: x["kernels"][0].pop("cost"), "toy, kernels 1 lacks cost"),
        (lambda x: x["exact"][0].update(claim="toy.row-sun"), "toy leans on the unknown claim 'toy.row-sun'; claims with the nearest ids are toy.row-sum"),
        (lambda x: x.update(implementations=["triton"]), "toy names the implementation 'triton', which should be \"variant/name\""),
        (lambda x: x["kernels"][0].update(tile="2 *"), "toy, turn: tile is '2 *', which is no expression"),
        (lambda x: x["kernels"][0].update(tile="f(2)"), "toy, turn: tile is 'f(2)', where only names, whole numbers"),
        (lambda x: x["kernels"][0].update(tile="2.5 * ROWS"), "toy, turn: tile is '2.5 * ROWS', where only names, whole numbers"),
    ],
)
def test_what_is_wrong_with_an_entry_is_named(change: Callable[[dict[str, Any]], Any], says: str) -> None:
    with pytest.raises(BadLedger) as caught:
        read(spoilt(change), toy.CLAIMS)
    assert str(caught.value).startswith(f"kernels.toml: {says}")


def test_a_broken_file_is_told_in_one_line_and_no_page_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("reports.command.explanations", lambda: read(spoilt(lambda x: x.pop("title")), toy.CLAIMS))
    arguments = ["--evidence", str(GOLDEN / "evidence"), "--out", str(tmp_path)]
    assert main(arguments, of_row=lambda row: "now", of_law=lambda law: "now", of_peers=lambda: "now", claims=toy.CLAIMS) == 2
    assert capsys.readouterr().err == "kernels.toml: toy lacks title\n"
    assert not list(tmp_path.iterdir())
    with pytest.raises(BadLedger, match=r"kernels\.toml is no TOML"):
        read("[toy", CLAIMS)


@pytest.mark.parametrize(
    ("tile", "says"),
    [("2 * WIDHT", "cannot be computed (KeyError: 'WIDHT'); the kernel's constants are ALIBI"), ("ROWS - ROWS", "which makes 0 operations")],
)
def test_a_formula_that_is_not_the_kernels_is_named(tile: str, says: str) -> None:
    evidence = read_kernels(command.EVIDENCE)
    assert evidence is not None
    explained = replace(TOY, folder=command.DENSE, kernels=(replace(TOY.kernels[0], tile=tile),))
    with pytest.raises(BadLedger) as caught:
        fitting(replace(book(), explanations=(explained,), kernels=evidence))
    assert str(caught.value).startswith(f"kernels.toml: forward: tile is {tile!r}, ")
    assert says in str(caught.value)


# The page.


def test_the_page_shows_verdicts_evidence_and_what_is_missing() -> None:
    page = explanations_page(replace(book(), explanations=(TOY,)))
    assert "| It sums to one. | **proved**: [The weights of a row sum to one" in page
    assert "**Not all of it is supported by evidence at present:** [`toy.later`](topics/toy.md#toy.later) (open)." in page
    assert "**No evidence has been taken of `toy/missing`.**" in page
    assert page.count("Not compiled yet.") == 3
    assert "None has been tried yet." in page
    assert unsupported(book(), TOY) == ["toy.later"]


def test_its_pages_link_to_each_other_and_one_of_other_claims_is_left_out() -> None:
    with_toy = replace(book(), explanations=(TOY,))
    written = pages(with_toy)
    assert "[how the kernels work](how-kernels-work.md)" in written["README.md"]
    assert "**Kernels lean on it:** [A toy](../how-kernels-work.md#toy)" in written["topics/toy.md"]
    other = replace(TOY, exact=(Exact(claim="flash.any-stabiliser", because="x"),))
    assert pages(replace(with_toy, explanations=(other,))) == pages(book())


def test_figures_and_planted_bugs_stand_beside_it() -> None:
    evidence = read_kernels(command.EVIDENCE)
    assert evidence is not None
    rows = tuple(replace(x, folder="toy") for x in evidence.of(command.DENSE, "sm_90") if x.kernel == "forward")
    kernels = replace(evidence, rows=rows, checks={"toy": "then"})
    noticed = book().mutants.mutants[0]
    explained = replace(TOY, files=(noticed.file,))
    full = replace(book(), explanations=(explained,), kernels=kernels, sources_of_kernels={"toy": "now"})
    page = explanations_page(full)
    assert "[How it works]" not in page
    assert f"[{len(rows)} kernels compiled](kernels.md#toy) (from an earlier version of the sources) for sm_90, none with a complaint." in page
    assert f"`{noticed.name}`" in page
    forward = next(x for x in rows if (x.case, x.dtype) == ("width 64", "float16"))
    assert f"| {forward.cost.products:,} |" in page
    assert forward.cost.products == 2 * 16 * 4 * 1024 * 1024 * 64
    tiles = forward.cost.products // (2 * forward.constants["ROWS"] * forward.constants["COLUMNS"] * 128)
    assert f"| {tiles:,} |" in page


def test_no_cell_of_the_page_is_torn() -> None:
    columns = 0
    for line in explanations_page(replace(book(), explanations=(TOY,), kernels=read_kernels(command.EVIDENCE))).splitlines():
        bars = line.replace(r"\|", "").count("|") if line.startswith("| ") else 0
        assert not columns or not bars or bars == columns, line
        columns = bars


def test_the_file_that_ships_is_the_one_that_is_read() -> None:
    assert file.FILE == ROOT / "theorems" / "kernels.toml"
