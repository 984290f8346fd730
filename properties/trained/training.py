"""Training on both tasks at once, and what is kept of its course. The same seed gives the same numbers on the same machine, on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from impl.instruments.attention_entropy.reference import entropy
from properties.trained.model import Transformer, accuracy, losses
from properties.trained.tasks import TASKS, Batch, batch, both

BATCH, RATE, DECAY = 32, 3e-3, 0.01
STEPS, OFTEN = 1000, 25  # steps of training, and between two looks at it
HELD_OUT, SOLVED = 64, 0.99  # sequences of each task that training never draws; the accuracy from which a task counts as solved
OF_TRAINING, OF_HELD_OUT = 1, 2  # added to a seed, so that no two streams are one


class TooSlow(Exception):
    """Raised where training takes longer than it may."""


@dataclass(slots=True)
class Course:
    """What was seen after so many steps: loss and accuracy by task, and the mean entropy of the rows of each head [T][L][H]."""

    steps: list[int] = field(default_factory=list)
    loss: dict[str, list[float]] = field(default_factory=lambda: {task: [] for task in TASKS})
    accuracy: dict[str, list[float]] = field(default_factory=lambda: {task: [] for task in TASKS})
    entropy: list[list[list[float]]] = field(default_factory=list)

    def solved(self, task: str) -> int | None:
        """The first step from which on the task stays solved, as far as it was looked at."""
        unsolved = [place for place, x in enumerate(self.accuracy[task]) if x < SOLVED]
        after = unsolved[-1] + 1 if unsolved else 0
        return self.steps[after] if after < len(self.steps) else None

    def document(self) -> dict[str, Any]:
        return {"steps": self.steps, "loss": self.loss, "accuracy": self.accuracy, "entropy": self.entropy}


def held_out(count: int = HELD_OUT) -> dict[str, Batch]:
    """The sequences that measurements are made on, the same for every seed of training."""
    return {task: batch(task, count, torch.Generator().manual_seed(10_000 + OF_HELD_OUT + place)) for place, task in enumerate(TASKS)}


def trained(
    seed: int, steps: int = STEPS, *, seconds: float = float("inf"), often: int = OFTEN, say: Callable[[str], None] = lambda line: None
) -> tuple[Transformer, Course]:
    """A model after so many steps of AdamW, and its course. Raises TooSlow once `seconds` are gone."""
    began, seen, course = time.monotonic(), held_out(), Course()
    model = Transformer(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    random = torch.Generator().manual_seed(1000 * (seed + 1) + OF_TRAINING)
    for step in range(steps + 1):
        if step % often == 0 or step == steps:
            look(model, seen, course, step)
            say(f"seed {seed}, step {step} of {steps}: " + ", ".join(f"{task} {course.accuracy[task][-1]:.3f}" for task in TASKS))
        if step == steps:
            break
        if time.monotonic() - began > seconds:
            raise TooSlow(f"{step} of {steps} steps took {seconds:g} seconds; allow more with --seconds, or ask for fewer with --steps")
        drawn = both(BATCH, random)
        loss = losses(model(drawn.seen).logits, drawn).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model, course


@torch.no_grad()
def look(model: Transformer, seen: dict[str, Batch], course: Course, step: int) -> None:
    """Add what the held-out sequences show to the course."""
    course.steps.append(step)
    entropies = []
    for task, drawn in seen.items():
        run = model(drawn.seen)
        course.loss[task].append(float(losses(run.logits, drawn).mean()))
        course.accuracy[task].append(accuracy(run.logits, drawn))
        entropies.append(torch.stack([entropy(w.double()).mean((0, 2)) for w in run.weights]))  # [L, H]
    course.entropy.append(torch.stack(entropies).mean(0).tolist())
