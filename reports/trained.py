"""Reads what was measured on a trained model, which `python -m properties.trained` writes. Pure, apart from `read`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from properties.evidence import BadEvidence
from properties.trained.record import PREFIX, SCHEMA

FIGURES = ("entropy", "distance", "previous_token", "induction", "ablation", "gradient", "uniform", "another_sequence")
OF_TRAINING = ("seed", "steps", "batch", "rate", "decay", "held_out", "often")
OF_MODEL = ("layers", "heads", "width", "length", "vocabulary", "parameters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One head's figures on one task."""

    layer: int
    head: int
    figures: Mapping[str, float]

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.head}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What was measured on one task. `attribution`: by measure, then by method or pair of methods."""

    name: str
    loss: float
    accuracy: float
    heads: tuple[Head, ...]
    divergence: Sequence[Sequence[float]]
    importances: float
    attribution: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One file. `code`: the digest of the code that trained and measured; `pictures`: the digest of each SVG by its name."""

    environment: str
    code: str
    model: Mapping[str, int]
    training: Mapping[str, Any]
    course: Mapping[str, Any]
    tasks: tuple[Task, ...]
    initialisations: Sequence[Mapping[str, Any]]
    pictures: Mapping[str, str]


def read(folder: Path) -> tuple[Trained, ...]:
    """The files of a folder in the order of their names. Raises BadEvidence, quoting the file, for a malformed one."""
    return tuple(one(path) for path in sorted(folder.glob(f"{PREFIX}*.json")))


def one(path: Path) -> Trained:
    """The file's content. Raises BadEvidence."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema is {document['schema']!r}, expected {SCHEMA!r}")
        return Trained(
            environment=path.stem.removeprefix(PREFIX),
            code=str(document["code"]),
            model={name: int(document["model"][name]) for name in OF_MODEL},
            training={name: document["training"][name] for name in OF_TRAINING},
            course=course(document["course"]),
            tasks=tuple(task(name, found) for name, found in document["tasks"].items()),
            initialisations=[initialisation(x) for x in document["initialisations"]],
            pictures={str(name): str(of) for name, of in document["pictures"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadEvidence(f"{path}: malformed ({type(error).__name__}: {error}); write it anew with python -m properties.trained") from error


def task(name: str, found: Mapping[str, Any]) -> Task:
    """Raises KeyError, TypeError or ValueError for a figure that is missing or no number."""
    heads = tuple(Head(layer=int(x["layer"]), head=int(x["head"]), figures={of: number(x[of]) for of in FIGURES}) for x in found["heads"])
    divergence = [[number(x) for x in row] for row in found["divergence"]]
    if len(divergence) != len(heads) or any(len(row) != len(heads) for row in divergence):
        raise ValueError(f"divergences of {len(divergence)} heads, figures of {len(heads)}")
    return Task(
        name=name,
        loss=number(found["loss"]),
        accuracy=number(found["accuracy"]),
        heads=heads,
        divergence=divergence,
        importances=number(found["importances"]),
        attribution={measure: {method: number(x) for method, x in of.items()} for measure, of in found["attribution"].items()},
    )


def course(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raises ValueError for curves of unequal lengths."""
    lengths = {len(found["entropy"]), *(len(curve) for name in ("loss", "accuracy") for curve in found[name].values())}
    if lengths != {len(found["steps"])}:
        raise ValueError(f"curves of {sorted(lengths)} points over {len(found['steps'])} steps")
    return found


def initialisation(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raises KeyError or TypeError for a figure that is missing."""
    for of in found["tasks"].values():
        number(of["accuracy"])
        number(of["importances"])
    for of in found["patterns"].values():
        for best in of.values():
            number(best["score"])
    return {"seed": int(found["seed"]), "tasks": found["tasks"], "patterns": found["patterns"]}


def number(x: Any) -> float:
    """Raises TypeError for anything but a number; one that is not a number says that a correlation has no meaning."""
    if not isinstance(x, (int, float)) or isinstance(x, bool) or math.isinf(x):
        raise TypeError(f"{x!r} is no figure")
    return float(x)
