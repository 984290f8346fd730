"""Everything that the pages are drawn from, gathered once: claims, evidence, verdicts and the inventory. Pure, apart from `gathered`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from properties.evidence import BadEvidence, Evidence, EvidenceFile, read
from properties.trained import record
from reports import gpu, kernels, mutants, peers
from reports.benchmarks import Benchmarks
from reports.gpu import Run
from reports.kernels import Kernels
from reports.mutants import Mutants
from reports.peers import Peer
from reports.trained import Trained
from reports.verdict import Grounds, Judgement, Verdict, is_current, judge_all
from theorems.claim import Claim
from theorems.disagreements import Disagreement
from theorems.inventory import Row
from theorems.kernels import Explanation
from theorems.sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One row of evidence with the environment that saw it, and whether it is current."""

    environment: str
    row: Evidence
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """The ledger before it is written down. `files` are the evidence files by environment, `broken_by` the mutants by claim."""

    claims: Mapping[str, Claim]
    files: Mapping[str, EvidenceFile]
    mutants: Mutants
    judgements: Mapping[str, Judgement]
    broken_by: Mapping[str, tuple[str, ...]]
    seen: tuple[Seen, ...]
    inventory: Mapping[str, Row]
    headings: Mapping[str, tuple[str, ...]]
    texts: tuple[Source, ...]
    sources: Mapping[str, Source]
    version: str
    disagreements: tuple[Disagreement, ...] = ()
    peers: tuple[Peer, ...] = ()
    laws: str = ""  # the digest of the laws by which peers would be judged today
    kernels: Kernels | None = None
    gpu: tuple[Run, ...] = ()
    sources_of_kernels: Mapping[str, str] = field(default_factory=dict)  # by folder, the digest of the sources that would be compiled today
    explanations: tuple[Explanation, ...] = ()  # how the kernels work
    benchmarks: tuple[Benchmarks, ...] = ()
    trained: tuple[Trained, ...] = ()
    code_of_trained: str = ""  # the digest of the code that would train and measure today

    @property
    def topics(self) -> dict[str, list[Claim]]:
        """The claims of each topic, topics and claims in alphabetical order."""
        ordered = sorted(self.claims.values(), key=lambda c: (c.topic, c.id))
        return {topic: [c for c in ordered if c.topic == topic] for topic in sorted({c.topic for c in ordered})}

    @property
    def contradictions(self) -> list[str]:
        return sorted(id for id, judgement in self.judgements.items() if judgement.contradiction)

    def about(self, claim: str) -> list[Seen]:
        """The evidence on a claim, current or not, in a fixed order."""
        return [seen for seen in self.seen if seen.row.claim == claim]

    def settling(self, row: str) -> list[Claim]:
        """The claims that say they settle an inventory row."""
        return sorted((c for c in self.claims.values() if row in c.inventory), key=lambda c: c.id)

    def counted(self) -> dict[Verdict, int]:
        verdicts = [judgement.verdict for judgement in self.judgements.values()]
        return {verdict: verdicts.count(verdict) for verdict in Verdict}


def of_claims(name: str) -> bool:
    """Whether a file of this name holds evidence about claims: mutants, peers, compiled kernels, times and trained models have files of their own."""
    return name not in (mutants.FILE, peers.FILE, kernels.FILE) and not name.startswith((gpu.PREFIX, record.PREFIX, "benchmark-"))


def evidence_in(folder: Path, claims: Mapping[str, Claim]) -> dict[str, EvidenceFile]:
    """The evidence files of a folder by environment. Raises BadEvidence for a missing folder, a malformed file or an unknown claim."""
    if not folder.is_dir():
        raise BadEvidence(f"{folder}: no such folder; evidence is written by pytest properties, one file an environment")
    files = {path.stem: read(path) for path in sorted(folder.glob("*.json")) if of_claims(path.name)}
    for name, file in files.items():
        for row in file.evidence:
            _known(folder / f"{name}.json", row.claim, claims)
    return files


def mutants_in(folder: Path, claims: Mapping[str, Claim]) -> Mutants:
    """The mutant evidence of a folder. Raises BadEvidence for a malformed file or an unknown claim."""
    path = folder / mutants.FILE
    found = mutants.read(path)
    for claim in (c for mutant in found.mutants for c in mutant.breaks):
        _known(path, claim, claims)
    return found


def _known(path: Path, claim: str, claims: Mapping[str, Claim]) -> None:
    if claim not in claims:
        near = difflib.get_close_matches(claim, sorted(claims), n=3, cutoff=0.0)
        possible = f"claims with the nearest ids are {', '.join(near)}" if near else "no claim is declared in theorems"
        raise BadEvidence(f"{path}: evidence about the unknown claim {claim!r}; {possible}; move the file away or write it anew with pytest properties")


def bound(
    claims: Mapping[str, Claim],
    files: Mapping[str, EvidenceFile],
    planted: Mutants,
    *,
    of_row: Callable[[Evidence], str],
    of_law: Callable[[str], str],
    inventory: Mapping[str, Row],
    headings: Mapping[str, tuple[str, ...]],
    texts: tuple[Source, ...],
    sources: Mapping[str, Source],
    version: str,
    disagreements: tuple[Disagreement, ...] = (),
    judged: tuple[Peer, ...] = (),
) -> Book:
    """Judge every claim on the evidence of all environments. `of_row` and `of_law` give the digests that a run today would write."""
    every = sorted(((name, row) for name, file in files.items() for row in file.evidence), key=lambda x: (x[1].key, x[0]))
    evidence = {id: [row for _, row in every if row.claim == id] for id in claims}
    current = {row.key: of_row(row) for _, row in every}
    broken_by = {id: planted.breaking(id, rows, of_law) for id, rows in evidence.items()}
    return Book(
        claims=claims,
        files=files,
        mutants=planted,
        judgements=judge_all(Grounds(claims=claims, evidence=evidence, current=current, broken_by=broken_by)),
        broken_by=broken_by,
        seen=tuple(Seen(environment=name, row=row, current=is_current(row, current)) for name, row in every),
        inventory=inventory,
        headings=headings,
        texts=texts,
        sources=sources,
        version=version,
        disagreements=disagreements,
        peers=judged,
    )
