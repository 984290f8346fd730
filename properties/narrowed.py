"""Definitions over tracked numbers for kernels on tensor cores: what meets a matrix product is rounded to the inputs' dtype first, where the implementation
declares that weights are (`Arithmetic(weights="input")`), and backward may use the output that was saved in that dtype (`saved_output="input"`)."""

from __future__ import annotations

import numpy as np

from properties.tracked import Flags, Tracked, bare, capped, contract, softmax, times_infinity


def narrowed(x: Tracked) -> Tracked:
    """x as it meets a product: rounded once more, and so is its gradient. As it is where the weights are in the accumulator's dtype. Nothing is promised where
    the narrow dtype may overflow."""
    if not x.rounding.u_weights:
        return x
    result = bare(met(x))
    result.parents = ((x, met),)
    return result


def met(x: Tracked) -> Tracked:
    """The numbers of x, rounded to the dtype of the weights, without a history."""
    a = x.rounding
    with np.errstate(invalid="ignore"):
        off = np.where(x.reach < a.largest_out, x.off + a.u_weights * x.reach + a.least_weights, np.inf)
    return Tracked(true=x.true, off=times_infinity(capped(off, x.true, a, x.size)), rounding=a)


def averaged(scores: Tracked, value: Tracked, visible: Flags | None = None) -> Tracked:
    """softmax(scores) · value over what is visible, scores [B, H, N, M] and value [B, H, M, E] → [B, H, N, E]. Where weights are in the accumulator's dtype,
    the softmax and the sum as they stand.

    Else the gradient is as flash attention takes it: weights are computed again, of the scores it is p ∘ (g vᵀ − rowsum(g ∘ o)) with the output o as it was
    saved, and that is narrowed before it meets queries or keys, as weights are before they meet g. A narrowed number's error is in every sum that it enters,
    whether a scale is applied before or after.

    Source: Dao 2023, algorithm 2, https://arxiv.org/abs/2307.08691
    """
    a = scores.rounding
    if not a.u_weights:
        return contract("bhnm,bhme->bhne", softmax(scores, visible), value)
    weights = softmax(bare(scores), visible)
    result = bare(contract("bhnm,bhme->bhne", weights, bare(value)))
    saved, rebuilt = bare(result), bare(weights)
    with np.errstate(invalid="ignore"):
        if a.u_saved:
            saved.off = np.where(saved.reach < a.largest_out, saved.off + a.u_saved * saved.reach + a.least_out, np.inf)
        if a.declared.recompute == "log-sum-exp":  # such a weight may exceed 1, where one that is divided by the sum is at most 1: `softmax` stops there
            rebuilt.off = np.where(rebuilt.off < 1, rebuilt.off, np.inf)

    def of_scores(g: Tracked) -> Tracked:
        delta = contract("bhne,bhne->bhn", g, saved)
        slope = bare(rebuilt) * (contract("bhne,bhme->bhnm", g, bare(value)) - delta.reshape(*delta.shape, 1))
        slope = slope if visible is None else slope.where(np.broadcast_to(visible, slope.shape))
        return met(slope)

    result.parents = ((scores, of_scores), (value, lambda g: contract("bhnm,bhne->bhme", bare(rebuilt), g)))
    return result


def entering(x: Tracked) -> Tracked:
    """x as it meets a product, as `narrowed`, but its gradient comes back in the accumulator's dtype."""
    if not x.rounding.u_weights:
        return x
    result = met(x)
    result.parents = ((x, lambda g: g),)
    return result


def leaving(x: Tracked) -> Tracked:
    """x itself, whose gradient is rounded as it meets the products behind."""
    if not x.rounding.u_weights:
        return x
    result = bare(x)
    result.parents = ((x, met),)
    return result
