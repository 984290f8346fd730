"""Laws of attention between two modalities: what each direction reads, what swapping the sides swaps, and what is padding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import hypothesis.strategies as st
import numpy as np
import torch
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.cases.layered import HIDDEN
from properties.cases.modalities import co_attention, cross_modal, summaries
from properties.posed import Place, Posed, any_case
from properties.subject import Subject, require, same
from properties.tracked import Tracked
from properties.verifies import law, needs_repeats

TEXT, VISION = (0, 1, 2), (3, 4, 5)


def other_numbers(x: Tensor) -> Tensor:
    """As many numbers, none of them as before, in the same memory layout."""
    changed = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype).copy_(x)
    return changed.mul_(-3).add_(1)


@law("cross-modal.types", on=Trait.CROSS_MODAL, draw=any_case, off=needs_repeats)
def test_each_direction_reads_its_own_three_tensors(subject: Subject, x: Posed) -> None:
    """The rows of text depend on the text's queries and on the vision's keys and values, and on nothing else, bit by bit; and the other way round."""
    subject.saw(x.regimes)
    tokens, before = x[0].shape[-2], posed.output(subject, x)
    for unread, rows in (((1, 2, 3), slice(0, tokens)), ((0, 4, 5), slice(tokens, None))):
        after = posed.output(subject, x.with_tensors({place: other_numbers(x[place]) for place in unread}))
        found = f"{before[:, :, rows].tolist()}, then {after[:, :, rows].tolist()}"
        require(same(before[:, :, rows], after[:, :, rows]), f"arguments {unread} move rows that do not read them: {found}, on {x}")


@law("cross-modal.types", on=Trait.CROSS_MODAL, draw=any_case)
def test_swapping_the_modalities_swaps_the_two_results(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    true, tokens = posed.truth(subject, x), x[0].shape[-2]
    masks = {"text_mask": "vision_mask", "vision_mask": "text_mask", "scale": "scale"}
    swapped = replace(x, arguments=x.arguments[3:] + x.arguments[:3], keywords={masks[name]: given for name, given in x.keywords.items()})
    found = posed.output(subject, swapped)
    turned = torch.cat((found[:, :, -tokens:], found[:, :, :-tokens]), dim=2)
    subject.judge("output of swapped modalities", turned, true.balls(), true.bound(), swapped)


@law("convexity.output-in-the-hull", on=Trait.CROSS_MODAL, draw=any_case)
def test_each_direction_has_a_mass_of_one(subject: Subject, x: Posed) -> None:
    """Values of 1 give 1, or 0 in a row that sees nothing."""
    subject.saw(x.regimes)
    ones = x.with_tensors({2: torch.ones_like(x[2]), 5: torch.ones_like(x[5])})
    true = posed.truth(subject, ones)
    subject.judge("the mass of each row", posed.output(subject, ones), true.balls(), true.bound(), ones)


@law("convexity.output-in-the-hull", on=Trait.CROSS_MODAL, draw=any_case, off=needs_repeats)
def test_doubled_values_of_both_modalities_double_both_results(subject: Subject, x: Posed) -> None:
    """A power of 2 passes through every rounding but those of subnormal numbers."""
    subject.saw(x.regimes)
    whole: dict[Place, Tensor] = {place: x[place].sign() for place in (2, 5)}
    once = posed.output(subject, x.with_tensors(whole))
    twice = posed.output(subject, x.with_tensors({place: 2 * value for place, value in whole.items()}))
    far = once.abs() >= 4 * torch.finfo(once.dtype).tiny / torch.finfo(once.dtype).eps
    require(same(torch.where(far, 2 * once, twice), twice), f"output {twice.tolist()} for doubled values, {once.tolist()} before, on {x}")


@law("symmetry.query-equivariance", "symmetry.key-value-invariance", on=Trait.CROSS_MODAL, draw=any_case)
def test_reordering_tokens_reorders_the_rows_of_text_alone(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    true, tokens = posed.truth(subject, x), x[0].shape[-2]
    turned = x.with_tensors({**{place: x[place].flip(2) for place in TEXT}, **({"text_mask": x["text_mask"].flip(-1)} if "text_mask" in x.keywords else {})})
    found = posed.output(subject, turned)
    back = torch.cat((found[:, :, :tokens].flip(2), found[:, :, tokens:]), dim=2)
    subject.judge("output with the tokens in reverse", back, true.balls(), true.bound(), turned)


@law("masks.hidden-key-has-no-influence", on=Trait.CROSS_MODAL, draw=partial(cross_modal, padding=HIDDEN), off=needs_repeats)
def test_padding_of_either_modality_flows_nowhere(subject: Subject, x: Posed) -> None:
    """Other keys and values where a mask says that nothing is: no row moves, to the last bit."""
    subject.saw(x.regimes)
    changed: dict[Place, Tensor] = {}
    for name, places in (("text_mask", TEXT[1:]), ("vision_mask", VISION[1:])):
        hidden = ~x[name].mT  # [B, 1, keys, 1]
        changed |= {place: torch.where(hidden, other_numbers(x[place]), x[place]) for place in places}
    before, after = posed.output(subject, x), posed.output(subject, x.with_tensors(changed))
    require(same(before, after), f"padding acts: {before.tolist()}, then {after.tolist()}, on {x}")


def there(x: Posed, name: str, place: int) -> Tensor:
    """Which regions or tokens [B, N] are there."""
    mask: Tensor | None = x.keywords.get(name)
    return torch.ones(x[place].shape[:2], dtype=torch.bool) if mask is None else mask


SIDES = (("vision_mask", 0), ("text_mask", 1))


@law("cross-modal.co-attention", on=Trait.CO_ATTENTION, draw=any_case)
def test_swapping_the_sides_swaps_the_summaries(subject: Subject, x: Posed) -> None:
    """With W_b transposed: co-attention has no first side."""
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    vision, text, both, of_v, of_t, energy_v, energy_t = x.arguments
    names = {"vision_mask": "text_mask", "text_mask": "vision_mask"}
    swapped = replace(x, arguments=(text, vision, both.mT, of_t, of_v, energy_t, energy_v), keywords={names[name]: mask for name, mask in x.keywords.items()})
    subject.judge("output of swapped sides", posed.output(subject, swapped).flip(-2), true.balls(), true.bound(), swapped)


@st.composite
def ends_apart(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Calls in which the last so many of either side are padding, as many in each sequence; at times none."""
    x = draw(co_attention(subject))
    lengths = (draw(st.integers(1, x[0].shape[1]), label="regions"), draw(st.integers(1, x[1].shape[1]), label="tokens"))
    masks = {name: (torch.arange(x[place].shape[1]) < length).repeat(x[0].shape[0], 1) for (name, place), length in zip(SIDES, lengths, strict=True)}
    return replace(x, keywords=masks, define=partial(without_the_rest, lengths=lengths))


def without_the_rest(t: Mapping[Place, Tracked], lengths: tuple[int, int]) -> Tracked:
    """The definition over the first so many of either side."""
    n, m = lengths
    b = t[0].shape[0]
    cut = {**t, 0: t[0][:, :n], 1: t[1][:, :m]}
    return summaries(cut, np.ones((b, n), dtype=np.bool_), np.ones((b, m), dtype=np.bool_))


@law("cross-modal.co-attention", on=Trait.CO_ATTENTION, draw=ends_apart)
def test_as_many_regions_as_tokens_are_not_needed(subject: Subject, x: Posed) -> None:
    """At every pair of lengths, and with padding behind them, the summaries are those of what is there."""
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    subject.judge("output with padding", posed.output(subject, x), true.balls(), true.bound(), x)
    shorter = replace(x, arguments=tuple(x[place][:, : int(x[name][0].sum())] for name, place in SIDES) + x.arguments[2:], keywords={})
    subject.judge("output without the padding", posed.output(subject, shorter), true.balls(), true.bound(), shorter)


@law("masks.hidden-key-has-no-influence", on=Trait.CO_ATTENTION, draw=partial(co_attention, padding=HIDDEN), off=needs_repeats)
def test_padding_of_either_side_steers_neither_summary(subject: Subject, x: Posed) -> None:
    """It takes no part in the other side's hidden layer either: no bit moves when it changes."""
    subject.saw(x.regimes)
    changed: dict[Place, Tensor] = {place: torch.where(there(x, name, place)[..., None], x[place], other_numbers(x[place])) for name, place in SIDES}
    before, after = posed.output(subject, x), posed.output(subject, x.with_tensors(changed))
    require(same(before, after), f"padding acts: {before.tolist()}, then {after.tolist()}, on {x}")


@law("symmetry.key-value-invariance", on=Trait.CO_ATTENTION, draw=any_case)
def test_neither_regions_nor_tokens_have_an_order(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    for name, place in SIDES:
        turned = x.with_tensors({place: x[place].flip(1), **({name: x[name].flip(1)} if name in x.keywords else {})})
        subject.judge(f"output with argument {place} in reverse", posed.output(subject, turned), true.balls(), true.bound(), turned)


@law("convexity.output-in-the-hull", on=Trait.CO_ATTENTION, draw=any_case)
def test_each_summary_lies_among_what_it_sums_up(subject: Subject, x: Posed) -> None:
    """Feature by feature between the least and the largest of its side, up to rounding; 0 where nothing is there."""
    subject.saw(x.regimes)
    bound, found = posed.truth(subject, x).bound(), posed.output(subject, x).double().numpy()
    for row, (name, place) in enumerate(SIDES):
        present, numbers = there(x, name, place).numpy()[..., None], x[place].double().numpy()
        least, most = np.where(present, numbers, np.inf).min(1), np.where(present, numbers, -np.inf).max(1)
        least, most = np.where(np.isinf(least), 0, least), np.where(np.isinf(most), 0, most)
        beyond = np.maximum(np.maximum(least - found[:, row], found[:, row] - most), 0)
        subject.within(f"summary {row}", beyond, bound[:, row], x)
