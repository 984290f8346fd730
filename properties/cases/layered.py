"""What calls of stacks, of several modalities and of images share: how they are drawn, and the definitions of norms, heads and feed-forward layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
from flint import arb

from impl.variant import Implementation
from properties.inputs import LAYOUTS
from properties.posed import Place, Posed
from properties.posing import Sizes, laid_out
from properties.simplex import factor
from properties.tracked import Flags, Tracked, contract, irrational, relu, softmax, sqrt

Define = Callable[[Mapping[Place, Tracked]], Tracked]
NUMBERS = ("normal", "small integers", "tiny")
HIDDEN = ("ends apart", "holes", "one is empty")
PADDINGS = ("none", *HIDDEN)


def few(
    draw: st.DrawFn, subject: Implementation, *, b: tuple[int, ...] = (1, 2, 3), h: tuple[int, ...] = (1, 2), n: tuple[int, ...] = (1, 2, 3, 5),
    m: tuple[int, ...] = (1, 2, 3, 4), d: tuple[int, ...] = (1, 2, 3), e: tuple[int, ...] = (1, 2, 3), numbers: tuple[str, ...] = NUMBERS,
    profiles: tuple[str, ...] = ("plain",),
) -> Sizes:  # fmt: skip
    """Sizes among those given, whatever lengths the subject would like: the true values of several layers cost much."""
    return Sizes(
        b=draw(st.sampled_from(b), label="b"),
        h=draw(st.sampled_from(h), label="h"),
        n=draw(st.sampled_from(n), label="n"),
        m=draw(st.sampled_from(m), label="m"),
        d=draw(st.sampled_from(d), label="d"),
        e=draw(st.sampled_from(e), label="e"),
        dtype=getattr(torch, draw(st.sampled_from(subject.limits.dtypes), label="dtype")),
        random=torch.Generator().manual_seed(draw(st.integers(0, 2**16), label="seed")),
        regime=draw(st.sampled_from(numbers), label="numbers"),
        layout=draw(st.sampled_from([x for x in LAYOUTS[subject.limits.strides] if x != "expanded"]), label="layout"),
        profile=draw(st.sampled_from(profiles), label="scores"),
    )


def deep(s: Sizes, subject: Implementation) -> Sizes:
    """In float64, where the subject has it: each layer multiplies an error's bound by some 100, and in float32 nothing would be promised after a few."""
    return replace(s, dtype=torch.float64) if "float64" in subject.limits.dtypes else s


def weight(s: Sizes, *shape: int) -> torch.Tensor:
    """Weights [..., D, E] that keep numbers about as large as they are, as those of a stack are initialised: of layers upon layers nothing else has a bound."""
    return s.tensor(*shape, regime="normal", times=shape[-2] ** -0.5)


def gain(s: Sizes, *shape: int) -> torch.Tensor:
    """Gains around 1."""
    return 1 + s.tensor(*shape, regime="normal", times=0.3)


def norm(s: Sizes, *shape: int) -> torch.Tensor:
    """Gains around 1 and biases around 0 [..., 2, D]."""
    return torch.stack((gain(s, *shape), s.tensor(*shape, regime="normal", times=0.3)), -2)


def called(
    s: Sizes, arguments: tuple[Any, ...], define: Define, shape: tuple[int, ...], *, keywords: Mapping[str, Any] | None = None,
    batched: tuple[Place, ...] = (0,), regimes: tuple[str, ...] = (), **fields: Any,
) -> Posed:  # fmt: skip
    """A call in the drawn layout whose output has this shape; gradients are wanted of every tensor of floats."""
    x = Posed(
        arguments=arguments,
        keywords=dict(keywords or {}),
        define=define,
        cotangent=s.tensor(*shape, regime="normal"),
        wanted=(),
        batched=batched,
        regimes=(*s.regimes[1:], *regimes),
        **({"by_key": {}, "by_query": {}, "ordered": ("keys", "queries")} | fields),
    )
    return laid_out(x.with_tensors({}, wanted=tuple(x.places)), s.layout)


def linear(x: Tracked, weight: Tracked) -> Tracked:
    """x W of rows [..., N, D] and a weight [D, E]."""
    return contract("bnd,de->bne", x, weight)


def layer_norm(x: Tracked, gain: Tracked, bias: Tracked, epsilon: float) -> Tracked:
    width = x.shape[-1]
    centred = x - x.sum(-1, keepdims=True) / width
    return scaled_to_one(centred, epsilon) * gain + bias


def scaled_to_one(x: Tracked, epsilon: float) -> Tracked:
    """x over the root of its mean square and ε."""
    return x / sqrt((x * x).sum(-1, keepdims=True) / x.shape[-1] + irrational(arb(epsilon), x.rounding))


def heads(
    query: Tracked, key: Tracked, value: Tracked, weight: Tracked, number: int, seen: Flags | None = None, scale: float | None = None,
    bias: Tracked | None = None,
) -> Tracked:  # fmt: skip
    """Multi-head attention of rows [B, N, D] over [B, M, D] with weights [4, D, D]; `seen` broadcasts to [B, H, N, M], `bias` is [H, N, M]."""
    (b, n, d), m = query.shape, key.shape[1]
    q = linear(query, weight[0]).reshape(b, n, number, d // number)
    k, v = (linear(x, weight[place]).reshape(b, m, number, d // number) for x, place in ((key, 1), (value, 2)))
    scores = contract("bnhk,bmhk->bhnm", q, k) * factor(scale, d // number, query.rounding)
    scores = scores if bias is None else scores + bias
    weights = softmax(scores, None if seen is None else np.broadcast_to(seen, scores.shape))
    return linear(contract("bhnm,bmhk->bnhk", weights, v).reshape(b, n, d), weight[3])


def feed_forward(x: Tracked, hidden_weight: Tracked, hidden_bias: Tracked, feed_weight: Tracked, feed_bias: Tracked) -> Tracked:
    return linear(relu(linear(x, hidden_weight) + hidden_bias), feed_weight) + feed_bias


def padded(draw: st.DrawFn, s: Sizes, rows: int, label: str, kinds: tuple[str, ...]) -> torch.Tensor | None:
    """Which of these rows are there [B, rows]: no mask, ends apart, holes, or none at all in one sequence."""
    kind = draw(st.sampled_from(kinds), label=label)
    ends = torch.arange(rows) < torch.randint(0, rows + 1, (s.b, 1), generator=s.random)
    holes = torch.rand((s.b, rows), generator=s.random) < 0.6
    holes[:1] &= kind != "one is empty"
    return None if kind == "none" else ends if kind == "ends apart" else holes
