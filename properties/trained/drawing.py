"""The pictures of a trained model: one held-out sequence of each task, its course, and its heads beside each other."""

from __future__ import annotations

from typing import Any

import torch

from impl.instruments import pictures
from properties.trained.measures import EVERY
from properties.trained.model import Transformer
from properties.trained.tasks import COPY, KEYS, LOOKUP, SYMBOLS, Batch
from properties.trained.training import Course

NAMES = [f"{layer + 1}.{head + 1}" for layer, head in EVERY]


def drawn(model: Transformer, seen: dict[str, Batch], course: Course, found: dict[str, Any]) -> dict[str, str]:
    """SVGs by name. The largest induction score on the copy task says which head is shown alone."""
    svgs = {"entropy": pictures.svg(pictures.entropy_along_training(course.steps, course.entropy))}
    most = max(range(len(EVERY)), key=lambda place: found[COPY]["heads"][place]["induction"])
    for task in (COPY, LOOKUP):
        with torch.no_grad():
            run = model(seen[task].seen[:1])
        weights = torch.stack([w[0] for w in run.weights])  # [L, H, N, N]
        tokens = [said(int(token)) for token in seen[task].seen[0]]
        svgs[f"{task}-heads"] = pictures.svg(pictures.head_grid(weights, tokens, tokens))
        svgs[f"{task}-flow"] = pictures.svg(pictures.flow(weights.mean(1), tokens, least=0.1))
        layer, head = EVERY[most]
        svgs[f"{task}-head"] = pictures.svg(pictures.heat_map(weights[layer, head], tokens, tokens, f"layer {layer + 1}, head {head + 1}"))
        svgs[f"{task}-comparison"] = pictures.svg(pictures.head_comparison(found[task]["divergence"], NAMES))
    return svgs


def said(token: int) -> str:
    """A symbol as a letter, a key as k0 …, a value as v0 …."""
    if token < SYMBOLS:
        return chr(ord("a") + token)
    return f"k{token - SYMBOLS}" if token < SYMBOLS + KEYS else f"v{token - SYMBOLS - KEYS}"
