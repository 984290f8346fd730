"""How often linear attention's kernels read their inputs, and what stands in keys that no row sees: what no law of the variant shows."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

if torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("a process that uses the GPU cannot interpret kernels: run this file by itself with TRITON_INTERPRET=1", allow_module_level=True)
pytest.importorskip("triton", reason="needs triton (pip install attention-ledger[kernels]; Linux only)")

from impl._triton import memory
from impl._triton.counting import Counted, Traffic, counted
from impl._triton.patching import patch_once_a_launch
from impl.linear_attention import fused
from impl.random_features import fused as by_random_features

patch_once_a_launch()
TILE = (16, 16, 4, 1)
N, D, E = 40, 5, 7  # three chunks, the last of them short


def inputs(e: int = E, grad: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 2, N, width, requires_grad=grad) for width in (D, D, e))
    return query, key, value


def most(loads: Mapping[str, Traffic], *names: str) -> dict[str, int]:
    """How often the most read element of each argument was read."""
    return {name: loads[name].most for name in names}


def launches_of(e: int = E, causal: bool = True, grad: bool = False) -> list[Counted]:
    tensors = inputs(e, grad)
    with memory.watched(readonly=tuple(x.detach() for x in tensors)), counted() as launches:
        output = fused.attention(*tensors, "elu+1", causal, tile=TILE)
        if grad:
            torch.autograd.grad(output, tensors, torch.randn_like(output))
    return launches


@pytest.mark.parametrize("causal", [True, False])
def test_a_forward_pass_reads_queries_keys_and_values_once(causal: bool) -> None:
    (launch,) = launches_of(causal=causal)
    assert most(launch.loads, "Q", "K", "V") == {"Q": 1, "K": 1, "V": 1}


def test_each_block_of_columns_reads_keys_again_and_its_own_values() -> None:
    (launch,) = launches_of(e=40)
    assert most(launch.loads, "Q", "K", "V") == {"Q": 3, "K": 3, "V": 1}


@pytest.mark.parametrize("causal", [True, False])
def test_each_gradient_takes_one_pass(causal: bool) -> None:
    """∂L/∂Q forward, ∂L/∂K and ∂L/∂V backward: each reads once what its formula names, and of the forward pass the output and the masses."""
    _, queries, keys, values = launches_of(causal=causal, grad=True)
    assert [launch.kernel for launch in (queries, keys, values)] == ["backward_queries", "backward_keys", "backward_values"]
    assert {name: found.most for name, found in queries.loads.items()} == dict.fromkeys(("Q", "K", "V", "O", "g_O", "masses"), 1)
    assert {name: found.most for name, found in keys.loads.items()} == dict.fromkeys(("Q", "K", "V", "O", "g_O", "masses"), 1)
    assert {name: found.most for name, found in values.loads.items()} == dict.fromkeys(("Q", "K", "g_O", "masses"), 1)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("junk", [float("nan"), float("inf")])
def test_what_a_hidden_key_holds_reaches_nothing(causal: bool, junk: float) -> None:
    query, key, value = inputs(grad=True)
    shown = torch.ones(1, 1, 1, N, dtype=torch.bool)
    shown[..., [0, 17, N - 1]] = False
    hidden = ~shown[0, 0, 0, :, None]
    found = []
    for other in (0.0, junk):
        tensors = query, key.detach().masked_fill(hidden, other).requires_grad_(), value.detach().masked_fill(hidden, other).requires_grad_()
        output = fused.attention(*tensors, "elu+1", causal, shown, tile=TILE)
        found.append((output.detach(), *torch.autograd.grad(output, tensors, torch.ones_like(output))))
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))
    assert all(not x[:, :, hidden[:, 0]].any() for x in found[0][2:])


@pytest.mark.parametrize("cosines", [True, False])
def test_random_features_are_read_once_and_blind_to_hidden_keys(cosines: bool) -> None:
    query, key, value = inputs()
    projection, phase = torch.randn(6, D), torch.rand(6) if cosines else None
    shown = torch.ones(1, 1, 1, N, dtype=torch.bool)
    shown[..., 3] = False
    outputs = []
    for other in (0.0, float("nan")):
        hidden = ~shown[0, 0, 0, :, None]
        k, v = key.masked_fill(hidden, other), value.masked_fill(hidden, other)
        with memory.watched(readonly=(query, k, v, projection)), counted() as launches:
            outputs.append(by_random_features.attention(query, k, v, projection, True, shown, phase=phase, tile=TILE))
        assert [launch.kernel for launch in launches] == ["features", "features", "forward"]
        assert [launch.loads["X"].most for launch in launches[:2]] == [1, 1]
        assert most(launches[2].loads, "Q", "K", "V", "levels") == {"Q": 1, "K": 1, "V": 1, "levels": 1}
    assert torch.equal(*outputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature_map": "softplus"}, "softplus"),
        ({"key": torch.zeros(1, 2, N, 3)}, r"\(1, 2, 40, 3\)"),
        ({"value": torch.zeros(1, 2, N, E).half()}, "float16"),
        ({"attn_mask": torch.ones(N, N, dtype=torch.bool)}, r"\(40, 40\)"),
        ({"query": torch.zeros(1, 2, N, 257), "key": torch.zeros(1, 2, N, 257)}, "257"),
    ],
)
def test_arguments_that_do_not_fit_are_quoted(change: dict[str, object], message: str) -> None:
    query, key, value = inputs()
    with pytest.raises(ValueError, match=message):
        fused.attention(**{"query": query, "key": key, "value": value, **change})  # type: ignore[arg-type]
