"""What an attention variant is, and what may claim to compute it. Imports nothing of this project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

Call = Callable[..., Any]


class Trait(Enum):
    """A mathematical feature that laws may require of a variant."""

    DOT_PRODUCT = auto()  # scores are scale · q kᵀ + bias; called as torch's scaled_dot_product_attention is
    MULTI_HEAD = auto()  # projections in, heads, concatenation, projection out


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

    `edges` are tile sizes: lengths are also drawn at each edge and one either side of it. `max_length` bounds them in tests.
    """

    dtypes: tuple[str, ...] = ("float64", "float32", "float16", "bfloat16")
    masks: tuple[str, ...] = ("none", "boolean", "additive")
    causal: bool = True
    causal_with_mask: bool = True
    grouped_queries: bool = True
    scale: bool = True
    unequal_lengths: bool = True
    unequal_widths: bool = True
    zero_length: bool = True
    gradients: bool = True
    mask_gradient: bool = True
    edges: tuple[int, ...] = ()
    max_length: int = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """How an implementation rounds, as far as the error bounds need to know. The defaults allow much; a narrower declaration is judged more sharply.

    `score_roundings`: roundings of one score beyond the D products and their sum (a default scale takes a root and a division,
    then the scale is applied and the bias added).
    `exponent_roundings`: roundings of an exponent after the scores are formed (the stabiliser subtracted, a change of base).
    `tile`: the smallest number of keys folded into the running state at once; None for one pass over all keys.
    `stabiliser`: how far the subtracted stabiliser may lie from the row's maximum, in units of score.
    `weights`: the dtype in which weights meet values: "accumulator", or "input" where they (and their gradient)
    are rounded to the inputs' dtype first.
    `recompute`: what backward rebuilds the weights from: "max-and-sum", or "log-sum-exp" rounded to the accumulator's dtype.
    `saved_output`: the dtype of the output that backward uses: "accumulator" or "input".
    `exp_ulp`: error of the exponential and the logarithm, in units in the last place.
    """

    score_roundings: int = 6
    exponent_roundings: int = 4
    tile: int | None = 1
    stabiliser: float = 0.0
    weights: str = "accumulator"
    recompute: str = "max-and-sum"
    saved_output: str = "accumulator"
    exp_ulp: float = 2.0


def present() -> None:
    """Nothing is missing on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Implementation:
    """One callable that says it computes `variant` on the inputs within `limits`.

    `log_sum_exp` returns (output, log-sum-exp) where the implementation can; `missing` says why this machine cannot run it ("needs CUDA"),
    or None. `ours` is False for a stranger, whose violations are shown and fail nothing.
    """

    variant: Variant
    name: str
    call: Call
    log_sum_exp: Call | None = None
    limits: Limits = field(default_factory=Limits)
    arithmetic: Arithmetic = field(default_factory=Arithmetic)
    ours: bool = True
    missing: Callable[[], str | None] = present
