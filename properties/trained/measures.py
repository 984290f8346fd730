"""What the instruments say of a trained model on held-out sequences, in float64."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from impl.instruments.attention_distance.reference import distance
from impl.instruments.attention_entropy.reference import entropy
from impl.instruments.gradient_attribution.reference import gradient_times
from impl.instruments.head_importance.reference import ablation, gradient
from impl.instruments.human_correlation.reference import correlation
from impl.instruments.jensen_shannon.reference import between
from impl.instruments.pattern_scores.reference import scores
from impl.instruments.rollout.reference import rollout
from properties.trained.model import HEADS, LAYERS, Run, Transformer, accuracy, losses
from properties.trained.tasks import TASKS, Batch
from properties.trained.training import Course

EVERY = [(layer, head) for layer in range(LAYERS) for head in range(HEADS)]
METHODS = ("rollout", "plain product", "gradient times weights", "gradient times embeddings")


def measured(model: Transformer, seen: dict[str, Batch]) -> dict[str, Any]:
    """All figures by task, as JSON values."""
    exact = copy.deepcopy(model).double().requires_grad_(False)
    return {task: of_task(exact, drawn) for task, drawn in seen.items()}


def of_task(model: Transformer, drawn: Batch) -> dict[str, Any]:
    """Loss and accuracy, a row for each head, divergences between heads, and how far importances and ways to attribute agree."""
    run = model(drawn.seen)
    weights = torch.cat(run.weights, 1)  # [B, L·H, N, N]
    ablated, sloped = importances(model, drawn)
    return {
        "loss": float(losses(run.logits, drawn).mean()),
        "accuracy": accuracy(run.logits, drawn),
        "heads": [
            {"layer": layer + 1, "head": head + 1, **one_head(weights[:, place], drawn), "ablation": float(ablated[place]), "gradient": float(sloped[place])}
            | intervened(model, drawn, (layer, head))
            for place, (layer, head) in enumerate(EVERY)
        ],
        "divergence": divergences(weights),
        "importances": float(correlation(ablated, sloped, kind="spearman")),
        "attribution": attribution(model, drawn, run.weights),
    }


def one_head(weights: Tensor, drawn: Batch) -> dict[str, float]:
    """Figures of one head's weights [B, N, N]."""
    patterns = scores(weights, drawn.seen).mean(0)
    return {
        "entropy": float(entropy(weights).mean()),
        "distance": float(distance(weights).mean()),
        "previous_token": float(patterns[-2]),
        "induction": float(patterns[-1]),
    }


def importances(model: Transformer, drawn: Batch) -> tuple[Tensor, Tensor]:
    """By ablation and by gradient [L·H], each the mean over sequences."""
    gates = torch.ones(drawn.tokens.shape[0], LAYERS, HEADS, dtype=torch.float64)
    found = [measure(lambda g: losses(model(drawn.seen, g).logits, drawn), gates) for measure in (ablation, gradient)]
    ablated, sloped = (x.mean(0).flatten() for x in found)
    return ablated, sloped


def intervened(model: Transformer, drawn: Batch, at: tuple[int, int]) -> dict[str, float]:
    """Accuracy with uniform weights in the head's place, and with its weights in the next sequence of the batch."""
    length = drawn.seen.shape[1]
    uniform = torch.ones(1, length, length, dtype=torch.float64).tril()
    uniform = uniform / uniform.sum(-1, keepdim=True)
    own = model(drawn.seen).weights[at[0]][:, at[1]]
    replacements = {"uniform": uniform, "another_sequence": own.roll(1, 0)}
    return {name: accuracy(model(drawn.seen, replaced={at: w}).logits, drawn) for name, w in replacements.items()}


def divergences(weights: Tensor) -> list[list[float]]:
    """The mean Jensen–Shannon divergence of every two heads' rows [L·H, L·H]."""
    count = weights.shape[1]
    found = torch.zeros(count, count, dtype=torch.float64)
    for one in range(count):
        for other in range(one):
            found[one, other] = found[other, one] = between(weights[:, one], weights[:, other]).mean().clamp(min=0)
    rows: list[list[float]] = found.tolist()
    return rows


def attribution(model: Transformer, drawn: Batch, weights: tuple[Tensor, ...]) -> dict[str, Any]:
    """What each method says of the tokens behind one answer a sequence: how often the largest share is the token that is the answer, and rank correlations.

    The answer is asked at the last position that has one. Rollout and product are of the heads' mean; the gradients are of the right answer's logit.
    """
    asked = torch.where(drawn.asked, torch.arange(drawn.asked.shape[1]), -1).amax(1)  # [B]
    each = torch.arange(asked.shape[0])
    layers = torch.stack([w.mean(1) for w in weights], 1)  # [B, L, N, N]
    shares = {
        "rollout": rollout(layers)[each, asked],
        "plain product": rollout(layers, residual=False)[each, asked],
        "gradient times weights": by_weights(model, drawn, asked),
        "gradient times embeddings": by_embeddings(model, drawn, asked),
    }
    sources = sources_of(drawn, asked)
    visible = [slice(0, int(at) + 1) for at in asked]
    return {
        "largest_is_source": {name: float(sources[each, x.argmax(-1)].double().mean()) for name, x in shares.items()},
        "share_of_source": {name: float(((x * sources).sum(-1) / x.sum(-1)).mean()) for name, x in shares.items()},
        "rank_correlation": {
            f"{one}, {other}": float(
                torch.stack([correlation(shares[one][b, at], shares[other][b, at], kind="spearman") for b, at in enumerate(visible)]).mean()
            )
            for place, one in enumerate(METHODS)
            for other in METHODS[place + 1 :]
        },
    }


def by_embeddings(model: Transformer, drawn: Batch, asked: Tensor) -> Tensor:
    """|Σ_c x ∘ ∂f/∂x| [B, N] of each token's embedding for the logit f of the right answer."""
    return gradient_times(lambda x: logit(model(drawn.seen, embedded=x), drawn, asked), model(drawn.seen).embedded).sum(-1).abs()


def by_weights(model: Transformer, drawn: Batch, asked: Tensor) -> Tensor:
    """Σ_h |A ∘ ∂f/∂A| [B, N] of the last layer's weights in the row that asks, for the same logit."""
    last = LAYERS - 1
    weights = model(drawn.seen).weights[last]

    def with_weights(w: Tensor) -> Tensor:
        return logit(model(drawn.seen, replaced={(last, head): w[:, head] for head in range(HEADS)}), drawn, asked)

    return gradient_times(with_weights, weights)[torch.arange(asked.shape[0]), :, asked].abs().sum(1)


def logit(run: Run, drawn: Batch, asked: Tensor) -> Tensor:
    """The sum over sequences of the right answer's logit."""
    each = torch.arange(asked.shape[0])
    return run.logits[each, asked, drawn.next[each, asked]].sum()


def sources_of(drawn: Batch, asked: Tensor) -> Tensor:
    """Where the answer stands behind an earlier occurrence of the token that asks: bool [B, N]."""
    each, place = torch.arange(asked.shape[0]), torch.arange(drawn.seen.shape[1])
    right, own = drawn.next[each, asked], drawn.seen[each, asked]
    follows = torch.zeros_like(drawn.asked)
    follows[:, 1:] = (drawn.seen[:, 1:] == right[:, None]) & (drawn.seen[:, :-1] == own[:, None])
    return follows & (place <= asked[:, None])


def initialisation(seed: int, course: Course, found: dict[str, Any]) -> dict[str, Any]:
    """What one seed came to: accuracy and the step from which on each task stays solved, and the head with the highest score of each pattern."""
    heads = {task: found[task]["heads"] for task in TASKS}
    best = {task: {kind: max(rows, key=lambda row: row[kind]) for kind in ("previous_token", "induction")} for task, rows in heads.items()}
    return {
        "seed": seed,
        "tasks": {task: {"accuracy": found[task]["accuracy"], "solved": course.solved(task), "importances": found[task]["importances"]} for task in TASKS},
        "patterns": {
            task: {kind: {"layer": row["layer"], "head": row["head"], "score": row[kind]} for kind, row in rows.items()} for task, rows in best.items()
        },
    }
