"""The page of the families' benchmarks: read from a file, refused where it is malformed, with a picture for each family."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from properties.environment import slug
from properties.evidence import BadEvidence
from reports.benchmarks import SCHEMA, read
from reports.render_benchmarks import benchmarks_page
from tests.benchmarks import results
from tests.benchmarks.families import FAMILIES

REPORTS = Path(__file__).parents[1] / "reports"
ENVIRONMENT = {"system": "s", "machine": "m", "vectors": "v", "torch": "1", "python": "3"}


def rows() -> list[dict[str, Any]]:
    """Two contestants of each family at four sizes: 5 n² and 3 n operations."""
    found = []
    for family, one in FAMILIES.items():
        for n in one.sizes:
            for name, of in (("slow", 5 * n * n), ("fast", 3 * n)):
                row = {"family": family, "n": n, "contestant": name, "definition": name == "slow", "operations": of, "peak_bytes": 8 * n}
                found.append(row | {"rounds": 2, "best_seconds": of / 1e9, "median_seconds": of / 5e8})
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that a whole run writes."""
    found = tmp_path_factory.mktemp("reports")
    results.write_families(found, ENVIRONMENT, {"processors": 2}, rows())
    return found


def test_the_page_shows_counts_exponents_times_and_a_picture_a_family(folder: Path) -> None:
    page = benchmarks_page(read(folder / "evidence"))
    n, *_ = FAMILIES["windowed"].sizes
    assert f"| *slow* | 2.00 | {5 * n * n:,} |" in page
    assert f"| fast | 1.00 | {3 * n:,} |" in page
    pictures = sorted(path.name for path in (folder / "benchmarks").glob("*.svg"))
    assert len(pictures) == len(FAMILIES)
    assert all(f"(benchmarks/{name})" in page for name in pictures)


def test_the_same_rows_give_the_same_picture(folder: Path) -> None:
    own = [row for row in rows() if row["family"] == "dense"]
    (drawn,) = (folder / "benchmarks").glob("dense-*.svg")
    about = {"title": FAMILIES["dense"].title, "axis": FAMILIES["dense"].axis}
    assert results.plot_family(own, about, slug(ENVIRONMENT)) == drawn.read_text(encoding="utf-8")


def test_a_part_of_the_families_writes_nothing(tmp_path: Path) -> None:
    results.write_families(tmp_path, ENVIRONMENT, {}, rows()[:8])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda document: document.update(schema="x"), f"schema is 'x', expected '{SCHEMA}'"),
        (lambda document: document["rows"][0].pop("n"), "KeyError: 'n'"),
        (lambda document: document["rows"][0].update(operations="many"), "operations is 'many', expected int"),
        (lambda document: document["rows"].pop(0), "contestants have sizes"),
    ],
)
def test_malformed_evidence_is_named(change: Callable[[dict[str, Any]], Any], says: str, folder: Path, tmp_path: Path) -> None:
    (path,) = (folder / "evidence").iterdir()
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    (tmp_path / path.name).write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(BadEvidence, match="write it anew with make bench") as caught:
        read(tmp_path)
    assert says in str(caught.value)


def test_what_is_committed_has_its_pictures() -> None:
    found = read(REPORTS / "evidence")
    assert found, "no evidence; make bench writes it"
    for one in found:
        assert {x.name for x in one.families} == set(FAMILIES), "families were added or dropped; make bench"
        for family in one.families:
            assert {x.name for x in family.contestants} == set(FAMILIES[family.name].contestants), f"{family.name}; make bench"
            assert (REPORTS / family.picture).is_file()
