"""The Triton kernel's launch side: operators, offsets, refusals, and the choice of a configuration. Its numbers are the laws' business."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from impl import IMPLEMENTATIONS
from impl.scaled_dot_product import flash, reference
from impl.scaled_dot_product.configuration import TABLE, WIDTHS
from impl.variant import Limits
from properties import philox
from properties.judging import load_laws
from properties.verifies import LAWS
from theorems.outcome import Outcome

pytestmark = pytest.mark.skipif(flash.missing() is not None, reason=str(flash.missing()))
TILE = (16, 16, 4, 1)
load_laws()


def tensors(*, n: int = 5, m: int = 7, d: int = 4, heads: int = 2, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(1)
    return tuple(torch.randn(1, heads, length, d, generator=random, dtype=dtype).requires_grad_() for length in (n, m, m))


CALLS: dict[str, Callable[[], dict[str, Any]]] = {
    "plain": dict,
    "causal from the bottom right": lambda: {"is_causal": True, "bottom_right": True},
    "additive mask with its gradient": lambda: {"bias": torch.randn(1, 2, 5, 7).requires_grad_()},
    "sinks with their gradient": lambda: {"sinks": torch.zeros(2).requires_grad_()},
    "dropout and softcap": lambda: {"dropout": 0.5, "seed": 3, "cap": 5.0},
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_operator_passes_torchs_own_checks(call: Callable[[], dict[str, Any]]) -> None:
    """Schema, autograd registration, fake kernel, and tracing of forward and backward: the four of torch.library.opcheck."""
    given = call()
    operator = flash.operators().flash_attention
    arguments = (
        *tensors(), given.get("bias"), None, given.get("sinks"), None, None, [], 0.5, given.get("cap", 0.0),
        given.get("is_causal", False), given.get("bottom_right", False), given.get("dropout", 0.0), given.get("seed", 0), list(TILE), "",
    )  # fmt: skip
    found = torch.library.opcheck(operator, arguments)
    assert set(found.values()) == {"SUCCESS"}
    assert len(found) == 4


def test_offsets_of_more_than_32_bits_are_right() -> None:
    """Rows 2^27 elements apart: the 16th lies 2^31 elements behind the first. Only the pages that are touched take memory."""
    stride, n = 2**27, 17
    room = torch.empty(stride * (n - 1) + 8, dtype=torch.float16)
    q, k, v = (torch.randn(1, 1, n, 8).half() for _ in range(3))
    far = room.as_strided((1, 1, n, 8), (0, 0, stride, 1))
    for place, near in enumerate((q, k, v)):
        far.copy_(near)
        call = [q, k, v]
        call[place] = far
        assert torch.equal(flash.attention(*call, tile=TILE), flash.attention(q, k, v, tile=TILE))


def test_the_launcher_widens_offsets_exactly_where_they_overflow() -> None:
    launch = flash.operators()
    for stride, wide in ((2**20, False), (2**27, True)):
        q = torch.empty((1, 1, 17, 8), dtype=torch.float16, device="meta").as_strided((1, 1, 17, 8), (0, 0, stride, 1))
        call = launch.Call(q, q, q, None, None, None, None, [], 1.0, 0.0, False, False, 0.0, 0, TILE, "interpreter")
        output, log_sum_exp = launch.results(q, q)
        made = call.forward(output, log_sum_exp, None, call.configurations("forward")[0])
        assert made.arguments["WIDE"] is wide


def test_a_stride_of_2_to_the_31_comes_as_it_is() -> None:
    launch = flash.operators()
    q = torch.empty((1, 1, 17, 8), dtype=torch.float16, device="meta").as_strided((1, 1, 17, 8), (0, 0, 2**33, 1))
    call = launch.Call(q, q, q, None, None, None, None, [], 1.0, 0.0, False, False, 0.0, 0, TILE, "interpreter")
    assert call.common["qn"] == 2**33


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("target", TABLE)
def test_every_shipping_configuration_is_right_in_the_interpreter(target: str, width: int) -> None:
    """Output and each gradient, on both sides of a tile's edge, within the derived bounds."""
    limits = Limits(dtypes=("float16",), widths=(width,), edges=(64,), max_length=65, max_heads=2)
    shipping = replace(next(i for i in IMPLEMENTATIONS if i.name == "triton-shipping"), call=partial(flash.attention, tile=target), limits=limits)
    observed = LAWS["test_dense::each_gradient_alone_lies_within_the_bound"].run(shipping, 2, seed=1, shrink=False)
    assert observed.outcome is Outcome.HELD, observed.detail


@pytest.mark.parametrize(
    ("change", "quoted"),
    [
        ({"alignment": "centre"}, "'centre'"),
        ({"softcap": -1.0}, "-1.0"),
        ({"dropout_p": 1.5}, "1.5"),
        ({"key": torch.zeros(1, 2, 7, 4, dtype=torch.float64)}, "torch.float64"),
        ({"key": torch.zeros(1, 2, 7, 3)}, "(1, 2, 7, 3)"),
    ],
)
def test_what_does_not_fit_is_quoted(change: dict[str, Any], quoted: str) -> None:
    q, k, v = tensors()
    with pytest.raises(ValueError, match=r".") as error:
        flash.attention(**{"query": q, "key": k, "value": v, **change})
    assert quoted in str(error.value)


def test_widths_beyond_the_table_are_refused() -> None:
    with pytest.raises(ValueError, match="head widths go to 256: query 300"):
        flash.attention(*tensors(d=300))


@pytest.mark.parametrize("offsets", [[0, 3, 4], [1, 3, 5], [0, 4, 3, 5], [0, 5]])
def test_offsets_that_do_not_part_the_positions_are_refused(offsets: list[int]) -> None:
    q = torch.randn(5, 2, 4)
    given = torch.tensor(offsets, dtype=torch.int32)
    with pytest.raises(ValueError, match=r"offsets \["):
        flash.packed_attention(q, q, q, given, given, (3, 3))


def test_offsets_of_another_type_are_refused() -> None:
    q = torch.randn(5, 2, 4)
    with pytest.raises(ValueError, match="int32"):
        flash.packed_attention(q, q, q, torch.tensor([0, 5]), torch.tensor([0, 5]), (5, 5))


def test_slopes_have_no_gradient() -> None:
    q, k, v = tensors()
    output = flash.attention(q, k, v, alibi_slopes=torch.ones(2).requires_grad_(), tile=TILE)
    with pytest.raises(ValueError, match="slopes are constants"):
        output.sum().backward()


def test_without_triton_the_rows_say_so_and_the_call_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "needs triton" in str(flash.missing())
    with pytest.raises(RuntimeError, match="needs triton"):
        flash.attention(*tensors())


def test_dropout_without_a_seed_follows_torchs_generator() -> None:
    q, k, v = tensors(n=16, m=16)

    def once(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return flash.attention(q, k, v, dropout_p=0.5, tile=TILE)

    assert torch.equal(once(1), once(1))
    assert not torch.equal(once(1), once(2))


def test_value_heads_may_differ_from_key_heads() -> None:
    q, k, v = (torch.randn(2, heads, 5, 4, dtype=torch.float64) for heads in (6, 3, 2))
    ours = flash.attention(q, k, v, enable_gqa=True, tile=TILE)
    assert (ours - reference.attention(q, k, v, enable_gqa=True)).abs().max() < 1e-14  # some 40 roundings of numbers below 4: 40 · 4 · 2^-53


def test_the_fastest_configuration_that_fits_is_chosen() -> None:
    launch = flash.operators()
    from triton.runtime.errors import OutOfResources

    options, ran = [launch.Configuration(16, 16, warps, 1) for warps in (8, 4, 2)], []

    def run(option: Any) -> None:
        ran.append(option)
        if option.warps == 2:
            raise OutOfResources(1, 0, "shared memory")

    def time(call: Callable[[], None]) -> float:
        call()
        return float(ran[-1].warps)

    assert launch.fastest(options, run, time).warps == 4
    with pytest.raises(OutOfResources):
        launch.fastest(options[2:], run, time)


def test_a_grid_beyond_the_devices_is_refused() -> None:
    from impl._triton.launch import Launch

    with pytest.raises(ValueError, match="axis 1: 70000"):
        Launch(kernel=None, grid=(1, 70000), arguments={}, options={}).run()


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # the known answers of Random123, kat_vectors, philox4x32 10
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ],
)
def test_philox_gives_the_published_words(counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]) -> None:
    given = tuple(np.array(word, dtype=np.uint64) for word in counter)
    assert tuple(int(word) for word in philox.philox(given, key)) == words  # type: ignore[arg-type]
