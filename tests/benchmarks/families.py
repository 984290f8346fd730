"""The fast paths of every family in pure PyTorch beside a definition of theirs: how a call of each size is made, and how its counts must grow.

A call is prepared for a size and then made many times: what is prepared (projections, caches that are full already, layouts) is not counted and not timed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from impl import (
    adaptive_span,
    additive,
    bigbird,
    bilinear,
    binary,
    block_sparse,
    cached,
    checkpointed,
    chunkwise_monotonic,
    compressed_state,
    concat,
    decayed,
    dilated,
    entmax,
    fixed_window,
    graph,
    hard_monotonic,
    hierarchical,
    int8,
    linear_attention,
    linformer,
    longformer,
    monotonic,
    multi_scale,
    nystrom,
    packed,
    pixel,
    pruned,
    pyramid,
    random_features,
    random_keys,
    retrieval,
    scaled_dot_product,
    sigmoid,
    sliding_window,
    softmax_one,
    sparsemax,
    strided,
    window_cache,
)
from impl.patterns import by_pairs
from tests.benchmarks.work import seeded

Call = Callable[[], Any]
Growth = tuple[float, float]
# Intervals for the exponent of what is added to a count each time that n doubles. Of a line it is 1, of a parabola 2 but for the line in it; of n log₂ n from
# 256 to 2048 it is log₂ of 11/10 to 12/11 above 1, of n² log₂ n likewise above 2, with ⌈log₂ n⌉ in steps; pieces of a fixed length may leave a remainder.
# Bytes at the peak are a maximum over moments of a call, so that only the last doubling is looked at, from above (from below for definitions).
CONSTANT: Growth = (0.0, 0.0)
LINEAR: Growth = (0.95, 1.05)
N_LOG_N: Growth = (1.05, 1.30)
N_ROOT_N: Growth = (1.40, 1.60)
QUADRATIC: Growth = (1.80, 2.05)
QUADRATIC_LOG: Growth = (2.00, 2.25)
D = 32  # width of heads, everywhere
WINDOW, BLOCK, GLOBALS, EACH = 32, 32, 4, 16
FEATURES, RANK = 64, 32
PAGE, SPLIT = 16, 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """`prepare(n)` gives the call that is counted and timed. `work` and `held`: how operations and bytes at the peak grow with n. `definition`: it is none of
    the fast paths, but what they are compared with: its bytes grow so at least, theirs at most."""

    prepare: Callable[[int], Call]
    work: Growth
    held: Growth
    definition: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Contestants over the same sizes. `axis`: what n is."""

    title: str
    axis: str
    sizes: tuple[int, ...]
    contestants: Mapping[str, Contestant]


def fast(prepare: Callable[[int], Call], work: Growth, held: Growth) -> Contestant:
    return Contestant(prepare=prepare, work=work, held=held)


def definition(prepare: Callable[[int], Call], work: Growth = QUADRATIC, held: Growth = QUADRATIC) -> Contestant:
    return Contestant(prepare=prepare, work=work, held=held, definition=True)


def tensors(n: int, count: int = 3, heads: int = 1) -> list[Tensor]:
    """[1, heads, n, D] each."""
    random = seeded(n)
    return [torch.randn(1, heads, n, D, generator=random) for _ in range(count)]


def on(attention: Callable[..., Any], *arguments: Any, **keywords: Any) -> Callable[[int], Call]:
    """A call on query, key and value of n positions, with further arguments; a function among them is given n."""

    def prepare(n: int) -> Call:
        given = [x(n) if callable(x) else x for x in arguments]
        return partial(attention, *tensors(n), *given, **keywords)

    return prepare


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=seeded(0))


def local_and_first(n: int) -> Tensor:
    """Each block sees itself and the first."""
    layout = torch.eye(-(-n // BLOCK), dtype=torch.bool)
    layout[:, 0] = True
    return layout


def whole(n: int) -> tuple[int, ...]:
    return (n,)


def decoded(held: Callable[[int], Any]) -> Callable[[int], Call]:
    """One token's row over a cache that has n tokens."""

    def prepare(n: int) -> Call:
        query, key, value = tensors(n)
        cache = held(n)
        cache.append(key, value)
        return partial(cache.attend, query[:, :, -1:])

    return prepare


def paged_cache(n: int) -> Any:
    pages = -(-n // PAGE)
    return cached.paged.PagedCache(torch.arange(pages).reshape(1, pages), pages, PAGE, 1, D, D)


def in_splits(n: int) -> Call:
    query, key, value = tensors(n)
    held = cached.cache.KeyValueCache(1, 1, n, D, D)
    held.append(key, value)
    return partial(cached.split.decoded, held, query[:, :, -1:], None, None, SPLIT)


def rolled(n: int) -> Call:
    query, key, value = tensors(n)
    held = window_cache.rolling.RollingCache(1, 1, WINDOW, GLOBALS, 1, D, D)
    for t in range(n):
        held.append(key[:, :, t : t + 1], value[:, :, t : t + 1])
    return partial(held.attend, query[:, :, -1:])


def of_a_state(n: int) -> Call:
    """One token more for a state with decay; the state of n tokens is as large as that of one."""
    query, key, value = (x[:, :, -1:] for x in tensors(n))
    return partial(decayed.recurrent.attention, query, key, value, (1,), torch.full((1,), 0.9))


def anew(n: int) -> Call:
    """Without a cache: the whole sequence for its last row."""
    query, key, value = tensors(n)
    return partial(cached.reference.attention, query, key, value, (n,))


def energies(attention: Callable[..., Any], *arguments: Any, maps: int = 1) -> Callable[[int], Call]:
    """n rows over n positions."""

    def prepare(n: int) -> Call:
        random = seeded(n)
        return partial(attention, *(torch.randn(1, n, n, generator=random) for _ in range(maps)), torch.randn(1, n, D, generator=random), *arguments)

    return prepare


def documents(attention: Callable[..., Any]) -> Callable[[int], Call]:
    """n words: one sentence has a quarter of them, the others have four each, in documents of eight sentences."""

    def prepare(n: int) -> Call:
        sentences = [n // 4] + [4] * (n * 3 // 16)
        lengths = [8] * (len(sentences) // 8) + ([len(sentences) % 8] if len(sentences) % 8 else [])
        weights = drawn(D, D), drawn(D), drawn(D)
        return partial(attention, torch.randn(sum(sentences), D, generator=seeded(n)), sentences, lengths, *weights, *weights)

    return prepare


def graphs(attention: Callable[..., Any]) -> Callable[[int], Call]:
    """n edges, eight to each node."""

    def prepare(n: int) -> Call:
        nodes = n // 8
        x = torch.randn(nodes, D, generator=seeded(n))
        edges = torch.stack([torch.randint(nodes, (n,), generator=seeded(n)), torch.arange(nodes).repeat_interleave(8)])
        return partial(attention, x, x, edges, drawn(D, 2, D), drawn(2, 2 * D))

    return prepare


def sequences(attention: Callable[..., Any], **keywords: Any) -> Callable[[int], Call]:
    """n tokens in sequences of 32 to 64."""

    def prepare(n: int) -> Call:
        lengths = [32, 64] * (n // 96) + ([n % 96] if n % 96 else [])
        return partial(attention, *tensors(n), lengths, lengths, **keywords)

    return prepare


def recalled(n: int) -> Call:
    """64 rows over a memory of n entries."""
    query, key, value = tensors(64)
    memory_key, memory_value = tensors(n, 2)
    return partial(retrieval.blockwise.attention, query, key, value, memory_key, memory_value, 8, block=64)


def all_recalled(n: int) -> Call:
    query, key, value = tensors(64)
    memory_key, memory_value = tensors(n, 2)
    return partial(retrieval.reference.attention, query, key, value, memory_key, memory_value, 8)


def pixels(attention: Callable[..., Any]) -> Callable[[int], Call]:
    """An image of n pixels, 32 a row."""

    def prepare(n: int) -> Call:
        return partial(attention, torch.randn(1, 8, n // 32, 32, generator=seeded(n)), drawn(8, D), drawn(8, D), drawn(8, D))

    return prepare


FAMILIES: dict[str, Family] = {
    "dense": Family(
        title="Dense attention",
        axis="positions",
        sizes=(256, 512, 1024, 2048),
        contestants={
            "definition": definition(on(scaled_dot_product.reference.attention)),
            "in tiles": fast(on(scaled_dot_product.blockwise.attention, block=64), QUADRATIC, LINEAR),
            "in 8 checkpointed segments": fast(on(checkpointed.recomputing.attention, None, False, None, 8), QUADRATIC, QUADRATIC),
            "bilinear, folded": fast(on(bilinear.folded.attention, drawn(D, D)), QUADRATIC, QUADRATIC),
        },
    ),
    "windowed": Family(
        title="Windows and sparse patterns",
        axis="positions",
        sizes=(256, 512, 1024, 2048),
        contestants={
            "sliding window, by a mask": definition(on(sliding_window.reference.attention, WINDOW)),
            "sliding window, banded": fast(on(sliding_window.banded.attention, WINDOW), LINEAR, LINEAR),
            "fixed window, by pairs": fast(on(fixed_window.reference.attention, WINDOW, method=by_pairs), LINEAR, LINEAR),
            "blocks": fast(on(block_sparse.blocks.attention, BLOCK, local_and_first), LINEAR, LINEAR),
            "longformer, by pairs": fast(on(longformer.reference.attention, WINDOW, 1, tuple(range(GLOBALS)), method=by_pairs), LINEAR, LINEAR),
            "bigbird, by pairs": fast(on(bigbird.reference.attention, WINDOW, (EACH, 1), tuple(range(GLOBALS)), method=by_pairs), LINEAR, LINEAR),
            "random keys, by pairs": fast(on(random_keys.reference.attention, (EACH, 1), method=by_pairs), LINEAR, LINEAR),
            "adaptive span, banded": fast(on(adaptive_span.banded.attention, torch.tensor([float(WINDOW)])), LINEAR, LINEAR),
            "doubling distances, by pairs": fast(on(dilated.reference.attention, method=by_pairs), N_LOG_N, N_LOG_N),
            "every 16th, by pairs": fast(on(strided.reference.attention, 16, method=by_pairs), QUADRATIC, QUADRATIC),
        },
    ),
    "linear": Family(
        title="Linear and low-rank attention",
        axis="positions",
        sizes=(256, 512, 1024, 2048),
        contestants={
            "linear attention, by all weights": definition(on(linear_attention.reference.attention)),
            "two products": fast(on(linear_attention.two_products.attention), LINEAR, LINEAR),
            "chunks, causal": fast(on(linear_attention.chunked.attention, is_causal=True), LINEAR, LINEAR),
            "positive features": fast(on(random_features.linear_time.attention, drawn(FEATURES, D)), LINEAR, LINEAR),
            "positive features, causal": fast(on(random_features.linear_time.attention, drawn(FEATURES, D), True), LINEAR, LINEAR),
            "decay in chunks": fast(on(decayed.chunked.attention, whole, torch.full((1,), 0.9)), LINEAR, LINEAR),
            "Linformer": fast(on(linformer.reference.attention, lambda n: drawn(RANK, n), lambda n: drawn(RANK, n)), LINEAR, LINEAR),
            "Nyström": fast(on(nystrom.three_products.attention, RANK), LINEAR, LINEAR),
        },
    ),
    "decode": Family(
        title="One token more",
        axis="tokens before it",
        sizes=(256, 512, 1024, 2048),
        contestants={
            "no cache": definition(anew),
            "cache": fast(decoded(lambda n: cached.cache.KeyValueCache(1, 1, n, D, D)), LINEAR, LINEAR),
            "pages": fast(decoded(paged_cache), LINEAR, LINEAR),
            "splits": fast(in_splits, LINEAR, LINEAR),
            "ring of the last and sinks": fast(rolled, CONSTANT, CONSTANT),
            "state with decay": fast(of_a_state, CONSTANT, CONSTANT),
        },
    ),
    "streams": Family(
        title="A whole sequence, token by token",
        axis="tokens",
        sizes=(64, 128, 256, 512),
        contestants={
            "definition of the window with sinks": definition(on(window_cache.reference.attention, whole, WINDOW, GLOBALS)),
            "ring of the last and sinks": fast(on(window_cache.rolling.attention, lambda n: (1,) * n, WINDOW, GLOBALS), LINEAR, LINEAR),
            "compressed state": fast(on(compressed_state.memory.attention, whole, WINDOW, 8, 4), LINEAR, LINEAR),
            "linear attention, recurrent": fast(on(linear_attention.recurrent.attention, is_causal=True), LINEAR, LINEAR),
        },
    ),
    "normalisers": Family(
        title="Other normalisers",
        axis="positions",
        sizes=(256, 512, 1024, 2048),
        contestants={
            "1.5-entmax, definition": definition(on(entmax.reference.attention)),
            "1.5-entmax, bisection": fast(on(entmax.bisection.attention, rows=64), QUADRATIC, LINEAR),
            "sparsemax, fixed point": fast(on(sparsemax.fixed_point.attention, rows=64), (1.7, 2.15), LINEAR),  # its passes depend on the scores
            "sigmoid, in tiles": fast(on(sigmoid.tiled.attention, keys=64), QUADRATIC, LINEAR),
            "softmax-one, in tiles": fast(on(softmax_one.blockwise.attention, keys=64), QUADRATIC, LINEAR),
        },
    ),
    "scores": Family(
        title="Additive scores",
        axis="positions",
        sizes=(128, 256, 512, 1024),
        contestants={
            "additive, definition": definition(on(additive.reference.attention, drawn(D, D), drawn(D, D), drawn(D))),
            "additive, in tiles": fast(
                on(additive.tiled.attention, drawn(D, D), drawn(D, D), drawn(D)), QUADRATIC, QUADRATIC
            ),  # n² scores beside n · 16 · A hidden units
            "concat, split": fast(on(concat.split.attention, drawn(2 * D, D), drawn(D)), QUADRATIC, QUADRATIC),
        },
    ),
    "monotonic": Family(
        title="Monotonic alignment",
        axis="rows and positions",
        sizes=(64, 128, 256, 512),
        contestants={
            "recurrence": definition(energies(monotonic.reference.attention)),
            "scan": fast(energies(monotonic.scan.attention), QUADRATIC_LOG, QUADRATIC_LOG),
            "chunkwise, moving sums": fast(energies(chunkwise_monotonic.moving.attention, 4, maps=2), QUADRATIC, QUADRATIC),
            "hard, as a walk": fast(energies(hard_monotonic.walk.attention), LINEAR, LINEAR),
        },
    ),
    "segments": Family(
        title="Segments: words in sentences, edges of nodes, packed sequences",
        axis="words, edges or tokens",
        sizes=(512, 1024, 2048, 4096),
        contestants={
            "hierarchy, padded": definition(documents(hierarchical.reference.attention)),
            "hierarchy by segments": fast(documents(hierarchical.segments.attention), LINEAR, LINEAR),
            "graph by segments": fast(graphs(graph.segments.attention), LINEAR, LINEAR),
            "packed, one by one": fast(sequences(packed.segments.attention), LINEAR, LINEAR),
        },
    ),
    "structured": Family(
        title="Coarse to fine, memories and images",
        axis="keys, entries or pixels",
        sizes=(256, 512, 1024, 2048),
        contestants={
            "pyramid, definition": definition(on(pyramid.reference.attention, math.isqrt, 2)),
            "pyramid, cells of √n": fast(on(pyramid.gathered.attention, math.isqrt, 2), N_ROOT_N, N_ROOT_N),
            "two scales by segments": fast(on(multi_scale.segments.attention, (16, 64)), QUADRATIC, QUADRATIC),
            "retrieval, definition": definition(all_recalled, LINEAR, LINEAR),
            "retrieval in blocks": fast(recalled, LINEAR, CONSTANT),
            "pixels by rows": fast(pixels(pixel.rows.attention), QUADRATIC, N_LOG_N),
        },
    ),
    "quantised": Family(
        title="Few bits, few connections",
        axis="positions",
        sizes=(256, 512, 1024, 2048),
        contestants={
            "8 bits, definition": definition(on(int8.reference.attention)),
            "8 bits, in tiles": fast(on(int8.tiled.attention), QUADRATIC, LINEAR),
            "signs, packed": fast(on(binary.packed.attention), QUADRATIC, QUADRATIC),
            "the 16 best keys, gathered": fast(on(pruned.gathered.attention, top_k=16), QUADRATIC, QUADRATIC),
        },
    ),
}
