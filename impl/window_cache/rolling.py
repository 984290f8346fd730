"""Sliding-window attention with sinks over a rolling cache: token t is written where the token that no later row sees was."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.cached.cache import fits
from impl.streamed import attended, spans
from impl.window_cache.reference import check, shown

PIECE = 16  # rows computed at once


class RollingCache:
    """Keys [B, G, S + R, D] and values [B, G, S + R, E]: S sinks, which stay, and a ring of R = window + piece − 1 slots, whatever the sequence's length.

    Token t stands in slot t below S, else in slot S + (t − S) mod R. `at` [S + R] is the position of the token in each slot, −1 where there is none yet;
    `unused` is what such a slot holds: it has no influence.
    """

    def __init__(
        self, sequences: int, heads: int, window: int, sinks: int, piece: int, key_width: int, value_width: int, dtype: torch.dtype = torch.float32,
        device: str = "cpu", *, unused: float = 0.0,
    ) -> None:  # fmt: skip
        if window < 1 or sinks < 0 or piece < 1:
            raise ValueError(f"window {window}, sinks {sinks}, piece {piece}: a window and a piece have 1 token or more, and there are 0 sinks or more")
        self.ring = window + piece - 1
        slots = sinks + self.ring
        self.key = torch.full((sequences, heads, slots, key_width), unused, dtype=dtype, device=device)
        self.value = torch.full((sequences, heads, slots, value_width), unused, dtype=dtype, device=device)
        self.at = torch.full((slots,), -1, device=device)
        self.window, self.sinks, self.piece, self.length = window, sinks, piece, 0

    def append(self, key: Tensor, value: Tensor) -> None:
        """Copy n ≤ piece new tokens, [B, G, n, D] and [B, G, n, E], over the oldest. Raises ValueError as KeyValueCache does, and for more tokens at once."""
        fits(self.key, self.value, key, value)
        if key.shape[2] > self.piece:
            raise ValueError(f"{key.shape[2]} tokens at once: this cache takes {self.piece}, more would push out what their first rows still see")
        tokens = torch.arange(self.length, self.length + key.shape[2], device=self.at.device)
        slots = torch.where(tokens < self.sinks, tokens, self.sinks + (tokens - self.sinks) % self.ring)
        self.key[:, :, slots], self.value[:, :, slots], self.at[slots] = key, value, tokens
        self.length += key.shape[2]

    def attend(self, query: Tensor, scale: float | None = None) -> Tensor:
        """The rows [B, H, n, E] of queries [B, H, n, D] at the last n ≤ piece positions: O(n · H · (S + R)(D + E)), whatever the sequence's length."""
        rows = torch.arange(self.length - query.shape[2], self.length, device=self.at.device)
        return attended(query, self.key, self.value, shown(rows, self.at, self.window, self.sinks)[None, None], scale)


def attention(
    query: Tensor, key: Tensor, value: Tensor, parts: tuple[int, ...], window: int, sinks: int = 0, scale: float | None = None, *,
    piece: int = PIECE, unused: float = 0.0, overwritten: float | None = None,
) -> Tensor:  # fmt: skip
    """As the reference, without a gradient, a part in pieces of no more than `piece` rows.

    With `overwritten`, each piece is handed over in tensors that are filled with this number before its rows are computed.
    """
    check(query, key, value, window, sinks)
    held = RollingCache(key.shape[0], key.shape[1], window, sinks, piece, key.shape[3], value.shape[3], key.dtype, str(key.device), unused=unused)
    outputs = [query.new_zeros(*query.shape[:2], 0, value.shape[-1])]
    for part in spans(parts, query.shape[2]):
        for start in range(part.start, part.stop, piece):
            here = slice(start, min(start + piece, part.stop))
            k, v = (x[:, :, here] if overwritten is None else x[:, :, here].clone() for x in (key, value))
            held.append(k, v)
            if overwritten is not None:
                k.fill_(overwritten)
                v.fill_(overwritten)
            outputs.append(held.attend(query[:, :, here], scale))
    return torch.cat(outputs, dim=2)
