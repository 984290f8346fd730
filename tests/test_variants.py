"""Every variant can be judged as a stranger's function is: its own reference is accused by no law, and one that is slightly off is found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor

from impl import VARIANTS
from impl.variant import Implementation
from properties import digest
from properties.judge import Asked, implementation_of, laws_for
from properties.judging import load_laws
from properties.posed import CASES, load_cases
from properties.process import Target
from properties.verifies import LAWS
from theorems.outcome import Outcome

load_laws()
load_cases()
FEW = 6  # examples of each law
QUIET = (Outcome.HELD, Outcome.NOT_RUN, Outcome.SWITCHED_OFF, Outcome.UNDECIDED)
DEFINED = [name for name in VARIANTS if name in CASES]


def stranger(name: str, call: Callable[..., Any]) -> Implementation:
    """A function as the judge takes it that knows nothing of it but what it says it computes."""
    described = {"declared": None, "parameters": None, "log_sum_exp": False}
    asked = Asked(target=Target(module="mine", function="attention"), variant=name)
    return replace(implementation_of(asked, VARIANTS[name], described), call=call)


def accused(implementation: Implementation) -> Iterator[str]:
    """What each law finds fault with, one after another."""
    laws = [law for law in laws_for(implementation.variant, list(LAWS.values())) if not law.apart]
    for number, law in enumerate(laws):
        found = law.run(implementation, FEW, seed=number, shrink=False)
        if found.outcome not in QUIET:
            yield f"{law.title}: {found.outcome.value}: {found.detail}"


@pytest.mark.parametrize("name", DEFINED)
def test_a_variant_s_own_reference_is_accused_of_nothing(name: str) -> None:
    assert not list(accused(stranger(name, VARIANTS[name].reference)))


@pytest.mark.parametrize("name", DEFINED)
def test_what_is_slightly_off_is_found_out(name: str) -> None:
    def off(*arguments: Any, **keywords: Any) -> Tensor:
        found: Tensor = VARIANTS[name].reference(*arguments, **keywords)
        return found * 1.02

    assert any(accused(stranger(name, off)))


def test_every_variant_is_drawn_and_defined_once_more_apart_from_five() -> None:
    """The first two have bounds of their own; a projection is a draw, a training step and a divergence of two maps are no attention either."""
    assert set(VARIANTS) - set(CASES) == {"scaled-dot-product", "multi-head", "random-projection", "loss-scaling", "distillation"}
    assert set(CASES) <= set(VARIANTS)


def test_the_digest_of_a_variant_takes_in_its_folder_and_how_its_calls_are_drawn() -> None:
    """The file of cases is found by its text: a case registered under a name that the text does not spell out would be left out."""
    for name in VARIANTS:
        files = {(file.parent.name, file.stem) for file in digest.of_variant(name)}
        assert (name.replace("-", "_"), "reference") in files
        assert name not in CASES or ("cases", CASES[name].__module__.rpartition(".")[2]) in files
