"""Pytest glue of `--impl`: options, one test for each law, and the report that they fill."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import math
import secrets
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from impl import VARIANTS
from properties import environment
from properties.declared import BadDeclaration, options_help, spelled
from properties.evidence import write_text
from properties.judge import BUDGET, PATIENCE, TIMEOUT, Asked, Judge, laws_for, target_of
from properties.judgement import EXIT, Finding, Judgement, story, table, to_json, to_markdown
from properties.process import CannotJudge
from properties.verifies import LAWS, Law
from theorems.outcome import Outcome

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "reports" / "impl"
NAME = "attention-judge"
NOT_JUDGED = 2


def add_options(parser: pytest.Parser) -> None:
    """The options of `--impl`."""
    group = parser.getgroup(
        "attention ledger: judge one function", "pytest properties --impl MODULE:FUNCTION --variant NAME tries every law of the variant on it"
    )
    group.addoption("--impl", metavar="MODULE:FUNCTION", help="the function to judge: a dotted module or the path of a .py file, and a name in it")
    group.addoption("--variant", metavar="NAME", default="scaled-dot-product", help="what it says it computes (default scaled-dot-product)")
    group.addoption("--list-variants", action="store_true", help="print variants, their signatures and laws, and every key that can be declared")
    group.addoption("--limits", metavar="KEY=VALUE,…", default="", help="what it accepts, e.g. mask=none,gqa=no,dtypes=float16+bfloat16")
    group.addoption("--convention", metavar="KEY=VALUE,…", default="", help="what it does differently on purpose, e.g. dead-rows=nan,causal=bottom-right")
    group.addoption("--arithmetic", metavar="KEY=VALUE,…", default="", help="how it rounds, e.g. accumulate=float32,p-dtype=input,stabiliser=max")
    group.addoption("--framework", choices=("torch", "numpy", "jax"), default="torch", help="whose arrays it takes (handed over by DLPack)")
    group.addoption("--device", default="cpu", help="where its tensors live (default cpu)")
    group.addoption("--interpret", action="store_true", help="run its Triton kernels in Triton's interpreter, and check every access to memory")
    group.addoption("--python", metavar="FILE", default=sys.executable, help="the interpreter that runs it; needs torch (default: this one)")
    group.addoption("--seed", type=int, help="repeat the run that printed this seed (default: a fresh one)")
    group.addoption("--budget", type=float, metavar="SECONDS", help=f"time for all laws (default {BUDGET:g}; with --interpret {PATIENCE * BUDGET:g})")
    group.addoption(
        "--call-timeout", type=float, metavar="SECONDS", help=f"a call that takes longer hangs (default {TIMEOUT:g}; with --interpret {PATIENCE * TIMEOUT:g})"
    )
    group.addoption("--memory", type=float, default=4.0, metavar="GIB", help="memory that it may take (default 4)")
    group.addoption("--name", default="", help="what the report calls it (default MODULE.FUNCTION)")
    group.addoption("--report", metavar="DIR", help="where the report goes (default reports/impl)")


def command(config: pytest.Config) -> int | None:
    """Check what `--impl` says and see that the function can be called, before anything is collected; the exit status if it ends here."""
    if config.getoption("--list-variants"):
        print(listed())
        return 0
    if not config.getoption("--impl") or hasattr(config, "workerinput"):
        return None
    try:
        asked = asked_of(config)
        judge = Judge.prepared(asked)
    except (BadDeclaration, CannotJudge) as error:
        print(f"could not be judged: {error}", file=sys.stderr)
        return NOT_JUDGED
    if config.getoption("numprocesses", default=None):
        judge.close()
    config.pluginmanager.register(Judging(config, asked, judge), NAME)
    return None


def asked_of(config: pytest.Config) -> Asked:
    """The options as they are meant. Raises BadDeclaration. Draws the seed where none is given."""
    given = config.getoption
    if given("--seed") is None:
        config.option.seed = secrets.randbits(32)
    for name, usual in (("budget", BUDGET), ("call_timeout", TIMEOUT)):
        if given(name) is None:
            setattr(config.option, name, usual * (PATIENCE if given("--interpret") else 1))
    for name, value in (("--budget", given("--budget")), ("--call-timeout", given("--call-timeout")), ("--memory", given("--memory"))):
        if not (value > 0 and math.isfinite(value)):
            raise BadDeclaration(f"{name} {value:g}: expected a number above 0")
    target = target_of(
        given("--impl"),
        framework=given("--framework"),
        device=given("--device"),
        python=given("--python"),
        call_timeout=given("--call-timeout"),
        memory=int(given("--memory") * 2**30),
        interpret=given("--interpret"),
    )
    return Asked(
        target=target,
        variant=given("--variant"),
        limits=given("--limits"),
        convention=given("--convention"),
        arithmetic=given("--arithmetic"),
        seed=given("--seed"),
        budget=given("--budget"),
        name=given("--name"),
    )


class Judging:
    """Runs the laws of one variant on one function, collects what they find, and writes the report."""

    def __init__(self, config: pytest.Config, asked: Asked, judge: Judge | None) -> None:
        load_laws()  # in a distributed run nothing is collected in the process that reports
        self.config, self.asked, self._judge = config, asked, judge
        self.implementation = judge.implementation if judge else None
        said = judge.runner.described["versions"] if judge else {}
        self.theirs = {f"its {name}": str(version) for name, version in said.items()}
        self.findings: dict[str, Finding] = {}
        self.selected: list[Law] = []

    @property
    def judge(self) -> Judge:
        """The judge of this process; started anew in each worker of a distributed run."""
        if self._judge is None:
            self._judge = Judge.prepared(self.asked)
        return self._judge

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        wanted = [item for item in items if getattr(getattr(item, "obj", None), "law", None) in self.laws]
        self.config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
        items[:] = sorted(wanted, key=lambda item: self.laws.index(item.obj.law))  # type: ignore[attr-defined]
        self.selected = [item.obj.law for item in items]  # type: ignore[attr-defined]

    @property
    def laws(self) -> list[Law]:
        return laws_for(VARIANTS[self.asked.variant], list(LAWS.values()))

    def run(self, item: pytest.Function, law: Law) -> None:
        """Try one law; what it finds travels with the test's report."""
        observed = self.judge.observe(law, self.selected.index(law), len(self.selected))
        finding = self.judge.finding(law, observed)
        row = dataclasses.asdict(finding) | {"outcome": finding.outcome.value}
        item.user_properties.append(("finding", json.dumps(row)))
        if finding.outcome is Outcome.REFUTED:
            pytest.fail(story(finding), pytrace=False)
        if finding.outcome is not Outcome.HELD:
            pytest.skip(f"{finding.outcome.value}: {finding.detail}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for key, text in report.user_properties:
            if key == "finding" and report.when == "call":
                row = json.loads(str(text))
                claims, hints = tuple(row["claims"]), tuple(row["hints"])
                self.findings[row["law"]] = Finding(**row | {"outcome": Outcome(row["outcome"]), "claims": claims, "hints": hints})
                if not hasattr(self.config, "workerinput"):
                    write_text(self.path(".json"), to_json(self.judgement()))  # an interrupted run keeps what it had

    def judgement(self) -> Judgement:
        """All that was found so far, in the order of the laws; a law that was not tried leaves the whole undecided."""
        assert self.implementation is not None
        i = self.implementation
        found = tuple(
            self.findings.get(law.title, Finding(law=law.title, claims=law.claims, outcome=Outcome.UNDECIDED, detail="not tried")) for law in self.laws
        )
        return Judgement(
            implementation=i.name,
            variant=i.variant.name,
            called=self.config.getoption("--impl"),
            declared=spelled(i.limits, i.conventions, i.arithmetic),
            findings=found,
            environment=environment.describe() | self.theirs,
            seed=self.asked.seed,
            again=self.again(),
        )

    def again(self) -> str:
        """The command that repeats this run."""
        given = self.config.getoption
        words = ["pytest", "properties", "--impl", given("--impl"), "--variant", self.asked.variant, "--seed", str(self.asked.seed)]
        for option in ("--limits", "--convention", "--arithmetic"):
            words += [option, given(option)] if given(option) else []
        words += ["--python", given("--python")] if given("--python") != sys.executable else []
        words += ["--name", given("--name")] if given("--name") else []
        words += ["--interpret"] if given("--interpret") else []
        patience = PATIENCE if given("--interpret") else 1
        limits = (("--budget", BUDGET * patience), ("--call-timeout", TIMEOUT * patience), ("--memory", 4.0))
        for option, usual in (("--framework", "torch"), ("--device", "cpu"), *limits):
            words += [option, f"{given(option):g}" if isinstance(usual, float) else given(option)] if given(option) != usual else []
        return shlex.join(words)

    def path(self, suffix: str) -> Path:
        folder = Path(self.config.getoption("--report") or REPORTS)
        name = "".join(c if c.isalnum() or c in "-_." else "-" for c in self.implementation.name) if self.implementation else "report"
        return folder / f"{name}{suffix}"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._judge is not None:
            self._judge.close()
        if hasattr(self.config, "workerinput"):
            return
        if self.config.option.collectonly:
            return
        judged = self.judgement()
        write_text(self.path(".json"), to_json(judged))
        write_text(self.path(".md"), to_markdown(judged))
        if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = EXIT[judged.verdict]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.config.option.collectonly:
            return
        judged = self.judgement()
        terminalreporter.section(f"{judged.implementation} as {judged.variant}")
        for line in table(judged):
            terminalreporter.write_line(line)
        if self.asked.target.interpret and self._judge is not None:
            launches = self._judge.runner.launches
            watched = f"{launches} launches of Triton kernels were watched" if launches else "no Triton kernel was launched: there was nothing to watch"
            terminalreporter.write_line(f"\n{watched}")
        counts = f"{len(judged.broken)} of {len(judged.findings)} laws broken"
        terminalreporter.write_line(f"\n{judged.verdict}: {counts}; seed {judged.seed}; written to {self.path('.md')} and {self.path('.json').name}")


def load_laws() -> None:
    """Import every property module, so that LAWS is complete."""
    for path in sorted((ROOT / "properties").glob("test_*.py")):
        importlib.import_module(f"properties.{path.stem}")


def listed() -> str:
    """What --list-variants prints."""
    load_laws()
    parts = []
    for variant in VARIANTS.values():
        laws = [f"  {law.title}" for law in laws_for(variant, list(LAWS.values()))]
        parts.append("\n".join([variant.name, f"  {variant.source}", f"  function{signature(variant.reference)}", f"  {len(laws)} laws:", *laws]))
    return "\n\n".join([*parts, options_help()])


def signature(function: Any) -> str:
    return str(inspect.signature(function)).replace("torch.Tensor", "Tensor").replace("'", "")
