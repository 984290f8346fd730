"""Importing this registers how the calls of every variant are drawn: one name here for each file of this folder."""

from properties.cases import additive, positions, scores

__all__ = ["additive", "positions", "scores"]
