"""Plant bugs: edit a source of ours, import the result beside the original, and see which laws, derivations or searches notice.

A mutant is an edit (old → new, where old occurs exactly once) in a TOML file under tests/mutants/. It meets every law (one that names `laws`: those) under
three seeds. A survivor is an edit that nothing notices, kept with the reason. tests/trials.py keeps the evidence, and `make test` replays a part of it.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import linecache
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock  # mock.patch.object replaces an attribute and puts the old one back, whatever happens

import torch

from impl.scaled_dot_product import flash
from impl.variant import Implementation
from properties import search
from properties.judging import load_laws
from properties.verifies import EXAMPLES, LAWS, Law
from theorems.claim import Claim
from theorems.outcome import Outcome

ROOT = Path(__file__).parents[1]
SEEDS = (1, 2, 3)
ENOUGH = 4  # a mutant is done when this many laws have noticed it
SHOWN_BY = {  # which implementation shows a bug in which file, where it is not the one of that name
    "impl/scaled_dot_product/state.py": "scaled-dot-product/blockwise-tiles-of-4",
    "impl/scaled_dot_product/blockwise.py": "scaled-dot-product/blockwise-tiles-of-4",
    "impl/scaled_dot_product/kernel.py": "scaled-dot-product/triton",
    "impl/scaled_dot_product/launch.py": "scaled-dot-product/triton",
    "impl/scaled_dot_product/flash.py": "scaled-dot-product/triton",
    "impl/masked.py": "additive/reference",
}
PLANTINGS = itertools.count(1)


class BadMutant(ValueError):
    """Raised when a mutant cannot be planted: its text does not occur exactly once, or names something unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One edit. `breaks` names claims for edits of theorems; `arithmetic` overrides the declared arithmetic (controls).

    For what is slow to run: `laws` are the only ones tried, in this order and until one notices; `limits` override the declared ones, so that inputs are
    drawn where the edit bites ({"multiple": 11}: 11, 22 or 33 long, several tiles of 16). `survives` says why nothing notices the edit (survivors).
    """

    name: str
    file: str
    old: str
    new: str
    why: str
    source: str = ""
    subject: str = ""
    breaks: tuple[str, ...] = ()
    arithmetic: dict[str, Any] = field(default_factory=dict)
    laws: tuple[str, ...] = ()
    limits: dict[str, Any] = field(default_factory=dict)
    survives: str = ""
    control: bool = False

    @property
    def of_theorem(self) -> bool:
        return self.file.startswith("theorems/")

    @property
    def of_kernel(self) -> bool:
        """Whether it is met in Triton's interpreter."""
        return "/triton" in self.shown_by

    @property
    def shown_by(self) -> str:
        """The implementation that shows the edit: the one that is named, or impl/<variant>/<name>.py's own."""
        variant, _, name = self.file.removeprefix("impl/").removesuffix(".py").replace("_", "-").partition("/")
        return self.subject or SHOWN_BY.get(self.file, f"{variant}/{name}")

    @property
    def to_be_noticed(self) -> bool:
        """Neither a control nor a survivor."""
        return not self.control and not self.survives

    def source_text(self) -> str:
        """The edited source. Raises BadMutant unless `old` occurs exactly once."""
        text = (ROOT / self.file).read_text(encoding="utf-8")
        if (count := text.count(self.old)) != 1:
            raise BadMutant(f"mutant {self.name!r}: its text occurs {count} times in {self.file}, must be once: {self.old!r}")
        return text.replace(self.old, self.new)


def mutants() -> list[Mutant]:
    """Every mutant, control and survivor under tests/mutants/. Raises BadMutant for a name given twice, an unknown field or a survivor without a reason."""
    found: dict[str, Mutant] = {}
    for path in sorted((ROOT / "tests" / "mutants").glob("*.toml")):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        for kind, table in [(name, table) for name in ("mutant", "control", "survivor") for table in tables.get(name, ())]:
            try:
                mutant = Mutant(**table | {"control": kind == "control"} | {name: tuple(table.get(name, ())) for name in ("breaks", "laws")})
            except TypeError as error:
                raise BadMutant(f"{path.name}: {error}") from error
            if bool(mutant.survives) != (kind == "survivor"):
                raise BadMutant(f"{path.name}: survivors, and only they, say why they survive: {mutant.name!r}")
            if found.setdefault(mutant.name, mutant) is not mutant:
                raise BadMutant(f"{path.name}: mutant {mutant.name!r} is named twice")
    return list(found.values())


class Planted(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from edited source instead of its file, under a file name of its own: Triton reads a kernel's source by its file name and line,
    and would find the original's under the original's name. The text stays in `linecache`: the interpreter reads it at a kernel's first launch."""

    def __init__(self, module: str, source: str, path: Path, name: str) -> None:
        self.module, self.source, self.path = module, source, path.with_name(f"{path.name}::{name}")
        linecache.cache[str(self.path)] = (len(source), None, source.splitlines(keepends=True), str(self.path))  # None: never checked against a file

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self, origin=str(self.path)) if fullname == self.module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.source, str(self.path), "exec"), module.__dict__)


@contextmanager
def planted(mutant: Mutant, package: str) -> Iterator[None]:
    """Within, `package`'s modules are imported afresh with the mutant's edit; afterwards the originals are back."""
    module = mutant.file.removesuffix(".py").replace("/", ".")
    finder = Planted(module, mutant.source_text(), ROOT / mutant.file, mutant.name)
    ours = {name: loaded for name, loaded in sys.modules.items() if name == package or name.startswith(f"{package}.")}
    kept = {
        "impl.trait",
        "impl.variant",
        "theorems.outcome",
        "theorems.claim",
        "theorems.sources",
        "theorems.step",
        "theorems.balls",
        "theorems.algebra",
        "theorems.symbols",
    }
    for name in ours.keys() - kept:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    try:
        with operators_of_their_own():
            yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
            del sys.modules[name]
        sys.modules.update(ours)
        for name, loaded in ours.items():  # `from package import module` reads the parent's attribute
            parent, _, child = name.rpartition(".")
            if parent in ours:
                setattr(ours[parent], child, loaded)


@contextmanager
def operators_of_their_own() -> Iterator[None]:
    """Within, custom operators are registered in a namespace that nobody else has. torch keeps one operator a name: a second registration takes the first
    one's place without a word, and the first module's own handle then leads nowhere."""
    register: Any = torch.library.custom_op
    namespace = f"planted_{next(PLANTINGS)}"

    def custom_op(name: str, *arguments: Any, **keywords: Any) -> Any:
        return register(f"{namespace}::{name.rpartition('::')[2]}", *arguments, **keywords)

    with mock.patch.object(torch.library, "custom_op", custom_op):
        yield


def mutated_implementation(mutant: Mutant) -> Implementation:
    """The implementation that shows the mutant's edit, under its original name."""
    wanted = mutant.shown_by
    with planted(mutant, "impl"):
        implementations: tuple[Implementation, ...] = importlib.import_module("impl").IMPLEMENTATIONS
        chosen = {f"{i.variant.name}/{i.name}": i for i in implementations}
        if wanted not in chosen:
            raise BadMutant(f"mutant {mutant.name!r} names subject {wanted!r}; possible are {', '.join(sorted(chosen))}")
        if chosen[wanted].triton and chosen[wanted].missing() is None:
            launched_from_here()
    found = chosen[wanted]
    narrower: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in mutant.limits.items()}
    return replace(found, arithmetic=replace(found.arithmetic, **mutant.arithmetic), limits=replace(found.limits, **narrower))


def launched_from_here() -> None:
    """Import the planted launcher now, and let the planted `flash` keep it: left to itself it imports one on its first call, when the originals are back."""
    flash = importlib.import_module("impl.scaled_dot_product.flash")
    launcher = flash.operators()
    flash.operators = lambda: launcher  # type: ignore[attr-defined]


def mutated_claims(mutant: Mutant) -> dict[str, Claim]:
    """The claims of the mutant's topic as its edit leaves them."""
    with planted(mutant, mutant.file.removesuffix(".py").replace("/", ".")):
        topic = importlib.import_module(mutant.file.removesuffix(".py").replace("/", "."))
    return {claim.id: claim for claim in vars(topic).values() if isinstance(claim, Claim)}


def noticed_by(law: Law, implementation: Implementation, seed: int, examples: int = EXAMPLES["ci"]) -> bool:
    return law.run(implementation, examples, seed=seed, shrink=False).outcome is Outcome.REFUTED


def theorem_broken(mutant: Mutant, claim_id: str) -> bool:
    """Whether the edited claim's derivation no longer holds, or its search finds a counterexample."""
    claims = mutated_claims(mutant)
    if claim_id not in claims:
        raise BadMutant(f"mutant {mutant.name!r} says it breaks {claim_id!r}, which {mutant.file} does not declare")
    claim = claims[claim_id]
    if claim.derive is not None and derivation_fails(claim):
        return True
    if claim.holds is None or claim_id not in search.SEARCHES:
        return False
    outcomes = [search.SEARCHES[claim_id].run(claim, search.EXAMPLES["ci"], seed=seed, shrink=False)[0] for seed in SEEDS]
    return all(outcome is Outcome.REFUTED for outcome in outcomes)


def derivation_fails(claim: Claim) -> bool:
    assert claim.derive is not None
    return any(step.check() is not Outcome.HELD for step in claim.derive())


def load_checks() -> None:
    """Import every property module, so that LAWS and SEARCHES are complete."""
    flash.missing()  # sets Triton to interpret, where there is no GPU, before anything else imports it: torch's checkpoints do
    torch.set_num_threads(1)
    load_laws()


def examined(mutant: Mutant) -> dict[str, Any]:
    """Everything that notices one mutant, under every seed: its row in the evidence file."""
    load_checks()
    row: dict[str, Any] = {"name": mutant.name, "file": mutant.file, "why": mutant.why, "source": mutant.source}
    if unknown := set(mutant.laws) - LAWS.keys():
        raise BadMutant(f"mutant {mutant.name!r} names unknown laws {sorted(unknown)}")
    if mutant.of_theorem:
        return row | {"breaks": [claim for claim in mutant.breaks if theorem_broken(mutant, claim)], "seeds": list(SEEDS)}
    implementation = mutated_implementation(mutant)
    laws = laws_here(implementation)
    if mutant.control:
        return {"name": mutant.name, "why": mutant.why, "accused_by": accusers(implementation, laws, round(EXAMPLES["ci"] * implementation.share))}
    kills = killers(mutant, implementation, laws)
    if mutant.survives:
        return row | {"survives": mutant.survives, "tried": list(mutant.laws), "noticed_by": kills}
    return row | {"kills": kills, "seeds": list(SEEDS)}


def laws_here(implementation: Implementation) -> list[Law]:
    """The laws of the implementation's traits; those that watch a process of the subject's own are shown to bite by the adversaries of tests/subjects."""
    return [law for law in LAWS.values() if law.on in implementation.variant.traits and not law.apart]


def killers(mutant: Mutant, implementation: Implementation, laws: list[Law]) -> list[str]:
    """The first ENOUGH laws that notice the mutant under every seed. Each mutant begins elsewhere in the list, so that every law gets its turn.
    Of the `laws` that a mutant names, the first that notices it."""
    start = sum(mutant.name.encode()) % len(laws)
    found: list[str] = []
    for law in [LAWS[name] for name in mutant.laws] or laws[start:] + laws[:start]:
        if len(found) < (1 if mutant.laws else ENOUGH) and all(noticed_by(law, implementation, seed) for seed in SEEDS):
            found.append(law.id)
    return found


def accusers(implementation: Implementation, laws: list[Law], examples: int) -> list[str]:
    """The laws that find fault with an implementation, or fail on it. A law whose bounds promise nothing under the declared arithmetic accuses nobody."""
    return [law.id for law in laws if law.run(implementation, examples).outcome in (Outcome.REFUTED, Outcome.ERROR)]
