"""What instruments cost, counted: operations by torch's FlopCounterMode, numbers in the largest tensor; and the formulas of impl/instruments/complexity, which
have to agree with such counts exactly. Beside it what they refuse, and decisions by thresholds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from impl.instruments.attention_distance import contracted
from impl.instruments.attention_distance import reference as attention_distance
from impl.instruments.attention_entropy import reference as attention_entropy
from impl.instruments.attention_entropy import tiled
from impl.instruments.attention_flow import reference as attention_flow
from impl.instruments.collapse import reference as collapse
from impl.instruments.complexity import counts
from impl.instruments.consistency import one_product
from impl.instruments.consistency import reference as consistency
from impl.instruments.human_correlation import by_sorting
from impl.instruments.human_correlation import reference as human_correlation
from impl.instruments.jensen_shannon import pair_by_pair
from impl.instruments.jensen_shannon import reference as jensen_shannon
from impl.instruments.mutual_information import reference as mutual_information
from impl.instruments.pattern_scores import by_diagonals
from impl.instruments.pattern_scores import reference as pattern_scores
from impl.instruments.plug_in_information import by_counting
from impl.instruments.plug_in_information import reference as plug_in_information
from impl.instruments.rollout import from_the_top
from impl.instruments.rollout import reference as rollout
from impl.instruments.syntactic_alignment import as_a_table
from impl.instruments.syntactic_alignment import reference as syntactic_alignment
from impl.instruments.vanishing import reference as vanishing
from impl.multi_head import reference as multi_head
from impl.scaled_dot_product import reference as scaled_dot_product
from tests.benchmarks.live_bytes import counting

FLOAT = 4


def weights(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).softmax(-1)


def largest(call: Callable[..., Tensor], *arguments: Any, **keywords: Any) -> int:
    """Numbers in the largest tensor that the call makes."""
    with counting() as live:
        call(*arguments, **keywords)
    return live.largest // FLOAT


def flops(call: Callable[..., Tensor], *arguments: Any, **keywords: Any) -> int:
    with FlopCounterMode(display=False) as counter:
        call(*arguments, **keywords)
    return int(counter.get_total_flops())


# -------------------------------------------------------------------------------------------------------------------------------------- complexity


@pytest.mark.parametrize(("batch", "heads", "queries", "keys", "width", "value_width"), [(1, 1, 4, 4, 8, 8), (2, 3, 5, 7, 4, 6), (3, 1, 1, 16, 2, 2)])
def test_dense_attention_costs_what_the_formula_says(batch: int, heads: int, queries: int, keys: int, width: int, value_width: int) -> None:
    query, key, value = (torch.randn(batch, heads, *shape) for shape in ((queries, width), (keys, width), (keys, value_width)))
    cost = counts.dense(batch=batch, heads=heads, queries=queries, keys=keys, width=width, value_width=value_width)
    assert flops(scaled_dot_product.attention, query, key, value) == cost.flops
    output = scaled_dot_product.attention(query, key, value)
    assert sum(x.nbytes for x in (query, key, value, output)) == cost.bytes
    assert batch * heads * queries * keys * FLOAT == cost.weights_bytes
    assert cost.parameters == 0


@pytest.mark.parametrize(("batch", "heads", "queries", "keys", "width"), [(1, 1, 4, 4, 8), (2, 4, 5, 7, 8), (3, 2, 1, 9, 6)])
def test_multi_head_attention_costs_what_the_formula_says(batch: int, heads: int, queries: int, keys: int, width: int) -> None:
    query, key = torch.randn(batch, queries, width), torch.randn(batch, keys, width)
    learned = [torch.randn(width, width) for _ in range(4)]
    cost = counts.multi_head(batch=batch, heads=heads, queries=queries, keys=keys, model_width=width)
    assert flops(multi_head.attention, query, key, key.clone(), *learned, heads) == cost.flops
    attention: Callable[..., Tensor] = multi_head.attention
    output = attention(query, key, key, *learned, heads)
    assert sum(x.numel() for x in learned) == cost.parameters == 4 * width**2
    assert sum(x.nbytes for x in (query, key, key, *learned, output)) == cost.bytes


def test_formulas_hold_for_a_head_width_of_its_own_and_grow_as_they_say() -> None:
    """4 C H D parameters; operations of the pairs grow with N², those of the projections with N."""
    wide = counts.multi_head(heads=3, queries=4, keys=4, model_width=8, head_width=5)
    query, learned = torch.randn(1, 4, 8), [torch.randn(8, 15), torch.randn(8, 15), torch.randn(8, 15), torch.randn(15, 8)]
    assert flops(multi_head.attention, query, query.clone(), query.clone(), *learned, 3) == wide.flops
    assert wide.parameters == sum(x.numel() for x in learned)
    one, two, four = (counts.multi_head(heads=2, queries=n, keys=n, model_width=8).flops for n in (64, 128, 256))
    assert four - 2 * two == 4 * (two - 2 * one)
    assert counts.multi_head(heads=4, queries=64, keys=64, model_width=8).flops == one


def test_sizes_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="do not divide"):
        counts.multi_head(heads=3, queries=1, keys=1, model_width=8)
    with pytest.raises(ValueError, match="model_width=-4"):
        counts.multi_head(heads=2, queries=1, keys=1, model_width=-4, head_width=2)
    with pytest.raises(ValueError, match="'keys': -1"):
        counts.dense(queries=1, keys=-1, width=1)


def test_a_rate_is_a_number_above_zero() -> None:
    """Nothing more is asserted about a time."""
    assert counts.tokens_per_second(lambda: None, 5, seconds=0.0) > 0


# ----------------------------------------------------------------------------------------------------------------------------------- instruments


@pytest.mark.parametrize("m", [256, 512, 1024])
def test_tiled_entropy_holds_a_tile_whatever_the_number_of_keys(m: int) -> None:
    n, keys = 8, 32
    assert largest(tiled.entropy, weights(2, n, m), keys=keys) == 2 * n * keys
    assert largest(attention_entropy.entropy, weights(2, n, m)) == 2 * n * m


@pytest.mark.parametrize("heads", [2, 4, 8])
def test_a_pair_of_heads_at_a_time_holds_one_map(heads: int) -> None:
    n, m = 6, 32
    p = weights(heads, n, m)
    assert largest(pair_by_pair.divergence, p, pairs=True) == max(n * m, heads * heads * n)
    assert largest(jensen_shannon.divergence, p, pairs=True) == heads * heads * n * m


@pytest.mark.parametrize("n", [64, 128, 256])
def test_counting_samples_holds_no_indicators(n: int) -> None:
    """N numbers of 8 bytes, or the table, not N · (A + B)."""
    a, b = 5, 40
    x, y = torch.randint(0, a, (n,)), torch.randint(0, b, (n,))
    assert largest(by_counting.information, x, y, (a, b)) == 2 * max(n, a * b)
    assert largest(plug_in_information.information, x, y, (a, b)) == 2 * n * b


@pytest.mark.parametrize("n", [16, 32, 64])
def test_contracted_distances_hold_no_product_of_the_weights_size(n: int) -> None:
    p = weights(2, 3, n, n)
    assert largest(contracted.distance, p) == max(n * n, 6 * n)
    assert largest(attention_distance.distance, p) == 6 * n * n


@pytest.mark.parametrize(("layers", "n", "rows"), [(2, 8, [0]), (4, 16, [3, 5]), (5, 8, [7])])
def test_a_few_rows_are_rolled_out_by_that_many_rows_of_products(layers: int, n: int, rows: list[int]) -> None:
    p = weights(layers, n, n)
    assert flops(from_the_top.rollout, p, rows=rows) == 2 * (layers - 1) * len(rows) * n**2
    assert flops(rollout.rollout, p, rows=rows) == 2 * (layers - 1) * n**3


@pytest.mark.parametrize(("trainings", "heads", "n"), [(2, 3, 4), (3, 2, 5)])
def test_all_correlations_come_from_one_product(trainings: int, heads: int, n: int) -> None:
    assert flops(one_product.consistency, weights(1, trainings, heads, n, n)) == 2 * (trainings * heads) ** 2 * n**2


@pytest.mark.parametrize("n", [64, 128, 256])
def test_ranks_by_sorting_compare_no_pairs(n: int) -> None:
    x, y = torch.randn(2, n), torch.randn(2, n)
    assert largest(by_sorting.correlation, x, y, "spearman") <= 2 * 2 * n  # places are of 8 bytes
    assert largest(human_correlation.correlation, x, y, "spearman") >= 2 * n * n // FLOAT  # booleans


# --------------------------------------------------------------------------------------------------------------------------- decisions and refusals


def test_patterns_are_decided_by_their_scores() -> None:
    n = 4
    tokens = torch.tensor([0, 1, 0, 1])
    sink = torch.zeros(n, n)
    sink[:, 0] = 1
    induction = torch.zeros(n, n)
    induction[0, 0] = induction[1, 0] = induction[2, 1] = induction[3, 2] = 1
    named = {name: pattern_scores.patterns(map_, tokens, window=0).tolist() for name, map_ in (("sink", sink), ("induction", induction), ("eye", torch.eye(n)))}
    assert named["sink"] == [False, False, True, False, False]
    assert named["induction"] == [False, False, False, True, True]  # of a sequence with period 2, what comes next stands one place back
    assert named["eye"] == [True, True, False, False, False]
    assert collapse.collapsed(sink).tolist() == [True, True]
    assert collapse.collapsed(torch.full((4, 4), 0.25)).tolist() == [False, True]
    assert collapse.collapsed(torch.eye(4)).tolist() == [False, False]
    assert vanishing.vanished(sink).all()
    assert vanishing.vanished(torch.full((1, 1024), 1 / 1024)).all()
    assert not vanishing.vanished(torch.full((4, 4), 0.25)).any()


def expectation(count: int) -> float:
    """The mean of the plug-in estimate over two independent fair bits, from all tables of so many pairs."""
    tables = torch.tensor([t for t in itertools.product(range(count + 1), repeat=3) if sum(t) <= count], dtype=torch.float64)
    tables = torch.cat((tables, count - tables.sum(-1, keepdim=True)), -1)
    logarithm = math.lgamma(count + 1) - torch.lgamma(tables + 1).sum(-1) - count * math.log(4)
    return float((logarithm.exp() * mutual_information.information(tables.reshape(-1, 2, 2))).sum())


def test_the_bias_of_a_plug_in_estimate_is_one_over_two_n_to_leading_order() -> None:
    """(A − 1)(B − 1) / (2 N) of two independent fair bits, from exact expectations: N times the mean tends to 1/2, its distance halves as N doubles, and what
    is left without that first-order term falls by four."""
    means = [count * expectation(count) for count in (16, 32, 64)]
    gaps = [mean - 0.5 for mean in means]
    assert gaps[0] > gaps[1] > gaps[2] > 0
    without = [2 * later - sooner - 0.5 for sooner, later in itertools.pairwise(means)]
    assert abs(without[1]) < abs(without[0]) / 2
    assert abs(without[1]) < abs(gaps[2]) / 2


@pytest.mark.parametrize(
    ("call", "arguments", "says"),
    [
        (jensen_shannon.divergence, (torch.ones(2, 2),), r"\[..., H, N, M\]"),
        (mutual_information.information, (torch.zeros(2, 2),), "sums to 0"),
        (mutual_information.information, (torch.tensor([[1.0, -1.0]]),), "below 0"),
        (plug_in_information.information, (torch.tensor([0, 2]), torch.tensor([0, 1]), (2, 2)), "from 0 to 1"),
        (plug_in_information.information, (torch.tensor([0]), torch.tensor([0, 1]), (2, 2)), "shapes"),
        (by_counting.information, (torch.tensor([0], dtype=torch.uint8), torch.tensor([0], dtype=torch.uint8), (200, 2)), "uint8; expected int64"),
        (plug_in_information.information, (torch.tensor([0], dtype=torch.int32), torch.tensor([0]), (2, 2)), "int32; expected int64"),
        (attention_distance.distance, (torch.ones(1, 1), "layer"), "'row' and 'head'"),
        (attention_distance.distance, (torch.ones(0, 1), "head"), "one row"),
        (rollout.rollout, (torch.ones(2, 2),), r"\[..., L, N, N\]"),
        (attention_flow.flow, (torch.tensor([[[-1.0]]]),), "from 0"),
        (attention_flow.flow, (torch.ones(1, 1, 2),), r"\[..., L, N, N\]"),
        (consistency.consistency, (torch.ones(1, 1, 2, 2),), "two trainings"),
        (syntactic_alignment.alignment, (torch.eye(2), torch.tensor([[2, 0]])), "outside"),
        (syntactic_alignment.alignment, (torch.eye(2), torch.tensor([[1, 0]]), "sum"), "'argmax'"),
        (human_correlation.correlation, (torch.ones(2), torch.ones(3)), "shapes"),
        (human_correlation.correlation, (torch.ones(2), torch.ones(2), "kendall"), "'spearman'"),
        (pattern_scores.scores, (torch.eye(2), torch.zeros(3, dtype=torch.int64)), "tokens of shape"),
        (pattern_scores.scores, (torch.eye(2), torch.zeros(2, dtype=torch.int64), -1), "window=-1"),
        (pattern_scores.scores, (torch.ones(2, 2, 1, 1), torch.zeros(2, 1, dtype=torch.int64)), "for heads"),
        (by_diagonals.scores, (torch.ones(3, 2, 1, 1), torch.zeros(3, 2, 2, 1, dtype=torch.int64)), "for heads"),
        (pattern_scores.scores, (torch.ones(3, 2, 1, 1), torch.zeros(2, 1, 1, dtype=torch.int64)), "for heads"),
        (collapse.scores, (torch.ones(0, 2),), "a row and a key"),
        (vanishing.bounds, (torch.ones(2, 0),), "one key"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(call: Callable[..., Tensor], arguments: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call(*arguments)


@pytest.mark.parametrize("call", [attention_entropy.entropy, partial(tiled.entropy, keys=2), jensen_shannon.divergence, pair_by_pair.divergence])
def test_gradients_pass_through_a_softmax_that_underflows(call: Callable[..., Tensor]) -> None:
    """Weights of exactly 0 have a finite gradient here, so that scores get one that is no NaN; elsewhere it is the derivative."""
    scores = torch.tensor([[[0.0, -2000.0, 1.0]], [[3.0, -2000.0, -1.0]]], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(call(scores.softmax(-1)).sum(), scores)
    assert bool(found.isfinite().all())
    assert found[..., 1].tolist() == [[0.0], [0.0]]
    assert bool((found[..., [0, 2]] != 0).all())


@pytest.mark.parametrize("call", [jensen_shannon.divergence, pair_by_pair.divergence])
def test_a_divergence_has_the_gradient_at_a_weight_of_zero_that_it_says(call: Callable[..., Tensor]) -> None:
    """(−log m − 1) / H where another head attends the key, log(H) / H where none does; a few roundings of numbers below 2."""
    p = torch.tensor([[[1.0, 0.0, 0.0]], [[0.5, 0.5, 0.0]]], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(call(p).sum(), p)
    assert abs(float(found[0, 0, 1]) - (math.log(4) - 1) / 2) <= 8 * 2.0**-53
    assert bool(((found[:, 0, 2] - math.log(2) / 2).abs() <= 8 * 2.0**-53).all())


@pytest.mark.parametrize("call", [consistency.consistency, one_product.consistency])
@pytest.mark.parametrize("match", [False, True])
def test_no_consistency_is_above_one(call: Callable[..., Tensor], match: bool) -> None:
    """Of a training beside itself, whose correlations round to more now and then."""
    maps = weights(64, 1, 3, 2, 5)
    assert bool((call(maps.expand(64, 2, 3, 2, 5), match=match) <= 1).all())


@pytest.mark.parametrize("call", [syntactic_alignment.alignment, as_a_table.alignment])
@pytest.mark.parametrize("kind", ["weight", "argmax"])
def test_rows_without_an_edge_may_hold_anything(call: Callable[..., Tensor], kind: str) -> None:
    map_ = torch.tensor([[0.0, 1.0], [torch.nan, torch.nan]])
    assert call(map_, torch.tensor([[1, 0]]), kind=kind) == 1


def test_diagonals_are_read_and_not_the_map() -> None:
    """Beside the sums of columns and the induction mask, the fast path makes no tensor of N² numbers of its own: one fewer for each score about places."""
    n = 64
    p, tokens = weights(n, n), torch.zeros(n, dtype=torch.int64)
    with counting() as slow:
        pattern_scores.scores(p, tokens)
    with counting() as fast:
        by_diagonals.scores(p, tokens)
    assert fast.peak < slow.peak
