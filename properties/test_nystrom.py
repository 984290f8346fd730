"""Laws of Nyström attention: its definition within a derived bound, where it is softmax attention, and how its weights differ from softmax weights."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import torch

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.cases.nystrom import called, ends, nystrom
from properties.inputs import plain
from properties.oracle import Balls
from properties.posed import Posed
from properties.simplex import factor
from properties.subject import Subject, require
from properties.tracked import Tracked, contract, softmax
from properties.verifies import law


def own_landmarks(subject: Implementation) -> st.SearchStrategy[Posed]:
    """Calls in which all queries of a segment are alike, so that each is its own landmark; with as many landmarks as queries they may be any."""

    def repeated(x: Posed) -> Posed:
        at = ends(x[0].shape[2], x[3])
        segments = [x[0][:, :, first : first + 1].expand(-1, -1, last - first, -1) for first, last in itertools.pairwise(at)]
        return x.with_tensors({0: torch.cat(segments, 2)})

    return nystrom(subject).map(repeated)


@law("low_rank.nystrom", on=Trait.NYSTROM, draw=own_landmarks)
def test_queries_that_are_their_own_landmarks_attend_by_softmax(subject: Subject, x: Posed) -> None:
    """The first factor is then Y A, with a 1 in each row of Y, and Y A A⁻¹ softmax(s Q̃ Kᵀ) = softmax(s Q Kᵀ), whatever the keys' landmarks are."""
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    posed.count_bounded(subject, true)
    subject.judge("output", posed.output(subject, x), dense(subject, x).balls(), true.bound(), x)


def dense(subject: Subject, x: Posed) -> Tracked:
    """Softmax attention of the same query, key and value."""
    t = x.leaves(subject.rounding(x.cotangent.dtype))
    scores = contract("bhnd,bhmd->bhnm", t[0], t[1]) * factor(x.keywords.get("scale"), x[0].shape[-1], t[0].rounding)
    return contract("bhnm,bhme->bhne", softmax(scores), t[2])


@st.composite
def beyond_the_landmarks(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Queries 0, 0, 0, 4 times a number: landmarks 0 and 2 times it, and the last query lies beyond. Values are the unit vectors."""
    dtype = getattr(torch, draw(st.sampled_from(subject.limits.dtypes), label="dtype"))
    times = draw(st.sampled_from((0.5, 1.0, 1.5)), label="times")
    query = torch.tensor([0.0, 0, 0, 4]) * times
    key = torch.tensor([-3.0, 1, 1, 1])
    heads = draw(st.integers(1, 3), label="heads")
    rows = [t.to(dtype).reshape(1, 1, 4, 1).repeat(1, heads, 1, 1) for t in (query, key)]
    eye = torch.eye(4, dtype=dtype).repeat(1, heads, 1, 1)
    return called(rows[0], rows[1], eye, 2, 1.0, torch.zeros(1, heads, 4, 4, dtype=dtype))


def single_width(implementation: Implementation) -> str | None:
    limits = implementation.limits
    usual = (limits.widths is None or 1 in limits.widths) and limits.scale and limits.unequal_widths
    return None if usual and 4 % limits.multiple == 0 else "takes no head of width 1 with values of width 4, or no scale"


@law("low_rank.nystrom", on=Trait.NYSTROM, draw=beyond_the_landmarks, lacking=single_width)
def test_a_query_beyond_the_landmarks_has_a_negative_weight(subject: Subject, x: Posed) -> None:
    """Its row of softmax(s Q K̃ᵀ) is no mixture of A's rows, so that A⁻¹ takes one of them with a negative coefficient."""
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    negative = true.middle + true.bound() < 0
    if not negative[:, :, -1, 0].all():  # arithmetic so rough that its bound does not tell
        return
    weights = posed.output(subject, x)
    require(bool((plain(weights)[negative] < 0).all()), f"weights {weights.tolist()}, where those {true.middle.tolist()} are true, on {x}")
    subject.judge("weights", weights, true.balls(), true.bound(), x)


def singular(implementation: Implementation) -> str | None:
    return None if "singular blocks" in implementation.offers else "says nothing of a singular block of landmarks"


@law("low_rank.nystrom", on=Trait.NYSTROM, draw=nystrom, lacking=singular)
def test_a_singular_block_spoils_its_own_head_only(subject: Subject, x: Posed) -> None:
    """With the queries of the first head of the first sequence set to 0, all its landmarks weigh alike: it may return anything, the others what they did."""
    if x[0].shape[0] * x[0].shape[1] < 2 or x[3] < 2:
        return
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    query = x[0].clone()
    query[0, 0] = 0
    spoilt = x.with_tensors({0: query})
    output, balls, heads = posed.output(subject, spoilt), true.balls(), (x[0].shape[0] * x[0].shape[1], *true.shape[2:])
    rest = Balls(*(part.reshape(heads)[1:] for part in (balls.hi, balls.lo, balls.radius)))
    subject.judge("the other heads", output.flatten(0, 1)[1:], rest, true.bound().reshape(heads)[1:], spoilt)
