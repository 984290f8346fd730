"""What an attention variant is, and what may claim to compute it. Of this project, imports the names of traits alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from impl.trait import Trait

Call = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A definition: `reference` is the function that everything else must agree with. `source` cites it."""

    name: str
    reference: Call
    traits: frozenset[Trait]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an implementation accepts. The strategies draw inside it, so nothing is filtered away.

    `dtypes`, `masks` ("none", "boolean", "additive"), `causal`, `grouped_queries`, `scale`, `gradients` and `mask_gradient` say what may be asked for;
    `positive_scale`: a scale must be above 0.
    `unequal_lengths`: M may differ from N; `unequal_widths`: E from D; `zero_length`: any of B, N, M may be 0; `multiple`: N and M are multiples
    of it; `widths`: the only head widths D and E (None: any); `leading_axes`: [N, D] and [H, N, D] tensors too; `strides`: "any", "rows" (the last
    axis is contiguous) or "contiguous". `edges` are tile sizes: lengths are also drawn at each edge and one either side of it. `max_length` bounds
    both lengths in tests, `max_heads` the sequences times their query heads; `long` draws one long axis now and then.
    """

    dtypes: tuple[str, ...] = ("float64", "float32", "float16", "bfloat16")
    masks: tuple[str, ...] = ("none", "boolean", "additive")
    causal: bool = True
    grouped_queries: bool = True
    scale: bool = True
    positive_scale: bool = False
    unequal_lengths: bool = True
    unequal_widths: bool = True
    zero_length: bool = True
    gradients: bool = True
    mask_gradient: bool = True
    multiple: int = 1
    widths: tuple[int, ...] | None = None
    leading_axes: bool = True
    strides: str = "any"
    edges: tuple[int, ...] = ()
    max_length: int = 9
    max_heads: int = 18
    long: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Conventions:
    """What honest implementations choose differently; the defaults are those of torch's scaled_dot_product_attention.

    `dead_rows`: what a row that sees no key is: "zero", "nan", "mean" (of all values) or "any".
    `causal`: which corner the diagonal starts from when N ≠ M: "top-left" (row i sees j ≤ i) or "bottom-right" (j ≤ i + M − N).
    `grouped_queries`: query head h reads key head h // (H / G) ("interleaved") or h % G ("tiled").
    `mask`: True means may attend ("keep") or must not ("block").
    `mask_and_causal`: given together they both count ("both"), raise ("error"), either of these ("both-or-error"), or anything ("any").
    `masked_nan`: a NaN that stands in a hidden key or value may reach the row that hides it ("leaks"), must not ("blocked"), or "any".
    `float64`: computed as such ("honoured") or "as-float32".
    `layout`: the axes of inputs and output, as in "BNHD->BNHD"; a mask keeps the axes of the scores.
    `repeats`: two calls agree "bitwise", or "within-bounds" only (atomic adds in any order).
    `process`: a call leaves the process "untouched" (no process started, no function of torch replaced, no flood of output), or "any".
    """

    dead_rows: str = "zero"
    causal: str = "top-left"
    grouped_queries: str = "interleaved"
    mask: str = "keep"
    mask_and_causal: str = "both-or-error"
    masked_nan: str = "leaks"
    float64: str = "honoured"
    layout: str = "BHND->BHND"
    repeats: str = "bitwise"
    process: str = "untouched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """How an implementation rounds, as far as the error bounds need to know. The defaults allow much; a narrower declaration is judged more sharply.

    `accumulate`: the dtype of scores, exponentials and sums: "default" (float32 for the half precisions, else the inputs'), "input", "float32" or "float64".
    `score_roundings`: roundings of one score beyond the D products and their sum (a default scale takes a root and a division,
    then the scale is applied and the bias added).
    `exponent_roundings`: roundings of an exponent after the scores are formed (the stabiliser subtracted, a change of base).
    `tile`: the smallest number of keys folded into the running state at once; None for one pass over all keys.
    `stabiliser`: how far the subtracted stabiliser may lie from the row's maximum, in units of score.
    `weights`: the dtype in which weights meet values: "accumulator", or "input" where they (and their gradient)
    are rounded to the inputs' dtype first.
    `normalise`: "divide" by the sum, or subtract the "log-sum-exp" in the exponent, so that a row's weights sum to 1 only as far as that is exact.
    `recompute`: what backward rebuilds the weights from: "max-and-sum", or "log-sum-exp" rounded to the accumulator's dtype.
    `saved_output`: the dtype of the output that backward uses: "accumulator" or "input".
    `exp_ulp`: error of the exponential and the logarithm, in units in the last place.
    `detours`: how many roundings may stand where the definition, written over tracked numbers, has one operation.
    `casts`: gradients of half-precision inputs are rounded "once", or in "each use" of the input that has a cast of its own.
    `angles`: the dtype in which the angles of positions are computed: "accumulator" or "float64".
    `exact_means`: equal scores give weights that are exactly 1 before they are normalised by one division, so that a mean over 2^p keys is exact.
    """

    accumulate: str = "default"
    score_roundings: int = 6
    exponent_roundings: int = 4
    tile: int | None = 1
    stabiliser: float = 0.0
    weights: str = "accumulator"
    normalise: str = "divide"
    recompute: str = "max-and-sum"
    saved_output: str = "accumulator"
    exp_ulp: float = 2.0
    detours: int = 4
    casts: str = "each use"
    angles: str = "accumulator"
    exact_means: bool = False


STRAIGHTFORWARD = Arithmetic(detours=1, tile=None, casts="once")  # code that does what the definition says: a rounding for each operation, all keys at once


def present() -> None:
    """Nothing is missing on this machine."""


def on_the_cpu() -> str:
    """Tensors are handed over as they are drawn."""
    return "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Implementation:
    """One callable that says it computes `variant` on the inputs within `limits`.

    `log_sum_exp` returns (output, log-sum-exp) where the implementation can; `missing` says why this machine cannot run it ("needs CUDA"),
    or None. `ours` is False for a stranger, whose violations are shown and fail nothing.
    `lacks` names the parameters of the variant's signature that `call` does not have. `share` is the part of a profile's examples that each law is
    tried on, for what is slow to run. `triton` says that its kernels are Triton's, so that every access to memory can be watched in the interpreter.
    `device` is where it wants its tensors. `offers` names what it has beside the variant's signature, as keywords of `call` and `log_sum_exp`: "softcap",
    "alibi_slopes", "sinks", "dropout_p" (with "seed"); and "log-sum-exp gradient". `packed` is its call for sequences that lie one behind the other.
    """

    variant: Variant
    name: str
    call: Call
    log_sum_exp: Call | None = None
    limits: Limits = field(default_factory=Limits)
    conventions: Conventions = field(default_factory=Conventions)
    arithmetic: Arithmetic = field(default_factory=Arithmetic)
    ours: bool = True
    lacks: tuple[str, ...] = ()
    share: float = 1.0
    triton: bool = False
    offers: tuple[str, ...] = ()
    packed: Call | None = None
    device: Callable[[], str] = on_the_cpu
    missing: Callable[[], str | None] = present
