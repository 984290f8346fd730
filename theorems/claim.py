"""What a claim is: a pure declaration. Its verdict is never a field; `reports.verdict` computes it from evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from theorems.outcome import Outcome
from theorems.sources import Source
from theorems.step import Step

Derivation = Callable[[], Iterator[Step]]
Check = Callable[..., Outcome]
Explanation = Callable[..., str]


class Kind(Enum):
    """Which sort of evidence settles a claim."""

    EXACT = "exact"  # an identity, inequality or existence statement
    APPROXIMATION = "approximation"  # a proved error bound, against measured error
    STATISTICAL = "statistical"  # a statement about expectations or distributions, estimated beside its exact moment
    COST = "cost"  # counts of operations, bytes, parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One statement, and every way in which this project argues about it.

    `states` is the statement as its source makes it, in our words; `reading` the natural reading that is judged, and
    `precise` the statement that the argument is about (Markdown with LaTeX). `derive` yields the checked steps
    of a proof (of the negation, if the claim is false); `sizes` lists the sizes it covers, empty for the whole scope.
    `holds(**case)` decides the statement on one exact case (integers, fractions, tuples of them), in exact or ball arithmetic;
    a search tries it on many. `worked(**case)` explains a counterexample by hand, in Markdown.
    `unsaid` names an assumption that the source leaves out and without which the statement fails: then `derive` argues with it and
    a search looks for a witness without it. `corrected_by` names the strongest correct claim near a false one.
    `not_checkable` is the declared reason why no test can settle it.
    """

    id: str
    title: str
    states: str
    precise: str
    sources: tuple[Source, ...]
    scope: str
    inventory: tuple[str, ...] = ()
    reading: str = ""
    assumes: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    kind: Kind = Kind.EXACT
    derive: Derivation | None = None
    sizes: tuple[int, ...] = ()
    holds: Check | None = None
    worked: Explanation | None = None
    unsaid: str = ""
    corrected_by: str = ""
    not_checkable: str = ""

    @property
    def topic(self) -> str:
        return self.id.partition(".")[0]

    @property
    def false_as_made(self) -> bool:
        """Whether a search is expected to find a counterexample (a verdict needs the evidence that it did)."""
        return bool(self.corrected_by or self.unsaid)


def derived(claim: Claim) -> Callable[[Derivation], Claim]:
    """Attach the decorated generator of steps to `claim` as its derivation, and return the claim."""
    return lambda derive: replace(claim, derive=derive)
