"""Bad input to `pytest properties` gets one line that quotes it and says what is possible, and nothing is overwritten."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from properties.evidence import SCHEMA, BadEvidence, Evidence, EvidenceFile, read, write
from theorems.outcome import Outcome

ROOT = Path(__file__).parents[1]


def properties(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """`pytest properties` in a process of its own, after running `before` in it."""
    code = f"import sys; {before}\nimport pytest; sys.exit(pytest.main(['properties', '-q', '-p', 'no:cacheprovider', *{list(arguments)!r}]))"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_an_unknown_profile_is_named_with_the_possible_ones() -> None:
    done = properties("--hypothesis-profile", "thorough")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "unknown profile 'thorough'; possible are quick, ci, deep" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_a_missing_dependency_is_named() -> None:
    done = properties(before="sys.modules['flint'] = None")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "needs the package 'flint'" in done.stderr + done.stdout


def test_a_dependency_missing_for_reports_is_named() -> None:
    code = "import runpy, sys; sys.modules['sympy'] = None; runpy.run_module('reports', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "need the package 'sympy'" in done.stderr


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"schema": "somebody-else/2"}', json.dumps({"schema": SCHEMA, "environment": {}, "evidence": [{"claim": "x"}]})]
)
def test_a_foreign_or_broken_evidence_file_is_named_and_left_alone(content: str, tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    path.write_text(content)
    done = properties("--evidence", str(path), "-k", "test_derivation and softmax", "--hypothesis-profile", "quick")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert str(path) in done.stderr + done.stdout
    assert path.read_text() == content


def test_a_partial_run_keeps_the_other_rows(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    kept = Evidence(claim="softmax.row-sum", law="some::law", subject="scaled-dot-product/other", outcome=Outcome.HELD, examples=3)
    write(path, EvidenceFile(environment={"python": "3.11"}, evidence=(kept,)))
    done = properties("--evidence", str(path), "-k", "constant_values_come_back", "--hypothesis-profile", "quick")
    assert done.returncode == 0, done.stdout
    rows = read(path).evidence
    assert kept in rows
    assert {e.subject for e in rows if e.law == "test_dense::constant_values_come_back"} >= {"scaled-dot-product/reference", "scaled-dot-product/torch"}


def test_the_same_run_writes_the_same_bytes(tmp_path: Path) -> None:
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    for file, workers in zip(files, ("0", "2"), strict=True):
        done = properties("--evidence", str(file), "-k", "test_masks", "--hypothesis-profile", "quick", "-n", workers)
        assert done.returncode == 0, done.stdout
    assert files[0].read_bytes() == files[1].read_bytes()


def test_evidence_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "evidence.json"
    row = Evidence(claim="a.b", law="c::d", subject="e/f", outcome=Outcome.HELD, examples=1)
    write(path, EvidenceFile(environment={}, evidence=(row,)))
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write(path, EvidenceFile(environment={}, evidence=()))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["evidence.json"]
    assert read(path).evidence == (row,)


def test_reading_says_what_a_file_is_instead(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    path.write_text('{"schema": "somebody-else/2"}')
    with pytest.raises(BadEvidence, match=r"schema is 'somebody-else/2', expected 'attention-ledger/evidence/1'"):
        read(path)
