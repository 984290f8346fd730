"""Calls a stranger's function in a child process (`properties.worker`), with a limit on time and memory, and trusts nothing that it says.

The arguments lie in shared memory, each between guards; after a call they are compared with what was written. Results are copied out before they
are looked at. A child that hangs or dies is replaced at the next call.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from properties.request import NotRun, Reply, Request, SubjectDied, SubjectFailed, Undecided

ROOT = Path(__file__).parents[1]
SIZE = 2**30  # of the shared memory; pages that are never touched cost nothing
GUARD = 64  # bytes of 0xFF, a NaN in every format, on either side of an argument
FLOOD = 2**20  # bytes printed by one call
ANSWER = 2**20  # the longest answer, in bytes: more is no description of tensors
DTYPES = {name: getattr(torch, name) for name in ("float64", "float32", "float16", "bfloat16", "bool", "int64")}


class Late(SubjectDied):
    """Raised when a call did not answer in time."""


class CannotJudge(Exception):
    """Raised when the function cannot be called at all: not importable, no such name, a process that does not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is called and how. `module` is a dotted name or the path of a .py file; `python` the interpreter whose packages are used; `call_timeout` in
    seconds, `memory` in bytes beyond what the interpreter itself needs; `start_timeout` in seconds, for the imports. `interpret`: Triton kernels run in
    Triton's interpreter, and every access to memory is checked."""

    module: str
    function: str
    framework: str = "torch"
    device: str = "cpu"
    python: str = sys.executable
    call_timeout: float = 10.0
    start_timeout: float = 120.0
    memory: int = 4 * 2**30
    interpret: bool = False

    @property
    def folder(self) -> str:
        """What comes first on the child's path: the folder of the file, or where the command was given, unless that is this project."""
        if self.module.endswith(".py"):
            return str(Path(self.module).resolve().parent)
        return "" if Path.cwd().resolve() == ROOT else str(Path.cwd())


@dataclass(slots=True)
class Child:
    """A process that serves one function: `ask` and `answers` are our ends of its pipes."""

    process: subprocess.Popen[bytes]
    ask: int
    answers: int
    printed: int = 0
    tail: bytes = b""
    reader: threading.Thread | None = None


@dataclass(slots=True)
class Apart:
    """Runs a target in a child process. A context manager: the child ends with it."""

    target: Target
    apart: bool = field(default=True, init=False)
    deaths: int = field(default=0, init=False)
    conduct: list[str] = field(default_factory=list, init=False)
    watched: bool = field(default=True, init=False)
    hangs: bool = field(default=False, init=False)
    launches: int = field(default=0, init=False)
    described: dict[str, Any] = field(default_factory=dict, init=False)
    arena: Tensor = field(init=False)
    _file: Any = field(init=False)
    _child: Child | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        place = "/dev/shm" if roomy(Path("/dev/shm")) else None
        self._file = tempfile.TemporaryFile(dir=place, prefix="attention-ledger-")  # noqa: SIM115  # closed in close()
        os.truncate(self._file.fileno(), SIZE)
        self.arena = torch.frombuffer(mmap.mmap(self._file.fileno(), SIZE), dtype=torch.uint8)

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child."""
        self._kill()
        self._file.close()

    def start(self) -> dict[str, Any]:
        """Start the child and import the function; what it says of itself. Raises CannotJudge if that fails or takes too long."""
        ask_child, ask = os.pipe()
        answers, answer_child = os.pipe()
        options = {
            "arena": self._file.fileno(), "size": SIZE, "ask": ask_child, "answer": answer_child, "project": str(ROOT),
            "variant_file": str(ROOT / "impl" / "variant.py"), "folder": self.target.folder, "module": self.target.module,
            "function": self.target.function, "framework": self.target.framework, "device": self.target.device, "memory": self.target.memory,
            "watch": str(ROOT / "impl" / "_triton" / "memory.py") if self.target.interpret else "",
        }  # fmt: skip
        command = [self.target.python, "-P", str(Path(__file__).with_name("worker.py")), json.dumps(options)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))} | {"PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"TRITON_INTERPRET": "1"} if self.target.interpret else {}
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, start_new_session=True,
                pass_fds=(self._file.fileno(), ask_child, answer_child),
            )  # fmt: skip
        except OSError as error:
            raise CannotJudge(f"the interpreter {self.target.python!r} does not start: {error}") from error
        finally:
            os.close(ask_child)
            os.close(answer_child)
        child = self._child = Child(process=process, ask=ask, answers=answers)
        child.reader = threading.Thread(target=_drain, args=(child,), daemon=True)
        child.reader.start()
        try:
            ready = self._read(child, self.target.start_timeout)
        except SubjectDied as error:
            raise CannotJudge(f"{self._name()} could not be imported: {error}") from error
        if "raised" in ready:
            self._kill()
            at = f" ({ready['where']})" if ready.get("where") else ""
            raise CannotJudge(f"{self._name()} could not be imported: {ready['raised']}: {ready['message']}{at}")
        self.described = ready
        return ready

    def run(self, request: Request) -> Reply:
        """See properties.request.Runner. Raises CannotJudge if the process cannot be started again."""
        if self._child is None:
            self.start()
        child = self._child
        assert child is not None
        message, spans, used = self._written(request)
        before = self.arena[:used].clone()
        printed = child.printed
        try:
            os.write(child.ask, (json.dumps(message) + "\n").encode())
        except BrokenPipeError:  # it died after its last answer
            raise self._died("ended between two calls") from None
        try:
            answer = self._read(child, self.target.call_timeout)
        except Late:
            if not self.hangs:  # once more, with more time: a machine that is busy, or a first call that compiles, is no fault
                self._once_more(request)
            raise
        changed = (*self._changed(before, spans), *(("the output, by backward",) if answer.get("spoilt") else ()))
        self.launches += int(answer.get("launches", 0))
        conduct = [str(x) for x in answer.get("conduct", ())]
        if child.printed - printed > FLOOD:
            conduct.append(f"printed {(child.printed - printed) // 2**20} MiB")
        self.conduct += [found for found in conduct if found not in self.conduct]
        if "raised" in answer:
            at = f" ({answer.get('where')})" if answer.get("where") else ""
            raise SubjectFailed(f"raised {answer['raised']}: {answer.get('message', '')}{at}")
        try:
            return self._reply(answer, changed)
        except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise self._died(f"gave an answer that makes no sense ({type(error).__name__}: {error})") from error

    def _once_more(self, request: Request) -> None:
        """Raise Undecided if the call is answered in a fresh process and twice the time; a function that hangs there too is not asked a second time again."""
        self.start()
        child = self._child
        assert child is not None
        message, _, _ = self._written(request)
        os.write(child.ask, (json.dumps(message) + "\n").encode())
        try:
            self._read(child, 2 * self.target.call_timeout)
        except SubjectDied:
            self.hangs = True
            self.deaths -= 1  # one call, one death
            return
        self.deaths -= 1
        raise Undecided(f"gave no answer within {self.target.call_timeout:g} s, and did when it was asked again; give more by --call-timeout")

    def _written(self, request: Request) -> tuple[dict[str, Any], list[tuple[str, int, int]], int]:
        """Put the arguments into shared memory: the message, (name, begin, end) of each, and how much is used."""
        at, spans, places = GUARD, [], {}
        self.arena[:GUARD] = 0xFF
        for name, x in request.tensors.items():
            raw = torch.empty(0, dtype=torch.uint8).set_(x.detach().untyped_storage())
            if at + raw.numel() + 2 * GUARD > SIZE // 2:
                raise NotRun(f"the arguments are larger than the {SIZE // 2**20} MiB of shared memory")
            self.arena[at : at + raw.numel()] = raw
            places[name] = {
                "at": at, "bytes": raw.numel(), "dtype": str(x.dtype).removeprefix("torch."), "shape": list(x.shape), "stride": list(x.stride()),
                "offset": x.storage_offset(), "grad": (int(name) if name.isdigit() else name) in request.wanted or x.requires_grad,
            }  # fmt: skip
            spans.append((name, at, at + raw.numel()))
            end = -(-(at + raw.numel()) // GUARD) * GUARD + GUARD
            self.arena[at + raw.numel() : end] = 0xFF
            at = end
        message = {
            "arguments": [places.get(str(place), x) if isinstance(x, Tensor) else x for place, x in enumerate(request.arguments)],
            "keywords": {name: places[name] if isinstance(x, Tensor) else x for name, x in request.keywords.items()},
            "cotangent": places.get("cotangent"), "wanted": list(request.wanted), "log_sum_exp": request.log_sum_exp, "free": at, "watched": self.watched,
        }  # fmt: skip
        return message, spans, at

    def _changed(self, before: Tensor, spans: list[tuple[str, int, int]]) -> tuple[str, ...]:
        """The arguments that differ from what was written, and the guards between them."""
        here = self.arena[: before.numel()]
        if torch.equal(here, before):
            return ()
        named = {"0": "query", "1": "key", "2": "value"}
        found = [named.get(name, name) for name, begin, end in spans if not torch.equal(here[begin:end], before[begin:end])]
        return tuple(found) or ("memory beside the arguments",)

    def _reply(self, answer: dict[str, Any], changed: tuple[str, ...]) -> Reply:
        tensors, shares = [], ""
        for x in answer["tensors"]:
            if "returned" in x:
                return Reply(returned=str(x["returned"])[:300], changed=changed)
            raw = self.arena[int(x["at"]) : int(x["at"]) + int(x["bytes"])].clone()
            if raw.numel() != int(x["bytes"]):
                raise ValueError("a result outside of the shared memory")
            tensors.append(raw.view(DTYPES[x["dtype"]]).reshape([int(size) for size in x["shape"]]))
            shares = "(its memory is theirs)" if x["shares"] else shares
        return Reply(tensors=tuple(tensors), changed=changed, shares=shares)

    def _read(self, child: Child, timeout: float) -> dict[str, Any]:
        """The next line, as JSON. Raises SubjectDied if none comes in time, if the process ends, or if the line is none."""
        line, end = b"", time.monotonic() + timeout
        while not line.endswith(b"\n"):
            left = end - time.monotonic()
            ready = left > 0 and select.select([child.answers], [], [], left)[0]
            if not ready:
                raise Late(str(self._died(f"gave no answer within {timeout:g} s (it hangs, or is slower than --call-timeout)")))
            part = os.read(child.answers, 2**16)
            if not part or len(line) > ANSWER:
                raise self._died(self._ending(child) if not part else "wrote into the harness's own pipe")
            line += part
        try:
            found = json.loads(line)
        except ValueError:
            raise self._died("wrote into the harness's own pipe") from None
        return found if isinstance(found, dict) else {}

    def _ending(self, child: Child) -> str:
        """How the process ended, in words."""
        try:
            code = child.process.wait(5)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        if code < 0:
            return f"took its process down: {signal.Signals(-code).name}"
        return f"ended its process with exit status {code}"

    def _died(self, how: str) -> SubjectDied:
        tail = self._child.tail.decode(errors="replace").strip().splitlines() if self._child else []
        self._kill()
        self.deaths += 1
        return SubjectDied(how + (f"; its last line was {tail[-1][:200]!r}" if tail else ""))

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        for process in (*_descendants(child.process.pid), child.process.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        child.process.wait()
        for pipe in (child.ask, child.answers):
            os.close(pipe)
        if child.reader is not None:
            child.reader.join(1)

    def _name(self) -> str:
        return f"{self.target.module}:{self.target.function}"


def roomy(place: Path) -> bool:
    """Whether a file of shared memory fits there (a container may have 64 MiB)."""
    if not os.access(place, os.W_OK):
        return False
    free = os.statvfs(place)
    return free.f_bavail * free.f_frsize >= SIZE


def _drain(child: Child) -> None:
    """Read what the child prints, so that it never blocks; keep how much and the end of it."""
    pipe = child.process.stdout
    assert pipe is not None
    with contextlib.suppress(OSError, ValueError):
        while part := os.read(pipe.fileno(), 2**16):
            child.printed += len(part)
            child.tail = (child.tail + part)[-4096:]


def _descendants(pid: int) -> list[int]:
    """Processes below `pid`, deepest first (Linux; elsewhere none are found)."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, children.read_text().split()):
                found += [*_descendants(child), child]
    return found
