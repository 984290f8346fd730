"""Judges the functions of tests/subjects/ as `--impl` does, in this process and without shrinking."""

from __future__ import annotations

import argparse
import importlib
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from impl import VARIANTS
from properties.judge import Asked, Judge, implementation_of, laws_for, target_of
from properties.judging import load_laws
from properties.process import Target
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
    """What every law finds through a judge, one after another, those whose titles are in `first` first."""
    load_laws()
    laws = laws_for(held.implementation.variant, list(LAWS.values()))
    for number, law in enumerate(sorted(laws, key=lambda law: law.title not in first)):
        yield law, law.run(held.implementation, examples, seed=1000 * held.asked.seed + number, shrink=False, runner=held.runner)


def tried_here(kind: str, name: str, examples: int, first: tuple[str, ...], *, seed: int = 7) -> Iterator[tuple[Law, Observation]]:
    """The same without a process, which is quicker: for functions that do no harm. The laws whose titles are in `first` come first."""
    load_laws()
    asked = Asked(target=Target(module=kind, function=name), variant=VARIANT)
    described = {"declared": None, "parameters": None, "log_sum_exp": False}
    implementation = replace(implementation_of(asked, VARIANTS[VARIANT], described), call=getattr(subjects(kind), name))
    laws = [law for law in laws_for(implementation.variant, list(LAWS.values())) if not law.apart]
    for number, law in enumerate(sorted(laws, key=lambda law: law.title not in first)):
        yield law, law.run(implementation, examples, seed=1000 * seed + number, shrink=False)
