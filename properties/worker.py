"""The child process in which a stranger's function is called. Run by its path; imports nothing of this project, which is not on its path either.

It reads one JSON line a call from a pipe, finds the arguments in shared memory, calls, puts what came back into the same memory, and answers with
one JSON line. Whatever it says is checked by the parent (`properties.process`); what it can't fake, it need not say: the parent itself compares the
arguments with what it wrote.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import inspect
import json
import math
import mmap
import os
import resource
import signal
import sys
import threading
import time
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
MISSING = object()
DTYPES = {name: getattr(torch, name) for name in ("float64", "float32", "float16", "bfloat16", "bool", "int64")}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
Tensor, as_strided, frombuffer = torch.Tensor, torch.as_strided, torch.frombuffer  # kept: the function may replace torch's names


class Child:
    """The function, its memory and what the process looked like before it."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.memory = mmap.mmap(options["arena"], options["size"])
        self.arena = frombuffer(self.memory, dtype=torch.uint8)
        self.out = os.fdopen(options["answer"], "w", buffering=1)
        self.requests = os.fdopen(options["ask"], "r")
        self.pid = os.getpid()
        self.surroundings = Surroundings()
        self.at_import: list[str] = []
        self.calls = 0
        self.watch: Any = None
        self.spoilt = False

    def load(self) -> dict[str, Any]:
        """Import the function; what is known of it before the first call."""
        module, name, framework = self.options["module"], self.options["function"], self.options["framework"]
        if self.options["watch"]:
            self.watch = imported(self.options["watch"])
        target: Any = imported(module)
        for part in name.split("."):
            if not hasattr(target, part):
                public = sorted(x for x in dir(target) if not x.startswith("_") and callable(getattr(target, x)))
                raise AttributeError(f"{module} has no {name!r}; it has {', '.join(public[:12]) or 'no callable'}")
            target = getattr(target, part)
        declared = target if type(target).__name__ == "Implementation" and hasattr(target, "conventions") else None
        self.function = declared.call if declared else target
        self.log_sum_exp = declared.log_sum_exp if declared else None
        if not callable(self.function):
            raise TypeError(f"{module}:{name} is {type(self.function).__name__}, not a function")
        self.framework = FRAMEWORKS[framework](self.options["device"])
        self.at_import = [f"replaced {name} when it was imported" for name in self.surroundings.replaced()[:3]]
        self.surroundings = Surroundings()  # what it did when it was imported is not held against a call
        self.state, self.waited = global_state(), resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "parameters": parameters(self.function),
            "declared": plain_declaration(declared) if declared else None,
            "log_sum_exp": self.log_sum_exp is not None,
            "versions": {"torch": torch.__version__, "python": ".".join(map(str, sys.version_info[:2]))},
            "document": (inspect.getdoc(self.function) or "").partition("\n")[0][:200],
        }

    def serve(self) -> None:
        """Answer requests until the pipe is closed."""
        for line in self.requests:
            request = json.loads(line)
            answer = self.answer(request)
            answer["conduct"] = self.conduct() if request["watched"] else []
            if os.getpid() != self.pid:  # the function forked, and this is the other one
                os._exit(0)
            self.out.write(json.dumps(answer) + "\n")

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        seen, self.spoilt = None, False
        try:
            with nullcontext() if self.watch is None else self.watch.watched() as seen:
                results = self.framework.called(self, request)
        except BaseException as error:
            return {"raised": type(error).__name__, "message": said(error), "where": where(error)}
        launches = 0 if seen is None else len(seen.launches)
        try:
            stored, free = [], int(request["free"])
            for x in results:
                described = self.stored(x, free)
                free += -(-described.get("bytes", 0) // 64) * 64
                stored.append(described)
        except BaseException as error:
            return {"raised": type(error).__name__, "message": f"reading what it returned: {said(error)}", "where": ""}
        return {"tensors": stored, "launches": launches, "spoilt": self.spoilt}

    def stored(self, x: Any, at: int) -> dict[str, Any]:
        """Put one result into shared memory, and describe it; anything but a plain strided tensor of a float dtype is only described."""
        x, problem = self.framework.returned(x)
        if problem:
            return {"returned": problem}
        begin, own = self.arena.data_ptr(), x.untyped_storage().data_ptr()
        shares = x.numel() > 0 and begin <= own < begin + self.arena.numel()
        flat = torch.empty(x.numel(), dtype=x.dtype).copy_(x.detach().reshape(-1))
        raw = flat.view(torch.uint8)
        if at + raw.numel() > self.arena.numel():
            return {"returned": f"Tensor {tuple(x.shape)}, too large"}
        self.arena[at : at + raw.numel()] = raw
        return {"at": at, "bytes": raw.numel(), "dtype": NAMES[x.dtype], "shape": list(x.shape), "shares": bool(shares)}

    def tensor(self, x: dict[str, Any]) -> Any:
        """An argument: a view of shared memory with the caller's strides, or of a copy on another device."""
        count, dtype = int(x["bytes"]), DTYPES[x["dtype"]]
        # a tensor of its own, so that a write into one argument does not look to autograd like a write into all
        raw = frombuffer(self.memory, dtype=torch.uint8, offset=x["at"], count=count) if count else torch.empty(0, dtype=torch.uint8)
        if self.framework.device != "cpu":
            raw = raw.to(self.framework.device)
            self.framework.copies.append((x["at"], raw))
        whole = raw.view(dtype)
        view = as_strided(whole, x["shape"], x["stride"], whole.storage_offset() + x["offset"])
        return view.detach().requires_grad_() if x["grad"] else view

    def conduct(self) -> list[str]:
        """What the call did to its process."""
        found = [*self.at_import, *(f"replaced {name}" for name in self.surroundings.replaced()[:3])]
        now = global_state()
        found += [f"changed {name} from {self.state[name]} to {now[name]}" for name in now if now[name] != self.state[name]]
        self.calls += 1
        children = stopped_children()
        waited = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = (waited.ru_maxrss, waited.ru_utime, waited.ru_stime) != (self.waited.ru_maxrss, self.waited.ru_utime, self.waited.ru_stime)
        if children or (ended and self.calls > 1):  # the first call may import what the module has not, and ask a process or two about the machine
            found.append("started a process")
        self.waited = resource.getrusage(resource.RUSAGE_CHILDREN)
        return found


class Torch:
    """Hands tensors over as they are."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.copies: list[tuple[int, Any]] = []

    def called(self, child: Child, request: dict[str, Any]) -> tuple[Any, ...]:
        """The output, or (output, log-sum-exp), or the gradients that are wanted."""
        self.copies.clear()
        arguments = [self.handed(child, x) for x in request["arguments"]]
        keywords = {name: self.handed(child, x) for name, x in request["keywords"].items()}
        function: Any = child.log_sum_exp if request["log_sum_exp"] else child.function
        if request["cotangent"] is not None:
            results = self.gradients(child, function, arguments, keywords, request)
        else:
            output = function(*arguments, **keywords)
            results = tuple(output) if request["log_sum_exp"] and isinstance(output, tuple) else (output,)
        for at, raw in self.copies:  # so that the parent sees what was changed in place on another device
            child.arena[at : at + raw.numel()] = raw.cpu()
        return results

    def handed(self, child: Child, x: Any) -> Any:
        return self.array(child.tensor(x)) if isinstance(x, dict) else x

    def array(self, x: Any) -> Any:
        """A tensor as what the function takes."""
        return x

    def gradients(self, child: Child, function: Any, arguments: list[Any], keywords: dict[str, Any], request: dict[str, Any]) -> tuple[Any, ...]:
        wanted = [(arguments if isinstance(place, int) else keywords)[place] for place in request["wanted"]]
        output = function(*arguments, **keywords)
        if not isinstance(output, Tensor):
            return (output,)
        cotangent = child.tensor(request["cotangent"])
        if output.shape != cotangent.shape or output.dtype != cotangent.dtype:
            return (output.detach(),)  # of a wrong shape or dtype, which the parent will name
        if not output.requires_grad:  # it depends on none of them
            return tuple(x.new_zeros(x.shape) for x in wanted)
        before = output.detach().clone()
        output.backward(cotangent)  # not autograd.grad, which functions that checkpoint themselves may refuse
        child.spoilt = not bool(((output.detach() == before) | before.isnan()).all())
        return tuple(x.new_zeros(x.shape) if x.grad is None else x.grad for x in wanted)

    def returned(self, x: Any) -> tuple[Any, str]:
        """The tensor to be stored, or what is wrong with it."""
        if type(x) is not Tensor:
            return None, f"{type(x).__name__}" + (f" {tuple(x.shape)}" if isinstance(x, Tensor) else f" of {len(x)}" if isinstance(x, (tuple, list)) else "")
        if x.layout is not torch.strided or x.dtype not in NAMES or x.device.type != self.device.partition(":")[0]:
            return None, f"Tensor {tuple(x.shape)} {x.dtype}, {x.layout}, on {x.device}"
        return x, ""


class Numpy(Torch):
    """Hands arrays over by DLPack; has no gradient."""

    def array(self, x: Any) -> Any:
        import numpy

        return numpy.from_dlpack(x.detach())

    def returned(self, x: Any) -> tuple[Any, str]:
        import numpy

        if type(x) is not numpy.ndarray or x.dtype.name not in DTYPES:
            return None, f"{type(x).__name__}" + (f" of {x.dtype}" if isinstance(x, numpy.ndarray) else "")
        return torch.from_numpy(x if x.flags.writeable and all(step >= 0 for step in x.strides) else x.copy()), ""


class Jax(Torch):
    """Hands arrays over by DLPack; gradients by jax.vjp."""

    def array(self, x: Any) -> Any:
        import jax

        x = x.detach()
        if x.dtype == torch.bool:
            return jax.dlpack.from_dlpack(x.contiguous().to(torch.uint8)).astype(bool)
        return jax.dlpack.from_dlpack(x.contiguous())

    def gradients(self, child: Child, function: Any, arguments: list[Any], keywords: dict[str, Any], request: dict[str, Any]) -> tuple[Any, ...]:
        import jax

        places = list(request["wanted"])

        def of(*chosen: Any) -> Any:
            given, named = list(arguments), dict(keywords)
            for place, x in zip(places, chosen, strict=True):
                (given if isinstance(place, int) else named)[place] = x
            return function(*given, **named)

        output, back = jax.vjp(of, *((arguments if isinstance(place, int) else keywords)[place] for place in places))
        cotangent = self.array(child.tensor(request["cotangent"]))
        return tuple(back(cotangent)) if output.shape == cotangent.shape and output.dtype == cotangent.dtype else (output,)

    def returned(self, x: Any) -> tuple[Any, str]:
        import jax

        if not isinstance(x, jax.Array) or x.dtype.name not in DTYPES:
            return None, f"{type(x).__name__}" + (f" of {x.dtype}" if hasattr(x, "dtype") else "")
        return torch.utils.dlpack.from_dlpack(x).clone(), ""


FRAMEWORKS = {"torch": Torch, "numpy": Numpy, "jax": Jax}


def imported(module: str) -> Any:
    """A module by name, or a file by its path."""
    path = Path(module)
    if module.endswith(".py"):
        return from_file(f"judged_{path.stem}", path.resolve())  # a file may be called random.py
    return importlib.import_module(module)


def from_file(name: str, path: Path) -> Any:
    """The file as a module of this name."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def parameters(function: Any) -> list[str] | None:
    """The names of the parameters; None where everything is accepted or nothing is known."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return None if any(p.kind is p.VAR_KEYWORD for p in found) else [p.name for p in found]


def plain_declaration(declared: Any) -> dict[str, Any]:
    """An Implementation as JSON values: its name, variant, and the fields of limits, conventions and arithmetic."""
    parts = {part: {name: getattr(getattr(declared, part), name) for name in fields(getattr(declared, part))} for part in PARTS}
    variant = declared.variant if isinstance(declared.variant, str) else declared.variant.name
    return {"name": declared.name, "variant": variant, "missing": declared.missing(), **parts}


PARTS = ("limits", "conventions", "arithmetic")


def fields(x: Any) -> list[str]:
    return list(type(x).__dataclass_fields__)


def said(error: BaseException) -> str:
    """The error's message, if it has one that can be read."""
    try:
        return str(error)[:2000]
    except BaseException as worse:
        return f"(its message raises {type(worse).__name__})"


def where(error: BaseException) -> str:
    """The last line of the traceback outside of this file."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}: {frames[-1].line}" if frames else ""


class Surroundings:
    """What the names of torch, math and builtins mean before the function is imported."""

    def __init__(self) -> None:
        import builtins

        self.places: dict[str, Any] = {
            "torch": torch, "torch.Tensor": Tensor, "torch._C.TensorBase": torch._C.TensorBase, "torch.nn.functional": torch.nn.functional,
            "torch.linalg": torch.linalg, "torch.autograd": torch.autograd, "math": math, "builtins": builtins, "time": time, "os": os,
        }  # fmt: skip
        self.before = {name: dict(vars(place)) for name, place in self.places.items()}
        self.inherited = set(dir(torch._C.TensorBase))

    def replaced(self) -> list[str]:
        """The names that mean something else now. New names (parts of torch that load late) are no finding, nor is what torch itself replaces."""
        shadowed = [f"torch.Tensor.{name}" for name in (vars(Tensor).keys() & self.inherited) - self.before["torch.Tensor"].keys()]
        meanings = {place: vars(self.places[place]) for place in self.before}
        return shadowed + [
            f"{place}.{name}"
            for place, names in self.before.items()
            for name, value in names.items()
            if meanings[place].get(name, MISSING) is not value and (name[:1] != "_" or "Tensor" in place) and not by_torch(meanings[place].get(name))
        ]


def by_torch(function: Any) -> bool:
    """Whether a function's code stands in torch's own files, whatever it calls itself."""
    code = getattr(function, "__code__", None)
    return code is not None and Path(code.co_filename).is_relative_to(Path(torch.__file__).parent)


def global_state() -> dict[str, str]:
    return {
        "torch's default dtype": str(torch.get_default_dtype()),
        "whether gradients are recorded": str(torch.is_grad_enabled()),
        "whether algorithms are deterministic": str(torch.are_deterministic_algorithms_enabled()),
        "torch's seed": str(torch.initial_seed()),
        "torch's number of threads": str(torch.get_num_threads()),
        "the number of Python threads": str(threading.active_count()),
        "the working directory": os.getcwd(),
    }


def stopped_children() -> int:
    """Kill every process that descends from this one; how many there were. The kernel gives orphans to this process (a subreaper)."""
    count = 0
    while True:
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return count
        for children in Path("/proc/self/task").glob("*/children"):
            for pid in map(int, children.read_text().split()):
                os.kill(pid, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return count
        count += 1


def confined(memory: int, device: str) -> None:
    """Let this process die with its parent, adopt orphans, dump no core, and have `memory` bytes more than it has now."""
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        library.prctl(PR_SET_CHILD_SUBREAPER, 1)
        pages = int(Path("/proc/self/statm").read_text().split()[5])
        if device == "cpu":  # a GPU's driver reserves more address space than there is memory
            limit = pages * resource.getpagesize() + memory
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Serve one function. The only argument is a JSON object: the pipes, the shared memory, the function and the limits."""
    options = json.loads(sys.argv[1])
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != Path(options["project"])]
    if options["folder"]:
        sys.path.insert(0, options["folder"])
    torch.set_num_threads(1)
    variant = Path(options["variant_file"])
    from_file("impl.trait", variant.with_name("trait.py"))  # which the next one asks for
    from_file("attention_ledger", variant)  # what a file that declares itself may import
    del sys.modules["impl.trait"]  # `impl` may be a package of the judged function's own
    child = Child(options)
    confined(options["memory"], options["device"])
    try:
        ready = child.load()
    except BaseException as error:
        ready = {"raised": type(error).__name__, "message": said(error), "where": where(error)}
    child.out.write(json.dumps(ready) + "\n")
    if "raised" not in ready:
        child.serve()


if __name__ == "__main__":
    main()
