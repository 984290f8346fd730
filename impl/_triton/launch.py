"""One launch of a kernel as data, so that running it, compiling it for another target and checking it before a run all see the same arguments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver

GRID_LIMIT = (2**31 - 1, 65535, 65535)  # blocks by axis: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"
TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A kernel, its grid, its arguments by name, and the compiler's options (num_warps, num_stages)."""

    kernel: Any
    grid: tuple[int, ...]
    arguments: dict[str, Any]
    options: dict[str, int]

    def run(self) -> None:
        """Launch on the device of the arguments, or in Triton's interpreter. An empty grid is no launch. Raises ValueError for a grid beyond CUDA's limits."""
        if beyond := [f"axis {axis}: {size}" for axis, (size, most) in enumerate(zip(self.grid, GRID_LIMIT, strict=False)) if size > most]:
            raise ValueError(f"the grid {self.grid} is larger than CUDA allows, {GRID_LIMIT} ({', '.join(beyond)})")
        if 0 not in self.grid:
            with on_the_device_of(self.arguments):
                self.kernel[self.grid](**self.arguments, **self.options)

    def compiled(self, target: str) -> Any:
        """The compiled kernel for a target of TARGETS, specialised as the launcher would specialise these very arguments; needs no GPU."""
        with standing_in(TARGETS[target]):
            self.kernel.device_caches.clear()  # they remember the target of the driver before
            return self.kernel.warmup(grid=self.grid, **self.arguments, **self.options)


def on_the_device_of(arguments: dict[str, Any]) -> AbstractContextManager[Any]:
    """The context in which the tensors' GPU is the current one, which is where Triton launches."""
    devices = [x.device for x in arguments.values() if isinstance(x, torch.Tensor) and x.is_cuda]
    return torch.cuda.device(devices[0]) if devices else nullcontext()


class Absent:
    """A driver without a device, for compiling only: Triton asks its driver for the target and for a device to cache by."""

    def __init__(self, target: GPUTarget) -> None:
        self.target = target

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")


@contextmanager
def standing_in(target: GPUTarget) -> Iterator[None]:
    """Within, Triton compiles for `target` whatever the machine has."""
    before = driver._active
    driver.set_active(Absent(target))
    try:
        yield
    finally:
        driver._active = before
