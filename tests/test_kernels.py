"""The kernels that ship, as compiled for four GPUs that are not there: what is asserted of the committed evidence, and a few compiled afresh."""

from __future__ import annotations

import doctest
import importlib.util
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import replace
from functools import partial
from importlib import metadata, util
from pathlib import Path
from typing import Any

import pytest

from impl.scaled_dot_product.configuration import TABLE
from impl.scaled_dot_product.configuration import WIDTHS as TABLE_WIDTHS
from properties import digest
from properties import kernels as command
from properties.evidence import BadEvidence
from properties.kernels import DENSE, DTYPES, EVIDENCE, TARGETS, WIDTHS, Case
from reports import roofline
from reports.kernels import Cost, Kernel, Kernels, read
from reports.kernels import kernel as parsed
from reports.render_kernels import configured, kernels_page
from reports.roofline import DEVICES, bounds, clocks, intensity, length_at_ridge
from tests.test_reports import book
from theorems.kernels import explanations

ROOT = Path(__file__).parents[1]
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs triton (pip install attention-ledger[kernels]; Linux only)")


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
    return Case(x.target, x.folder, x.kernel, x.case, x.dtype)


def test_the_evidence_is_of_the_sources_as_they_are(kernels: Kernels) -> None:
    now = command.current()
    late = [folder for folder in {*now, *kernels.checks} if now.get(folder) != kernels.checks.get(folder)]
    assert not late, f"the kernels of {late}, their launches or the reading of compiled objects have changed; make kernels"
    assert f"triton=={kernels.triton}\n" in (ROOT / "constraints.txt").read_text(encoding="utf-8"), "compiled by another triton than is pinned; make kernels"


@needs_triton
@pytest.mark.parametrize("folder", command.listings())
def test_every_specimen_is_there_for_every_target_and_dtype(kernels: Kernels, folder: str) -> None:
    wanted = command.cases([folder])
    assert wanted
    assert {(x.target, x.dtype) for x in wanted} == {(target, dtype) for target in TARGETS for dtype in DTYPES}, f"{folder} lists nothing for some target"
    assert sorted(key(x) for x in kernels.of(folder)) == sorted(wanted)


def test_every_shipping_configuration_of_dense_attention_is_there(kernels: Kernels) -> None:
    """Every width of the table and one that is no power of two; the first entry of each row."""
    assert {*TABLE_WIDTHS, 80} == set(WIDTHS)
    assert set(TABLE) == set(TARGETS) == set(DEVICES)
    cases = {f"width {width}{also}": width for width in WIDTHS for also in ("", ", causal")}
    names = {Case(target, DENSE, kernel, case, dtype) for target in TARGETS for kernel in command.KERNELS for case in cases for dtype in DTYPES}
    assert {key(x) for x in kernels.of(DENSE)} == names
    for x in kernels.of(DENSE):
        assert (x.constants["WIDTH"], x.constants["CAUSAL"]) == (cases[x.case], x.case.endswith("causal"))
        shipped = TABLE[x.target][x.kernel][TABLE_WIDTHS.index(x.constants["D"])][0]
        assert configured(x) == list(shipped), f"{x} was compiled in another configuration; make kernels"


@needs_triton
def test_nothing_is_complained_about(kernels: Kernels) -> None:
    """No local memory in loops, no product without tensor cores, no tile fetched narrowly, nothing that does not fit: judged anew from the figures."""
    said = {str(x): command.complaints(x.found) for x in kernels.rows}
    assert {name: wrong for name, wrong in said.items() if wrong} == {}
    assert [str(x) for x in kernels.rows if x.complaints or x.local_in_loops] == []


def test_every_matrix_product_runs_on_tensor_cores(kernels: Kernels) -> None:
    """Kernels that multiply no matrices have none to run; of those of dense attention each loop multiplies."""
    for x in kernels.rows:
        assert x.found["scalar_products"] == 0, str(x)
        assert bool(x.found["products"]) == bool(x.tensor_instructions) == bool(x.cost.products), str(x)
        if x.folder == DENSE:
            assert x.found["products"] > 0, str(x)
            assert all(loop.counts["tensor core"] for loop in x.loops), str(x)


def test_a_kernel_costs_something_and_loads_no_less_than_it_can(kernels: Kernels) -> None:
    for x in kernels.rows:
        assert min(x.cost.read, x.cost.once) > 0 <= x.cost.functions, str(x)
        assert x.cost.written > 0, str(x)
        limit = bounds(x.target, x.cost)
        assert 0 < limit.memory <= limit.uncached, str(x)
        assert limit.least >= limit.products, str(x)


def test_what_is_remarked_has_a_reason_and_no_reason_is_left_over(kernels: Kernels) -> None:
    """The reasons stand in theorems/kernels.toml."""
    reasons = {(x.folder, remark.target, remark.kernel) for x in explanations() for remark in x.remarks}
    assert {(x.folder, x.target, x.kernel) for x in kernels.rows if x.remarks} == reasons


@pytest.mark.parametrize("width", [64, 128])
def test_a_tile_takes_fewer_instructions_than_the_peers(kernels: Kernels, width: int) -> None:
    """Our forward kernel on sm_90 in float16 beside Triton's tutorial in the same tile, causal and not."""
    peer = kernels.peer["instructions"][str(width)]
    ours, plainly = (kernels.one("sm_90", DENSE, "forward", f"width {width}{also}", "float16") for also in (", causal", ""))
    assert kernels.peer == json.loads(json.dumps(command.PEER))
    assert ours is not None
    assert plainly is not None
    assert configured(ours) == peer["configuration"]
    whole, (unmasked, masked) = plainly.loops[0].a_tile, (loop.a_tile for loop in ours.loops)
    assert whole is not None
    assert unmasked is not None
    assert masked is not None
    assert whole < peer["unmasked"]
    assert unmasked < peer.get("causal", peer["unmasked"])
    assert masked < peer["masked"]


def test_compiled_afresh_they_are_what_the_evidence_says(kernels: Kernels, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("triton", reason="needs triton (pip install attention-ledger[kernels]; Linux only)")
    if metadata.version("triton") != kernels.triton:
        pytest.skip(f"the evidence is of Triton {kernels.triton}")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))  # nothing that an earlier run left
    names = (("forward", 64), ("forward", 128), ("backward_keys", 64))
    wanted = [Case("sm_90", DENSE, name, f"width {width}, causal", "float16") for name, width in names]
    first = {folder: next(x for x in kernels.of(folder, "sm_90") if x.dtype == "float16") for folder in kernels.folders if folder != DENSE}
    wanted += [key(x) for x in first.values()]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:  # in a process whose Triton does not interpret
        for case, row in zip(wanted, pool.map(command.row, wanted), strict=True):
            committed = kernels.one(*case)
            assert committed is not None
            assert row == committed.found, f"{case} compiles to something else; make kernels"


# Faults planted into the rows.


def planted(x: Kernel, change: Callable[[dict[str, Any]], Any]) -> list[str]:
    row = deepcopy(dict(x.found))
    change(row)
    return command.complaints(row)


@needs_triton
def test_spilled_registers_are_seen(kernels: Kernels) -> None:
    for x in kernels.rows:
        for i in range(len(x.found["loops"])):
            for kind in ("local load", "local store"):
                (said,) = planted(x, partial(spilling, i, kind))
                assert f"loop {i} loads" in said


def spilling(loop: int, kind: str, row: dict[str, Any]) -> None:
    row["loops"][loop]["counts"][kind] = 3


@needs_triton
def test_products_without_tensor_cores_are_seen(kernels: Kernels) -> None:
    """Where there is a product; and a kernel that has none is not asked for tensor cores."""
    multiplying = [x for x in kernels.rows if x.found["products"]]
    assert multiplying
    for x in multiplying:
        assert "are left to fused multiply-adds" in planted(x, lambda row: row.update(scalar_products=1))[0]
        assert any("no tensor-core instruction" in said for said in planted(x, without_tensor_cores)), str(x)


def without_tensor_cores(row: dict[str, Any]) -> None:
    for part in parts(row):
        part["counts"].pop("tensor core", None)


@needs_triton
def test_what_does_not_fit_is_seen(kernels: Kernels) -> None:
    for x in kernels.rows:
        assert "bytes of shared memory a block" in planted(x, lambda row: row.update(shared=2**18))[0]
        assert "not one block fits" in planted(x, lambda row: row["occupancy"].update(blocks=0))[0]


@needs_triton
def test_narrow_loads_of_a_tile_are_seen(kernels: Kernels) -> None:
    """Each kernel with all loads 8 bytes wide: a tile that is not fetched whole is complained about wherever it is loaded."""
    for x in kernels.rows:
        said = planted(x, narrowed)
        if x.folder == DENSE:
            assert len(said) == len(x.loops) + 1, str(x)
        elif max(map(fetched, parts(x.found))) > sum(excused(part) for part in parts(x.found)):
            assert any("in pieces of less than 16" in text for text in said), str(x)


def parts(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [*row["loops"], row["outside"]]


def fetched(part: Mapping[str, Any]) -> int:
    """Bytes that a thread loads."""
    return sum(int(width) * times for width, times in part["widths"].items())


def excused(part: Mapping[str, Any]) -> int:
    """Bytes of vectors and single numbers, which may be loaded narrowly."""
    return ((part["need"] or {}).get("narrow") or 0) * (part["unroll"] or 1)


def narrowed(row: dict[str, Any]) -> None:
    for part in parts(row):
        part["widths"] = {"8": fetched(part) // 8} if fetched(part) else {}
        part["moves"] = {name: n for name, n in part["moves"].items() if not name.startswith("UTMALDG")}


class Listed:
    """A compiled kernel with a listing of its own."""

    def __init__(self) -> None:
        self.asm = {"cubin": b""}


@needs_triton
def test_serialised_matrix_instructions_are_remarked(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case("sm_90", DENSE, "forward", "width 64, causal", "float16")
    for listing, wrong in (("WARPGROUP.ARRIVE\nHGMMA.64\nHGMMA.64\n", False), ("WARPGROUP.ARRIVE\nHGMMA.64\n" * 2, True), ("HMMA.16816", False)):
        monkeypatch.setattr("impl._triton.compiled.output", lambda tool, option, cubin, listing=listing: listing)
        assert bool(command.serialised(case, Listed())) == wrong, listing


# The command and its file.


def test_rows_of_other_sources_are_dropped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kernels: Kernels) -> None:
    """Folder by folder: where one has changed, the rows of the others stay."""
    monkeypatch.setattr(metadata, "version", lambda name: "3.7.1")
    now = {DENSE: "one", "rotary": "two"}
    monkeypatch.setattr(command, "current", lambda: dict(now))
    first, second = (dict(x.found) for x in kernels.of(DENSE)[:2])
    other = {**first, "folder": "rotary"}
    path = tmp_path / "kernels.json"
    path.write_text(command.document([other, second, first]), encoding="utf-8")
    assert path.read_text(encoding="utf-8") == command.document([first, second, other])
    assert command.kept(path, []) == [first, second, other]
    assert command.kept(path, [second]) == [first, other]
    assert command.kept(path, [], [(first["target"], DENSE, first["dtype"])]) == [
        x for x in (first, second, other) if x["folder"] != DENSE or x["dtype"] != first["dtype"]
    ]
    now["rotary"] = "three"
    assert command.kept(path, []) == [first, second]
    now[DENSE] = "later"
    assert command.kept(path, []) == []
    assert command.kept(tmp_path / "missing.json", []) == []


def test_cases_are_sorted_by_the_numbers_in_them(kernels: Kernels) -> None:
    row = dict(kernels.rows[0].found)
    cases = ["width 128", "width 16", "width 16, causal", "width 9"]
    assert sorted(cases, key=lambda case: command.key({**row, "case": case})) == ["width 9", "width 16", "width 16, causal", "width 128"]


def unlisted(folder: str, target: str, dtype: str) -> Any:
    raise ZeroDivisionError


def test_two_specimens_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = [type("Specimen", (), {"kernel": "turn", "case": "width 64"})] * 2
    monkeypatch.setattr(command, "specimens", lambda folder, target, dtype: iter(twice))
    with pytest.raises(RuntimeError, match="two specimens have one name: sm_80 rotary turn, width 64, float16"):
        command.cases(["rotary"], ["sm_80"], ["float16"])
    monkeypatch.setattr(command, "specimens", unlisted)
    with pytest.raises(RuntimeError, match=r"the specimens of rotary for sm_80 in float16 cannot be listed \(ZeroDivisionError"):
        command.cases(["rotary"], ["sm_80"], ["float16"])


def test_the_digest_covers_kernels_launches_and_what_reads_them() -> None:
    """Modules that are imported by their name are not seen by the digest: their files are given to it."""
    for folder, module in command.listings().items():
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        seen = {x.relative_to(ROOT).as_posix() for file in (Path(command.__file__), path) for x in digest.imported(file)}
        shared = {f"impl/_triton/{name}.py" for name in ("compiled", "complaints", "launch", "specimen", "ttgir", "sass", "gcn", "occupancy")}
        assert {f"impl/{folder}/kernel.py", f"impl/{folder}/launch.py", "properties/kernels.py", *shared} <= seen


def test_the_command_names_what_it_cannot_use(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: object())
    assert command.main(["--targets", "sm_61", "--out", str(tmp_path / "x.json")]) == command.BAD_INPUT
    assert "unknown target sm_61; possible are sm_80, sm_90, sm_100, gfx942" in capsys.readouterr().err
    assert command.main(["--folders", "rotery", "--out", str(tmp_path / "x.json")]) == command.BAD_INPUT
    assert "unknown folder rotery; possible are scaled_dot_product, " in capsys.readouterr().err
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    assert command.main(["--targets", "sm_90"]) == command.BAD_INPUT
    assert "needs triton" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "compiled"),
    [
        (["--kernels", "forward", "--widths", "64"], {"width 64", "width 64, causal"}),
        (["--folders", "rotary", DENSE, "--kernels", "forward", "--widths", "64"], {"width 64", "width 64, causal", "other"}),
        (["--folders", "rotary"], {"other"}),
    ],
)
def test_the_command_compiles_what_it_is_asked_for(
    arguments: list[str], compiled: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kernels: Kernels
) -> None:
    """Without a compiler: kernels and widths are of dense attention, and alone they mean nothing else."""
    asked: list[Case] = []
    names = {DENSE: [("forward", f"width {width}{also}") for width in (16, 64) for also in ("", ", causal")] + [("backward_keys", "width 64")]}

    def listed(folder: str, target: str, dtype: str) -> Any:
        pairs = names.get(folder, [("turn", "other")])
        return iter([type("Specimen", (), {"kernel": kernel, "case": case}) for kernel, case in pairs])

    monkeypatch.setattr(util, "find_spec", lambda name: object())
    monkeypatch.setattr(metadata, "version", lambda name: "3.7.1")
    monkeypatch.setattr(command, "specimens", listed)

    def compiled_to_nothing(wanted: list[Case], jobs: int) -> list[dict[str, Any]]:
        asked.extend(wanted)
        return []

    monkeypatch.setattr(command, "compiled", compiled_to_nothing)
    assert command.main([*arguments, "--targets", "sm_80", "--dtypes", "float16", "--out", str(tmp_path / "x.json")]) == 0
    assert {x.case for x in asked} == compiled
    assert {x.kernel for x in asked if x.folder == DENSE} <= {"forward"}


def spoilt(change: Callable[[dict[str, Any]], Any]) -> str:
    document = json.loads(EVIDENCE.read_text(encoding="utf-8"))
    document["rows"] = document["rows"][:1]
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda document: document.update(schema="attention-ledger/kernels/1"), "schema is 'attention-ledger/kernels/1'"),
        (lambda document: document.update(checks="now"), "checks is 'now', expected dict"),
        (lambda document: document["rows"][0].pop("case"), "KeyError: 'case'"),
        (lambda document: document["rows"][0]["cost"].pop("read"), "KeyError: 'read'"),
        (lambda document: document["rows"][0]["cost"].update(once=True), "once is True, expected int"),
        (lambda document: document["rows"][0]["configuration"].update(grid="wide"), "grid is 'wide', expected list"),
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


# The page.


def test_the_page_says_what_it_is_and_shows_complaints_and_age(kernels: Kernels) -> None:
    fresh = replace(book(), kernels=kernels, sources_of_kernels=kernels.checks)
    page = kernels_page(fresh)
    assert "No GPU has run these kernels for this page, and nothing on it was timed" in page
    assert "earlier version" not in page
    assert all(f'<a id="{folder}"></a>' in page for folder in kernels.folders)
    assert all(f"### {target}" in page for target in TARGETS)
    assert "earlier version of the sources: `rotary`;" in kernels_page(replace(fresh, sources_of_kernels={**kernels.checks, "rotary": "later"}))
    sound = replace(kernels, rows=tuple(replace(x, complaints=()) for x in kernels.rows))
    assert "Complaints: none" in kernels_page(replace(fresh, kernels=sound))
    worse = replace(sound, rows=(replace(sound.rows[0], complaints=("loop 0 loads 4 times from local memory",)), *sound.rows[1:]))
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
    limit = clocks(parsed(toy({"instructions": 1024, "counts": {"tensor core": 8, "special function": 64}, "unroll": 2})))
    assert limit is not None
    # Two products of 2 · 128 · 64 · 64 operations at 4096 a clock; 32 instructions of 4 warps of 32 lanes at 16 a clock; 512 · 4 instructions at 4 a clock.
    assert (limit.useful, limit.tensor, limit.special, limit.issue, limit.share) == (384, 512, 256, 512, 0.75)


def toy(loop: dict[str, Any]) -> dict[str, Any]:
    """A row of dense attention with one loop."""
    part = {"moves": {}, "widths": {}, "parent": None, "need": None, **loop}
    constants = {"ROWS": 128, "COLUMNS": 64, "WIDTH": 48, "D": 64, "E": 64, "CAUSAL": True}
    about = {"target": "sm_90", "folder": DENSE, "kernel": "forward", "case": "width 48, causal", "dtype": "float16", "complaints": [], "remarks": []}
    figures = {"warps": 4, "registers": 1, "shared": 0, "stack": 0, "spills": 0, "products": 2, "scalar_products": 0, "tensor_columns": 0}
    launch = {"grid": [8, 32], "options": {"num_warps": 4, "num_stages": 3}, "constants": constants}
    cost = {"products": 1, "functions": 1, "read": 1, "written": 1, "once": 1}
    return {**about, **figures, "configuration": launch, "cost": cost, "shapes": {}, "occupancy": {}, "loops": [part], "outside": part}


def test_what_binds_is_the_longest_of_its_bounds() -> None:
    device = DEVICES["sm_90"]
    cost = Cost(products=int(device.flops), functions=0, read=int(device.bandwidth / 2), written=0, once=2**20)
    for change, binds, least in (
        ({}, "products", 1.0),
        ({"products": int(2 * device.flops)}, "products", 2.0),
        ({"read": int(3 * device.bandwidth)}, "products, or memory without caches", 1.0),
        ({"once": int(4 * device.bandwidth), "read": int(4 * device.bandwidth)}, "memory", 4.0),
        ({"functions": int(5 * 16 * 132 * 1.83e9)}, "special functions", 5.0),
        ({"products": 0, "once": int(device.bandwidth)}, "memory", 0.5),
    ):
        found = bounds("sm_90", cost._replace(**change))
        assert found.binds == binds, change
        assert found.least == pytest.approx(least), change


@needs_triton
def test_the_examples_in_docstrings_hold() -> None:
    from properties import dense_kernels

    for module in (roofline, dense_kernels):
        found = doctest.testmod(module)
        assert found.attempted > 0 == found.failed


def test_the_evidence_is_read_and_its_age_told_without_torch_and_triton() -> None:
    code = "import sys; sys.modules['torch'] = sys.modules['triton'] = None; from properties import kernels; import reports.render; kernels.current()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
