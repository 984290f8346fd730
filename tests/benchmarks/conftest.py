"""Where a benchmark's results go, and the rows that its tests gather."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from properties import environment
from tests.benchmarks import results

REPORTS = Path(__file__).parents[2] / "reports"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--into", type=Path, default=REPORTS, help="the folder that gets evidence/benchmark-*.json and the plots")


@pytest.fixture(scope="session")
def rows(request: pytest.FixtureRequest) -> Iterator[list[dict[str, Any]]]:
    """Filled by the tests of dense attention; written, as JSON and as a plot, when the last of them has ended."""
    with gathering() as (gathered, machine):
        yield gathered
    results.write(request.config.getoption("--into"), environment.describe(), machine, gathered)


@pytest.fixture(scope="session")
def of_families(request: pytest.FixtureRequest) -> Iterator[list[dict[str, Any]]]:
    """Filled by the tests of families; written, as JSON and as a plot a family, when the last of them has ended."""
    with gathering() as (gathered, machine):
        yield gathered
    results.write_families(request.config.getoption("--into"), environment.describe(), machine, gathered)


@contextmanager
def gathering() -> Iterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
    """Rows to fill, and what the machine was like, complete when it ends. The number of torch's threads is put back."""
    gathered: list[dict[str, Any]] = []
    threads, machine = torch.get_num_threads(), {"processors": os.cpu_count(), "load_before": round(os.getloadavg()[0], 2)}
    yield gathered, machine
    torch.set_num_threads(threads)
    machine["load_after"] = round(os.getloadavg()[0], 2)
