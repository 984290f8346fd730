"""Laws of causal stacks whose weights are written by hand: a head that looks at the token before, one that copies, and the two layers that complete a pattern.

The residual stream has a block for each token's own one-hot code, one for its position's, two that heads write to, and numbers that are always 1. A head that
writes takes 1 from a counter, so that half the numbers are 1 and half are 0 in front of every layer. Then mean and standard deviation are 1/2, and a norm
with gain and bias 1/2 gives back what it got. Feed-forward layers are 0.

How far a softmax is from the keys meant (their values are alike): the score of those is s, that of the others 0, so these get at most δ = n e^{−s} together.
The first layer's write is off by at most δ in each number; the norm's slope is at most 4 where the deviation is 1/2; a score of the second layer, at most s
times two such numbers, moves by 8 s δ, its weights by a factor within e^{±16 s δ}, and what they write by 32 s δ + δ ≤ 64 s δ, for s ≥ 1 and s δ ≤ 1/64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import hypothesis.strategies as st
import numpy as np
import torch
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.cases.stacks import decoded
from properties.oracle import Array, Balls
from properties.posed import Posed
from properties.subject import Subject
from properties.verifies import law

SHARP = 128.0  # a product of codes; over √D ≤ 6 a score above 21


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Where the residual stream's numbers stand, for so many tokens and positions."""

    vocabulary: int
    length: int

    def block(self, place: int) -> slice:
        """One of those behind the positions."""
        start = self.vocabulary + self.length + place * self.vocabulary
        return slice(start, start + self.vocabulary)

    @property
    def own(self) -> slice:
        return slice(0, self.vocabulary)

    @property
    def position(self) -> slice:
        return slice(self.vocabulary, self.vocabulary + self.length)

    @property
    def before(self) -> slice:
        """What the first layer writes."""
        return self.block(0)

    @property
    def answer(self) -> slice:
        """What the last layer writes."""
        return self.block(1)

    @property
    def one(self) -> int:
        return 3 * self.vocabulary + self.length

    @property
    def counter(self) -> int:
        return self.one + 1

    @property
    def width(self) -> int:
        """Behind the counter so many more stand at 1 that half of all are, with a token's, a position's, one and counter."""
        return 2 * (self.counter + 1) - 8

    @property
    def leak(self) -> float:
        """64 s n e^{−s}."""
        score = SHARP / math.sqrt(self.width)
        return 64 * score * self.length * math.exp(-score)

    def embedded(self, tokens: list[int]) -> tuple[Tensor, Tensor]:
        """Tokens [1, N, D] and positions [N, D]."""
        x, places = torch.zeros(1, self.length, self.width), torch.zeros(self.length, self.width)
        x[0, range(self.length), tokens] = 1
        x[..., self.one :] = 1
        places[:, self.position] = torch.eye(self.length)
        return x, places

    def head(self, query: Tensor | None, key: Tensor | None, into: slice) -> Tensor:
        """W_Q, W_K, W_V and W_O [4, D, D] of a head that copies the own block of what it attends to, and takes 1 from the counter."""
        weight = torch.zeros(4, self.width, self.width)
        if query is not None and key is not None:
            weight[0], weight[1] = SHARP * query, key
        weight[2, self.own, self.own] = torch.eye(self.vocabulary)
        weight[2, self.one, self.vocabulary] = 1
        weight[3, self.own, into] = torch.eye(self.vocabulary)
        weight[3, self.vocabulary, self.counter] = -1
        return weight

    def between(self, block: slice, image: Tensor) -> Tensor:
        """A map [D, D] of one block onto the first codes of a head."""
        found = torch.zeros(self.width, self.width)
        found[block, : image.shape[1]] = image
        return found

    def looks_before(self) -> Tensor:
        """Position i asks for position i − 1; the first for itself."""
        asked = torch.zeros(self.length, self.length)
        asked[range(self.length), [max(i - 1, 0) for i in range(self.length)]] = 1
        return self.head(self.between(self.position, asked), self.between(self.position, torch.eye(self.length)), self.before)

    def looks_for_itself(self) -> Tensor:
        """A token asks for what stood behind it: for the row in front of which it is written."""
        codes = torch.eye(self.vocabulary)
        return self.head(self.between(self.own, codes), self.between(self.before, codes), self.answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """A call, and what must stand in one block of its output [N, V]: in every row, or in the last."""

    call: Posed
    block: slice
    expected: Array
    leak: float


def built(blocks: Blocks, tokens: list[int], heads: list[Tensor], block: slice, expected: Array, dtype: torch.dtype, leak: float) -> Circuit:
    layers, width = len(heads), blocks.width
    x, places = blocks.embedded(tokens)
    norm = torch.full((layers, 2, 2, width), 0.5)
    still = torch.zeros(layers, width, 1), torch.zeros(layers, 1), torch.zeros(layers, 1, width), torch.zeros(layers, width)
    tensors = [t.to(dtype) for t in (x, places, torch.stack(heads), *still, norm)]
    call = Posed(
        arguments=(*tensors, 1),
        keywords={"epsilon": 0.0},
        define=lambda t: decoded(t, len(tokens), layers, 1, 0.0),
        cotangent=torch.zeros_like(tensors[0]),
        wanted=(),
        regimes=(f"tokens: {len(tokens)}", f"dtype: {str(dtype).removeprefix('torch.')}"),
    )
    return Circuit(call=call, block=block, expected=expected, leak=leak)


def written(subject: Subject, x: Circuit) -> None:
    """Require what must stand in the block, in the last rows, within rounding and the leak."""
    subject.saw(x.call.regimes)
    bound = posed.truth(subject, x.call).bound()[0, -len(x.expected) :, x.block] + x.leak
    found = posed.output(subject, x.call)[0, -len(x.expected) :, x.block]
    subject.judge("what the circuit writes", found, Balls(x.expected, np.zeros_like(x.expected), np.zeros_like(x.expected)), bound, x.call)


def drawn_dtype(draw: st.DrawFn, subject: Implementation) -> torch.dtype:
    found: torch.dtype = getattr(torch, draw(st.sampled_from(subject.limits.dtypes), label="dtype"))
    return found


def one_hot(tokens: list[int], vocabulary: int) -> Array:
    return np.eye(vocabulary)[tokens]


@st.composite
def previous_token(draw: st.DrawFn, subject: Implementation) -> Circuit:
    """Any tokens: each row must hold the one before it, the first its own."""
    tokens = draw(st.lists(st.integers(0, 2), min_size=2, max_size=5), label="tokens")
    blocks = Blocks(vocabulary=3, length=len(tokens))
    expected = one_hot([tokens[0], *tokens[:-1]], 3)
    return built(blocks, tokens, [blocks.looks_before()], blocks.before, expected, drawn_dtype(draw, subject), blocks.leak)


@st.composite
def copying(draw: st.DrawFn, subject: Implementation) -> Circuit:
    """Any tokens, and a head that attends to all alike: each row must hold the shares of the tokens so far."""
    tokens = draw(st.lists(st.integers(0, 2), min_size=1, max_size=5), label="tokens")
    blocks = Blocks(vocabulary=3, length=len(tokens))
    shares = one_hot(tokens, 3).cumsum(0) / np.arange(1, len(tokens) + 1)[:, None]
    return built(blocks, tokens, [blocks.head(None, None, blocks.answer)], blocks.answer, shares, drawn_dtype(draw, subject), 2.0**-53)


@st.composite
def induction(draw: st.DrawFn, subject: Implementation) -> Circuit:
    """A beginning, different tokens, once or twice over, and one of them again, not the last: the last row must hold the one that stood behind it."""
    count, times = draw(st.integers(2, 3), label="tokens"), draw(st.sampled_from((1, 1, 2)), label="times")
    again = draw(st.integers(1, count - 1), label="again")
    own = [1 + place for place in draw(st.permutations(range(count)), label="order")]
    tokens = [0, *own * times, own[again - 1]]
    blocks = Blocks(vocabulary=count + 1, length=len(tokens))
    heads = [blocks.looks_before(), blocks.looks_for_itself()]
    return built(blocks, tokens, heads, blocks.answer, one_hot([own[again]], count + 1), drawn_dtype(draw, subject), blocks.leak)


@law("circuits.previous-token", on=Trait.CAUSAL_STACK, draw=previous_token)
def test_a_head_by_positions_holds_the_token_before(subject: Subject, x: Circuit) -> None:
    written(subject, x)


@law("circuits.copying", on=Trait.CAUSAL_STACK, draw=copying)
def test_a_head_whose_values_are_tokens_copies_what_it_attends_to(subject: Subject, x: Circuit) -> None:
    written(subject, x)


@law("circuits.induction", on=Trait.CAUSAL_STACK, draw=induction)
def test_two_layers_complete_a_pattern_that_came_before(subject: Subject, x: Circuit) -> None:
    written(subject, x)
