"""Where the sequences of a pack lie: they stand one behind the other from the first slot on, and the slots after the last one are padding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor

Lengths = Tensor | Sequence[int]


def spans(lengths_q: Lengths, lengths_k: Lengths, query: Tensor, key: Tensor) -> list[tuple[slice, slice]]:
    """The rows and the columns of each sequence. `lengths_q` and `lengths_k` are lengths, 0 among them, not offsets (those are `offsets.diff()`).

    Raises ValueError for numbers that are not whole or below 0, for more rows or columns than there are slots, and for different numbers of sequences.
    """
    rows, columns = placed(lengths_q, query.shape[-2], "lengths_q"), placed(lengths_k, key.shape[-2], "lengths_k")
    if len(rows) != len(columns):
        raise ValueError(f"lengths_q has {len(rows)} sequences, lengths_k {len(columns)}: each sequence needs a length in both, 0 if it is empty")
    return list(zip(rows, columns, strict=True))


def placed(lengths: Lengths, slots: int, name: str) -> list[slice]:
    """Each sequence's slots. Raises ValueError as `spans` does."""
    if isinstance(lengths, Tensor) and (lengths.dim() != 1 or lengths.is_floating_point() or lengths.dtype == torch.bool):
        raise ValueError(f"{name} is {lengths.dtype} of shape {tuple(lengths.shape)}: expected integers of shape [sequences]")
    counts = [int(length) for length in lengths]
    if any(count < 0 for count in counts):
        raise ValueError(f"{name} = {counts}: a length below 0; for offsets (0, n_1, n_1 + n_2, …) give their differences")
    if sum(counts) > slots:
        raise ValueError(f"{name} = {counts} needs {sum(counts)} slots, the pack has {slots}; for offsets (0, n_1, n_1 + n_2, …) give their differences")
    return [slice(start, end) for start, end in pairwise(accumulate(counts, initial=0))]
