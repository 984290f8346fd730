"""What the cheaper forms of the other normalisers hold and do, counted: the largest tensor, bytes held, and passes over the scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from impl.dropout import blockwise as dropout
from impl.dropout import reference as dropout_reference
from impl.entmax import bisection
from impl.entmax import reference as entmax_reference
from impl.sigmoid import reference as sigmoid_reference
from impl.sigmoid import tiled
from impl.softmax_one import blockwise as softmax_one
from impl.softmax_one import reference as softmax_one_reference
from impl.sparsemax import fixed_point
from impl.sparsemax import reference as sparsemax_reference
from tests.benchmarks.live_bytes import LiveBytes, counting
from tests.benchmarks.work import exponent
from tests.test_cost import foretold

Attention = Callable[..., Tensor]
SIZES, HELD_OUT = (256, 384, 512, 1024), 768
LINEAR, QUADRATIC = 1.05, 1.9  # as in tests/test_cost.py
BLOCK, WIDTH, FLOAT = 16, 8, 4
ROWS = {"sparsemax": fixed_point.attention, "entmax": bisection.attention}
FAST: dict[str, Attention] = {
    "sigmoid": partial(tiled.attention, keys=BLOCK),
    "softmax-one": partial(softmax_one.attention, keys=BLOCK),
    "dropout": partial(dropout.attention, keys=BLOCK),
    **{name: partial(attention, rows=BLOCK) for name, attention in ROWS.items()},
}
DEFINITION: dict[str, Attention] = {
    "sigmoid": sigmoid_reference.attention,
    "softmax-one": softmax_one_reference.attention,
    "dropout": dropout_reference.attention,
    "sparsemax": sparsemax_reference.attention,
    "entmax": entmax_reference.attention,
}
every = pytest.mark.parametrize("name", list(FAST))


def tensors(n: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(n)
    return [torch.randn(1, 1, n, WIDTH, generator=generator) for _ in range(4)]


def step(name: str, attention: Attention, n: int) -> LiveBytes:
    """What a forward and a backward pass over n queries and n keys hold, beside inputs, masks and cotangent."""
    *inputs, cotangent = tensors(n)
    beside: tuple[Any, ...] = (torch.ones(n, dtype=torch.bool), 0.5) if name == "dropout" else ()
    for x in inputs:
        x.requires_grad_()
    with counting() as live:
        torch.autograd.grad(attention(*inputs, *beside), inputs, cotangent)
    return live


@every
def test_memory_in_pieces_grows_linearly(name: str) -> None:
    peaks = {n: step(name, FAST[name], n).peak for n in SIZES}
    assert exponent(peaks) <= LINEAR, f"exponent {exponent(peaks):.3f}: {peaks}"
    assert step(name, FAST[name], HELD_OUT).peak == foretold(peaks, HELD_OUT)


@every
def test_the_definition_grows_quadratically(name: str) -> None:
    peaks = {n: step(name, DEFINITION[name], n).peak for n in SIZES}
    assert exponent(peaks) >= QUADRATIC, f"exponent {exponent(peaks):.3f}: {peaks}"


@every
def test_no_tensor_of_all_scores_exists(name: str) -> None:
    for n in (128, 256):
        assert step(name, FAST[name], n).largest <= max(BLOCK * n * 8, n * WIDTH * FLOAT), "8 bytes: a sort's or a count's indices"
        assert step(name, DEFINITION[name], n).largest >= n * n * FLOAT


@every
def test_products_are_counted(name: str) -> None:
    """Forward 2 products of n · n · D, each term 2 operations; backward 4, and in pieces 1 more, to compute the scores again."""
    n = 64
    *inputs, cotangent = tensors(n)
    beside: tuple[Any, ...] = (torch.ones(n, dtype=torch.bool), 0.5) if name == "dropout" else ()
    product = 2 * n * n * WIDTH
    for attention, repeated in ((DEFINITION[name], 0), (FAST[name], 1)):
        leaves = [x.clone().requires_grad_() for x in inputs]
        with FlopCounterMode(display=False) as flops:
            output = attention(*leaves, *beside)
        assert flops.get_total_flops() == 2 * product
        with FlopCounterMode(display=False) as flops:
            torch.autograd.grad(output, leaves, cotangent)
        assert flops.get_total_flops() == (4 + repeated) * product


class Passes(TorchDispatchMode):
    """How often each operation is called on a tensor of at least `least` elements."""

    def __init__(self, least: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.least, self.calls = least, Counter[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if args and isinstance(args[0], Tensor) and args[0].numel() >= self.least:
            self.calls[func.overloadpacket.__name__] += 1
        return func(*args, **kwargs or {})


def passes(function: Callable[[], Tensor], least: int) -> Counter[str]:
    with torch.no_grad(), Passes(least) as counted:
        function()
    found: Counter[str] = counted.calls
    return found


@pytest.mark.parametrize(("dtype", "halvings"), [(torch.float32, 25), (torch.float64, 54)])
def test_bisection_halves_as_often_as_the_format_has_digits_and_never_sorts(dtype: torch.dtype, halvings: int) -> None:
    """Whatever the number of keys."""
    for n in (16, 64, 256):
        scores = torch.randn(4, n, dtype=dtype, generator=torch.Generator().manual_seed(n))
        calls = passes(lambda scores=scores: bisection.threshold(scores - scores.amax(-1, keepdim=True)), scores.numel())  # type: ignore[misc]
        assert calls["pow"] == halvings
        assert not calls["sort"]


def test_the_support_shrinks_by_a_key_a_pass_at_least_and_nothing_is_sorted() -> None:
    """A comparison for the first support, then one a pass; the last pass changes nothing. On normal scores 64 times as many keys need 2 passes more."""
    counted = {}
    for n in (64, 256, 1024, 4096):
        scores = torch.randn(4, n, generator=torch.Generator().manual_seed(n))
        calls = passes(lambda scores=scores: fixed_point.sparsemax(scores, torch.ones_like(scores, dtype=torch.bool)), scores.numel())  # type: ignore[misc]
        counted[n] = calls["gt"]
        assert not calls["sort"]
        assert passes(lambda scores=scores: sparsemax_reference.sparsemax(scores, scores == scores), scores.numel())["sort"] == 1  # type: ignore[misc]
    assert counted == {64: 3, 256: 4, 1024: 5, 4096: 5}
    for n in range(1, 13):
        falling = -torch.cumsum(1 / torch.arange(1, n + 1, dtype=torch.float64), 0)[None] / 3
        calls = passes(lambda falling=falling: fixed_point.sparsemax(falling, torch.ones_like(falling, dtype=torch.bool)), n)  # type: ignore[misc]
        assert calls["gt"] <= n + 1
