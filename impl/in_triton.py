"""What the implementations in Triton have in common: how they are declared, and the module that launches them, which is imported once it can run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from impl.scaled_dot_product import flash
from impl.variant import Arithmetic, Call, Conventions, Implementation, Limits, Variant

# A compiled kernel takes its factors in float32, so that float64 is for the interpreter, which computes bfloat16 wrongly.
DTYPES = ("float64", "float32", "float16") if flash.device() == "cpu" else ("float32", "float16")


class Operators:
    """The module of custom operators that `load` imports, which needs triton. It is imported as soon as `missing` has found that it can run here."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self.load, self.module = load, None

    def missing(self) -> str | None:
        """Why this machine cannot run the kernel, or None."""
        why = flash.missing()
        if why is None and self.module is None:
            self.module = self.load()
        return why

    def __call__(self) -> Any:
        """The module. Raises RuntimeError where the kernel cannot run."""
        if why := self.missing():
            raise RuntimeError(f"the Triton kernel cannot run here: {why}")
        return self.module


def offered(
    variant: Variant,
    call: Call,
    operators: Operators,
    *,
    name: str = "triton",
    limits: Limits,
    arithmetic: Arithmetic,
    share: float,
    conventions: Conventions | None = None,
    offers: tuple[str, ...] = (),
    lacks: tuple[str, ...] = (),
) -> tuple[Implementation, ...]:
    """Two implementations of one call: in the dtypes that are checked everywhere, and in bfloat16, which needs a GPU. `limits.dtypes` is set here."""
    first = Implementation(
        variant=variant,
        name=name,
        call=call,
        limits=replace(limits, dtypes=DTYPES),
        conventions=conventions or Conventions(),
        arithmetic=arithmetic,
        lacks=lacks,
        share=share,
        triton=True,
        offers=offers,
        device=flash.device,
        missing=operators.missing,
    )
    return first, replace(first, name=f"{name}-bfloat16", limits=replace(limits, dtypes=("bfloat16",)), missing=flash.missing_bfloat16)
