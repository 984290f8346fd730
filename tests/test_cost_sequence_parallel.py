"""What sequence parallelism costs each rank, counted: numbers sent, messages, pairs, multiplications and additions, and numbers held. All exact."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from impl.sequence_parallel import gathered, ring, threads
from impl.sequence_parallel.communicator import Communicator, Message
from impl.sequence_parallel.ranks import Method
from impl.sequence_parallel.shards import Sequence, described, shard, size, tiles
from tests.benchmarks.live_bytes import counting

WORLDS = (1, 2, 3, 4, 8)
LENGTHS = (1, 5, 24)
LAYOUTS = ("contiguous", "zigzag", "striped")
B, H, D, E, FLOAT = 1, 2, 6, 4, 4


@dataclass(slots=True)
class Counted:
    """A communicator that counts what its rank sends, and how often."""

    wires: Communicator
    sent: int = 0
    exchanges: int = 0
    dtypes: set[torch.dtype] = field(default_factory=set)

    @property
    def rank(self) -> int:
        return self.wires.rank

    @property
    def size(self) -> int:
        return self.wires.size

    def exchange(self, outgoing: Mapping[int, Message], incoming: Mapping[int, Message]) -> None:
        self.exchanges += 1
        self.sent += sum(x.numel() for message in outgoing.values() for x in message)
        self.dtypes |= {x.dtype for message in outgoing.values() for x in message}
        self.wires.exchange(outgoing, incoming)


class Products(TorchDispatchMode):
    """Multiplications and additions of the matrix products in this thread: 2 R K C for [R, K] times [K, C]."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten.bmm.default, torch.ops.aten.mm.default):
            self.total += 2 * args[0].numel() * args[1].shape[-1]
        return func(*args, **(kwargs or {}))


class Pass(NamedTuple):
    """One pass on one rank."""

    sent: int
    exchanges: int
    dtypes: set[torch.dtype]
    operations: int
    largest: int
    peak: int


def passes(method: Method, sequence: Sequence, dtype: torch.dtype = torch.float32) -> list[tuple[Pass, Pass]]:
    """Forward and backward on each rank, over zeros."""

    def counted(wires: Communicator, does: Callable[..., Any], *given: Any) -> tuple[Any, Pass]:
        own = Counted(wires)
        with counting() as live, Products() as products:
            result = does(*given, sequence, own)
        return result, Pass(own.sent, own.exchanges, own.dtypes, products.total, live.largest // FLOAT, live.peak // FLOAT)

    def of_rank(wires: Communicator) -> tuple[Pass, Pass]:
        rows, columns = sequence.rows(wires.rank), sequence.columns(wires.rank)
        query, key, value = (torch.zeros(B, H, size(runs), width, dtype=dtype) for runs, width in ((rows, D), (columns, D), (columns, E)))
        kept, forward = counted(wires, method.forward, query, key, value)
        _, backward = counted(wires, method.backward, torch.zeros(B, H, size(rows), E, dtype=dtype), query, key, value, kept)
        return forward, backward

    return threads.run(sequence.world, of_rank)


def whole(n: int, world: int, layout: str = "contiguous", causal: bool = False) -> Sequence:
    x = torch.zeros(n, D)
    return described(x, x, world, causal, None, layout)


CALLS = list(itertools.product(LENGTHS, WORLDS, LAYOUTS))


# ------------------------------------------------------------------------------------------------------------------------ what is sent


@pytest.mark.parametrize(("n", "world", "layout"), CALLS)
def test_the_ring_sends_every_shard_but_that_of_the_next_rank(n: int, world: int, layout: str) -> None:
    """Forward keys and values, P − 1 times; backward these again, and P times their gradients: all shards in turn, and the last one home."""
    sequence = whole(n, world, layout)
    for rank, (forward, backward) in enumerate(passes(ring.METHOD, sequence)):
        others = n - size(sequence.columns((rank + 1) % world))
        assert forward.sent == B * H * (D + E) * others
        assert backward.sent == B * H * (D + E) * (others + (n if world > 1 else 0))
        assert (forward.exchanges, backward.exchanges) == (world - 1, 2 * world - 1 if world > 1 else 0)


@pytest.mark.parametrize(("n", "world", "layout"), CALLS)
def test_gathering_sends_the_own_shard_to_all_others(n: int, world: int, layout: str) -> None:
    """Backward once more, and to each other rank what its gradients get."""
    sequence = whole(n, world, layout)
    for rank, (forward, backward) in enumerate(passes(gathered.METHOD, sequence)):
        own = size(sequence.columns(rank))
        assert forward.sent == B * H * (D + E) * (world - 1) * own
        assert backward.sent == B * H * (D + E) * ((world - 1) * own + n - own)
        assert (forward.exchanges, backward.exchanges) == (1, 2)


@pytest.mark.parametrize("world", WORLDS)
def test_where_shards_are_equal_both_send_the_same_numbers(world: int) -> None:
    """N (P − 1) / P rows of keys and values forward; backward the ring sends one shard more, its gradients' way home."""
    n = 8 * 3 * world
    around, at_once = passes(ring.METHOD, whole(n, world)), passes(gathered.METHOD, whole(n, world))
    rows = B * H * (D + E)
    for (forward, backward), (other, back) in zip(around, at_once, strict=True):
        assert forward.sent == other.sent == rows * n * (world - 1) // world
        assert back.sent == 2 * forward.sent
        assert backward.sent == back.sent + (rows * n // world if world > 1 else 0)


@pytest.mark.parametrize("method", [ring.METHOD, gathered.METHOD])
def test_keys_and_values_travel_in_their_own_dtype_and_gradients_in_the_accumulator_s(method: Method) -> None:
    for forward, backward in passes(method, whole(16, 4), torch.bfloat16):
        assert forward.dtypes == {torch.bfloat16}
        assert backward.dtypes == {torch.bfloat16, torch.float32}


# ------------------------------------------------------------------------------------------------------------------------ pairs


def pairs(sequence: Sequence, rank: int, source: int) -> int:
    """Pairs that see each other, of the queries of one rank and the keys of another."""
    return sum(sum(1 for row in rows for column in columns if column <= row) for rows in sequence.rows(rank) for columns in sequence.columns(source))


def computed(sequence: Sequence, rank: int, source: int) -> int:
    """Pairs that are computed: whole tiles."""
    return sum((t.rows.stop - t.rows.start) * (t.columns.stop - t.columns.start) for t in tiles(sequence, rank, source))


def among_all(count: Callable[[Sequence, int, int], int], sequence: Sequence) -> list[int]:
    """A count of pairs, by rank."""
    world = range(sequence.world)
    return [sum(count(sequence, rank, source) for source in world) for rank in world]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("part", [2, 4, 6])
def test_causal_pairs_of_each_rank(world: int, part: int) -> None:
    """With m = N / P: contiguous, m² r + m (m + 1) / 2; striped, m (r + 1) + P m (m − 1) / 2; in a zigzag N (N + 1) / 2P, the same number on all ranks."""
    n, m = part * world, part
    assert among_all(pairs, whole(n, world, "contiguous", True)) == [m * m * r + m * (m + 1) // 2 for r in range(world)]
    assert among_all(pairs, whole(n, world, "striped", True)) == [m * (r + 1) + world * m * (m - 1) // 2 for r in range(world)]
    assert among_all(pairs, whole(n, world, "zigzag", True)) == [n * (n + 1) // (2 * world)] * world


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("part", [2, 4, 6])
def test_the_busiest_rank_over_the_mean(world: int, part: int) -> None:
    """Contiguous: (2 − 1/P) less what is below one pair in m; striped: 1 and below one in m; zigzag: 1."""

    def ratio(layout: str) -> Fraction:
        found = among_all(pairs, whole(part * world, world, layout, True))
        return Fraction(max(found) * world, sum(found))

    m, p = part, world
    assert ratio("zigzag") == 1
    assert ratio("contiguous") == Fraction((2 * p - 1) * m + 1, p * m + 1)
    assert ratio("striped") == Fraction(p * (m + 1), p * m + 1)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("part", [2, 4, 6])
def test_in_step_the_zigzag_takes_about_half_the_time(world: int, part: int) -> None:
    """Each step of the ring lasts as long as its busiest rank: contiguous P m² pairs in all, zigzag (2P + 1)(m / 2)², striped P m² by whole tiles."""
    n, m, c = part * world, part, part // 2

    def in_step(layout: str) -> int:
        sequence = whole(n, world, layout, True)
        steps = range(world)
        return sum(max(computed(sequence, rank, (rank - step) % world) for rank in range(world)) for step in steps)

    assert in_step("contiguous") == world * m * m
    assert in_step("striped") == world * m * m
    assert in_step("zigzag") == (2 * world + 1) * c * c


# ------------------------------------------------------------------------------------------------------------------------ operations and memory


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("causal", [False, True])
def test_operations_of_each_rank(layout: str, world: int, causal: bool) -> None:
    """Two products of D and E a pair forward, five backward, over the tiles that the ring computes; over n/P · n pairs where all keys are gathered."""
    n = 8 * world
    sequence = whole(n, world, layout, causal)
    for rank, (forward, backward) in enumerate(passes(ring.METHOD, sequence)):
        tiled = among_all(computed, sequence)[rank]
        assert forward.operations == 2 * B * H * tiled * (D + E)
        assert backward.operations == 2 * B * H * tiled * (3 * D + 2 * E)
        assert causal or tiled == n * n // world
    for forward, backward in passes(gathered.METHOD, sequence):
        assert forward.operations == 2 * B * H * n * n // world * (D + E)
        assert backward.operations == 2 * B * H * n * n // world * (3 * D + 2 * E)


@pytest.mark.parametrize("part", [4, 16])
def test_what_a_rank_of_the_ring_holds_depends_on_its_part_alone(part: int) -> None:
    """Beside its own shards: no tensor beyond (n/P)² scores and n/P rows, and at the peak as much among 3 ranks as among 8."""
    held = {world: passes(ring.METHOD, whole(part * world, world)) for world in (3, 4, 8)}
    (forward, backward), *_ = held[3]
    assert forward.largest == backward.largest == B * H * part * max(part, D)
    for ranks in held.values():
        for there, back in ranks:
            assert (there.largest, back.largest, there.peak, back.peak) == (forward.largest, backward.largest, forward.peak, backward.peak)


@pytest.mark.parametrize("part", [4, 16])
@pytest.mark.parametrize("world", [2, 4])
def test_gathering_holds_all_keys(part: int, world: int) -> None:
    n = part * world
    for forward, backward in passes(gathered.METHOD, whole(n, world)):
        assert forward.largest == backward.largest == B * H * n * max(part, D)
        assert forward.peak >= B * H * (n * part + n * (D + E))


def test_a_shard_is_a_copy_and_no_view_of_the_whole() -> None:
    """What a rank holds is n/P rows: a view would keep the whole alive."""
    whole_key = torch.zeros(B, H, 16, D)
    for layout in LAYOUTS:
        own = shard(whole_key, whole(16, 4, layout).columns(1))
        assert own.untyped_storage().nbytes() == B * H * 4 * D * FLOAT
