"""Triton's interpreter replaces the language's functions at every call between kernels' functions; here it does so once a launch.

In triton 3.7.1 `GridExecutor.__call__` patches `triton.language` for a launch and restores it afterwards, while `InterpretedFunction.__call__`, which runs each
function that a kernel calls, patches it again and never restores. The second patch sets what is set: nothing that it would replace is left. It takes
a quarter of the time of interpreted attention here. Within a launch each set of language modules is patched once from now on.
"""

from __future__ import annotations

import inspect
from functools import wraps
from types import FunctionType
from typing import Any

Modules = frozenset[str]


def patch_once_a_launch() -> None:
    """Change the interpreter of this process so; a second call changes nothing. Needs triton."""
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
