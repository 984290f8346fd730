"""How calls are drawn: sizes, numbers and their profiles, masks, memory layouts. What a variant's calls have beside these is said in properties/cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from impl.variant import Implementation
from properties.inputs import LAYOUTS, draw_lengths, numbers, plain, relaid, value_numbers
from properties.posed import Definition, Place, Posed
from properties.tracked import Tracked


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """B sequences, H heads, N queries, M keys, widths D and E."""

    b: int
    h: int
    n: int
    m: int
    d: int
    e: int
    dtype: torch.dtype
    random: torch.Generator
    regime: str
    layout: str
    profile: str

    def query(self) -> Tensor:
        """Queries [B, H, N, D]; unless the scores are drawn plain, their first feature is 1."""
        x = self.tensor(self.b, self.h, self.n, self.d)
        if self.profile != "plain":
            x[..., 0] = 1
        return x

    def key(self) -> Tensor:
        """Keys [B, H, M, D] whose first feature gives the scores of dot products their profile: far from 0 all alike, or rising."""
        x = self.tensor(self.b, self.h, self.m, self.d)
        if self.profile == "rising":
            x[..., 0] = 4 * torch.arange(self.m, dtype=self.dtype)
        elif self.profile != "plain":
            x[..., 0] = {"shifted up": 1, "shifted down": -1}[self.profile] * (2000 if self.dtype == torch.float64 else 250)
        return x

    def value(self) -> Tensor:
        """Values [B, H, M, E]: of the drawn regime, or one-hot in half of the other profiles."""
        if self.profile in ("rising", "shifted down"):
            return value_numbers((self.b, self.h, self.m, self.e), "one-hot", self.random).to(self.dtype)
        return self.tensor(self.b, self.h, self.m, self.e)

    def tensor(self, *shape: int, regime: str | None = None, times: float = 1.0) -> Tensor:
        """Numbers of the drawn regime (or another) in the dtype."""
        return (numbers(shape, regime or self.regime, self.random) * times).to(self.dtype)

    @property
    def regimes(self) -> tuple[str, ...]:
        return (f"scores: {self.profile}", f"numbers: {self.regime}", f"dtype: {str(self.dtype).removeprefix('torch.')}", f"layout: {self.layout}")


REGIMES = ("small integers", "normal", "tiny", "wide")
PROFILES = ("plain", "plain", "plain", "shifted up", "shifted down", "rising")
SHORT, PAIRS = 17, 600  # where a subject wants long axes too: short ones mostly, and as many pairs of query and key as the true values can afford


def sizes(draw: st.DrawFn, subject: Implementation, *, lengths: tuple[int, ...] = (), widths: tuple[int, ...] = (1, 2, 3, 5), square: bool = False) -> Sizes:
    """Sizes inside the limits, all distinct where they may be; lengths also at each tile edge and one either side of it, or those given."""
    limits = subject.limits
    allowed = [x for x in draw_lengths(limits) if not lengths or x in lengths] or draw_lengths(limits)[:1]
    if limits.long:
        short = [x for x in allowed if x < SHORT] or allowed[:1]
        allowed = draw(st.sampled_from((short, short, short, [x for x in allowed if x <= PAIRS] or short)), label="lengths")
    filled = [x for x in allowed if x]
    if subject.conventions.dead_rows != "zero":
        allowed = filled
    n = draw(st.sampled_from([x for x in allowed if not limits.long or x * (x if square else 1) <= PAIRS] or filled[:1]), label="n")
    keys = [x for x in (allowed if limits.zero_length else filled) if not limits.long or n * x <= PAIRS] or filled[:1]
    d = draw(st.sampled_from(limits.widths or widths), label="d")
    small = n <= 5
    return Sizes(
        b=draw(st.sampled_from((1, 2, 3) if small else (1,)), label="b"),
        h=draw(st.sampled_from((1, 2, 3) if small else (1, 2)), label="h"),
        n=n,
        m=n if square or not limits.unequal_lengths else draw(st.sampled_from(keys), label="m"),
        d=d,
        e=draw(st.sampled_from((1, 2, 3)), label="e") if limits.unequal_widths else d,
        dtype=getattr(torch, draw(st.sampled_from(limits.dtypes), label="dtype")),
        random=torch.Generator().manual_seed(draw(st.integers(0, 2**16), label="seed")),
        regime=draw(st.sampled_from(REGIMES), label="numbers"),
        layout=draw(st.sampled_from([x for x in LAYOUTS[limits.strides] if x != "expanded"]), label="layout"),
        profile=draw(st.sampled_from(PROFILES), label="scores"),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Masking:
    """What a call hides: its keywords, the visible pairs [B, H, N, M], and whether the subject has gradients of an additive mask."""

    keywords: dict[str, Any]
    visible: npt.NDArray[np.bool_]
    graded: bool
    regime: str

    def __call__(self, scores: Tracked, t: Mapping[Place, Tracked]) -> Tracked:
        """The scores with the additive mask added, which is a leaf of its own; hidden pairs keep theirs."""
        return scores + t["attn_mask"].where(np.isfinite(t["attn_mask"].middle)) if self.additive else scores

    @property
    def additive(self) -> bool:
        return "attn_mask" in self.keywords and self.keywords["attn_mask"].is_floating_point()

    @property
    def wanted(self) -> tuple[Place, ...]:
        """The mask, where it has a gradient."""
        return ("attn_mask",) if self.additive and self.graded else ()

    @property
    def batched(self) -> tuple[Place, ...]:
        """A mask for each sequence goes with its sequence."""
        return ("attn_mask",) if "attn_mask" in self.keywords and self.keywords["attn_mask"].dim() == 4 else ()

    @property
    def by_key(self) -> dict[Place, int]:
        """The mask's axis of keys."""
        return {"attn_mask": -1} if "attn_mask" in self.keywords else {}

    @property
    def by_query(self) -> dict[Place, int]:
        """The mask's axis of queries; one of length 1 has no order."""
        return {"attn_mask": -2} if "attn_mask" in self.keywords else {}

    @property
    def ordered(self) -> tuple[str, ...]:
        """Causality orders both."""
        return ("keys", "queries") if "is_causal" in self.keywords else ()


def masking(draw: st.DrawFn, subject: Implementation, s: Sizes) -> Masking:
    """A mask inside the limits, for calls with `attn_mask` and `is_causal`."""
    limits, both = subject.limits, subject.conventions.mask_and_causal == "both"
    allowed = ["none"]
    allowed += ["boolean", "per sequence", "first half hidden", "dead row"] if "boolean" in limits.masks else []
    allowed += ["additive", "additive with -inf"] if "additive" in limits.masks else []
    allowed += ["causal"] if limits.causal else []
    allowed += ["causal and boolean"] if limits.causal and both and "boolean" in limits.masks else []
    regime = draw(st.sampled_from(allowed), label="mask")
    shape = s.b, s.h, s.n, s.m
    keep: Tensor | None = None
    keywords: dict[str, Any] = {}
    if regime in ("boolean", "causal and boolean"):
        keep = torch.rand((s.n, s.m), generator=s.random) < 0.6
    elif regime == "dead row":
        keep = torch.rand((s.n, s.m), generator=s.random) < 0.7
        keep[: (s.n + 1) // 2] = False
    elif regime == "first half hidden":
        keep = (torch.arange(s.m) >= s.m // 2).expand(s.n, s.m).contiguous()
    elif regime == "per sequence":
        keep = torch.rand((s.b, 1, s.n, s.m), generator=s.random) < 0.6
    zero = subject.conventions.dead_rows == "zero"
    if keep is not None:
        if not zero:
            keep[..., :1] = True
        keywords["attn_mask"] = keep
    visible = np.ones(shape, dtype=np.bool_) if keep is None else np.broadcast_to(keep.numpy(), shape).copy()
    if regime.startswith("additive"):
        bias = torch.randn((s.b, 1, s.n, s.m), generator=s.random, dtype=torch.float64) * 3
        if regime.endswith("inf"):
            hidden = torch.rand(bias.shape, generator=s.random) < 0.4
            hidden[..., :1] &= zero
            bias = bias.masked_fill(hidden, -np.inf)
        keywords["attn_mask"] = bias.to(s.dtype)
        visible = np.isfinite(np.broadcast_to(plain(keywords["attn_mask"]), shape))
    if regime.startswith("causal"):
        keywords["is_causal"] = True
        visible = visible & np.tril(np.ones((s.n, s.m), dtype=np.bool_))
    return Masking(keywords=keywords, visible=visible, graded=limits.mask_gradient, regime=f"mask: {regime}")


PADDINGS = ("none", "ends apart", "one row", "first hidden", "all hidden")


def padding(draw: st.DrawFn, subject: Implementation, s: Sizes, *, causal: tuple[bool, ...] = (False, True)) -> Masking:
    """Which keys all rows see, drawn apart from causality: both count together."""
    limits = subject.limits
    regime = draw(st.sampled_from(PADDINGS if "boolean" in limits.masks else PADDINGS[:1]), label="padding")
    is_causal = limits.causal and draw(st.sampled_from(causal), label="is_causal")
    keep = {
        "none": None,
        "ends apart": torch.arange(s.m) < torch.randint(0, s.m + 1, (s.b, 1, 1, 1), generator=s.random),
        "one row": torch.rand((1, s.m), generator=s.random) < 0.6,
        "first hidden": (torch.arange(s.m) >= (s.m + 1) // 2).reshape(1, s.m),
        "all hidden": torch.zeros((1, s.m), dtype=torch.bool),
    }[regime]
    visible = np.ones((s.b, s.h, s.n, s.m), dtype=np.bool_)
    if keep is not None:
        visible &= keep.numpy()
    if is_causal:
        visible &= np.tril(np.ones((s.n, s.m), dtype=np.bool_))
    keywords: dict[str, Any] = ({} if keep is None else {"attn_mask": keep}) | ({"is_causal": True} if is_causal else {})
    return Masking(keywords=keywords, visible=visible, graded=False, regime=f"padding: {regime}{', causal' if is_causal else ''}")


MIXED = ("contiguous", "sliced", "by columns", "contiguous", "sliced")


def laid_out(x: Posed, layout: str) -> Posed:
    """The call with its tensors of two axes and more, masks and cotangent among them, in another memory layout; the values are kept."""

    def turned(t: Tensor, place: int) -> Tensor:
        chosen = MIXED[place % len(MIXED)] if layout == "mixed" else layout
        if t.dim() != 4 and chosen == "transposed":
            chosen = "by columns"
        return relaid(t, chosen) if t.dim() >= 2 else t

    changed = {place: turned(x[place], number) for number, place in enumerate(x.tensors)}
    return x.with_tensors(changed, cotangent=turned(x.cotangent, len(changed)))


def posed(
    s: Sizes, mask: Masking, arguments: tuple[Any, ...], define: Definition, *,
    keywords: Mapping[str, Any] | None = None, wanted: tuple[Place, ...] = (0, 1, 2), batched: tuple[Place, ...] = (0, 1, 2),
    by_key: Mapping[Place, int] | None = None, by_query: Mapping[Place, int] | None = None, ordered: tuple[str, ...] = (), regimes: tuple[str, ...] = (),
    **fields: Any,
) -> Posed:  # fmt: skip
    """A call of query, key, value and what follows, in the drawn layout: the mask's keywords, gradient, axes and regime are added to those given."""
    x = Posed(
        arguments=arguments,
        keywords=dict(keywords or {}) | mask.keywords,
        define=define,
        cotangent=s.tensor(s.b, s.h, s.n, s.e, regime="normal"),
        wanted=(*wanted, *mask.wanted),
        batched=(*batched, *mask.batched),
        by_key={**({1: 2, 2: 2} if by_key is None else by_key), **mask.by_key},
        by_query={**({0: 2} if by_query is None else by_query), **mask.by_query},
        ordered=(*ordered, *mask.ordered),
        visible=mask.visible,
        regimes=(*s.regimes, mask.regime, *regimes),
        **fields,
    )
    return laid_out(x, s.layout)
