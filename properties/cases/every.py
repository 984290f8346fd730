"""Importing this registers how the calls of every variant are drawn: one name here for each file of this folder."""

from properties.cases import (
    additive,
    dropout,
    entmax,
    linear_attention,
    linformer,
    monotonic,
    positions,
    random_features,
    scores,
    sigmoid,
    softmax_one,
    sparsemax,
)

__all__ = [
    "additive",
    "dropout",
    "entmax",
    "linear_attention",
    "linformer",
    "monotonic",
    "positions",
    "random_features",
    "scores",
    "sigmoid",
    "softmax_one",
    "sparsemax",
]
