"""The command line of `python -m properties.gpu`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from impl._triton.occupancy import LIMITS
from properties import environment
from properties.evidence import BadEvidence
from properties.gpu import record
from properties.gpu.plan import CONTENDERS, DTYPES, FAMILIES, LENGTHS, OURS, PLANS, WIDTHS, Case, planned
from properties.gpu.record import CUT_SHORT, MEASURED, STARTED

ROOT = Path(__file__).parents[2]
UNUSABLE = 2
EVERY_LENGTH = tuple(dict.fromkeys(map(str, (*LENGTHS, *(n for plan in PLANS.values() for n in plan.lengths)))))
CHOICES = {
    "families": FAMILIES,
    "lengths": EVERY_LENGTH,
    "widths": tuple(map(str, WIDTHS)),
    "dtypes": DTYPES,
    "contenders": CONTENDERS,
    "targets": tuple(LIMITS),
}
ONLY = {"targets": "of the dry run"}
EXAMPLES = """examples:
  python -m properties.gpu                                 the laws on the compiled kernels, then the times (an hour or two)
  python -m properties.gpu --times --lengths 512,1024      times of short sequences only
  python -m properties.gpu --times --again                 measure anew what failed, was refused or was cut short
  python -m properties.gpu --dry-run --targets sm_90       compile and check everything that would be launched; needs no GPU

An interrupted run keeps its rows, and the next one goes on. Delete the file to begin anew.

Exit status: 0 all well; 1 a law was broken, the kernel could not be timed or a check failed; 2 this machine or an argument cannot be used; 130 interrupted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = command_line()
    options = parser.parse_args(arguments)
    for name, possible in CHOICES.items():
        if unknown := [x for x in getattr(options, name) if x not in possible]:
            parser.error(f"unknown {name} {', '.join(unknown)}; possible are {', '.join(possible)}")
    if options.dry_run:
        return dry_run(options)
    if why := unusable(options.device):
        print(why, file=sys.stderr)
        return UNUSABLE
    try:
        return timing(options) if options.here else whole(options)
    except BadEvidence as error:
        print(error, file=sys.stderr)
        return UNUSABLE


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m properties.gpu",
        description="Try the laws on the compiled Triton kernels, and time them beside the dense one and torch's own. Needs a GPU, except for --dry-run.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--laws", action="store_true", help="only the laws")
    what.add_argument("--times", action="store_true", help="only the times")
    what.add_argument("--dry-run", action="store_true", help="compile everything for absent GPUs, check every launch, print a table; needs no GPU")
    parser.add_argument("--examples", type=int, default=1, metavar="COUNT", help="of every law on each implementation, in a dry run (default %(default)s)")
    for name, possible in CHOICES.items():
        parser.add_argument(
            f"--{name}", type=listed, default=list(possible), metavar="A,B", help=f"{ONLY.get(name, 'only these')} (default: {','.join(possible)})"
        )
    parser.add_argument("--again", action="store_true", help="measure anew what failed, was refused or was cut short")
    parser.add_argument("--device", type=int, default=0, metavar="INDEX", help="which of the visible GPUs (default 0)")
    parser.add_argument("--workers", type=int, default=min(8, max(1, (os.cpu_count() or 2) // 2)), help="processes that try laws at once (default %(default)s)")
    parser.add_argument("--evidence", type=Path, default=ROOT / "reports" / "evidence", metavar="DIR", help="where the file of times stands")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # times, in this very process: what the supervisor starts
    return parser


def listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def unusable(device: int) -> str | None:
    """Why nothing can be run on a GPU here, in a line, or None."""
    if importlib.util.find_spec("triton") is None:
        return "no triton here: pip install triton (Linux only); a dry run needs it too"
    if not torch.cuda.is_available():
        built = torch.version.cuda or torch.version.hip
        cause = "torch sees none (driver, CUDA_VISIBLE_DEVICES)" if built else "this torch is built for CPUs; install the CUDA build from PyPI"
        return f"no GPU here: torch {torch.__version__}: {cause}; --dry-run compiles and checks everything without one"
    if not 0 <= device < torch.cuda.device_count():
        return f"no GPU {device} here: torch sees {torch.cuda.device_count()}, numbered from 0"
    if not any(shutil.which(name) for name in filter(None, (os.environ.get("CC"), "gcc", "clang"))):
        return "no C compiler here: triton builds its launcher with one; install gcc, or set CC"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        return f"no Python.h in {sysconfig.get_paths()['include']}: triton builds its launcher with it; install python3-dev"
    return None


def dry_run(options: argparse.Namespace) -> int:
    if importlib.util.find_spec("triton") is None:
        print(unusable(0), file=sys.stderr)
        return UNUSABLE
    from properties.gpu.rehearsal import rehearsed, table, wrong

    failed = False
    for target in options.targets:
        checked = rehearsed(target, asked(options), options.examples)
        print(table(checked), flush=True)
        bad = wrong(checked)
        print(f"{target}: {len(checked)} launches checked, {f'{len(bad)} would fail' if bad else 'all would be made'}\n", flush=True)
        failed |= bool(bad)
    return int(failed)


def asked(options: argparse.Namespace) -> list[Case]:
    """The cases that the arguments leave."""
    return list(planned(options.families, [int(n) for n in options.lengths], [int(width) for width in options.widths], options.dtypes))


def path_of(options: argparse.Namespace, facts: dict[str, str]) -> Path:
    """The file of this environment."""
    return Path(options.evidence) / f"{record.PREFIX}{environment.slug(facts)}.json"


def timing(options: argparse.Namespace) -> int:
    """Time in this process. LOST where the device is lost."""
    from properties.gpu.clock import Cuda
    from properties.gpu.contenders import contenders
    from properties.gpu.run import INTERRUPTED, LOST, Lost, timed

    device = Cuda(options.device)
    chosen = [x for x in contenders() if x.name in options.contenders]
    try:
        timed(asked(options), chosen, device, path_of(options, device.facts()), partial(print, flush=True))
    except Lost as error:
        print(error, file=sys.stderr)
        return LOST
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def whole(options: argparse.Namespace) -> int:
    """The laws, then the times, each in processes of their own: what a kernel does to its device ends with them."""
    from properties.gpu.clock import Cuda
    from properties.gpu.run import INTERRUPTED, supervised

    surroundings = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    status = 0
    if not options.times:
        status = laws(options, surroundings)
        if status not in (0, 1):
            return INTERRUPTED if status == 2 else 1
    if options.laws:
        return status
    device = Cuda(options.device)
    path = path_of(options, device.facts())
    before = record.opened(path, device.facts())
    if options.again and path.exists():
        record.write(path, before.without({row.key for row in before.rows if row.outcome != MEASURED}))
    del device  # its memory is for the process that times
    torch.cuda.empty_cache()
    given = [part for name in CHOICES for part in (f"--{name}", ",".join(getattr(options, name)))]
    command = [sys.executable, "-m", "properties.gpu", "--here", "--device", str(options.device), "--evidence", str(options.evidence), *given]
    timed = supervised(command, path, surroundings)
    return timed or max(status, concluded(path))


def laws(options: argparse.Namespace, surroundings: dict[str, str]) -> int:
    """Pytest's exit status for every law on the Triton implementations, which writes the evidence of this environment."""
    command = [sys.executable, "-m", "pytest", "properties", "-q", "-k", "/triton"]
    if importlib.util.find_spec("xdist") is not None:
        command += ["-n", str(options.workers), "--dist", "worksteal"]
    return subprocess.run(command, cwd=ROOT, env=surroundings, check=False).returncode


def concluded(path: Path) -> int:
    """1 where a row of the kernel is not measured, which is said; else 0."""
    if not path.exists():
        return 1
    kept = record.read(path)
    open_rows = [row for row in kept.rows if row.contender == OURS and row.outcome != MEASURED]
    for row in open_rows:
        print(f"{row.case}: {row.outcome}: {CUT_SHORT if row.outcome == STARTED else row.reason}", file=sys.stderr)
    print(f"{sum(row.outcome == MEASURED for row in kept.rows)} of {len(kept.rows)} rows measured, in {path}")
    return int(bool(open_rows))
