"""`pytest properties --impl …` from outside: what it prints, writes and returns, for good input and bad."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "reports" / "check-your-own"
HONEST = "tests/subjects/honest.py"


def pytest_command(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """`pytest properties` with these arguments, in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        str(ROOT / "pyproject.toml"),
        "--rootdir",
        str(ROOT),
        str(ROOT / "properties"),
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    return subprocess.run([*command, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def said(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--impl", "mine"], "'mine': expected MODULE:FUNCTION or PATH.py:FUNCTION"),
        (["--impl", "nowhere.py:f"], "there is no file 'nowhere.py'"),
        (["--impl", "no such:f"], "'no such' is neither a dotted module name nor a path"),
        (["--impl", "no_such_module:f"], "ModuleNotFoundError: No module named 'no_such_module'"),
        (["--impl", f"{HONEST}:absent"], "has no 'absent'; it has"),
        (["--impl", f"{HONEST}:DECLARED"], "is dict, not a function"),
        (["--impl", f"{HONEST}:narrow", "--variant", "scaled-dot"], "--variant 'scaled-dot': unknown; possible are scaled-dot-product, multi-head"),
        (["--impl", f"{HONEST}:narrow", "--limits", "masks=none"], "unknown key 'masks' in 'masks=none'; did you mean 'mask'?"),
        (["--impl", f"{HONEST}:narrow", "--limits", "gqa=maybe"], "'gqa=maybe' cannot be read; possible is gqa=yes|no"),
        (["--impl", f"{HONEST}:narrow", "--limits", "n-multiple=0"], "'n-multiple=0' cannot be read; possible is n-multiple=a number from 1"),
        (["--impl", f"{HONEST}:narrow", "--convention", "layout=BHND"], "'layout=BHND' cannot be read"),
        (["--impl", f"{HONEST}:narrow", "--convention", "causal=top-left,causal=bottom-right"], "'causal' is given twice"),
        (["--impl", f"{HONEST}:narrow", "--arithmetic", "exp-ulp"], "'exp-ulp' cannot be read; possible is exp-ulp=a number from 0"),
        (["--impl", f"{HONEST}:narrow", "--budget", "0"], "--budget 0: expected a number above 0"),
        (["--impl", f"{HONEST}:narrow", "--python", "/no/such/python"], "the interpreter '/no/such/python' does not start"),
    ],
)
def test_what_cannot_be_judged_is_said_in_one_line_with_exit_status_2(arguments: list[str], expected: str) -> None:
    done = pytest_command(*arguments)
    assert expected in said(done)
    assert done.returncode == 2
    assert "Traceback" not in said(done)
    assert said(done).strip().count("\n") == 0


def test_the_variants_are_listed_with_signatures_laws_and_keys() -> None:
    done = pytest_command("--list-variants")
    assert done.returncode == 0
    for text in ("scaled-dot-product", "multi-head", "is_causal", "outputs lie within the bound", "--convention", "dead-rows=zero|nan|mean|any"):
        assert text in done.stdout


def test_the_same_seed_gives_the_same_report(tmp_path: Path) -> None:
    """On a function with few laws to be tried; and a plain function is judged in less than a minute."""
    arguments = [
        "--impl",
        "tests/subjects/bugs.py:a13_scale_ignored",
        "--limits",
        "mask=none,causal=no,gqa=no,grad=no,n-max=5,axes=4,dtypes=float32,strides=contiguous",
        "--budget",
        "500",
    ]
    reports = []
    for folder in ("one", "two"):
        done = pytest_command(*arguments, "--seed", "5", "--report", str(tmp_path / folder))
        assert done.returncode == 1, said(done)
        reports.append({path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()})
    assert reports[0] == reports[1]
    judged = json.loads(reports[0]["bugs.a13_scale_ignored.json"])
    assert set(judged) >= {"implementation", "variant", "declared", "verdict", "laws", "environment", "seed"}
    assert judged["verdict"] == "violates"
    assert all(set(law) >= {"claim", "outcome", "examples", "worst_over_bound", "counterexample"} for law in judged["laws"])
    assert judged["declared"]["limits"]["gradients"] is False
    for law in judged["laws"]:
        if law["outcome"] == "refuted":
            done = subprocess.run([sys.executable, "-c", law["counterexample"]], cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{law['law']}: {done.stderr}"
            assert "tensor(" in done.stdout


def test_their_own_impl_package_does_not_clash_with_ours(tmp_path: Path) -> None:
    """A file that imports a package named `impl` gets its own, by path and by module name; and it may declare itself."""
    (tmp_path / "impl").mkdir()
    (tmp_path / "impl" / "__init__.py").write_text("import torch\n\ndef attend(q, k, v):\n    return torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, -1) @ v\n")
    (tmp_path / "mine.py").write_text(
        "import impl\nfrom attention_ledger import Implementation, Limits\n"
        "mine = Implementation(variant='scaled-dot-product', name='theirs', call=impl.attend, limits=Limits(dtypes=('float32',), max_length=3))\n"
    )
    for spelled in ("mine.py:mine", "mine:mine"):
        done = pytest_command("--impl", spelled, "--report", "out", "--limits", "axes=4,grad=no,strides=contiguous,empty=no", cwd=tmp_path)
        assert done.returncode == 0, said(done)
        judged = json.loads((tmp_path / "out" / "theirs.json").read_text())
        assert judged["declared"]["limits"]["dtypes"] == ["float32"]
        assert judged["declared"]["limits"]["masks"] == ["none"]
        assert {law["detail"] for law in judged["laws"] if law["law"] == "hidden keys are as good as absent"} == {"the function has no parameter attn_mask"}


def test_a_declaration_in_a_file_is_checked(tmp_path: Path) -> None:
    text = (
        "from attention_ledger import *\nmine = Implementation(variant='scaled-dot-product', name='x', call=print, conventions=Conventions(dead_rows='none'))\n"
    )
    (tmp_path / "mine.py").write_text(text)
    done = pytest_command("--impl", "mine.py:mine", cwd=tmp_path)
    assert done.returncode == 2
    assert "Conventions.dead_rows is 'none'; possible are 'zero', 'nan', 'mean', 'any'" in said(done)


def test_a_law_that_time_leaves_out_makes_the_whole_undecided(tmp_path: Path) -> None:
    done = pytest_command("--impl", "tests/subjects/adversaries.py:sleeps", "--budget", "3", "--report", str(tmp_path))
    assert done.returncode == 2, said(done)
    assert "time ran out after" in said(done)
    assert "undecided: 0 of" in said(done)


def test_a_convention_switches_its_law_off(tmp_path: Path) -> None:
    selected = "-k", "sees_no_key or masks_nan or nan_in_a_hidden"
    done = pytest_command("--impl", f"{HONEST}:recomputing_function", *selected, "--convention", "dead-rows=any,masked-nan=any", "--report", str(tmp_path))
    assert done.stdout.count("switched off") == 2
    assert done.returncode == 2  # laws that were not selected were not tried


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", (PAGE / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_for_authors_says_what_happens(tmp_path: Path) -> None:
    """Every command of "Check your own attention in five minutes" is run; each line under it occurs in what it prints."""
    parts = re.findall(r"```(sh|text)\n(.*?)```", (PAGE / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    printed, statuses = "", []
    for kind, text in parts:
        if kind == "sh":
            words = shlex.split(text)
            assert words[:2] == ["pytest", "properties"]
            done = pytest_command(*words[2:], "--report", str(tmp_path))
            printed = said(done)
            statuses.append(done.returncode)
        else:
            for line in text.strip().splitlines():
                assert line.strip() in printed, f"{line!r} is not in {printed}"
    assert statuses == [1, 1, 0]


def test_the_recipe_for_continuous_integration_uses_options_that_exist() -> None:
    text = (PAGE / "attention-ledger.yml").read_text(encoding="utf-8")
    command = re.search(r"run: >\n((?: {10}.*\n)+)", text)
    assert command is not None
    words = shlex.split(" ".join(command[1].split()))
    assert words[:2] == ["pytest", "properties"]
    done = pytest_command(*words[2:])
    assert "could not be imported: ModuleNotFoundError: No module named 'your_package'" in said(done)  # all else was read
    assert done.returncode == 2


@pytest.mark.parametrize(("function", "status"), [("tests/subjects/adversaries.py:zero", 1), (f"{HONEST}:narrow", 0)])
def test_several_workers_come_to_the_same_verdict(function: str, status: int, tmp_path: Path) -> None:
    said_by_it = ["--limits", "axes=4,dtypes=float32,d=16+32,dv=dk,strides=rows,n-max=9,grad=no", "--convention", "mask+causal=error"]
    done = pytest_command("--impl", function, *said_by_it, "--budget", "400", "-n", "2", "--report", str(tmp_path))
    assert done.returncode == status, said(done)
    (report,) = tmp_path.glob("*.json")
    assert len(json.loads(report.read_text())["laws"]) > 30


def test_a_bound_that_promises_nothing_decides_nothing(tmp_path: Path) -> None:
    """In bfloat16 arithmetic throughout, a product over 256 features has no error bound: even the mean of the values would lie within it."""
    said_by_it = ["--arithmetic", "accumulate=input", "--limits", "dtypes=bfloat16,d=256,n-max=3,mask=none,causal=no"]
    done = pytest_command("--impl", "tests/subjects/adversaries.py:mean_of_values", *said_by_it, "--report", str(tmp_path))
    assert done.returncode != 0, said(done)
    assert "promises nothing about most of what was compared" in said(done)


def test_a_file_that_declares_itself_is_tried_on_long_inputs_too(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom attention_ledger import Implementation, Limits\n"
        "def f(query, key, value):\n    key, value = key[..., :12, :], value[..., :12, :]\n    w = torch.softmax(query @ key.mT / query.shape[-1] ** 0.5, -1)\n"
        "    return w @ value\n"
        "mine = Implementation(variant='scaled-dot-product', name='forgetful', call=f, limits=Limits(dtypes=('float64',), gradients=False))\n"
    )
    done = pytest_command("--impl", "mine.py:mine", "--report", "out", "--budget", "400", "-k", "lie_within", cwd=tmp_path)
    assert done.returncode == 1, said(done)
    judged = json.loads((tmp_path / "out" / "forgetful.json").read_text())
    (broken,) = [law for law in judged["laws"] if law["outcome"] == "refuted"]
    again = subprocess.run([sys.executable, "-c", broken["counterexample"]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "tensor(" in again.stdout


@pytest.mark.parametrize(
    ("body", "options", "status"),
    [
        ("import subprocess\nsubprocess.run(['true'])\ndef f(query, key, value):\n    return right(query, key, value)\n", [], 0),
        (START_A_CHILD := "import subprocess\ndef f(query, key, value):\n    subprocess.run(['true'])\n    return right(query, key, value)\n", [], 1),
        (START_A_CHILD, ["--convention", "process=any"], 0),
        ("import torch\ntorch.softmax = lambda *a, **k: None\ndef f(query, key, value):\n    return right(query, key, value)\n", [], 1),
    ],
    ids=["a process at import", "a process in a call", "a process as declared", "a patch at import"],
)
def test_what_a_function_does_to_its_process(body: str, options: list[str], status: int, tmp_path: Path) -> None:
    right = "def right(q, k, v):\n    import torch\n    w = (q @ k.mT / q.shape[-1] ** 0.5).exp()\n    return w / w.sum(-1, keepdim=True) @ v\n"
    (tmp_path / "mine.py").write_text(right + body)
    selected = "n-max=3,dtypes=float64,grad=no,empty=no,axes=4,strides=contiguous,d=2"
    done = pytest_command("--impl", "mine.py:f", "--limits", selected, *options, "-k", "leaves_its_process", "--report", "out", cwd=tmp_path)
    judged = json.loads((tmp_path / "out" / "mine.f.json").read_text())
    (law,) = [law for law in judged["laws"] if law["law"] == "a call leaves its process as it was"]
    assert law["outcome"] == {0: "switched off" if options else "held", 1: "refuted"}[status], said(done)


@pytest.mark.parametrize(("function", "status"), [("right", 2), ("one_key_too_many", 1)])
def test_a_strangers_kernel_is_watched_in_the_interpreter(function: str, status: int, tmp_path: Path) -> None:
    """One law is tried; the others are left out, so that the right kernel is undecided, and nothing of it is broken."""
    pytest.importorskip("triton", reason="needs triton")
    done = pytest_command(
        "properties", "--impl", f"tests/subjects/kernels.py:{function}", "--interpret", "--report", str(tmp_path), "--seed", "1", "-k", "outputs_lie_within",
        "--limits", "dtypes=float32,grad=no,gqa=no,empty=no,dv=dk,axes=4,n-max=9",
    )  # fmt: skip
    assert done.returncode == status, said(done)
    assert "launches of Triton kernels were watched" in said(done)
    assert ("OutOfBounds" in said(done)) is (status == 1)
