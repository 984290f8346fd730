"""Attention by random features by Triton kernels: features by the kernel of this folder, then linear attention's, with the keys' levels. Forward only.

A state that is kept at e to the largest level so far serves causal rows too: the keys of a row's own chunk have levels of their own, so that no key far above
another drives it to 0, and no row's bits depend on a later key.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from impl.in_triton import Operators
from impl.kernelised import padding
from impl.linear_attention import fused
from impl.scaled_dot_product import flash


def load() -> Any:
    from impl.random_features import launch

    return launch


operators = Operators(load)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    projection: Tensor,
    is_causal: bool = False,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
    phase: Tensor | None = None,
    *,
    tile: tuple[int, ...] | str | None = None,
) -> Tensor:
    """As the reference, without a gradient; features are in the accumulator's dtype, and what a hidden key holds, NaN too, reaches nothing. `tile` as in
    `impl.linear_attention.fused`; of numbers the first is also the positions a program of the features. Raises ValueError for shapes, dtypes, a mask or
    a scale that do not fit, for more than 256 features, and for inputs that want a gradient; RuntimeError where triton is missing."""
    check(query, key, value, projection, phase, scale)
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (query, key, value, projection, phase)):
        raise ValueError("an input wants a gradient, and this kernel has no backward: detach it, or call under torch.no_grad()")
    options, target = fused.chosen(tile)
    mask = padding(attn_mask)
    lead = torch.broadcast_shapes(*(x.shape[:-2] for x in (query, key, value)), *(() if mask is None else (mask.shape[:-2],)))
    hides = None if mask is None else flash.four(mask.expand(*lead, 1, key.shape[-2]))[:, :, 0].view(torch.uint8)
    root = query.shape[-1] ** -0.25 if scale is None else math.sqrt(scale)
    module, own = operators(), [options[0], options[2]] if options else []
    b = None if phase is None else phase.detach().contiguous()
    q, k, v = (flash.four(x.detach().expand(*lead, *x.shape[-2:])) for x in (query, key, value))
    (rows, _), (columns, levels) = (module.random_features(x, projection.detach(), b, root, own, target) for x in (q, k))
    output, _ = module.linear.linear_attention(rows, columns, v, hides, levels, "identity", 0.0, 0.0, is_causal, options, target)
    found: Tensor = output.reshape(*lead, *output.shape[-2:])
    return found


def check(query: Tensor, key: Tensor, value: Tensor, projection: Tensor, phase: Tensor | None, scale: float | None) -> None:
    """Raise ValueError, quoting it, for what does not fit."""
    fused.check(query, key, value, "elu+1")
    if scale is not None and not scale > 0:
        raise ValueError(f"scale {scale}: expected a number above 0, half of which goes to the queries and half to the keys")
    if projection.dim() != 2 or projection.shape[1] != query.shape[-1] or not 1 <= projection.shape[0] <= fused.WIDEST:
        raise ValueError(f"projection must be [m, {query.shape[-1]}] with m from 1 to {fused.WIDEST}: {tuple(projection.shape)}")
    if max(query.shape[-1], value.shape[-1]) > fused.WIDEST:
        raise ValueError(f"widths go to {fused.WIDEST}: query {query.shape[-1]}, value {value.shape[-1]}")
    if phase is not None and phase.shape != projection.shape[:1]:
        raise ValueError(f"phase must be [{projection.shape[0]}], one number a feature: {tuple(phase.shape)}")
