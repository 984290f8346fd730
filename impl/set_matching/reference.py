"""The loss of a set of predictions against a set of objects by its definition: the matching of least cost, found among all."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import torch
from torch import Tensor

from impl.masked import accumulation

Matcher = Callable[[Tensor], list[int]]


def by_trying_all(cost: Tensor) -> list[int]:
    """For each of T objects its prediction, all different, with the least cost [Q, T] in all: Q!/(Q − T)! sums."""
    queries, objects = cost.shape
    return list(min(permutations(range(queries), objects), key=lambda chosen: float(cost[list(chosen), range(objects)].sum())))


def attention(
    logits: Tensor,
    boxes: Tensor,
    labels: Tensor,
    object_boxes: Tensor,
    box_weight: float = 1.0,
    no_object_weight: float = 0.1,
    *,
    match: Matcher = by_trying_all,
) -> Tensor:
    """Σ_t −log p_{σ(t)}(c_t) + λ |b_{σ(t)} − b_t|₁ + Σ_{q unmatched} −w log p_q(∅), where σ has the least Σ_t −p_{σ(t)}(c_t) + λ |b_{σ(t)} − b_t|₁.

    Shapes: logits [B, Q, K + 1] whose last class is ∅, no object; boxes [B, Q, 4]; labels [B, T] of whole numbers from 0 to K − 1, or −1 where there is no
    t-th object; object_boxes [B, T, 4] → [B], one loss a sequence. λ is `box_weight`, w `no_object_weight`. The matching is a choice and has no gradient;
    what is matched has. Of several matchings of least cost any may be taken. σ has the least matching cost, in which no object costs nothing: another
    matching may have a smaller loss. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for more objects than predictions,
    a label that is no class, and a matching cost that is NaN. Source: Carion et al. 2020, section 3.1, equations 1 and 2, with the L1 part of its box loss
    alone (λ_iou = 0), https://arxiv.org/abs/2005.12872
    """
    check(logits, labels)
    dtype = accumulation(logits.dtype)
    scores, predicted, objects = (x.to(dtype) for x in (logits, boxes, object_boxes))
    losses = [one(*parts, box_weight, no_object_weight, match) for parts in zip(scores, predicted, labels.long(), objects, strict=True)]
    return torch.stack(losses).to(logits.dtype) if losses else logits.new_zeros(0)


def one(logits: Tensor, boxes: Tensor, labels: Tensor, objects: Tensor, box_weight: float, no_object_weight: float, match: Matcher) -> Tensor:
    """The loss of one sequence: logits [Q, K + 1], boxes [Q, 4], labels [T], objects [T, 4] → a number."""
    there = labels >= 0
    labels, objects = labels[there], objects[there]
    log_p = logits.log_softmax(-1)
    apart = box_weight * (boxes[:, None] - objects).abs().sum(-1)  # [Q, T]
    cost = (apart - log_p.exp()[:, labels]).detach()
    if cost.isnan().any():
        raise ValueError("the matching cost of some prediction is NaN: expected numbers")
    chosen = match(cost)
    left = [q for q in range(logits.shape[0]) if q not in chosen]
    matched = (apart[chosen, range(len(chosen))] - log_p[chosen, labels]).sum()
    return matched - no_object_weight * log_p[left, -1].sum()


def check(logits: Tensor, labels: Tensor) -> None:
    """Raise ValueError for labels that are not integers, more objects than predictions in some sequence, or a label that is neither a class nor −1."""
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"labels are {labels.dtype}: expected integers, −1 for no object")
    classes, most = logits.shape[-1] - 1, int((labels >= 0).sum(-1).max()) if labels.numel() else 0
    if most > logits.shape[1]:
        raise ValueError(f"{most} objects and {logits.shape[1]} predictions: expected no more objects than predictions")
    if labels.numel() and not -1 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(f"labels from {int(labels.min())} to {int(labels.max())}: expected 0 to {classes - 1}, or −1 for no object")
