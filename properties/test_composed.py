"""Laws of what is put together from parts and linear in none of its inputs, so that the laws of every definition are asked for here one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from impl.trait import Trait
from properties import posed, test_definitions
from properties.posed import Posed, any_case
from properties.subject import Subject
from properties.verifies import law, needs


def as_defined(check: Callable[[Any], Any]) -> Callable[[Subject, Posed], None]:
    """The check of a law of every definition."""
    found: Callable[[Subject, Posed], None] = check.law.check  # type: ignore[attr-defined]
    return found


@law("running.contraction", "running.weights", "running.function", "running.quotient", on=Trait.COMPOSED, draw=any_case)
def test_the_output_follows_the_definition(subject: Subject, x: Posed) -> None:
    posed.judge_output(subject, x)


@law("running.contraction", "running.weights", "running.function", "running.quotient", on=Trait.COMPOSED, draw=any_case, lacking=needs("gradient"))
def test_every_gradient_follows_the_definition(subject: Subject, x: Posed) -> None:
    """With respect to every parameter too; of some instruments nothing has one, as they are gradients themselves."""
    if x.wanted:
        posed.judge_gradients(subject, x)


@law("flash.any-tiling-is-exact", on=Trait.COMPOSED, draw=any_case)
def test_a_call_repeats_itself_and_changes_nothing(subject: Subject, x: Posed) -> None:
    as_defined(test_definitions.test_a_call_repeats_itself_and_changes_nothing)(subject, x)


@law("symmetry.query-equivariance", on=Trait.COMPOSED, draw=any_case)
def test_each_sequence_is_computed_alone(subject: Subject, x: Posed) -> None:
    as_defined(test_definitions.test_each_sequence_is_computed_alone)(subject, x)
