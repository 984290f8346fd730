"""Attention over recent tokens and a compressed past, token by token, from a state of slots + window + group − 1 keys and values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impl.compressed_state.reference import check, means
from impl.masked import accumulation
from impl.streamed import attended, spans


@dataclass(slots=True, kw_only=True)
class CompressiveMemory:
    """Keys and values of tokens (`recent`, `values` [B, G, r, ·], r < window + group) and of compressed groups (`old`, `old_values` [B, G, ≤ slots, ·])."""

    recent: Tensor
    values: Tensor
    old: Tensor
    old_values: Tensor
    window: int
    group: int
    slots: int

    def append(self, key: Tensor, value: Tensor) -> None:
        """Add one token, [B, G, 1, D] and [B, G, 1, E]; the oldest tokens are compressed once a whole group of them is older than the window."""
        self.recent, self.values = torch.cat((self.recent, key), 2), torch.cat((self.values, value), 2)
        if self.recent.shape[2] >= self.window + self.group:
            self.old, self.old_values = self.pushed(self.old, self.recent), self.pushed(self.old_values, self.values)
            self.recent, self.values = self.recent[:, :, self.group :], self.values[:, :, self.group :]

    def pushed(self, old: Tensor, recent: Tensor) -> Tensor:
        """The slots with the mean of the oldest group behind them, and without the first where there are too many."""
        longer = torch.cat((old, means(recent[:, :, : self.group], self.group)), 2)
        return longer[:, :, max(longer.shape[2] - self.slots, 0) :]

    def attend(self, query: Tensor, scale: float | None = None) -> Tensor:
        """The row [B, H, 1, E] of the last token's query: O(H · (slots + window + group)(D + E))."""
        keys, values = torch.cat((self.old, self.recent), 2), torch.cat((self.old_values, self.values), 2)
        return attended(query, keys, values, keys.new_ones(1, 1, 1, keys.shape[2], dtype=torch.bool), scale)


def attention(query: Tensor, key: Tensor, value: Tensor, parts: tuple[int, ...], window: int, group: int, slots: int, scale: float | None = None) -> Tensor:
    """As the reference, in N steps; what is kept between two of them does not grow with the sequence."""
    check(query, key, value, parts, window, group, slots)
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    none, nothing = k[:, :, :0], v[:, :, :0]
    held = CompressiveMemory(recent=none, values=nothing, old=none, old_values=nothing, window=window, group=group, slots=slots)
    outputs = [q.new_zeros(*query.shape[:2], 0, value.shape[-1])]
    for rows in spans(parts, query.shape[2]):
        for t in rows:
            held.append(k[:, :, t : t + 1], v[:, :, t : t + 1])
            outputs.append(held.attend(q[:, :, t : t + 1], scale))
    return torch.cat(outputs, dim=2).to(query.dtype)
