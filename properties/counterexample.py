"""A call as Python lines that need only torch, so that a counterexample can be pasted and run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from properties.process import ROOT, Target
from properties.request import Request

NAMES = ("q", "k", "v")
LARGEST = 4096  # elements of a tensor that is written out
FRAMEWORKS = {"torch": "{}", "numpy": "{}.numpy()", "jax": "jax.dlpack.from_dlpack({})"}
SHOWN = 2  # calls: the last ones of the example, between which a law compares


def lines(calls: Iterable[Request], target: Target, *, declared: bool = False) -> str:
    """The last calls of an example as a script: the function, the tensors, the calls. `declared`: the name is that of an Implementation."""
    chosen = list(calls)[-SHOWN:]
    named: dict[str, str] = {}
    body: list[str] = []
    for number, request in enumerate(chosen):
        suffix = "" if number == 0 else str(number + 1)
        body += _call(request, suffix, named, FRAMEWORKS[target.framework], target.framework == "torch")
    head = ["import torch", *(["import jax"] if target.framework == "jax" else []), "", *_imported(target, ".call" if declared else "")]
    numbers = "\n".join(body)
    special = [f'{name} = float("{name}")' for name in ("inf", "nan") if any(f"{before}{name}{after}" in numbers for before in "[ -" for after in ",]")]
    return "\n".join([*head, *special, *body])


def _imported(target: Target, call: str) -> list[str]:
    base, dot, rest = target.function.partition(".")
    own = []
    if call:  # the file imports attention_ledger
        own = [
            "import importlib.util, sys",
            f'spec = importlib.util.spec_from_file_location("attention_ledger", {str(ROOT / "impl" / "variant.py")!r})',
            'sys.modules["attention_ledger"] = importlib.util.module_from_spec(spec)',
            'spec.loader.exec_module(sys.modules["attention_ledger"])',
        ]
    if target.module.endswith(".py"):
        folder = str(Path(target.module).parent)
        own += ["import runpy, sys", f"sys.path.insert(0, {folder!r})", f'attention = runpy.run_path({target.module!r})["{base}"]{dot}{rest}{call}']
    else:
        own += [f"from {target.module} import {base}", f"attention = {target.function}{call}"]
    return own


def _call(request: Request, suffix: str, named: dict[str, str], handed: str, has_autograd: bool) -> list[str]:
    made, differentiated = [], request.cotangent is not None

    def name_of(x: Any, wanted: str, *, leaf: bool = False) -> str:
        if not isinstance(x, Tensor):
            return repr(x)
        literal = tensor(x) + (".requires_grad_()" if leaf else "")
        if leaf or named.setdefault(literal, wanted) == wanted:  # a leaf is differentiated by itself, so that it has a name of its own
            made.append(f"{wanted} = {literal}")
        return wanted if leaf else named[literal]

    places = [NAMES[at] if at < len(NAMES) else f"x{at}" for at in range(len(request.arguments))]
    plain = [
        name_of(x, place + suffix, leaf=differentiated and at in request.wanted) for at, (x, place) in enumerate(zip(request.arguments, places, strict=True))
    ]
    given = [handed.format(name) if isinstance(x, Tensor) else name for name, x in zip(plain, request.arguments, strict=True)]
    for keyword, x in request.keywords.items():
        name = name_of(x, f"{keyword}{suffix}", leaf=differentiated and keyword in request.wanted)
        plain.append(name)
        given.append(f"{keyword}={handed.format(name) if isinstance(x, Tensor) else name}")
    call = f"attention({', '.join(given)})"
    if not differentiated:
        return [*made, f"print({call})"]
    cotangent = name_of(request.cotangent, f"g{suffix}")
    keywords = list(request.keywords)
    wanted = [plain[place] if isinstance(place, int) else plain[len(request.arguments) + keywords.index(place)] for place in request.wanted]
    if has_autograd:
        return [*made, f"print(torch.autograd.grad({call}, [{', '.join(wanted)}], {cotangent}, materialize_grads=True))"]
    return [*made, f"# the gradients of this call with respect to {', '.join(wanted)}, with the cotangent {cotangent}:", f"print({call})"]


def tensor(x: Tensor) -> str:
    """An expression that makes this tensor: its numbers exactly, and its strides where they are not the usual ones."""
    x = x.detach()
    if x.numel() > LARGEST:
        return f"...  # {x.dtype} of shape {tuple(x.shape)}: too large to write out; the report's seed repeats it"
    dtype = f", dtype={x.dtype}"
    if x.numel() == 0:
        return f"torch.zeros({tuple(x.shape)}{dtype})"
    if x.is_contiguous():
        first = x.flatten()[0]
        if x.numel() > 3 and bool((x == first).all()):
            return f"torch.full({tuple(x.shape)}, {_number(first)}{dtype})"
        return f"torch.tensor({_numbers(x)}{dtype})"
    count = x.untyped_storage().nbytes() // x.element_size()
    whole = torch.empty(0, dtype=x.dtype).set_(x.untyped_storage(), 0, (count,), (1,))
    if count > LARGEST:
        return f"torch.tensor({_numbers(x)}{dtype})  # strides {x.stride()}"
    return f"torch.as_strided(torch.tensor({_numbers(whole)}{dtype}), {tuple(x.shape)}, {x.stride()}, {x.storage_offset()})"


def _number(x: Tensor) -> str:
    value = x.item()
    return f"{value:g}." if isinstance(value, float) and value.is_integer() and abs(value) < 1e5 else repr(value)


def _numbers(x: Tensor) -> str:
    if x.dim() == 0:
        return _number(x)
    return "[" + ", ".join(_numbers(part) for part in x) + "]"
