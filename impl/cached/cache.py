"""Incremental decoding with a key-value cache: memory of its own for so many tokens, written once a token and read by every later row."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.cached.reference import checked
from impl.streamed import attended, check_shapes, falling, spans


class KeyValueCache:
    """Keys [B, G, C, D] and values [B, G, C, E] of B sequences, which may differ in length, in slots of their own: B · G · C · (D + E) numbers.

    `capacity` C: the most tokens of a sequence; a cache that `grows` doubles it when it is full. `unused` is what a slot holds before it is written: it has no
    influence. Appending copies: what happens to the given tensors later does not act. A cache passes no gradient: it detaches nothing silently, but refuses.
    """

    def __init__(
        self, sequences: int, heads: int, capacity: int, key_width: int, value_width: int, dtype: torch.dtype = torch.float32, device: str = "cpu", *,
        grows: bool = False, unused: float = 0.0,
    ) -> None:  # fmt: skip
        if min(sequences, heads, capacity, key_width, value_width) < 0:
            raise ValueError(f"sequences {sequences}, heads {heads}, capacity {capacity}, widths {key_width} and {value_width}: none may be below 0")
        self.key = torch.full((sequences, heads, capacity, key_width), unused, dtype=dtype, device=device)
        self.value = torch.full((sequences, heads, capacity, value_width), unused, dtype=dtype, device=device)
        self.lengths = [0] * sequences
        self.grows, self.unused = grows, unused

    @property
    def capacity(self) -> int:
        return self.key.shape[2]

    def append(self, key: Tensor, value: Tensor, counts: list[int] | None = None) -> None:
        """Copy the first `counts[b]` of n new tokens (None: all) behind what sequence b has; key [B, G, n, D], value [B, G, n, E].

        Raises ValueError, and leaves the cache as it is, for another batch, heads, width, dtype or device, for counts outside 0 … n, for tensors that want a
        gradient, and for more tokens than there is room for.
        """
        fits(self.key, self.value, key, value)
        counts = counted(counts, len(self.lengths), key.shape[2])
        self.make_room([length + count for length, count in zip(self.lengths, counts, strict=True)])
        for b, (start, count) in enumerate(zip(self.lengths, counts, strict=True)):
            self.key[b, :, start : start + count] = key[b, :, :count]
            self.value[b, :, start : start + count] = value[b, :, :count]
        self.lengths = [length + count for length, count in zip(self.lengths, counts, strict=True)]

    def make_room(self, lengths: list[int]) -> None:
        """Double the capacity until these lengths fit. Raises ValueError where the cache does not grow."""
        longest = max(lengths, default=0)
        if longest <= self.capacity:
            return
        if not self.grows:
            raise ValueError(f"no room: {longest} tokens after this part, the capacity is {self.capacity}; make the cache larger, or one that grows")
        self.key, self.value = (self.wider(x, max(longest, 2 * self.capacity)) for x in (self.key, self.value))

    def wider(self, x: Tensor, capacity: int) -> Tensor:
        """What the slots hold, in memory of more slots."""
        wide = x.new_full((*x.shape[:2], capacity, x.shape[3]), self.unused)
        wide[:, :, : x.shape[2]] = x
        return wide

    def attend(self, query: Tensor, slopes: Tensor | None = None, scale: float | None = None) -> Tensor:
        """The rows [B, H, n, E] of queries [B, H, n, D] at each sequence's last n positions: O(n · H · L · (D + E)) for the longest length L."""
        rows, slots = positions(self.lengths, query.shape[2], query.device)
        distance = rows - slots
        length = slots.shape[-1]
        return attended(query, self.key[:, :, :length], self.value[:, :, :length], distance >= 0, scale, falling(slopes, distance, query))


def positions(lengths: list[int], n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The positions of each sequence's last n tokens [B, 1, n, 1], and all slots up to the longest sequence's end [1, 1, 1, L]."""
    return last(lengths, n, device), torch.arange(max(lengths, default=0), device=device)[None, None, None]


def last(lengths: list[int], n: int, device: torch.device) -> Tensor:
    """The positions of each sequence's last n tokens [B, 1, n, 1]."""
    ends = torch.tensor(lengths, dtype=torch.int64, device=device)
    return (ends[:, None] - n + torch.arange(n, device=device))[:, None, :, None]


def counted(counts: list[int] | None, sequences: int, n: int) -> list[int]:
    """How many of n new tokens each sequence takes; None: all. Raises ValueError for another number of sequences, or a count outside 0 … n."""
    counts = [n] * sequences if counts is None else list(counts)
    if len(counts) != sequences or not all(0 <= count <= n for count in counts):
        raise ValueError(f"counts {counts}: expected {sequences}, one a sequence, each 0 … {n}")
    return counts


def fits(keys: Tensor, values: Tensor, key: Tensor, value: Tensor) -> None:
    """Raise ValueError, quoting both, unless new tokens fit what a cache [B, G, C, D] and [B, G, C, E] holds."""
    for name, held, new in (("key", keys, key), ("value", values, value)):
        if new.dim() != 4 or new.shape[:2] != held.shape[:2] or new.shape[3] != held.shape[3]:
            wanted = f"[{held.shape[0]}, {held.shape[1]}, n, {held.shape[3]}]"
            raise ValueError(f"{name} {tuple(new.shape)}: this cache takes {wanted}: sequences, heads, tokens, width")
        if new.dtype != held.dtype or new.device != held.device:
            raise ValueError(f"{name} is {new.dtype} on {new.device}: this cache holds {held.dtype} on {held.device}; convert it first")
        if new.requires_grad and torch.is_grad_enabled():
            raise ValueError(f"{name} wants a gradient, and a cache passes none: detach it, or call under torch.no_grad()")
    if key.shape[2] != value.shape[2]:
        raise ValueError(f"key {tuple(key.shape)} and value {tuple(value.shape)} have different numbers of tokens")


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    parts: tuple[int, ...],
    past_lengths: Tensor | None = None,
    slopes: Tensor | None = None,
    scale: float | None = None,
    *,
    capacity: int | None = None,
    grows: bool = False,
    unused: float = 0.0,
    overwritten: float | None = None,
) -> Tensor:
    """As the reference, without a gradient: the keys before the first query are one append, each part another, and its rows read the cache.

    `capacity` defaults to as many slots as tokens. With `overwritten`, every part is handed over in tensors that are filled with this number before the rows
    are computed, as a caller does who reuses them.
    """
    check_shapes(query, key, value, prefix=True)
    before = key.shape[2] - query.shape[2]
    past = checked(past_lengths, key.shape[0], before)
    held = empty(key, value, key.shape[2] if capacity is None else capacity, grows=grows, unused=unused)
    handed(held, key[:, :, :before], value[:, :, :before], overwritten, past.tolist())
    outputs = [query.new_zeros(*query.shape[:2], 0, value.shape[-1])]
    for rows in spans(parts, query.shape[2]):
        new = slice(before + rows.start, before + rows.stop)
        handed(held, key[:, :, new], value[:, :, new], overwritten)
        outputs.append(held.attend(query[:, :, rows.start : rows.stop], slopes, scale))
    return torch.cat(outputs, dim=2)


def empty(key: Tensor, value: Tensor, capacity: int, *, grows: bool = False, unused: float = 0.0) -> KeyValueCache:
    """A cache without a token, for sequences, heads, widths, dtype and device like those of key [B, G, M, D] and value [B, G, M, E]."""
    b, g, _, d = key.shape
    return KeyValueCache(b, g, capacity, d, value.shape[3], key.dtype, str(key.device), grows=grows, unused=unused)


def handed(held: KeyValueCache, key: Tensor, value: Tensor, overwritten: float | None, counts: list[int] | None = None) -> None:
    """Append copies that are the caller's own, and overwrite them; or the tensors themselves."""
    if overwritten is None:
        return held.append(key, value, counts)
    key, value = key.clone(), value.clone()
    held.append(key, value, counts)
    key.fill_(overwritten)
    value.fill_(overwritten)
