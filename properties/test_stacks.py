"""Laws of stacks of layers: causality and padding pass through all of them, encoders read both ways, heads have no order."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from impl.trait import Trait
from properties import posed
from properties.cases.layered import HIDDEN
from properties.cases.stacks import bert, t5
from properties.oracle import Balls
from properties.posed import Posed, any_case
from properties.subject import Subject, require, same
from properties.test_modalities import other_numbers
from properties.test_multi_head import HeadInputs, called, head_inputs
from properties.verifies import law, needs_repeats


def at(x: Tensor, rows: Tensor | slice) -> Tensor:
    """Other numbers in these rows [B, rows, D], in the same memory layout."""
    changed = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype).copy_(x)
    changed[:, rows] = other_numbers(x)[:, rows]
    return changed


def earlier_rows_stay(subject: Subject, x: Posed, place: int) -> None:
    """Require that changing row t of an argument moves no row before it, to the last bit, for every t."""
    before = posed.output(subject, x)
    for t in range(1, x[place].shape[1]):
        after = posed.output(subject, x.with_tensors({place: at(x[place], slice(t, t + 1))}))
        require(same(before[:, :t], after[:, :t]), f"token {t} moves rows before it: {before[:, :t].tolist()}, then {after[:, :t].tolist()}, on {x}")


def moved(subject: Subject, x: Posed, changed: Posed, row: int) -> None:
    """Require the row to move where its true value does, beyond both bounds."""
    one, other = posed.truth(subject, x), posed.truth(subject, changed)
    far = np.abs(one.middle - other.middle) > 2 * (one.bound() + other.bound())
    sure = torch.from_numpy(far[:, row])
    before, after = posed.output(subject, x)[:, row], posed.output(subject, changed)[:, row]
    require(bool((before != after)[sure].all()), f"row {row} does not see what should move it: {before.tolist()} before and {after.tolist()} after, on {x}")


@law("masks.causal-stack", on=Trait.CAUSAL_STACK, draw=any_case, off=needs_repeats)
def test_no_token_moves_a_row_before_it_through_all_layers(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    earlier_rows_stay(subject, x, 0)


@law("masks.causal-stack", on=Trait.CAUSAL_STACK, draw=any_case)
def test_a_shorter_text_has_the_first_rows_of_the_longer_one(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    balls, bound = true.balls(), true.bound()
    for n in range(1, x[0].shape[1]):
        shorter = x.with_tensors({0: x[0][:, :n]}, cotangent=x.cotangent[:, :n])
        first = Balls(*(part[:, :n] for part in (balls.hi, balls.lo, balls.radius)))
        subject.judge(f"the first {n} rows", posed.output(subject, shorter), first, bound[:, :n], shorter)


@law("multi_head.concatenation-is-sum", on=Trait.CAUSAL_STACK, draw=any_case)
def test_the_heads_of_every_layer_have_no_order(subject: Subject, x: Posed) -> None:
    """Their columns of W_Q, W_K and W_V with their rows of W_O, in another order."""
    subject.saw(x.regimes)
    true, weight, number = posed.truth(subject, x), x[2], x[8]
    width = weight.shape[-1] // number
    order = torch.tensor([h * width + i for h in itertools.chain(range(1, number), [0]) for i in range(width)])
    turned = x.with_tensors({2: torch.cat((weight[:, :3][..., order], weight[:, 3:][..., order, :]), dim=1)})
    subject.judge("output with the heads in another order", posed.output(subject, turned), true.balls(), true.bound(), turned)


@law("multi_head.removing-a-head", on=Trait.CAUSAL_STACK, draw=any_case, off=needs_repeats)
def test_a_head_without_values_leaves_the_others_as_they_are(subject: Subject, x: Posed) -> None:
    """With its columns of W_V at 0, a head's rows of W_O may be anything, in every layer: no bit moves."""
    subject.saw(x.regimes)
    width = x[2].shape[-1] // x[8]
    for head in range(x[8]):
        own = slice(head * width, (head + 1) * width)
        silent = x[2].clone()
        silent[:, 2, :, own] = 0
        louder = silent.clone()
        louder[:, 3, own] = 5
        before, after = (posed.output(subject, x.with_tensors({2: weight})) for weight in (silent, louder))
        require(same(before, after), f"head {head} acts without values: {before.tolist()}, then {after.tolist()}, on {x}")


@law("masks.unmasked-sees-the-future", on=Trait.ENCODER_STACK, draw=partial(bert, padding=("none",)), off=needs_repeats)
def test_an_encoder_reads_both_ways(subject: Subject, x: Posed) -> None:
    """The last token moves the class token's row, which stands before it: an encoder is not causal."""
    subject.saw(x.regimes)
    moved(subject, x, x.with_tensors({0: at(x[0], slice(-1, None))}), 0)


@law("masks.hidden-key-has-no-influence", on=Trait.ENCODER_STACK, draw=partial(bert, padding=HIDDEN), off=needs_repeats)
def test_padding_acts_on_no_row_but_its_own_in_any_layer(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    there = torch.cat((x["padding_mask"].new_ones(x[0].shape[0], 1), x["padding_mask"]), dim=1)  # [B, 1 + N]
    changed = x.with_tensors({0: torch.where(x["padding_mask"][..., None], x[0], other_numbers(x[0]))})
    before, after = posed.output(subject, x)[there], posed.output(subject, changed)[there]
    require(same(before, after), f"padding acts: {before.tolist()}, then {after.tolist()}, on {x}")


@law("masks.hidden-key-has-no-influence", on=Trait.ENCODER_STACK, draw=any_case)
def test_a_text_with_padding_behind_it_is_the_text(subject: Subject, x: Posed) -> None:
    """A token more than there are, which the mask takes away: the other rows are those of the text alone."""
    subject.saw(x.regimes)
    true, (b, n, d) = posed.truth(subject, x), x[0].shape
    mask = x.keywords.get("padding_mask", torch.ones(b, n, dtype=torch.bool))
    longer = replace(
        x.with_tensors({0: torch.cat((x[0], x[0].new_full((b, 1, d), 3.0)), 1), 2: torch.cat((x[2], x[2].new_ones(1, d)), 0)}),
        keywords={**x.keywords, "padding_mask": torch.cat((mask, mask.new_zeros(b, 1)), 1)},
        cotangent=torch.cat((x.cotangent, x.cotangent[:, :1]), 1),
    )
    subject.judge("the rows of the text", posed.output(subject, longer)[:, : 1 + n], true.balls(), true.bound(), longer)


@law("symmetry.query-equivariance", on=Trait.ENCODER_STACK, draw=any_case)
def test_without_positions_an_encoder_knows_no_order(subject: Subject, x: Posed) -> None:
    """Tokens in reverse, with their padding: their rows in reverse, and the class token's as it was."""
    subject.saw(x.regimes)
    bag = x.with_tensors({2: torch.zeros_like(x[2])})
    true = posed.truth(subject, bag)
    turned = bag.with_tensors({0: x[0].flip(1), **({"padding_mask": x["padding_mask"].flip(1)} if "padding_mask" in x.keywords else {})})
    found = posed.output(subject, turned)
    subject.judge("output with the tokens in reverse", torch.cat((found[:, :1], found[:, 1:].flip(1)), 1), true.balls(), true.bound(), turned)


@law("stacks.encoder-decoder", on=Trait.ENCODER_DECODER, draw=any_case, off=needs_repeats)
def test_no_token_of_the_target_moves_a_row_before_it(subject: Subject, x: Posed) -> None:
    """Through self-attention, cross-attention and the feed-forward parts of all layers."""
    subject.saw(x.regimes)
    earlier_rows_stay(subject, x, 1)


@law("stacks.encoder-decoder", on=Trait.ENCODER_DECODER, draw=partial(t5, padding=("none",)), off=needs_repeats)
def test_the_first_row_of_the_target_reads_the_whole_source(subject: Subject, x: Posed) -> None:
    """The last token of the source moves the first row of the target: cross-attention is not causal."""
    subject.saw(x.regimes)
    moved(subject, x, x.with_tensors({0: at(x[0], slice(-1, None))}), 0)


@law("masks.hidden-key-has-no-influence", on=Trait.ENCODER_DECODER, draw=partial(t5, padding=HIDDEN), off=needs_repeats)
def test_padding_of_the_source_reaches_no_row_of_the_target(subject: Subject, x: Posed) -> None:
    """Neither through the encoder's layers nor by cross-attention; a source of nothing but padding gives nothing."""
    subject.saw(x.regimes)
    changed = x.with_tensors({0: torch.where(x["source_mask"][..., None], x[0], other_numbers(x[0]))})
    before, after = posed.output(subject, x), posed.output(subject, changed)
    require(same(before, after), f"padding acts: {before.tolist()}, then {after.tolist()}, on {x}")


@law("softmax.shift", on=Trait.ENCODER_DECODER, draw=any_case)
def test_one_number_added_to_all_relative_biases_changes_nothing(subject: Subject, x: Posed) -> None:
    """No softmax of any layer sees it."""
    subject.saw(x.regimes)
    whole = x.with_tensors({place: x[place].round() for place in (11, 12)})  # so that the sums are exact
    shifted = whole.with_tensors({place: whole[place] + amount for place, amount in ((11, 4.0), (12, -2.0))})
    true, bound = posed.truth(subject, whole), posed.truth(subject, shifted).bound()
    subject.judge("output with shifted biases", posed.output(subject, shifted), true.balls(), bound, shifted)


@law("multi_head.removing-a-head", on=Trait.MULTI_HEAD, draw=head_inputs)
def test_a_head_whose_values_are_zero_writes_nothing(subject: Subject, x: HeadInputs) -> None:
    """With its columns of W_V at 0, a head's rows of W_O may be anything: what was merged into them is 0, and nothing of another head's."""
    subject.saw(x.regimes)
    width = x.value_weight.shape[1] // x.num_heads
    for head in {0, x.num_heads - 1}:
        own = slice(head * width, (head + 1) * width)
        silent, louder = x.value_weight.clone(), x.out_weight.clone()
        silent[:, own], louder[own] = 0, 5
        before, after = called(subject, replace(x, value_weight=silent)), called(subject, replace(x, value_weight=silent, out_weight=louder))
        require(same(before, after), f"head {head} acts without values: {before.tolist()}, then {after.tolist()}, on {x}")
