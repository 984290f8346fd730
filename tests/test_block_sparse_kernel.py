"""The kernels behind sparse patterns: what their index names, that nothing else is read, how much that is, and what following an index costs a tile."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor

from impl import sliding_window
from impl.block_sparse import blocks, fused
from impl.block_sparse.index import Index, Layout, of_layout, of_pairs, pairs_of
from impl.patterns import Window, by_mask, sets

if torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("a process that uses the GPU cannot interpret kernels: run this file by itself with TRITON_INTERPRET=1", allow_module_level=True)
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs triton (pip install attention-ledger[kernels]; Linux only)")
ROOT = Path(__file__).parents[1]
TILE = (16, 16, 4, 1)
Rows = Sequence[Sequence[int]]


def drawn(n: int, m: int, seed: int) -> Rows:
    """Sets of every kind: none, some, a run, all keys; and runs of rows that see a run of keys, so that some blocks are whole."""
    random = Random(seed)
    kinds: list[Callable[[], list[int]]] = [
        lambda: [],
        lambda: sorted(random.sample(range(m), random.randint(0, m))),
        lambda: list(range(random.randint(0, m), m)),
        lambda: list(range(m)),
    ]
    rows: list[list[int]] = []
    while len(rows) < n:
        rows += [random.choice(kinds)()] * random.choice((1, 1, 40))
    return rows[:n]


def entries(index: Index, tile: tuple[int, int]) -> tuple[dict[tuple[int, int], list[list[bool]] | None], int]:
    """What an index says of each named pair of blocks (None: all is visible), and how often it names a pair twice."""
    whole, partly = index.offsets.reshape(2, -1).tolist()
    found: dict[tuple[int, int], list[list[bool]] | None] = {}
    named = 0
    for block in range(len(whole) - 1):
        for at in range(whole[block], whole[block + 1]):
            found[block, int(index.others[at])] = None
        for at in range(partly[block], partly[block + 1]):
            words = index.bits[at - partly[0]].tolist()
            found[block, int(index.others[at])] = [[bool(words[o][i // 32] >> (i % 32) & 1) for i in range(tile[1])] for o in range(tile[0])]
        named += whole[block + 1] - whole[block] + partly[block + 1] - partly[block]
    return found, named - len(found)


@pytest.mark.parametrize("tile", [(16, 16), (16, 32), (8, 64), (32, 16), (4, 128)])
@pytest.mark.parametrize(("n", "m"), [(37, 70), (64, 64), (1, 129), (70, 5), (0, 3), (3, 0)])
def test_the_index_says_exactly_what_is_visible(n: int, m: int, tile: tuple[int, int]) -> None:
    """Both ways round: whole where no pair of the block is hidden or beyond the inner axis; partly, with one bit a pair, where some is; else not named."""
    for seed in range(4):
        rows = drawn(n, m, seed)
        first, second = pairs_of(rows, m)
        see = {*zip(first.tolist(), second.tolist(), strict=True)}
        for turned in (False, True):
            outer, inner, lengths = (second, first, (m, n)) if turned else (first, second, (n, m))
            found, twice = entries(of_pairs(outer, inner, lengths, tile), tile)
            assert not twice
            for block in range(-(-lengths[0] // tile[0])):
                for other in range(-(-lengths[1] // tile[1])):
                    places = [[(block * tile[0] + o, other * tile[1] + i) for i in range(tile[1])] for o in range(tile[0])]
                    shown = [[(pair[::-1] if turned else pair) in see for pair in line] for line in places]
                    exist = [all(line) for line, (pair, *_) in zip(shown, places, strict=True) if pair[0] < lengths[0]]
                    expected: tuple[Any, ...] = (None if all(exist) else shown,) if any(map(any, shown)) else ()
                    assert ((found[block, other],) if (block, other) in found else ()) == expected


@pytest.mark.parametrize(("n", "m"), [(64, 64), (70, 33), (33, 100), (1, 1)])
def test_a_block_mask_has_the_index_of_its_pairs(n: int, m: int) -> None:
    named = torch.rand(-(-n // 32) + 1, -(-m // 32), generator=torch.Generator().manual_seed(n)) < 0.5
    layout = Layout(block=32, named=named, lengths=(n, m))
    first, second = pairs_of([[j for j in range(m) if named[i // 32, j // 32]] for i in range(n)], m)
    for tile in ((16, 32), (32, 16), (8, 8)):
        for turned, pairs, lengths in ((False, (first, second), (n, m)), (True, (second, first), (m, n))):
            for one, other in zip(of_layout(layout, tile, turned).tensors, of_pairs(*pairs, lengths, tile).tensors, strict=True):
                assert torch.equal(one, other)
    with pytest.raises(ValueError, match="blocks of 32 positions"):
        of_layout(layout, (16, 64), False)


def test_what_an_index_holds_grows_with_the_window_not_with_the_square() -> None:
    """Of a window of 20 keys over n = 16 R rows each block of 16 sees 3 blocks, but for the first two: 3 R − 3, all partly visible, 16 words each."""
    for count in (3, 6, 24, 96):
        index = of_pairs(*pairs_of(sets(Window(left=19, right=0), 16 * count, 16 * count, False, 0), 16 * count), (16 * count, 16 * count), (16, 16))
        assert [len(x.flatten()) for x in index.tensors] == [2 * count + 2, 3 * count - 3 + 1, 16 * (3 * count - 3)]


def tensors(n: int, m: int, width: int = 4, lead: tuple[int, ...] = (1, 1)) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    return tuple(torch.randn(*lead, length, width, generator=generator).requires_grad_() for length in (n, m, m))  # type: ignore[return-value]


def counts(rows: Rows, n: int, m: int, tile: tuple[int, int, int, int] = TILE, width: int = 4) -> dict[str, dict[str, Counter[int]]]:
    """How often each position of each argument was loaded, by kernel, where the head has one sequence; each of its features as often."""
    from impl._triton import counting, memory

    query, key, value = tensors(n, m, width)
    with memory.watched(readonly=(query, key, value)), counting.counted() as launches:
        fused.attention(query, key, value, rows, tile=tile).backward(torch.ones(1, 1, n, width))
    found: dict[str, dict[str, Counter[int]]] = {}
    for launch in launches:
        for name, traffic in launch.loads.items():
            features = width if name in "QKVO" or name == "g_O" else 1
            positions = Counter({at // (4 * features): times for at, times in traffic.times.items()})
            assert all(positions[at // (4 * features)] == times for at, times in traffic.times.items())
            found.setdefault(launch.kernel, {})[name] = positions
    return found


@needs_triton
@pytest.mark.parametrize("seed", range(3))
def test_only_named_blocks_are_read_and_each_of_their_elements_once(seed: int) -> None:
    """Forward and for dQ, each key as often as blocks of queries name its block; for dK and dV each query likewise. No entry of K, V, Q and g beside."""
    n, m = (37, 50), (50, 37)
    rows = [keys if i % 5 else [] for i, keys in enumerate(drawn(n[seed % 2], m[seed % 2], seed))]
    rows[16:32] = [[j for j in keys if j < 16] for keys in rows[16:32]]  # so that some blocks are named by nobody
    named = {(i // 16, j // 16) for i, keys in enumerate(rows) for j in keys}
    by_key = Counter({j: times for j in range(m[seed % 2]) if (times := sum(column == j // 16 for _, column in named))})
    by_query = Counter({i: times for i in range(n[seed % 2]) if (times := sum(row == i // 16 for row, _ in named))})
    found = counts(rows, n[seed % 2], m[seed % 2])
    for name in ("forward", "backward_queries"):
        assert found[name]["K"] == found[name]["V"] == by_key
        assert set(found[name]["Q"].values()) == {1}
    for name in ("Q", "g_O", "L", "delta"):
        assert found["backward_keys"][name] == by_query
    assert set(found["backward_keys"]["K"].values()) == {1}


@needs_triton
def test_what_a_window_reads_grows_linearly_with_the_sequence() -> None:
    """A causal window of 20 keys in tiles of 16: 3 R − 3 named blocks of 16 keys for n = 16 R, which three sizes show and a fourth confirms."""
    for count in (3, 4, 5, 8):
        rows = sets(Window(left=19, right=0), 16 * count, 16 * count, False, 0)
        found = counts(rows, 16 * count, 16 * count)
        read = [
            found[kernel][name].total() for kernel, names in (("forward", "KV"), ("backward_queries", "KV"), ("backward_keys", ("Q", "g_O"))) for name in names
        ]
        assert read == [16 * (3 * count - 3)] * 6


@needs_triton
def test_nan_outside_the_named_blocks_has_no_influence() -> None:
    """Neither in keys, values or the mask there: output and gradients keep their bits."""
    rows = sets(Window(left=3, right=2), 33, 70, False, 0)
    last = (max(j for keys in rows for j in keys) // 16 + 1) * 16  # the keys from here on are in blocks that no row names
    assert last < 70
    query, key, value = tensors(33, 70)
    mask = torch.randn(33, 70, generator=torch.Generator().manual_seed(5))
    results = []
    for poison in (0.0, math.nan, math.inf):
        k, v, b = key.detach().clone(), value.detach().clone(), mask.clone()
        k[..., last:, :] = v[..., last:, :] = b[:, last:] = poison
        b[:16, 32:] = poison
        inputs = query.detach().clone().requires_grad_(), k.requires_grad_(), v.requires_grad_()
        output = fused.attention(*inputs, rows, b, tile=TILE)
        results.append([output, *torch.autograd.grad(output, inputs, torch.linspace(-1, 1, output.numel()).reshape(output.shape))])
    for found in results[1:]:
        assert all(torch.equal(one, other) for one, other in zip(found, results[0], strict=True))
    assert not results[0][2][..., last:, :].any()


@needs_triton
def test_an_index_is_built_once_and_used_again() -> None:
    from impl.block_sparse import launch

    query, key, value = tensors(40, 40, lead=(2, 3))
    rows = sets(Window(left=9, right=0), 40, 40, False, 0)
    index = launch.prepared(rows, 40, (16, 16, 4, 1, 32, 16, 4, 1, 16, 32, 4, 1))
    outputs = [fused.attention(query * times, key, value, index) for times in (1.0, 2.0)]
    for times, output in zip((1.0, 2.0), outputs, strict=True):
        torch.testing.assert_close(output, sliding_window.reference.attention(query * times, key, value, (9, 0)))  # the laws judge it by bounds
    layout = torch.tensor([[True, False], [True, True]])
    by_layout = fused.attention(query, key, value, Layout(block=32, named=layout, lengths=(40, 40)), tile=TILE)
    torch.testing.assert_close(by_layout, blocks.attention(query, key, value, 32, layout))
    with pytest.raises(ValueError, match=r"the index is of \(40, 40\) queries and keys: query \(2, 3, 40, 4\), key \(2, 3, 39, 4\)"):
        fused.attention(query, key[..., 1:, :], value[..., 1:, :], index)
    with pytest.raises(ValueError, match="a prepared index has its own"):
        fused.attention(query, key, value, index, tile=TILE)


@needs_triton
def test_what_the_kernels_do_not_take_is_refused_by_name() -> None:
    query, key, value = tensors(4, 4)
    rows = [[0]] * 4
    with pytest.raises(ValueError, match=r"one width, key and value one length: query \(1, 1, 4, 4\), key \(1, 1, 4, 3\)"):
        fused.attention(query, key[..., 1:], value, rows)
    with pytest.raises(ValueError, match=r"one floating dtype: torch.float32, torch.float16"):
        fused.attention(query, key.half(), value, rows)
    with pytest.raises(ValueError, match="head widths go from 1 to 256"):
        fused.attention(query, key, value.repeat(1, 1, 1, 65), rows)
    with pytest.raises(ValueError, match=r"attn_mask is boolean or added to the scores, not torch.int64"):
        fused.attention(query, key, value, rows, torch.ones(4, 4, dtype=torch.long))


@needs_triton
@pytest.mark.parametrize("lead", [(), (3,), (2, 1, 2)])
def test_any_number_of_leading_axes(lead: tuple[int, ...]) -> None:
    """Masks with the axes of the others or fewer, and one key axis that all heads share."""
    query, key, value = tensors(7, 20, lead=lead)
    key = key[..., :1, :, :] if lead else key
    for mask in (None, torch.arange(20) % 3 > 0, torch.randn(*lead, 7, 20), torch.randn(7, 1)):
        by = [sliding_window.reference.attention(query, key, value, 4, mask, method=method) for method in (by_mask, fused.in_blocks)]
        torch.testing.assert_close(*by)


COMPILE = """
import json, sys, torch
from impl._triton.complaints import complaints
from impl._triton.compiled import read
from impl.block_sparse.launch import specimens
for x in specimens(sys.argv[1], torch.float16):
    if "window" in x.case:
        found = read(x.launch.compiled(sys.argv[1]))
        print(json.dumps([x.kernel, x.launch.arguments["WIDTH"], [loop.a_tile for loop in found.loops if loop.a_tile], complaints(found)]))
"""
KERNELS = json.loads((ROOT / "reports" / "evidence" / "kernels.json").read_text(encoding="utf-8"))["rows"]
# Instructions a tile beside the dense kernel's, at most: the load of the next number, its address and its guard, what is carried to the next pass (about 8),
# and where the block lies: one coordinate for tensor descriptors, else a product in 64 bits and a sum for each of K and V. Found: forward 8 and 7 on sm_90
# (widths 64 and 128), 12 and 14 on sm_80, 28 and 16 on sm_100, 3 and 6 on gfx942; for dQ 18 and 15, 3 and 21, 9 and 3, 10 and 6.
FOLLOWING = {
    "sm_80": {"forward": 16, "backward_queries": 24},
    "sm_90": {"forward": 12, "backward_queries": 20},
    "sm_100": {"forward": 32, "backward_queries": 12},
    "gfx942": {"forward": 8, "backward_queries": 12},
}


@needs_triton
@pytest.mark.skipif(sys.platform != "linux", reason="compiles with the tools that come with triton")
@pytest.mark.parametrize("target", FOLLOWING)
def test_following_the_index_costs_a_few_instructions_a_tile(target: str) -> None:
    """In the dense kernel's own tiles, a tile of a whole block takes as many instructions as a tile of unmasked dense attention, and those that follow the
    index; fewer for dK and dV, where the dense kernel guards each load of queries. No spills in loops, and nothing to complain of."""
    environment = {**os.environ, "TRITON_INTERPRET": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", COMPILE, target], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows: list[list[Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 6
    for kernel, width, loops, complaints in rows:
        of_dense = ("scaled_dot_product", target, kernel, f"width {width}", "float16")
        (dense,) = [x for x in KERNELS if (x["folder"], x["target"], x["kernel"], x["case"], x["dtype"]) == of_dense]
        assert not complaints
        place = 0 if kernel == "forward" else -1  # of the loop without a mask
        if measured := [loop["instructions"] for loop in dense["loops"] if loop["unroll"]]:
            assert loops[place] <= measured[place] + FOLLOWING[target].get(kernel, 0), (kernel, width, loops, measured)
