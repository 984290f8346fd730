"""Laws of attention in levels: words and sentences, cells of several widths, cells that choose their keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from flint import arb
from torch import Tensor

from impl.trait import Trait
from properties import posed
from properties.cases.hierarchical import defined, documents_of, energies, hierarchical, of_document, spans
from properties.cases.scales import choice, multi_scale, pyramid
from properties.posed import Place, Posed, any_case
from properties.simplex import attended, factor
from properties.subject import Subject, require, same
from properties.tracked import Tracked, bare, constant, contract, irrational, softmax, stack
from properties.verifies import law, needs_repeats


def judged(subject: Subject, what: str, x: Posed, true: Tracked) -> None:
    """Require the output of the call to be `true`, within the bound of its own definition."""
    subject.judge(what, posed.output(subject, x), true.balls(), posed.truth(subject, x).bound(), x)


def of_lengths(x: Posed, documents: Sequence[Sequence[int]], **fields: Any) -> Posed:
    """The same words in other sentences and documents, with the definition of that."""
    lengths = [n for document in documents for n in document], [len(document) for document in documents]
    return replace(x, arguments=(x[0], *lengths, *x.arguments[3:]), define=partial(defined, documents=documents), **fields)


@law("hierarchy.mass-is-a-distribution", on=Trait.HIERARCHICAL, draw=any_case)
def test_documents_of_one_word_repeated_are_that_word(subject: Subject, x: Posed) -> None:
    """The weights β_i α_ij of a document's words sum to 1; a document without words is 0."""
    subject.saw(x.regimes)
    if not len(x[0]):
        return
    alike = x.with_tensors({0: x[0][:1].expand(x[0].shape).contiguous()})
    filled = np.array([sum(document) > 0 for document in documents_of(x)])
    true = constant(np.broadcast_to(alike[0][:1].double().numpy(), x.cotangent.shape), subject.rounding(x.cotangent.dtype)).where(filled[:, None])
    contexts: list[Place] = [5, *(name for name in x.keywords if name == "sentence_context")]
    even = posed.truth(
        subject, alike.with_tensors({place: torch.zeros_like(x[place]) for place in contexts})
    )  # normalised by their own sum, weights sum to 1 whatever the errors of scores
    subject.judge("documents of equal words", posed.output(subject, alike), true.balls(), even.bound(), alike)


@law("hierarchy.flat-only-by-log-sum-exp", on=Trait.HIERARCHICAL, draw=partial(hierarchical, learned=(False,)))
def test_sentences_scored_by_log_sum_exp_are_no_hierarchy(subject: Subject, x: Posed) -> None:
    """One softmax over all words of a document, wherever its sentences end: as they are, and with the whole document for its only sentence."""
    subject.saw(x.regimes)
    t, documents = x.leaves(subject.rounding(x.cotangent.dtype)), documents_of(x)
    scores, rows, start = energies(t[0], t[3], t[4], t[5]), [], 0
    for document in documents:
        span = slice(start, start + sum(document))
        rows.append(contract("w,wd->d", softmax(scores[span]), t[0][span]) if sum(document) else t[0].like(np.zeros(x.cotangent.shape[1])))
        start = span.stop
    for call in (x, of_lengths(x, [[sum(document)] for document in documents])):
        judged(subject, "output against one softmax a document", call, stack(rows, 0))


@law("hierarchy.repeated-sentence", on=Trait.HIERARCHICAL, draw=any_case)
def test_sentences_and_words_are_sets(subject: Subject, x: Posed) -> None:
    """The sentences of each document from the last to the first, then the words of each sentence too: nothing moves, as there are no positions."""
    subject.saw(x.regimes)
    true, documents = posed.truth(subject, x), documents_of(x)
    words = torch.arange(len(x[0]))
    for inside in (False, True):
        order = [words[span].flip(0) if inside else words[span] for sentences in spans(documents) for span in reversed(sentences)]
        turned = of_lengths(x, [document[::-1] for document in documents]).with_tensors({0: x[0][torch.cat((words[:0], *order))]})
        subject.judge("output with the sentences in reverse", posed.output(subject, turned), true.balls(), true.bound(), turned)


@law("hierarchy.repeated-sentence", on=Trait.HIERARCHICAL, draw=any_case)
def test_a_sentence_that_stands_twice_has_log_two_added_to_its_score(subject: Subject, x: Posed) -> None:
    """The first sentence with words of each document, once more."""
    subject.saw(x.regimes)
    t, words = x.leaves(subject.rounding(x.cotangent.dtype)), torch.arange(len(x[0]))
    scores, rows, order, lengths = energies(t[0], t[3], t[4], t[5]), [], [words[:0]], []
    for sentences in spans(documents_of(x)):
        filled = [span for span in sentences if span.stop > span.start]
        rows.append(of_document(t, scores, filled, [2, *[1] * (len(filled) - 1)]))
        lengths.append([span.stop - span.start for span in (*filled[:1], *filled)])
        order += [words[span] for span in (*filled[:1], *filled)]
    twice = of_lengths(x, lengths).with_tensors({0: x[0][torch.cat(order)]})
    judged(subject, "output with a sentence twice", twice, stack(rows, 0))


@law("graphs.groups-are-independent", on=Trait.HIERARCHICAL, draw=any_case)
def test_empty_sentences_take_no_part(subject: Subject, x: Posed) -> None:
    """One before and one behind each sentence, and documents without sentences on either side."""
    subject.saw(x.regimes)
    true, documents = posed.truth(subject, x), documents_of(x)
    spread = of_lengths(x, [[], *([0, *(entry for n in document for entry in (n, 0))] for document in documents), []])
    spread = replace(spread, cotangent=torch.zeros(len(documents) + 2, x.cotangent.shape[1], dtype=x.cotangent.dtype))
    output = posed.output(subject, spread)
    subject.judge("output with empty sentences", output[1:-1], true.balls(), true.bound(), spread)
    require(not output[0].any() and not output[-1].any(), f"documents without sentences return {output[0].tolist()}, {output[-1].tolist()} on {x}")


@law("hierarchy.mass-is-a-distribution", on=Trait.HIERARCHICAL, draw=any_case)
def test_a_document_of_one_sentence_is_that_sentence(subject: Subject, x: Posed) -> None:
    """Its weight is 1, whatever its score: attention of the sentence alone, with no word of any other."""
    subject.saw(x.regimes)
    t, sentences = x.leaves(subject.rounding(x.cotangent.dtype)), [span for document in spans(documents_of(x)) for span in document]
    if not sentences:
        return
    scores, zero = energies(t[0], t[3], t[4], t[5]), t[0].like(np.zeros(x.cotangent.shape[1]))
    rows = [contract("w,wd->d", softmax(scores[span]), t[0][span]) if span.stop > span.start else zero for span in sentences]
    alone = of_lengths(x, [[span.stop - span.start] for span in sentences])
    alone = replace(alone, cotangent=torch.zeros(len(sentences), x.cotangent.shape[1], dtype=x.cotangent.dtype))
    judged(subject, "each sentence as a document", alone, stack(rows, 0))


@law("graphs.groups-are-independent", on=Trait.HIERARCHICAL, draw=any_case, off=needs_repeats)
def test_a_document_s_weights_know_of_no_other_document(subject: Subject, x: Posed) -> None:
    """Other words in the first document, or NaN: the others do not move, to the last bit."""
    subject.saw(x.regimes)
    end, before = sum(documents_of(x)[0]), posed.output(subject, x)[1:]
    for changed in (x[0][:end] * -3 + 60, torch.nan):
        words = torch.empty_strided(x[0].shape, x[0].stride(), dtype=x[0].dtype).copy_(x[0])
        words[:end] = changed
        after = posed.output(subject, x.with_tensors({0: words}))[1:]
        require(same(before, after), f"document 0 changed, and others moved: {before.tolist()}, then {after.tolist()}, on {x}")


def plainly(subject: Subject, x: Posed) -> Tracked:
    """Attention to all keys."""
    t = x.leaves(subject.rounding(x.cotangent.dtype))
    scores = contract("bhnd,bhmd->bhnm", t[0], t[1]) * factor(x.keywords.get("scale"), x[0].shape[-1], t[0].rounding)
    return attended(scores, t[2], np.ones(scores.shape, dtype=np.bool_))


@law("hierarchy.scales", on=Trait.MULTI_SCALE, draw=partial(multi_scale, widths=((1,), (1, 1), (1, 1, 1))))
def test_the_finest_scale_alone_is_plain_attention(subject: Subject, x: Posed) -> None:
    """However often it is given: twice as many equal keys share the weights."""
    subject.saw(x.regimes)
    judged(subject, "output of the finest scale", x, plainly(subject, x))


@law("hierarchy.scales", on=Trait.MULTI_SCALE, draw=partial(multi_scale, widths=((100,), (100, 100))))
def test_one_cell_is_the_mean_of_the_values(subject: Subject, x: Posed) -> None:
    """Whatever the query."""
    subject.saw(x.regimes)
    value, count = x.leaves(subject.rounding(x.cotangent.dtype))[2], max(x[2].shape[2], 1)
    share = np.full((x[0].shape[2], x[2].shape[2]), 1 / arb(count), dtype=object)
    judged(subject, "output of one cell", x, contract("nm,bhme->bhne", irrational(share, value.rounding), value))


@law("sparsity.sparse-is-masked-dense", on=Trait.PYRAMID, draw=partial(pyramid, everything=True))
def test_choosing_every_cell_is_plain_attention(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    judged(subject, "output of all cells", x, plainly(subject, x))


@law("sparsity.support", on=Trait.PYRAMID, draw=partial(pyramid, part=True), off=needs_repeats)
def test_values_of_cells_that_are_not_chosen_never_act(subject: Subject, x: Posed) -> None:
    """Other values in the cell that most rows leave out: these do not move, to the last bit. So it is for a row's other heads and sequences."""
    subject.saw(x.regimes)
    width, keywords = x[3], x.keywords
    kept, doubtful = choice({p: bare(v) for p, v in x.leaves(subject.rounding(x.cotangent.dtype)).items()}, width, x[4], keywords.get("scale"))
    out = ~kept & ~doubtful  # [B, H, N, C]
    if not out.size:
        return
    cell = int(out.mean((0, 1, 2)).argmax())
    value: Tensor = torch.empty_strided(x[2].shape, x[2].stride(), dtype=x[2].dtype).copy_(x[2])
    value[:, :, cell * width : (cell + 1) * width] = value[:, :, cell * width : (cell + 1) * width] * -3 + 1
    changed: dict[Place, Tensor] = {2: value}
    rows = torch.from_numpy(out[..., cell].copy())
    before, after = posed.output(subject, x)[rows], posed.output(subject, x.with_tensors(changed))[rows]
    require(same(before, after), f"cell {cell} acts on rows that leave it out: {before.tolist()}, then {after.tolist()}, on {x}")
