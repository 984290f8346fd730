"""Judges the functions of tests/subjects/ as `--impl` does, in this process and without shrinking."""

from __future__ import annotations

import argparse
import importlib
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from properties.judge import Asked, Judge, laws_for, target_of
from properties.judging import load_laws
from properties.verifies import LAWS, Law, Observation

SUBJECTS = Path(__file__).parent / "subjects"
VARIANT = "scaled-dot-product"


def subjects(kind: str) -> ModuleType:
    """The module of one kind of subject: adversaries, honest or bugs."""
    return importlib.import_module(f"tests.subjects.{kind}")


@contextmanager
def judge(kind: str, name: str, options: str = "", *, seed: int = 7, call_timeout: float = 2.0) -> Iterator[Judge]:
    """A judge of one function. Raises CannotJudge as `--impl` does."""
    parser = argparse.ArgumentParser()
    for option in ("--limits", "--convention", "--arithmetic"):
        parser.add_argument(option, default="")
    parser.add_argument("--framework", default="torch")
    said = parser.parse_args(shlex.split(options))
    target = target_of(f"{SUBJECTS / kind}.py:{name}", framework=said.framework, call_timeout=call_timeout, memory=2**30)
    asked = Asked(
        target=target, variant=VARIANT, limits=said.limits, convention=said.convention, arithmetic=said.arithmetic, seed=seed, budget=float("inf")
    )  # fmt: skip
    held = Judge.prepared(asked)
    try:
        yield held
    finally:
        held.close()


def tried(held: Judge, examples: int, first: tuple[str, ...] = ()) -> Iterator[tuple[Law, Observation]]:
    """One law after another, those whose titles are in `first` first."""
    load_laws()
    laws = sorted(laws_for(held.implementation.variant, list(LAWS.values())), key=lambda law: law.title not in first)
    for number, law in enumerate(laws):
        yield law, law.run(held.implementation, examples, seed=1000 * held.asked.seed + number, shrink=False, runner=held.runner)
