"""What the kernels of variants other than dense attention may do to memory: as test_memory, for calls whose definition is in properties/cases."""

from __future__ import annotations

from impl.trait import Trait
from properties import posed
from properties.posed import Posed, any_case
from properties.request import Request
from properties.subject import LawBroken, Subject, require
from properties.test_memory import not_interpreted
from properties.verifies import law


@law("flash.any-tiling-is-exact", on=Trait.IN_TRITON, draw=any_case, lacking=not_interpreted)
def test_every_access_of_a_call_lies_within_its_tensor(subject: Subject, x: Posed) -> None:
    """Each load and store of an active lane is inside the tensor whose pointer it was made from, nothing is read before it is written, no output is left
    unwritten, and no two programs race: forward, and backward where there are gradients."""
    from impl._triton import memory

    subject.saw(x.regimes)
    inputs = (*(x[place] for place in x.tensors), x.cotangent)
    try:
        with memory.watched(readonly=inputs) as seen:
            posed.output(subject, x)
            if subject.implementation.limits.gradients:
                subject.answered(Request(arguments=x.arguments, keywords=x.keywords, cotangent=x.cotangent, wanted=x.wanted), len(x.wanted))
    except memory.LeftUnwritten as fault:  # known when the watch ends, after the call
        raise LawBroken(f"{fault} on {x}") from fault
    require(bool(seen.launches) or not x.cotangent.numel(), f"launched no interpreted kernel on {x}")
