"""Where a benchmark's results go, and the rows that its tests gather."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from properties import environment
from tests.benchmarks import results

REPORTS = Path(__file__).parents[2] / "reports"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--into", type=Path, default=REPORTS, help="the folder that gets evidence/benchmark-ENVIRONMENT.json and benchmark-ENVIRONMENT.svg")


@pytest.fixture(scope="session")
def rows(request: pytest.FixtureRequest) -> Iterator[list[dict[str, Any]]]:
    """Filled by the tests; written, as JSON and as a plot, when the last of them has ended."""
    gathered: list[dict[str, Any]] = []
    load, threads = os.getloadavg()[0], torch.get_num_threads()
    yield gathered
    torch.set_num_threads(threads)
    machine = {"processors": os.cpu_count(), "load_before": round(load, 2), "load_after": round(os.getloadavg()[0], 2)}
    results.write(request.config.getoption("--into"), environment.describe(), machine, gathered)
