"""One call of an implementation, what came back, and the runner that makes it in this process."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from impl.variant import Implementation


class LawBroken(Exception):
    """Raised by a law that found an example which breaks it; the message is the counterexample."""


class SubjectFailed(Exception):
    """Raised when the subject raised on inputs inside its declared limits, whatever it raised: that breaks a law as well."""


class SubjectDied(SubjectFailed):
    """Raised when a call hung, or took its process down."""


class Undecided(Exception):
    """Raised when an example cannot tell: the oracle's balls are too wide, or the subject was too slow once and not the second time."""


class NotRun(Exception):
    """Raised when a law cannot be tried on this subject; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """A call in the subject's own conventions. With a `cotangent`, the gradients of ⟨output, cotangent⟩ with respect to `wanted`: places of
    positional arguments, or names of keywords. With `of_log_sum_exp` too, those of ⟨output, cotangent⟩ + ⟨log-sum-exp, of_log_sum_exp⟩. `packed`: the
    call is of the implementation for packed sequences, which returns output and log-sum-exp. These last two are for implementations of this process."""

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    log_sum_exp: bool = False
    cotangent: Tensor | None = None
    wanted: tuple[int | str, ...] = ()
    of_log_sum_exp: Tensor | None = None
    packed: bool = False

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Every tensor that is handed over, by a name."""
        named = {**{str(place): x for place, x in enumerate(self.arguments)}, **self.keywords, "cotangent": self.cotangent}
        return {name: x for name, x in named.items() if isinstance(x, Tensor)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reply:
    """What came back: tensors, or what else it was (`returned`); which arguments the call changed, and whether its output shares memory with them: these
    two are known of a child process only."""

    tensors: tuple[Tensor, ...] = ()
    returned: str = ""
    changed: tuple[str, ...] = ()
    shares: str = ""


class Runner(Protocol):
    """Makes calls. `apart` says whether in a process of their own, `deaths` how many of them hung or took it down, `conduct` what any did to it."""

    apart: bool
    deaths: int
    conduct: list[str]

    def run(self, request: Request) -> Reply:
        """Make the call. Raises SubjectFailed if it raises, SubjectDied if it hangs or takes its process down."""


@dataclass(slots=True)
class Here:
    """Calls an implementation in this process."""

    implementation: Implementation
    apart: bool = field(default=False, init=False)
    deaths: int = field(default=0, init=False)
    conduct: list[str] = field(default_factory=list, init=False)

    def run(self, request: Request) -> Reply:
        """See Runner. Raises NotRun for a log-sum-exp that the implementation does not return, or sequences that it does not pack."""
        ours, both = self.implementation, request.log_sum_exp or request.packed
        function = ours.packed if request.packed else ours.log_sum_exp if request.log_sum_exp else ours.call
        if function is None:
            raise NotRun("packs no sequences" if request.packed else "returns no log-sum-exp")
        device = ours.device()
        if device != "cpu":
            request = sent(request, device)
        arguments, keywords = list(request.arguments), dict(request.keywords)
        if request.cotangent is not None:
            arguments = [x.detach() if isinstance(x, Tensor) else x for x in arguments]
        leaves = []
        for place in request.wanted:
            given: Any = arguments if isinstance(place, int) else keywords
            given[place] = given[place].detach().requires_grad_()
            leaves.append(given[place])
        try:
            output = function(*arguments, **keywords)
        except Exception as error:
            raise SubjectFailed(f"raised {type(error).__name__}: {error}") from error
        if request.cotangent is None:
            returned = output if isinstance(output, tuple) and both else (output,)
            return reply_of(returned)
        if both:
            output, *beside = output
        if isinstance(output, Tensor) and not output.requires_grad:  # it depends on none of them
            return Reply(tensors=tuple(torch.zeros_like(leaf).cpu() for leaf in leaves))
        before = output.detach().clone() if isinstance(output, Tensor) else None
        try:
            if request.of_log_sum_exp is not None:
                found = torch.autograd.grad((output, *beside), leaves, (request.cotangent, request.of_log_sum_exp), materialize_grads=True)
            else:
                found = torch.autograd.grad(output, leaves, request.cotangent, materialize_grads=True)
            kept = before is None or bool(((output == before) | before.isnan()).all())
            return Reply(tensors=tuple(x.cpu() for x in found), changed=() if kept else ("the output, by backward",))
        except Exception as error:
            raise SubjectFailed(f"backward raised {type(error).__name__}: {error}") from error


def sent(request: Request, device: str) -> Request:
    """The request with every tensor on another device, in the same layout."""

    def there(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        whole = torch.empty(0, dtype=x.dtype).set_(x.detach().untyped_storage()).to(device)
        return whole.as_strided(x.shape, x.stride(), x.storage_offset()).requires_grad_(x.requires_grad)

    return replace(
        request,
        arguments=tuple(there(x) for x in request.arguments),
        keywords={name: there(x) for name, x in request.keywords.items()},
        cotangent=there(request.cotangent),
        of_log_sum_exp=there(request.of_log_sum_exp),
    )


def reply_of(returned: tuple[Any, ...]) -> Reply:
    """The reply that these returned values make: plain strided tensors are kept, anything else is described."""
    if all(type(x) is Tensor and x.layout == torch.strided for x in returned):
        return Reply(tensors=tuple(x.cpu() for x in returned))
    return Reply(returned=", ".join(f"{type(x).__name__}" + (f" {tuple(x.shape)} {x.dtype} {x.layout}" if isinstance(x, Tensor) else "") for x in returned))
