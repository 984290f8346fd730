"""The kernels that ship, as compiled for four GPUs that are not there: what is asserted of the committed evidence, and a few compiled afresh."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import replace
from importlib import metadata, util
from pathlib import Path
from typing import Any

import pytest

from impl._triton.occupancy import LIMITS
from impl.scaled_dot_product.configuration import TABLE, WIDTHS
from properties import kernels as command
from properties.evidence import BadEvidence
from properties.kernels import EVIDENCE, Case
from reports.kernels import Kernel, Kernels, read
from reports.kernels import kernel as parsed
from reports.render_kernels import kernels_page
from reports.roofline import DEVICES, clocks, intensity, length_at_ridge
from tests.test_reports import book

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command turns Triton's interpreter off for its process, which these tests share with others."""
    monkeypatch.setenv("TRITON_INTERPRET", os.environ.get("TRITON_INTERPRET", "1"))


@pytest.fixture(scope="module")
def kernels() -> Kernels:
    found = read(EVIDENCE)
    assert found is not None, "no evidence; make kernels writes it"
    return found


def key(x: Kernel) -> Case:
    return Case(x.target, x.kernel, x.width, x.dtype, x.causal)


def test_the_evidence_is_of_the_sources_as_they_are(kernels: Kernels) -> None:
    assert kernels.checks == command.current(), "the kernels, their launches or the reading of compiled objects have changed; make kernels"
    assert f"triton=={kernels.triton}\n" in (ROOT / "constraints.txt").read_text(encoding="utf-8"), "compiled by another triton than is pinned; make kernels"


def test_every_shipping_configuration_is_there(kernels: Kernels) -> None:
    """Every width of the table and one that is no power of two; the first entry of each row, in both half precisions, causal and not."""
    assert {*WIDTHS, 80} == set(command.WIDTHS)
    assert sorted(map(key, kernels.rows)) == sorted(command.cases(TABLE))
    for x in kernels.rows:
        padded = 1 << (x.width - 1).bit_length()
        assert x.configuration == TABLE[x.target][x.kernel][WIDTHS.index(padded)][0], f"{key(x)} was compiled in another configuration; make kernels"


@pytest.mark.parametrize("target", TABLE)
def test_no_loop_touches_local_memory(kernels: Kernels, target: str) -> None:
    assert not [(str(key(x)), x.local_in_loops) for x in kernels.of(target) if x.local_in_loops]


@pytest.mark.parametrize("target", TABLE)
def test_every_matrix_product_runs_on_tensor_cores(kernels: Kernels, target: str) -> None:
    for x in kernels.of(target):
        assert x.found["products"] > 0 == x.found["scalar_products"], key(x)
        assert all(loop.counts["tensor core"] for loop in x.loops), key(x)


@pytest.mark.parametrize("target", TABLE)
def test_the_shared_memory_fits_the_target(kernels: Kernels, target: str) -> None:
    for x in kernels.of(target):
        assert x.found["shared"] <= LIMITS[target].block_shared, key(x)
        assert x.found["occupancy"]["blocks"] >= 1, key(x)


@pytest.mark.parametrize("target", TABLE)
def test_tiles_are_loaded_16_bytes_at_a_time(kernels: Kernels, target: str) -> None:
    for x in kernels.of(target):
        assert not command.narrow_tiles(key(x), x.configuration, dict(x.found)), key(x)


def test_nothing_else_is_complained_about(kernels: Kernels) -> None:
    assert not [(str(key(x)), text) for x in kernels.rows for text in x.complaints]


def test_no_matrix_instructions_wait_for_each_other(kernels: Kernels) -> None:
    assert not [(str(key(x)), text) for x in kernels.rows for text in x.remarks]


@pytest.mark.parametrize("width", [64, 128])
def test_a_tile_takes_fewer_instructions_than_the_peers(kernels: Kernels, width: int) -> None:
    """Our forward kernel on sm_90 in float16 beside Triton's tutorial in the same tile, causal and not."""
    peer = kernels.peer["instructions"][str(width)]
    ours, plainly = (kernels.one("sm_90", "forward", width, "float16", causal) for causal in (True, False))
    assert kernels.peer == json.loads(json.dumps(command.PEER))
    assert ours is not None
    assert plainly is not None
    assert plainly.unmasked.a_tile is not None
    assert ours.masked is not None
    assert list(ours.configuration) == peer["configuration"]
    counts = {"unmasked": ours.unmasked.a_tile, "masked": ours.masked.a_tile}
    assert all(mine is not None and mine < peer[loop] for loop, mine in counts.items()), (counts, peer)
    assert plainly.unmasked.a_tile < peer["unmasked"]
    assert ours.unmasked.a_tile is not None
    assert ours.unmasked.a_tile < peer.get("causal", peer["unmasked"])


def test_compiled_afresh_they_are_what_the_evidence_says(kernels: Kernels, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("triton", reason="needs triton (pip install attention-ledger[kernels]; Linux only)")
    if metadata.version("triton") != kernels.triton:
        pytest.skip(f"the evidence is of Triton {kernels.triton}")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))  # nothing that an earlier run left
    wanted = [Case("sm_90", name, width, "float16", True) for name, width in (("forward", 64), ("forward", 128), ("backward_keys", 64))]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:  # in a process whose Triton does not interpret
        for case, row in zip(wanted, pool.map(command.row, wanted), strict=True):
            committed = kernels.one(*case)
            assert committed is not None
            assert json.loads(json.dumps(row)) == committed.found, f"{case} compiles to something else; make kernels"


def test_narrow_loads_of_a_tile_are_seen(kernels: Kernels) -> None:
    """Each kernel with half of its wide loads, then with none: a tile that is not fetched whole is complained about wherever it is loaded."""
    for x in kernels.rows:
        row = deepcopy(dict(x.found))
        for part in (*row["loops"], row["outside"]):
            part["widths"] = {"8": 2 * sum(part["widths"].values())}
            part["moves"] = {name: n for name, n in part["moves"].items() if not name.startswith("UTMALDG")}
        assert len(command.narrow_tiles(key(x), x.configuration, row)) == len(x.loops) + 1, key(x)


class Listed:
    """A compiled kernel with a listing of its own."""

    def __init__(self) -> None:
        self.asm = {"cubin": b""}


def test_serialised_matrix_instructions_are_remarked(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case("sm_90", "forward", 64, "float16", True)
    for listing, wrong in (("WARPGROUP.ARRIVE\nHGMMA.64\nHGMMA.64\n", False), ("WARPGROUP.ARRIVE\nHGMMA.64\n" * 2, True), ("HMMA.16816", False)):
        monkeypatch.setattr("impl._triton.compiled.output", lambda tool, option, cubin, listing=listing: listing)
        assert bool(command.serialised(case, Listed())) == wrong, listing


def test_rows_of_other_sources_are_dropped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kernels: Kernels) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "3.7.1")
    first, second = (dict(x.found) for x in kernels.rows[:2])
    path = tmp_path / "kernels.json"
    path.write_text(command.document([second, first]), encoding="utf-8")
    assert path.read_text(encoding="utf-8") == command.document([first, second])
    assert command.kept(path, []) == [first, second]
    assert command.kept(path, [second]) == [first]
    monkeypatch.setattr(command, "current", lambda: "later")
    assert command.kept(path, []) == []
    assert command.kept(tmp_path / "missing.json", []) == []


def test_the_command_names_what_it_cannot_use(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: object())
    assert command.main(["--targets", "sm_61", "--out", str(tmp_path / "x.json")]) == command.BAD_INPUT
    assert "sm_61; possible targets are sm_80, sm_90, sm_100, gfx942" in capsys.readouterr().err
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    assert command.main(["--targets", "sm_90"]) == command.BAD_INPUT
    assert "needs triton" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def spoilt(change: Callable[[dict[str, Any]], Any]) -> str:
    document = json.loads(EVIDENCE.read_text(encoding="utf-8"))
    document["rows"] = document["rows"][:1]
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda document: document.update(schema="attention-ledger/kernels/0"), "schema is 'attention-ledger/kernels/0'"),
        (lambda document: document["rows"][0].pop("width"), "KeyError: 'width'"),
        (lambda document: document["rows"][0].update(causal="yes"), "causal is 'yes', expected bool"),
        (lambda document: document["rows"][0]["outside"].update(instructions=None), "instructions is None, expected int"),
        (lambda document: document["rows"][0].update(loops=[]), "multiplies matrices"),
    ],
)
def test_malformed_evidence_is_named(change: Callable[[dict[str, Any]], Any], says: str, tmp_path: Path) -> None:
    path = tmp_path / "kernels.json"
    path.write_text(spoilt(change), encoding="utf-8")
    with pytest.raises(BadEvidence, match=r"write it anew with python -m properties\.kernels") as caught:
        read(path)
    assert says in str(caught.value)


def test_the_page_says_what_it_is_and_shows_complaints_and_age(kernels: Kernels) -> None:
    fresh = replace(book(), kernels=kernels, sources_of_kernels=kernels.checks)
    page = kernels_page(fresh)
    assert "No GPU has run these kernels for this page, and nothing on it was timed" in page
    assert "earlier version" not in page
    assert "Complaints: none" in page
    assert all(f'<a id="{target}"></a>' in page for target in TABLE)
    assert "earlier version" in kernels_page(replace(fresh, sources_of_kernels="later"))
    worse = replace(kernels, rows=(replace(kernels.rows[0], complaints=("loop 0 loads 4 times from local memory",)), *kernels.rows[1:]))
    assert "loop 0 loads 4 times from local memory" in kernels_page(replace(fresh, kernels=worse))


def test_no_cell_of_the_page_is_torn(kernels: Kernels) -> None:
    columns = 0
    for line in kernels_page(replace(book(), kernels=kernels)).splitlines():
        bars = line.count("|") if line.startswith("| ") else 0
        assert not columns or not bars or bars == columns, line
        columns = bars


def test_the_estimates_count_what_they_say() -> None:
    assert intensity(4096, 64) == pytest.approx(4 * 4096**2 * 64 / (4 * 2 * 4096 * 64 + 4 * 4096), rel=1e-15)
    for device in DEVICES.values():
        assert intensity(1, 64) * length_at_ridge(device, 64) == pytest.approx(device.flops / device.bandwidth, rel=1e-15)  # it grows as n
    part = {"instructions": 1024, "counts": {"tensor core": 8, "special function": 64}, "moves": {}, "widths": {}, "parent": None, "unroll": 2}
    about = {"target": "sm_90", "kernel": "forward", "width": 48, "dtype": "float16", "causal": True, "configuration": [128, 64, 4, 3]}
    limit = clocks(parsed({**about, "complaints": [], "remarks": [], "loops": [part], "outside": part}))
    assert limit is not None
    # Two products of 2 · 128 · 64 · 64 operations at 4096 a clock; 32 instructions of 4 warps of 32 lanes at 16 a clock; 512 · 4 instructions at 4 a clock.
    assert (limit.useful, limit.tensor, limit.special, limit.issue, limit.share) == (384, 512, 256, 512, 0.75)


def test_the_evidence_is_read_and_its_age_told_without_torch_and_triton() -> None:
    code = "import sys; sys.modules['torch'] = sys.modules['triton'] = None; from properties import kernels; import reports.render_kernels; kernels.current()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
