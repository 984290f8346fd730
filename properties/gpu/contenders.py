"""Who is timed: the kernel of this project, the four ways of torch's scaled_dot_product_attention, and its flex_attention, compiled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from impl.scaled_dot_product import flash
from properties.gpu.plan import OURS, Case

Call = Callable[[], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """`call` prepares one: what comes back takes no argument and gives the output [B, H, N, D]. `within` surrounds preparing and every call."""

    name: str
    call: Callable[[Case, Tensor, Tensor, Tensor], Call]
    within: Callable[[], AbstractContextManager[Any]] = nullcontext


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The inputs of a case, each [B, H, N, D]; gradients are recorded for query, key and value where the case is backward."""

    query: Tensor
    key: Tensor
    value: Tensor
    cotangent: Tensor

    @property
    def leaves(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.query, self.key, self.value


def given(case: Case, place: str) -> Given:
    """Normal numbers, the same in every run on one kind of device."""
    random = torch.Generator(place).manual_seed(0)
    q, k, v, g = (torch.randn(case.shape, generator=random, device=place, dtype=getattr(torch, case.dtype)) for _ in range(4))
    return Given(query=q.requires_grad_(case.backward), key=k.requires_grad_(case.backward), value=v.requires_grad_(case.backward), cotangent=g)


def ours(case: Case, query: Tensor, key: Tensor, value: Tensor) -> Call:
    return partial(flash.attention, query, key, value, is_causal=case.causal)


def of_torch(case: Case, query: Tensor, key: Tensor, value: Tensor) -> Call:
    return partial(scaled_dot_product_attention, query, key, value, is_causal=case.causal)


def flexible(case: Case, query: Tensor, key: Tensor, value: Tensor) -> Call:
    """flex_attention, compiled for this case alone, with a block mask for causality."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    torch._dynamo.reset()  # every case is a new shape: else compiling stops after a few, and the slow eager way is timed
    mask = create_block_mask(beneath, None, None, case.n, case.n, device=query.device) if case.causal else None
    return partial(torch.compile(flex_attention, dynamic=False, fullgraph=True), query, key, value, block_mask=mask)


def beneath(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Causality, as flex_attention wants it."""
    return row >= column


@contextmanager
def keeping_graphs() -> Iterator[None]:
    """Within, a compiled backward may be called again and again: by default it gives its buffers away in the first call."""
    import torch._functorch.config as config

    with config.patch(donated_buffer=False) if hasattr(config, "donated_buffer") else nullcontext():
        yield


def backend(name: str, attribute: str) -> Contender | None:
    """One of torch's ways, None where this torch does not know it."""
    member = getattr(SDPBackend, attribute, None)
    return None if member is None else Contender(name=name, call=of_torch, within=partial(sdpa_kernel, member))


def contenders() -> tuple[Contender, ...]:
    """All that this torch has, ours first."""
    ways = {"torch-flash": "FLASH_ATTENTION", "torch-efficient": "EFFICIENT_ATTENTION", "torch-cudnn": "CUDNN_ATTENTION", "torch-math": "MATH"}
    known = [x for name, attribute in ways.items() if (x := backend(name, attribute)) is not None]
    return (Contender(name=OURS, call=ours), *known, Contender(name="torch-flex", call=flexible, within=keeping_graphs))


def difference(case: Case, x: Given, found: Tensor, samples: int = 64) -> float:
    """The largest difference of `found` from float64 on up to `samples` rows of the first head: of the output, or of the queries' gradient."""
    with torch.no_grad():
        rows = torch.linspace(0, case.n - 1, min(case.n, samples), device=found.device).long()
        q, g = x.query[0, 0, rows].double(), x.cotangent[0, 0, rows].double()
        k, v = x.key[0, 0].double(), x.value[0, 0].double()
        scores = q @ k.T * case.width**-0.5
        if case.causal:
            scores = scores.masked_fill(torch.arange(case.n, device=found.device) > rows[:, None], -torch.inf)
        p = scores.softmax(-1)
        truth = p @ v
        if case.backward:
            truth = p * (g @ v.T - (g * truth).sum(-1, keepdim=True)) @ k * case.width**-0.5
        return float((found[0, 0, rows].double() - truth).abs().max())


def refusal(error: BaseException, warned: Sequence[str]) -> str | None:
    """Why torch has no kernel for a call, in its own words, or None where the error is another one. The reasons come as warnings beside it."""
    first = str(error).strip().partition("\n")[0]
    if not isinstance(error, RuntimeError) or not re.match(r"No (available kernel|viable backend)", first):
        return None
    told = [re.sub(r"\s*\(Triggered internally at .*?\)", "", text).strip() for text in warned]
    reasons = [text for text in told if "kernel not used because" not in text and "runtime disabled" not in text]
    return " ".join(dict.fromkeys(reasons)) or first
