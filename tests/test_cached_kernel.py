"""A decode step reads what its sequences hold, once, and nothing else; its splits fill a device; and memory, not arithmetic, limits it on every target."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TypeVar

import pytest
import torch

if torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("a process that uses the GPU cannot interpret kernels: run this file by itself with TRITON_INTERPRET=1", allow_module_level=True)
pytest.importorskip("triton", reason="needs triton (pip install attention-ledger[kernels]; Linux only)")

from impl._triton import memory
from impl._triton.counting import Counted, counted
from impl._triton.patching import patch_once_a_launch
from impl.cached import fused, launch
from impl.cached.cache import KeyValueCache
from impl.cached.paged import PagedCache
from impl.window_cache import fused as window
from impl.window_cache.rolling import RollingCache
from reports.roofline import DEVICES

patch_once_a_launch()
LENGTHS, GROUPS, WIDTH, VALUE_WIDTH, SIZE = [11, 2, 5], 2, 3, 2, 4
TILE = (8, 4, 4, 1, 16, 2)  # 8 rows, 4 keys


def paged(page: int) -> PagedCache:
    """Pages from the last to the first, one of them nobody's, NaN wherever no token stands."""
    each = -(-max(LENGTHS) // page)
    table = 1 + torch.arange(len(LENGTHS) * each).flip(0).reshape(len(LENGTHS), each)
    return filled(PagedCache(table, 2 + len(LENGTHS) * each, page, GROUPS, WIDTH, VALUE_WIDTH, unused=float("nan")))


def slots() -> KeyValueCache:
    return filled(KeyValueCache(len(LENGTHS), GROUPS, max(LENGTHS) + 2, WIDTH, VALUE_WIDTH, unused=float("nan")))


Cache = TypeVar("Cache", PagedCache, KeyValueCache)


def filled(held: Cache) -> Cache:
    key, value = (torch.randn(len(LENGTHS), GROUPS, max(LENGTHS), width) for width in (WIDTH, VALUE_WIDTH))
    held.append(key, value, LENGTHS)
    return held


def launches(held: PagedCache | KeyValueCache, query: torch.Tensor, keys: int) -> list[Counted]:
    """What the kernels of one step do."""
    with memory.watched(readonly=(held.key, held.value)), counted() as found:
        fused.attend(held, query, keys=keys, tile=TILE)
    return found


@pytest.mark.parametrize("keys", [4, 6, 64])
@pytest.mark.parametrize("page", [2, 8, None])
def test_every_element_that_a_sequence_owns_is_read_once_and_no_other(page: int | None, keys: int) -> None:
    held = slots() if page is None else paged(page)
    partial, merge = launches(held, torch.randn(len(LENGTHS), 4 * GROUPS, 1, WIDTH), keys)
    for name, pool in (("K", held.key), ("V", held.value)):
        owned = ~pool.isnan()
        places = torch.arange(pool.numel()).reshape(pool.shape)[owned] * SIZE
        assert partial.loads[name].most == 1
        assert partial.loads[name].elements == sum(LENGTHS) * GROUPS * pool.shape[-1]
        assert set(partial.loads[name].times) == set(places.tolist())
    for name in ("TOP", "MASS", "TOTAL"):
        assert partial.stores[name].most == merge.loads[name].most == 1
        assert set(partial.stores[name].times) == set(merge.loads[name].times)


def test_rows_beyond_one_program_read_the_keys_again_up_to_their_own() -> None:
    """Two new tokens of eight heads a key head are two programs of eight rows: the first token's stops one key earlier."""
    held = paged(2)
    partial, _ = launches(held, torch.randn(len(LENGTHS), 8 * GROUPS, 2, WIDTH), 4)
    assert partial.loads["K"].elements == sum(2 * length - 1 for length in LENGTHS) * GROUPS * WIDTH
    assert partial.loads["K"].most == 2


def test_a_ring_is_read_as_far_as_it_is_filled() -> None:
    held = RollingCache(2, GROUPS, 4, 1, 3, WIDTH, VALUE_WIDTH, unused=float("nan"))  # 1 sink and a ring of 6 slots
    for tokens in range(1, 9):
        held.append(torch.randn(2, GROUPS, 1, WIDTH), torch.randn(2, GROUPS, 1, VALUE_WIDTH))
        with memory.watched(), counted() as found:
            window.attend(held, torch.randn(2, 4 * GROUPS, 1, WIDTH), keys=4, tile=TILE)
        assert found[0].loads["K"].most == 1
        assert found[0].loads["K"].elements == min(tokens, 7) * 2 * GROUPS * WIDTH


LONG = [256, 128, 1]  # powers of 2


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_value_that_has_left_the_window_acts_no_more(bad: float) -> None:
    """Its slot is written again only later."""
    query, key, value = (torch.randn(1, 1, 8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(place)) for place in range(3))
    value[:, :, 0] = bad
    found = window.attention(query, key, value, (1,) * 8, 2, 0, piece=4)
    assert not found[:, :, :2].isfinite().all()
    assert torch.equal(found[:, :, 2:], window.attention(query, key, value.nan_to_num(0, 0, 0), (1,) * 8, 2, 0, piece=4)[:, :, 2:])


def shipping(page: int | None, key: torch.Tensor, value: torch.Tensor) -> PagedCache | KeyValueCache:
    """A float16 cache of long sequences, pages from the last to the first, NaN wherever no token stands."""
    held: PagedCache | KeyValueCache
    if page is None:
        held = KeyValueCache(len(LONG), GROUPS, max(LONG), 64, 128, torch.float16, unused=float("nan"))
    else:
        each = max(LONG) // page
        table = torch.arange(len(LONG) * each).flip(0).reshape(len(LONG), each)
        held = PagedCache(table, len(LONG) * each, page, GROUPS, 64, 128, torch.float16, unused=float("nan"))
    held.append(key, value, LONG)
    return held


@pytest.mark.parametrize("page", [16, 64, None])
def test_means_and_maxima_are_exact_in_the_tiles_that_ship(page: int | None) -> None:
    """In several tiles and splits. Queries of 0 weigh 2^p keys alike, and the mean of zeros and ones is exact. A score that is 128 above all others leaves them
    no weight in float32, so that the output is its value, wherever it stands."""
    key, value = torch.zeros(3, GROUPS, max(LONG), 64, dtype=torch.float16), torch.randint(2, (3, GROUPS, max(LONG), 128)).half()
    with memory.watched(), counted() as found:
        mean = fused.attend(shipping(page, key, value), torch.zeros(3, 4 * GROUPS, 1, 64, dtype=torch.float16))
    assert found[0].loads["K"].most == found[0].loads["V"].most == 1
    assert found[1].loads["TOTAL"].elements == 3 * 4 * GROUPS * 2 * 128, "two splits"
    for b, length in enumerate(LONG):
        assert torch.equal(mean[b, :, 0], value[b, :, :length].float().mean(1).half().repeat_interleave(4, 0))
    for places in ((0, 127, 0), (255, 63, 0), (128, 64, 0)):
        peaked = key.clone()
        for b, place in enumerate(places):
            peaked[b, :, place, 5] = 32
        query = torch.zeros(3, 4 * GROUPS, 1, 64, dtype=torch.float16)
        query[..., 5] = 32
        largest = fused.attend(shipping(page, peaked, value), query)
        for b, place in enumerate(places):
            assert torch.equal(largest[b, :, 0], value[b, :, place].repeat_interleave(4, 0))


def test_splits_fill_the_device_and_are_not_too_short() -> None:
    """Few programs get more splits; a split has `LEAST_TILES` tiles or holds everything; and the least number of splits that fills the device is taken."""
    for processors in (1, 108, 132, 304):
        for tiles in (1, 3, 64, 65, 2048):
            counts = []
            for programs in (1, 8, 64, 256, 4096):
                keys = launch.keys_a_split(tiles * 64 - 5, programs, processors, 64)
                splits = -(-(tiles * 64 - 5) // keys)
                assert keys % 64 == 0
                assert splits == 1 or keys >= launch.LEAST_TILES * 64
                assert splits <= launch.MOST_SPLITS
                assert splits == 1 or (splits - 1) * programs < launch.A_PROCESSOR * processors
                counts.append(splits)
            assert all(more >= fewer for more, fewer in pairwise(counts))
    one_sequence = launch.keys_a_split(32768, 8, 132, 64)  # of 8 key heads
    assert 32768 // one_sequence * 8 >= 132, "not every multiprocessor has a program"


@pytest.mark.parametrize("target", DEVICES)
def test_memory_limits_a_decode_step(target: str) -> None:
    """A key and its value, D + E numbers, are read once for the R rows of a program, which cost 2 R (D + E) operations: at most 2 R / (bytes a number)
    operations a byte, in half precision R of them, whatever the length, the width and the batch. R is 16 where a token of up to 16 grouped heads is decoded."""
    for specimen in launch.specimens(target, torch.float16):
        if specimen.kernel == "partial":
            rows = specimen.launch.arguments["ROWS"]
            assert rows == 16
            assert 0.9 * rows < specimen.cost.intensity < 2 * rows / torch.float16.itemsize < DEVICES[target].ridge
        else:
            assert specimen.cost.products == 0


@pytest.mark.parametrize(
    ("shape", "dtype", "options", "message"),
    [
        ((3, 3, 1, WIDTH), torch.float32, {}, r"query \(3, 3, 1, 3\): this cache takes \[3, a multiple of 2, n, 3\]"),
        ((3, 2, 1, 5), torch.float32, {}, r"query \(3, 2, 1, 5\)"),
        ((3, 2, 1, WIDTH), torch.float16, {}, "query is torch.float16 on cpu, the cache torch.float32"),
        ((3, 2, 3, WIDTH), torch.float32, {}, r"sequences of \[11, 2, 5\] tokens: 3 queries"),
        ((3, 2, 1, WIDTH), torch.float32, {"keys": 0}, "keys 0"),
        ((3, 2, 1, WIDTH), torch.float32, {"slopes": torch.ones(3)}, r"slopes \(3,\): expected one for each of the 2 query heads"),
    ],
)
def test_what_does_not_fit_is_refused(shape: tuple[int, ...], dtype: torch.dtype, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fused.attend(paged(2), torch.ones(shape, dtype=dtype), **options)  # type: ignore[arg-type]


def test_a_query_that_wants_a_gradient_is_refused() -> None:
    with pytest.raises(ValueError, match="no backward"):
        fused.attend(slots(), torch.ones(3, 2, 1, WIDTH, requires_grad=True))
