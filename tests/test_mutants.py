"""A check that cannot fail is no evidence: planted bugs must be noticed under every seed, and right implementations left in peace.

The committed evidence says what notices each mutant, and of which code: it is out of date as soon as the edit, its source or a law that it meets changes.
Here a twentieth of the mutants and a third of the controls are planted again, and every mutant that is the first to show what a law can do. Under one of the
three seeds, it meets the first law that killed it and those that it is the first to show; a kernel's, in Triton's interpreter, which is slow, only the first.
`make mutants` tries all of them under all seeds.
"""

from __future__ import annotations

import sys
from functools import cache

import pytest
import torch

from impl import IMPLEMENTATIONS
from impl.variant import Implementation
from properties import digest
from properties.verifies import LAWS
from reports.mutants import Mutants, read
from tests import planting, trials
from tests.planting import Mutant

planting.load_checks()
PLANTED = [mutant for mutant in planting.mutants() if mutant.to_be_noticed]
CONTROLS = [mutant for mutant in planting.mutants() if mutant.control]
SURVIVORS = [mutant for mutant in planting.mutants() if mutant.survives]
TRITON = next(i for i in IMPLEMENTATIONS if i.triton)
CONTROL_EXAMPLES = 25  # a law; the committed evidence tried as many as the ci profile does
AGAIN = "run `make mutants` and commit reports/evidence/mutants.json"


@cache
def evidence() -> Mutants:
    return read(trials.EVIDENCE)


@cache
def first_to_show() -> dict[str, str]:
    """Of each law, the first mutant that it kills."""
    first: dict[str, str] = {}
    for row in evidence().mutants:
        for law in row.kills:
            first.setdefault(law, row.name)
    return first


@cache
def assigned() -> dict[str, list[str]]:
    """Which laws each implementation mutant meets: its first killer, and those that it is the first to show."""
    return {row.name: [law for place, law in enumerate(row.kills) if place == 0 or first_to_show()[law] == row.name] for row in evidence().mutants}


def falls_to(mutant: Mutant, one_in: int) -> bool:
    return sum(mutant.name.encode()) % one_in == 0


SHOWING = set(first_to_show().values())
REPLAYED = [mutant for mutant in PLANTED if falls_to(mutant, 20) or mutant.name in SHOWING]


@pytest.mark.parametrize("mutant", [m for m in REPLAYED if not m.of_theorem and not m.of_kernel], ids=lambda m: m.name)
def test_a_planted_bug_is_killed(mutant: Mutant) -> None:
    laws = assigned().get(mutant.name, [])
    assert laws, f"nothing is known to notice {mutant.name!r}; {AGAIN}"
    implementation, seed = planting.mutated_implementation(mutant), planting.SEEDS[len(mutant.name) % len(planting.SEEDS)]
    for law in laws:
        assert planting.noticed_by(LAWS[law], implementation, seed), f"{law} missed {mutant.name!r} under seed {seed}"


@pytest.mark.parametrize("mutant", [m for m in REPLAYED if m.of_kernel], ids=lambda m: m.name)
def test_a_bug_planted_in_a_kernel_is_killed(mutant: Mutant) -> None:
    interpreted()
    laws = assigned().get(mutant.name, [])
    assert laws, f"nothing is known to notice {mutant.name!r}; {AGAIN}"
    assert planting.noticed_by(LAWS[laws[0]], planting.mutated_implementation(mutant), planting.SEEDS[0]), f"{laws[0]} missed {mutant.name!r}"


@pytest.mark.parametrize("mutant", [m for m in REPLAYED if m.of_theorem], ids=lambda m: m.name)
def test_an_edited_statement_is_not_proved(mutant: Mutant) -> None:
    for claim in mutant.breaks:
        assert planting.theorem_broken(mutant, claim), f"{claim} is still derived although {mutant.why}"


@pytest.mark.parametrize("control", [control for control in CONTROLS if falls_to(control, 3)], ids=lambda m: m.name)
def test_a_right_but_unusual_implementation_is_not_accused(control: Mutant) -> None:
    implementation = planting.mutated_implementation(control)
    accusers = planting.accusers(implementation, planting.laws_here(implementation), CONTROL_EXAMPLES)
    assert not accusers, f"{control.name!r} ({control.why}) is accused by {accusers}"


def test_every_mutant_is_known_to_be_noticed() -> None:
    unnoticed = {row.name for row in evidence().mutants if not row.kills and not row.breaks}
    unnoticed |= {m.name for m in PLANTED if m.of_theorem and not m.breaks}
    assert not unnoticed, f"nothing is known to notice {sorted(unnoticed)}; {AGAIN}"
    broken = {row.name: set(row.breaks) for row in evidence().mutants}
    short = {m.name for m in PLANTED if broken.get(m.name) != set(m.breaks)}
    assert not short, f"not every claim that they are said to break was broken: {sorted(short)}; {AGAIN}"


def test_every_law_kills_a_mutant() -> None:
    killing = {law for row in evidence().mutants for law in row.kills}
    idle = {name for name, law in LAWS.items() if not law.apart} - killing
    assert not idle, f"laws that no mutant has shown able to fail: {sorted(idle)}; {AGAIN}"


def test_the_committed_evidence_is_about_these_mutants_and_these_checks() -> None:
    committed = evidence()
    assert {row.name for row in committed.mutants} == {m.name for m in PLANTED}, AGAIN
    assert {row.name for row in committed.controls} == {m.name for m in CONTROLS}, AGAIN
    assert {row.name: row.survives for row in committed.survivors} == {m.name: m.survives for m in SURVIVORS}, AGAIN
    assert not [row.name for row in committed.survivors if row.noticed_by], "noticed, so no survivors"
    changed = [name for name, then in committed.digests.items() if digest.of_law(name) != then]
    assert not changed, f"changed since the mutants were tried: {changed}; {AGAIN}"
    then = {row.name: row.met for rows in (committed.mutants, committed.controls, committed.survivors) for row in rows}
    changed = [mutant.name for mutant in planting.mutants() if then[mutant.name] != trials.met(mutant)]
    assert not changed, f"they, or what they met, changed since they were tried: {changed}; {AGAIN}"


def test_planting_leaves_the_original_modules_in_place() -> None:
    before = {name: module for name, module in sys.modules.items() if name.startswith("impl")}
    mutant = next(m for m in PLANTED if m.file.startswith("impl/"))
    assert planting.mutated_implementation(mutant).call is not before["impl"].IMPLEMENTATIONS[0].call
    assert {name: module for name, module in sys.modules.items() if name.startswith("impl")} == before


def interpreted() -> None:
    """Skip where the kernel cannot run in Triton's interpreter: the laws' tensors are on the CPU."""
    if why := TRITON.missing() or ("runs compiled" if torch.cuda.is_available() else None):
        pytest.skip(why)


def planted_in_kernel(name: str, old: str, new: str) -> Implementation:
    return planting.mutated_implementation(Mutant(name=name, file="impl/scaled_dot_product/kernel.py", old=old, new=new, why=""))


def test_a_planted_kernel_runs_its_own_source_and_leaves_every_other_alone() -> None:
    """Triton reads a kernel's source by file name, and torch keeps one operator a name: either could let a mutant run the original's code, or the reverse."""
    interpreted()
    random = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 1, 20, 4, generator=random) for _ in range(3))
    query[..., 0], key[..., 0] = 1, torch.arange(20)  # scores rise from one tile of 16 to the next

    def results(implementation: Implementation) -> tuple[torch.Tensor, torch.Tensor]:
        leaf = query.clone().requires_grad_()
        output = implementation.call(leaf, key, value)
        return output.detach(), torch.autograd.grad(output.sum(), leaf)[0]

    ahead = planted_in_kernel("in-forward", "    total = total * shrink[:, None]\n", "")
    whole = results(TRITON)
    behind = planted_in_kernel("in-backward", "d_s = p * (d_p - delta)", "d_s = p * d_p")
    for _ in range(2):  # in turn, so that each runs after every other
        of_ahead, of_behind, again = results(ahead), results(behind), results(TRITON)
        assert torch.equal(again[0], whole[0])
        assert torch.equal(again[1], whole[1])
        assert not torch.allclose(of_ahead[0], whole[0])
        assert torch.equal(of_behind[0], whole[0])
        assert not torch.allclose(of_behind[1], whole[1])


def test_an_edit_that_does_not_match_exactly_once_is_named() -> None:
    with pytest.raises(planting.BadMutant, match=r"'stray'.*occurs 0 times"):
        Mutant(name="stray", file="impl/variant.py", old="no such text", new="", why="").source_text()
