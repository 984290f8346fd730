"""Two synthetic tasks that need attention: a prefix that is repeated, and values that are looked up by their keys."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SYMBOLS, KEYS, VALUES = 16, 8, 8  # tokens 0 … 15 are copied, 16 … 23 are keys, 24 … 31 values
VOCABULARY = SYMBOLS + KEYS + VALUES
LENGTH = 32
SHORTEST, LONGEST = 8, 16  # of a prefix
COPY, LOOKUP = "copy", "lookup"
TASKS = (COPY, LOOKUP)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Tokens [B, LENGTH + 1]; `asked` [B, LENGTH]: True at the positions whose next token is determined by what came before."""

    tokens: Tensor
    asked: Tensor

    @property
    def seen(self) -> Tensor:
        """What the model reads [B, LENGTH]."""
        return self.tokens[:, :-1]

    @property
    def next(self) -> Tensor:
        """What it should say [B, LENGTH]."""
        return self.tokens[:, 1:]


def copy(count: int, random: torch.Generator) -> Batch:
    """A prefix of distinct symbols, of a length drawn for each sequence, over and over: from its first symbol's return on, all is determined. Where a symbol
    stands says nothing about its successor, as the length varies: the successor has to be looked up behind the symbol's last occurrence."""
    order = torch.rand((count, SYMBOLS), generator=random).argsort(-1)
    period = torch.randint(SHORTEST, LONGEST + 1, (count, 1), generator=random)
    places = torch.arange(LENGTH + 1).expand(count, -1) % period
    return Batch(order.gather(1, places), torch.arange(LENGTH).expand(count, -1) >= period)


def lookup(count: int, random: torch.Generator) -> Batch:
    """All keys, each with a value behind it; then all keys again in another order, each with the value that it had."""
    value = torch.randint(0, VALUES, (count, KEYS), generator=random) + SYMBOLS + KEYS  # by key
    halves = []
    for _ in range(2):
        order = torch.rand((count, KEYS), generator=random).argsort(-1)
        halves.append(torch.stack((order + SYMBOLS, value.gather(1, order)), -1).flatten(1))
    first, second = halves
    tokens = torch.cat((first, second), 1)  # [B, 4 · KEYS]
    place = torch.arange(LENGTH).expand(count, -1)
    asked = (place >= 2 * KEYS) & (place % 2 == 0)
    return Batch(torch.cat((tokens, tokens[:, :1]), 1), asked)


DRAWN = {COPY: copy, LOOKUP: lookup}


def batch(task: str, count: int, random: torch.Generator) -> Batch:
    """So many sequences of a task. Raises ValueError for another task."""
    if task not in DRAWN:
        raise ValueError(f"task {task!r} is unknown; possible are {', '.join(TASKS)}")
    return DRAWN[task](count, random)


def both(count: int, random: torch.Generator) -> Batch:
    """Half of the sequences of either task."""
    halves = [batch(task, count // 2, random) for task in TASKS]
    return Batch(torch.cat([x.tokens for x in halves]), torch.cat([x.asked for x in halves]))
