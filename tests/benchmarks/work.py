"""What a call computes, counted exactly: operations of matrix products by torch's own formulas, and one for each number that any other operation writes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from tests.benchmarks.live_bytes import counting

INDEXED = {"scatter_", "scatter_add_", "scatter_reduce_", "index_put_", "index_copy_", "index_add_"}  # in place, at some of the places


class Work(TorchDispatchMode):
    """`done`: the count so far. A view writes nothing, an operation in place what it changes; of several results the largest counts."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.done = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        products: Callable[..., Any] | None = flop_registry.get(func.overloadpacket)
        if products is not None:
            self.done += int(products(*args, **kwargs or {}, out_val=result))
        elif func.overloadpacket.__name__ == "_linear_pointwise":  # oneDNN's product, which torch's registry does not know: x wᵀ
            self.done += 2 * args[0].numel() * args[1].shape[0]
        elif not func.is_view:
            written = args[1:] if func.overloadpacket.__name__ in INDEXED else result
            self.done += max((leaf.numel() for leaf in tree_leaves(written) if isinstance(leaf, Tensor)), default=0)
        return result


def work(call: Callable[[], Any]) -> int:
    """Operations of one call."""
    with Work() as counter:
        call()
        done: int = counter.done
    return done


def held(call: Callable[[], Any]) -> int:
    """Bytes at the peak of one call, beside what was there before."""
    with counting() as live:
        call()
    return live.peak


def exponent(counts: dict[int, int]) -> float:
    """The slope of the least-squares line through the points (log n, log count)."""
    x, y = [math.log(n) for n in counts], [math.log(count) for count in counts.values()]
    x_mean, y_mean = sum(x) / len(x), sum(y) / len(y)
    return sum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True)) / sum((a - x_mean) ** 2 for a in x)


def seeded(n: int) -> torch.Generator:
    return torch.Generator().manual_seed(n)
