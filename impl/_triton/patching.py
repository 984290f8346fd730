"""Triton's interpreter replaces the language's functions at every call between kernels' functions; here it does so once a launch. And it scans in a tree.

In triton 3.7.1 `GridExecutor.__call__` patches `triton.language` for a launch and restores it afterwards, while `InterpretedFunction.__call__`, which runs each
function that a kernel calls, patches it again and never restores. The second patch sets what is set: nothing that it would replace is left. It takes
a quarter of the time of interpreted attention here. Within a launch each set of language modules is patched once from now on.

`ScanOps.generic_scan` combines one element at a time with what was combined before, which takes a quarter of a millisecond each, and never combines two
stretches, as a GPU does: a function that is wrong there would go unnoticed. From now on it doubles the stretches, over whole tensors.
"""

from __future__ import annotations

import inspect
from functools import wraps
from types import FunctionType
from typing import Any

import numpy as np

Modules = frozenset[str]


def patch_once_a_launch() -> None:
    """Change the interpreter of this process so, scans included; a second call changes nothing. Needs triton."""
    from triton.language import core
    from triton.runtime import interpreter

    if hasattr(interpreter.InterpretedFunction.__call__, "__wrapped__"):
        return
    launches: list[set[Modules]] = []  # what each running launch has patched; one may start another
    launch, inner = interpreter.GridExecutor.__call__, interpreter.InterpretedFunction.__call__

    def languages(function: FunctionType) -> Modules:
        """The modules that patching looks for among a function's globals."""
        values = function.__globals__.values()
        return frozenset(x.__name__ for x in values if inspect.ismodule(x) and x in (interpreter.tl, core))

    @wraps(launch)
    def launched(self: Any, *arguments: Any, **named: Any) -> Any:
        launches.append({languages(self.fn)})
        try:
            return launch(self, *arguments, **named)
        finally:
            launches.pop()

    @wraps(inner)
    def called(self: Any, *arguments: Any, **named: Any) -> Any:
        needed = languages(self.fn)
        if not launches or needed not in launches[-1]:
            if launches:
                launches[-1].add(needed)
            return inner(self, *arguments, **named)
        try:
            return self.rewrite()(*arguments, **named)
        except Exception as error:
            raise interpreter.InterpreterError(repr(error)) from error

    interpreter.GridExecutor.__call__ = launched
    interpreter.InterpretedFunction.__call__ = called
    interpreter.ScanOps.generic_scan = wraps(interpreter.ScanOps.generic_scan)(scan_by_doubling)


def scan_by_doubling(self: Any, tensors: tuple[Any, ...]) -> list[Any]:
    """As `ScanOps.generic_scan`: after the step of width w each element holds the last 2w elements up to it (Hillis and Steele 1986,
    https://doi.org/10.1145/7902.7903)."""
    held = [x.handle.data for x in tensors]
    length, width = held[0].shape[self.axis], 1
    place = np.arange(length).reshape([-1 if axis == self.axis else 1 for axis in range(held[0].ndim)])
    while width < length:
        before = [np.take(x, np.maximum(np.arange(length) - width, 0), axis=self.axis) for x in held]
        pairs = zip((*before, *held), (*tensors, *tensors), strict=True)
        found = self.combine_fn.fn(*(self.to_tensor(x, like.dtype) for x, like in pairs))
        parts = found if isinstance(found, tuple) else (found,)
        held = [np.where(place < width, x, part.handle.data) for x, part in zip(held, parts, strict=True)]
        width *= 2
    return [self.to_tensor(x, like.dtype) for x, like in zip(held, tensors, strict=True)]
