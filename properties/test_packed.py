"""Laws of packed sequences: each is computed alone, wherever it stands in the pack, and what stands in padding never acts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.cases.packed import FORMS, as_form, own_keys, packed, places
from properties.inputs import plain
from properties.oracle import Array, Balls
from properties.posed import Place, Posed
from properties.request import Request
from properties.simplex import attended, factor
from properties.subject import Subject, require, same
from properties.tracked import Tracked, constant, contract, gradients
from properties.verifies import law, needs, needs_all, needs_repeats

SHORT: dict[str, Any] = {"lengths": (2, 3, 5, 7, 13)}


def lengths(x: Posed) -> tuple[list[int], list[int]]:
    """Of the queries and of the keys of each sequence."""
    return [int(n) for n in x[3]], [int(m) for m in x[4]]


def members(x: Posed) -> list[tuple[slice, slice]]:
    """The rows and the keys of each sequence."""
    return list(zip(places(x[3]), places(x[4]), strict=True))


def alone(x: Posed, rows: slice, columns: slice) -> Posed:
    """One sequence as a pack of its own, with the definition of plain attention."""
    is_causal, scale = x.keywords.get("is_causal", False), x.keywords.get("scale")
    n, m = rows.stop - rows.start, columns.stop - columns.start

    def define(t: Any) -> Tracked:
        scores = contract("bhnd,bhmd->bhnm", t[0], t[1]) * factor(scale, x[0].shape[-1], t[0].rounding)
        return attended(scores, t[2], np.broadcast_to(own_keys([n], [m], (n, m), is_causal), scores.shape))

    own = x.with_tensors({0: x[0][:, :, rows], 1: x[1][:, :, columns], 2: x[2][:, :, columns]}, cotangent=x.cotangent[:, :, rows], define=define)
    return replace(own, arguments=(*own.arguments[:3], [n], [m]))


def truth_of_all(subject: Subject, x: Posed, parts: Sequence[tuple[slice, slice]]) -> tuple[Balls, Array]:
    """What each sequence gives alone, in the order of the pack, with its bounds; rows of padding are 0, exactly."""
    shape = tuple(x.cotangent.shape)
    true, bound = Balls(*(np.zeros(shape) for _ in range(3))), np.zeros(shape)
    for rows, columns in parts:
        own = posed.truth(subject, alone(x, rows, columns))
        balls = own.balls()
        for whole, part in zip((true.hi, true.lo, true.radius, bound), (balls.hi, balls.lo, balls.radius, own.bound()), strict=True):
            whole[:, :, rows] = part
    return true, bound


@law("streaming.packed-is-each-alone", on=Trait.PACKED, draw=packed)
def test_each_sequence_of_a_pack_is_what_it_is_alone(subject: Subject, x: Posed) -> None:
    """Within the bound of the sequence itself, which knows nothing of how long the pack is; rows of padding are 0."""
    subject.saw(x.regimes)
    true, bound = truth_of_all(subject, x, members(x))
    subject.judge("output of the pack", posed.output(subject, x), true, bound, x)
    rows, columns = members(x)[-1]
    last = alone(x, rows, columns)
    own = Balls(*(part[:, :, rows] for part in (true.hi, true.lo, true.radius)))
    subject.judge("output of the last sequence alone", posed.output(subject, last), own, bound[:, :, rows], last)


@law("streaming.packed-is-each-alone", on=Trait.PACKED, draw=packed, lacking=needs("gradient"))
def test_each_sequence_of_a_pack_has_the_gradients_that_it_has_alone(subject: Subject, x: Posed) -> None:
    """And what belongs to no sequence has gradients of 0, as an empty sequence's keys have."""
    subject.saw(x.regimes)
    found = gradients_of(subject, x)
    owned = [torch.zeros(g.shape[2], dtype=torch.bool) for g in found]
    for rows, columns in members(x):
        own = alone(x, rows, columns)
        leaves = own.leaves(subject.rounding(x.cotangent.dtype))
        expected = gradients(own.define(leaves), constant(plain(own.cotangent), leaves[0].rounding), [leaves[place] for place in (0, 1, 2)])
        for place, (gradient, true) in enumerate(zip(found, expected, strict=True)):
            here = columns if place else rows
            owned[place][here] = True
            subject.judge(f"gradient of {place} of a sequence", gradient[:, :, here], true.balls(), true.bound(), x)
    for place, (gradient, mine) in enumerate(zip(found, owned, strict=True)):
        require(bool((gradient[:, :, ~mine] == 0).all()), f"padding of {place} has gradients {gradient[:, :, ~mine].tolist()} on {x}")


def gradients_of(subject: Subject, x: Posed) -> tuple[Tensor, ...]:
    return subject.answered(Request(arguments=x.arguments, keywords=x.keywords, cotangent=x.cotangent, wanted=(0, 1, 2)), 3)


def reversed_pack(x: Posed) -> tuple[Posed, Tensor]:
    """The same sequences from the last to the first, with the padding behind them, and where the rows have gone."""
    orders = []
    for side, of in ((0, x[3]), (1, x[4])):
        spans = places(of)
        slots = torch.arange(x[side].shape[2])
        orders.append(torch.cat((*(slots[span] for span in reversed(spans)), slots[spans[-1].stop :])))
    rows, columns = orders
    turned = x.with_tensors({0: x[0][:, :, rows], 1: x[1][:, :, columns], 2: x[2][:, :, columns]})
    return replace(turned, arguments=(*turned.arguments[:3], *([int(n) for n in of][::-1] for of in (x[3], x[4])))), rows


@law("streaming.packed-is-each-alone", "symmetry.query-equivariance", on=Trait.PACKED, draw=packed)
def test_sequences_may_stand_in_any_order(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    true, bound = truth_of_all(subject, x, members(x))
    turned, rows = reversed_pack(x)
    back = torch.empty_like(x.cotangent)
    back[:, :, rows] = posed.output(subject, turned)
    subject.judge("output with the sequences in reverse", back, true, bound, turned)


@law("streaming.packed-is-each-alone", on=Trait.PACKED, draw=packed)
def test_empty_sequences_may_stand_anywhere(subject: Subject, x: Posed) -> None:
    """One before the first, one behind the last and one between any two: no row and no key changes its sequence."""
    subject.saw(x.regimes)
    true, bound = truth_of_all(subject, x, members(x))
    spread = [as_form([0, *(entry for n in of for entry in (n, 0))], "tensor") for of in lengths(x)]
    wider = replace(x, arguments=(*x.arguments[:3], *spread))
    subject.judge("output between empty sequences", posed.output(subject, wider), true, bound, wider)


@st.composite
def half_empty(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Calls in which every second sequence has no keys, and its rows stay: their output is 0, whatever the neighbours hold."""
    x = draw(packed(subject, **SHORT))
    of_queries, of_keys = lengths(x)
    return replace(x, arguments=(*x.arguments[:4], [m if place % 2 else 0 for place, m in enumerate(of_keys)])) if any(of_queries) else x


@law("streaming.packed-is-each-alone", on=Trait.PACKED, draw=half_empty)
def test_rows_of_a_sequence_without_keys_are_zero(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    true, bound = truth_of_all(subject, x, members(x))
    output = posed.output(subject, x)
    subject.judge("output", output, true, bound, x)
    for rows, columns in members(x):
        if columns.start == columns.stop:
            require(bool((output[:, :, rows] == 0).all()), f"a sequence without keys returns {output[:, :, rows].tolist()} on {x}")


@st.composite
def with_padding(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Calls with padding behind the last sequence, of queries and of keys: the longest one is shorter by 1 than drawn."""
    x = draw(packed(subject, **SHORT))
    cut = [[n - 1 if n and place == of.index(max(of)) else n for place, n in enumerate(of)] for of in lengths(x)]
    return replace(x, arguments=(*x.arguments[:3], *cut))


def spoilt(x: Posed, slots: dict[Place, slice], by: float) -> Posed:
    """The same call with one number in some slots of some tensors."""
    changed = {}
    for place, where in slots.items():
        changed[place] = torch.empty_strided(x[place].shape, x[place].stride(), dtype=x[place].dtype).copy_(x[place])
        changed[place][:, :, where] = by
    return x.with_tensors(changed)


@law("masks.padding", on=Trait.PACKED, draw=with_padding, off=needs_repeats)
def test_what_stands_in_padding_never_acts(subject: Subject, x: Posed) -> None:
    """NaN, infinities and large numbers behind the last sequence: output and gradients are those of zeros there, bit by bit, and finite."""
    subject.saw(x.regimes)
    ends = [sum(of) for of in lengths(x)]
    slots: dict[Place, slice] = {0: slice(ends[0], None), 1: slice(ends[1], None), 2: slice(ends[1], None)}
    clean = spoilt(x, slots, 0.0)
    for number in (float("nan"), float("inf"), 1e4):
        dirty = spoilt(x, slots, number)
        before, after = posed.output(subject, clean), posed.output(subject, dirty)
        require(same(before, after) and not after[:, :, ends[0] :].any(), f"{number} in padding: output {before.tolist()}, then {after.tolist()}, on {x}")
        if subject.implementation.limits.gradients:
            was, now = gradients_of(subject, clean), gradients_of(subject, dirty)
            kept = all(same(one, other) for one, other in zip(was, now, strict=True))
            require(kept, f"{number} in padding: gradients {[g.tolist() for g in was]}, then {[g.tolist() for g in now]}, on {x}")


def leaks(implementation: Implementation) -> str | None:
    blocked = implementation.conventions.masked_nan == "blocked"
    return None if blocked else f"declares masked-nan={implementation.conventions.masked_nan}"


@law("masks.hidden-key-has-no-influence", on=Trait.PACKED, draw=packed, off=needs_all(leaks, needs_repeats))
def test_nan_in_one_sequence_stays_there(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    rows, columns = members(x)[0]
    dirty = spoilt(x, {0: rows, 1: columns, 2: columns}, float("nan"))
    before, after = posed.output(subject, x), posed.output(subject, dirty)
    others = slice(rows.stop, None)
    require(same(before[:, :, others], after[:, :, others]), f"NaN in sequence 0: {before.tolist()}, then {after.tolist()}, on {x}")


@law("streaming.packed-is-each-alone", on=Trait.PACKED, draw=packed, off=needs_repeats)
def test_numbers_of_one_sequence_do_not_move_another(subject: Subject, x: Posed) -> None:
    """The first sequence times −3, plus 1: all others agree to the last bit."""
    subject.saw(x.regimes)
    rows, columns = members(x)[0]
    changed: dict[Place, Tensor] = {}
    for place, where in ((0, rows), (1, columns), (2, columns)):
        other = torch.empty_strided(x[place].shape, x[place].stride(), dtype=x[place].dtype).copy_(x[place])
        other[:, :, where] = other[:, :, where] * -3 + 1
        changed[place] = other
    before, after = posed.output(subject, x), posed.output(subject, x.with_tensors(changed))
    others = slice(rows.stop, None)
    require(same(before[:, :, others], after[:, :, others]), f"sequence 0 changed: {before.tolist()}, then {after.tolist()}, on {x}")


@law("streaming.packed-is-each-alone", on=Trait.PACKED, draw=packed)
def test_lengths_may_be_a_list_or_a_tensor(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    true, bound = truth_of_all(subject, x, members(x))
    for form in FORMS:
        other = replace(x, arguments=(*x.arguments[:3], *(as_form(of, form) for of in lengths(x))))
        subject.judge(f"output with lengths as {form}", posed.output(subject, other), true, bound, other)
