"""Pytest glue: one test for each (law, implementation), search and derivation, and the evidence file that they fill; --impl has `properties.judging`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
import torch

from impl import IMPLEMENTATIONS
from impl._triton.patching import patch_once_a_launch
from impl.scaled_dot_product import flash
from impl.variant import Implementation
from properties import digest, environment, judging, search
from properties.derivations import derivation
from properties.evidence import BadEvidence, Evidence, EvidenceFile, from_row, read, to_row, write
from properties.recalled import Argument, recalled_or_run
from properties.verifies import EXAMPLES, Law
from theorems import CLAIMS
from theorems.outcome import Outcome

ROOT = Path(__file__).parents[1]
PROFILES = tuple(EXAMPLES)
FLUSH_EVERY = 25  # reports between two writes of the evidence file, so that an interrupted run keeps what it had

for name in PROFILES:
    hypothesis.settings.register_profile(name, derandomize=name != "deep", deadline=None)


class Ledger:
    """Collects the evidence of a run in the process that reports, and keeps the file up to date."""

    def __init__(self, config: pytest.Config, path: Path | None) -> None:
        self.config, self.path = config, path
        self.rows: list[Evidence] = []
        self.reports = 0
        self.arguments: Counter[bool] = Counter()  # derivations and searches by whether they were recalled
        self.before = EvidenceFile(environment=environment.describe(), evidence=())
        if path is not None and path.exists():
            self.before = replace(self.before, evidence=read(path).evidence)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        rows = [from_row(json.loads(str(text))) for key, text in report.user_properties if key == "evidence"]
        if report.when == "call" and rows:
            self.arguments.update(bool(value) for key, value in report.user_properties if key == "recalled")
            self.rows += rows
            self.reports += 1
            if self.reports % FLUSH_EVERY == 0:
                self.flush(self.before)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.rows:
            complete = exitstatus in (0, 1) and not self.config.option.keyword and ran_all(self.config)
            self.flush(replace(self.before, evidence=()) if complete else self.before)

    def flush(self, before: EvidenceFile) -> None:
        if self.path is not None:
            write(self.path, before.merged(self.rows, current_claims=CLAIMS))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.rows:
            return
        terminalreporter.section("evidence")
        by_subject: dict[str, Counter[str]] = {}
        for row in {(e.law, e.subject): e for e in self.rows}.values():
            by_subject.setdefault(row.subject, Counter())[row.outcome.value] += 1
        for subject, outcomes in sorted(by_subject.items()):
            terminalreporter.write_line(f"{subject:40} " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())))
        unchanged = "recalled, as nothing that they follow from has changed (--cache-clear runs all)"
        terminalreporter.write_line(f"derivations and searches: {self.arguments[False]} run, {self.arguments[True]} {unchanged}")
        terminalreporter.write_line(f"written to {self.path}" if self.path else "not written (give --evidence FILE, or run the ci profile)")


def ran_all(config: pytest.Config) -> bool:
    return [Path(argument).resolve() for argument in config.args] == [ROOT / "properties"] and not getattr(config.option, "lf", False)


def profile_of(config: pytest.Config) -> str:
    return config.getoption("--hypothesis-profile", default=None) or "ci"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("attention ledger", "the claims and laws under properties/ (profiles: --hypothesis-profile quick, ci or deep)")
    group.addoption(
        "--evidence", metavar="FILE", help="write what the properties observe to FILE (default: reports/evidence/<environment>.json in the ci profile)"
    )
    judging.add_options(parser)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    return judging.command(config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    profile = profile_of(config)
    if profile not in PROFILES:
        raise pytest.UsageError(f"unknown profile {profile!r}; possible are {', '.join(PROFILES)}")
    if flash.missing() is None:  # sets Triton to interpret, where there is no GPU, before anything else imports it: torch's checkpoints do
        patch_once_a_launch()
    torch.set_num_threads(1)  # results must not depend on how many workers share the machine
    if hasattr(config, "workerinput"):
        if config.getoption("--impl"):
            config.pluginmanager.register(judging.Judging(config, judging.asked_of(config), None), judging.NAME)
        return
    if config.getoption("--impl"):
        return  # what is found about a stranger goes into its own report
    given = config.getoption("--evidence")
    path = Path(given) if given else ROOT / "reports" / "evidence" / f"{environment.slug(environment.describe())}.json" if profile == "ci" else None
    try:
        config.pluginmanager.register(Ledger(config, path), "attention-ledger")
    except BadEvidence as error:
        raise pytest.UsageError(str(error)) from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    law: Law | None = getattr(metafunc.function, "law", None)
    if law is not None and metafunc.config.getoption("--impl"):
        metafunc.parametrize("implementation", [None], ids=["impl"])
    elif law is not None:
        fitting = [i for i in IMPLEMENTATIONS if law.on in i.variant.traits]
        metafunc.parametrize("implementation", fitting, ids=[f"{i.variant.name}/{i.name}" for i in fitting])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let `-k` find every test about a claim by the claim's id; laws that watch a process of the subject's own wait for --impl."""
    if not config.getoption("--impl"):
        items[:] = [item for item in items if not getattr(getattr(getattr(item, "obj", None), "law", None), "apart", False)]
    for item in items:
        test = getattr(item, "obj", None)
        about = set(law.claims) if (law := getattr(test, "law", None)) else set()
        if sought := getattr(test, "search", None):
            about |= {sought.claim.id, sought.claim.corrected_by} - {""}
        item.extra_keyword_matches |= about


@pytest.fixture
def profile(request: pytest.FixtureRequest) -> str:
    """The profile's name: quick, ci or deep."""
    return profile_of(request.config)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a law, a search or a derivation, and keep what it found."""
    chosen, arguments = profile_of(pyfuncitem.config), pyfuncitem.funcargs
    if judge := pyfuncitem.config.pluginmanager.get_plugin(judging.NAME):
        judge.run(pyfuncitem, pyfuncitem.obj.law)
    elif law := getattr(pyfuncitem.obj, "law", None):
        implementation = arguments["implementation"]
        assert isinstance(implementation, Implementation)
        observed = law.run(implementation, max(1, round(EXAMPLES[chosen] * implementation.share)))
        keep(pyfuncitem, observed.evidence(law), chosen)
        conclude(observed.outcome, observed.detail, ours=implementation.ours)
    elif sought := getattr(pyfuncitem.obj, "search", None):
        argue(pyfuncitem, sought.argument(search.EXAMPLES[chosen]), chosen)
    elif "derivation_of" in arguments:
        argue(pyfuncitem, derivation(CLAIMS[str(arguments["derivation_of"])]), chosen)
    else:
        return None
    return True


def argue(item: pytest.Item, argument: Argument, profile: str) -> None:
    """Run or recall a derivation or a search. What is recalled stands in pytest's own cache: `--cache-clear` empties it, `-p no:cacheprovider` does without."""
    store = getattr(item.config, "cache", None)
    rows, recalled = recalled_or_run(argument, store.mkdir("arguments") if store is not None else None)
    item.user_properties.append(("recalled", recalled))
    keep(item, rows, profile)
    if problem := argument.amiss(rows):
        pytest.fail(problem, pytrace=False)


def keep(item: pytest.Item, rows: list[Evidence], profile: str) -> None:
    for row in rows:
        item.user_properties.append(("evidence", json.dumps(to_row(replace(row, profile=profile, digest=digest.of(row))))))


def conclude(outcome: Outcome, detail: str, *, ours: bool) -> None:
    """What pytest shows for an outcome: a stranger's violation is shown as an expected failure, ours fails."""
    match outcome:
        case Outcome.HELD:
            return
        case Outcome.NOT_RUN | Outcome.SWITCHED_OFF:
            pytest.skip(detail)
    if ours:
        pytest.fail(f"{outcome.value}: {detail}", pytrace=False)
    pytest.xfail(f"a stranger's {outcome.value}: {detail}")
