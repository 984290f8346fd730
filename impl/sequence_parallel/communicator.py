"""What one rank says to the others: three patterns, each written once over a single exchange of messages, which threads and processes provide.

A collective of a library adds in an order of its own; here sums are taken in the order of ranks, so that every transport gives the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

Message = tuple[Tensor, ...]
Shapes = tuple[tuple[int, ...], ...]


class Communicator(Protocol):
    """One rank's end of the wires that join `size` ranks."""

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    def exchange(self, outgoing: Mapping[int, Message], incoming: Mapping[int, Message]) -> None:
        """Send `outgoing` to the ranks that it names, and fill the buffers of `incoming` with what the ranks named there send. All ranks call it together;
        afterwards the tensors that were sent may be written to. Raises RuntimeError where the two sides do not expect the same."""


def pass_on(wires: Communicator, message: Message, shapes: Shapes) -> Message:
    """Send a message to the next rank and receive one of the same dtypes, of these shapes, from the previous rank."""
    if wires.size == 1:
        return message
    arriving = buffers(message, shapes)
    wires.exchange({(wires.rank + 1) % wires.size: message}, {(wires.rank - 1) % wires.size: arriving})
    return arriving


def all_gather(wires: Communicator, message: Message, shapes: Sequence[Shapes]) -> list[Message]:
    """Every rank's message, in the order of ranks; shapes[r] are those of rank r's, which may differ."""
    found = [message if rank == wires.rank else buffers(message, shapes[rank]) for rank in range(wires.size)]
    others = [rank for rank in range(wires.size) if rank != wires.rank]
    wires.exchange(dict.fromkeys(others, message), {rank: found[rank] for rank in others})
    return found


def reduce_scatter(wires: Communicator, parts: Sequence[Message]) -> Message:
    """parts[r] is what this rank adds to rank r's sum. Returns this rank's own sum, added up in the order of ranks."""
    own = parts[wires.rank]
    others = [rank for rank in range(wires.size) if rank != wires.rank]
    found = {rank: own if rank == wires.rank else buffers(own, tuple(tuple(x.shape) for x in own)) for rank in range(wires.size)}
    wires.exchange({rank: parts[rank] for rank in others}, {rank: found[rank] for rank in others})
    total = tuple(x.clone() for x in found[0])
    for rank in range(1, wires.size):
        for x, y in zip(total, found[rank], strict=True):
            x.add_(y)
    return total


def buffers(like: Message, shapes: Shapes) -> Message:
    """Room for a message of these shapes, in the dtypes of another one."""
    return tuple(torch.empty(shape, dtype=x.dtype, device=x.device) for x, shape in zip(like, shapes, strict=True))
