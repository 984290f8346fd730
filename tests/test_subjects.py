"""Whom the judge accuses, and of what: adversaries get the right finding, right but unusual functions none, and plausible bugs are let through by no law."""

from __future__ import annotations

import pytest

from properties.judge import EXAMPLES
from properties.process import CannotJudge
from tests.judged import judge, subjects, tried, tried_here
from theorems.outcome import Outcome

ADVERSARIES, HONEST, BUGS = subjects("adversaries"), subjects("honest"), subjects("bugs")
ENOUGH = 4  # examples of each law, for a function that is right
TELLING = (  # tried first on bugs
    "outputs lie within the bound", "gradients lie within the bound", "a mask beside the causal flag counts or is refused",
    "the gradient of an additive mask lies within the bound", "each sequence and head is computed alone", "no key after a row touches it",
)  # fmt: skip
BRIEF = 0.7  # seconds for a call that is not going to answer
CONDUCT = ("a call leaves its process as it was", "a call changes nothing and owns what it returns")  # tried first on adversaries
# No law says anything of dropout yet.
LET_THROUGH = {"a37_dropout_not_compensated": "no law speaks of dropout"}


def found(name: str, word: str) -> list[str]:
    """Broken laws in words, up to the first that mentions `word`."""
    seen = []
    with judge("adversaries", name) as held:
        for law, observed in tried(held, EXAMPLES, CONDUCT):
            if observed.outcome is Outcome.REFUTED:
                seen.append(f"{law.title}: {observed.detail}")
                if word in seen[-1]:
                    return seen
    return seen


@pytest.mark.parametrize("name", [name for name, finding in ADVERSARIES.EXPECTED.items() if finding == "violates"])
def test_an_adversary_gets_its_finding(name: str) -> None:
    word = ADVERSARIES.KEYWORD[name]
    assert any(word in finding for finding in found(name, word)), f"{name}: nothing that was found mentions {word!r}"


@pytest.mark.parametrize("name", [name for name, finding in ADVERSARIES.EXPECTED.items() if finding == "cannot be judged"])
def test_a_function_that_never_answers_cannot_be_judged(name: str) -> None:
    with pytest.raises(CannotJudge, match="no call succeeded") as error, judge("adversaries", name, call_timeout=BRIEF):
        pass
    assert ADVERSARIES.KEYWORD[name] in str(error.value)


@pytest.mark.parametrize("name", HONEST.DECLARED)
def test_a_right_function_is_not_accused(name: str) -> None:
    with judge("honest", name, HONEST.DECLARED[name]) as held:
        found = [(law, observed) for law, observed in tried(held, ENOUGH) if observed.outcome not in QUIET]
    # half precision throughout has no error bound for long sums: undecided, which accuses nobody
    accused = [f"{law.title}: {observed.outcome.value}: {observed.detail}" for law, observed in found if "promises nothing" not in observed.detail]
    assert not accused, f"{name} ({HONEST.DECLARED[name] or 'nothing declared'}) is accused: {accused}"


QUIET = (Outcome.HELD, Outcome.NOT_RUN, Outcome.SWITCHED_OFF)


@pytest.mark.parametrize("name", [name for name in BUGS.BUGS if name not in LET_THROUGH])
def test_a_plausible_bug_is_found(name: str) -> None:
    found = any(observed.outcome is Outcome.REFUTED for _, observed in tried_here("bugs", name, EXAMPLES, TELLING))
    assert found, f"{name} ({BUGS.BUGS[name]}) was let through"


def test_the_function_that_the_bugs_are_planted_in_is_right() -> None:
    with judge("bugs", BUGS.CLEAN) as held:
        assert not [law.title for law, observed in tried(held, ENOUGH) if observed.outcome not in QUIET]
