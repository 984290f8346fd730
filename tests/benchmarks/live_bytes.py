"""Bytes of live tensors, counted exactly: every storage that an operation returns, from its creation to its death.

What a library takes for itself within one operation is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Attention = Callable[..., Tensor]


class LiveBytes(TorchDispatchMode):
    """Bytes of the storages that operations created while it is active and that are still alive: `now`; the most so far: `peak`.

    `largest` is the size of the largest single storage.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = self.largest = 0
        self.known: dict[int, weakref.finalize[..., Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {storage._cdata for storage in storages((args, kwargs))}
        result = func(*args, **kwargs or {})
        for storage in storages(result):
            if storage._cdata not in given and storage._cdata not in self.known:
                self.count(storage)
        return result

    def count(self, storage: torch.UntypedStorage) -> None:
        """Add a storage's bytes now, and take them off when it dies."""
        key, size = storage._cdata, storage.nbytes()
        self.now += size
        self.peak, self.largest = max(self.peak, self.now), max(self.largest, size)
        self.known[key] = weakref.finalize(storage, self.forget, key, size)

    def forget(self, key: int, size: int) -> None:
        self.now -= size
        del self.known[key]


def storages(tree: Any) -> Iterator[torch.UntypedStorage]:
    """The storages of the tensors in a nest of arguments or results."""
    return (leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


@contextmanager
def counting() -> Iterator[LiveBytes]:
    """A count of live bytes; when it ends, storages that outlive it are no longer watched."""
    with LiveBytes() as live:
        yield live
    for watch in live.known.values():
        watch.detach()


def of_a_step(attention: Attention, inputs: list[Tensor], cotangent: Tensor | None, causal: bool) -> LiveBytes:
    """The count over one forward pass, and the backward pass too if there is a cotangent; beside inputs and cotangent."""
    with counting() as live:
        output = attention(*inputs, is_causal=causal)
        if cotangent is not None:
            torch.autograd.grad(output, inputs, cotangent)
    return live
