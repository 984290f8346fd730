"""The kernels of quantised attention where the laws allow either answer or cannot look: numbers and steps are the reference's to the bit, ties among them;
sums of products are exact at the widest head; what does not fit is refused."""

from __future__ import annotations

import os

import pytest
import torch

if torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("a process that uses the GPU cannot interpret kernels: run this file by itself with TRITON_INTERPRET=1", allow_module_level=True)
pytest.importorskip("triton", reason="needs triton (pip install attention-ledger[kernels]; Linux only)")

from impl._triton import gcn, sass
from impl._triton.control_flow import Instruction
from impl.int8 import fused, launch, reference
from impl.int8.reference import levels_of, quantised

DTYPES = (torch.float64, torch.float32, torch.float16)


def ties(levels: int, dtype: torch.dtype) -> torch.Tensor:
    """Rows with the step 2^e exactly, and every half between their whole numbers: [1, 1, N, 2 · levels + 1]."""
    halves = torch.cat([torch.tensor([float(levels)]), torch.arange(-levels, levels) + 0.5])
    return (halves * 2.0 ** torch.tensor([[0.0], [-6.0], [3.0]])).to(dtype)[None, None]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("bits", [2, 3, 8])
def test_numbers_and_steps_are_the_references_ties_included(bits: int, dtype: torch.dtype) -> None:
    levels = 2 ** (bits - 1) - 1
    x = ties(levels, dtype)
    random = torch.randn(1, 1, 5, x.shape[-1], dtype=torch.float64).to(dtype)
    smallest = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    x = torch.cat([x, random, 0 * random[:, :, :1], smallest * torch.arange(x.shape[-1]).to(dtype).expand(1, 1, 1, -1)], 2)
    numbers, steps = quantised(x.to(torch.float64 if dtype == torch.float64 else torch.float32), torch.tensor(levels))
    whole = launch.room(x)
    launch.quantising(x, torch.tensor([levels], dtype=torch.int32), whole, 16).run()
    assert torch.equal(whole.numbers[..., : x.shape[-1]], numbers)
    assert torch.equal(whole.steps, steps[..., 0])
    assert not whole.numbers[..., x.shape[-1] :].any()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_largest_sums_of_products_are_exact(dtype: torch.dtype) -> None:
    """Width 256 and numbers of ±127: products of rows are ±127² · 256, and one is 127 less. At this scale that leaves it no weight; its twin shares evenly."""
    query, key = torch.ones(1, 1, 1, 256, dtype=dtype), torch.ones(1, 1, 4, 256, dtype=dtype)
    key[:, :, 1, -1], key[:, :, 3] = 126 / 127, -1
    value = torch.eye(4, dtype=dtype)[None, None]
    for scale, shares in ((1e5, [0.5, 0, 0.5, 0]), (-1e5, [0, 0, 0, 1])):
        found = fused.attention(query, key, value, scale=scale, tile=(16, 16, 4, 1))
        assert found.flatten().tolist() == shares


def test_one_head_of_keys_serves_all_and_leading_axes_are_kept() -> None:
    query, key, value = torch.randn(2, 3, 5, 4), torch.randn(1, 1, 7, 4), torch.randn(7, 6)
    found = fused.attention(query, key, value, bits=[8, 4, 2], tile=(16, 16, 4, 1))
    for head, bits in enumerate((8, 4, 2)):
        alone = fused.attention(query[1, head], key[0, 0], value, bits=bits, tile=(16, 16, 4, 1))
        assert torch.equal(found[1, head], alone)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("side", [0, 1])
def test_what_is_no_number_spreads_to_the_rows_that_see_it(side: int, bad: float) -> None:
    """An int8 holds no NaN: it must come back by the step."""
    query, key, value = torch.randn(1, 1, 5, 4), torch.randn(1, 1, 5, 4), torch.randn(1, 1, 5, 4)
    (query, key)[side][0, 0, 3, 1] = bad
    found = fused.attention(query, key, value, is_causal=True, tile=(16, 16, 4, 1))
    want = reference.attention(query, key, value, is_causal=True)
    assert torch.equal(found.isnan(), want.isnan())
    assert want.isnan().any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bits": 9}, r"bits=9; they must be from 2 to 8"),
        ({"bits": [8]}, r"bits=\[8\] for a query of shape \(1, 2, 5, 4\)"),
        ({"key": torch.zeros(1, 2, 7, 6)}, r"one width, keys and values one length: query \(1, 2, 5, 4\), key \(1, 2, 7, 6\)"),
        ({"value": torch.zeros(1, 2, 6, 4)}, r"value \(1, 2, 6, 4\)"),
        ({"value": torch.zeros(1, 2, 7, 4, dtype=torch.float64)}, r"one floating dtype: torch.float32, torch.float32, torch.float64"),
        ({"value": torch.zeros(1, 2, 7, 257)}, r"widths go to 256: query 4, value 257"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], words: str) -> None:
    call: dict[str, object] = {"query": torch.zeros(1, 2, 5, 4), "key": torch.zeros(1, 2, 7, 4), "value": torch.zeros(1, 2, 7, 4)}
    with pytest.raises(ValueError, match=words):
        fused.attention(**(call | change))  # type: ignore[arg-type]


def test_the_levels_are_of_the_heads() -> None:
    assert levels_of([8, 2], torch.zeros(1, 2, 5, 4)).flatten().tolist() == [127, 1]


def test_a_gradient_that_is_not_there_is_refused() -> None:
    query, key, value = (torch.randn(1, 1, 3, 4, requires_grad=True) for _ in range(3))
    found = fused.attention(query, key, value, tile=(16, 16, 4, 1))
    with pytest.raises(RuntimeError, match=r"backward through attention_ledger\.int8_attention"):
        found.sum().backward()


def test_products_of_integers_count_as_tensor_core_instructions() -> None:
    """What the specimens compile to: sm_80 and sm_100, sm_90, gfx942."""
    for machine, name in ((sass, "IMMA.16832.S8.S8.SAT"), (sass, "IGMMA.64x64x32.S8.S8"), (gcn, "v_mfma_i32_32x32x16_i8")):
        assert machine.class_of(Instruction(name=name)) == "tensor core"
