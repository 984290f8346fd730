"""How far a student's attention is from a teacher's, by its definition: a divergence of two rows of weights."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation, softmax


def divergence(student: Tensor, teacher: Tensor, attn_mask: Tensor | None = None, kind: str = "kl") -> Tensor:
    """For each row, of p = softmax(student) and t = softmax(teacher) over the keys seen: Σ t_j log(t_j / p_j) ("kl"), or Σ (p_j − t_j)² / M ("mse").

    Shapes: scores [..., N, M] of both → [..., N], in their dtype. `attn_mask`, boolean (True = seen), broadcasts to [..., N, M]; a row that sees no key is
    0. A row of `kl` has the gradient p − t by the student's scores. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for
    another kind, or for scores of different shapes. Sources: Hinton, Vinyals and Dean 2015, https://arxiv.org/abs/1503.02531; of attention maps: Wang et al.
    2020 (MiniLM), Eq. 4, https://arxiv.org/abs/2002.10957 (kl), Jiao et al. 2020 (TinyBERT), section 4.1, https://arxiv.org/abs/1909.10351 (mse, of scores)
    """
    check(student, teacher, kind)
    s, t = (x.to(accumulation(x.dtype)) for x in (student, teacher))
    seen = torch.ones_like(s, dtype=torch.bool) if attn_mask is None else attn_mask.expand_as(s)
    if kind == "mse":
        return ((softmax(s, seen) - softmax(t, seen)).square().sum(-1) / max(s.shape[-1], 1)).to(student.dtype)
    gap = logarithms(t, seen) - logarithms(s, seen)
    return (softmax(t, seen) * gap).sum(-1).to(student.dtype)


def logarithms(scores: Tensor, seen: Tensor) -> Tensor:
    """log softmax over the keys seen [..., N, M], and 0 elsewhere."""
    dead = ~seen.any(-1, keepdim=True)
    return scores.masked_fill(~seen, -torch.inf).masked_fill(dead, 0.0).log_softmax(-1).masked_fill(~seen, 0.0)


def check(student: Tensor, teacher: Tensor, kind: str) -> None:
    """Raise ValueError unless there is such a divergence of these scores."""
    if student.shape != teacher.shape:
        raise ValueError(f"scores {tuple(student.shape)} of the student and {tuple(teacher.shape)} of the teacher; they must be of the same queries and keys")
    if kind not in ("kl", "mse"):
        raise ValueError(f"kind={kind!r}; there are 'kl' and 'mse'")
