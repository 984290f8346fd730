"""Rotary attention by Triton kernels: queries and keys are turned by the kernel of this folder, and attention is dense attention's kernel. Forward only."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from impl.in_triton import Operators
from impl.masked import accumulation
from impl.rotary.reference import turns
from impl.scaled_dot_product import flash


def load() -> Any:
    from impl.rotary import launch

    return launch


operators = Operators(load)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    start: int = 0,
    interleaved: bool = True,
    base: float = 10_000.0,
    *,
    turning: tuple[int, int, int] | None = None,
    tile: tuple[int, int, int, int] | str | None = None,
) -> Tensor:
    """As the reference, without a gradient; turned queries and keys are in the inputs' dtype. `turning` = (positions, heads, warps) of a program that turns;
    `tile`: as in `impl.scaled_dot_product.flash`. Raises ValueError for an odd width, widths or dtypes that differ; RuntimeError where triton is missing,
    and on a backward pass."""
    if query.shape[-1] % 2 or query.shape[-1] != key.shape[-1] or query.dtype != key.dtype:
        both = f"query {tuple(query.shape)} {query.dtype}, key {tuple(key.shape)} {key.dtype}"
        raise ValueError(f"rotary attention turns pairs of features, so queries and keys need one dtype and one even width: {both}")
    longest = max(query.shape[-2], key.shape[-2])
    angles = turns(longest, query.shape[-1], start, base, accumulation(query.dtype))
    cosines, sines = (part.contiguous().to(query.device) for part in (angles.real, angles.imag))
    q, k = (flash.four(x) for x in (query, key))
    q, k = operators().turned(q, k, cosines, sines, interleaved, list(turning or ()))
    return flash.attention(q.reshape(query.shape), k.reshape(key.shape), value, attn_mask, is_causal=is_causal, scale=scale, tile=tile)
