"""What `python -m properties.gpu` does, as far as it can be seen without a GPU: planning, counting, the run with its interruptions, the dry run, the page."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from properties import environment
from properties.evidence import BadEvidence
from properties.gpu import clock, command, families, record, run
from properties.gpu.clock import Cuda, Measurement
from properties.gpu.contenders import Contender, Given, beneath, contenders, difference, given, of_torch, refusal
from properties.gpu.plan import CONTENDERS, DENSE, OURS, PLANS, TORCH, Case, cases, planned
from properties.gpu.record import CUT_SHORT, FAILED, MEASURED, MEMORY, REFUSED, STARTED, Record, Row, quartiles
from reports.gpu import Run
from reports.gpu import read as read_runs
from reports.render_gpu import EARLIER, gpu_page

ROOT = Path(__file__).parents[1]
SMALL = Case(n=32, width=16, dtype="float16", causal=False, backward=False, batch=1, heads=1)
FACTS = {"gpu": "Fake 9000", "torch": "2.13.0", "triton": "3.7.1"}


class Fake:
    """A device in memory: every call takes 1, 2, 3, 4 and 5 ms of its clock."""

    place = "cpu"

    def __init__(self) -> None:
        self.lost = False

    def facts(self) -> dict[str, str]:
        return FACTS

    def measured(self, call: Callable[[], Any]) -> Measurement:
        call()
        return Measurement(times=[1.0, 2.0, 3.0, 4.0, 5.0], host=0.25, extra=4096)

    def settle(self) -> None:
        if self.lost:
            raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore")


def raising(error: BaseException) -> Callable[[Case, Tensor, Tensor, Tensor], Callable[[], Tensor]]:
    def call(*_: Any) -> Tensor:
        raise error

    return lambda *_: call


def of(**options: Any) -> Row:
    """A measured row of our kernel, unless the options say otherwise."""
    usual: dict[str, Any] = {"contender": OURS, "case": SMALL, "outcome": MEASURED, "milliseconds": (1.0, 2.0, 3.0), "runs": 5}
    return Row(**usual | options)


def quiet(_: str) -> None:
    return


# Planning and counting


@pytest.mark.parametrize(
    ("n", "width", "causal", "backward", "flops"),
    [
        (512, 64, False, False, 68_719_476_736),  # 4 · 32 · 32 · 512² · 64
        (512, 64, True, False, 34_359_738_368),
        (16384, 128, False, False, 2_199_023_255_552),  # 4 · 1 · 16 · 16384² · 128
        (16384, 128, True, True, 2_748_779_069_440),  # half of it, times 2.5
    ],
)
def test_operations_are_counted_as_by_hand(n: int, width: int, causal: bool, backward: bool, flops: int) -> None:
    found = [x for x in cases() if (x.n, x.width, x.causal, x.backward) == (n, width, causal, backward)]
    assert {x.flops for x in found} == {flops}
    assert {x.dtype for x in found} == {"float16", "bfloat16"}


def test_every_case_has_the_same_tokens_and_hidden_width() -> None:
    planned = list(cases())
    assert len(planned) == len(set(planned)) == 6 * 2 * 2 * 2 * 2
    assert {x.batch * x.n for x in planned} == {16384}
    assert {x.heads * x.width for x in planned} == {2048}
    assert [x.n for x in planned] == sorted(x.n for x in planned)


def test_quartiles_and_rates_are_those_of_hand() -> None:
    assert quartiles([5.0, 1.0, 4.0, 2.0, 3.0]) == (2.0, 3.0, 4.0)
    assert quartiles([1.0, 2.0]) == (1.25, 1.5, 1.75)
    row = of(case=next(iter(cases())), milliseconds=(0.25, 0.5, 1.0))
    assert row.rate == 68_719_476_736 / 0.0005 / 1e12
    assert of(outcome=FAILED, milliseconds=None).rate is None


# The run


def test_a_run_measures_all_and_a_second_one_nothing(tmp_path: Path) -> None:
    """Torch's own ways on a CPU: two compute, two are refused in torch's words."""
    path, here = tmp_path / "gpu-fake.json", [x for x in contenders() if x.family == DENSE and x.name not in (OURS, "torch-flex")]
    asked = [SMALL, replace(SMALL, backward=True, causal=True)]
    said: list[str] = []
    run.timed(asked, here, Fake(), path, said.append)
    kept = record.read(path)
    found = {(x.case.backward, x.contender): x for x in kept.rows}
    assert len(found) == len(said) == 8
    for backward in (False, True):
        for name in ("torch-flash", "torch-math"):
            row = found[backward, name]
            assert (row.outcome, row.milliseconds, row.runs, row.extra, row.host) == (MEASURED, (2.0, 3.0, 4.0), 5, 4096, 0.25)
            assert row.error is not None
        assert found[backward, "torch-cudnn"].outcome == REFUSED
        assert "No viable backend" in found[backward, "torch-cudnn"].reason
    never = [Contender(name=x.name, call=raising(AssertionError("called again"))) for x in here]
    assert run.timed(asked, never, Fake(), path, quiet) == kept


def test_rows_of_other_code_are_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, here = tmp_path / "gpu-fake.json", [Contender(name=name, call=of_torch) for name in (OURS, "torch-math")]
    run.timed([SMALL], here, Fake(), path, quiet)
    monkeypatch.setattr(run, "code_of", lambda name, family: "other" if name == OURS else "")
    said: list[str] = []
    kept = run.timed([SMALL], here, Fake(), path, said.append)
    assert len(said) == 1
    assert OURS in said[0]
    assert {x.contender: x.code for x in kept.rows} == {OURS: "other", "torch-math": ""}


def test_an_interrupted_run_keeps_what_it_had_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "gpu-fake.json"
    stopping = [Contender(name="torch-math", call=of_torch), Contender(name="torch-flash", call=raising(KeyboardInterrupt()))]
    with pytest.raises(KeyboardInterrupt):
        run.timed([SMALL], stopping, Fake(), path, quiet)
    assert [(x.contender, x.outcome) for x in record.read(path).rows] == [("torch-math", MEASURED)]
    going = [replace(x, call=of_torch) for x in stopping]
    assert [x.outcome for x in run.timed([SMALL], going, Fake(), path, quiet).rows] == [MEASURED, MEASURED]
    assert [x.name for x in tmp_path.iterdir()] == ["gpu-fake.json"]


def test_a_row_says_that_it_was_begun_while_it_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "gpu-fake.json"
    seen: list[Row] = []

    def call(case: Case, query: Tensor, key: Tensor, value: Tensor) -> Callable[[], Tensor]:
        seen.extend(record.read(path).rows)
        return of_torch(case, query, key, value)

    run.timed([SMALL], [Contender(name=OURS, call=call)], Fake(), path, quiet)
    assert [(x.outcome, x.reason) for x in seen] == [(STARTED, CUT_SHORT)]
    assert record.read(path).rows[0].outcome == MEASURED


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 64 GiB\nmore"), MEMORY, "CUDA out of memory. Tried to allocate 64 GiB"),
        (ValueError("head widths go to 256"), FAILED, "ValueError: head widths go to 256"),
        (RuntimeError("No available kernel. Aborting execution."), REFUSED, "No available kernel. Aborting execution."),
    ],
)
def test_what_goes_wrong_is_a_row(error: Exception, outcome: str, reason: str, tmp_path: Path) -> None:
    kept = run.timed([SMALL], [Contender(name="torch-math", call=raising(error))], Fake(), tmp_path / "gpu-fake.json", quiet)
    assert [(x.outcome, x.reason, x.milliseconds) for x in kept.rows] == [(outcome, reason, None)]


def test_a_lost_device_ends_the_run_with_its_row_written(tmp_path: Path) -> None:
    path, device = tmp_path / "gpu-fake.json", Fake()
    device.lost = True
    with pytest.raises(run.Lost, match="illegal memory access"):
        run.timed([SMALL], [Contender(name="torch-math", call=raising(RuntimeError("CUDA error")))], device, path, quiet)
    assert [x.outcome for x in record.read(path).rows] == [FAILED]


def test_a_refusal_gives_the_reasons_that_torch_warns_of() -> None:
    error = RuntimeError("No available kernel. Aborting execution.")
    warned = [
        "Memory efficient kernel not used because: (Triggered internally at sdp_utils.cpp:718.)",
        "Memory Efficient attention has been runtime disabled. (Triggered internally at sdp_utils_cpp.h:495.)",
        "Flash attention kernel not used because: (Triggered internally at sdp_utils.cpp:720.)",
        "Flash attention only supports gpu architectures in the range [sm80, sm121]. (Triggered internally at sdp_utils.cpp:190.)",
    ]
    assert refusal(error, warned) == "Flash attention only supports gpu architectures in the range [sm80, sm121]."
    assert refusal(error, []) == "No available kernel. Aborting execution."
    assert refusal(RuntimeError("CUDA error: misaligned address"), warned) is None
    assert refusal(ValueError("No available kernel"), warned) is None


@pytest.mark.parametrize("backward", [False, True])
def test_the_difference_from_float64_is_zero_where_all_is_exact(backward: bool) -> None:
    """With queries of zero every weight is 1/32, and every number on the way is a multiple of a power of 2."""
    case = replace(SMALL, backward=backward)
    random = torch.Generator().manual_seed(1)
    k, v, g = (torch.randint(-2, 3, case.shape, generator=random).half() for _ in range(3))
    x = Given(leaves=(torch.zeros(case.shape, dtype=torch.float16), k, v), cotangent=g)
    wide = [t.double().requires_grad_() for t in x.leaves]
    output = (wide[0] @ wide[1].mT / 4).softmax(-1) @ wide[2]
    exact = torch.autograd.grad(output, wide, g.double())[0] if backward else output.detach()
    assert difference(case, x, exact) == 0
    exact[0, 0, 17, 3] += 0.5
    assert difference(case, x, exact) == 0.5


def test_causality_is_alike_for_all() -> None:
    """Row i sees keys j ≤ i: what flex_attention is told, and what the difference is taken from. Key 0 alone is seen by row 0."""
    rows, columns = torch.arange(4)[:, None], torch.arange(4)
    assert torch.equal(beneath(rows, rows, rows, columns), torch.ones(4, 4, dtype=torch.bool).tril())
    case = replace(SMALL, causal=True)
    x = given(case, "cpu")
    query, key, _ = x.leaves
    zero = replace(x, leaves=(torch.zeros_like(query), key, torch.eye(32, 16).half()[None, None]))
    seen = torch.ones(32, 32, dtype=torch.float64).tril()
    assert difference(case, zero, (seen / seen.sum(1, keepdim=True))[None, None, :, :16]) < 2**-50  # of 1/n: one division and a sum of n equal weights


def test_inputs_are_the_same_in_every_run() -> None:
    one, two = (given(replace(SMALL, backward=True), "cpu") for _ in range(2))
    assert all(torch.equal(a, b) and a.requires_grad for a, b in zip(one.leaves, two.leaves, strict=True))
    assert not one.cotangent.requires_grad
    assert not torch.equal(*one.leaves[:2])


INTERPRETED = """
import json, sys
from dataclasses import replace
from pathlib import Path
from tests.test_gpu import SMALL, Fake, contenders, quiet, run
kept = run.timed([SMALL, replace(SMALL, causal=True, backward=True)], contenders()[:1], Fake(), Path(sys.argv[1]), quiet)
print(json.dumps([[x.contender, x.outcome, x.reason, x.error] for x in kept.rows]))
"""


def test_the_kernel_itself_goes_through_the_run(tmp_path: Path) -> None:
    """In the interpreter, forward and backward, in a process of its own. Laws judge its numbers; a difference of 1/16 from them would be another function."""
    done = python("-c", INTERPRETED, str(tmp_path / "gpu-fake.json"), TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="")
    rows = json.loads(done.stdout.splitlines()[-1])
    assert [row[:3] for row in rows] == [[OURS, MEASURED, ""]] * 2
    assert all(0 < row[3] < 1 / 16 for row in rows)


SMALL_OF = {  # n, width, batch, heads: as small as the family's own constants allow
    "window": (300, 16, 1, 1),
    "bigbird": (256, 16, 1, 1),
    "decode": (70, 16, 2, 4),
    "segments": (5, 16, 1, 2),
}

OTHERS = """
import json, sys
from pathlib import Path
from properties.gpu.contenders import contenders
from properties.gpu.plan import OURS, planned
from tests.test_gpu import SMALL_OF, Fake, quiet, run, small
cases = [small(x) for x in planned() if x.family in sys.argv[2:] and x.dtype == "float16"]
ways = [x for x in contenders() if x.name in (OURS, "dense-triton", "torch")]
kept = run.timed(dict.fromkeys(cases), ways, Fake(), Path(sys.argv[1]), quiet)
print(json.dumps([[x.case.family, x.case.backward, x.contender, x.outcome, x.reason, x.error] for x in kept.rows]))
"""
ROUGH = 1 / 16  # laws judge numbers; of results of size 1 or so, such a difference would be another function
OTHER_FUNCTION = {"dense-triton"}  # is timed as what it is: softmax attention over all keys


def small(case: Case) -> Case:
    """The same call, small enough for the interpreter."""
    n, width, batch, heads = SMALL_OF.get(case.family, (20, 16, 1, 2))
    return replace(case, n=n, width=width, batch=batch, heads=heads)


@pytest.mark.parametrize("family", PLANS)
def test_every_family_goes_through_the_run(family: str, tmp_path: Path) -> None:
    """In the interpreter, forward and backward: the kernel and torch's way give what the family's definition gives."""
    done = python("-c", OTHERS, str(tmp_path / "gpu-fake.json"), family, TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="")
    rows = json.loads(done.stdout.splitlines()[-1])
    plan = PLANS[family]
    assert {tuple(row[1:3]) for row in rows} == {(backward, name) for backward in {False, plan.backward} for name in {OURS, *plan.ways} - {"torch-flex"}}
    for _, _, contender, outcome, reason, error in rows:
        assert (outcome, reason) == (MEASURED, ""), (contender, reason)
        assert contender in OTHER_FUNCTION or 0 <= error < ROUGH, (contender, error)


def test_patterns_are_alike_for_all() -> None:
    """The sets of the window's rows, the blocks of the other pattern, and what flex_attention is told."""
    case = Case(n=300, width=16, dtype="float16", causal=True, backward=False, batch=1, heads=1, family="window")
    mask = torch.zeros(300, 300, dtype=torch.bool)
    for row, keys in zip(mask, families.rows_of(300), strict=True):
        row[list(keys)] = True
    assert torch.equal(mask, families.visible(case))
    blocks = families.layout(1024)
    assert blocks[0].all()
    assert blocks[:, 0].all()
    assert (blocks.sum(1)[1:] <= 6).all()


def test_families_are_planned_within_their_limits() -> None:
    kinds = {x.family for x in planned()}
    assert kinds == {DENSE, *PLANS}
    assert {x.family for x in planned(("window",))} == {"window"}
    assert {x.n for x in planned(lengths=(4096,))} == {4096}
    assert not [x for x in planned() if x.backward and x.family != DENSE and not PLANS[x.family].backward]
    assert all(setting.ways.keys() == {OURS, *PLANS[name].ways} for name, setting in families.SETTINGS.items())
    assert set(families.SETTINGS) == set(PLANS)


# The file


def test_zero_survives_the_file(tmp_path: Path) -> None:
    path, row = tmp_path / "gpu-x.json", of(extra=0, error=0.0, host=0.0)
    record.write(path, Record(environment=FACTS, rows=(row,)))
    assert record.read(path) == Record(environment=FACTS, rows=(row,))


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": "else/1"}', '{"schema": "attention-ledger/gpu/1", "environment": {}, "rows": [{"contender": "x"}]}'])
def test_a_foreign_file_is_named_and_left_alone(text: str, tmp_path: Path) -> None:
    path = tmp_path / "gpu-fake.json"
    path.write_text(text)
    with pytest.raises(BadEvidence, match=r"gpu-fake\.json: malformed"):
        run.timed([SMALL], [], Fake(), path, quiet)
    assert path.read_text() == text


def test_rows_of_another_environment_are_not_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "gpu-fake.json"
    record.write(path, Record(environment=FACTS | {"gpu": "Other"}, rows=(of(),)))
    with pytest.raises(BadEvidence, match="gpu 'Other', here 'Fake 9000'"):
        record.opened(path, FACTS)


def test_a_measured_row_needs_its_times() -> None:
    with pytest.raises(ValueError, match="outcome 'measured' with times None"):
        record.from_json({"contender": OURS, "case": {name: getattr(SMALL, name) for name in SMALL.__slots__}, "outcome": MEASURED})


# The clock


class Ticking:
    """Stands for torch.cuda, with a clock that flushes and calls advance, in whole milliseconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []
        self.held = self.top = 100

    def zero_(self) -> None:
        self.now += 1
        self.log.append("flush")

    def call(self) -> None:
        self.now += 7
        self.top = max(self.top, self.held + 50)
        self.log.append("call")

    def event(self, *, enable_timing: bool) -> Any:
        assert enable_timing
        marked = SimpleNamespace()

        def stamped() -> None:
            self.log.append("event")
            marked.at = self.now

        marked.record, marked.elapsed_time = stamped, lambda end: end.at - marked.at
        return marked

    def reset(self) -> None:
        self.top = self.held


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    fake = Ticking()
    replaced = {
        "Event": fake.event, "synchronize": lambda: fake.log.append("wait"), "memory_allocated": lambda: fake.held,
        "max_memory_allocated": lambda: fake.top, "reset_peak_memory_stats": fake.reset,
    }  # fmt: skip
    for name, function in replaced.items():
        monkeypatch.setattr(torch.cuda, name, function)
    return fake


def on(fake: Ticking) -> Cuda:
    device = object.__new__(Cuda)
    device.flushed, device.flush = fake, 1.0  # type: ignore[assignment]
    return device


def test_the_clock_times_calls_alone_and_flushes_before_each(ticking: Ticking) -> None:
    found = on(ticking).measured(ticking.call)
    assert found.times == [7.0] * clock.RUNS
    assert clock.RUNS >= 20
    assert found.extra == 50
    timed = ticking.log[-1 - 4 * clock.RUNS :]
    assert timed == ["flush", "event", "call", "event"] * clock.RUNS + ["wait"]  # nothing waits in between
    assert ticking.log[: clock.WARM + 1] == ["call"] * clock.WARM + ["wait"]


def test_a_slow_host_is_given_more_flushes(ticking: Ticking, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three calls are handed over in 3/256 s, 3.9 ms each: ⌈1.5 · 3.9 / 1⌉ flushes of 1 ms each; never more than MOST_FLUSHES."""
    for elapsed, flushes in ((3 / 256, 6), (12.0, clock.MOST_FLUSHES)):
        moments = iter((100.0, 100.0 + elapsed))
        monkeypatch.setattr(clock, "perf_counter", lambda moments=moments: next(moments))
        ticking.log.clear()
        assert on(ticking).measured(ticking.call).times == [7.0] * clock.RUNS
        assert ticking.log.count("flush") == flushes * clock.RUNS


def test_what_a_call_raises_reaches_the_run(ticking: Ticking) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        on(ticking).measured(raising(torch.OutOfMemoryError("no"))(SMALL, *given(SMALL, "cpu").leaves))


# The supervisor

CHILD = """
import os, pathlib, signal, sys, time
path, ways = pathlib.Path(sys.argv[1]), sys.argv[2:]
begun = len(path.read_text()) if path.exists() else 0
way = ways[begun] if begun < len(ways) else "0"
if way != "nothing":
    path.write_text("x" * (begun + 1))
if way == "killed": os.kill(os.getpid(), signal.SIGKILL)
if way == "hangs": time.sleep(60)
sys.exit(int(way) if way.isdigit() else 3)
"""


@pytest.mark.parametrize(
    ("ways", "status", "begun"),
    [
        (["0"], 0, 1),
        (["killed", "3", "0"], 0, 3),  # a crash, a lost device, and the end
        (["1"], 1, 1),  # an error of the program is no reason to go on
        (["killed", "nothing"], 3, 1),  # no row was begun: it would go on for ever
        (["hangs", "0"], 0, 2),
    ],
)
def test_a_run_goes_on_after_a_crash_as_long_as_rows_are_begun(ways: list[str], status: int, begun: int, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    command = [sys.executable, "-S", "-c", CHILD, str(path), *ways]
    since = time.monotonic()
    assert run.supervised(command, path, dict(os.environ), patience=1.5, pause=0.05) == status
    assert len(path.read_text()) == begun
    assert time.monotonic() - since < 30


# The command line


@contextmanager
def pretending(monkeypatch: pytest.MonkeyPatch, **replaced: Any) -> Iterator[None]:
    """Within, this machine has a GPU, the laws end as told, and timing writes the rows as told."""
    with monkeypatch.context() as patches:
        patches.setattr(command, "unusable", lambda device: None)
        patches.setattr(clock, "Cuda", lambda index: Fake())
        patches.setattr(environment, "slug", lambda facts: "fake")
        patches.setattr(torch.cuda, "empty_cache", lambda: None)
        for name, value in replaced.items():
            patches.setattr(run if name == "supervised" else command, name, value)
        yield


@pytest.mark.parametrize(
    ("arguments", "laws", "outcome", "status", "timed"),
    [
        ([], 0, MEASURED, 0, True),
        ([], 1, MEASURED, 1, True),  # a broken law shows, and the times are taken all the same
        ([], 0, FAILED, 1, True),
        ([], 2, MEASURED, 130, False),
        ([], 4, MEASURED, 1, False),
        (["--laws"], 0, MEASURED, 0, False),
        (["--times"], 4, MEASURED, 0, True),
    ],
)
def test_exit_statuses(arguments: list[str], laws: int, outcome: str, status: int, timed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    def supervised(child: list[str], path: Path, surroundings: dict[str, str]) -> int:
        started.append(child)
        assert "TRITON_INTERPRET" not in surroundings
        record.write(path, Record(environment=FACTS, rows=(of(outcome=outcome, milliseconds=(1.0, 2.0, 3.0) if outcome == MEASURED else None),)))
        return 0

    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pretending(monkeypatch, laws=lambda options, surroundings: laws, supervised=supervised):
        assert command.main([*arguments, "--evidence", str(tmp_path), "--lengths", "512,1024"]) == status
    assert bool(started) == timed
    assert all(child[child.index("--lengths") + 1] == "512,1024" and "--here" in child for child in started)


def test_again_forgets_what_was_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gpu-fake.json"
    rows = tuple(of(contender=name, outcome=outcome, milliseconds=(1.0, 2.0, 3.0) if outcome == MEASURED else None)
                 for name, outcome in zip(CONTENDERS, (MEASURED, REFUSED, MEMORY, FAILED, STARTED), strict=False))  # fmt: skip
    record.write(path, Record(environment=FACTS, rows=rows))
    with pretending(monkeypatch, supervised=lambda *_: 0):
        assert command.main(["--times", "--again", "--evidence", str(tmp_path)]) == 0
    assert record.read(path).rows == (rows[0],)


def test_without_a_gpu_one_line_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert command.main([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("no GPU here: torch ")


def test_what_else_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert command.unusable(1) == "no GPU 1 here: torch sees 1, numbered from 0"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "no C compiler here" in str(command.unusable(0))
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/gcc")
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": "/nowhere"})
    assert "no Python.h in /nowhere" in str(command.unusable(0))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "no triton here" in str(command.unusable(0))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--lengths", "512,77"], "unknown lengths 77; possible are 512, 1024"),
        (["--contenders", "xformers"], "unknown contenders xformers; possible are triton, torch-flash"),
        (["--dry-run", "--targets", "sm_70"], "unknown targets sm_70; possible are sm_80, sm_90, sm_100, gfx942"),
        (["--laws", "--times"], "not allowed with"),
    ],
)
def test_bad_arguments_are_quoted_with_what_is_possible(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_help_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "--dry-run" in said
    assert "Exit status: 0" in said
    assert "--here" not in said


# The dry run


def python(*arguments: str, expected: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == expected, done.stdout + done.stderr
    return done


@pytest.mark.skipif(sys.platform != "linux", reason="triton is for Linux")
def test_a_dry_run_compiles_whatever_the_shell_is_set_to() -> None:
    narrowed = ("--families", "dense", "--targets", "sm_80", "--lengths", "512", "--widths", "64", "--dtypes", "bfloat16", "--examples", "0")
    done = python("-m", "properties.gpu", "--dry-run", *narrowed, TRITON_INTERPRET="1")
    header, *lines, last = done.stdout.strip().splitlines()
    assert header.split()[:4] == ["target", "kernel", "dtype", "D"]
    assert re.fullmatch(r"sm_80: \d+ launches checked, all would be made", last)
    assert {tuple(line.split()[:5]) for line in lines} == {
        ("sm_80", kernel, "bfloat16", "64", mask) for kernel in ("forward", "backward_queries", "backward_keys") for mask in ("full", "causal")
    }
    assert all(line.endswith("yes") for line in lines)
    grids = {line.split()[1]: line.split()[7] for line in lines}
    assert grids["forward"].endswith("×1024")  # B · H


PLANTED = """
import json
from dataclasses import replace
import torch
from impl._triton.compiled import read
from impl.scaled_dot_product import flash, launch
from impl.scaled_dot_product.configuration import Configuration
from properties.gpu.checks import expected, offsets, problems, reached
from properties.gpu.rehearsal import Rehearsal, complaints, wrong

q = torch.empty(1, 1, 32, 16, dtype=torch.float16)
call = launch.Call(q, q, q, None, None, None, None, [], 0.25, 0.0, False, False, 0.0, 0, (16, 16, 4, 1), "sm_80")
good = call.forward(torch.empty_like(q), torch.empty(1, 1, 32), None, Configuration(16, 16, 4, 1))
kernel = good.compiled("sm_80")
found = read(kernel)

def said(it=good, read=found, **arguments):
    return list(problems(replace(it, arguments=it.arguments | arguments), kernel, read))

tight = Rehearsal("sm_80")
wide = torch.empty(1, 1, 64, 256, dtype=torch.float16)
big = launch.Call(wide, wide, wide, None, None, None, None, [], 1.0, 0.0, False, False, 0.0, 0, (64, 64, 8, 4), "sm_80")
tight.run(big, "forward", lambda c: big.forward(torch.empty_like(wide), torch.empty(1, 1, 64), None, c))
print(json.dumps({
    "good": said(),
    "grid": said(replace(good, grid=(1, 65536))),
    "shared": said(read=replace(found, shared=10**6)),
    "type": said(N=2**31),
    "one": said(N=1),
    "multiple": said(N=33),
    "address": said(Q=torch.empty(17, dtype=torch.float16)[1:]),
    "offset": said(kn=2**28, WIDE=False),
    "wide": said(kn=2**28, WIDE=True),
    "tight": [len(wrong(tight.checked)), complaints(tight.checked)],
    "reached": [reached((128, 64), (64, 1)), reached((128, 2**40), (64, 1)), reached((16, 2**27), (16, 2**27))],
    "expected": [expected(x) for x in (None, 1, 2**31 - 1, 2**31, -2**31, -2**31 - 1, 0.5, q)],
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="triton is for Linux")
def test_planted_faults_of_a_launch_are_found() -> None:
    found = json.loads(python("-c", PLANTED, TRITON_INTERPRET="0").stdout.splitlines()[-1])
    assert found["good"] == found["wide"] == []
    assert found["grid"] == ["axis 1 of the grid has 65536 blocks, 65535 are allowed"]
    assert found["shared"] == ["asks for 1000000 bytes of shared memory, 166912 are allowed"]
    assert found["type"] == ["N = 2147483648 is passed as i32, expected i64"]
    assert found["one"][0] == "N = 1 is passed as i32, expected constexpr"
    assert found["multiple"] == ["N = 33 is taken for a multiple of 16"]
    assert len(found["address"]) == 1
    assert found["address"][0].startswith("Q = Tensor at")
    assert found["offset"] == [f"the offset k reaches {15 * 2**28 + 15}, beyond 32 bits, and WIDE is false"]
    count, complaints = found["tight"]
    assert count == 1
    assert "bytes of shared memory, 166912 are allowed" in complaints[0]
    assert found["reached"] == [127 * 64 + 63, 63, 2 * 15 * 2**27]
    types = [["constexpr"], ["constexpr"], ["i32"], ["i64"], ["i32"], ["i64"], ["fp32"], ["*fp16"]]
    assert found["expected"] == types


# The page


def page_of(*rows: Row, kernel: str = "now") -> str:
    return gpu_page([Run(name="fake", record=Record(environment=FACTS, rows=rows), code=lambda name, family: kernel if name == OURS else "")])


def test_the_page_shows_rates_ratio_and_what_was_not_measured() -> None:
    case = Case(n=512, width=64, dtype="float16", causal=False, backward=False, batch=32, heads=32)
    text = page_of(
        of(case=case, milliseconds=(0.2, 0.25, 0.5), extra=3 * 2**20, host=0.0625, error=0.001, code="now"),
        of(case=case, contender="torch-flash", milliseconds=(0.1, 0.125, 0.2)),
        of(case=case, contender="torch-math", milliseconds=(1.0, 2.0, 4.0)),
        of(case=case, contender="torch-cudnn", outcome=REFUSED, milliseconds=None, reason="cuDNN <needs> sm_80"),
    )
    assert "### Forward, without a mask, float16, 32 heads of 64" in text
    assert "| 512 | 32 | 274.9 | 549.8 |  | refused | 34.4 |  | 0.5 |" in text  # 68.7 G operations in 0.25, 0.125 and 2 ms
    assert "| 512 | triton | 0.250 | 0.200 – 0.500 | 5 | 0.0625 | 3.0 | 0.001 |" in text
    assert "| 512 | torch-flash | 0.125 |" in text
    assert "`torch-cudnn`, refused: cuDNN &lt;needs> sm\\_80 (1: " in text
    assert "Nothing is claimed about any GPU, version or shape that does not stand here" in text
    assert EARLIER not in text


def test_the_page_marks_times_of_earlier_code() -> None:
    assert f"{EARLIER} The kernel's code has changed since." in page_of(of(code="before"))


def test_there_is_no_page_of_nothing(tmp_path: Path) -> None:
    assert read_runs(tmp_path) == ()
    with pytest.raises(ValueError, match="nothing to show"):
        gpu_page([])


def test_the_best_of_torch_is_the_fastest_that_was_measured(tmp_path: Path) -> None:
    rows = (
        of(milliseconds=(1.0, 2.0, 3.0)),
        of(contender="torch-math", milliseconds=(3.0, 4.0, 5.0)),
        of(contender="torch-flex", milliseconds=(0.5, 1.0, 2.0)),
        of(contender="torch-flash", outcome=FAILED, milliseconds=None),
    )
    record.write(tmp_path / "gpu-fake.json", Record(environment=FACTS, rows=rows))
    (found,) = read_runs(tmp_path)
    best = found.best(SMALL)
    assert best is not None
    assert best.contender == "torch-flex"
    assert found.ratio(SMALL) == 0.5
    assert {*TORCH, OURS, *(name for plan in PLANS.values() for name in plan.ways)} == set(CONTENDERS)


def test_the_page_shows_the_other_families_by_their_times() -> None:
    case = Case(n=4096, width=64, dtype="float16", causal=True, backward=True, batch=4, heads=32, family="window")
    text = page_of(
        of(case=case, milliseconds=(0.2, 0.25, 0.5), code="now"),
        of(case=case, contender="dense-triton", milliseconds=(0.5, 1.0, 2.0)),
        of(case=case, contender="torch-flex", outcome=FAILED, milliseconds=None, reason="no compiler"),
    )
    assert "### Window" in text
    assert "| backward | float16 | 4096 | 64 | 4 | 32 | 0.250 | 1.000 | failed | 4 |" in text


def test_the_page_needs_neither_torch_nor_triton() -> None:
    python("-c", "import sys; sys.modules['torch'] = sys.modules['triton'] = None; import reports.gpu, reports.render_gpu")
