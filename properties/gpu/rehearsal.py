"""Compiles, for a GPU that is not here, every kernel that a run on it would launch, and checks every launch: `python -m properties.gpu --dry-run`.

The run's own code is followed, on tensors of the true shapes that nothing is ever written to, up to the point where a kernel would be launched.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import hypothesis
import torch
from hypothesis import HealthCheck, Phase
from torch import Tensor

from impl import IMPLEMENTATIONS
from impl._triton.compiled import Compiled, read
from impl._triton.launch import Launch
from impl._triton.occupancy import LIMITS
from impl.scaled_dot_product import flash, launch
from impl.scaled_dot_product.configuration import Configuration
from impl.variant import Implementation
from properties.gpu.checks import problems
from properties.gpu.contenders import shapes
from properties.gpu.families import SETTINGS, dense
from properties.gpu.plan import DENSE, OURS, Case
from properties.judging import load_laws
from properties.oracle import Array, Balls
from properties.request import Here, LawBroken, NotRun, SubjectFailed, Undecided
from properties.subject import Subject
from properties.verifies import LAWS, Law


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One launch that would be made: of which case or implementation (`part`), the kernel, its tile, and what speaks against it. `passed_over`: something does,
    and the launcher takes another configuration, which fits."""

    part: Case | str
    target: str
    kernel: str
    tile: tuple[int, ...]
    grid: tuple[int, ...]
    wide: bool
    described: bool
    compiled: Compiled | None
    problems: tuple[str, ...]
    passed_over: bool = False


class Rehearsal:
    """What would be launched on one target, in order."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.part: Case | str = ""
        self.all = True  # in every configuration, or in the first that fits
        self.checked: list[Checked] = []
        self.known: dict[str, Compiled] = {}

    def run(self, call: launch.Call, name: str, make: Callable[[Configuration], Launch]) -> None:
        """In place of `launch.run`: check the launch in each configuration that would be timed, or in the only one. An empty grid is no launch."""
        found: list[Checked] = []
        fits = False
        for option in call.configurations(name):
            if 0 not in (it := make(option)).grid and (self.all or not fits):
                found.append(self.examined(it, name, option))
                fits |= not found[-1].problems
        self.checked += [replace(x, passed_over=fits and bool(x.problems)) for x in found]

    def made(self, it: Launch) -> None:
        """In place of `Launch.run`, for kernels that have one configuration a call."""
        if 0 not in it.grid:
            sizes = (int(it.arguments[name]) for name in ("ROWS", "COLUMNS") if name in it.arguments)
            self.checked.append(self.examined(it, it.kernel.__name__, (*sizes, it.options["num_warps"], it.options["num_stages"])))

    def examined(self, it: Launch, name: str, tile: tuple[int, ...]) -> Checked:
        """The launch, compiled and checked."""
        compiled: Compiled | None = None
        try:
            kernel = it.compiled(self.target)
            compiled = self.known[kernel.hash] = self.known.get(kernel.hash) or read(kernel)
            said = tuple(problems(it, kernel, compiled))
        except Exception as error:  # a compiler's complaint, of whatever type
            said = (f"does not compile: {type(error).__name__}: {' '.join(str(error).split())[:300]}",)
        wide, described = bool(it.arguments.get("WIDE", True)), bool(it.arguments.get("DESCRIPTORS", False))
        return Checked(
            part=self.part, target=self.target, kernel=name, tile=tile, grid=it.grid, wide=wide, described=described, compiled=compiled, problems=said
        )

    @contextmanager
    def standing_in(self) -> Iterator[None]:
        """Within, the kernels' own launching code runs up to the launch, on tensors in memory, as if they were on the target."""
        with ExitStack() as patches:
            patches.enter_context(patch.object(launch, "run", self.run))
            patches.enter_context(patch.object(Launch, "run", lambda it: self.made(it)))  # a function, so that it is a method of the launch
            patches.enter_context(patch.object(flash, "missing", lambda: None))
            for implementation in IMPLEMENTATIONS:
                if implementation.triton:
                    implementation.missing()  # imports its launching code
            for name, module in list(sys.modules.items()):
                if name.startswith("impl.") and hasattr(module, "target_of"):
                    patches.enter_context(patch.object(module, "target_of", lambda x: self.target))
            yield


def rehearsed(target: str, cases: Iterable[Case], examples: int = 1) -> list[Checked]:
    """Every launch for these cases, for `examples` of every law on each Triton implementation, and at every width that one is limited to. Laws are tried in
    the first configuration that fits, the others in all that would be timed against one another. Raises KeyError for a target not in TARGETS."""
    rehearsal = Rehearsal(target)
    load_laws()
    with rehearsal.standing_in():
        for case in cases:
            rehearsal.part = case
            follow(case)
        for implementation in (x for x in IMPLEMENTATIONS if x.triton and examples):
            rehearsal.part = f"widths of {implementation.name}"
            for width in implementation.limits.widths or ():
                try_width(implementation, width)
            rehearsal.part, rehearsal.all = f"laws on {implementation.name}", False
            for law in (x for x in LAWS.values() if x.on in implementation.variant.traits):
                try_law(law, implementation, examples)
            rehearsal.all = True
    return rehearsal.checked


def follow(case: Case) -> None:
    """What the timed run does for one case, on memory that is reserved and never touched."""
    *leaves, cotangent = (torch.empty(shape, dtype=getattr(torch, case.dtype)) for shape in shapes(case))
    leaves = [x.requires_grad_(case.backward) for x in leaves]
    output = (dense if case.family == DENSE else SETTINGS[case.family].ways[OURS])(case, *leaves)()
    if case.backward:
        torch.autograd.grad(output, leaves, cotangent)


class Unjudged(Subject):
    """Makes a law's calls and looks at no number: nothing was computed."""

    def judge(self, what: str, actual: Tensor, truth: Balls, bound: Array, x: object) -> None:
        """See Subject."""

    def within(self, what: str, error: Array, bound: Array, x: object, *, radius: Array | None = None, detail: Any = None) -> None:
        """See Subject."""


def try_law(law: Law, implementation: Implementation, examples: int) -> None:
    """The calls that a law makes on some examples, within the limits (float64 excepted, which is for the interpreter), up to the first thing it looks at."""
    dtypes = tuple(x for x in implementation.limits.dtypes if x != "float64")
    limited = replace(implementation, limits=replace(implementation.limits, dtypes=dtypes))
    if law.lacking(limited) or law.off(limited):
        return

    def example(x: Any) -> None:
        with suppress(LawBroken, SubjectFailed, Undecided, NotRun):
            law.check(Unjudged(limited, Here(limited), targeting=False), x)

    settings = hypothesis.settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, phases=(Phase.generate,), suppress_health_check=list(HealthCheck)
    )
    settings(hypothesis.given(x=law.draw(limited))(example))()


def try_width(implementation: Implementation, width: int) -> None:
    """One call and its gradient at a head width: the few examples of the laws may not meet all, and the widest tiles take the most memory."""
    shape = (1, 2, implementation.limits.max_length, width)
    leaves = [torch.empty(shape, dtype=getattr(torch, implementation.limits.dtypes[0]), requires_grad=True) for _ in range(3)]
    output = implementation.call(*leaves)
    torch.autograd.grad(output, leaves, torch.empty_like(output))


def table(checked: Sequence[Checked]) -> str:
    """A line for each kernel and configuration, with the range of lengths that it serves; then the problems."""
    groups: dict[tuple[str, ...], list[Checked]] = {}
    for x in checked:
        kind = of_case(x.part) if isinstance(x.part, Case) else (x.part, "", "")
        groups.setdefault((x.target, x.kernel, *kind, ",".join(map(str, x.tile)) if isinstance(x.part, Case) else ""), []).append(x)
    header = ("target", "kernel", "dtype", "D", "mask", "tile", "N", "grid at most", "kernels", "registers", "spills", "shared", "reads", "offsets", "fits")
    rows = [header, *(line(kind, group) for kind, group in groups.items())]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, *complaints(checked)])


def of_case(case: Case) -> tuple[str, str, str]:
    """Dtype, width, and mask or family."""
    return case.dtype, str(case.width), case.family if case.family != DENSE else "causal" if case.causal else "full"


def line(kind: tuple[str, ...], group: Sequence[Checked]) -> tuple[str, ...]:
    made = [x.compiled for x in group if x.compiled is not None]
    lengths = sorted({x.part.n for x in group if isinstance(x.part, Case)})
    return (
        *kind,
        f"{lengths[0]}…{lengths[-1]}" if lengths else "",
        "×".join(map(str, max(x.grid for x in group))),
        str(len(set(map(id, made)))),
        spread([x.registers for x in made]),
        spread([x.spills for x in made]),
        f"{max((x.shared for x in made), default=0)} of {LIMITS[kind[0]].block_shared}",
        "descriptors" if all(x.described for x in group) else "pointers" if not any(x.described for x in group) else "both",
        "64 bits" if any(x.wide for x in group) else "32 bits",
        "yes" if not any(x.problems for x in group) else "NO" if wrong(group) else "no, passed over",
    )


def spread(numbers: Sequence[int]) -> str:
    return "" if not numbers else f"{min(numbers)}" if min(numbers) == max(numbers) else f"{min(numbers)}…{max(numbers)}"


def wrong(checked: Sequence[Checked]) -> list[Checked]:
    """The launches that would fail."""
    return [x for x in checked if x.problems and not x.passed_over]


def complaints(checked: Sequence[Checked]) -> list[str]:
    """Each problem once, with where it was first met."""
    first: dict[tuple[str, str, str], Checked] = {}
    for x in wrong(checked):
        for problem in x.problems:
            first.setdefault((x.target, x.kernel, problem), x)
    return [f"{target} {kernel}, {x.part}, tile {tuple(x.tile)}: {problem}" for (target, kernel, problem), x in first.items()]
