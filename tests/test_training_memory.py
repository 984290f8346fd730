"""The models of `theorems/training_memory.py` against PyTorch: what autograd keeps, what a checkpoint computes again and where, which types gradients have."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from theorems import training_memory

ROWS, KEYS, WIDTH = 7, 11, 3
Attention = Callable[..., Tensor]


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The inner function of the course text's `checkpointed_attention`, line by line."""
    scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(q.size(-1))
    attn = functional.softmax(scores, dim=-1)
    return torch.matmul(attn, v)


def attention_with_float32_softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(q.size(-1))
    return torch.matmul(functional.softmax(scores, dim=-1, dtype=torch.float32).to(v.dtype), v)


stopping = partial(checkpoint, attention, use_reentrant=False)
whole = partial(checkpoint, attention, use_reentrant=True)
CHECKPOINTS = pytest.mark.parametrize("in_checkpoint", [stopping, whole], ids=["stops early", "reentrant"])


def inputs(device: str = "cpu", dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(length, WIDTH, generator=generator).to(device, dtype).requires_grad_() for length in (ROWS, KEYS, KEYS)]


def kept(function: Attention, tensors: list[Tensor]) -> dict[int, int]:
    """Bytes of each block of memory that autograd keeps for the backward pass."""
    blocks: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        blocks[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        function(*tensors)
    return blocks


def test_attention_keeps_its_inputs_and_one_matrix_of_weights() -> None:
    assert sum(kept(attention, inputs()).values()) == training_memory._kept_bytes(ROWS, KEYS, WIDTH, half=False)


def test_with_its_softmax_in_float32_it_keeps_two() -> None:
    found = kept(attention_with_float32_softmax, inputs(dtype=torch.float16))
    assert sum(found.values()) == training_memory._kept_bytes(ROWS, KEYS, WIDTH, half=True)


@CHECKPOINTS
def test_a_checkpoint_keeps_the_inputs_alone(in_checkpoint: Attention) -> None:
    tensors = inputs()
    assert kept(in_checkpoint, tensors).keys() == {x.untyped_storage().data_ptr() for x in tensors}


@pytest.mark.parametrize(("function", "again"), [(attention, 0), (stopping, 1), (whole, 2)], ids=["plain", "stops early", "reentrant"])
def test_products_of_a_training_step(function: Attention, again: int) -> None:
    with FlopCounterMode(display=False) as counter:
        function(*inputs()).sum().backward()
    assert counter.get_total_flops() == 2 * training_memory._attention_products(ROWS, KEYS, WIDTH, again)


@CHECKPOINTS
def test_value_and_gradients_are_the_same_bits(in_checkpoint: Attention) -> None:
    results = []
    for function in (attention, in_checkpoint):
        tensors = inputs()
        output = function(*tensors)
        output.backward(torch.linspace(-1, 2, output.numel()).view_as(output))
        results.append([output, *(x.grad for x in tensors)])
    assert all(torch.equal(x, y) for x, y in zip(*results, strict=True) if x is not None and y is not None)


class Places(TorchDispatchMode):
    """The device of every tensor that an operation returns."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.found |= {x.device.type for x in tree_leaves(result) if isinstance(x, Tensor)}
        return result


@CHECKPOINTS
def test_nothing_of_a_checkpoint_goes_to_the_cpu(in_checkpoint: Attention) -> None:
    """PyTorch's meta device stands for an accelerator: what is computed on it stays on it."""
    tensors = inputs("meta")
    with Places() as places:
        in_checkpoint(*tensors).sum().backward()
    assert places.found == {"meta"}


def test_hooks_that_offload_put_what_is_kept_on_the_cpu() -> None:
    """What the test above looks for is found where there is something to find. (save_on_cpu itself copies numbers, and the meta device has none.)"""
    tensors = inputs("meta")
    with Places() as places:
        with torch.autograd.graph.saved_tensors_hooks(lambda x: torch.empty_like(x, device="cpu"), lambda x: torch.empty_like(x, device="meta")):
            output = attention(*tensors)
        output.sum().backward()
    assert places.found == {"meta", "cpu"}
    copies = training_memory._plain_with_hooks(ROWS, KEYS, WIDTH)
    assert {x.place for x in copies} == {"CPU"}
    assert training_memory.WHOLE * sum(x.numbers for x in copies) == sum(kept(attention, inputs()).values())


@pytest.mark.filterwarnings("ignore:torch.utils.checkpoint")
def test_the_call_as_written_is_reentrant_and_refuses_autograd_grad() -> None:
    tensors = inputs()
    with FlopCounterMode(display=False) as counter:
        checkpoint(attention, *tensors).sum().backward()
    assert counter.get_total_flops() == 2 * training_memory._attention_products(ROWS, KEYS, WIDTH, 2)
    with pytest.raises(RuntimeError, match="use_reentrant"):
        torch.autograd.grad(checkpoint(attention, *tensors).sum(), tensors)
    assert len(torch.autograd.grad(stopping(*tensors).sum(), tensors)) == len(tensors)


def dropped(x: Tensor) -> Tensor:
    return functional.dropout(x, 0.5) * x


@pytest.mark.parametrize("restored", [True, False])
def test_dropout_in_a_checkpoint_needs_the_generators_state(restored: bool) -> None:
    x = torch.arange(1.0, 65.0, requires_grad=True)
    torch.manual_seed(1)
    output = checkpoint(dropped, x, use_reentrant=False, preserve_rng_state=restored)
    output.sum().backward()
    of_the_value = 2 * output.detach() / x.detach()  # the output is M x²/κ, its slope 2 M x/κ
    assert x.grad is not None
    assert torch.equal(x.grad, of_the_value) is restored


def test_gradients_have_the_type_of_their_tensors() -> None:
    weight = torch.linspace(-1, 1, 12).view(4, 3).requires_grad_()
    x = torch.linspace(0.1, 0.9, 20).view(5, 4)
    with torch.autocast("cpu", dtype=torch.float16):
        product = torch.matmul(x, weight)
        product.retain_grad()
    (product.float() * torch.linspace(0, 1, 15).view(5, 3)).sum().backward()
    assert weight.grad is not None
    assert product.grad is not None
    assert (weight.grad.dtype, product.grad.dtype) == (torch.float32, torch.float16)
    assert torch.equal(weight.grad, weight.grad.half().float())  # a float32 tensor of float16 numbers


@pytest.mark.parametrize(("scale", "survives"), [(1.0, False), (2.0**16, True)])
def test_small_gradients_survive_if_the_loss_is_scaled(scale: float, survives: bool) -> None:
    weight = torch.ones(1, 1, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.float16):
        product = torch.matmul(torch.full((1, 1), 2.0**-10), weight)
    (product.float() * 2.0**-20 * scale).sum().backward()
    assert weight.grad is not None
    assert weight.grad.item() / scale == (2.0**-30 if survives else 0)
