"""What the compiled kernels are made of, and what published peaks would allow them. Nothing on this page was run on a GPU."""

from __future__ import annotations

from collections.abc import Callable

from reports.book import Book
from reports.kernels import Kernel, Kernels, Loop
from reports.markdown import anchor, code, link, plain, table
from reports.roofline import DEVICES, HOPPER, SCHEDULERS, SPECIAL, TENSOR, attainable, clocks, intensity, length_at_ridge

OPENING = """**No GPU has run these kernels for this page, and nothing on it was timed.** Each kernel was compiled for a GPU that was not there, with
specialisations that its launcher derives from the arguments, and the numbers are read from the compiled object. They say what the hardware will be asked
to do, not how long it takes."""
ASSERTED = """Asserted of every row, and tested: no loop loads or stores local memory (spilled registers); every matrix product runs on tensor cores; the
shared memory fits the target; 16-byte loads, or copies of whole tiles (TMA), fetch all of the tiles of Q, K, V, the output and its cotangent; and the
evidence was taken from the sources as they are. The tile is rows (queries) × columns (keys), then warps and pipeline stages: the first entry of the table
in `impl/scaled_dot_product/configuration.py`, which is what ships. Where a table lists several, a GPU tries the others too."""
READING = """Where two numbers stand in a cell they are of float16 and bfloat16. Instructions a tile: of the loop over tiles that need no mask, then of the
one that masks, as they stand, conditional blocks counted as executed. Loads are bytes a thread × how many, in the loop without a mask and then in the code
outside loops; vectors of one number a row are loaded narrowly. Stores are the machine's own names. Warps at once is what a
multiprocessor (compute unit) holds, and what forbids more."""
ESTIMATE = """**An estimate, from published peak numbers; nothing was timed.** Forward attention of one head over n queries and n keys takes 4 n² d operations
and moves at least Q, K, V, the output and the log-sum-exp once, 8 n d + 4 n bytes. A device can reach its peak only from the n on where operations a byte
reach its peak operations over its bandwidth."""
LONG = 4096  # queries and keys of the example


def kernels_page(book: Book) -> str:
    """The page. The book must have kernels."""
    kernels = book.kernels
    assert kernels is not None
    stale = [] if kernels.checks == book.sources_of_kernels else ["*Compiled from an earlier version of the kernels; `make kernels` compiles them anew.*"]
    return "\n\n".join(
        [
            "# Compiled kernels",
            "[All topics](README.md)",
            OPENING,
            *stale,
            _summary(kernels),
            ASSERTED,
            *_complaints(kernels),
            *_remarks(kernels),
            *_peer(kernels),
            *_limits(kernels),
            *_roofline(kernels),
            "## What each kernel is made of",
            READING,
            *(part for target in kernels.targets for part in _target(kernels, target)),
            "## To repeat it",
            "`make kernels` compiles all of them, without a GPU, and writes the evidence (minutes); `python -m properties.kernels --help` says how to do some.",
        ]
    )


def _summary(kernels: Kernels) -> str:
    targets = ", ".join(link(f"{target} ({DEVICES[target].name})", f"kernels.md#{target}") for target in kernels.targets)
    wrong = sum(bool(x.complaints) for x in kernels.rows)
    shape = ", ".join(f"{plain(name.replace('_', ' '))} {size}" for name, size in sorted(kernels.shape.items()))
    return f"{len(kernels.rows)} kernels compiled by Triton {plain(kernels.triton)}, {wrong} of them with complaints: {targets}. Shape of the call: {shape}."


def _complaints(kernels: Kernels) -> list[str]:
    """What is asserted and does not hold, kernel by kernel."""
    lines = [f"- {named(x)}: {plain(text)}" for x in kernels.rows for text in x.complaints]
    return ["Complaints:", "\n".join(lines)] if lines else ["Complaints: none, every row meets what is asserted."]


def _remarks(kernels: Kernels) -> list[str]:
    """What costs time and is not asserted, by target and kernel."""
    about = sorted({(x.target, x.kernel, text) for x in kernels.rows for text in x.remarks})
    lines = []
    for target, kernel, text in about:
        where = [x for x in kernels.of(target) if x.kernel == kernel]
        widths = sorted({x.width for x in where if text in x.remarks})
        count = sum(text in x.remarks for x in where)
        lines.append(f"- {target} {code(kernel)}, {count} of {len(where)} rows (widths {', '.join(map(str, widths))}): {plain(text)}")
    return ["Not asserted, but it costs time:", "\n".join(lines)] if lines else []


def named(x: Kernel) -> str:
    return f"{x.target} {code(x.kernel)} {x.width} {x.dtype}{', causal' if x.causal else ''}"


def _peer(kernels: Kernels) -> list[str]:
    """Instructions a tile beside those of somebody else's kernel in the same tiles."""
    peer = kernels.peer
    rows = []
    for width, theirs in sorted(peer["instructions"].items(), key=lambda item: int(item[0])):
        ours = kernels.one(peer["target"], "forward", int(width), peer["dtype"], True)
        whole = kernels.one(peer["target"], "forward", int(width), peer["dtype"], False)
        if ours is not None and whole is not None and list(ours.configuration) == theirs["configuration"]:
            mine = [a_tile(ours.unmasked), a_tile(whole.unmasked), a_tile(ours.masked)]
            rows.append([width, tiled(ours), mine[0], str(theirs.get("causal", "")), mine[1], str(theirs["unmasked"]), mine[2], str(theirs["masked"])])
    if not rows:
        return []
    says = (
        f"{link(plain(peer['name']), peer['url'])} (with block pointers), compiled by Triton {plain(peer['triton'])} in the same tiles for "
        f"{peer['target']} in {peer['dtype']} and counted by the same counter. Instructions a tile of the forward loops; where the peer's cell is empty, "
        "it was not counted. Fewer instructions are not a time."
    )
    header = ["width", "tile", " causal: ours", " peer", " not causal: ours", " peer", " masked: ours", " peer"]
    return ["## Beside a peer", says, table(header, rows)]


def _limits(kernels: Kernels) -> list[str]:
    """What one tile takes at least of a multiprocessor of sm_90."""
    rows = []
    for x in kernels.of("sm_90"):
        if x.dtype == "float16" and x.causal and (limit := clocks(x)) is not None:
            figures = (limit.tensor, limit.special, limit.issue)
            rows.append([code(x.kernel), str(x.width), tiled(x), *(f"{figure:.0f}" for figure in figures), f"{100 * limit.share:.0f} %"])
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
    return ["## Limits of the loops on sm_90", says, table(header, rows)]


def _roofline(kernels: Kernels) -> list[str]:
    """The classical roofline of forward attention on each device."""
    rows = []
    for device in (DEVICES[target] for target in kernels.targets):
        for width in (64, 128):
            peaks = [device.flops / 1e12, device.bandwidth / 1e12]
            allowed = [length_at_ridge(device, width), intensity(LONG, width), attainable(device, LONG, width) / 1e12]
            rows.append([link(device.name, device.source), str(width), *(f"{x:.4g}" for x in (*peaks, *allowed))])
    header = ["device", "width", " peak, TFLOP/s", " memory, TB/s", " reached from n", f" operations a byte at n = {LONG}", " TFLOP/s at most"]
    return ["## Roofline of forward attention", ESTIMATE, table(header, rows)]


def _target(kernels: Kernels, target: str) -> list[str]:
    """One target's tables: figures of every kernel, and the classes of instructions in its loops."""
    pairs = [(x, kernels.one(target, x.kernel, x.width, "bfloat16", x.causal)) for x in kernels.of(target) if x.dtype == "float16"]
    header = [
        "kernel", "width", "causal", "tile", " registers", " shared bytes", " stack bytes", " local in loops", " warps at once", " a tile", " a tile, masked",
        " tensor-core instructions", "loads", "stores",
    ]  # fmt: skip
    classes = sorted({kind for x, _ in pairs for loop in x.loops for kind in loop.counts})
    counts = [
        [code(x.kernel), str(x.width), which, *(str(loop.counts.get(kind, "")) for kind in classes)]
        for x, _ in pairs
        if x.causal
        for which, loop in (("without a mask", x.unmasked), ("masked", x.masked))
        if loop is not None
    ]
    return [
        f"{anchor(target)}\n\n### {target}",
        table(header, [_figures(x, other) for x, other in pairs]),
        "Instructions of the causal kernels' loops by class, float16:",
        table(["kernel", "width", "loop", *(f" {kind}" for kind in classes)], counts),
    ]


def _figures(x: Kernel, other: Kernel | None) -> list[str]:
    def both(figure: Callable[[Kernel], str]) -> str:
        """The figure of both dtypes, once if they agree."""
        return " / ".join(dict.fromkeys(figure(kernel) for kernel in (x, other) if kernel is not None))

    return [
        code(x.kernel),
        str(x.width),
        "yes" if x.causal else "no",
        tiled(x),
        both(lambda k: str(k.found["registers"])),
        both(lambda k: str(k.found["shared"])),
        both(lambda k: str(k.found["stack"])),
        both(lambda k: str(k.local_in_loops)),
        both(lambda k: f"{k.found['occupancy']['warps']} ({k.found['occupancy']['limit']})"),
        both(lambda k: a_tile(k.unmasked)),
        both(lambda k: a_tile(k.masked)),
        both(lambda k: str(k.unmasked.counts["tensor core"])),
        both(lambda k: f"{loads(k.unmasked)}, then {loads(k.outside)}"),
        both(lambda k: stores(k.outside)),
    ]


def tiled(x: Kernel) -> str:
    rows, columns, warps, stages = x.configuration
    return f"{rows} × {columns}, {warps} warps, {stages} stage{'s' if stages > 1 else ''}"


def a_tile(loop: Loop | None) -> str:
    """Instructions a tile; nothing for no loop, a dash where the unrolling is not known."""
    if loop is None:
        return ""
    return "–" if loop.a_tile is None else f"{loop.a_tile:g}"


def loads(part: Loop) -> str:
    """ "16 × 8, 4 × 2", "TMA": what a part loads."""
    tiles = ["TMA" for name in part.moves if name.startswith("UTMALDG")][:1]
    return ", ".join([*tiles, *(f"{width} × {times}" for width, times in sorted(part.widths.items(), key=lambda item: -int(item[0])))]) or "none"


def stores(part: Loop) -> str:
    """The stores to global memory by the machine's names."""
    names = [(name, times) for name, times in part.moves.items() if name.startswith(("STG", "UTMASTG", "global_store", "buffer_store", "flat_store"))]
    return ", ".join(f"{code(name)} × {times}" for name, times in sorted(names))
