"""Costs of dense and of multi-head attention by formula, as torch's FlopCounterMode and the tensors themselves count them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """`flops`: floating-point operations of the matrix products, a multiplication and an addition each (softmax, scale and masks are not products, and count
    for none: 5 or so for each of the weights). `weights_bytes`: of the attention weights, if they are held. `bytes`: of inputs and output, each moved once.
    `parameters`: numbers that are learned. A rate of operations is operations over seconds: "FLOPS" is none of these counts."""

    flops: int
    bytes: int
    weights_bytes: int
    parameters: int = 0


def dense(*, batch: int = 1, heads: int = 1, queries: int, keys: int, width: int, value_width: int | None = None, itemsize: int = 4) -> Cost:
    """softmax(Q Kᵀ) V of query [B, H, N, D], key [B, H, M, D], value [B, H, M, E]: 2 B H N M (D + E) operations, all of them for masked pairs too.
    Raises ValueError for a size below 0."""
    e = width if value_width is None else value_width
    sizes = {"batch": batch, "heads": heads, "queries": queries, "keys": keys, "width": width, "value_width": e, "itemsize": itemsize}
    if wrong := {name: size for name, size in sizes.items() if size < 0}:
        raise ValueError(f"sizes {wrong}; expected numbers from 0")
    maps = batch * heads
    moved = maps * (queries * (width + e) + keys * (width + e))
    return Cost(flops=2 * maps * queries * keys * (width + e), bytes=moved * itemsize, weights_bytes=maps * queries * keys * itemsize)


def multi_head(*, batch: int = 1, heads: int, queries: int, keys: int, model_width: int, head_width: int | None = None, itemsize: int = 4) -> Cost:
    """Projections [C, H · D] of queries, keys and values, attention of each head, and the projection back [H · D, C], without biases; D is C / H unless given.

    2 B C H D (2 N + 2 M) operations of projections besides those of `dense`; parameters 4 C H D, which is 4 C² whatever H, where D = C / H. Raises ValueError
    where H does not divide C and no D is given, or for a size below 0."""
    if model_width < 0:
        raise ValueError(f"model_width={model_width}; expected a number from 0")
    if head_width is None and (heads < 1 or model_width % heads):
        raise ValueError(f"{heads} heads do not divide the width {model_width}; give head_width")
    d = model_width // heads if head_width is None else head_width
    inner = dense(batch=batch, heads=heads, queries=queries, keys=keys, width=d, itemsize=itemsize)
    parameters = 4 * model_width * heads * d
    moved = batch * model_width * (2 * queries + 2 * keys)  # query, key, value in, and the output
    projections = 2 * batch * model_width * heads * d * (2 * queries + 2 * keys)
    return Cost(flops=projections + inner.flops, bytes=(moved + parameters) * itemsize, weights_bytes=inner.weights_bytes, parameters=parameters)


def tokens_per_second(call: Callable[[], object], tokens: int, *, seconds: float = 0.2) -> float:
    """How many tokens a call of so many takes a second, over calls that last so long in all. Depends on the machine and what else runs on it: nothing here
    is decided by it."""
    call()  # what is set up once is not timed
    calls, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds or not calls:
        call()
        calls += 1
    return tokens * calls / passed
