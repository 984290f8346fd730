"""How the counts of every family's fast paths grow with the size: operations and bytes at the peak, beside a definition's. Nothing is timed."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch

from tests.benchmarks.families import FAMILIES, D
from tests.benchmarks.work import Work, exponent, held, work

MOST = 1.05  # the exponent of operations in n of what claims to be linear
CLAIMED_LINEAR = ("windowed", "linear", "decode")
EXCEPT = {"doubling distances, by pairs", "every 16th, by pairs"}  # n log n and n² / 16 by their definition
EVERY = [(family, name) for family, one in FAMILIES.items() for name in one.contestants]


@cache
def counts(family: str, name: str) -> dict[str, dict[int, int]]:
    """Operations and bytes of a contestant by size."""
    one = FAMILIES[family]
    calls = {n: one.contestants[name].prepare(n) for n in one.sizes}
    return {"work": {n: work(call) for n, call in calls.items()}, "held": {n: held(call) for n, call in calls.items()}}


@pytest.mark.parametrize(("family", "name"), EVERY)
def test_counts_grow_as_is_said(family: str, name: str) -> None:
    one, found = FAMILIES[family].contestants[name], counts(family, name)
    assert len(FAMILIES[family].sizes) >= 4
    low, high = one.work
    assert low <= added(found["work"]) <= high, f"doubling n adds operations as n^{added(found['work']):.3f}, not within {one.work}: {found['work']}"
    last = doubling(found["held"])
    assert last >= one.held[0] if one.definition else last <= one.held[1], f"the last doubling takes n^{last:.3f} bytes, not {one.held}: {found['held']}"


def doubling(found: dict[int, int]) -> float:
    """By what power of 2 the last doubling of n multiplies a count."""
    *_, before, after = found.values()
    return math.log2(after / before)


def added(found: dict[int, int]) -> float:
    """The exponent of what each doubling of n adds; 0 where nothing is added."""
    steps = {n: after - before for (n, before), after in zip(found.items(), list(found.values())[1:], strict=False)}
    return exponent(steps) if any(steps.values()) else 0.0


@pytest.mark.parametrize(("family", "name"), [(f, name) for f, name in EVERY if f in CLAIMED_LINEAR and name not in EXCEPT])
def test_windows_linear_attention_and_decoding_grow_no_faster_than_the_length(family: str, name: str) -> None:
    if FAMILIES[family].contestants[name].definition:
        assert exponent(counts(family, name)["work"]) > 1.8, "the same count of a definition tells them apart"
    else:
        assert exponent(counts(family, name)["work"]) <= MOST


def test_every_family_has_a_definition_beside_its_fast_paths() -> None:
    for one in FAMILIES.values():
        assert {x.definition for x in one.contestants.values()} == {True, False}


def test_work_counts_products_by_their_formula_and_every_other_number_once() -> None:
    a, b = torch.ones(3, 4), torch.ones(4, 5)
    with Work() as counter:
        c = a @ b  # 2 · 3 · 4 · 5
        c = c.T + 1  # a view, then 15 numbers
        c.mul_(2)  # 15 in place
        c.scatter_(0, torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 3))  # 3 in place
    assert counter.done == 120 + 15 + 15 + 3 + 6, "and what makes the scatter's two arguments"


@pytest.mark.parametrize("name", FAMILIES["dense"].contestants)
def test_no_product_of_dense_attention_escapes_the_count(name: str) -> None:
    for n, done in counts("dense", name)["work"].items():
        assert done >= 4 * n * n * D
