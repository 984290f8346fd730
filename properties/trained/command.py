"""The command line of `python -m properties.trained`."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from properties import digest, environment
from properties.evidence import write_text
from properties.trained import record
from properties.trained.drawing import drawn
from properties.trained.measures import initialisation, measured
from properties.trained.model import HEADS, LAYERS, WIDTH, Transformer
from properties.trained.tasks import LENGTH, TASKS, VOCABULARY
from properties.trained.training import BATCH, DECAY, HELD_OUT, OFTEN, RATE, STEPS, Course, TooSlow, held_out, trained

REPORTS = digest.ROOT / "reports"
BAD_INPUT = 2
EXAMPLES = """examples:
  python -m properties.trained                                train, measure, draw (a minute), then python -m reports
  python -m properties.trained --steps 50 --seeds 0 --out /tmp/short     see that it runs

Exit status: 0 all well, solved or not; 1 it took longer than --seconds, and nothing is written; 2 an argument cannot be used."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = command_line()
    options = parser.parse_args(arguments)
    if options.steps < 1 or min(options.seeds) < 0 or options.seconds <= 0 or len(set(options.seeds)) < len(options.seeds):
        parser.error(f"--steps {options.steps}, --seconds {options.seconds:g}, --seeds {options.seeds}: above 0, seeds from 0 on, each once")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        runs = [(seed, *trained(seed, options.steps, seconds=options.seconds, say=partial(print, flush=True))) for seed in options.seeds]
    except TooSlow as error:
        print(error, file=sys.stderr)
        return 1
    return written(options.out, runs, options.steps)


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m properties.trained",
        description="Train a small transformer to copy and to look up, measure its attention, and write what was found, with pictures. One thread, any CPU.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--steps", type=int, default=STEPS, help=f"steps of training (default {STEPS})")
    parser.add_argument("--seconds", type=float, default=180.0, help="give up on a training that takes longer (default 180)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="the first is measured and drawn, all are compared (default 0 1 2)")
    parser.add_argument("--out", type=Path, default=REPORTS, metavar="DIR", help="where evidence/ and trained/ stand (default reports)")
    return parser


def written(out: Path, runs: list[tuple[int, Transformer, Course]], steps: int, say: Callable[[str], None] = print) -> int:
    """Measure, draw and write."""
    facts, seen = environment.describe(), held_out()
    name = environment.slug(facts)
    (seed, model, course), figures = runs[0], [measured(x, seen) for _, x, _ in runs]
    svgs = drawn(model, seen, course, record.rounded(figures[0]))
    for picture, svg in svgs.items():
        write_text(out / "trained" / name / f"{picture}.svg", svg)
    path = out / "evidence" / f"{record.PREFIX}{name}.json"
    record.write(
        path,
        {
            "schema": record.SCHEMA,
            "environment": facts,
            "code": record.current(),
            "model": {"layers": LAYERS, "heads": HEADS, "width": WIDTH, "length": LENGTH, "vocabulary": VOCABULARY, "parameters": size(model)},
            "training": {"seed": seed, "steps": steps, "batch": BATCH, "rate": RATE, "decay": DECAY, "held_out": HELD_OUT, "often": OFTEN},
            "course": course.document(),
            "tasks": figures[0],
            "initialisations": [initialisation(seed, course, found) for (seed, _, course), found in zip(runs, figures, strict=True)],
            "pictures": {picture: hashlib.sha256(svg.encode()).hexdigest()[:16] for picture, svg in svgs.items()},
        },
    )
    say("; ".join(f"{task}: accuracy {figures[0][task]['accuracy']:.4f}" for task in TASKS) + f"; written to {path}")
    return 0


def size(model: Transformer) -> int:
    return sum(x.numel() for x in model.parameters())
