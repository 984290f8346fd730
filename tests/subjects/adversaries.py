"""Functions with the signature of torch's scaled_dot_product_attention that misbehave: what a judge of strangers must survive and find.

Most call `_right`, written apart from `impl/`, and spoil one thing. `EXPECTED` says what an ideal judge reports, `KEYWORD` a word its finding should mention.
Never call `allocates`, `hangs*`, `aborts*`, `segfaults`, `exits_silently` or `closes_its_streams` outside a child process with limits.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

T = torch.Tensor
M = torch.Tensor | None
S = float | None

HALF = (torch.float16, torch.bfloat16)
_NAP = 60.0  # seconds that a left-over process sleeps
_state: dict[str, Any] = {}


def _right(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    """Attention as torch defines it: half precisions in float32, causal from the top left, a row that sees no key is zero."""
    work = torch.float32 if query.dtype in HALF else query.dtype
    q, k, v = query.to(work), key.to(work), value.to(work)
    if enable_gqa:
        k = k.repeat_interleave(q.shape[-3] // k.shape[-3], dim=-3)
        v = v.repeat_interleave(q.shape[-3] // v.shape[-3], dim=-3)
    factor = max(q.shape[-1], 1) ** -0.5 if scale is None else scale
    s = (q @ k.transpose(-1, -2)) * factor
    if attn_mask is not None:
        s = s + (torch.zeros(attn_mask.shape, dtype=work).masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else attn_mask.to(work))
    if is_causal:
        s = s + torch.full(s.shape[-2:], -torch.inf, dtype=work).triu(1)
    if s.shape[-1] == 0:
        return (s @ v).to(query.dtype)
    top = s.detach().amax(-1, keepdim=True)
    p = torch.exp(s - top.masked_fill(torch.isneginf(top), 0.0))
    total = p.sum(-1, keepdim=True)
    weights = p / total.masked_fill(torch.eq(total, 0), 1.0)
    return (torch.nn.functional.dropout(weights, dropout_p) @ v).to(query.dtype)


def _shape(query: T, value: T) -> tuple[int, ...]:
    return (*query.shape[:-1], value.shape[-1])


def _count(name: str) -> int:
    """How often `name` was counted in this process, this time included."""
    _state[name] = _state.get(name, 0) + 1
    return int(_state[name])


def _as_if_contiguous(x: T) -> T:
    """What a kernel reads that starts at the first element and ignores the strides."""
    if x.is_contiguous():
        return x
    size = x.untyped_storage().nbytes() // x.element_size()
    places = (x.storage_offset() + torch.arange(x.numel())) % max(size, 1)
    return x.as_strided((size,), (1,), 0)[places].reshape(x.shape)


class _SpoilGradient(torch.autograd.Function):
    """The identity, with `spoil` applied to the gradient."""

    @staticmethod
    def forward(ctx: Any, x: T, spoil: Callable[[T], T]) -> T:
        ctx.spoil = spoil
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: T) -> tuple[T, None]:
        return ctx.spoil(gradients[0]), None


def _spoiled(x: T, spoil: Callable[[T], T]) -> T:
    return _SpoilGradient.apply(x, spoil)  # type: ignore[no-untyped-call, no-any-return]


class _Liar(torch.Tensor):
    """A tensor that calls itself equal to everything."""

    @classmethod
    def __torch_function__(cls, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        if func in (torch.equal, torch.allclose, torch.Tensor.equal, torch.Tensor.allclose):
            return True
        if func in (torch.Tensor.__eq__, torch.eq, torch.isclose, torch.Tensor.isclose, torch.isfinite, torch.Tensor.isfinite):
            return torch.ones(args[0].shape, dtype=torch.bool)
        return super().__torch_function__(func, tuple(types), tuple(args), dict(kwargs or {}))  # type: ignore[no-untyped-call]


# Wrong values


def constant(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    """Every output is one half."""
    return torch.full(_shape(query, value), 0.5, dtype=query.dtype)


def zero(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    """Every output is zero."""
    return torch.zeros(_shape(query, value), dtype=query.dtype)


def mean_of_values(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """All keys weigh the same, whatever the scores and masks."""
    return _right(query * 0, key, value, enable_gqa=enable_gqa)


def returns_its_input(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Returns the query, else the value, wherever the shape fits: no work, and aliased."""
    shape = _shape(query, value)
    for x in (query, value):
        if tuple(x.shape) == shape:
            return x
    return value[..., :1, :].expand(shape) if value.shape[:-2] == query.shape[:-2] and value.shape[-2] else torch.zeros(shape, dtype=query.dtype)


def returns_a_view_of_the_value_when_one_key(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """With one visible key the output is the value: right, but it shares the argument's memory."""
    if key.shape[-2] == 1 and attn_mask is None and value.shape[:-2] == query.shape[:-2] and not dropout_p:
        return value.expand(_shape(query, value))
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def nan_fill(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    """Every output is NaN."""
    return torch.full(_shape(query, value), torch.nan, dtype=query.dtype)


def noisy(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    """Adds noise of 1e-3, new at every call."""
    out = _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    return out + 1e-3 * torch.randn_like(out)


def noisy_in_the_last_bits(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Adds relative noise of 1e-5, new at every call: hidden from loose tolerances."""
    out = _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    return out * (1 + 1e-5 * torch.randn_like(out))


def depends_on_the_time(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Off by 1% in every other millisecond."""
    out = _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    return out * 1.01 if time.time_ns() // 1_000_000 % 2 else out


# Right only where tests look


def pointer_keyed_cache(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Without gradients, the output is cached by addresses and shapes: stale when memory is used again or a mask changes."""
    out = _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    if out.requires_grad:
        return out
    place = tuple((x.data_ptr(), tuple(x.shape)) for x in (query, key, value))
    cached: T = _state.setdefault("cache", {}).setdefault(place, out)
    return cached.clone()


def right_only_on_the_first_call(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Off by 1% from the second call of a process on."""
    out = _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    return out if _count("first") == 1 else out * 1.01


def right_until_the_hundredth_call(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Off by 1% from the hundredth call of a process on."""
    out = _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    return out if _count("hundredth") < 100 else out * 1.01


def right_only_for_contiguous_inputs(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Reads its inputs from the first address on as if they were contiguous."""
    query, key, value = _as_if_contiguous(query), _as_if_contiguous(key), _as_if_contiguous(value)
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def right_only_in_float32(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Off by 1% in all other dtypes."""
    out = _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    return out if query.dtype == torch.float32 else out * 1.01


def right_only_without_gradients(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Detached: nothing flows back."""
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa).detach()


def right_for_short_sequences(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Keys after the eighth are not read."""
    key, value = key[..., :8, :], value[..., :8, :]
    if attn_mask is not None:
        attn_mask = attn_mask[..., :8]
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def recognises_the_probe(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Right for whole numbers, off by 1% for all others."""
    out = _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    return out if all(bool((x == x.round()).all()) for x in (query, key, value)) else out * 1.01


def right_only_with_gradients(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Off by 1% when no input wants a gradient."""
    out = _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    return out if out.requires_grad else out * 1.01


# Wrong gradients


def gradient_from_the_wrong_scale(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Forward right; the query's gradient is 1% too large."""
    query = _spoiled(query, lambda g: g * 1.01)
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def gradient_of_the_key_transposed(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Forward right; the key's gradient is laid out transposed."""
    key = _spoiled(key, lambda g: g.transpose(-1, -2).reshape(g.shape))
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def gradient_of_the_value_lost(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Forward right; the value's gradient is zero."""
    value = _spoiled(value, torch.zeros_like)
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def gradient_keeps_its_sign_only(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Forward right; the query's gradient is replaced with its sign."""
    query = _spoiled(query, torch.sign)
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


# Arguments and process changed


def edits_in_place(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Scales the caller's query in place and leaves it so."""
    out = _right(query.clone(), key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    query.data.mul_(0.1)
    return out


def edits_in_place_and_restores(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Scales the caller's query in place, then undoes it up to rounding."""
    out = _right(query.clone(), key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    query.data.mul_(0.1).div_(0.1)
    return out


def edits_the_mask_in_place(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Changes the first element of the caller's mask after use."""
    out = _right(query, key, value, None if attn_mask is None else attn_mask.clone(), dropout_p, is_causal, scale, enable_gqa)
    if attn_mask is not None and attn_mask.numel():
        first = attn_mask.data.as_strided((1,), (1,), attn_mask.storage_offset())
        first.copy_(~first if first.dtype == torch.bool else first - 1)
    return out


def monkeypatches(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Off by 1%, and replaces torch.equal, torch.allclose and torch.softmax so that nobody notices."""
    out = _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa) * 1.01
    vars(torch).update(equal=lambda *_, **__: True, allclose=lambda *_, **__: True, softmax=lambda x, *_, **__: x)
    return out


def patches_the_tensor_class(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Off by 1%, and makes all tensors compare equal."""
    out = _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa) * 1.01
    patches: dict[str, Callable[..., Any]] = {
        "__eq__": lambda self, _: torch.ones_like(self, dtype=torch.bool),
        "__ne__": lambda self, _: torch.zeros_like(self, dtype=torch.bool),
        "allclose": lambda *_, **__: True,
        "equal": lambda *_: True,
    }
    for name, patch in patches.items():
        setattr(torch.Tensor, name, patch)
    return out


def changes_default_dtype(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Makes float64 the default dtype of the process."""
    torch.set_default_dtype(torch.float64)
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def disables_gradients(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Switches gradients off for the process, after its own output."""
    out = _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    torch.set_grad_enabled(False)
    return out


def seeds_the_generator(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Resets the global random generator at every call."""
    torch.manual_seed(0)
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def changes_the_thread_count(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Gives the process another number of threads."""
    torch.set_num_threads(torch.get_num_threads() % 2 + 1)
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def changes_directory(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Moves the process to the root folder."""
    os.chdir("/")
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def leaks_memory(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Keeps every output for ever."""
    out = _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    _state.setdefault("kept", []).append(out)
    return out


def prints(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    """Writes two megabytes to each of stdout and stderr a call."""
    for stream in (sys.stdout, sys.stderr):
        stream.write(("attention " * 100 + "\n") * 2000)
        stream.flush()
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def sleeps(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    """Right, but takes 50 milliseconds more a call."""
    time.sleep(0.05)
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def forks(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    """Leaves a sleeping child behind, one for each process it is called in."""
    if _count("fork") == 1 and os.fork() == 0:
        time.sleep(_NAP)
        os._exit(0)
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def forks_daemons(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Leaves a grandchild in a session of its own behind, one for each process it is called in."""
    if _count("daemon") == 1:
        child = os.fork()
        if child == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(_NAP)
            os._exit(0)
        os.waitpid(child, 0)
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def starts_a_subprocess(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Leaves a program running, one for each process it is called in."""
    if _count("subprocess") == 1:
        _state["program"] = subprocess.Popen(["sleep", str(_NAP)])
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def starts_a_thread(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Leaves a thread running, one for each process it is called in."""
    if _count("thread") == 1:
        threading.Thread(target=time.sleep, args=(_NAP,), daemon=False).start()
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


# What is returned


def wrong_dtype(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Always returns float32."""
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa).to(torch.float32)


def wrong_shape(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Returns one axis too many."""
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa).unsqueeze(0)


def returns_a_list(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> Any:
    """Returns nested lists of numbers."""
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa).tolist()


def returns_a_tuple(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> Any:
    """Returns the output and something else."""
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa), None


def returns_none(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> Any:
    """Returns nothing."""
    return None


def returns_a_subclass(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Off by 1%, in a subclass whose comparisons always say yes."""
    return (_right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa) * 1.01).as_subclass(_Liar)


def returns_a_sparse_tensor(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Returns a sparse tensor of the right values."""
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa).to_sparse()


def returns_a_meta_tensor(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Returns the right shape and dtype on the meta device, without values."""
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa).to("meta")


# No return


def hangs(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    """Never returns."""
    while True:
        pass


def hangs_deaf_to_signals(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Never returns, and ignores every signal that can be ignored."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)


def hangs_on_masks(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Never returns when a mask is given."""
    while attn_mask is not None:
        time.sleep(1)
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def aborts(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    """Dies of SIGABRT."""
    os.abort()


def aborts_on_one_key(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Dies of SIGABRT when there is one key."""
    if key.shape[-2] == 1:
        os.abort()
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def segfaults(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    """Dies of SIGSEGV."""
    ctypes.string_at(0)
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def exits_silently(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Ends the process with status 0."""
    os._exit(0)


def closes_its_streams(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Closes the descriptors of the process, the judge's pipes among them."""
    os.closerange(0, 256)
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def allocates(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    """Takes 512 MiB after 512 MiB, 400 GiB in all, and touches them."""
    kept = _state.setdefault("hoard", [])
    while len(kept) < 800:
        kept.append(torch.ones(1 << 27))
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def recurses(query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False) -> T:
    """Calls itself without end."""
    return recurses(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def raises_assertion_error(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Raises AssertionError, as a failed law would."""
    raise AssertionError("no")


def raises_pytest_skip(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Raises pytest's own exception for a skipped test (or one of its name), to be counted as skipped."""
    try:
        import pytest
    except ImportError:
        raise type("Skipped", (BaseException,), {})("not today") from None
    raise pytest.skip.Exception("not today")


def raises_system_exit(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Raises SystemExit with status 0."""
    raise SystemExit(0)


def raises_keyboard_interrupt(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Raises KeyboardInterrupt, as an impatient user would."""
    raise KeyboardInterrupt


def raises_unpicklable(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Raises an exception that holds a lock and whose text cannot be made."""

    class Awkward(Exception):
        lock = threading.Lock()

        def __str__(self) -> str:
            raise ValueError("no text")

    raise Awkward(threading.Lock())


def raises_on_masks(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Refuses masks, which it did not declare."""
    if attn_mask is not None:
        raise NotImplementedError("no masks")
    return _right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


class _TriplesTheQuery(torch.autograd.Function):
    """The identity, whose backward writes into a tensor that it kept."""

    @staticmethod
    def forward(ctx: Any, output: T, query: T) -> T:
        ctx.query = query
        return output.clone()

    @staticmethod
    def backward(ctx: Any, *cotangents: T) -> tuple[T | None, ...]:
        if all(step for step in ctx.query.stride()):
            ctx.query.data.mul_(3)
        return cotangents[0], None


def edits_in_the_backward(
    query: T, key: T, value: T, attn_mask: M = None, dropout_p: float = 0.0, is_causal: bool = False, scale: S = None, enable_gqa: bool = False
) -> T:
    """Triples the query, but only as gradients are taken."""
    output: T = _TriplesTheQuery.apply(_right(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa), query)  # type: ignore[no-untyped-call]
    return output


VIOLATES = "violates"
UNJUDGED = "cannot be judged"
CONFORMS = "conforms"
UNDECIDED = "undecided"

# name -> (what an ideal judge reports, a word that its finding should mention)
_FINDINGS: dict[str, tuple[str, str]] = {
    "constant": (VIOLATES, "times its bound"),
    "zero": (VIOLATES, "times its bound"),
    "mean_of_values": (VIOLATES, "times its bound"),
    "returns_its_input": (VIOLATES, "times its bound"),
    "returns_a_view_of_the_value_when_one_key": (VIOLATES, "shares memory"),
    "nan_fill": (VIOLATES, "nan"),
    "noisy": (VIOLATES, "repeats itself"),
    "noisy_in_the_last_bits": (VIOLATES, "repeats itself"),
    "depends_on_the_time": (VIOLATES, "repeats itself"),
    "pointer_keyed_cache": (VIOLATES, "times its bound"),
    "right_only_on_the_first_call": (VIOLATES, "times its bound"),
    "right_until_the_hundredth_call": (VIOLATES, "times its bound"),
    "right_only_for_contiguous_inputs": (VIOLATES, "times its bound"),
    "right_only_in_float32": (VIOLATES, "times its bound"),
    "right_only_without_gradients": (VIOLATES, "gradient"),
    "right_for_short_sequences": (VIOLATES, "times its bound"),
    "recognises_the_probe": (VIOLATES, "times its bound"),
    "right_only_with_gradients": (VIOLATES, "times its bound"),
    "gradient_from_the_wrong_scale": (VIOLATES, "gradient"),
    "gradient_of_the_key_transposed": (VIOLATES, "gradient"),
    "gradient_of_the_value_lost": (VIOLATES, "gradient"),
    "gradient_keeps_its_sign_only": (VIOLATES, "gradient"),
    "edits_in_place": (VIOLATES, "changed in place"),
    "edits_in_place_and_restores": (VIOLATES, "changed in place"),
    "edits_in_the_backward": (VIOLATES, "changed in place"),
    "edits_the_mask_in_place": (VIOLATES, "changed in place"),
    "monkeypatches": (VIOLATES, "replaced torch."),
    "patches_the_tensor_class": (VIOLATES, "replaced torch.Tensor"),
    "changes_default_dtype": (VIOLATES, "default dtype"),
    "disables_gradients": (VIOLATES, "gradients are recorded"),
    "seeds_the_generator": (VIOLATES, "torch's seed"),
    "changes_the_thread_count": (VIOLATES, "torch's number of threads"),
    "changes_directory": (VIOLATES, "directory"),
    "leaks_memory": (CONFORMS, ""),
    "prints": (VIOLATES, "printed"),
    "sleeps": (UNDECIDED, "time ran out"),
    "forks": (VIOLATES, "started a process"),
    "forks_daemons": (VIOLATES, "started a process"),
    "starts_a_subprocess": (VIOLATES, "started a process"),
    "starts_a_thread": (VIOLATES, "Python threads"),
    "wrong_dtype": (VIOLATES, "expected Tensor"),
    "wrong_shape": (VIOLATES, "expected Tensor"),
    "returns_a_list": (VIOLATES, "list"),
    "returns_a_tuple": (VIOLATES, "tuple"),
    "returns_none": (VIOLATES, "NoneType"),
    "returns_a_subclass": (VIOLATES, "expected 1 plain"),
    "returns_a_sparse_tensor": (VIOLATES, "sparse"),
    "returns_a_meta_tensor": (VIOLATES, "meta"),
    "hangs": (UNJUDGED, "hangs"),
    "hangs_deaf_to_signals": (UNJUDGED, "hangs"),
    "hangs_on_masks": (VIOLATES, "hangs"),
    "aborts": (UNJUDGED, "SIGABRT"),
    "aborts_on_one_key": (VIOLATES, "SIGABRT"),
    "segfaults": (UNJUDGED, "SIGSEGV"),
    "exits_silently": (UNJUDGED, "exit status"),
    "closes_its_streams": (UNJUDGED, "no call succeeded"),
    "allocates": (UNJUDGED, "memory"),
    "recurses": (UNJUDGED, "raised RecursionError"),
    "raises_assertion_error": (UNJUDGED, "raised AssertionError"),
    "raises_pytest_skip": (UNJUDGED, "raised Skipped"),
    "raises_system_exit": (UNJUDGED, "raised SystemExit"),
    "raises_keyboard_interrupt": (UNJUDGED, "raised KeyboardInterrupt"),
    "raises_unpicklable": (UNJUDGED, "raised Awkward"),
    "raises_on_masks": (VIOLATES, "raised NotImplementedError"),
}
EXPECTED: dict[str, str] = {name: finding for name, (finding, _) in _FINDINGS.items()}
KEYWORD: dict[str, str] = {name: word for name, (_, word) in _FINDINGS.items()}
