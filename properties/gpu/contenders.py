"""Who is timed on dense attention: the kernel of this project, the four ways of torch's scaled_dot_product_attention, and its flex_attention, compiled; and all
who are timed on the other families."""

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

from properties.gpu.families import SETTINGS, Call, dense, flexed
from properties.gpu.plan import DENSE, OURS, Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """`call` prepares one of case and leaves: what comes back takes no argument and gives the output. `within` surrounds preparing and every call."""

    name: str
    call: Callable[..., Call]
    within: Callable[[], AbstractContextManager[Any]] = nullcontext
    family: str = DENSE


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The inputs of a case: query, key and value, each [B, H, N, D], or what the family's setting says, with gradients where the case is backward; and the
    output's cotangent."""

    leaves: tuple[Tensor, ...]
    cotangent: Tensor


def given(case: Case, place: str) -> Given:
    """Normal numbers, the same in every run on one kind of device."""
    random = torch.Generator(place).manual_seed(0)
    *leaves, g = (torch.randn(shape, generator=random, device=place, dtype=getattr(torch, case.dtype)) for shape in shapes(case))
    return Given(leaves=tuple(x.requires_grad_(case.backward) for x in leaves), cotangent=g)


def shapes(case: Case) -> tuple[tuple[int, ...], ...]:
    """Of the leaves, and of the output behind them."""
    return (case.shape,) * 4 if case.family == DENSE else (*SETTINGS[case.family].leaves(case), SETTINGS[case.family].output(case))


def of_torch(case: Case, query: Tensor, key: Tensor, value: Tensor) -> Call:
    return partial(scaled_dot_product_attention, query, key, value, is_causal=case.causal)


def flexible(case: Case, query: Tensor, key: Tensor, value: Tensor) -> Call:
    """flex_attention, with a block mask for causality."""
    return flexed(query, key, value, beneath if case.causal else None)


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
    """All that this torch has, ours first; then those of the other families."""
    ways = {"torch-flash": "FLASH_ATTENTION", "torch-efficient": "EFFICIENT_ATTENTION", "torch-cudnn": "CUDNN_ATTENTION", "torch-math": "MATH"}
    known = [x for name, attribute in ways.items() if (x := backend(name, attribute)) is not None]
    others = [
        Contender(name=name, call=way, within=keeping_graphs if name == "torch-flex" else nullcontext, family=family)
        for family, setting in SETTINGS.items()
        for name, way in setting.ways.items()
    ]
    return (Contender(name=OURS, call=dense), *known, Contender(name="torch-flex", call=flexible, within=keeping_graphs), *others)


def difference(case: Case, x: Given, found: Tensor, samples: int = 64) -> float:
    """The largest difference of `found` from float64 on up to `samples` rows of the first head: of the output, or of the queries' gradient. Of another family:
    from its definition in float64, on the first head of the first sequence, of the output or of the first leaf's gradient."""
    if case.family != DENSE:
        return apart(case, x, found)
    query, key, value = x.leaves
    with torch.no_grad():
        rows = torch.linspace(0, case.n - 1, min(case.n, samples), device=found.device).long()
        q, g = query[0, 0, rows].double(), x.cotangent[0, 0, rows].double()
        k, v = key[0, 0].double(), value[0, 0].double()
        scores = q @ k.T * case.width**-0.5
        if case.causal:
            scores = scores.masked_fill(torch.arange(case.n, device=found.device) > rows[:, None], -torch.inf)
        p = scores.softmax(-1)
        truth = p @ v
        if case.backward:
            truth = p * (g @ v.T - (g * truth).sum(-1, keepdim=True)) @ k * case.width**-0.5
        return float((found[0, 0, rows].double() - truth).abs().max())


def apart(case: Case, x: Given, found: Tensor) -> float:
    """The largest difference of `found` from a family's definition."""
    setting = SETTINGS[case.family]
    wide = [setting.first(leaf.detach()).double().requires_grad_(case.backward) for leaf in x.leaves]
    true = setting.truth(case, *wide)
    if case.backward:
        (true,) = torch.autograd.grad(true, wide[:1], setting.of_output(x.cotangent).double())
        return float((setting.first(found).double() - true).abs().max())
    return float((setting.of_output(found).double() - true).abs().max())


def refusal(error: BaseException, warned: Sequence[str]) -> str | None:
    """Why torch has no kernel for a call, in its own words, or None where the error is another one. The reasons come as warnings beside it."""
    first = str(error).strip().partition("\n")[0]
    if not isinstance(error, RuntimeError) or not re.match(r"No (available kernel|viable backend)", first):
        return None
    told = [re.sub(r"\s*\(Triggered internally at .*?\)", "", text).strip() for text in warned]
    reasons = [text for text in told if "kernel not used because" not in text and "runtime disabled" not in text]
    return " ".join(dict.fromkeys(reasons)) or first
