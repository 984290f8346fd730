"""What a kernel may do to memory: a law for kernels in Triton, which the interpreter runs and a watch looks over."""

from __future__ import annotations

import os

from impl.trait import Trait
from impl.variant import Implementation
from properties.inputs import Inputs, dense
from properties.subject import LawBroken, Subject, require
from properties.verifies import law


def not_interpreted(implementation: Implementation) -> str | None:
    """Accesses are seen where Triton interprets the kernel; `missing` has set the variable where there is no GPU."""
    if not implementation.triton:
        return "is no Triton kernel"
    return None if os.environ.get("TRITON_INTERPRET") == "1" else "runs compiled: accesses are watched in Triton's interpreter only"


@law("softmax.weighted-average", on=Trait.DOT_PRODUCT, draw=dense, lacking=not_interpreted)
def test_every_access_lies_within_its_tensor(subject: Subject, x: Inputs) -> None:
    """Each load and store of an active lane is inside the tensor whose pointer it was made from, nothing is read before it is written, no output is left
    unwritten, and no two programs race: forward and backward. A fault is raised through the call, so that it counts as the subject's failure."""
    from impl._triton import memory

    subject.saw(x.regimes)
    inputs = tuple(t for t in (x.query, x.key, x.value, x.attn_mask, x.cotangent) if t is not None)
    limits, mask = subject.implementation.limits, x.attn_mask
    try:
        with memory.watched(readonly=inputs) as seen:
            subject(x)
            if limits.gradients:
                subject.gradients(x, mask=limits.mask_gradient and mask is not None and mask.is_floating_point())
    except memory.LeftUnwritten as fault:  # known when the watch ends, after the call
        raise LawBroken(f"{fault} on {x}") from fault
    require(bool(seen.launches) or not x.query.numel(), f"launched no interpreted kernel on {x}")
