"""The ledger as data: one entry a claim, with everything that a program may want to cite."""

from __future__ import annotations

import json
import math
from typing import Any

from reports.book import Book, Seen
from reports.verdict import finding
from theorems.claim import Claim


def ledger_json(book: Book) -> str:
    """`entries` in the order of their ids. A number that JSON has no word for is written as text."""
    entries = [_entry(book, book.claims[id]) for id in sorted(book.claims)]
    return json.dumps({"version": book.version, "entries": entries}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _entry(book: Book, claim: Claim) -> dict[str, Any]:
    judgement = book.judgements[claim.id]
    return {
        "id": claim.id,
        "title": claim.title,
        "statement": claim.states,
        "reading": claim.reading,
        "precise": claim.precise,
        "sources": [{"document": s.title, "heading": s.locator, "url": s.url} for s in claim.sources],
        "inventory": list(claim.inventory),
        "verdict": judgement.verdict.value,
        "contradiction": judgement.contradiction,
        "scope": claim.scope,
        "sizes": list(judgement.sizes),
        "assumptions": list(claim.assumes),
        "unsaid": claim.unsaid,
        "reason": judgement.reason,
        "uses": list(claim.uses),
        "corrected_by": claim.corrected_by,
        "broken_by": list(book.broken_by[claim.id]),
        "evidence": [_evidence(seen) for seen in book.about(claim.id)],
    }


def _evidence(seen: Seen) -> dict[str, Any]:
    row = seen.row
    entry = {
        "environment": seen.environment,
        "subject": row.subject,
        "law": row.law,
        "outcome": finding(row).value,
        "stale": not seen.current,
        "examples": row.examples,
        "worst": _written(row.worst),
        "regimes": dict(sorted(row.regimes.items())),
        "counterexample": row.counterexample,
        "detail": row.detail,
        "steps": len(row.steps) or None,
        "figures": _written(row.figures),
        "profile": row.profile,
    }
    return {name: value for name, value in entry.items() if value not in ("", {}, None)}


def _written(value: Any) -> Any:
    """Floats to six digits; NaN and infinities as text."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return [_written(x) for x in value]
    return {name: _written(x) for name, x in sorted(value.items())} if isinstance(value, dict) else value
