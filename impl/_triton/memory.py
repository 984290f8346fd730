"""A watch over the memory of Triton kernels that run in Triton's interpreter: every address of every active lane is checked.

    with memory.watched(readonly=(query, key, value)) as seen:
        output = anybodys_attention(query, key, value)

A kernel on a GPU that reads past a tensor usually gets some number, and `tl.where` then hides it; here it raises. What counts as wrong:

- OutOfBounds: an access outside the elements of the tensor argument whose pointer it came from. Gaps of a strided view, and the elements of another
  argument, are outside. So is an address that is no multiple of the access's width (a GPU faults there).
- ReadBeforeWrite: a load, or an atomic that uses the old value, of an element that still holds poison. `torch.empty` and its kin poison what they allocate.
- WriteConflict: an address stored by one program and loaded or stored by another of the same launch, or stored by two lanes with different values.
- StoreToReadonly: a store or an atomic to what was declared `readonly`.
- LeftUnwritten, when the context closes: an output that received a store and still holds poison elsewhere.

How: the interpreter hands pointers to a kernel as plain numbers. Each tensor argument gets a made-up address far from every other's, so that an address
tells which argument it was computed from; the builder's four memory operations (all others end in these) check it and put the true address in its place.
"""

from __future__ import annotations

import functools
import linecache
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from unittest import mock  # mock.patch.object replaces an attribute and puts the old one back, whatever happens

import numpy as np
import torch
import triton
from numpy.typing import NDArray
from torch import Tensor
from triton._C.libtriton import ir
from triton.language import standard
from triton.runtime import interpreter, jit
from triton.tools.tensor_descriptor import TensorDescriptor

Bits = NDArray[np.bool_]
Declared = tuple[Tensor | str, ...]
Complaint = tuple[type["MemoryFault"], str, Bits]  # what is wrong, in words, and at which entries of the index

# One word of each width. From 16 bits up: a quiet NaN of float16, bfloat16, float32 and float64 alike, with a payload that no arithmetic makes.
WORDS = {1: (torch.int8, -0x4B), 2: (torch.int16, 0x7FFA), 4: (torch.int32, 0x7FFA7FFA), 8: (torch.int64, 0x7FFA7FFA7FFA7FFA)}
AMBIGUOUS = (torch.int8, torch.uint8, torch.int16, torch.uint16)  # data may well hold the word by chance: 1 element in 256 or in 65536
FREE = np.iinfo(np.int32).max  # no program yet; greater than every program's number
PENDING = -1  # poison that nobody has overwritten; less than every program's number
ROOM = 40  # each argument's made-up addresses share all bits above these
FIRST_TAG = 1 << 16  # above every true address, which has at most 47 bits
TRITON = str(Path(triton.__file__).parent)
ALLOCATE = ((torch, "empty"), (torch, "empty_like"), (torch, "empty_strided"), (torch, "empty_permuted"), (Tensor, "new_empty"), (Tensor, "new_empty_strided"))


class MemoryFault(Exception):
    """What a kernel must not do to memory."""


class OutOfBounds(MemoryFault):
    """An access outside the elements of the tensor argument that its pointer came from."""


class ReadBeforeWrite(MemoryFault):
    """A read of memory that was allocated and never written."""


class WriteConflict(MemoryFault):
    """Two programs (or two lanes) whose order a GPU leaves open meet at one address, and at least one stores."""


class StoreToReadonly(MemoryFault):
    """A store to a tensor that the caller declared read-only."""


class LeftUnwritten(MemoryFault):
    """An output of which some elements were stored and others still hold poison."""


def poison(tensor: Tensor) -> Tensor:
    """Fill the tensor's own elements (gaps of a view stay as they are) with a word that counts as unwritten, and return it.

    Any dtype of 1, 2, 4 or 8 bytes; float16, bfloat16, float32 and float64 become NaN. 8- and 16-bit integers count as unwritten only inside
    `watched`, and until somebody outside a kernel writes any of the tensor's elements.
    """
    words, value = poison_words(tensor)
    words.fill_(value)
    if _watch is not None:
        _watch.poisoned(tensor)
    return tensor


def poison_words(tensor: Tensor) -> tuple[Tensor, int]:
    """The tensor's elements as integers of the same width, and the poison of that width. Raises TypeError for other widths than 1, 2, 4, 8 bytes."""
    if tensor.element_size() not in WORDS:
        raise TypeError(f"cannot poison {tensor.dtype}: its elements have {tensor.element_size()} bytes")
    dtype, value = WORDS[tensor.element_size()]
    return tensor.detach().view(dtype), value


def poisoning(allocate: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same allocation, filled with poison where it has memory of its own (no fake, meta or sparse tensor, no 16-byte complex)."""

    @functools.wraps(allocate)
    def call(*args: Any, **kwargs: Any) -> Tensor:
        tensor = allocate(*args, **kwargs)
        plain = type(tensor) is Tensor and tensor.layout == torch.strided and tensor.device.type != "meta" and not tensor.is_quantized
        return poison(tensor) if plain and tensor.element_size() in WORDS else tensor

    return call


def storage_key(tensor: Tensor) -> int:
    """What identifies the memory behind the tensor and all its views, as long as that memory lives."""
    return tensor.untyped_storage().data_ptr()


def elements(entries: NDArray[Any], tensor: Tensor, unit: int) -> NDArray[Any]:
    """A writable view [*tensor.shape, element size / unit] of `entries`, which has one entry for every `unit` bytes of the tensor's storage."""
    size = tensor.element_size()
    each = size // unit
    strides = (*(s * each * entries.itemsize for s in tensor.stride()), entries.itemsize)
    return np.lib.stride_tricks.as_strided(entries[tensor.storage_offset() * each :], (*tensor.shape, each), strides)


def units(offsets: NDArray[np.uint64], width: int, unit: int) -> NDArray[np.intp]:
    """Which entries accesses of `width` bytes touch, where each entry stands for `unit` bytes: one a lane, or width / unit where that is more."""
    first = (offsets >> np.uint64(unit.bit_length() - 1)).view(np.intp)
    return first if width <= unit else (first[:, None] + np.arange(width // unit)).ravel()


class Cells:
    """What the programs of one launch did to one storage; one entry for every `grain` bytes.

    Programs run one after another in the order of their numbers, so of all that touched an entry only the first has to be kept: another program than
    the present one did if and only if the first one's number is smaller.
    """

    def __init__(self, size: int, grain: int) -> None:
        self.grain = grain
        self.changed = False  # whether any program stored or ran an atomic
        self.writer = np.full(size // grain, FREE, np.int32)  # first program that stored, or PENDING
        self.reader = np.full(size // grain, FREE, np.int32)  # first program that loaded
        self.atomic: NDArray[np.int32] | None = None  # first program with an atomic
        self.frozen: Bits | None = None  # declared read-only

    def index(self, offsets: NDArray[np.uint64], width: int) -> NDArray[np.intp]:
        """The entries that accesses of `width` bytes at byte `offsets` of the storage touch."""
        if width < self.grain:  # a pointer cast to a narrower type
            self.refine(width)
        return units(offsets, width, self.grain)

    def refine(self, grain: int) -> None:
        """Split every entry into entries of `grain` bytes."""
        for name in ("writer", "reader", "atomic", "frozen"):
            if (entries := getattr(self, name)) is not None:
                setattr(self, name, np.repeat(entries, self.grain // grain))
        self.grain = grain

    def freeze(self, tensor: Tensor) -> None:
        """No program may change the tensor's elements."""
        if tensor.element_size() < self.grain:
            self.refine(tensor.element_size())
        if self.frozen is None:
            self.frozen = np.zeros(self.writer.shape, np.bool_)
        elements(self.frozen, tensor, self.grain)[...] = True

    def touched(self) -> Bits:
        """Where some program stored or ran an atomic."""
        stored: Bits = (self.writer != FREE) & (self.writer != PENDING)
        return stored if self.atomic is None else stored | (self.atomic != FREE)

    def load(self, index: NDArray[np.intp], program: int, races: bool) -> Complaint | None:
        """Note that the program loads these entries; the complaint if it must not."""
        first = self.writer[index]
        if (first < program).any():
            if (unwritten := first == PENDING).any():
                return ReadBeforeWrite, "reads what nobody has written in", unwritten
            if races:
                return WriteConflict, "reads what another program of the launch stores in", first < program
        if races and self.atomic is not None and (shared := self.atomic[index] < program).any():
            return WriteConflict, "reads, without an atomic, what another program changes by an atomic in", shared
        if (before := self.reader[index]).max() > program:
            self.reader[index] = np.minimum(before, program)
        return None

    def store(self, index: NDArray[np.intp], program: int, races: bool) -> Complaint | None:
        """Note that the program stores these entries; the complaint if it must not."""
        if self.frozen is not None and (kept := self.frozen[index]).any():
            return StoreToReadonly, "stores into read-only", kept
        if races and (complaint := self.conflict(index, program)):
            return complaint
        if races and self.atomic is not None and (shared := self.atomic[index] < program).any():
            return WriteConflict, "stores, without an atomic, what another program changes by an atomic in", shared
        self.writer[index] = program
        self.changed = True
        return None

    def change(self, index: NDArray[np.intp], program: int, races: bool, uses_old: bool) -> Complaint | None:
        """An atomic; an exchange does not use the old value, so it may come first."""
        if self.frozen is not None and (kept := self.frozen[index]).any():
            return StoreToReadonly, "changes read-only", kept
        if (unwritten := self.writer[index] == PENDING).any():
            if uses_old:
                return ReadBeforeWrite, "uses a value that nobody has written in", unwritten
            self.writer[index[unwritten]] = FREE
        if races and (complaint := self.conflict(index, program)):
            return complaint
        if self.atomic is None:
            self.atomic = np.full(self.writer.shape, FREE, np.int32)
        self.atomic[index] = np.minimum(self.atomic[index], program)
        self.changed = True
        return None

    def conflict(self, index: NDArray[np.intp], program: int) -> Complaint | None:
        """Where another program loaded or stored what this one is about to overwrite."""
        first = self.writer[index]
        if (stored := (first < program) & (first != PENDING)).any():
            return WriteConflict, "overwrites what another program of the launch stores in", stored
        if (loaded := self.reader[index] < program).any():
            return WriteConflict, "overwrites what another program of the launch reads in", loaded
        return None


@dataclass(slots=True, kw_only=True, eq=False)
class Argument:
    """One tensor argument of one launch, as the interpreter holds it (`tensor`) and as it was handed over (`owner`; the same memory on the CPU)."""

    name: str
    tensor: Tensor
    owner: Tensor
    base: int  # the made-up address of its first element
    cells: Cells
    size: int  # bytes of an element
    start: int  # bytes from the storage's start to the first element
    span: int  # bytes from the first element's start to the last one's end
    own: Bits | None  # which elements of the span are the tensor's; None where all are

    def __str__(self) -> str:
        return f"{self.name}: {str(self.owner.dtype).removeprefix('torch.')} {list(self.owner.shape)}, strides {list(self.owner.stride())}"

    def distance(self, address: int, width: int) -> str:
        """Where an access outside this tensor lies, in words."""
        offset = address - self.base
        if 0 <= offset <= self.span - width:
            return f"{offset} bytes ({offset / self.size:g} elements) after the start, between the elements of"
        away, side = (-offset, "before the start of") if offset < 0 else (offset + width - self.span, "past the end of")
        return f"{away} bytes ({away / self.size:g} elements) {side}"


class Access(NamedTuple):
    """A load, store or atomic of one program: made-up addresses (any shape), which lanes are active, and bytes a lane."""

    kind: str
    pointers: NDArray[np.uint64]
    active: Bits
    width: int


class Launch:
    """One launch: its arguments, the storages behind them, and the checks of its accesses."""

    def __init__(self, kernel: str, watch: Watch) -> None:
        self.kernel, self.watch = kernel, watch
        self.arguments: dict[int, Argument] = {}  # by the bits above ROOM of their made-up addresses
        self.addresses: dict[int, int] = {}  # made-up address by the id() of the object that the interpreter turns into a pointer

    def admit(self, handed: list[tuple[str, Any, Any]]) -> None:
        """Give every tensor among (name, as handed over, as the interpreter holds it) a made-up address."""
        tensors = [(name, interpreter._unwrap_tensor(owner), interpreter._unwrap_tensor(held), held) for name, owner, held in handed]
        grains: dict[int, int] = {}
        for _, owner, *_ in tensors:
            key = storage_key(owner)
            grains[key] = min(grains.get(key, owner.element_size()), owner.element_size())
        cells = {storage_key(owner): Cells(self.watch.written_bytes(owner).size, grains[storage_key(owner)]) for _, owner, *_ in tensors}
        for tag, (name, owner, tensor, held) in enumerate(tensors, FIRST_TAG):
            argument = place(name, owner, tensor, tag, cells[storage_key(owner)])
            self.arguments[tag], self.addresses[id(held)] = argument, argument.base
            pending = self.watch.unwritten_elements(owner, tensor)
            elements(argument.cells.writer, tensor, argument.cells.grain)[pending] = PENDING
            if declares(self.watch.readonly, name):
                argument.cells.freeze(owner)
        for tensor in self.watch.readonly:
            if isinstance(tensor, Tensor) and (frozen := cells.get(storage_key(tensor))):
                frozen.freeze(tensor)

    def check(self, kind: str, handle: Any, mask: Any, rule: Callable[[Cells, NDArray[np.intp], int], Complaint | None]) -> Any:
        """The handle with true addresses. Raises what `rule` complains about, and OutOfBounds."""
        active = np.broadcast_to(np.asarray(mask, np.bool_), handle.data.shape)
        access = Access(kind, handle.data, active, max(1, handle.get_element_ty().primitive_bitwidth // 8))
        addresses = handle.data.ravel() if active.all() else handle.data[active]
        true = handle.data  # lanes that are masked off keep their made-up address: nobody follows it
        program = number(interpreter.interpreter_builder)
        self.watch.accesses += addresses.size
        for argument, lanes, offsets in self.parts(access, addresses):
            cells = argument.cells
            index = cells.index(offsets + np.uint64(argument.start), access.width)
            if complaint := rule(cells, index, program):
                fault, text, bad = complaint
                lane = int(np.flatnonzero(bad)[0]) // max(1, access.width // cells.grain)
                self.refuse(fault, f"{text} {argument}", access, lane if lanes is None else int(lanes[lane]))
            shift = np.uint64((argument.tensor.data_ptr() - argument.base) % 2**64)
            true = true + shift if lanes is None else np.where(handle.data >> np.uint64(ROOM) == argument.base >> ROOM, true + shift, true)
        return interpreter.TensorHandle(true, handle.dtype)

    def parts(self, access: Access, addresses: NDArray[np.uint64]) -> Iterator[tuple[Argument, NDArray[np.intp] | None, NDArray[np.uint64]]]:
        """(argument, its lanes among `addresses` (None: all of them), byte offsets from its first element). Raises OutOfBounds."""
        if not addresses.size:
            return
        argument = self.arguments.get(int(addresses[0]) >> ROOM)
        if argument is not None:  # nearly always all lanes come from one argument, and are inside
            offsets = addresses - np.uint64(argument.base)
            if int(offsets.max()) + access.width <= argument.span:
                self.inside(access, argument, None, offsets)
                yield argument, None, offsets
                return
        tags = addresses >> np.uint64(ROOM)
        for tag in np.unique(tags):
            lanes = np.flatnonzero(tags == tag)
            argument = self.arguments.get(int(tag))
            if argument is None:
                self.refuse(OutOfBounds, f"goes to {int(addresses[lanes[0]]):#x}, an address that was computed from no tensor argument", access, int(lanes[0]))
            offsets = addresses[lanes] - np.uint64(argument.base)
            outside = offsets >= np.uint64(max(argument.span - access.width + 1, 0))
            if outside.any():
                self.outside(access, argument, int(lanes[int(outside.argmax())]))
            self.inside(access, argument, lanes, offsets)
            yield argument, lanes, offsets

    def inside(self, access: Access, argument: Argument, lanes: NDArray[np.intp] | None, offsets: NDArray[np.uint64]) -> None:
        """Raise OutOfBounds where an access within the tensor's span misses its elements or straddles two words."""
        if argument.own is not None and not (hit := argument.own[units(offsets, access.width, argument.size)]).all():
            lane = int(hit.argmin()) // max(1, access.width // argument.size)
            self.outside(access, argument, lane if lanes is None else int(lanes[lane]))
        crooked = (offsets + np.uint64(argument.start)) & np.uint64(access.width - 1)
        if access.width > 1 and crooked.any():
            lane = int((crooked != 0).argmax())
            text = f"of {access.width} bytes is not aligned to its width in {argument}"
            self.refuse(OutOfBounds, text, access, lane if lanes is None else int(lanes[lane]))

    def outside(self, access: Access, argument: Argument, lane: int) -> NoReturn:
        """Raise OutOfBounds for the given active lane; says whose element was hit instead, where it was another argument's."""
        address = int(access.pointers[access.active][lane])
        true = address - argument.base + argument.tensor.data_ptr()
        others = [a.name for a in self.arguments.values() if a is not argument and 0 <= true - a.tensor.data_ptr() < a.span]
        stray = f" (in the memory of {', '.join(others)})" if others else ""
        self.refuse(OutOfBounds, f"goes {argument.distance(address, access.width)} {argument}{stray}", access, lane)

    def refuse(self, fault: type[MemoryFault], text: str, access: Access, lane: int) -> NoReturn:
        """Raise the fault with kernel, program, lane and source line; it is also kept, in case somebody swallows it."""
        where = np.unravel_index(int(np.flatnonzero(access.active)[lane]), access.active.shape)
        builder = interpreter.interpreter_builder
        found = fault(f"{self.kernel}, program {builder.grid_idx}: {access.kind}, lane {tuple(int(w) for w in where)}, {text}; at {kernel_line()}")
        self.watch.faults.append(found)
        raise found

    def agree(self, pointers: Any, true: Any, value: Any, mask: Any) -> None:
        """Raise WriteConflict where the memory behind the active lanes just stored does not hold their values, bit by bit."""
        active = np.broadcast_to(np.asarray(mask.data, np.bool_), pointers.data.shape)
        wanted = np.ascontiguousarray(np.broadcast_to(value.data, active.shape))
        found = interpreter._interpreter.load(true.data, active, wanted, wanted.dtype)
        bits = np.dtype(f"u{wanted.itemsize}")
        if (other := wanted.view(bits) != found.view(bits)).any():
            lane = int(np.flatnonzero(other[active])[0])
            argument = self.arguments[int(pointers.data[active][lane]) >> ROOM]
            access = Access("store", pointers.data, active, wanted.itemsize)
            self.refuse(WriteConflict, f"stores another value than a later lane at the same address in {argument}", access, lane)

    def finish(self) -> None:
        """Note which bytes were written and which arguments are outputs: those with an element that was stored."""
        for argument in self.arguments.values():
            cells = argument.cells
            if not cells.changed:
                continue
            touched = cells.touched()
            self.watch.written_bytes(argument.owner).reshape(-1, cells.grain)[touched] = True
            if elements(touched, argument.tensor, cells.grain).any():
                self.watch.outputs.append(Output(self.kernel, argument.name, argument.owner))


def place(name: str, owner: Tensor, tensor: Tensor, tag: int, cells: Cells) -> Argument:
    """The argument at a made-up address in the middle of its tag's room, as well aligned as the true one."""
    size = tensor.element_size()
    span = 1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True)) if tensor.numel() else 0
    own = None
    if not tensor.is_contiguous():
        every = np.zeros(tensor.storage_offset() + span, np.bool_)
        elements(every, tensor, size)[...] = True
        own = None if every[tensor.storage_offset() :].all() else every[tensor.storage_offset() :]
    base = (tag << ROOM) + (1 << (ROOM - 1)) + tensor.data_ptr() % (1 << 20)
    start = int(tensor.storage_offset()) * size
    return Argument(name=name, tensor=tensor, owner=owner, base=base, cells=cells, size=size, start=start, span=span * size, own=own)


def number(builder: Any) -> int:
    """The present program's place in the order in which the interpreter runs them."""
    (x, y, z), (_, ny, nz) = builder.grid_idx, builder.grid_dim
    return int((x * ny + y) * nz + z)


def kernel_line() -> str:
    """File, line and text of the kernel statement that is running."""
    frame = sys._getframe()
    while frame.f_back is not None and (frame.f_code.co_filename == __file__ or frame.f_code.co_filename.startswith(TRITON)):
        frame = frame.f_back
    file, line = frame.f_code.co_filename, frame.f_lineno
    return f"{Path(file).name}:{line}: {linecache.getline(file, line).strip()}"


class Output(NamedTuple):
    """A tensor argument that some launch stored into."""

    kernel: str
    name: str
    tensor: Tensor


class Unwritten(NamedTuple):
    """An output with elements that no kernel wrote: how many, how many of these still hold poison, and the first one's index."""

    output: Output
    missing: int
    poisoned: int
    first: tuple[int, ...]


@dataclass(slots=True, kw_only=True, eq=False)
class Watch:
    """What was seen so far: the kernels launched, in order, the number of lanes checked, and the faults raised."""

    readonly: Declared
    partial: Declared
    races: bool
    launches: list[str] = field(default_factory=list)
    accesses: int = 0
    faults: list[MemoryFault] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    launch: Launch | None = None
    written: dict[int, tuple[Any, Bits]] = field(default_factory=dict)  # storage (kept alive, so that its address stays its own) and bytes written
    fresh: dict[int, Any] = field(default_factory=dict)  # storages of poisoned tensors whose dtype is ambiguous

    def written_bytes(self, tensor: Tensor) -> Bits:
        """One entry for every byte of the tensor's storage, rounded up to 8 bytes: whether a kernel has written it."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.written:
            self.written[storage.data_ptr()] = storage, np.zeros(-(-storage.nbytes() // 8) * 8, np.bool_)
        return self.written[storage.data_ptr()][1]

    def poisoned(self, tensor: Tensor) -> None:
        """The tensor's elements have just been filled with poison: nobody has written them."""
        key = storage_key(tensor)
        if key in self.written:
            elements(self.written[key][1], tensor, 1)[...] = False
        if tensor.dtype in AMBIGUOUS:
            self.fresh[key] = tensor.untyped_storage()

    def unwritten_elements(self, owner: Tensor, tensor: Tensor) -> Bits:
        """[*shape]: which elements hold poison and were written by no kernel."""
        words, value = poison_words(tensor)
        holds: Bits = (words == value).numpy()
        written: Bits = elements(self.written_bytes(owner), owner, 1)[..., 0]
        if owner.dtype in AMBIGUOUS and not (storage_key(owner) in self.fresh and bool((holds | written).all())):
            return np.zeros_like(holds)
        return np.logical_and(holds, ~written)

    def unwritten(self) -> list[Unwritten]:
        """Every output (declared ones too) of which some elements were written by no kernel of this context so far."""
        found = []
        for output in {(o.tensor.data_ptr(), o.tensor.dtype, o.tensor.shape, o.tensor.stride()): o for o in self.outputs}.values():
            left = ~elements(self.written_bytes(output.tensor), output.tensor, 1)[..., 0]
            if left.any():
                first = np.unravel_index(int(left.argmax()), left.shape)
                poisoned = int(self.unwritten_elements(output.tensor, output.tensor.cpu()).sum())
                found.append(Unwritten(output, int(left.sum()), poisoned, tuple(int(i) for i in first)))
        return found

    def close(self) -> None:
        """Raise a fault that somebody swallowed, or LeftUnwritten."""
        if self.faults:
            raise self.faults[0]
        for output, _, poisoned, first in self.unwritten():
            if poisoned and not declares(self.partial, output.name, output.tensor):
                shape = list(output.tensor.shape)
                raise LeftUnwritten(
                    f"{output.kernel} stores into {output.name} {shape} but nobody writes {poisoned} of its elements, the first of them at {first}"
                )


def declares(declared: Declared, name: str, tensor: Tensor | None = None) -> bool:
    """Whether a kernel's parameter (an entry of a tuple by the tuple's name), or the storage of a tensor, is among what was declared."""
    names = {d for d in declared if isinstance(d, str)}
    storages = {storage_key(d) for d in declared if isinstance(d, Tensor)}
    return name.partition("[")[0] in names or (tensor is not None and storage_key(tensor) in storages)


_watch: Watch | None = None  # the one open watch; the interpreter is global, so a second one cannot be told apart from it


@contextmanager
def watched(*, readonly: Declared = (), partial: Declared = (), races: bool = True) -> Iterator[Watch]:
    """Check every memory access of every interpreted kernel that is launched inside, whoever launches it.

    readonly: tensors, or names of kernel parameters, that no kernel may store to. partial: the same, for outputs that may stay unwritten in part.
    races: False where programs that share memory take turns by a lock, which this cannot follow; WriteConflict is then raised for lanes only.
    Yields the Watch. Raises the first fault where it happens (also in a backward pass) and again at the end if somebody swallowed it; LeftUnwritten
    at the end. Raises RuntimeError when triton was imported without TRITON_INTERPRET=1, when a kernel is launched that was defined without it, and inside
    another `watched`. Only memory that comes from torch.empty, its kin in `ALLOCATE` called by their attributes, or `poison`, counts as unwritten.
    """
    global _watch
    if not isinstance(standard.sum, interpreter.InterpretedFunction):
        raise RuntimeError("only interpreted kernels can be watched: set the environment variable TRITON_INTERPRET=1 before triton is first imported")
    if _watch is not None:
        raise RuntimeError("memory.watched() is open already, and cannot be nested")
    _watch = watch = Watch(readonly=readonly, partial=partial, races=races)
    try:
        with replaced(watch):
            yield watch
    finally:
        _watch = None
    watch.close()


@contextmanager
def replaced(watch: Watch) -> Iterator[None]:
    """While open: torch's allocations poison, and the interpreter's launches, pointers and memory operations pass through the watch."""
    builder, executor = interpreter.interpreter_builder, interpreter.GridExecutor
    with ExitStack() as stack:
        for owner, name in ALLOCATE:
            stack.enter_context(mock.patch.object(owner, name, poisoning(getattr(owner, name))))
        stack.enter_context(mock.patch.object(jit.JITFunction, "run", refuse_compiled))
        stack.enter_context(mock.patch.object(executor, "__call__", launching(watch, executor.__call__)))
        stack.enter_context(mock.patch.object(executor, "_init_args_hst", admitting(watch, executor._init_args_hst)))
        stack.enter_context(mock.patch.object(interpreter, "_implicit_cvt", converting(watch, interpreter._implicit_cvt)))
        for name, checked in (("masked_load", loading), ("masked_store", storing), ("atomic_rmw", changing), ("atomic_cas", exchanging)):
            stack.enter_context(mock.patch.object(builder, f"create_{name}", checked(watch, getattr(builder, f"create_{name}"))))
        yield


def refuse_compiled(kernel: Any, *_: Any, **__: Any) -> None:
    """In place of JITFunction.run: a kernel that would run on a device."""
    raise RuntimeError(f"{kernel.__name__} is not interpreted, so it cannot be watched: set TRITON_INTERPRET=1 before its module is imported")


def launching(watch: Watch, run: Callable[..., Any]) -> Callable[..., Any]:
    """GridExecutor.__call__ in a Launch of its own. The interpreter wraps what a kernel raises; a fault comes out as it is."""

    def call(executor: Any, *args: Any, **kwargs: Any) -> Any:
        before, watch.launch = len(watch.faults), Launch(executor.fn.__name__, watch)
        watch.launches.append(executor.fn.__name__)
        try:
            result = run(executor, *args, **kwargs)
            watch.launch.finish()
        except interpreter.InterpreterError:
            if len(watch.faults) > before:
                raise watch.faults[before] from None
            raise
        finally:
            watch.launch = None
        return result

    return call


def admitting(watch: Watch, hold: Callable[..., Any]) -> Callable[..., Any]:
    """GridExecutor._init_args_hst: (positional, by name) as handed over → the same as the interpreter holds them."""

    def call(executor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        held_args, held_kwargs = hold(executor, args, kwargs)
        names = (*executor.arg_names[: len(args)], *kwargs)
        pairs = zip(names, (*args, *kwargs.values()), (*held_args, *held_kwargs.values()), strict=True)
        if watch.launch is not None:
            watch.launch.admit([found for name, owner, held in pairs for found in tensors(name, owner, held)])
        return held_args, held_kwargs

    return call


def tensors(name: str, owner: Any, held: Any) -> Iterator[tuple[str, Any, Any]]:
    """(name, as handed over, as the interpreter holds it) of each tensor in an argument: itself, a descriptor's, or those of a tuple."""
    if isinstance(owner, TensorDescriptor):
        yield name, owner.base, held.base
    elif isinstance(owner, tuple):
        for i, (inner, inner_held) in enumerate(zip(owner, held, strict=True)):
            yield from tensors(f"{name}[{i}]", inner, inner_held)
    elif hasattr(owner, "data_ptr"):
        yield name, owner, held


def converting(watch: Watch, convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """_implicit_cvt: an argument → what the kernel's code sees; a tensor becomes a pointer to its made-up address."""

    def call(held: Any) -> Any:
        seen = convert(held)
        if watch.launch is not None and hasattr(held, "data_ptr") and id(held) in watch.launch.addresses:
            seen.handle.data = np.array([watch.launch.addresses[id(held)]], np.uint64)
        return seen

    return call


def loading(watch: Watch, load: Callable[..., Any]) -> Callable[..., Any]:
    """The builder's create_masked_load."""

    def call(pointers: Any, mask: Any, *rest: Any, **named: Any) -> Any:
        if watch.launch is None:
            return load(pointers, mask, *rest, **named)
        true = watch.launch.check("load", pointers, mask.data, lambda cells, index, program: cells.load(index, program, watch.races))
        return load(true, mask, *rest, **named)

    return call


def storing(watch: Watch, store: Callable[..., Any]) -> Callable[..., Any]:
    """The builder's create_masked_store; afterwards memory holds each lane's value, unless two lanes stored different ones at one address."""

    def call(pointers: Any, value: Any, mask: Any, *rest: Any, **named: Any) -> Any:
        if watch.launch is None:
            return store(pointers, value, mask, *rest, **named)
        true = watch.launch.check("store", pointers, mask.data, lambda cells, index, program: cells.store(index, program, watch.races))
        result = store(true, value, mask, *rest, **named)
        watch.launch.agree(pointers, true, value, mask)
        return result

    return call


def changing(watch: Watch, change: Callable[..., Any]) -> Callable[..., Any]:
    """The builder's create_atomic_rmw."""

    def call(operation: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        if watch.launch is None:
            return change(operation, pointers, value, mask, *rest)
        uses_old = operation != ir.ATOMIC_OP.XCHG
        true = watch.launch.check("atomic", pointers, mask.data, lambda cells, index, program: cells.change(index, program, watch.races, uses_old))
        return change(operation, true, value, mask, *rest)

    return call


def exchanging(watch: Watch, exchange: Callable[..., Any]) -> Callable[..., Any]:
    """The builder's create_atomic_cas, in which every lane takes part."""

    def call(pointers: Any, *rest: Any) -> Any:
        if watch.launch is None:
            return exchange(pointers, *rest)
        true = watch.launch.check("atomic", pointers, True, lambda cells, index, program: cells.change(index, program, watch.races, True))
        return exchange(true, *rest)

    return call
