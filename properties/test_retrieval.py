"""Laws of attention over a memory: a row's best entries join its local keys, and no other entry acts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.cases.retrieval import chosen, in_doubt, products, retrieval
from properties.oracle import Array
from properties.posed import Place, Posed, any_case
from properties.simplex import attended
from properties.subject import Subject, require, same
from properties.tracked import Flags, Tracked, bare, concatenate, softmax
from properties.verifies import law, needs_repeats

PART: dict[str, Any] = {"entries": (3, 4, 5, 7), "top_k": (1, 2)}


def flags(x: Posed) -> tuple[Flags, Flags]:
    """Which local keys [B, H, N, M] and which entries [B, H, N, R] a row is shown."""
    assert x.visible is not None
    mask = x.keywords.get("memory_mask")
    shape = (*x.visible.shape[:3], x[3].shape[2])
    return x.visible, np.broadcast_to(np.True_ if mask is None else mask.numpy(), shape)


def over(subject: Subject, x: Posed, entries: bool) -> Tracked:
    """Attention to the local keys and to all entries shown, or to none."""
    t, scale, (seen, shown) = x.leaves(subject.rounding(x.cotangent.dtype)), x.keywords.get("scale"), flags(x)
    scores = concatenate((products(t, 1, scale), products(t, 3, scale)), 3)
    return attended(scores, concatenate((t[2], t[4]), 2), np.concatenate((seen, shown & entries), 3))


@law("streaming.memory-and-context", on=Trait.RETRIEVAL, draw=retrieval)
def test_as_many_as_there_are_is_attention_to_everything(subject: Subject, x: Posed) -> None:
    """With top_k at least the number of entries, nothing is chosen: one attention over local keys and memory."""
    subject.saw(x.regimes)
    true, entries = over(subject, x, True), x[3].shape[2]
    for top_k in (entries, entries + 1, entries + 100):
        whole = replace(x, arguments=(*x.arguments[:5], top_k))
        subject.judge(f"output with top_k = {top_k}", posed.output(subject, whole), true.balls(), true.bound(), whole)


@law("streaming.memory-and-context", on=Trait.RETRIEVAL, draw=retrieval)
def test_nothing_retrieved_is_local_attention(subject: Subject, x: Posed) -> None:
    """With top_k = 0, and with no entries at all."""
    subject.saw(x.regimes)
    true = over(subject, x, False)
    empty: dict[Place, Tensor] = {place: x[place][:, :, :0] for place in (3, 4)}
    if "memory_mask" in x.keywords:
        empty["memory_mask"] = x["memory_mask"][..., :0]
    none = replace(x, arguments=(*x.arguments[:5], 0))
    for call in (none, x.with_tensors(empty)):
        subject.judge("output without a memory", posed.output(subject, call), true.balls(), true.bound(), call)


@law("convexity.pruned-mass", "streaming.top-k-error", on=Trait.RETRIEVAL, draw=partial(retrieval, entries=(3, 4, 5, 7), top_k=(0, 1, 2, 3)))
def test_what_is_not_retrieved_moves_the_output_by_no_more_than_its_mass(subject: Subject, x: Posed) -> None:
    """|o − o_full| ≤ ε Δ feature by feature, where ε is the mass of the entries left out under full attention, and Δ the extent of the values shown."""
    subject.saw(x.regimes)
    t, scale, (seen, shown) = x.leaves(subject.rounding(x.cotangent.dtype)), x.keywords.get("scale"), flags(x)
    kept, all_shown = chosen(products(t, 3, scale).middle, shown, x[5]), np.concatenate((seen, shown), 3)
    if not np.concatenate((seen, kept), 3).any(-1).all():  # a row that keeps nothing is 0, and no mean of values
        return
    scores = concatenate((products(t, 1, scale), products(t, 3, scale)), 3)
    gone = np.concatenate((np.zeros_like(seen), shown & ~kept), 3)
    mass = np.where(gone, softmax(bare(scores), all_shown).middle, 0.0).sum(-1)[..., None]  # [B, H, N, 1]
    moved = mass * extent(np.concatenate((t[2].middle, t[4].middle), 2), all_shown) * (1 + 2.0**-40)
    full, own = over(subject, x, True), posed.truth(subject, x).bound()
    subject.judge("output beside attention to everything", posed.output(subject, x), full.balls(), moved + own, x)


def extent(values: Array, shown: Flags) -> Array:
    """The largest less the smallest of each feature [B, H, N, E] among the values [B, H, M, E] that a row is shown."""
    wide, there = values[:, :, None], shown[..., None]
    most = np.where(there, wide, -np.inf).max(-2, initial=-np.inf)
    return np.asarray(np.maximum(most - np.where(there, wide, np.inf).min(-2, initial=np.inf), 0.0))


@st.composite
def steered(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Calls that retrieve a part, whose queries have 1 for their first feature, and whose scale is positive: that of a key moves all its scores alike."""
    x = draw(retrieval(replace(subject, limits=replace(subject.limits, scale=False)), **PART))
    query = x[0].clone()
    query[..., 0] = 1
    return x.with_tensors({0: query})


def unretrieved(subject: Subject, x: Posed) -> Flags:
    """Which entries [B, H, N, R] lie below a row's best beyond doubt."""
    scores, (_, shown) = products(x.leaves(subject.rounding(x.cotangent.dtype)), 3, x.keywords.get("scale")), flags(x)
    kept = chosen(scores.middle, shown, x[5])
    return np.asarray(~kept & ~in_doubt(scores, shown, kept))


@law("masks.hidden-key-has-no-influence", on=Trait.RETRIEVAL, draw=steered, off=needs_repeats)
def test_an_entry_that_is_not_retrieved_never_acts(subject: Subject, x: Posed) -> None:
    """Lower scores and another value for one entry: rows that did not retrieve it do not move, to the last bit."""
    if not x[0].numel():
        return
    subject.saw(x.regimes)
    out = unretrieved(subject, x)
    entry = int(out.mean((0, 1, 2)).argmax())
    key, value = x[3].clone(), x[4].clone()
    key[:, :, entry, 0] = -40.0
    value[:, :, entry] = value[:, :, entry] * -3 + 1000
    key[:, :, entry, 1:] = 0.0
    lower = x.with_tensors({3: key, 4: value})
    rows = torch.from_numpy(out[..., entry] & unretrieved(subject, lower)[..., entry])
    before, after = posed.output(subject, x), posed.output(subject, lower)
    require(same(before[rows], after[rows]), f"entry {entry} moves rows that do not retrieve it: {before[rows].tolist()}, then {after[rows].tolist()}, on {x}")


@law(
    "masks.hidden-key-has-no-influence",
    on=Trait.RETRIEVAL,
    draw=partial(retrieval, entries=(3, 4, 5, 7), masks=("each row", "one row", "per sequence")),
    off=needs_repeats,
)
def test_an_entry_that_is_hidden_takes_no_place(subject: Subject, x: Posed) -> None:
    """However high its score: of the future, or of another document. Rows to which it is hidden do not move, to the last bit."""
    subject.saw(x.regimes)
    _, shown = flags(x)
    if not shown.size:
        return
    entry = int(shown.mean((0, 1, 2)).argmin())
    rows = ~torch.from_numpy(shown[..., entry].copy())
    outputs = []
    for by in (0.0, 900.0, -900.0):
        key, value = x[3].clone(), x[4].clone()
        key[:, :, entry], value[:, :, entry] = by, 1000.0
        outputs.append(posed.output(subject, x.with_tensors({3: key, 4: value}))[rows])
    require(all(same(outputs[0], other) for other in outputs), f"a hidden entry {entry} moves {[other.tolist() for other in outputs]} on {x}")


@law("symmetry.key-value-invariance", on=Trait.RETRIEVAL, draw=any_case)
def test_the_memory_has_no_order(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    axes: Sequence[tuple[Place, int]] = ((3, 2), (4, 2), *((("memory_mask", -1),) if "memory_mask" in x.keywords else ()))
    turned = x.with_tensors({place: x[place].flip(axis) for place, axis in axes})
    subject.judge("output with the memory in reverse", posed.output(subject, turned), true.balls(), true.bound(), turned)


@law("streaming.top-k-is-best", on=Trait.RETRIEVAL, draw=partial(retrieval, entries=(1, 2, 3), top_k=(1, 2, 3), masks=("none",)))
def test_of_equal_entries_any_will_do(subject: Subject, x: Posed) -> None:
    """Each entry twice, keys and values: whichever of two the last place goes to, the output is the same."""
    subject.saw(x.regimes)
    twins = x.with_tensors({place: torch.cat((x[place], x[place]), 2) for place in (3, 4)})
    t, scale, (seen, shown) = x.leaves(subject.rounding(x.cotangent.dtype)), x.keywords.get("scale"), flags(x)
    remembered, top_k = products(t, 3, scale), x[5]
    several, once = chosen(remembered.middle, shown, (top_k + 1) // 2), chosen(remembered.middle, shown, top_k // 2)
    open_ended = in_doubt(remembered, shown, several) | in_doubt(remembered, shown, once)
    scores = concatenate((products(t, 1, scale), remembered, remembered), 3)
    true = attended(scores, concatenate((t[2], t[4], t[4]), 2), np.concatenate((seen, several, once), 3))
    bound = np.where(open_ended, np.inf, true.bound())
    subject.judge("output with each entry twice", posed.output(subject, twins), true.balls(), bound, twins)
