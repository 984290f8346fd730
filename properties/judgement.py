"""The verdict on one stranger's function, and how it is written down: a table for the terminal, JSON, Markdown. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from theorems.outcome import Outcome

SCHEMA = "attention-ledger/judgement/1"
EXIT = {"conforms": 0, "violates": 1, "undecided": 2}
ESSENTIAL = "outputs lie within the bound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one law found. `counterexample`: the calls as Python lines; `hints`: declarations under which the law would be kept."""

    law: str
    claims: tuple[str, ...]
    outcome: Outcome
    examples: int = 0
    worst: float | None = None
    detail: str = ""
    counterexample: str = ""
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All findings on one implementation."""

    implementation: str
    variant: str
    called: str
    declared: Mapping[str, Mapping[str, Any]]
    findings: Sequence[Finding]
    environment: Mapping[str, str]
    seed: int
    again: str

    @property
    def verdict(self) -> str:
        """ "violates" if a law was broken, else "undecided" if one could not be decided or the outputs were never compared, else "conforms"."""
        outcomes = [f.outcome for f in self.findings]
        if Outcome.REFUTED in outcomes:
            return "violates"
        compared = any(f.outcome is Outcome.HELD and f.worst is not None for f in self.findings)
        if not compared or Outcome.UNDECIDED in outcomes or Outcome.ERROR in outcomes:
            return "undecided"
        return "conforms"

    @property
    def broken(self) -> list[Finding]:
        return [f for f in self.findings if f.outcome is Outcome.REFUTED]


def number(worst: float | None) -> str:
    """Worst error/bound to three digits."""
    return "" if worst is None else "inf" if math.isinf(worst) else f"{worst:.3g}"


def to_json(judged: Judgement) -> str:
    """The judgement as JSON text; the laws in the order in which they were tried."""
    laws = [
        {
            "law": f.law, "claim": f.claims[0], "claims": list(f.claims), "outcome": f.outcome.value, "examples": f.examples,
            "worst_over_bound": None if f.worst is None else number(f.worst) if math.isinf(f.worst) else float(number(f.worst)),
            "detail": f.detail, "counterexample": f.counterexample, "kept_under": list(f.hints),
        }
        for f in judged.findings
    ]  # fmt: skip
    whole = {
        "schema": SCHEMA, "implementation": judged.implementation, "variant": judged.variant, "called": judged.called, "declared": judged.declared,
        "verdict": judged.verdict, "laws": laws, "environment": dict(judged.environment), "seed": judged.seed, "again": judged.again,
    }  # fmt: skip
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def table(judged: Judgement) -> list[str]:
    """Lines for the terminal: law, outcome, examples, worst error/bound."""
    width = max((len(f.law) for f in judged.findings), default=0)
    lines = [f"{'law':{width}}  {'outcome':12} {'examples':>8}  worst error/bound"]
    for f in judged.findings:
        why = f.detail if f.outcome in (Outcome.NOT_RUN, Outcome.SWITCHED_OFF, Outcome.UNDECIDED, Outcome.ERROR) else ""
        lines.append(f"{f.law:{width}}  {shown(f.outcome):12} {f.examples:>8}  {number(f.worst)} {why}".rstrip())
    return lines


def shown(outcome: Outcome) -> str:
    return "BROKEN" if outcome is Outcome.REFUTED else outcome.value


def story(f: Finding) -> str:
    """One broken law in words and runnable lines."""
    hints = [f"it would be kept under {' or '.join(f.hints)}: declare that, if it is meant"] if f.hints else []
    return "\n".join([f"{f.law} ({', '.join(f.claims)})", f"  {f.detail}", *(f"  {hint}" for hint in hints), "", *f.counterexample.splitlines()])


def to_markdown(judged: Judgement) -> str:
    """The report as a page."""
    said = {
        "conforms": f"No law was broken, on {sum(f.examples for f in judged.findings)} examples.",
        "violates": f"{len(judged.broken)} of {len(judged.findings)} laws were broken.",
        "undecided": "No law was broken, but not every law could be decided.",
    }[judged.verdict]
    rows = [
        f"| {f.law} | {' '.join(f'`{c}`' for c in f.claims)} | {'**broken**' if f in judged.broken else f.outcome.value} | {f.examples} | {number(f.worst)} |"
        for f in judged.findings
    ]
    notes = [f"- {f.law}: {f.outcome.value}: {f.detail}" for f in judged.findings if f.detail and f not in judged.broken]
    stated = [f"| {part} | {name.replace('_', ' ')} | {value} |" for part, fields in judged.declared.items() for name, value in fields.items()]
    broken = [part for f in judged.broken for part in _section(f)]
    facts = ", ".join(f"{name} {value}" for name, value in judged.environment.items())
    return (
        "\n\n".join(
            [
                f"# {judged.implementation}: {judged.verdict}",
                f"`{judged.called}` as an implementation of {judged.variant}. {said}",
                "A law is tried on inputs drawn inside the declared limits; an error is compared with a bound derived from the inputs and the declared"
                " arithmetic: above 1 the law is broken. Sampled evidence is no proof.",
                "\n".join(["| law | claims | outcome | examples | worst error/bound |", "|---|---|---|---:|---:|", *rows]),
                *(["\n".join(notes)] if notes else []),
                *broken,
                "## What was declared",
                "\n".join(["| | | |", "|---|---|---|", *stated]),
                "## How to repeat it",
                f"Seed {judged.seed}: `{judged.again}`. {facts}.",
            ]
        )
        + "\n"
    )


def _section(f: Finding) -> list[str]:
    hints = [f"It would be kept under {' or '.join(f'`{hint}`' for hint in f.hints)}."] if f.hints else []
    code = ["```python\n" + f.counterexample + "\n```"] if f.counterexample else []
    return [f"## {f.law[:1].upper()}{f.law[1:]}: broken", f.detail, *hints, *code]
