"""Attention in tiles beside torch's own flash attention and the definition, on the CPU: times, ratios and peak bytes.

    python -m pytest tests/benchmarks/bench_attention.py -q

A round runs every contestant once, one after another, so that whatever else the machine does meets all of them alike; ratios are between
times of the same run. Times are reported, and fail nothing. Peak bytes are those of tensors: what torch's
kernel takes for itself within its one operation is not among them.
"""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from impl.scaled_dot_product import blockwise, reference
from tests.benchmarks.live_bytes import Attention, of_a_step

ROUNDS = {512: 20, 1024: 12, 2048: 8, 4096: 6}
HEADS, WIDTH = 8, 64
TARGET = 1.3  # the forward pass over 4096 keys should take at most this many times as long as torch's


def flash(query: Tensor, key: Tensor, value: Tensor, *, is_causal: bool) -> Tensor:
    """torch's own flash attention on the CPU, and nothing that it would fall back to."""
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=is_causal)


CONTESTANTS: dict[str, Attention] = {
    "torch": flash,
    "blockwise": blockwise.attention,
    "blockwise by torch.mm": blockwise.attention,  # with oneDNN switched off
    "definition": reference.attention,
}


def seconds(name: str, inputs: list[Tensor], cotangent: Tensor | None, causal: bool) -> float:
    """The time of one forward pass, or with a cotangent of one backward pass alone."""
    with torch.backends.mkldnn.flags(enabled=name != "blockwise by torch.mm"):
        start = time.perf_counter()
        output = CONTESTANTS[name](*inputs, is_causal=causal)
        if cotangent is not None:
            start = time.perf_counter()
            torch.autograd.grad(output, inputs, cotangent)
        return time.perf_counter() - start


@pytest.mark.parametrize("threads", sorted({1, os.cpu_count() or 1}), ids=lambda t: f"threads{t}")
@pytest.mark.parametrize("n", ROUNDS)
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
def test_attention(benchmark: BenchmarkFixture, rows: list[dict[str, Any]], threads: int, n: int, backward: bool, causal: bool) -> None:
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(n)
    query, key, value, g = (torch.randn(1, HEADS, n, WIDTH, generator=generator) for _ in range(4))
    inputs, cotangent = [x.requires_grad_(backward) for x in (query, key, value)], g if backward else None
    peaks = {name: of_a_step(attention, inputs, cotangent, causal).peak for name, attention in CONTESTANTS.items()}  # also warms up
    times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}

    def a_round() -> None:
        for name, taken in times.items():
            taken.append(seconds(name, inputs, cotangent, causal))

    benchmark.pedantic(a_round, rounds=ROUNDS[n], warmup_rounds=0)  # type: ignore[no-untyped-call]
    best, median = ({name: of(taken) for name, taken in times.items()} for of in (min, statistics.median))
    for name in CONTESTANTS:
        row: dict[str, Any] = {
            "n": n,
            "pass": "backward" if backward else "forward",
            "causal": causal,
            "threads": threads,
            "contestant": name,
            "rounds": ROUNDS[n],
        }
        row |= {"best_seconds": round(best[name], 6), "median_seconds": round(median[name], 6), "peak_bytes_of_a_step": peaks[name]}
        row |= {"best_over_torch": round(best[name] / best["torch"], 3), "median_over_torch": round(median[name] / median["torch"], 3)}
        if n == 4096 and not backward and not causal and name == "blockwise":
            row |= {"target": TARGET, "within_target": best[name] <= TARGET * best["torch"]}
        rows.append(row)
        benchmark.extra_info[name] = row["best_over_torch"]
