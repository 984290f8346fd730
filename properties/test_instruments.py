"""Laws of every instrument: its definition over tracked numbers (properties/cases), gradients where it has them, and what it is blind to."""

from __future__ import annotations

from impl.trait import Trait
from properties import posed
from properties import test_definitions as definitions
from properties.oracle import Balls
from properties.posed import any_case
from properties.reading import Reading
from properties.subject import Subject
from properties.verifies import law, needs


@law("running.product", "running.quotient", "running.contraction", "running.function", on=Trait.INSTRUMENT, draw=any_case)
def test_what_is_read_follows_the_definition(subject: Subject, x: Reading) -> None:
    posed.judge_output(subject, x)


@law("running.product", "running.quotient", "running.contraction", "running.function", on=Trait.INSTRUMENT, draw=any_case, lacking=needs("gradient"))
def test_its_gradient_follows_the_definition(subject: Subject, x: Reading) -> None:
    """Where the definition has one."""
    if x.wanted:
        posed.judge_gradients(subject, x)


@law("flash.any-tiling-is-exact", on=Trait.INSTRUMENT, draw=any_case)
def test_a_reading_repeats_itself_and_changes_nothing(subject: Subject, x: Reading) -> None:
    """Bit by bit; no argument changes, and the output is memory of its own."""
    repeats(subject, x)


@law("symmetry.query-equivariance", on=Trait.INSTRUMENT, draw=any_case)
def test_a_reading_of_one_sequence_does_not_depend_on_the_others(subject: Subject, x: Reading) -> None:
    if x.batched:
        alone(subject, x)


repeats = definitions.test_a_call_repeats_itself_and_changes_nothing.law.check  # type: ignore[attr-defined]
alone = definitions.test_each_sequence_is_computed_alone.law.check  # type: ignore[attr-defined]


@law("symmetry.query-equivariance", on=Trait.INSTRUMENT, draw=any_case)
def test_what_is_read_by_itself_needs_no_leading_axes(subject: Subject, x: Reading) -> None:
    """The last map of all, without the axes that collect maps."""
    last = (-1,) * x.leading
    if not x.apart or not x.leading:
        return
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    balls, bound = true.balls(), true.bound()
    bare = x.with_tensors({place: x[place][last] for place in x.apart}, cotangent=x.cotangent[last])
    subject.judge("what is read of the last map", posed.output(subject, bare), Balls(balls.hi[last], balls.lo[last], balls.radius[last]), bound[last], bare)


@law("symmetry.key-value-invariance", "symmetry.query-equivariance", on=Trait.INSTRUMENT, draw=any_case)
def test_other_labels_give_the_same_reading(subject: Subject, x: Reading) -> None:
    """Keys, rows, heads or layers in reverse, where the definition is blind to their order: what it says in the drawn one, the subject says in the other."""
    if not x.symmetries:
        return
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    for symmetry in x.symmetries:
        turned = x.with_tensors({place: x[place].flip(axes) for place, axes in symmetry.moved.items()})
        found = posed.output(subject, turned).flip(symmetry.output)
        subject.judge(f"what is read with {symmetry.name} in reverse", found, true.balls(), true.bound(), turned)
