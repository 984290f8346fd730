"""Calls of the instruments that need a model: self-attention over explicit tensors, its loss, the gates of its heads, and weights put in place of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
from torch import Tensor

from impl.variant import Implementation
from properties.inputs import plain
from properties.posed import Place, Posed, case
from properties.posing import Sizes, laid_out, sizes
from properties.simplex import factor
from properties.tracked import Flags, Tracked, bare, constant, contract, gradients, softmax

GATES = ("none", "random", "one closed", "small")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """Inputs [B, N, C], the four projections, and whether rows see later keys."""

    sizes: Sizes
    width: int
    is_causal: bool
    tensors: tuple[Tensor, ...]

    @property
    def visible(self) -> Flags:
        everything = np.ones((self.sizes.n, self.sizes.n), dtype=np.bool_)
        return np.tril(everything) if self.is_causal else everything

    @property
    def keywords(self) -> dict[str, Any]:
        return {"is_causal": True} if self.is_causal else {}

    @property
    def regimes(self) -> tuple[str, ...]:
        return (*self.sizes.regimes[1:], f"heads: {self.sizes.h}", "causal" if self.is_causal else "not causal")

    def projected(self, t: Mapping[Place, Tracked], place: int, x: Tracked | None = None) -> Tracked:
        """Queries, keys or values of all heads [B, H, N, D]."""
        return contract("bnc,chd->bhnd", t[0] if x is None else x, t[place].reshape(self.width, self.sizes.h, t[place].shape[1] // self.sizes.h))

    def weights(self, t: Mapping[Place, Tracked]) -> Tracked:
        """P [B, H, N, N]."""
        s = self.sizes
        scores = contract("bhnd,bhmd->bhnm", self.projected(t, 1), self.projected(t, 2)) * factor(None, s.d, t[0].rounding)
        return softmax(scores, np.broadcast_to(self.visible, (s.b, s.h, s.n, s.n)))

    def heads(self, t: Mapping[Place, Tracked], weights: Tracked) -> Tracked:
        """What the heads return [B, H, N, E]."""
        return contract("bhnm,bhme->bhne", weights, self.projected(t, 3))

    def out(self, t: Mapping[Place, Tracked]) -> Tracked:
        """The output projection by head [H, E, C]."""
        return t[4].reshape(self.sizes.h, self.sizes.e, self.width)

    def output(self, t: Mapping[Place, Tracked], heads: Tracked) -> Tracked:
        """y [B, N, C] of heads, gated or not."""
        return contract("bhne,hec->bnc", heads, self.out(t))


def draw_layer(draw: st.DrawFn, subject: Implementation) -> Layer:
    """Widths C, H·D and H·E apart; the scores are moderate, or saturate now and then."""
    s = sizes(draw, subject, square=True, widths=(1, 2, 3))
    width = draw(st.sampled_from((1, 2, 4)), label="C")
    steep = draw(st.sampled_from((1.0, 1.0, 8.0)), label="queries times")
    regime = draw(st.sampled_from(("normal", "small integers")), label="inputs")
    is_causal = subject.limits.causal and draw(st.booleans(), label="is_causal")
    x, q = s.tensor(s.b, s.n, width, regime=regime), s.tensor(width, s.h * s.d, regime="normal", times=steep)
    others = [s.tensor(*shape, regime="normal") for shape in ((width, s.h * s.d), (width, s.h * s.e), (s.h * s.e, width))]
    return Layer(sizes=s, width=width, is_causal=is_causal, tensors=(x, q, *others))


def loss_of(y: Tracked, target: Tracked, loss: str) -> Tracked:
    """⟨y, target⟩, or ½ |y − target|², of each sequence [B]."""
    if loss == "linear":
        return contract("bnc,bnc->b", y, target)
    return contract("bnc,bnc->b", y - target, y - target) * 0.5


def slope_of(y: Tracked, target: Tracked, loss: str) -> Tracked:
    """Its gradient by y."""
    return target if loss == "linear" else y - target


def size(x: Tracked) -> Tracked:
    """|x|: exact."""
    return Tracked(true=np.abs(x.true), off=x.off, rounding=x.rounding)


def posed_layer(at: Layer, beside: tuple[Any, ...], define: Callable[[Mapping[Place, Tracked]], Tracked], shape: tuple[int, ...], **fields: Any) -> Posed:
    """The call of the layer's tensors and what follows them."""
    fields = {"wanted": (), "batched": (0,), "by_key": {}, "by_query": {}, "ordered": ("keys", "queries"), **fields}
    regimes = (*at.regimes, *fields.pop("regimes", ()))
    keywords = fields.pop("keywords", {}) | at.keywords
    x = Posed(
        arguments=(*at.tensors, *beside),
        keywords=keywords,
        define=define,
        cotangent=at.sizes.tensor(*shape, regime="normal"),
        values=(3,),
        regimes=regimes,
        **fields,
    )
    return laid_out(x, at.sizes.layout)


@case("head-importance")
@st.composite
def head_importance(draw: st.DrawFn, subject: Implementation) -> Posed:
    at = draw_layer(draw, subject)
    by = draw(st.sampled_from(("ablation", "gradient")), label="by")
    loss = draw(st.sampled_from(("squares", "linear")), label="loss")
    return importance_of(at, gates=draw(st.sampled_from(GATES), label="gates"), by=by, loss=loss)


def importance_of(at: Layer, *, gates: str, by: str, loss: str) -> Posed:
    """The importance of the layer's heads for a loss, at these gates."""
    s = at.sizes
    target = s.tensor(s.b, s.n, at.width, regime="normal")
    drawn = gates_drawn(s, gates)
    given = {} if drawn is None else {"gates": drawn}

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        heads = at.heads(t, at.weights(t))
        g = t["gates"] if given else constant(np.ones((s.b, s.h)), t[0].rounding)
        y = at.output(t, heads * g.reshape(s.b, s.h, 1, 1))
        if by == "gradient":
            return size(contract("bnc,bhne,hec->bh", slope_of(y, t[5], loss), heads, at.out(t)))
        full = loss_of(y, t[5], loss)
        without = [loss_of(at.output(t, heads * closed(g, place).reshape(s.b, s.h, 1, 1)), t[5], loss) - full for place in range(s.h)]
        return beside(without, s)

    regimes = (f"gates: {gates}", f"by: {by}", f"loss: {loss}")
    return posed_layer(
        at, (target, s.h), define, (s.b, s.h), keywords=given | {"by": by, "loss": loss}, batched=(0, 5, *given), regimes=regimes,
    )  # fmt: skip


def beside(columns: list[Tracked], s: Sizes) -> Tracked:
    """Numbers [B] of each head as [B, H]."""
    true, off = np.stack([x.true for x in columns], 1), np.stack([x.off for x in columns], 1)
    return Tracked(true=true.reshape(s.b, s.h), off=off.reshape(s.b, s.h), rounding=columns[0].rounding)


def closed(gates: Tracked, place: int) -> Tracked:
    """The gates with one of them 0: exact."""
    return gates.where(np.arange(gates.shape[1]) != place)


def gates_drawn(s: Sizes, kind: str) -> Tensor | None:
    """Gates [B, H]: none given, random ones of either sign, with one that is closed, or all so small that a loss is nearly linear in them."""
    if kind == "none":
        return None
    if kind == "small":
        return torch.full((s.b, s.h), 2.0**-6, dtype=s.dtype)
    gates = s.tensor(s.b, s.h, regime="normal")
    return gates if kind == "random" else gates * (torch.arange(s.h) > 0).to(s.dtype)


@case("gradient-attribution")
@st.composite
def gradient_attribution(draw: st.DrawFn, subject: Implementation) -> Posed:
    at = draw_layer(draw, subject)
    of = draw(st.sampled_from(("weights", "inputs")), label="of")
    return attribution_of(at, of=of, loss=draw(st.sampled_from(("squares", "linear")), label="loss"))


def attribution_of(at: Layer, *, of: str, loss: str) -> Posed:
    """What weights or tokens contribute to the loss."""
    s = at.sizes
    target = s.tensor(s.b, s.n, at.width, regime="normal")

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        weights = at.weights(t)
        y = at.output(t, at.heads(t, weights))
        slope = bare(slope_of(y, t[5], loss))
        if of == "weights":
            return weights * contract("bnc,hec,bhme->bhnm", slope, at.out(t), at.projected(t, 3))
        (found,) = gradients(y, slope, [t[0]])
        return contract("bnc,bnc->bn", t[0], found)

    shape = (s.b, s.h, s.n, s.n) if of == "weights" else (s.b, s.n)
    return posed_layer(at, (target, s.h), define, shape, batched=(0, 5), keywords={"of": of, "loss": loss}, regimes=(f"of: {of}", f"loss: {loss}"))


REPLACEMENTS = ("uniform", "a distribution", "one for all sequences", "one key", "nothing")


@case("intervention")
@st.composite
def intervention(draw: st.DrawFn, subject: Implementation) -> Posed:
    at = draw_layer(draw, subject)
    head = draw(st.integers(0, at.sizes.h - 1), label="head")
    return intervention_of(at, head, replacement_drawn(at, draw(st.sampled_from(REPLACEMENTS), label="replacement")))


def replacement_drawn(at: Layer, kind: str) -> Tensor | None:
    """Weights [B, N, N] or [N, N]: none given (uniform), rows that sum to 1 or nearly, a key for each row whether it is seen or not, or zeros."""
    s = at.sizes
    if kind == "uniform":
        return None
    if kind == "one key":
        return torch.nn.functional.one_hot(torch.randint(0, max(s.n, 1), (s.b, s.n), generator=s.random), max(s.n, 1))[..., : s.n].to(s.dtype)
    if kind == "nothing":
        return torch.zeros(s.n, s.n, dtype=s.dtype)
    drawn = torch.rand((s.b, s.n, s.n), generator=s.random, dtype=torch.float64).softmax(-1).to(s.dtype)
    return drawn[0] if kind == "one for all sequences" and s.b else drawn


def intervention_of(at: Layer, head: int, replacement: Tensor | None) -> Posed:
    """The layer's output with other weights for one head."""
    s = at.sizes
    given = {} if replacement is None else {"replacement": replacement}

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        other = t["replacement"] if given else uniform(at, t[0])
        chosen = (np.arange(s.h) == head).reshape(1, s.h, 1, 1)
        whole = other.broadcast((s.b, s.n, s.n)).reshape(s.b, 1, s.n, s.n).broadcast((s.b, s.h, s.n, s.n))
        one, rest = whole.where(np.broadcast_to(chosen, whole.shape)), at.weights(t).where(np.broadcast_to(~chosen, whole.shape))
        return at.output(t, at.heads(t, merged(one, rest, chosen)))

    batched = (0, *(given if replacement is not None and replacement.dim() == 3 else ()))
    regime = "given" if given else "uniform"
    return posed_layer(
        at, (s.h, head), define, (s.b, s.n, at.width),
        keywords=given, batched=batched, wanted=(0, 1, 2, 3, 4, *given), regimes=(f"replacement: {regime}",),
    )  # fmt: skip


def merged(one: Tracked, rest: Tracked, chosen: Flags) -> Tracked:
    """Two arrays that are 0 where the other is not: their sum is exact."""
    flags = np.broadcast_to(chosen, one.shape)
    parents: Any = ((one, lambda g: g.where(flags)), (rest, lambda g: g.where(~flags)))
    return Tracked(true=np.where(flags, one.true, rest.true), off=np.where(flags, one.off, rest.off), rounding=one.rounding, parents=parents)


def uniform(at: Layer, like: Tracked) -> Tracked:
    """1 / number of keys that a row sees [N, N], by one division."""
    seen = constant(at.visible.astype(np.float64), like.rounding)
    return seen / constant(np.maximum(plain(torch.from_numpy(at.visible)).sum(-1, keepdims=True), 1.0), like.rounding)
