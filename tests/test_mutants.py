"""A check that cannot fail is no evidence: planted bugs must be noticed under every seed, and right implementations left in peace.

The committed evidence says what notices each mutant. Here each mutant is planted again and met by the first law that killed it and by every law
that no earlier mutant has shown able to kill; so each run sees every mutant die and every law kill.
"""

from __future__ import annotations

import sys
from functools import cache

import pytest

from properties import digest
from properties.verifies import LAWS
from reports.mutants import Mutants, read
from tests import planting
from tests.planting import Mutant

planting.load_checks()
PLANTED = [mutant for mutant in planting.mutants() if not mutant.control]
CONTROLS = [mutant for mutant in planting.mutants() if mutant.control]
AMPLE = 1000  # a law: Hypothesis mixes the constants of all loaded modules into what it draws, so that one seed draws otherwise here than in `make mutants`
CONTROL_EXAMPLES = 60  # a law; the committed evidence tried as many as the ci profile does
AGAIN = "run `make mutants` and commit reports/evidence/mutants.json"


@cache
def evidence() -> Mutants:
    return read(planting.EVIDENCE)


def assigned() -> dict[str, list[str]]:
    """Which laws each implementation mutant meets: its first killer, and those that it is the first to show."""
    shown: set[str] = set()
    chosen = {}
    for row in evidence().mutants:
        chosen[row.name] = [law for place, law in enumerate(row.kills) if place == 0 or law not in shown]
        shown |= set(row.kills)
    return chosen


@pytest.mark.parametrize("mutant", [m for m in PLANTED if not m.of_theorem], ids=lambda m: m.name)
def test_a_planted_bug_is_killed_under_three_seeds(mutant: Mutant) -> None:
    laws = assigned().get(mutant.name, [])
    assert laws, f"nothing is known to notice {mutant.name!r}; {AGAIN}"
    implementation = planting.mutated_implementation(mutant)
    for law in laws:
        for seed in planting.SEEDS:
            assert planting.noticed_by(LAWS[law], implementation, seed, AMPLE), f"{law} missed {mutant.name!r} under seed {seed}"


@pytest.mark.parametrize("mutant", [m for m in PLANTED if m.of_theorem], ids=lambda m: m.name)
def test_an_edited_statement_is_not_proved(mutant: Mutant) -> None:
    assert mutant.breaks, f"{mutant.name!r} names no claim that it breaks"
    for claim in mutant.breaks:
        assert planting.theorem_broken(mutant, claim), f"{claim} is still derived although {mutant.why}"


@pytest.mark.parametrize("control", CONTROLS, ids=lambda m: m.name)
def test_a_right_but_unusual_implementation_is_not_accused(control: Mutant) -> None:
    implementation = planting.mutated_implementation(control)
    accusers = planting.accusers(implementation, planting.laws_here(implementation), CONTROL_EXAMPLES)
    assert not accusers, f"{control.name!r} ({control.why}) is accused by {accusers}"


def test_every_law_kills_a_mutant() -> None:
    killing = {law for row in evidence().mutants for law in row.kills}
    idle = {name for name, law in LAWS.items() if not law.apart} - killing
    assert not idle, f"laws that no mutant has shown able to fail: {sorted(idle)}; {AGAIN}"


def test_the_committed_evidence_is_about_these_mutants_and_these_checks() -> None:
    committed = evidence()
    assert {row.name for row in committed.mutants} == {m.name for m in PLANTED}, AGAIN
    assert {row.name for row in committed.controls} == {m.name for m in CONTROLS}, AGAIN
    changed = [name for name, then in committed.digests.items() if digest.of_law(name) != then]
    assert not changed, f"changed since the mutants were tried: {changed}; {AGAIN}"


def test_planting_leaves_the_original_modules_in_place() -> None:
    before = {name: module for name, module in sys.modules.items() if name.startswith("impl")}
    mutant = next(m for m in PLANTED if m.file.startswith("impl/"))
    assert planting.mutated_implementation(mutant).call is not before["impl"].IMPLEMENTATIONS[0].call
    assert {name: module for name, module in sys.modules.items() if name.startswith("impl")} == before


def test_an_edit_that_does_not_match_exactly_once_is_named() -> None:
    with pytest.raises(planting.BadMutant, match=r"'stray'.*occurs 0 times"):
        Mutant(name="stray", file="impl/variant.py", old="no such text", new="", why="").source_text()
