"""The device that calls are timed on.

A call is timed by events in its stream, with caches flushed before each run. The runs are handed over without waiting in between, and each is
preceded by as many flushes as the host needs to hand over the next call (`MOST_FLUSHES` at most): so that the device is not idle between an event and the
call that it times.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import torch

from properties import environment

RUNS, WARM = 30, 5
MOST_FLUSHES = 40
MEGABYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Milliseconds of each run on the device, milliseconds of the host a call, and bytes at the peak of a call beyond what was allocated before."""

    times: list[float]
    host: float
    extra: int


class Device(Protocol):
    """Where calls are made. `place` is its name in torch."""

    place: str

    def facts(self) -> dict[str, str]:
        """What can change a measured time, by name."""

    def measured(self, call: Callable[[], Any]) -> Measurement:
        """Make the call many times. What it raises is raised."""

    def settle(self) -> None:
        """Give unused memory back. Raises RuntimeError if the device can no longer be used by this process."""


class Cuda:
    """A GPU, made the current one: Triton launches on the current device, whatever device the tensors are on."""

    def __init__(self, index: int = 0) -> None:
        torch.cuda.set_device(index)
        self.place = f"cuda:{index}"
        self.properties = torch.cuda.get_device_properties(index)
        cached = int(getattr(self.properties, "L2_cache_size", 0))
        self.flushed = torch.empty(max(2 * cached, 256 * MEGABYTE), dtype=torch.uint8, device=self.place)
        self.flush = self.taken(self.flushed.zero_)

    def facts(self) -> dict[str, str]:
        """The usual environment, and the GPU with its software."""
        from triton import __version__ as triton

        major, minor = torch.cuda.get_device_capability(self.place)
        runtime = f"HIP {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
        cudnn = str(torch.backends.cudnn.version()) if torch.backends.cudnn.is_available() else "none"
        own = {"gpu": self.properties.name, "capability": f"{major}.{minor}", "runtime": runtime, "cudnn": cudnn, "triton": triton}
        sizes = {"multiprocessors": str(self.properties.multi_processor_count), "memory": str(self.properties.total_memory)}
        return environment.describe() | own | sizes

    def measured(self, call: Callable[[], Any]) -> Measurement:
        """`RUNS` runs after `WARM` ones, in the current stream."""
        for _ in range(WARM):
            call()
        torch.cuda.synchronize()
        extra = self.peak(call)
        host = self.handing(call)
        flushes = min(max(math.ceil(1.5 * host / self.flush), 1), MOST_FLUSHES)
        pairs = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(RUNS)]
        for start, end in pairs:
            for _ in range(flushes):
                self.flushed.zero_()
            start.record()
            call()
            end.record()
        torch.cuda.synchronize()
        return Measurement(times=[start.elapsed_time(end) for start, end in pairs], host=host, extra=extra)

    def peak(self, call: Callable[[], Any]) -> int:
        """Bytes at the peak of one call beyond what is allocated before it."""
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return int(torch.cuda.max_memory_allocated()) - int(before)

    def handing(self, call: Callable[[], Any], times: int = 3) -> float:
        """Milliseconds of the host for one call: to hand it over, not to wait for it."""
        begun = perf_counter()
        for _ in range(times):
            call()
        host = (perf_counter() - begun) * 1e3 / times
        torch.cuda.synchronize()
        return host

    def taken(self, call: Callable[[], Any], times: int = 10) -> float:
        """Milliseconds of the device for one call, of several in a row."""
        call()
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(times):
            call()
        end.record()
        torch.cuda.synchronize()
        return max(float(start.elapsed_time(end)) / times, 1e-3)

    def settle(self) -> None:
        """See Device. An error that an earlier kernel left behind is raised by the synchronisation."""
        gc.collect()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
