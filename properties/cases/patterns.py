"""Sparse patterns: which keys a row sees, by the definition of each, as a statement about two positions; softmax attention over those."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from impl.variant import Implementation
from properties.narrowed import averaged
from properties.posed import Place, Posed, case
from properties.posing import Masking, Sizes, masking, posed, sizes
from properties.simplex import factor
from properties.tracked import Tracked, contract

Sees = Callable[[int, int], bool]  # position of a row, position of a key
SCALES = (None, 1.0, 0.3, -0.5, 0.0, 8.0)
STARTS = (0, 0, 0, 1, 4)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chosen:
    """A pattern: the arguments that name it, what it shows, and the arguments under which it hides nothing, where there are any."""

    arguments: tuple[Any, ...]
    sees: Sees
    whole: tuple[Any, ...] | None
    regime: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patterned:
    """A call under a pattern: what it is made of, so that laws can make others like it."""

    s: Sizes
    pattern: Chosen
    tensors: tuple[Tensor, Tensor, Tensor]
    mask: Masking
    is_causal: bool
    start: int
    scale: float | None

    @property
    def shown(self) -> npt.NDArray[np.bool_]:
        """The pattern alone, [N, M]."""
        return table(self.pattern.sees, self.s.n, self.s.m, self.start)

    @property
    def visible(self) -> npt.NDArray[np.bool_]:
        """What each row sees in all, [B, H, N, M]."""
        found: npt.NDArray[np.bool_] = self.beside & self.shown
        return found

    @property
    def beside(self) -> npt.NDArray[np.bool_]:
        """What the mask and causality leave, [B, H, N, M]."""
        causal = table(lambda i, j: j <= i or not self.is_causal, self.s.n, self.s.m, self.start)
        found: npt.NDArray[np.bool_] = self.mask.visible & causal
        return found

    @property
    def keywords(self) -> dict[str, Any]:
        """Those of the call but for the mask."""
        given: dict[str, Any] = {} if self.scale is None else {"scale": self.scale}
        return given | ({"is_causal": True} if self.is_causal else {}) | ({"start": self.start} if self.start else {})

    def posed(self) -> Posed:
        """The call with its definition."""
        return self.called(self.pattern.arguments, self.visible)

    def called(self, arguments: tuple[Any, ...], visible: npt.NDArray[np.bool_]) -> Posed:
        """The call with these arguments after the value, which show these pairs."""
        mask = replace(self.mask, visible=visible)

        def define(t: Mapping[Place, Tracked]) -> Tracked:
            scores = contract("bhnd,bhmd->bhnm", t[0], t[1]) * factor(self.scale, self.s.d, t[0].rounding)
            return averaged(mask(scores, t), t[2], visible)

        regimes = self.pattern.regime, f"causal: {self.is_causal}", f"start: {self.start}", f"scale: {self.scale}"
        return posed(self.s, mask, (*self.tensors, *arguments), define, keywords=self.keywords, ordered=("keys", "queries"), regimes=regimes)


def table(sees: Sees, n: int, m: int, start: int) -> npt.NDArray[np.bool_]:
    """[N, M]: whether the row at position start + i sees key j."""
    return np.array([[sees(start + i, j) for j in range(m)] for i in range(n)], dtype=np.bool_).reshape(n, m)


def fixed_window(draw: st.DrawFn, s: Sizes, start: int) -> Chosen:
    """A row sees its block, and the last positions of all blocks."""
    w = draw(st.sampled_from((2, 3, 1, 4, s.n + 1)), label="window")
    c = draw(st.sampled_from((0, 0, 1, w)), label="representatives")
    return Chosen(
        arguments=(w, c),
        sees=lambda i, j: i // w == j // w or j % w >= w - c,
        whole=(start + s.n + s.m, 0),
        regime=f"blocks: {'one' if w > max(start + s.n, s.m) else 'several'}, representatives: {'none' if not c else 'some' if c < w else 'all'}",
    )


def sliding_window(draw: st.DrawFn, s: Sizes, start: int) -> Chosen:
    """A number of keys, or widths to both sides, also 0 and beyond the ends."""
    least = max(s.n, 1)
    windows: tuple[int | tuple[int, int], ...] = 2, 1, 3, 4, least - 1 or 1, least, least + 1, (0, 0), (2, 0), (0, 3), (1, 2), (3, 1), (s.m + 1, 1)
    window = draw(st.sampled_from(windows), label="window")
    left, right = (window - 1, window - 1) if isinstance(window, int) else window
    return Chosen(
        arguments=(window,),
        sees=lambda i, j: -left <= j - i <= right,
        whole=(start + s.n + s.m + 1,),
        regime=f"window: {'a number' if isinstance(window, int) else 'a pair'}, {'beyond the ends' if left >= start + s.n - 1 else 'within'}",
    )


def strided(draw: st.DrawFn, s: Sizes, start: int) -> Chosen:
    k = draw(st.sampled_from((2, 3, 1, 4, 11)), label="stride")
    return Chosen(arguments=(k,), sees=lambda i, j: (i - j) % k == 0, whole=(1,), regime=f"stride: {k}")


def dilated(draw: st.DrawFn, s: Sizes, start: int) -> Chosen:
    """Distances 0, 1, 2, 4, 8: a power of 2 shares no bit with the number before it."""
    return Chosen(arguments=(), sees=lambda i, j: abs(i - j) & (abs(i - j) - 1) == 0 if i != j else True, whole=None, regime="distances: powers of 2")


def block_sparse(draw: st.DrawFn, s: Sizes, start: int) -> Chosen:
    """Local and global blocks, or any; rows of blocks that name none, and blocks that no row names; a layout that goes on beyond the ends."""
    b = draw(st.sampled_from((2, 3, 1, 4)), label="block")
    shape = -(-(start + s.n) // b) + draw(st.sampled_from((0, 1)), label="rows beyond"), -(-s.m // b)
    kind = draw(st.sampled_from(("local and global", "any", "few")), label="layout")
    if kind == "local and global":
        layout = torch.eye(*shape, dtype=torch.bool)
        layout[:, : draw(st.sampled_from((1, 0, 2)), label="global blocks")] = True
    else:
        layout = torch.rand(shape, generator=s.random) < {"any": 0.6, "few": 0.2}[kind]
    return Chosen(
        arguments=(b, layout),
        sees=lambda i, j: bool(layout[i // b, j // b]),
        whole=(b, torch.ones(shape, dtype=torch.bool)),
        regime=f"layout: {kind}, blocks of {b}",
    )


def listed(draw: st.DrawFn, s: Sizes, start: int) -> Tensor:
    """[L, R]: R different keys for each position, in any order; some lists shorter (−1), or naming keys beyond the last."""
    rows, each = start + s.n, draw(st.sampled_from((2, 1, 3, 0)), label="keys a row")
    order = torch.rand((rows, s.m + each), generator=s.random).argsort(-1)[:, :each]
    return torch.where((order >= s.m) & (torch.rand(order.shape, generator=s.random) < 0.5), -1, order)


def every_key(s: Sizes, start: int) -> Tensor:
    return torch.arange(s.m).expand(start + s.n, s.m).contiguous()


def random_keys(draw: st.DrawFn, s: Sizes, start: int) -> Chosen:
    indices = listed(draw, s, start)
    rows = [set(row) for row in indices.tolist()]
    return Chosen(arguments=(indices,), sees=lambda i, j: j in rows[i], whole=(every_key(s, start),), regime=f"keys a row: {indices.shape[1]}")


def tokens(draw: st.DrawFn, s: Sizes) -> tuple[int, ...]:
    """Global positions: none, the first, the last row's, one beyond the end; twice the same."""
    last = max(s.n - 1, 0)
    return draw(st.sampled_from(((), (0,), (last,), (0, last), (1, 1), (2, s.n + s.m))), label="global tokens")


def longformer(draw: st.DrawFn, s: Sizes, start: int) -> Chosen:
    w, d, g = draw(st.sampled_from((1, 0, 2, 9)), label="window"), draw(st.sampled_from((1, 2, 3)), label="dilation"), tokens(draw, s)
    return Chosen(
        arguments=(w, d, g),
        sees=lambda i, j: (abs(i - j) <= w * d and (i - j) % d == 0) or i in g or j in g,
        whole=(start + s.n + s.m, 1, ()),
        regime=f"dilation: {d}, global tokens: {len(set(g))}",
    )


def bigbird(draw: st.DrawFn, s: Sizes, start: int) -> Chosen:
    w, indices, g = draw(st.sampled_from((1, 0, 2)), label="window"), listed(draw, s, start), tokens(draw, s)
    rows = [set(row) for row in indices.tolist()]
    return Chosen(
        arguments=(w, indices, g),
        sees=lambda i, j: abs(i - j) <= w or j in rows[i] or i in g or j in g,
        whole=(start + s.n + s.m, indices, ()),
        regime=f"keys a row: {indices.shape[1]}, global tokens: {len(set(g))}",
    )


PATTERNS: dict[str, Callable[[st.DrawFn, Sizes, int], Chosen]] = {
    "fixed-window": fixed_window,
    "sliding-window": sliding_window,
    "strided": strided,
    "dilated": dilated,
    "block-sparse": block_sparse,
    "random-keys": random_keys,
    "longformer": longformer,
    "bigbird": bigbird,
}


@st.composite
def patterned(
    draw: st.DrawFn, subject: Implementation, *, masks: bool = True, moderate: bool = False, square: bool = False, starts: tuple[int, ...] = STARTS,
    causal: tuple[bool, ...] = (False, True),
) -> Patterned:  # fmt: skip
    """A call of the subject's variant. `moderate` scores are small, so that no weight is; causality is drawn apart from the mask: both count together."""
    limits = replace(subject.limits, causal=False) if masks else replace(subject.limits, causal=False, masks=("none",))
    s = sizes(draw, subject, square=square)
    if moderate:
        s = replace(s, regime="normal", profile="plain")
    mask = masking(draw, replace(subject, limits=limits), s)
    start = draw(st.sampled_from(starts), label="start")
    return Patterned(
        s=s,
        pattern=PATTERNS[subject.variant.name](draw, s, start),
        tensors=(s.query(), s.key(), s.value()),
        mask=mask,
        is_causal=subject.limits.causal and draw(st.sampled_from(causal), label="is_causal"),
        start=start,
        scale=draw(st.sampled_from(SCALES), label="scale") if subject.limits.scale and not moderate else None,
    )


@st.composite
def any_call(draw: st.DrawFn, subject: Implementation) -> Posed:
    """A call with its definition."""
    return draw(patterned(subject)).posed()


case("fixed-window")(any_call)
case("sliding-window")(any_call)
case("strided")(any_call)
case("dilated")(any_call)
case("block-sparse")(any_call)
case("random-keys")(any_call)
case("longformer")(any_call)
case("bigbird")(any_call)
