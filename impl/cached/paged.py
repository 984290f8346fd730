"""Incremental decoding with a paged cache: sequences share a pool of pages, and a table says which page holds which of their tokens (PagedAttention)."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.cached.cache import counted, fits, positions
from impl.cached.reference import checked
from impl.streamed import attended, check_shapes, falling, spans

PAGE = 16  # tokens a page


class PagedCache:
    """A pool of pages: keys [G, pages, page, D] and values [G, pages, page, E]. Token t of sequence b stands in page `table[b, t // page]`, at t % page.

    `table` int [B, most pages of a sequence]: pages in any order; no page twice among those that are used; entries that no token reaches may be −1. A page
    that no sequence owns, and the rest of a last page, may hold anything: `unused` at first.
    """

    def __init__(
        self, table: Tensor, pages: int, page: int, heads: int, key_width: int, value_width: int, dtype: torch.dtype = torch.float32, *, unused: float = 0.0
    ) -> None:
        if page < 1:
            raise ValueError(f"page {page}: a page has room for 1 token or more")
        if table.dim() != 2 or table.is_floating_point():
            raise ValueError(f"page table {tuple(table.shape)} of {table.dtype}: expected whole numbers [sequences, pages of a sequence]")
        self.key = torch.full((heads, pages, page, key_width), unused, dtype=dtype, device=table.device)
        self.value = torch.full((heads, pages, page, value_width), unused, dtype=dtype, device=table.device)
        self.table, self.page = table.to(torch.int64, copy=True), page
        self.lengths = [0] * table.shape[0]

    def append(self, key: Tensor, value: Tensor, counts: list[int] | None = None) -> None:
        """Copy the first `counts[b]` of n new tokens (None: all) behind what sequence b has; key [B, G, n, D], value [B, G, n, E]. Raises ValueError, and
        leaves the cache as it is, as KeyValueCache does, and for a token whose page the table does not have, is not in the pool, or is another token's."""
        shape = len(self.lengths), self.key.shape[0], 0
        fits(self.key.new_empty(*shape, self.key.shape[3]), self.value.new_empty(*shape, self.value.shape[3]), key, value)
        counts = counted(counts, len(self.lengths), key.shape[2])
        lengths = [length + count for length, count in zip(self.lengths, counts, strict=True)]
        self.check_pages(lengths)
        for b, (start, stop) in enumerate(zip(self.lengths, lengths, strict=True)):
            slots = self.slots(b, start, stop)
            self.key.flatten(1, 2)[:, slots] = key[b, :, : stop - start]
            self.value.flatten(1, 2)[:, slots] = value[b, :, : stop - start]
        self.lengths = lengths

    def check_pages(self, lengths: list[int]) -> None:
        """Raise ValueError unless the table gives pages of the pool, no page twice, to sequences of these lengths."""
        pages, owned = self.key.shape[1], []
        for b, length in enumerate(lengths):
            needed = -(-length // self.page)
            if needed > self.table.shape[1]:
                raise ValueError(f"sequence {b} needs {needed} pages for {length} tokens, its row of the page table has {self.table.shape[1]}")
            owned += self.table[b, :needed].tolist()
        if outside := [page for page in owned if not 0 <= page < pages]:
            raise ValueError(f"page {outside[0]} in the page table: the pool has the pages 0 … {pages - 1}")
        if len(set(owned)) < len(owned):
            raise ValueError(f"pages {owned} in use: one stands there twice, and a page belongs to one place of one sequence")

    def slots(self, b: int, start: int, stop: int) -> Tensor:
        """Where tokens start … stop − 1 of a sequence stand in the pool, its pages laid end to end."""
        tokens = torch.arange(start, stop, device=self.table.device)
        return self.table[b, tokens // self.page] * self.page + tokens % self.page

    def attend(self, query: Tensor, slopes: Tensor | None = None, scale: float | None = None) -> Tensor:
        """The rows [B, H, n, E] of queries [B, H, n, D] at each sequence's last n positions."""
        rows, slots = positions(self.lengths, query.shape[2], query.device)
        distance = rows - slots
        key, value = (self.gathered(x, slots.shape[-1]) for x in (self.key, self.value))
        return attended(query, key, value, distance >= 0, scale, falling(slopes, distance, query))

    def gathered(self, pool: Tensor, length: int) -> Tensor:
        """[G, pages, page, D] → [B, G, L, D]: each sequence's tokens in order; places beyond its own end are read from the page 0 of the pool."""
        tokens = torch.arange(length, device=pool.device)
        ends = torch.tensor(self.lengths, dtype=torch.int64, device=pool.device)
        own = self.table[:, tokens // self.page] * self.page + tokens % self.page  # [B, L]
        return pool.flatten(1, 2)[:, torch.where(tokens < ends[:, None], own, 0)].transpose(0, 1)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    parts: tuple[int, ...],
    past_lengths: Tensor | None = None,
    slopes: Tensor | None = None,
    scale: float | None = None,
    *,
    page: int = PAGE,
    page_table: Tensor | None = None,
    unused: float = 0.0,
) -> Tensor:
    """As the reference, without a gradient. `page_table` defaults to the pages in order, sequence by sequence; the pool has as many pages as its largest entry
    says, and one more that is nobody's. Source: Kwon et al. 2023, section 4.1, https://arxiv.org/abs/2309.06180"""
    check_shapes(query, key, value, prefix=True)
    b, g, m, d = key.shape
    before = m - query.shape[2]
    past = checked(past_lengths, b, before)
    table = in_order(b, -(-m // page)) if page_table is None else page_table
    pages = max(int(table.max()) if table.numel() else -1, 0) + 2
    held = PagedCache(table.to(key.device), pages, page, g, d, value.shape[3], key.dtype, unused=unused)
    held.append(key[:, :, :before], value[:, :, :before], past.tolist())
    outputs = [query.new_zeros(*query.shape[:2], 0, value.shape[-1])]
    for rows in spans(parts, query.shape[2]):
        new = slice(before + rows.start, before + rows.stop)
        held.append(key[:, :, new], value[:, :, new])
        outputs.append(held.attend(query[:, :, rows.start : rows.stop], slopes, scale))
    return torch.cat(outputs, dim=2)


def in_order(sequences: int, pages: int) -> Tensor:
    """Pages 0, 1, … for the first sequence, the next for the second, and so on."""
    return torch.arange(sequences * pages).reshape(sequences, pages)
