"""The fast paths of every family in pure PyTorch beside a definition, on one core: counted operations and bytes, and times beside them.

    python -m pytest tests/benchmarks/bench_families.py -q

A round calls every contestant of a family once, one after another, so that whatever else the machine does meets all of them alike. Times are reported, and fail
nothing: how the counts must grow is asserted in tests/test_cost_families.py.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from tests.benchmarks.families import FAMILIES
from tests.benchmarks.work import held, work

ROUNDS = 5


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@pytest.mark.parametrize(("family", "n"), [(name, n) for name, family in FAMILIES.items() for n in family.sizes])
def test_family(benchmark: BenchmarkFixture, of_families: list[dict[str, Any]], family: str, n: int) -> None:
    torch.set_num_threads(1)
    calls = {name: contestant.prepare(n) for name, contestant in FAMILIES[family].contestants.items()}
    counts = {name: {"operations": work(call), "peak_bytes": held(call)} for name, call in calls.items()}  # also warms up
    times: dict[str, list[float]] = {name: [] for name in calls}

    def a_round() -> None:
        for name, call in calls.items():
            times[name].append(seconds(call))

    with torch.no_grad():
        benchmark.pedantic(a_round, rounds=ROUNDS, warmup_rounds=0)  # type: ignore[no-untyped-call]
    for name, taken in times.items():
        row = {"family": family, "n": n, "contestant": name, "definition": FAMILIES[family].contestants[name].definition, "rounds": ROUNDS}
        of_families.append(row | counts[name] | {"best_seconds": round(min(taken), 6), "median_seconds": round(statistics.median(taken), 6)})
