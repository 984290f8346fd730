"""Who is timed beside dense attention: each family's kernel, the dense kernel on the same inputs, torch's flex_attention with the same mask, torch's own
operations. What does not depend on the numbers (an index of blocks, a cache that is full, a block mask) is prepared before the clock starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from impl import segments
from impl.additive import fused as additive
from impl.additive import reference as additive_definition
from impl.additive import tiled
from impl.block_sparse import fused as block_sparse
from impl.block_sparse.index import Layout
from impl.cached import fused as cached
from impl.cached.paged import PagedCache
from impl.entmax import fused as entmax
from impl.entmax import reference as entmax_definition
from impl.int8 import fused as int8
from impl.int8 import reference as int8_definition
from impl.linear_attention import chunked
from impl.linear_attention import fused as linear
from impl.linear_attention import reference as linear_definition
from impl.monotonic import fused as monotonic
from impl.monotonic import reference as monotonic_definition
from impl.monotonic import scan
from impl.patterns import Window, sets
from impl.random_features import fused as features
from impl.random_features import linear_time
from impl.rotary import by_halves
from impl.rotary import fused as rotary
from impl.rotary import reference as rotary_definition
from impl.scaled_dot_product import flash, reference
from impl.segmented import fused as segmented
from properties.gpu.plan import DENSE_KERNEL, OURS, Case

Call = Callable[[], Tensor]
Way = Callable[..., Call]
WINDOW, BLOCK, PAGE, GROUP = 256, 128, 64, 4
FEATURES, HIDDEN_UNITS, MOST_EDGES = 256, 64, 64


def one_head(x: Tensor) -> Tensor:
    return x[:1, :1]


def everything(x: Tensor) -> Tensor:
    return x


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A family: the shapes of the tensors that have gradients, and of the output; `ways` prepare a call of case and tensors; `truth` computes the output from
    the tensors that `first` leaves (one head of one sequence), in any dtype, and `of_output` is that part of the output."""

    leaves: Callable[[Case], tuple[tuple[int, ...], ...]]
    output: Callable[[Case], tuple[int, ...]]
    ways: Mapping[str, Way]
    truth: Callable[..., Tensor]
    first: Callable[[Tensor], Tensor] = one_head
    of_output: Callable[[Tensor], Tensor] = one_head


def three(case: Case) -> tuple[tuple[int, ...], ...]:
    """Query, key and value."""
    return (case.shape,) * 3


def dense(case: Case, query: Tensor, key: Tensor, value: Tensor) -> Call:
    """The dense kernel, on the same query, key and value."""
    return partial(flash.attention, query, key, value, is_causal=case.causal)


def flexed(query: Tensor, key: Tensor, value: Tensor, sees: Callable[..., Tensor] | None) -> Call:
    """flex_attention, compiled for this call alone, with a block mask of the pairs that `sees` shows; None: of all."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    torch._dynamo.reset()  # every case is a new shape: else compiling stops after a few, and the slow eager way is timed
    n = query.shape[-2]
    mask = None if sees is None else create_block_mask(sees, None, None, n, n, device=query.device)
    return partial(torch.compile(flex_attention, dynamic=False, fullgraph=True), query, key, value, block_mask=mask)


def drawn(*shape: int, like: Tensor) -> Tensor:
    """Normal numbers, the same in every run."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(like)


# Windows and blocks


def sparse(case: Case, query: Tensor, key: Tensor, value: Tensor) -> Call:
    module = block_sparse.operators()
    pattern = rows_of(case.n) if case.family == "window" else Layout(block=BLOCK, named=layout(case.n), lengths=(case.n, case.n))
    index = module.prepared(pattern, case.n, module.shipping(query, value)).to(query.device)
    return partial(block_sparse.attention, query, key, value, index)


@cache
def rows_of(n: int) -> list[list[int]]:
    """A causal window of WINDOW keys."""
    return sets(Window(left=WINDOW - 1, right=0), n, n, True, 0)


def layout(n: int) -> Tensor:
    """Which block of rows sees which block of keys: its own and its neighbours, the first, and two at random; the first sees all."""
    blocks = n // BLOCK
    at = torch.arange(blocks)
    named = (at[:, None] - at[None, :]).abs() <= 1
    named[:, 0], named[0, :] = True, True
    random = torch.Generator().manual_seed(1)
    for row in named:
        row[torch.randperm(blocks, generator=random)[:2]] = True
    return named


def flexible(case: Case, query: Tensor, key: Tensor, value: Tensor) -> Call:
    """flex_attention with the same pairs."""
    named = layout(case.n).to(query.device)

    def window(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        return (column <= row) & (row - column < WINDOW)

    def blocks(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        return named[row // BLOCK, column // BLOCK]

    return flexed(query, key, value, window if case.family == "window" else blocks)


def visible(case: Case) -> Tensor:
    """bool [N, N]."""
    at = torch.arange(case.n)
    if case.family == "window":
        return (at[None, :] <= at[:, None]) & (at[:, None] - at[None, :] < WINDOW)
    return layout(case.n).repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)


def masked(case: Case, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return reference.attention(query, key, value, visible(case).to(query.device))


# Decoding


def one_token(case: Case) -> tuple[tuple[int, ...], ...]:
    """The query of one token, and what is cached."""
    cache = (case.batch, case.heads // GROUP, case.n, case.width)
    return ((case.batch, case.heads, 1, case.width), cache, cache)


def paged(case: Case, query: Tensor, key: Tensor, value: Tensor) -> Call:
    """The cache is full, its pages in an order drawn at random."""
    each = -(-case.n // PAGE)
    table = torch.randperm(case.batch * each, generator=torch.Generator().manual_seed(1)).reshape(case.batch, each).to(query.device)
    held = PagedCache(table, case.batch * each, PAGE, key.shape[1], case.width, case.width, query.dtype)
    held.append(key, value)
    return partial(cached.attend, held, query)


def grouped(case: Case, query: Tensor, key: Tensor, value: Tensor) -> Call:
    return partial(flash.attention, query, key, value, enable_gqa=True)


def torchs(case: Case, query: Tensor, key: Tensor, value: Tensor) -> Call:
    return partial(torch.nn.functional.scaled_dot_product_attention, query, key, value, enable_gqa=True)


# Segments


def degrees(n: int) -> Tensor:
    """0 to MOST_EDGES edges a node."""
    return torch.randint(MOST_EDGES + 1, (n,), generator=torch.Generator().manual_seed(1))


def scores_and_values(case: Case) -> tuple[tuple[int, ...], ...]:
    """Scores of the edges and values of the nodes behind them."""
    return ((int(degrees(case.n).sum()), case.heads), (case.n, case.heads, case.width))


def sources(case: Case, edges: int) -> Tensor:
    """The node behind each edge."""
    return torch.randint(case.n, (edges,), generator=torch.Generator().manual_seed(2))


def by_segments(case: Case, scores: Tensor, value: Tensor) -> Call:
    of, owner = sources(case, len(scores)).to(scores.device), segments.owners(degrees(case.n)).to(scores.device)
    edges = segmented.of_edges(of, owner, case.n, case.n, gradient=case.backward)
    return lambda: segmented.attention(scores.float(), value, edges)[0].to(value.dtype)


def by_scatter(case: Case, scores: Tensor, value: Tensor) -> Call:
    of, owner = sources(case, len(scores)).to(scores.device), segments.owners(degrees(case.n)).to(scores.device)
    return partial(scattered, case, scores, value, of, owner)


def scattered(case: Case, scores: Tensor, value: Tensor, of: Tensor, owner: Tensor) -> Tensor:
    wide = torch.promote_types(scores.dtype, torch.float32)
    weights = segments.softmax(scores.to(wide), owner, case.n)
    return segments.total(weights.unsqueeze(-1) * value[of].to(wide), owner, case.n).to(value.dtype)


# The others


def on_three(attention: Callable[..., Tensor], **keywords: Any) -> Way:
    """A call on query, key and value, causal where the case is."""
    return lambda case, query, key, value: partial(attention, query, key, value, **keywords, **({"is_causal": True} if case.causal else {}))


def projected(attention: Callable[..., Tensor]) -> Way:
    return lambda case, q, k, v: partial(attention, q, k, v, drawn(FEATURES, case.width, like=q))


def weighed(attention: Callable[..., Tensor]) -> Way:
    def way(case: Case, q: Tensor, k: Tensor, v: Tensor) -> Call:
        weights = drawn(2, case.width, HIDDEN_UNITS, like=q) / case.width**0.5
        return partial(attention, q, k, v, weights[0], weights[1], drawn(HIDDEN_UNITS, like=q))

    return way


def energies(case: Case) -> tuple[tuple[int, ...], ...]:
    return ((case.batch, case.heads, case.n, 2 * case.n), (case.batch, case.heads, 2 * case.n, case.width))


def on_energies(attention: Callable[..., Tensor]) -> Way:
    return lambda case, energy, value: partial(attention, energy, value)


def two(case: Case) -> tuple[tuple[int, ...], ...]:
    """Query and key."""
    return (case.shape,) * 2


def both_turned(case: Case, query: Tensor, key: Tensor) -> Call:
    """Both are turned, the queries are returned; so do the others."""
    angles = rotary_definition.turns(case.n, case.width, 0, 10_000.0, torch.float32)
    cos, sin = (x.contiguous().to(query.device) for x in (angles.real, angles.imag))
    return lambda: rotary.operators().turned(query, key, cos, sin, False, [])[0]


def both_by_halves(case: Case, query: Tensor, key: Tensor) -> Call:
    angles = rotary_definition.turns(case.n, case.width, 0, 10_000.0, torch.float32)
    cos, sin = (torch.cat([x, x], -1).to(query.device) for x in (angles.real, angles.imag))

    def turned() -> Tensor:
        first, _ = ((x * cos + by_halves.turn(x, False) * sin).to(x.dtype) for x in (query, key))
        return first

    return turned


def truly_turned(case: Case, query: Tensor, key: Tensor) -> Tensor:
    return rotary_definition.rotated(query.cpu(), 0, False, 10_000.0).to(query)


def true(definition: Way) -> Callable[..., Tensor]:
    """What a prepared call of the definition gives."""
    return lambda case, *leaves: definition(case, *leaves)()


def shaped(case: Case) -> tuple[int, ...]:
    return case.shape


SETTINGS: dict[str, Setting] = {
    "window": Setting(leaves=three, output=shaped, ways={OURS: sparse, DENSE_KERNEL: dense, "torch-flex": flexible}, truth=masked),
    "bigbird": Setting(leaves=three, output=shaped, ways={OURS: sparse, DENSE_KERNEL: dense, "torch-flex": flexible}, truth=masked),
    "decode": Setting(
        leaves=one_token,
        output=lambda case: (case.batch, case.heads, 1, case.width),
        ways={OURS: paged, DENSE_KERNEL: grouped, "torch": torchs},
        truth=lambda case, q, k, v: reference.attention(q, k, v),
    ),
    "linear": Setting(
        leaves=three,
        output=shaped,
        ways={OURS: on_three(linear.attention), DENSE_KERNEL: dense, "torch": on_three(chunked.attention)},
        truth=true(on_three(linear_definition.attention)),
    ),
    "features": Setting(
        leaves=three,
        output=shaped,
        ways={OURS: projected(features.attention), DENSE_KERNEL: dense, "torch": projected(linear_time.attention)},
        truth=true(projected(linear_time.attention)),
    ),
    "additive": Setting(
        leaves=three,
        output=shaped,
        ways={OURS: weighed(additive.attention), DENSE_KERNEL: dense, "torch": weighed(tiled.attention)},
        truth=true(weighed(additive_definition.attention)),
    ),
    "entmax": Setting(
        leaves=three,
        output=shaped,
        ways={OURS: on_three(entmax.attention), DENSE_KERNEL: dense, "torch": on_three(entmax_definition.attention)},
        truth=true(on_three(entmax_definition.attention)),
    ),
    "monotonic": Setting(
        leaves=energies,
        output=shaped,
        ways={OURS: on_energies(monotonic.attention), "torch": on_energies(scan.attention)},
        truth=true(on_energies(monotonic_definition.attention)),
    ),
    "segments": Setting(
        leaves=scores_and_values,
        output=lambda case: (case.n, case.heads, case.width),
        ways={OURS: by_segments, "torch": by_scatter},
        truth=true(by_scatter),
        first=everything,
        of_output=everything,
    ),
    "rotary": Setting(
        leaves=two,
        output=shaped,
        ways={OURS: both_turned, "torch": both_by_halves},
        truth=truly_turned,
    ),
    "int8": Setting(
        leaves=three,
        output=shaped,
        ways={OURS: on_three(int8.attention), DENSE_KERNEL: dense},
        truth=true(on_three(int8_definition.attention)),
    ),
}
