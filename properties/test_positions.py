"""Laws of positions: where only differences act, all positions may move together."""

from __future__ import annotations

from dataclasses import replace

from impl.variant import Trait
from properties import posed
from properties.cases import positions  # noqa: F401
from properties.posed import Posed, any_case
from properties.subject import Subject
from properties.verifies import law


@law("running.product", on=Trait.RELATIVE, draw=any_case)
def test_moving_all_positions_together_changes_nothing(subject: Subject, x: Posed) -> None:
    """Counted from 0, or from half as far: the truth is that of the drawn start, whose angles are the largest, and so is the bound."""
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    for start in {0, x.keywords["start"] // 2} - {x.keywords["start"]}:
        moved = replace(x, keywords=x.keywords | {"start": start})
        subject.judge(f"output with positions from {start}", posed.output(subject, moved), true.balls(), true.bound(), moved)
