"""Counts what interpreted kernels do: elements loaded and stored by argument, operations of matrix products, and values of slow functions.

    with memory.watched(), counting.counted() as launches:
        output = attention(query, key, value)
    launches[0].loads["K"].elements

Lanes that a mask switches off load nothing and are not counted; a product counts every element of its tiles, padding too, as the hardware computes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any
from unittest import mock  # mock.patch.object replaces an attribute and puts the old one back, whatever happens

import numpy as np
from triton.runtime import interpreter

from impl._triton import memory
from impl._triton.specimen import Cost

FUNCTIONS = ("exp", "exp2", "log", "log2", "sin", "cos", "tanh", "erf")  # of a special-function unit, or of several of its instructions


@dataclass(slots=True)
class Traffic:
    """Accesses of one launch to one argument. `times`: by byte offset from the argument's first element, how often it was accessed."""

    size: int
    elements: int = 0
    times: Counter[int] = field(default_factory=Counter)

    @property
    def bytes(self) -> int:
        return self.elements * self.size

    @property
    def most(self) -> int:
        """How often the most accessed element was accessed."""
        return max(self.times.values(), default=0)


@dataclass(slots=True)
class Counted:
    """One launch. `products`: operations of matrix products, 2 · rows · columns · width each; `functions`: values of exp, log and their like."""

    kernel: str
    loads: dict[str, Traffic] = field(default_factory=dict)
    stores: dict[str, Traffic] = field(default_factory=dict)
    products: int = 0
    functions: int = 0

    @property
    def cost(self) -> Cost:
        read, written = (sum(traffic.bytes for traffic in side.values()) for side in (self.loads, self.stores))
        return Cost(products=self.products, functions=self.functions, read=read, written=written)


@contextmanager
def counted() -> Iterator[list[Counted]]:
    """Count every launch inside; to be opened within `memory.watched`, which knows the arguments."""
    launches: list[Counted] = []
    begin, parts = memory.Launch.__init__, memory.Launch.parts
    builder = interpreter.interpreter_builder

    def beginning(self: memory.Launch, kernel: str, watch: memory.Watch) -> None:
        begin(self, kernel, watch)
        launches.append(Counted(kernel))

    def counting(self: memory.Launch, access: memory.Access, addresses: Any) -> Iterator[Any]:
        for argument, lanes, offsets in parts(self, access, addresses):
            for side in sides(launches[-1], access.kind):
                traffic = side.setdefault(argument.name, Traffic(argument.size))
                traffic.elements += offsets.size
                traffic.times.update(offsets.tolist())
            yield argument, lanes, offsets

    def dot(multiply: Callable[..., Any]) -> Callable[..., Any]:
        def call(a: Any, b: Any, *rest: Any) -> Any:
            if launches:
                launches[-1].products += 2 * prod(a.data.shape) * b.data.shape[-1]
            return multiply(a, b, *rest)

        return call

    def function(compute: Callable[..., Any]) -> Callable[..., Any]:
        def call(argument: Any) -> Any:
            if launches:
                launches[-1].functions += int(np.size(argument.data))
            return compute(argument)

        return call

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(memory.Launch, "__init__", beginning))
        stack.enter_context(mock.patch.object(memory.Launch, "parts", counting))
        stack.enter_context(mock.patch.object(builder, "create_dot", dot(builder.create_dot)))
        for name in FUNCTIONS:
            if hasattr(builder, f"create_{name}"):
                stack.enter_context(mock.patch.object(builder, f"create_{name}", function(getattr(builder, f"create_{name}"))))
        yield launches


def sides(launch: Counted, kind: str) -> list[dict[str, Traffic]]:
    """Which of loads and stores an access is: an atomic is both."""
    return {"load": [launch.loads], "store": [launch.stores]}.get(kind, [launch.loads, launch.stores])
