"""What the tests of the harness share: the flag that writes golden files anew, and how Triton is imported."""

import os

import pytest
import torch

if not torch.cuda.is_available():  # the first import decides for the whole process; what compiles does so in processes of its own
    os.environ.setdefault("TRITON_INTERPRET", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--refresh", action="store_true", help="write the golden files under tests/golden anew instead of comparing with them")


@pytest.fixture
def refresh(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written instead of compared."""
    return bool(request.config.getoption("--refresh"))
