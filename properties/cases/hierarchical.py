"""Hierarchical attention: each sentence's words by a softmax of their own, each document's sentences by another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
from flint import arb
from torch import Tensor

from impl.variant import Implementation
from properties.inputs import numbers
from properties.posed import Place, Posed, case
from properties.posing import REGIMES, laid_out
from properties.tracked import Tracked, bare, concatenate, constant, contract, exp, irrational, log, softmax, stack, tanh, times_infinity

LAYOUTS = ("contiguous", "sliced", "by columns", "mixed")
BY_CONTEXT = ("sentence_weight", "sentence_bias", "sentence_context")


@st.composite
def hierarchical(draw: st.DrawFn, /, subject: Implementation, *, learned: tuple[bool, ...] = (True, True, False)) -> Posed:
    """Up to three documents of up to four sentences of up to four words, none of any of them too; lengths as lists or tensors; energies that saturate."""
    documents = draw(st.lists(st.lists(st.integers(0, 4), max_size=4), min_size=1, max_size=3), label="words of the sentences of the documents")
    d, a, a2 = (draw(st.sampled_from(options), label=name) for options, name in (((1, 2, 3), "D"), ((1, 3), "A"), ((1, 2), "A'")))
    dtype = getattr(torch, draw(st.sampled_from(subject.limits.dtypes), label="dtype"))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**16), label="seed"))
    regime = draw(st.sampled_from(REGIMES), label="numbers")
    times = draw(st.sampled_from((1.0, 1.0, 30.0)), label="energies times")
    form = draw(st.sampled_from(("list", "tensor")), label="lengths as")
    by_context = draw(st.sampled_from(learned), label="sentences by a context of their own")

    def tensor(*shape: int, times: float = 1.0) -> Tensor:
        return (numbers(shape, regime, random) * times).to(dtype)

    of_words = [length for document in documents for length in document]
    weights = tensor(d, a), tensor(a), tensor(a, times=times)
    beside = dict(zip(BY_CONTEXT, (tensor(d, a2), tensor(a2), tensor(a2, times=times)), strict=True)) if by_context else {}
    x = Posed(
        arguments=(tensor(sum(of_words), d), as_form(of_words, form), as_form([len(x) for x in documents], form), *weights),
        keywords=beside,
        define=partial(defined, documents=documents),
        cotangent=numbers((len(documents), d), "normal", random).to(dtype),
        wanted=(0, 3, 4, 5, *beside),
        batched=(),
        regimes=(
            f"sentences by {'a context' if by_context else 'log-sum-exp'}", f"numbers: {regime}", f"energies times {times:g}", f"lengths as {form}",
            *(("an empty sentence",) if 0 in of_words else ()), *(("an empty document",) if any(not sum(x) for x in documents) else ()),
        ),
    )  # fmt: skip
    return laid_out(x, draw(st.sampled_from(LAYOUTS), label="layout"))


case("hierarchical")(hierarchical)


def as_form(lengths: Sequence[int], form: str) -> Any:
    return list(lengths) if form == "list" else torch.tensor(lengths, dtype=torch.int64)


def documents_of(x: Posed) -> list[list[int]]:
    """The words of the sentences of the documents of a call."""
    words, ends = [int(n) for n in x[1]], pairwise(accumulate((int(n) for n in x[2]), initial=0))
    return [words[start:end] for start, end in ends]


def spans(documents: Sequence[Sequence[int]]) -> list[list[slice]]:
    """Where the words of each sentence stand, by document."""
    ends = pairwise(accumulate((n for document in documents for n in document), initial=0))
    places = iter([slice(start, end) for start, end in ends])
    return [[next(places) for _ in document] for document in documents]


def defined(t: Mapping[Place, Tracked], documents: Sequence[Sequence[int]]) -> Tracked:
    """Σ_i β_i Σ_j α_ij w_ij of each document [N, D], sentence by sentence; those without words take no part."""
    scores = energies(t[0], t[3], t[4], t[5])
    rows = [of_document(t, scores, [span for span in sentences if span.stop > span.start]) for sentences in spans(documents)]
    return stack(rows, 0)


def of_document(t: Mapping[Place, Tracked], scores: Tracked, sentences: Sequence[slice], often: Sequence[int] | None = None) -> Tracked:
    """A document [D] of sentences that all have words; `often` says how often each one stands."""
    if not sentences:
        return constant(np.zeros(t[0].shape[-1]), t[0].rounding)
    encoded = stack([contract("w,wd->d", softmax(scores[span]), t[0][span]) for span in sentences], 0)
    if "sentence_context" in t:
        ranked = energies(encoded, *(t[name] for name in BY_CONTEXT))
    else:
        ranked = concatenate([log_sum_exp(scores[span]).reshape(1) for span in sentences], 0)
    if often is not None:
        ranked = ranked + irrational(np.array([arb(z).log() for z in often], dtype=object), ranked.rounding)
    return contract("s,sd->d", softmax(ranked), encoded)


def energies(x: Tracked, weight: Tracked, bias: Tracked, context: Tracked) -> Tracked:
    """uᵀ tanh(W x + b) of rows."""
    return contract("ra,a->r", tanh(contract("rd,da->ra", x, weight) + bias), context)


def log_sum_exp(scores: Tracked) -> Tracked:
    """Of one axis, by any stabiliser near its maximum: what a computation subtracts and adds again is its own maximum, which cancels.

    A sum that is kept under a running maximum meets one more exponential at each merge, of differences that add up to the term's distance from the maximum.
    Its gradient is the weights; where backward rebuilds those from the logarithm, they are as far off as it is.
    """
    a, keys = scores.rounding, scores.shape[-1]
    top = constant(np.asarray(scores.middle.max()), a)
    raised, merges = exp(scores - top), a.merges(keys)
    if merges:
        distance = np.abs(scores.middle - top.middle) + scores.off + scores.off.max()
        with np.errstate(over="ignore"):
            lift = np.expm1(merges * (np.log1p(2 * a.exp) + a.declared.exponent_roundings * a.tiny) + a.gamma(a.declared.exponent_roundings) * distance)
        raised.off = times_infinity(raised.off + (lift + (1 + lift) * a.gamma(3 * merges)) * raised.reach)
    result = log(raised.sum(0)) + top
    if a.declared.recompute == "log-sum-exp":
        result.parents = ((scores, lambda g: softmax(bare(scores)) * g),)
    return result
