"""The same divergences with gradients written out: for each row only the weights of both are kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from impl.distillation.reference import check, logarithms
from impl.masked import accumulation


def divergence(student: Tensor, teacher: Tensor, attn_mask: Tensor | None = None, kind: str = "kl") -> Tensor:
    """As the reference, but without a gradient by the teacher's scores: what it says is a given."""
    check(student, teacher, kind)
    s, t = (x.to(accumulation(x.dtype)) for x in (student, teacher))
    seen = torch.ones_like(s, dtype=torch.bool) if attn_mask is None else attn_mask.expand_as(s)
    found: Tensor = (KullbackLeibler if kind == "kl" else Squares).apply(s, t.detach(), seen)  # type: ignore[no-untyped-call]
    return found.to(student.dtype)


class KullbackLeibler(torch.autograd.Function):
    """Σ t log(t / p), whose gradient by the student's scores is p − t."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, seen: Tensor) -> Tensor:
        log_p, log_t = logarithms(student, seen), logarithms(teacher, seen)
        p, t = log_p.exp().masked_fill_(~seen, 0), log_t.exp().masked_fill_(~seen, 0)
        ctx.save_for_backward(p, t)
        return (t * (log_t - log_p)).sum(-1)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        p, t = ctx.saved_tensors
        return cotangents[0].unsqueeze(-1) * (p - t), None, None


class Squares(torch.autograd.Function):
    """Σ (p − t)² / M, whose gradient by the student's scores is p ∘ (w − p · w) with w = 2 (p − t) / M."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, seen: Tensor) -> Tensor:
        p, t = (logarithms(x, seen).exp().masked_fill_(~seen, 0) for x in (student, teacher))
        ctx.save_for_backward(p, t)
        return (p - t).square().sum(-1) / max(p.shape[-1], 1)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        p, t = ctx.saved_tensors
        by_weight = cotangents[0].unsqueeze(-1) * (2 * (p - t) / max(p.shape[-1], 1))
        return p * (by_weight - (p * by_weight).sum(-1, keepdim=True)), None, None
