"""Flash attention by the Triton kernel of this folder: torch's signature, and what kernels offer beside it.

Runs compiled on a GPU, and on a CPU in Triton's interpreter (slow: for checking). Triton is imported on the first call only.
"""

from __future__ import annotations

import importlib.util
import math
import os
import sys
from typing import Any

import torch
from torch import Tensor

from impl.scaled_dot_product.reference import check_shapes


def missing() -> str | None:
    """Why this machine cannot run the kernel, or None. Where there is no GPU, Triton is set to interpret, unless it was imported before."""
    if importlib.util.find_spec("triton") is None:
        return "needs triton (pip install attention-ledger[kernels]; Linux only)"
    if torch.cuda.is_available():
        return None
    if "triton" not in sys.modules:
        os.environ.setdefault("TRITON_INTERPRET", "1")
    return None if os.environ.get("TRITON_INTERPRET") == "1" else "no GPU, and triton was imported without TRITON_INTERPRET=1"


def missing_bfloat16() -> str | None:
    """As `missing`, for bfloat16."""
    compiled = torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1"
    return missing() or (None if compiled else "needs a GPU: Triton's interpreter computes bfloat16 wrongly")


def device() -> str:
    """Where the kernel wants its tensors: on the GPU, if there is one and Triton is not told to interpret."""
    return "cuda" if torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1" else "cpu"


def operators() -> Any:
    """The module that launches. Raises RuntimeError where the kernel cannot run."""
    if why := missing():
        raise RuntimeError(f"the Triton kernel cannot run here: {why}")
    from impl.scaled_dot_product import launch

    return launch


def attention(query: Tensor, key: Tensor, value: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
    """The output of `attention_with_log_sum_exp` alone."""
    return attention_with_log_sum_exp(query, key, value, *arguments, **keywords)[0]


def attention_with_log_sum_exp(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    alignment: str = "top-left",
    softcap: float | None = None,
    alibi_slopes: Tensor | None = None,
    sinks: Tensor | None = None,
    seed: int | None = None,
    tile: tuple[int, int, int, int] | str | None = None,
) -> tuple[Tensor, Tensor]:
    """Output [..., H, N, E] and log-sum-exp [..., H, N] (float32, or float64 for float64 inputs); a row that sees no key is zero, and −∞.

    Shapes and the first eight arguments are those of `impl.scaled_dot_product.reference.attention`. Scores are, in this order: scaled; capped,
    `softcap` · tanh(s / `softcap`); lowered by `alibi_slopes` [H] or [B, H] times |i + shift − j|; added to an additive mask. `alignment` is the corner
    that causality and ALiBi count from: shift = 0 for "top-left", M − N for "bottom-right". `sinks` [H] is the score of one more key, of value zero.
    Dropout keeps the weight of row i and column j where the first word of Philox(`seed`; j, i, b · H + h, 0) is at least p · 2^32; without a seed one is
    drawn from torch's generator. `tile` overrides the table of `impl.scaled_dot_product.configuration` with (rows, columns, warps, stages), or takes the
    entry of another target, "sm_90".
    Accumulates in float32 (float64 for float64); weights and their gradients meet values and keys in the inputs' dtype.
    Raises ValueError for shapes that do not fit, an unknown alignment, a cap that is not positive or p outside [0, 1]; RuntimeError where triton is missing.
    """
    check_shapes(query, key, value, enable_gqa)
    check_options(query, key, value, alignment, softcap, dropout_p)
    if key.dim() > 2 and enable_gqa and key.shape[-3] != value.shape[-3]:
        heads = math.lcm(key.shape[-3], value.shape[-3])
        key, value = (x.repeat_interleave(heads // x.shape[-3], dim=-3) for x in (key, value))
    lead = torch.broadcast_shapes(*(x.shape[: -3 if enable_gqa else -2] for x in (query, key, value)))
    kept = 3 if enable_gqa else 2
    q, k, v = (four(x.expand(*lead, *x.shape[-kept:])) for x in (query, key, value))
    shape = torch.Size((*lead, *query.shape[-kept:-1])) if enable_gqa else torch.Size((*lead, query.shape[-2]))
    bias = None
    if attn_mask is not None:
        bias = four(attn_mask.expand(*shape, key.shape[-2]))
        bias = bias.view(torch.uint8) if bias.dtype == torch.bool else bias
    slopes = None if alibi_slopes is None else alibi_slopes.expand(q.shape[0], q.shape[1])
    output, log_sum_exp = operators().flash_attention(
        q, k, v, bias, slopes, sinks, None, None, [], 1 / math.sqrt(query.shape[-1]) if scale is None else scale, softcap or 0.0,
        is_causal, alignment == "bottom-right", dropout_p, drawn(seed, dropout_p), *chosen(tile),
    )  # fmt: skip
    return output.reshape(*shape, value.shape[-1]), log_sum_exp.reshape(shape)


def packed_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_offsets: Tensor,
    key_offsets: Tensor,
    longest: tuple[int, int],
    *,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    alignment: str = "top-left",
    softcap: float | None = None,
    alibi_slopes: Tensor | None = None,
    sinks: Tensor | None = None,
    seed: int | None = None,
    tile: tuple[int, int, int, int] | str | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention within each of B sequences that lie one behind the other: query [T, H, D], key [S, G, D], value [S, G, E] → output [T, H, E] and
    log-sum-exp [T, H]. Sequence b holds the queries `query_offsets`[b] … `query_offsets`[b + 1] − 1, likewise for keys (both int32, [B + 1], from 0 to
    T and S); `longest` bounds their lengths. All else as in `attention_with_log_sum_exp`; positions count from each sequence's own start.
    Raises ValueError for offsets that do not fit (their numbers are looked at on a CPU only: on a GPU that would wait for the device).
    """
    check_shapes(query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1), True)
    check_options(query, key, value, alignment, softcap, dropout_p)
    for name, offsets, total, most in (("query", query_offsets, query.shape[0], longest[0]), ("key", key_offsets, key.shape[0], longest[1])):
        check_offsets(name, offsets, total, most)
    if query_offsets.shape != key_offsets.shape:
        raise ValueError(f"as many sequences of queries as of keys are needed: offsets {tuple(query_offsets.shape)} and {tuple(key_offsets.shape)}")
    q, k, v = (x.transpose(0, 1).unsqueeze(0) for x in (query, key, value))
    slopes = None if alibi_slopes is None else alibi_slopes.expand(query_offsets.numel() - 1, q.shape[1])
    output, log_sum_exp = operators().flash_attention(
        q, k, v, None, slopes, sinks, query_offsets, key_offsets, list(longest), 1 / math.sqrt(query.shape[-1]) if scale is None else scale, softcap or 0.0,
        is_causal, alignment == "bottom-right", dropout_p, drawn(seed, dropout_p), *chosen(tile),
    )  # fmt: skip
    return output[0].transpose(0, 1), log_sum_exp[0].transpose(0, 1)


def four(x: Tensor) -> Tensor:
    """[..., H, N, D] as [B, H, N, D]: a view wherever one exists."""
    return x[(None,) * (4 - x.dim())] if x.dim() <= 4 else x.flatten(0, -4)


def chosen(tile: tuple[int, int, int, int] | str | None) -> tuple[list[int], str]:
    """A tile given in numbers, or the target whose entry is to be taken."""
    return ([], tile) if isinstance(tile, str) else (list(tile or ()), "")


def drawn(seed: int | None, dropout_p: float) -> int:
    """The seed, or one from torch's generator where dropout needs one."""
    return seed if seed is not None else int(torch.randint(2**31 - 1, ())) if dropout_p else 0


def check_options(query: Tensor, key: Tensor, value: Tensor, alignment: str, softcap: float | None, dropout_p: float) -> None:
    """Raise ValueError, quoting it, for an option that means nothing."""
    if alignment not in ("top-left", "bottom-right"):
        raise ValueError(f"alignment is 'top-left' or 'bottom-right', not {alignment!r}")
    if softcap is not None and not softcap > 0:
        raise ValueError(f"softcap must be above 0 (None for no cap), not {softcap}")
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"dropout_p is a probability, between 0 and 1, not {dropout_p}")
    if not query.dtype == key.dtype == value.dtype or query.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        raise ValueError(f"query, key and value need one floating dtype: {query.dtype}, {key.dtype}, {value.dtype}")
    if max(query.shape[-1], value.shape[-1]) > 256:
        raise ValueError(f"head widths go to 256: query {query.shape[-1]}, value {value.shape[-1]}")


def check_offsets(name: str, offsets: Tensor, total: int, most: int) -> None:
    """Raise ValueError unless the offsets part `total` positions into sequences of at most `most`."""
    if offsets.dtype != torch.int32 or offsets.dim() != 1 or offsets.numel() < 1:
        raise ValueError(f"{name}_offsets must be int32 of shape [B + 1], got {offsets.dtype} {tuple(offsets.shape)}")
    if offsets.device.type == "cpu":
        lengths = offsets.diff()
        if int(offsets[0]) != 0 or int(offsets[-1]) != total or (lengths.numel() and (int(lengths.min()) < 0 or int(lengths.max()) > most)):
            raise ValueError(f"{name}_offsets {offsets.tolist()} must rise from 0 to {total} in steps of at most {most}")
