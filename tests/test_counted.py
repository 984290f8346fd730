"""What kernels read, write and compute, counted in the interpreter, is what their launches say: to the byte, and to the operation. And their operators are
sound by torch's own check."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
import torch

if torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("a process that uses the GPU cannot interpret kernels: run this file by itself with TRITON_INTERPRET=1", allow_module_level=True)
pytest.importorskip("triton", reason="needs triton (pip install attention-ledger[kernels]; Linux only)")

from impl._triton import memory
from impl._triton.counting import counted
from impl._triton.patching import patch_once_a_launch
from properties.kernels import listings

patch_once_a_launch()
MODULES = {folder: import_module(module) for folder, module in listings().items()}


def specimens(dtype: torch.dtype) -> Iterator[Any]:
    for name, module in MODULES.items():
        for specimen in module.specimens("interpreter", dtype):
            yield pytest.param(specimen, id=f"{name} {specimen.kernel}, {specimen.case}")


@pytest.mark.parametrize("specimen", [*specimens(torch.float32)])
def test_a_launch_costs_what_its_formula_says(specimen: Any) -> None:
    with memory.watched(partial=tuple(x for x in specimen.launch.arguments.values() if isinstance(x, torch.Tensor))), counted() as launches:
        specimen.launch.run()
    (found,) = launches
    assert found.kernel == specimen.kernel
    assert found.cost == specimen.cost


def calls() -> Iterator[Any]:
    for module in (x for x in MODULES.values() if hasattr(x, "samples")):  # dense attention's operators have a test of their own
        for number, (operator, arguments) in enumerate(module.samples()):
            yield pytest.param(operator, arguments, id=f"{operator._name} {number}")


@pytest.mark.parametrize(("operator", "arguments"), [*calls()])
def test_an_operator_passes_torchs_checks(operator: Any, arguments: tuple[Any, ...]) -> None:
    torch.library.opcheck(operator, arguments)
