"""All ranks in one process, a thread each: no network, and no start-up, so that any number of ranks can be tried in milliseconds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch

from impl.sequence_parallel.communicator import Communicator, Message

Result = TypeVar("Result")
PATIENCE = 20.0  # seconds that a rank waits for the others


class Table:
    """Where ranks lay down what they send. All wait until everything lies there, copy what is theirs, and wait again."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.posted: list[Mapping[int, Message]] = [{}] * size
        self.barrier = threading.Barrier(size)
        self.raised: list[BaseException] = []


class Place:
    """A rank's place at the table: a Communicator."""

    def __init__(self, table: Table, rank: int) -> None:
        self.table, self.rank, self.size = table, rank, table.size

    def exchange(self, outgoing: Mapping[int, Message], incoming: Mapping[int, Message]) -> None:
        """As the interface says. Raises BrokenBarrierError where another rank has failed, or keeps this one waiting for PATIENCE."""
        self.table.posted[self.rank] = outgoing
        self.table.barrier.wait(PATIENCE)
        for source, posted in enumerate(self.table.posted):
            sent, expected = posted.get(self.rank, ()), incoming.get(source, ())
            if [(x.shape, x.dtype) for x in sent] != [(x.shape, x.dtype) for x in expected]:
                shapes = [[tuple(x.shape) for x in message] for message in (expected, sent)]
                raise RuntimeError(f"rank {self.rank} of {self.size} expects shapes {shapes[0]} from rank {source}, which sends {shapes[1]}")
            for x, y in zip(expected, sent, strict=True):
                x.copy_(y)
        self.table.barrier.wait(PATIENCE)


def run(size: int, of_rank: Callable[[Communicator], Result]) -> list[Result]:
    """What `of_rank` returns on each of `size` ranks, without gradients of its operations. Raises what the first rank to fail raises."""
    table, results = Table(size), dict[int, Result]()

    def ranked(rank: int) -> None:
        place = Place(table, rank)
        try:
            with torch.no_grad():
                results[rank] = of_rank(place)
            place.exchange({}, {})  # a rank that others still talk to is found out
        except BaseException as error:
            table.raised.append(error)
            table.barrier.abort()

    threads = [threading.Thread(target=ranked, args=(rank,), name=f"rank {rank} of {size}", daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if table.raised:
        raise next((error for error in table.raised if not isinstance(error, threading.BrokenBarrierError)), table.raised[0])
    return [results[rank] for rank in range(size)]
