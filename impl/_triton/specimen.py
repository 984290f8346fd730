"""A launch that is compiled, counted and shown as one row of the kernels' page: every `impl/<variant>/launch.py` lists its own in `specimens`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from impl._triton.launch import Launch


class Cost(NamedTuple):
    """What one launch does, padding of tiles included: operations of matrix products (2 · rows · columns · width each), values of exp, log, tanh, sin and cos,
    bytes read from global memory by active lanes, and bytes written to it."""

    products: int
    functions: int
    read: int
    written: int

    @property
    def intensity(self) -> float:
        """Operations of matrix products a byte moved."""
        return self.products / (self.read + self.written)


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """A kernel of a call as it ships for a target. `case` says which call, in words ("width 64, causal"); `cost` is derived from the arguments' shapes and the
    tile by a formula, and a test compares it with what the interpreter counts on the specimens for the target "interpreter", which are small."""

    kernel: str
    case: str
    launch: Launch
    cost: Cost
