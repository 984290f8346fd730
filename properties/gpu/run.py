"""Times every contender on every case, and writes each row as soon as it is known; a later run does what is missing."""

from __future__ import annotations

import subprocess
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from properties.gpu import record
from properties.gpu.clock import Device, Measurement
from properties.gpu.contenders import Contender, Given, difference, given, refusal
from properties.gpu.plan import Case
from properties.gpu.record import CUT_SHORT, FAILED, MEASURED, MEMORY, REFUSED, STARTED, Record, Row, code_of, quartiles

LOST = 3  # exit status of a run whose device can no longer be used by its process
INTERRUPTED = 130
PATIENCE = 900.0  # seconds for one row: more than compiling and 40 runs of the slowest way at the longest sequence


class Lost(RuntimeError):
    """Raised when the device no longer answers this process; the row that did it is written."""


def timed(cases: Iterable[Case], contenders: Sequence[Contender], device: Device, path: Path, say: Callable[[str], None]) -> Record:
    """Fill the file. Raises BadEvidence for a file of another environment, Lost where the device is lost, KeyboardInterrupt with the file as it was before
    the row at hand."""
    kept = record.opened(path, device.facts())
    for case in cases:
        rivals = [x for x in contenders if x.family == case.family]
        missing = [x for x in rivals if not kept.holds(case, x.name, code_of(x.name, case.family))]
        inputs = given(case, device.place) if missing else None
        for contender in missing:
            assert inputs is not None
            begun = Row(contender=contender.name, case=case, outcome=STARTED, reason=CUT_SHORT, code=code_of(contender.name, case.family))
            record.write(path, kept.having(begun))  # what stands there if the process does not come back
            try:
                row = measured(begun, contender, inputs, device)
            except KeyboardInterrupt:
                record.write(path, kept)
                raise
            kept = kept.having(row)
            record.write(path, kept)
            say(f"{case} {contender.name}: {told(row)}")
            try:
                device.settle()
            except RuntimeError as error:
                raise Lost(f"{contender.name} on {case}: {shortened(error)}") from error
        del inputs
    return kept


def measured(begun: Row, contender: Contender, x: Given, device: Device) -> Row:
    """The row of one contender on one case. What goes wrong is in the row; only KeyboardInterrupt is raised."""
    said: list[warnings.WarningMessage] = []
    try:
        with contender.within():
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                call = prepared(begun.case, contender, x)
                error = difference(begun.case, x, call())
            return timed_row(begun, device.measured(call), error)
    except torch.OutOfMemoryError as problem:
        outcome, reason = MEMORY, shortened(problem)
    except Exception as problem:
        why = refusal(problem, [str(message.message) for message in said])
        outcome, reason = (REFUSED, why) if why else (FAILED, f"{type(problem).__name__}: {shortened(problem)}")
    return Row(contender=begun.contender, case=begun.case, outcome=outcome, reason=reason, code=begun.code)


def prepared(case: Case, contender: Contender, x: Given) -> Callable[[], torch.Tensor]:
    """The call that is timed: the output without recording gradients, or the gradients alone of an output that is there already (the first is returned)."""
    forward = contender.call(case, *x.leaves)
    if not case.backward:
        return torch.no_grad()(forward)
    output = forward()

    def backward() -> torch.Tensor:
        return torch.autograd.grad(output, x.leaves, x.cotangent, retain_graph=True)[0]

    return backward


def timed_row(begun: Row, found: Measurement, error: float) -> Row:
    return Row(
        contender=begun.contender,
        case=begun.case,
        outcome=MEASURED,
        runs=len(found.times),
        milliseconds=quartiles(found.times),
        host=found.host,
        extra=found.extra,
        error=error,
        code=begun.code,
    )


def told(row: Row) -> str:
    """The row in a line."""
    if row.milliseconds is None or row.rate is None:
        return f"{row.outcome}: {row.reason}"
    low, middle, high = row.milliseconds
    return f"{middle:.3f} ms ({low:.3f} to {high:.3f}), {row.rate:.1f} TFLOP/s"


def shortened(error: BaseException, most: int = 300) -> str:
    """The first line of an error's message, or its name where it has none."""
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    return text if len(text) <= most else text[: most - 1] + "…"


def supervised(command: Sequence[str], path: Path, environment: dict[str, str], *, patience: float = PATIENCE, pause: float = 1.0) -> int:
    """Run `command`, which fills `path`, and run it again for as long as it is ended by a signal or by a lost device, but has begun another row.

    A run that writes nothing for `patience` seconds is killed; its row says so. Returns the exit status of the last run, INTERRUPTED for Ctrl-C.
    """
    while True:
        before = stamp(path)
        child = subprocess.Popen(command, env=environment)
        try:
            status = awaited(child, path, patience, pause)
        except KeyboardInterrupt:
            stopped(child)
            return INTERRUPTED
        if (status >= 0 and status != LOST) or stamp(path) == before:
            return status if status >= 0 else 1
        print(f"the timing process ended with status {status}; a new one goes on", flush=True)


def awaited(child: subprocess.Popen[Any], path: Path, patience: float, pause: float) -> int:
    """The child's exit status; it is killed after `patience` seconds in which the file did not change."""
    seen, since = stamp(path), time.monotonic()
    while True:
        try:
            return child.wait(pause)
        except subprocess.TimeoutExpired:
            if (now := stamp(path)) != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > patience:
                child.kill()
                return child.wait()


def stopped(child: subprocess.Popen[Any], grace: float = 20.0) -> None:
    """Wait for a child that got the same Ctrl-C; kill it if it does not end."""
    try:
        child.wait(grace)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        child.kill()
        child.wait()


def stamp(path: Path) -> int:
    """Changes whenever the file is replaced."""
    return path.stat().st_mtime_ns if path.exists() else 0
