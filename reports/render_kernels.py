"""What the compiled kernels are made of, and what published peaks would allow them. Nothing on this page was run on a GPU."""

from __future__ import annotations

from collections.abc import Callable

from properties.kernels import DENSE
from reports.book import Book
from reports.kernels import Kernel, Kernels, Loop
from reports.markdown import anchor, cell, code, folded, line, link, plain, table
from reports.roofline import (
    CLOCK,
    DEVICES,
    HOPPER,
    MULTIPROCESSORS,
    SCHEDULERS,
    SPECIAL,
    TENSOR,
    asked,
    attainable,
    bounds,
    clocks,
    intensity,
    length_at_ridge,
    moved_once,
)

OPENING = """**No GPU has run these kernels for this page, and nothing on it was timed.** Each kernel was compiled for a GPU that was not there, with
specialisations that its launcher derives from the arguments, and the numbers are read from the compiled object. They say what the hardware will be asked
to do, not how long it takes."""
ASSERTED = """Asserted of every row, and tested: no loop loads or stores local memory (spilled registers); every matrix product runs on tensor cores; the
shared memory fits the target; tiles are fetched by 16-byte loads, or copies of whole tiles (TMA); and the evidence was taken from the sources as they are.
The tile is named by the kernel's constants, then come warps and pipeline stages: what ships for the target. Where a table of configurations lists several
(`impl/scaled_dot_product/configuration.py`), its first entry is compiled here and a GPU tries the others too."""
READING = """Where two numbers stand in a cell they are of float16 and bfloat16. Instructions a tile: of each innermost loop that multiplies matrices (or, where
none does, that works at all), shortest first, as they stand, conditional blocks counted as executed; of two loops of dense attention the first is over tiles
that need no mask. Loads are bytes a thread × how many, in the first loop and then in the code outside loops; vectors of one number a row are loaded narrowly.
Stores are the machine's own names. Warps at once is what a multiprocessor (compute unit) holds, and what forbids more."""
BOUND = """**Estimates, from published peak numbers; nothing was timed.** Operations a byte: of the call's matrix products, padding of tiles included, over the
bytes that its loads and stores ask for, and then over each tensor moved once, as if caches served every repeated load; where no product is, there is none. The
truth lies between the two. Below the device's ridge memory binds, above it products. The least time is the longest of three: operations over the peak of the
tensor cores in half precision, bytes moved once over the bandwidth, and on sm_90 the values of exp, log and their like over what the special-function units
give; the time without caches takes all bytes that are asked for. Other arithmetic is not in it, so that a kernel of few products may be slower by far; and the
peak is that of half precision, also for products of 8-bit integers, which may run twice as fast, and for those in three parts of float32, which take several
times as long. The counts follow from formulas beside the launches, which equal the interpreter's count on small calls (`tests/test_counted.py`)."""
ESTIMATE = """**An estimate, from published peak numbers; nothing was timed.** Forward attention of one head over n queries and n keys takes 4 n² d operations
and moves at least Q, K, V, the output and the log-sum-exp once, 8 n d + 4 n bytes. A device can reach its peak only from the n on where operations a byte
reach its peak operations over its bandwidth."""
LONG = 4096  # queries and keys of the example


def kernels_page(book: Book) -> str:
    """The page. The book must have kernels."""
    kernels = book.kernels
    assert kernels is not None
    return "\n\n".join(
        [
            "# Compiled kernels",
            "[All topics](README.md)",
            OPENING,
            *_stale(book, kernels),
            _summary(book, kernels),
            ASSERTED,
            *_complaints(kernels),
            *_remarks(book, kernels),
            READING,
            "## Bounds",
            BOUND,
            _ridges(kernels),
            *(part for folder in kernels.folders for part in _folder(book, kernels, folder)),
            "## To repeat it",
            "`make kernels` compiles all of them, without a GPU, and writes the evidence (minutes); `python -m properties.kernels --help` says how to do some.",
        ]
    )


def outdated(book: Book, folder: str) -> bool:
    """Were the folder's kernels compiled from other sources than today's?"""
    return book.kernels is not None and book.kernels.checks.get(folder) != book.sources_of_kernels.get(folder)


def titled(book: Book, folder: str) -> str:
    """The folder's title, as its explanation has it, or else its name in words."""
    return next((x.title for x in book.explanations if x.folder == folder), folder.replace("_", " "))


def _stale(book: Book, kernels: Kernels) -> list[str]:
    late = [folder for folder in kernels.folders if outdated(book, folder)]
    return [f"*Compiled from an earlier version of the sources: {', '.join(map(code, late))}; `make kernels` compiles them anew.*"] if late else []


def _summary(book: Book, kernels: Kernels) -> str:
    wrong = sum(bool(x.complaints) for x in kernels.rows)
    devices = ", ".join(f"{target} ({DEVICES[target].name})" for target in kernels.targets)
    places = "\n".join(f"- {link(cell(titled(book, x)), f'kernels.md#{x}')}: {len(kernels.of(x))} kernels" for x in kernels.folders)
    return f"{len(kernels.rows)} kernels compiled by Triton {plain(kernels.triton)} for {devices}, {wrong} of them with complaints.\n\n{places}"


def _complaints(kernels: Kernels) -> list[str]:
    """What is asserted and does not hold, kernel by kernel."""
    lines = [f"- {named(x)}: {plain(text)}" for x in kernels.rows for text in x.complaints]
    return ["Complaints:", "\n".join(lines)] if lines else ["Complaints: none, every row meets what is asserted."]


def _remarks(book: Book, kernels: Kernels) -> list[str]:
    """What costs time and is not asserted, by target and kernel, and why it is left so."""
    reasons = {(x.folder, remark.target, remark.kernel): f" Left so: {line(remark.reason)}" for x in book.explanations for remark in x.remarks}
    about = sorted({(x.folder, x.target, x.kernel, text) for x in kernels.rows for text in x.remarks})
    lines = []
    for folder, target, kernel, text in about:
        where = [x for x in kernels.of(folder, target) if x.kernel == kernel]
        noted = [x for x in where if text in x.remarks]
        which, left = "; ".join(dict.fromkeys(x.case for x in noted)), reasons.get((folder, target, kernel), "")
        lines.append(f"- {code(folder)}, {target} {code(kernel)}, {len(noted)} of {len(where)} rows ({plain(which)}): {plain(text)}.{left}")
    return ["Not asserted, but it costs time:", "\n".join(lines)] if lines else []


def named(x: Kernel) -> str:
    return f"{code(x.folder)}, {x.target} {code(x.kernel)}, {plain(x.case)}, {x.dtype}"


def _ridges(kernels: Kernels) -> str:
    devices = [(target, DEVICES[target]) for target in kernels.targets]
    rows = [[target, link(x.name, x.source), f"{x.flops / 1e12:.4g}", f"{x.bandwidth / 1e12:.4g}", f"{x.ridge:.0f}"] for target, x in devices]
    header = ["target", "device", " peak of products, TFLOP/s", " memory, TB/s", " ridge, operations a byte"]
    values = f"{SPECIAL} values a clock · {MULTIPROCESSORS} multiprocessors · {CLOCK / 1e9:.2f} GHz ({link('arithmetic instructions', HOPPER[0])})"
    return f"{table(header, rows)}\n\nSpecial functions on sm_90: {values}."


def _folder(book: Book, kernels: Kernels, folder: str) -> list[str]:
    """One folder: how it works, what only dense attention has, and a table a target."""
    explained = any(x.folder == folder for x in book.explanations)
    how = [link("How it works", f"how-kernels-work.md#{folder}") + "."] if explained else []
    return [
        f"{anchor(folder)}\n\n## {cell(titled(book, folder))}",
        *how,
        *([*_peer(kernels), *_limits(kernels), *_roofline(kernels)] if folder == DENSE else []),
        *(part for target in kernels.targets for part in _target(kernels, folder, target)),
        _shapes(kernels, folder),
    ]


def _peer(kernels: Kernels) -> list[str]:
    """Instructions a tile beside those of somebody else's kernel in the same tiles."""
    peer = kernels.peer
    rows = []
    for width, theirs in sorted(peer["instructions"].items(), key=lambda item: int(item[0])):
        ours, whole = (kernels.one(peer["target"], DENSE, "forward", f"width {width}{also}", peer["dtype"]) for also in (", causal", ""))
        if ours is not None and whole is not None and configured(ours) == theirs["configuration"]:
            mine = [a_tile(loop) for loop in (ours.loops[0], whole.loops[0], ours.loops[-1])]
            rows.append([width, tiled(ours), mine[0], str(theirs.get("causal", "")), mine[1], str(theirs["unmasked"]), mine[2], str(theirs["masked"])])
    if not rows:
        return []
    says = (
        f"{link(plain(peer['name']), peer['url'])} (with block pointers), compiled by Triton {plain(peer['triton'])} in the same tiles for "
        f"{peer['target']} in {peer['dtype']} and counted by the same counter. Instructions a tile of the forward loops; where the peer's cell is empty, "
        "it was not counted. Fewer instructions are not a time."
    )
    header = ["width", "tile", " causal: ours", " peer", " not causal: ours", " peer", " masked: ours", " peer"]
    return ["### Beside a peer", says, table(header, rows)]


def _limits(kernels: Kernels) -> list[str]:
    """What one tile of dense attention takes at least of a multiprocessor of sm_90."""
    rows = []
    for x in kernels.of(DENSE, "sm_90"):
        if x.dtype == "float16" and x.constants["CAUSAL"] and (limit := clocks(x)) is not None:
            figures = (limit.tensor, limit.special, limit.issue)
            rows.append([code(x.kernel), str(x.constants["WIDTH"]), tiled(x), *(f"{figure:.0f}" for figure in figures), f"{100 * limit.share:.0f} %"])
    if not rows:
        return []
    says = (
        f"**An estimate; nothing was timed.** Clocks that one tile of the loop without a mask takes of a multiprocessor at least: of its tensor cores "
        f"({TENSOR} operations a clock), of its special-function units (the counted exponentials, {SPECIAL} a clock) and of its {SCHEDULERS} schedulers (the "
        f"counted instructions, one a clock each). The last column is the part of the tensor cores' peak that is left if all three overlap perfectly and "
        f"nothing waits, on useful operations only: a width that is no power of two pays for its padding. float16, causal. Peaks: "
        f"{link('arithmetic instructions', HOPPER[0])}, {link('Hopper whitepaper', HOPPER[1])}."
    )
    header = ["kernel", "width", "tile", " tensor cores", " special functions", " schedulers", " of peak at most"]
    return ["### Limits of the loops on sm_90", says, table(header, rows)]


def _roofline(kernels: Kernels) -> list[str]:
    """The classical roofline of forward attention on each device."""
    rows = []
    for device in (DEVICES[target] for target in kernels.targets):
        for width in (64, 128):
            peaks = [device.flops / 1e12, device.bandwidth / 1e12]
            allowed = [length_at_ridge(device, width), intensity(LONG, width), attainable(device, LONG, width) / 1e12]
            rows.append([link(device.name, device.source), str(width), *(f"{x:.4g}" for x in (*peaks, *allowed))])
    header = ["device", "width", " peak, TFLOP/s", " memory, TB/s", " reached from n", f" operations a byte at n = {LONG}", " TFLOP/s at most"]
    return ["### Roofline of forward attention", ESTIMATE, table(header, rows)]


def _target(kernels: Kernels, folder: str, target: str) -> list[str]:
    """One target's tables: figures of every kernel, and the classes of instructions in its loops."""
    mine = [x for x in kernels.of(folder, target) if x.dtype == "float16"]
    pairs = [(x, kernels.one(target, folder, x.kernel, x.case, "bfloat16")) for x in mine]
    if not pairs:
        return []
    header = [
        "kernel", "case", "tile", " registers", " shared bytes", " stack bytes", " local in loops", " warps at once", " instructions a tile",
        " tensor-core instructions", "loads", "stores", " operations a byte", "binds", " µs at least",
    ]  # fmt: skip
    parts = [(x, place, loop) for x in mine for place, loop in enumerate(x.loops, 1)]
    classes = sorted({kind for _, _, loop in parts for kind in loop.counts})
    counts = [[code(x.kernel), cell(plain(x.case)), str(place), *(str(loop.counts.get(kind, "")) for kind in classes)] for x, place, loop in parts]
    by_class = table(["kernel", "case", " loop", *(f" {kind}" for kind in classes)], counts)
    return [
        f"### {target}",
        table(header, [_figures(x, other) for x, other in pairs]),
        *([folded(f"Instructions of the loops on {target} by class, float16", by_class)] if counts else []),
    ]


def _figures(x: Kernel, other: Kernel | None) -> list[str]:
    def both(figure: Callable[[Kernel], str]) -> str:
        """The figure of both dtypes, once if they agree."""
        return " / ".join(dict.fromkeys(figure(kernel) for kernel in (x, other) if kernel is not None))

    bound = bounds(x.target, x.cost)
    return [
        code(x.kernel),
        cell(plain(x.case)),
        both(tiled),
        both(lambda k: str(k.found["registers"])),
        both(lambda k: str(k.found["shared"])),
        both(lambda k: str(k.found["stack"])),
        both(lambda k: str(k.local_in_loops)),
        both(lambda k: f"{k.found['occupancy']['warps']} ({k.found['occupancy']['limit']})"),
        both(lambda k: ", ".join(map(a_tile, k.loops)) or "no loop"),
        both(lambda k: ", ".join(str(loop.counts.get("tensor core", 0)) for loop in k.loops) if k.loops else str(k.tensor_instructions)),
        both(lambda k: f"{loads(k.loops[0])}, then {loads(k.outside)}" if k.loops else loads(k.outside)),
        both(lambda k: stores(k)),
        f"{asked(x.cost):.4g}, once {moved_once(x.cost):.4g}" if x.cost.products else "no product",
        bound.binds,
        f"{1e6 * bound.least:.3g}, without caches {1e6 * max(bound.least, bound.uncached):.3g}",
    ]


def _shapes(kernels: Kernels, folder: str) -> str:
    """The tensors of each kernel's calls."""
    rows = [x for x in kernels.of(folder) if (x.target, x.dtype) == (kernels.targets[0], "float16")]
    listed = [
        [
            code(x.kernel),
            cell(plain(x.case)),
            ", ".join(f"{code(name)} {' × '.join(map(str, shape)) or 'a number'}" for name, shape in x.found["shapes"].items()),
        ]
        for x in rows
    ]
    return folded("Shapes of the calls", table(["kernel", "case", "tensors"], listed))


def configured(x: Kernel) -> list[int]:
    """Rows, columns, warps and stages of a kernel of dense attention."""
    return [*(x.constants[name] for name in ("ROWS", "COLUMNS")), x.warps, x.options["num_stages"]]


def tiled(x: Kernel) -> str:
    """The numbers among the kernel's constants, warps and stages; of dense attention the tile alone, the rest being the case."""
    sizes = {name: value for name, value in x.constants.items() if isinstance(value, int) and not isinstance(value, bool)}
    if x.folder == DENSE:
        shown = f"{sizes['ROWS']} × {sizes['COLUMNS']}"
    else:
        shown = ", ".join(f"{name} {value}" for name, value in sizes.items())
    stages = x.options.get("num_stages", 1)
    return plain(", ".join(filter(None, [shown, f"{x.warps} warp{'s' if x.warps > 1 else ''}", f"{stages} stage{'s' if stages > 1 else ''}"])))


def a_tile(loop: Loop) -> str:
    """Instructions a tile; a dash where the unrolling is not known."""
    return "–" if loop.a_tile is None else f"{loop.a_tile:g}"


def loads(part: Loop) -> str:
    """ "16 × 8, 4 × 2", "TMA": what a part loads."""
    tiles = ["TMA" for name in part.moves if name.startswith("UTMALDG")][:1]
    return ", ".join([*tiles, *(f"{width} × {times}" for width, times in sorted(part.widths.items(), key=lambda item: -int(item[0])))]) or "none"


def stores(x: Kernel) -> str:
    """The stores to global memory by the machine's names, in loops and outside."""
    names: dict[str, int] = {}
    for part in (*x.found["loops"], x.found["outside"]):
        for name, times in part["moves"].items():
            if name.startswith(("STG", "UTMASTG", "global_store", "buffer_store", "flat_store")):
                names[name] = names.get(name, 0) + times
    return ", ".join(f"{code(name)} × {times}" for name, times in sorted(names.items())) or "none"
