"""The launch side of `impl.cached.kernel`: arguments, how many splits, the custom operator with its fake kernel, costs, and the specimens that are compiled."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from impl._triton.launch import Launch
from impl._triton.specimen import Cost, Specimen
from impl.cached import kernel
from impl.scaled_dot_product.launch import ACCUMULATORS, strides, target_of


class Tile(NamedTuple):
    """Rows and columns (keys) of a tile, warps a program, and stages of the loads' pipeline. Of `rows`, as many as a call needs are taken."""

    rows: int
    columns: int
    warps: int
    stages: int


# target → by the larger padded width up to 64, 128, 256; the most rows of a program, which is what one read of a key serves
TABLE: dict[str, tuple[Tile, Tile, Tile]] = {
    "sm_80": (Tile(64, 64, 4, 3), Tile(64, 64, 4, 3), Tile(32, 32, 4, 3)),
    "sm_90": (Tile(64, 64, 4, 3), Tile(64, 64, 4, 3), Tile(32, 32, 4, 3)),
    "sm_100": (Tile(64, 64, 4, 3), Tile(64, 64, 4, 3), Tile(32, 32, 4, 3)),
    "gfx942": (Tile(64, 64, 4, 1), Tile(64, 64, 4, 1), Tile(32, 32, 4, 1)),
}
CAUTIOUS = Tile(16, 32, 4, 1)
LEAST_ROWS = 16  # of a product on tensor cores
PROCESSORS = {"sm_80": 108, "sm_90": 132, "sm_100": 148, "gfx942": 304}  # of the devices in reports/roofline.py
A_PROCESSOR, LEAST_TILES, MOST_SPLITS = 4, 2, 128  # programs that a multiprocessor should get; tiles that a split has at least; splits at most
MERGED = (1, 16, 4)  # rows a program of `merge`, splits at a time, warps


def chosen(target: str, width: int, bytes_each: int) -> Tile:
    """What ships for a target and the larger padded width; "interpreter" takes what ships for sm_90."""
    table = TABLE.get("sm_90" if target == "interpreter" else target)
    return CAUTIOUS if table is None or bytes_each > 2 else table[0 if width <= 64 else 1 if width <= 128 else 2]


def keys_a_split(longest: int, programs: int, processors: int, columns: int) -> int:
    """How many keys a split has, a multiple of `columns`: as few as let `programs` programs a split give each multiprocessor about `A_PROCESSOR` of them, but
    `LEAST_TILES` tiles (the whole, if it is shorter), and so many that there are `MOST_SPLITS` splits at most. It depends on these numbers alone."""
    tiles = max(triton.cdiv(longest, columns), 1)
    wanted = triton.cdiv(A_PROCESSOR * processors, max(programs, 1))
    splits = max(min(wanted, tiles // LEAST_TILES, MOST_SPLITS), 1)
    return int(triton.cdiv(tiles, splits)) * columns


def processors_of(x: Tensor, target: str) -> int:
    """Multiprocessors of the device of a tensor, or of the target that stands for it."""
    if x.device.type == "cuda":
        return int(torch.cuda.get_device_properties(x.device).multi_processor_count)
    return PROCESSORS.get(target, PROCESSORS["sm_90"])


class Call:
    """The launches of one decode step. query [B, H, N, D]; key [G, pages, page, D] and value [G, pages, page, E] a pool; lengths [B] (int32), the largest of
    which is `longest`. table [B, pages of a sequence] with pages of `page` tokens; None: sequence b has page b alone. positions [slots]: the cache is a ring
    for `window` and `sinks`, and `longest` says how many of its slots are filled, the first ones. `keys` a split override `keys_a_split`; `tile` (Tile's
    four, then rows and splits at a time of the merge) overrides the table; `target` takes its row where there is no device."""

    def __init__(
        self, query: Tensor, key: Tensor, value: Tensor, lengths: Tensor, table: Tensor | None, slopes: Tensor | None, positions: Tensor | None,
        longest: int, page: int, window: int, sinks: int, scale: float, keys: int, tile: Sequence[int], target: str = "",
    ) -> None:  # fmt: skip
        self.query, self.key, self.value = query, key, value
        self.batch, self.heads, self.n, width = query.shape
        self.value_width, self.groups = value.shape[-1], key.shape[0]
        self.group = self.heads // self.groups
        padded, value_padded = (max(16, triton.next_power_of_2(x)) for x in (width, self.value_width))
        self.target = target or target_of(query)
        self.tile = Tile(*tile[:4]) if tile else chosen(self.target, max(padded, value_padded), query.element_size())
        self.merged = (*tile[4:6], MERGED[2]) if len(tile) > 4 else MERGED
        if not tile:  # no more rows than there are, sixteen at least
            self.tile = self.tile._replace(rows=min(max(LEAST_ROWS, triton.next_power_of_2(self.group * self.n)), self.tile.rows))
        self.blocks = triton.cdiv(self.group * self.n, self.tile.rows)
        programs = self.batch * self.groups * self.blocks
        self.keys = keys or keys_a_split(longest, programs, processors_of(query, self.target), self.tile.columns)
        self.splits = max(triton.cdiv(longest, self.keys), 1)
        wide = query.dtype if query.dtype == torch.float64 else torch.float32
        rows = self.batch * self.heads * self.n
        self.top, self.mass = (query.new_empty(rows, self.splits, dtype=wide) for _ in range(2))
        self.total = query.new_empty(rows, self.splits, self.value_width, dtype=wide)
        self.state: dict[str, Any] = {"TOP": self.top, "MASS": self.mass, "TOTAL": self.total}
        self.within = table is not None and page % self.tile.columns == 0 and self.keys % self.tile.columns == 0
        sign, scale = (0 if scale == 0 else 1 if scale > 0 else -1), abs(scale) or 1.0  # a maximum survives only a positive factor
        self.arguments = {
            "Q": query, "K": key, "V": value, **self.state, "lengths": lengths, "table": table if table is not None else lengths,
            "positions": positions, "slopes": slopes,
            **strides("q", query, "bhnd"), **strides("k", key, "gpsd"), **strides("v", value, "gpsd"), **strides("t", table, "bp"),
            **strides("a", slopes, "h"), "G": self.groups, "N": self.n, "KEYS": self.keys, "slots": longest, "window": window, "sinks": sinks,
            "scale": scale, "factor": scale * math.log2(math.e), "SIGN": sign, "GROUP": self.group, "ROWS": self.tile.rows, "COLUMNS": self.tile.columns,
            "D": padded, "E": value_padded, "WIDTH": width, "VALUE_WIDTH": self.value_width, "PAGE": page, "PAGED": table is not None,
            "WITHIN": self.within, "ALIBI": slopes is not None, "ROLLING": positions is not None, "ACC": ACCUMULATORS[query.dtype],
        }  # fmt: skip

    def partial(self) -> Launch:
        return Launch(
            kernel=kernel.partial,
            grid=(self.splits, self.batch * self.groups, self.blocks),
            arguments=self.arguments,
            options={"num_warps": self.tile.warps, "num_stages": self.tile.stages},
        )

    def merge(self, output: Tensor) -> Launch:
        """Into a contiguous output [B, H, N, E]."""
        rows, (block, splits, warps) = self.batch * self.heads * self.n, self.merged
        arguments = {
            **self.state, "O": output, "rows": rows, "splits": self.splits,
            "ROWS": block, "SPLITS": splits, "E": triton.next_power_of_2(max(self.value_width, 1)), "VALUE_WIDTH": self.value_width,
            "ACC": ACCUMULATORS[self.query.dtype],
        }  # fmt: skip
        return Launch(kernel=kernel.merge, grid=(triton.cdiv(rows, block),), arguments=arguments, options={"num_warps": warps, "num_stages": 2})

    def cost_of_partial(self, lengths: Sequence[int]) -> Cost:
        """For sequences of these lengths in pages or slots of their own, without a ring. A block of rows walks over the keys up to its last row's position, and
        each split reads its part of them once; products are as large as tiles, padding and all."""
        tile, a = self.tile, self.arguments
        tiles = keys = 0
        for length in lengths:
            for block in range(self.blocks):
                end = length - self.n + min(self.n, ((block + 1) * tile.rows - 1) // self.group + 1)
                spans = [min(end - start, self.keys) for start in range(0, end, self.keys)]
                tiles, keys = tiles + self.groups * sum(triton.cdiv(span, tile.columns) for span in spans), keys + self.groups * end
        width, size, rows = self.query.shape[-1], self.query.element_size(), self.batch * self.heads * self.n
        programs = self.splits * self.batch * self.groups * self.blocks
        numbers = (tiles if self.within else keys) * a["table"].element_size() * a["PAGED"] + programs * a["lengths"].element_size()
        slopes = self.splits * rows * a["slopes"].element_size() if a["ALIBI"] else 0
        return Cost(
            products=tiles * 2 * tile.rows * tile.columns * (a["D"] + a["E"]),
            functions=tiles * tile.rows * (tile.columns + 1),
            read=(keys * (width + self.value_width) + self.splits * rows * width) * size + numbers + slopes,
            written=self.splits * rows * (2 + self.value_width) * self.total.element_size(),
        )

    def cost_of_merge(self) -> Cost:
        """Every state is read once, and every output written once."""
        rows, (block, splits, _) = self.batch * self.heads * self.n, self.merged
        read = self.splits * rows * (2 + self.value_width) * self.total.element_size()
        steps = triton.cdiv(rows, block) * triton.cdiv(self.splits, splits)
        return Cost(products=0, functions=steps * block * (splits + 1), read=read, written=rows * self.value_width * self.query.element_size())


@torch.library.custom_op("attention_ledger::decoded", mutates_args=())
def decoded(
    query: Tensor, key: Tensor, value: Tensor, lengths: Tensor, table: Tensor | None, slopes: Tensor | None, positions: Tensor | None,
    longest: int, page: int, window: int, sinks: int, scale: float, keys: int, tile: Sequence[int],
) -> Tensor:  # fmt: skip
    """The rows [B, H, N, E] of queries at each sequence's last N positions. Arguments as `Call` takes them; `keys` 0 and an empty `tile` are what ships."""
    output = query.new_empty(*query.shape[:3], value.shape[-1])
    call = Call(query, key, value, lengths, table, slopes, positions, longest, page, window, sinks, scale, keys, tile)
    call.partial().run()
    call.merge(output).run()
    return output


@decoded.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> Tensor:
    return query.new_empty(*query.shape[:3], value.shape[-1])


SMALL = (4, 4, 4, 1, 16, 2)  # for the interpreter, which takes any size: short sequences have several tiles, splits and passes of the merge


def samples() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Operators with arguments, for `torch.library.opcheck`."""
    lengths = torch.tensor([5, 3], dtype=torch.int32)
    table = torch.tensor([[3, 0, 1], [4, 2, -1]])
    query, key, value = torch.randn(2, 2, 1, 3), torch.randn(1, 5, 2, 3), torch.randn(1, 5, 2, 2)
    yield decoded, (query, key, value, lengths, table, None, None, 5, 2, 0, 0, 0.5, 4, SMALL)
    yield decoded, (query, key[:, :2].repeat(1, 1, 3, 1), value[:, :2].repeat(1, 1, 3, 1), lengths, None, torch.ones(2), None, 5, 0, 0, 0, -0.5, 4, SMALL)
    ring = torch.tensor([0, 4, 5, 2, 3])
    yield decoded, (query, torch.randn(1, 2, 5, 3), torch.randn(1, 2, 5, 2), lengths * 0 + 6, None, None, ring, 5, 0, 3, 1, 0.5, 4, SMALL)


def specimens(target: str, dtype: torch.dtype) -> Iterator[Specimen]:
    """What is compiled, and for the target "interpreter" what is counted: decode steps of one new token, and one of several."""
    small = target == "interpreter"
    lengths = [9, 4, 1] if small else [4096] * 8
    shapes = ((3, 3, 2, 2), (3, 2, 1, 2), (5, 2, 1, 8)) if small else ((64, 64, 1, 16), (64, 64, 1, 64), (128, 128, 1, 16), (128, 128, 1, 64))
    for width, value_width, n, page in shapes:
        call = step(width, value_width, n, page, [max(length, n) for length in lengths], dtype, target)
        case = f"width {width}, pages of {page}"
        yield Specimen(kernel="partial", case=case, launch=call.partial(), cost=call.cost_of_partial([max(length, n) for length in lengths]))
        if page == shapes[0][3] or not small:
            output = call.query.new_empty(*call.query.shape[:3], value_width)
            yield Specimen(kernel="merge", case=case, launch=call.merge(output), cost=call.cost_of_merge())


def step(width: int, value_width: int, n: int, page: int, lengths: Sequence[int], dtype: torch.dtype, target: str) -> Call:
    """A decode step of `n` new tokens over a paged cache, with a table that goes backwards: 2 key heads for the interpreter, else 8, each for 4 query heads."""
    small = target == "interpreter"
    groups, each = (2 if small else 8), max(triton.cdiv(length, page) for length in lengths)
    table = torch.arange(len(lengths) * each, dtype=torch.int32).flip(0).reshape(len(lengths), each)
    query = torch.rand(len(lengths), 4 * groups, n, width).to(dtype)
    key, value = (torch.zeros(groups, len(lengths) * each, page, x, dtype=dtype) for x in (width, value_width))
    own = torch.tensor(lengths, dtype=torch.int32)
    slopes = torch.ones(4 * groups, dtype=dtype) if small and n > 1 else None
    keys, tile = (4, SMALL) if small else (0, ())
    return Call(query, key, value, own, table, slopes, None, max(lengths), page, 0, 0, 1 / math.sqrt(width), keys, tile, target)
