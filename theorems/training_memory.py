"""Training in less memory: checkpoints, half precision and offloading. What each keeps, computes, moves and rounds, counted or emulated exactly.

A layer is attention on n rows of d features. For its backward pass it keeps Q, K, V and the weights, and its input besides: n² + 4nd numbers. A checkpoint
keeps the input of a segment of layers alone and runs the segment again when the backward pass reaches it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from math import isqrt

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, Kind, derived
from theorems.cost import Operations, cut, per_pair, per_product, per_row
from theorems.exact import Matrix, ball, decided, equal, show
from theorems.outcome import Outcome
from theorems.overflow import BRAIN, FORMATS, HALF, INFINITE, SINGLE, Float, Format
from theorems.sources import DAO, S0, S1, S4, Source
from theorems.step import Step
from theorems.symbols import G, K, Q, V, a, c, d, e, i, j, k, l, n, p, r, s, softmax, t, total, v

CHEN = Source(key="chen2016", title="Training Deep Nets with Sublinear Memory Cost", url="https://arxiv.org/abs/1604.06174")
RABE = Source(key="rabe2021", title="Self-attention Does Not Need O(n²) Memory", url="https://arxiv.org/abs/2112.05682")
MICIKEVICIUS = Source(key="micikevicius2018", title="Mixed Precision Training", url="https://arxiv.org/abs/1710.03740")
RAJBHANDARI = Source(
    key="rajbhandari2020", title="ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", url="https://arxiv.org/abs/1910.02054"
)
KALAMKAR = Source(key="kalamkar2019", title="A Study of BFLOAT16 for Deep Learning Training", url="https://arxiv.org/abs/1905.12322")
AMDAHL = Source(
    key="amdahl1967",
    title="Validity of the single processor approach to achieving large scale computing capabilities",
    url="https://doi.org/10.1145/1465482.1465560",
)
WILLIAMS = Source(
    key="williams2009", title="Roofline: an insightful visual performance model for multicore architectures", url="https://doi.org/10.1145/1498765.1498785"
)
IEEE = Source(key="ieee754", title="IEEE Standard for Floating-Point Arithmetic (754-2019)", url="https://doi.org/10.1109/IEEESTD.2019.8766229")
TORCH_CHECKPOINT = Source(key="torch-checkpoint", title="torch.utils.checkpoint", url="https://docs.pytorch.org/docs/2.13/checkpoint.html")
TORCH_AMP = Source(key="torch-amp", title="Automatic Mixed Precision package, torch.amp", url="https://docs.pytorch.org/docs/2.13/amp.html")

layers = sp.Symbol("L", integer=True, positive=True)
constant = sp.Symbol("C", integer=True, positive=True)


# --- checkpoints over layers: what is held ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Passes:
    """Of one training step: numbers held now and at the most, and passes through a layer, forward and backward."""

    held: int = 0
    peak: int = 0
    forward: int = 0
    backward: int = 0

    def hold(self, numbers: int) -> None:
        self.held += numbers
        self.peak = max(self.peak, self.held)


def trained(count: int, segment: int | None, entry: int, inside: int) -> Passes:
    """A step of `count` layers, each with an input of `entry` numbers and `inside` numbers more for its backward pass. With `segment` layers to a checkpoint
    (the first segment is the short one) only the segments' inputs outlive the forward pass; without it, everything does."""
    step = Passes()
    if segment is None:
        for _ in range(count):
            step.forward += 1
            step.hold(entry + inside)
        for _ in range(count):
            step.backward += 1
            step.held -= entry + inside
        return step
    segments = [len(part) for part in reversed(cut(count, segment))]
    for depth in segments:
        step.hold(entry)
        step.forward += depth
    for depth in reversed(segments):
        for place in range(depth):
            step.forward += 1
            step.hold(inside + entry * (place > 0))
        for place in range(depth):
            step.backward += 1
            step.held -= inside + entry * (place < depth - 1)
        step.held -= entry
    return step


def attention_layer(length: int, width: int) -> tuple[int, int]:
    """Numbers of a layer's input, and what attention keeps beside it: Q, K, V and the weights."""
    return length * width, 3 * length * width + length**2


def _least_peak(count: int, length: int, width: int) -> int:
    entry, inside = attention_layer(length, width)
    return min(trained(count, segment, entry, inside).peak for segment in range(1, count + 1))


def _root_of_length(count: int, length: int, width: int, share: int) -> Outcome:
    """Whether share · √n numbers are enough, with the best checkpoints."""
    return decided(_least_peak(count, length, width) ** 2 <= share**2 * length)


def _root_of_layers(count: int, length: int, width: int, share: int) -> Outcome:
    """The bounds on the peak, and the optimum for layers of one number each; the share plays no part."""
    entry, inside = attention_layer(length, width)
    whole, root = entry + inside, isqrt(count - 1) + 1
    least = _least_peak(count, length, width)
    bounded = (least + entry) ** 2 >= 4 * count * entry * whole and trained(count, root, entry, inside).peak <= 2 * root * whole
    for segment in range(1, count + 1):
        bounded &= trained(count, segment, entry, inside).peak == (len(cut(count, segment)) - 1) * entry + segment * whole
    shortest = min(len(cut(count, segment)) + segment for segment in range(1, count + 1))
    again = trained(count, root, entry, inside)
    return decided(bounded and shortest == isqrt(4 * count - 1) + 1 and again.forward == 2 * count and again.backward == count)


def _root_by_hand(count: int, length: int, width: int, share: int) -> str:
    entry, inside = attention_layer(length, width)
    return (
        f"n = {length}, d = {width}, {count} layer(s), and {share}·√n as the bound. A segment is recomputed from its input of nd = {entry} numbers, and while its "
        f"backward pass runs it holds n² + 3nd = {inside} more for each layer: at least {_least_peak(count, length, width)} numbers at once, however the layers are "
        f"cut. {share}·√{length} is less. More of the same: nd alone exceeds C√n once √n > C/d, whatever the constant C is."
    )


span, pieces = sp.symbols("s t", integer=True, positive=True)
spare = sp.Symbol("x", integer=True, nonnegative=True)  # st − L
entry_size, layer_size = sp.symbols("X A", positive=True)


@derived(
    Claim(
        id="training_memory.square-root-of-length",
        title="With checkpoints, training memory is O(√n)",
        states="Gradient checkpointing: memory is O(√n), by recomputing activations.",
        reading="n is the sequence length, as in the line below it (computation O(n²) × 1.5) and in the whole section. Memory is what a training step holds at once, with "
        "checkpoints placed as well as possible between layers of attention.",
        precise=r"There is a $C$, the same for all $n$, such that at most $C\sqrt n$ numbers are held. This is false for layers of width $d$: a segment is recomputed from an input of $nd$ numbers, and $nd > C\sqrt n$ at "
        r"$n = (C+1)^2$; besides, the layer in work holds $n^2$ weights. With checkpoints inside attention, $b$ queries and $\lceil\sqrt n\rceil$ keys at a time, and inputs and outputs not counted, $2b(d+3)\lceil\sqrt n\rceil \le 4b(d+3)\sqrt n$ are enough: training_memory.chunks-of-keys.",
        sources=(S0.at("Gradient Checkpointing"), CHEN.at("section 4"), RABE),
        scope="layers of attention as written, every n, d and number of layers. A remark: where the square root comes from (Chen et al.), n counts layers, all of one size (training_memory.square-root-of-layers); in this text it is the length",
        kind=Kind.COST,
        inventory=("C138",),
        uses=("training_memory.chunks-of-keys",),
        holds=_root_of_length,
        worked=_root_by_hand,
        unsaid="inputs, outputs and their gradients are not counted, and the checkpoints are inside attention: some queries and about √n keys at a time, each such block of queries a checkpoint as well",
        corrected_by="training_memory.chunks-of-keys",
    )
)
def square_root_of_length() -> Iterator[Step]:
    length = (constant + 1) ** 2
    yield Step(
        constant * sp.sqrt(length),
        "<",
        length * d,
        "n the length: at n = (C + 1)² the input of one segment alone is more than C√n numbers",
        certificate=(constant + 1) * ((constant + 1) * (d - 1) + 1),
    )
    yield Step(
        constant * sp.sqrt(length), "<", length**2, "and so are the weights of the layer in work", certificate=sp.expand(length**2 - constant * (constant + 1))
    )
    block = sp.Symbol("b", integer=True, positive=True)
    held = 2 * block * (d + 3) * (1 + spare)
    yield Step(
        held**2, "<=", (4 * block * (d + 3)) ** 2 * (spare**2 + 1),
        "checkpoints inside attention, in chunks of ⌈√n⌉ = 1 + x keys, where n ≥ x² + 1: what is held is at most 4b(d + 3)√n (both sides squared)",
        certificate=4 * block**2 * (d + 3) ** 2 * (2 * spare**2 + (spare - 1) ** 2 + 2),
    )  # fmt: skip


@derived(
    Claim(
        id="training_memory.square-root-of-layers",
        title="Checkpoints take the memory of L layers down to that of at most 2⌈√L⌉, for one more forward pass",
        states="(Not in the text; it follows from counting what segments of layers hold.) The square root is of the number of layers, and each of them still counts in full.",
        reading="Numbers held at once for the backward pass, L layers of A numbers each, the input of X ≤ A numbers among them; segments of s layers, the first perhaps of fewer.",
        precise=r"$(\lceil L/s\rceil - 1)X + sA$ numbers, every layer run forward twice. The least over $s$ is at least $2\sqrt{LXA} - X$, and at most "
        r"$2\lceil\sqrt L\rceil A$, at $s = \lceil\sqrt L\rceil$. For attention, $X = nd$ and $A = n^2 + 4nd$: the order in $n$ stays $n^2$. "
        r"In layers ($X = A = 1$) the least $\lceil L/s\rceil + s$ is $m = \lceil 2\sqrt L\rceil$: $4L \le (s+t)^2$ for $t$ segments, and "
        r"$s, t = \lfloor m/2\rfloor, \lceil m/2\rceil$ have $st = \lfloor m^2/4\rfloor \ge L$.",
        sources=(S0.at("Gradient Checkpointing"), CHEN.at("section 4")),
        scope="a chain of equal layers, every number of layers, length and width; whole segments in the bound from below, ragged ones too in the runs",
        kind=Kind.COST,
        inventory=("C138",),
        holds=_root_of_layers,
    )
)
def square_root_of_layers() -> Iterator[Step]:
    depth = sp.Symbol("s", positive=True)
    root_entry, root_inside = sp.sqrt(layers * entry_size / depth), sp.sqrt(depth * layer_size)
    room = sp.Symbol("y", nonnegative=True)  # A − X
    yield Step(
        4 * (span * pieces - spare), "<=", (span + pieces) ** 2, "in layers: t segments of s cover L = st − x, so s + t ≥ 2√L",
        certificate=(span - pieces) ** 2 + 4 * spare,
    )  # fmt: skip
    half = sp.Symbol("q", integer=True, positive=True)
    yield Step(sp.Pow(2 * half, 2, evaluate=False), "=", 4 * (half * half), "which is attained at an even m = 2q, with s = t = q: m² = 4st")
    yield Step(
        (2 * half + 1) ** 2,
        "=",
        4 * half * (half + 1) + 1,
        "and at an odd m = 2q + 1, with s = q, t = q + 1: m² = 4st + 1, and no whole L lies between st and m²/4",
    )
    yield Step(
        2 * sp.sqrt(layers * entry_size * layer_size), "<=", layers * entry_size / depth + depth * layer_size,
        "L/s inputs and s layers: the arithmetic mean is at least the geometric one", certificate=(root_entry - root_inside) ** 2,
    )  # fmt: skip
    yield Step(
        (pieces - 1) * entry_size + pieces * (entry_size + room), "<=", 2 * pieces * (entry_size + room),
        "s = t = ⌈√L⌉, where ⌈L/s⌉ ≤ s since L ≤ s²: at most 2⌈√L⌉ layers' worth", certificate=entry_size + pieces * room,
    )  # fmt: skip


@dataclass(slots=True)
class Chunked(Passes):
    """The same, and scores computed."""

    scores: int = 0


def _chunked(length: int, block: int, width: int, dropped: bool) -> Chunked:
    """A training step, all of its forward pass first, that takes `block` queries at a time and ⌈√n⌉ keys at a time. `dropped`: each block of queries is a checkpoint.
    Inputs, outputs and their gradients are not counted."""
    step = Chunked()
    chunk = isqrt(length - 1) + 1
    blocks, waiting = cut(length, block), list[int]()
    for backward in (False, True):
        for queries in reversed(blocks) if backward else blocks:
            summaries = waiting.pop() if backward and not dropped else 0
            if not summaries:
                for keys in cut(length, chunk):  # the scores of one chunk, then its largest score, its mass and its weighted sum for each query
                    step.scores += len(queries) * len(keys)
                    step.hold(len(queries) * len(keys))
                    step.held -= len(queries) * len(keys)
                    step.hold(len(queries) * (width + 2))
                    summaries += len(queries) * (width + 2)
            if not backward:
                step.held -= summaries * dropped
                waiting += [summaries] * (not dropped)
                continue
            step.hold(summaries)  # their gradients
            for keys in cut(length, chunk):  # the scores of the chunk again, and their gradients
                step.scores += len(queries) * len(keys)
                step.hold(2 * len(queries) * len(keys))
                step.held -= 2 * len(queries) * len(keys)
            step.held -= 2 * summaries
    return step


def _chunks(length: int, width: int, block: int = 16, count: int = 1, share: int = 1) -> Outcome:
    """What one attention in chunks holds and computes; the number of layers and the share play no part."""
    root = isqrt(length - 1) + 1
    dropped, kept = (_chunked(length, block, width, each) for each in (True, False))
    waiting = length * (width + 2) * len(cut(length, root))
    small = dropped.peak <= 2 * block * (width + 3) * root and root**2 <= 4 * length
    return decided(small and kept.peak >= waiting and (dropped.scores, kept.scores) == (3 * length**2, 2 * length**2))


@derived(
    Claim(
        id="training_memory.chunks-of-keys",
        title="Attention in chunks of √n keys, recomputed twice for the backward pass, needs O(√n) numbers beside inputs and outputs",
        states="(Not in the text; it follows from the online softmax.) Where a square root of the sequence length does occur.",
        reading="b queries at a time, ⌈√n⌉ keys at a time; a chunk keeps its largest score, mass and weighted sum for each query. Each block of queries is a checkpoint as well: its summaries are "
        "dropped after the forward pass, computed again when the backward pass reaches the block, and then each chunk once more (every score three times). Inputs, outputs and their gradients are not counted.",
        precise=r"At most $2b\lceil\sqrt n\rceil + 2b(d+2)\lceil\sqrt n\rceil = 2b(d+3)\lceil\sqrt n\rceil \le 4b(d+3)\sqrt n$ numbers: the scores of one chunk and their gradients, "
        r"and the summaries of all chunks of a block and theirs, for $3n^2$ scores computed. If the blocks are no checkpoints, every score is computed twice, and the summaries of all queries, "
        r"$n(d+2)$ numbers for each chunk of keys, wait for the backward pass.",
        sources=(RABE, S0.at("Gradient Checkpointing")),
        scope="every n, d_v = d and number b of queries that does not grow with n; what inputs and outputs need, n·d each, is not counted",
        kind=Kind.COST,
        inventory=("C138",),
        holds=_chunks,
    )
)
def chunks_of_keys() -> Iterator[Step]:
    block, root, less = sp.Symbol("b", integer=True, positive=True), sp.Symbol("q", integer=True, positive=True), sp.Symbol("x", integer=True, nonnegative=True)
    one_chunk = sp.Sum(sp.Sum(sp.S.One, (i, 1, block)), (j, 1, root))
    summaries = sp.Sum(sp.Sum(d + 2, (i, 1, block)), (l, 1, root))
    waiting = sp.Sum(sp.Sum(d + 2, (i, 1, n)), (l, 1, root))
    yield Step(
        waiting,
        "=",
        n * (d + 2) * root,
        "if the blocks are no checkpoints: the summaries of all n queries, for q chunks of keys, have to wait, which is more than n numbers",
    )
    yield Step(2 * one_chunk + 2 * summaries, "=", 2 * block * (d + 3) * root, "q = ⌈√n⌉ keys a chunk, at most q chunks of n ≤ q² keys")
    held = 2 * block * (d + 3) * (1 + less)
    yield Step(
        held**2, "<=", (4 * block * (d + 3)) ** 2 * (less**2 + 1), "with q = ⌈√n⌉ = 1 + x, where n ≥ x² + 1: at most 4b(d + 3)√n (both sides squared)",
        certificate=4 * block**2 * (d + 3) ** 2 * (2 * less**2 + (less - 1) ** 2 + 2),
    )  # fmt: skip


# --- checkpoints: what is computed ------------------------------------------------------------------------------------------------------


def _forward(length: int, width: int) -> int:
    """Operations of attention on given Q, K, V."""
    done = Operations()
    for _ in product(range(length), range(length)):
        done.dot(width)
        done.multiplications += 1  # the scale
    for _ in range(length):
        done.softmax(length)
        for _ in range(width):
            done.dot(length)
    return done.all()


def _backward(length: int, width: int) -> int:
    """Operations of its backward pass, from the kept weights: dV = Pᵀ dO, dP = dO Vᵀ, dS = P ∘ (dP − rowsum(P ∘ dP)), the scale, dQ = dS K, dK = dSᵀ Q."""
    done = Operations()
    for _ in product(("values", "queries", "keys"), range(length), range(width)):
        done.dot(length)
    for _ in range(length):
        for _ in range(length):
            done.dot(width)
            done.additions += 1
            done.multiplications += 2
        done.dot(length)
    return done.all()


def _half_more(length: int, width: int, at_most: bool) -> Outcome:
    """Whether the factor is 3/2, or at most that."""
    forward, backward = _forward(length, width), _backward(length, width)
    twice, thrice = 2 * (2 * forward + backward), 3 * (forward + backward)
    return decided(twice <= thrice if at_most else twice == thrice)


def _one_more_forward(length: int, width: int, at_most: bool = False) -> Outcome:
    """The counts, and between which factors they lie, whichever way 1.5 is meant."""
    forward, backward = _forward(length, width), _backward(length, width)
    exactly = forward == 4 * length**2 * width + 5 * length**2 - length * width - 2 * length
    exactly &= backward == 8 * length**2 * width + 4 * length**2 - 3 * length * width - length
    plain, checkpointed = forward + backward, 2 * forward + backward
    return decided(exactly and 4 * plain < 3 * checkpointed and 7 * checkpointed <= 10 * plain and (7 * checkpointed == 10 * plain) == (width == 1))


def _half_more_by_hand(length: int, width: int, at_most: bool) -> str:
    forward, backward = _forward(length, width), _backward(length, width)
    ratio = Fraction(2 * forward + backward, forward + backward)
    return (
        f"Take 1.5 as the factor itself, with n = {length} and d = {width}. Forward, F = 4n²d + 5n² − nd − 2n = {forward} operations; backward, B = 8n²d + 4n² − 3nd − n = {backward}. A training step takes F + B = {forward + backward}, and with the forward pass "
        f"computed again 2F + B = {2 * forward + backward}: a factor {ratio} = {float(ratio):.4f}. For a factor 3/2 it would have to be {Fraction(3 * (forward + backward), 2)}, which needs B = F; here B is {backward - forward} more."
    )


forward_count = 4 * n**2 * d + 5 * n**2 - n * d - 2 * n
backward_count = 8 * n**2 * d + 4 * n**2 - 3 * n * d - n
beyond_one = {n: 1 + sp.Symbol("x", integer=True, nonnegative=True), d: 1 + sp.Symbol("y", integer=True, nonnegative=True)}


def _from_one(expression: sp.Expr) -> sp.Expr:
    """The expression in x = n − 1 and y = d − 1."""
    return sp.expand(expression.subs(beyond_one, simultaneous=True))


@derived(
    Claim(
        id="training_memory.half-more-computation",
        title="Checkpointing multiplies the computation of attention by 1.5",
        states="Gradient checkpointing: computation is O(n²) × 1.5.",
        reading="The operations of a training step of attention, forward and backward, with the forward pass computed once more, are 1.5 times as many as without. (Inside an O a constant factor says "
        "nothing, so 1.5 has to be a ratio. Whether it is the ratio itself or an upper bound on it is tried both ways.)",
        precise=r"The ratio is $\tfrac32$. With $F$ operations forward and $B$ backward it is $(2F + B)/(F + B) = \tfrac32 - \frac{B - F}{2(F + B)}$: less than $\tfrac32$ if $B > F$, as "
        r"it is for attention. As an upper bound $\tfrac32$ is right, and not attained.",
        sources=(S0.at("Gradient Checkpointing"),),
        scope="attention on given Q, K, V, every n and d; as many keys as queries, d_v = d",
        kind=Kind.COST,
        inventory=("C139",),
        uses=("training_memory.one-more-forward",),
        holds=_half_more,
        worked=_half_more_by_hand,
        unsaid="1.5 is meant as an upper bound that is not attained",
        corrected_by="training_memory.one-more-forward",
    )
)
def half_more_computation() -> Iterator[Step]:
    forward, more = sp.symbols("F x", positive=True)
    ratio = (2 * forward + (forward + more)) / (forward + (forward + more))
    yield Step(ratio, "=", sp.Rational(3, 2) - more / (2 * (2 * forward + more)), "F operations forward and F + x backward, x > 0, as attention has: not 3/2")
    yield Step(ratio, "<", sp.Rational(3, 2), "but less", certificate=more / (2 * (2 * forward + more)))


@derived(
    Claim(
        id="training_memory.one-more-forward",
        title="Recomputing attention costs more than a third and at most three sevenths of a training step",
        states="(Not in the text; it follows from counting.) What a training step with one more forward pass costs.",
        reading="Multiply, add, compare, exp and divide count one each; the backward pass uses the kept weights, the checkpointed step computes the whole forward pass again.",
        precise=r"$F = 4n^2d + 5n^2 - nd - 2n$ forward, $B = 8n^2d + 4n^2 - 3nd - n$ backward, and $\tfrac43 (F + B) < 2F + B \le \tfrac{10}7 (F + B)$ for all $n, d \ge 1$ (written "
        r"with $n = 1 + x$, $d = 1 + y$), so $\tfrac43F \le B < 2F$. Equality exactly at $d = 1$: $3B - 4F = (d - 1)(8n^2 - 5n)$. For large $n$ and $d$ the factor tends to $\tfrac43$.",
        sources=(S0.at("Gradient Checkpointing"), CHEN.at("section 4"), DAO.at("appendix B")),
        scope="attention on given Q, K, V, every n and d; as many keys as queries, d_v = d",
        kind=Kind.COST,
        inventory=("C139",),
        uses=("cost.time",),
        holds=_one_more_forward,
    )
)
def one_more_forward() -> Iterator[Step]:
    of_values = per_product(2) - per_row(d)  # n d sums of n products
    of_weights = per_product(2) - per_pair(1)  # n² sums of d products
    of_scores = per_pair(2) - per_row(1) + per_pair(3)
    yield Step(of_weights + per_pair(1) + per_pair(5) - per_row(2) + of_values, "=", forward_count, "forward: scores with their scale, softmax, values")
    yield Step(
        3 * of_values + of_weights + of_scores, "=", backward_count,
        "backward: dV, dQ and dK are sums of n products, dP of d; then P ∘ dP summed over each row, subtracted, times P, times the scale",
    )  # fmt: skip
    plain, checkpointed = _from_one(forward_count + backward_count), _from_one(2 * forward_count + backward_count)
    third = sp.Rational(4, 3) * plain
    most = sp.Rational(10, 7) * plain
    yield Step(
        3 * backward_count - 4 * forward_count,
        "=",
        (d - 1) * (8 * n**2 - 5 * n),
        "the difference has the factor d − 1, and the other is positive: equality at d = 1 alone",
    )
    yield Step(sp.S.Zero, "<", _from_one(8 * n**2 - 5 * n), "8n² > 5n", certificate=_from_one(8 * n**2 - 5 * n))
    yield Step(third, "<", checkpointed, "2F > B: more than 4/3", certificate=sp.expand(checkpointed - third))
    yield Step(checkpointed, "<=", most, "4F ≤ 3B: at most 10/7, which is less than 3/2", certificate=sp.expand(most - checkpointed))


@dataclass(slots=True)
class Products:
    """Multiply-adds of matrix products, one by one."""

    done: int = 0

    def matrix(self, tall: int, inner: int, wide: int) -> None:
        for _ in product(range(tall), range(inner), range(wide)):
            self.done += 1


def _attention_products(rows: int, keys: int, width: int, recompute: int) -> int:
    """Multiply-adds of a training step: scores and values forward, the first `recompute` of them again, then dV, dP, dQ and dK."""
    step = Products()
    forward = ((rows, width, keys), (rows, keys, width))  # Q Kᵀ, P V
    for sizes in (*forward, *forward[:recompute]):
        step.matrix(*sizes)
    step.matrix(keys, rows, width)  # dV = Pᵀ dO
    step.matrix(rows, width, keys)  # dP = dO Vᵀ
    step.matrix(rows, keys, width)  # dQ = dS K
    step.matrix(keys, rows, width)  # dK = dSᵀ Q
    return step.done


def _projection_products(rows: int, inner: int, width: int, again: bool) -> int:
    """The same for a linear layer X W: the product, perhaps once more, then dX = dY Wᵀ and dW = Xᵀ dY."""
    step = Products()
    for _ in range(2 if again else 1):
        step.matrix(rows, inner, width)
    step.matrix(rows, width, inner)
    step.matrix(inner, rows, width)
    return step.done


def _products(rows: int, keys: int, width: int) -> Outcome:
    plain, stopped, whole = (_attention_products(rows, keys, width, again) for again in (0, 1, 2))
    linear, repeated = (_projection_products(rows, keys, width, again) for again in (False, True))
    return decided(plain == 6 * rows * keys * width and 6 * stopped == 7 * plain and 3 * whole == 4 * plain and 3 * repeated == 4 * linear)


@derived(
    Claim(
        id="training_memory.products",
        title="In matrix products a checkpointed step of attention costs 4/3 of a plain one, or 7/6 if it stops at the weights",
        states="(Not in the text; it follows from counting.) The factor in the matrix products, which dominate.",
        precise=r"With $n_q n_k d$ multiply-adds a product: 2 forward ($QK^\top$, $PV$), 4 backward ($P^\top dO$, $dO\,V^\top$, $dS\,K$, $dS^\top Q$). Both forward products again: "
        r"$\frac{2+4+2}{2+4} = \frac43$. A recomputation that stops once Q, K, V and P are there again, as nothing backward needs the output, computes one of them again: $\frac76$. "
        r"(The text's call leaves `use_reentrant` at its default, the variant that computes both again; $\frac76$ needs `use_reentrant=False`.) A linear layer has 1 product forward and 2 backward: $\frac43$ as well.",
        sources=(S0.at("Gradient Checkpointing"), TORCH_CHECKPOINT, DAO.at("appendix B")),
        scope="every n_q, n_k and d = d_v",
        kind=Kind.COST,
        inventory=("C139",),
        holds=_products,
    )
)
def products() -> Iterator[Step]:
    once = per_product(1)
    yield Step(
        once, "=", n**2 * d, "one product: a multiply-add for each pair and feature (n_q = n_k = n here; every product has the three sizes in some order)"
    )
    forward, backward, plain = sp.UnevaluatedExpr(2 * n**2 * d), sp.UnevaluatedExpr(4 * n**2 * d), sp.UnevaluatedExpr(6 * n**2 * d)
    yield Step(
        forward + sp.UnevaluatedExpr(n**2 * d) + backward, "=", sp.Rational(7, 6) * plain, "2 forward, QKᵀ again up to the weights, 4 backward: 7/6 of 6"
    )
    yield Step(forward + forward + backward, "=", sp.Rational(4, 3) * plain, "2 forward, both again, 4 backward: 4/3 of 6")


def _solves(count: int, length: int, width: int, memory_alone: bool) -> Outcome:
    """Fewer numbers held and, unless it is a remedy for memory alone, fewer operations."""
    plain, checkpointed = (trained(count, segment, *attention_layer(length, width)) for segment in (None, 1))
    per_pass = _forward(length, width), _backward(length, width)
    costs = [step.forward * per_pass[0] + step.backward * per_pass[1] for step in (plain, checkpointed)]
    return decided(checkpointed.peak < plain.peak and (memory_alone or costs[1] < costs[0]))


def _checkpointed_layers(count: int, length: int, width: int, memory_alone: bool = False) -> Outcome:
    """What is held and computed, whatever it is a remedy for."""
    plain, checkpointed = (trained(count, segment, *attention_layer(length, width)) for segment in (None, 1))
    layer = length**2 + 4 * length * width
    peaks = plain.peak == count * layer and checkpointed.peak == (count - 1) * length * width + layer
    passes = (plain.forward, checkpointed.forward, plain.backward, checkpointed.backward) == (count, 2 * count, count, count)
    return decided(peaks and passes and checkpointed.peak >= length**2 and (checkpointed.peak < plain.peak or count == 1))


def _solves_by_hand(count: int, length: int, width: int, memory_alone: bool) -> str:
    plain, checkpointed = (trained(count, segment, *attention_layer(length, width)) for segment in (None, 1))
    forward, backward = _forward(length, width), _backward(length, width)
    return (
        f"As a remedy for memory and computation, with {count} layer(s), n = {length}, d = {width} and a checkpoint for each. Held at once: {plain.peak} numbers without checkpoints, {checkpointed.peak} with them, "
        f"n² = {length**2} of them the weights of the layer in work. Operations: {count} · ({forward} + {backward}) = {count * (forward + backward)} without, "
        f"{count} · (2 · {forward} + {backward}) = {count * (2 * forward + backward)} with: computation rises."
    )


@derived(
    Claim(
        id="training_memory.checkpointing-for-computation",
        title="Gradient checkpointing solves the quadratic memory and computation of attention",
        states="Problem: O(n²) memory and computation. Solutions: gradient checkpointing, sparse patterns, linear attention.",
        reading="A list of remedies, each of them for the problem as it is named, memory and computation: a training step with a checkpoint for each layer of attention holds fewer numbers and takes fewer operations.",
        precise=r"Numbers held: $(L - 1)nd + n^2 + 4nd < L(n^2 + 4nd)$ for $L \ge 2$ layers, which is true. Operations: $L(2F + B) < L(F + B)$, which is false for all sizes.",
        sources=(S4.at("Computational Complexity"),),
        scope="L layers of attention on n rows of d features, a checkpoint for each; L ≥ 2 in the runs. What falls is how many n × n matrices are kept at once: one layer's n² stays, unless the checkpoints are inside attention (training_memory.chunks-of-keys)",
        kind=Kind.COST,
        inventory=("C146",),
        uses=("training_memory.checkpointed-layers",),
        holds=_solves,
        worked=_solves_by_hand,
        unsaid="it is the memory that it is a remedy for, and of several layers",
        corrected_by="training_memory.checkpointed-layers",
    )
)
def checkpointing_for_computation() -> Iterator[Step]:
    more = sp.Symbol("k", integer=True, nonnegative=True)  # layers beyond two
    count, layer = 2 + more, n**2 + 4 * n * d
    yield Step(
        (count - 1) * n * d + layer, "<", count * layer, "memory alone, L = 2 + k layers: L − 1 matrices of weights, and Q, K and V with them, are not kept",
        certificate=(1 + more) * (n**2 + 3 * n * d),
    )  # fmt: skip


@derived(
    Claim(
        id="training_memory.checkpointed-layers",
        title="A checkpoint for each of L layers of attention leaves one n × n matrix of L, and adds a forward pass",
        states="(Not in the text; it follows from counting.) With checkpoints memory falls by up to the number of layers and stays quadratic; computation rises.",
        precise=r"Held at the most: $(L-1)nd + n^2 + 4nd \ge n^2$ numbers instead of $L(n^2 + 4nd)$. Computed: $2L$ forward and $L$ backward passes instead of $L$ and $L$, so "
        r"$L(4n^2d + 5n^2 - nd - 2n) > 0$ operations more.",
        sources=(S4.at("Computational Complexity"), CHEN.at("section 4")),
        scope="L layers of attention on n rows of d features, a checkpoint for each; every L, n and d",
        kind=Kind.COST,
        inventory=("C146",),
        uses=("cost.memory", "cost.time"),
        holds=_checkpointed_layers,
    )
)
def checkpointed_layers() -> Iterator[Step]:
    layer = per_pair(1) + 4 * per_row(sp.Sum(sp.S.One, (a, 1, d)))
    inputs = sp.Sum(n * d, (i, 1, layers)) - n * d
    held = (layers - 1) * n * d + n**2 + 4 * n * d
    yield Step(n**2, "<=", held, "what is held, (L − 1)nd + n² + 4nd, is n² and more", certificate=(layers - 1) * n * d + 4 * n * d)
    more = sp.Symbol("k", integer=True, nonnegative=True)
    count = _from_one(forward_count)
    yield Step(
        sp.S.Zero, "<", (1 + more) * count, "computed are L = 1 + k forward passes more than without checkpoints", certificate=sp.expand((1 + more) * count)
    )
    yield Step(
        inputs + layer, "=", (layers - 1) * n * d + n**2 + 4 * n * d, "held: the input of every layer, and all of the layer in work, with its one n × n matrix"
    )


# --- checkpoints: what comes out --------------------------------------------------------------------------------------------------------

Balls = list[list[arb]]
Backward = Callable[[Matrix], tuple[Balls, Balls, Balls]]


def _times(left: Matrix, right: Matrix) -> Balls:
    return [[sum((ball(x) * ball(row[place]) for x, row in zip(left_row, right, strict=True)), arb(0)) for place in range(len(right[0]))] for left_row in left]


def _turned(matrix: Matrix) -> list[list[exact.Number]]:
    return [[row[place] for row in matrix] for place in range(len(matrix[0]))]


def checkpointed(queries: Matrix, keys: Matrix, values: Matrix) -> tuple[Balls, Backward]:
    """The output, and a backward pass that has kept nothing but the inputs: it computes scores and weights again. Cotangent [m, e] → gradients in Q, K, V."""
    scale = 1 / ball(len(keys[0])).sqrt()

    def backward(cotangent: Matrix) -> tuple[Balls, Balls, Balls]:
        weights = [exact.softmax(row) for row in exact.scores(queries, keys, scale)]
        upstream = _times(cotangent, _turned(values))
        means = [sum((x * y for x, y in zip(ps, us, strict=True)), arb(0)) for ps, us in zip(weights, upstream, strict=True)]
        slopes = [[x * (y - mean) * scale for x, y in zip(ps, us, strict=True)] for ps, us, mean in zip(weights, upstream, means, strict=True)]
        return _times(slopes, keys), _times(_turned(slopes), queries), _times(_turned(weights), cotangent)

    return exact.attention(queries, keys, values, scale), backward


def _along(queries: Matrix, keys: Matrix, values: Matrix, directions: Sequence[Matrix]) -> tuple[Balls, Balls]:
    """Plain attention and its slope along directions of Q, K and V, forwards, with every intermediate result at hand: quotient rule on exp(s_j)/Σ exp(s_l)."""
    of_queries, of_keys, of_values = directions
    scale = 1 / ball(len(keys[0])).sqrt()
    output, slope = [], []
    for query, moved in zip(queries, of_queries, strict=True):
        score = [scale * sum((ball(x) * ball(y) for x, y in zip(query, key, strict=True)), arb(0)) for key in keys]
        rise = [
            scale * sum((ball(x) * ball(w) + ball(z) * ball(y) for x, y, z, w in zip(query, key, moved, turned, strict=True)), arb(0))
            for key, turned in zip(keys, of_keys, strict=True)
        ]
        raised = [x.exp() for x in score]
        grown = [x * y for x, y in zip(raised, rise, strict=True)]
        mass, growth = sum(raised, arb(0)), sum(grown, arb(0))
        weights = [x / mass for x in raised]
        slopes = [(y * mass - x * growth) / mass**2 for x, y in zip(raised, grown, strict=True)]
        output.append(_times([weights], values)[0])
        slope.append([x + y for x, y in zip(_times([slopes], values)[0], _times([weights], of_values)[0], strict=True)])
    return output, slope


def _inner(left: Matrix, right: Matrix) -> arb:
    return sum((ball(x) * ball(y) for one, two in zip(left, right, strict=True) for x, y in zip(one, two, strict=True)), arb(0))


def _checkpointing_holds(queries: Matrix, keys: Matrix, values: Matrix, cotangent: Matrix, directions: Sequence[Matrix]) -> Outcome:
    """The same output, and gradients whose product with any direction is the plain function's slope along it."""
    output, backward = checkpointed(queries, keys, values)
    plain, slope = _along(queries, keys, values, directions)
    along = sum((_inner(gradient, direction) for gradient, direction in zip(backward(cotangent), directions, strict=True)), arb(0))
    return Outcome.worst([equal(output, plain), equal([along], [_inner(cotangent, slope)])])


def _again(row: sp.Symbol, place: sp.Symbol) -> sp.Expr:
    """A weight, computed from the inputs alone: softmax of c Σ_a Q K."""
    other = sp.Symbol("k_2", integer=True, positive=True)
    scores = c * total(Q[row, a] * K[place, a], a)
    return sp.exp(scores) / sp.Sum(sp.exp(c * total(Q[row, a] * K[other, a], a)), (other, 1, n))


def _upstream(row: sp.Symbol, place: sp.Symbol) -> sp.Expr:
    return total(G[row, e] * V[place, e], e)


def _slope_again(row: sp.Symbol, place: sp.Symbol) -> sp.Expr:
    """The gradient in one score, from recomputed weights."""
    return _again(row, place) * (_upstream(row, place) - total(_again(row, l) * _upstream(row, l), l))


@derived(
    Claim(
        id="training_memory.checkpointing-is-exact",
        title="Attention in a checkpoint returns attention's value and its gradients",
        states="A function computes attention inside `checkpoint`, which is offered in place of plain attention.",
        reading="In real arithmetic: the value, and the gradients in q, k and v for every cotangent of the output, though nothing but q, k and v is kept between the passes. "
        "(In floats: the same operations on the same bits in the same order give the same bits again, if every operation used does.)",
        precise=r"With $L = \sum_{t,e} G_{te}\sum_j P_{tj}V_{je}$: the gradients are functions of $Q, K, V, G$ alone, once $P_{rj} = e^{c\,Q_r\cdot K_j}/\sum_l e^{c\,Q_r\cdot K_l}$ "
        r"is computed again (by the call `.backward()`: the text's call leaves torch the choice, which is the reentrant variant, under which `torch.autograd.grad` raises): $\partial L/\partial Q_{ra} = c\sum_j P_{rj}\big(dP_{rj} - \sum_l P_{rl}\,dP_{rl}\big)K_{ja}$ with $dP_{rj} = \sum_e G_{re}V_{je}$, and so for $K$ and $V$.",
        sources=(S0.at("Activation Offloading"), CHEN.at("section 4"), TORCH_CHECKPOINT),
        scope="any m, n, d, d_v; any real scale (1/√d in the text's function, which has no dropout and no other randomness); gradients by .backward() "
        "(with use_reentrant=False by torch.autograd.grad as well)",
        inventory=("C140",),
        uses=("gradients.queries", "gradients.keys", "gradients.values"),
        holds=_checkpointing_holds,
    )
)
def checkpointing_is_exact() -> Iterator[Step]:
    output = total(_again(t, l) * V[l, e], l)
    loss = total(total(G[t, e] * output, e), t)
    yield Step(sp.Derivative(loss, V[j, e]), "=", total(_again(r, j) * G[r, e], r), "in the values: recomputed weights, transposed, times the cotangent")
    yield Step(
        sp.Derivative(loss, Q[r, a]), "=", c * total(_slope_again(r, j) * K[j, a], j), "in a query: only its own row depends on it, through recomputed weights"
    )
    yield Step(sp.Derivative(loss, K[j, a]), "=", c * total(_slope_again(r, j) * Q[r, a], r), "in a key: what every row sends back, from recomputed weights")


Vector = Sequence[int]


def _layer(weights: Sequence[Vector], x: Vector) -> list[int]:
    """x_i + (Σ_j W_ij x_j)², whose slope depends on where it is taken."""
    return [y + sum(w * z for w, z in zip(row, x, strict=True)) ** 2 for row, y in zip(weights, x, strict=True)]


def _pulled(weights: Sequence[Vector], x: Vector, cotangent: Vector) -> list[int]:
    """The cotangent of a layer's input, from that of its output and the input itself."""
    sums = [sum(w * z for w, z in zip(row, x, strict=True)) for row in weights]
    return [g + sum(2 * up * mixed * row[place] for up, mixed, row in zip(cotangent, sums, weights, strict=True)) for place, g in enumerate(cotangent)]


def _pushed(weights: Sequence[Vector], x: Vector, direction: Vector) -> list[int]:
    """The slope of a layer's output along a direction of its input: (x + ε)² to first order in ε, no backward pass."""
    moved = [(sum(w * z for w, z in zip(row, x, strict=True)), sum(w * z for w, z in zip(row, direction, strict=True))) for row in weights]
    return [z + 2 * mixed * along for z, (mixed, along) in zip(direction, moved, strict=True)]


def _segments_hold(chain: Sequence[Sequence[Vector]], ends: Sequence[int], x: Vector, cotangent: Vector, direction: Vector) -> Outcome:
    """Segments of the chain end where `ends` is 1. Kept: each segment's input. Output and gradient against a plain pass and the slope along the direction."""
    plain, slope = list(x), list(direction)
    for weights in chain:
        plain, slope = _layer(weights, plain), _pushed(weights, plain, slope)
    kept: list[tuple[list[int], list[Sequence[Vector]]]] = [(list(x), [])]
    running = list(x)
    for weights, last in zip(chain, ends, strict=True):
        kept[-1][1].append(weights)
        running = _layer(weights, running)
        if last:
            kept.append((running, []))
    gradient = list(cotangent)
    for start, segment in reversed(kept):
        inputs = [start]
        for weights in segment:
            inputs.append(_layer(weights, inputs[-1]))
        for weights, entered in zip(reversed(segment), reversed(inputs[:-1]), strict=True):
            gradient = _pulled(weights, entered, gradient)
    along = sum(g * z for g, z in zip(gradient, direction, strict=True))
    return decided(running == plain and along == sum(g * z for g, z in zip(cotangent, slope, strict=True)))


@derived(
    Claim(
        id="training_memory.segments-are-exact",
        title="Recomputing a chain of layers segment by segment gives the plain value and gradient, wherever it is cut",
        states="Gradient checkpointing: recompute activations during the backward pass.",
        reading="Layers without randomness or state, in exact arithmetic. Each segment keeps its input alone, runs again when the backward pass reaches it, and passes its cotangent on.",
        precise=r"A layer's backward pass needs its input alone: for $f_i(x) = x_i + (\sum_j W_{ij}x_j)^2$, $\partial(\sum_i G_if_i)/\partial x_j = G_j + 2\sum_i G_i(\sum_k W_{ik}x_k)W_{ij}$, from an $x$ that a "
        r"second run of the layers before it gives again. Cuts only group the product of Jacobians: $\sum_k\big(\sum_j G_jB_{jk}\big)A_{ki} = \sum_j G_j\sum_kB_{jk}A_{ki}$.",
        sources=(S1.at("Memory-Efficient Attention"), S1.at("Attention Memory Scaling"), S0.at("Gradient Checkpointing"), CHEN.at("section 4")),
        scope="every width; by induction every number of layers and every choice of segments; Jacobians of any layers in the grouping, one nonlinear layer worked out",
        assumes=("every layer is a function of its input: no new random numbers and no changed state in the second run",),
        holds=_segments_hold,
    )
)
def segments_are_exact() -> Iterator[Step]:
    x, up = sp.IndexedBase("x", real=True), sp.IndexedBase("G", real=True)
    W, after, before = (sp.IndexedBase(name, real=True) for name in ("W", "B", "A"))
    output = total(up[i] * (x[i] + total(W[i, k] * x[k], k) ** 2), i)
    yield Step(
        sp.Derivative(output, x[j]), "=", up[j] + 2 * total(up[i] * total(W[i, l] * x[l], l) * W[i, j], i),
        "the slope of a layer is a function of its input: the same input gives the same slope",
    )  # fmt: skip
    yield Step(
        total(total(up[j] * after[j, l], j) * before[l, i], l), "=", total(up[j] * total(after[j, l] * before[l, i], l), j),
        "and segments only choose which Jacobians are multiplied first, from the left in any case",
    )  # fmt: skip


Bits = Sequence[int]


def _dropped_slope(scores: Sequence[int], values: Sequence[int], drawn: Bits, again: Bits, kept: Fraction) -> tuple[list[arb], list[arb]]:
    """Gradients of Σ p_j M_j v_j/κ in the scores: of the value that the forward pass returned, by the quotient rule, and as recomputed with the second mask."""
    raised = [ball(x).exp() for x in scores]
    mass = sum(raised, arb(0))
    reached = sum((x * bit * y for x, bit, y in zip(raised, drawn, values, strict=True)), arb(0))
    true = [(x * bit * y * mass - x * reached) / mass**2 / ball(kept) for x, bit, y in zip(raised, drawn, values, strict=True)]
    weights = exact.softmax(scores)
    upstream = [ball(Fraction(bit * y) / kept) for bit, y in zip(again, values, strict=True)]
    mean = sum((x * y for x, y in zip(weights, upstream, strict=True)), arb(0))
    return true, [x * (y - mean) for x, y in zip(weights, upstream, strict=True)]


def _drawn_again(scores: Sequence[int], values: Sequence[int], drawn: Bits, again: Bits, kept: Fraction) -> Outcome:
    return equal(*_dropped_slope(scores, values, drawn, again, kept))


def _drawn_once(scores: Sequence[int], values: Sequence[int], drawn: Bits, again: Bits, kept: Fraction) -> Outcome:
    """The second mask is not used: the generator's state is restored, so the first comes again."""
    return equal(*_dropped_slope(scores, values, drawn, drawn, kept))


def _drawn_by_hand(scores: Sequence[int], values: Sequence[int], drawn: Bits, again: Bits, kept: Fraction) -> str:
    true, recomputed = _dropped_slope(scores, values, drawn, again, kept)
    weights = exact.softmax(scores)
    means = [sum((x * bit * y for x, bit, y in zip(weights, bits, values, strict=True)), arb(0)) for bits in (drawn, again)]
    return (
        f"Scores {list(scores)}, values v = {list(values)}, weights p = [{', '.join(map(show, weights))}], each kept with probability κ = {kept}. The forward pass draws the mask M = {list(drawn)}, so Σ p_j M_j v_j is {show(means[0])}, and its output has "
        f"the gradient p_i (M_i v_i − {show(means[0])})/κ: [{', '.join(map(show, true))}] in the scores. Computed again with a new mask, N = {list(again)}, the sum is {show(means[1])}, and the backward pass returns "
        f"[{', '.join(map(show, recomputed))}]: the gradient of another function than the one whose value was returned."
    )


mask = sp.IndexedBase("M", real=True)
redrawn = sp.IndexedBase("N", real=True)
kept_share = sp.Symbol("kappa", positive=True)


@derived(
    Claim(
        id="training_memory.recomputing-dropout",
        title="Recomputing the forward pass gives the same gradients, dropout or not",
        states="Gradient checkpointing: recompute activations during the backward pass. Nothing is said of random layers.",
        reading="Attention with dropout on its weights; the recomputation runs the function again, which draws again.",
        precise=r"$\partial/\partial s_i$ of the output $\sum_j p_j M_j v_j/\kappa$ that was returned is $p_i(N_i v_i - \sum_j p_j N_j v_j)/\kappa$ for the mask $N$ of the second run. With $N = M$ it is; "
        r"otherwise the two differ by $p_i\big((N_i - M_i)v_i - \sum_j p_j(N_j - M_j)v_j\big)/\kappa$.",
        sources=(S1.at("Memory-Efficient Attention"), S1.at("Attention Memory Scaling"), TORCH_CHECKPOINT),
        scope="one row of n keys and one entry of the values, any scores and masks",
        holds=_drawn_again,
        worked=_drawn_by_hand,
        unsaid="the state of the random number generator is restored, so that the recomputation draws the same mask",
        corrected_by="training_memory.restored-masks",
    )
)
def recomputing_dropout() -> Iterator[Step]:
    true = sp.Derivative(total(softmax(s, j) * mask[j] * v[j], j) / kept_share, s[i])
    recomputed = softmax(s, i) * (redrawn[i] * v[i] - total(softmax(s, j) * redrawn[j] * v[j], j)) / kept_share
    change = redrawn[i] - mask[i], redrawn[j] - mask[j]
    yield Step(
        recomputed - true, "=", softmax(s, i) * (change[0] * v[i] - total(softmax(s, j) * change[1] * v[j], j)) / kept_share,
        "every term has a factor N − M: no error with the same mask, and in general some with another",
    )  # fmt: skip


@derived(
    Claim(
        id="training_memory.restored-masks",
        title="With the same mask drawn again, recomputed gradients through dropout are exact",
        states="(Not in the text; it follows from the quotient rule.) The generator's state is restored before the recomputation.",
        precise=r"$\frac{\partial}{\partial s_i}\frac1\kappa\sum_j p_jM_jv_j = \frac{p_i}{\kappa}\big(M_iv_i - \sum_j p_jM_jv_j\big)$, with $p$ and $M$ computed again.",
        sources=(S1.at("Memory-Efficient Attention"), TORCH_CHECKPOINT.at("preserve_rng_state")),
        scope="one row of n keys and one entry of the values, any scores and masks",
        holds=_drawn_once,
    )
)
def restored_masks() -> Iterator[Step]:
    yield Step(
        sp.Derivative(total(softmax(s, j) * mask[j] * v[j], j) / kept_share, s[i]), "=",
        softmax(s, i) * (mask[i] * v[i] - total(softmax(s, j) * mask[j] * v[j], j)) / kept_share, "the quotient rule; the mask is a constant",
    )  # fmt: skip


# --- the function under "Activation Offloading" -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    numbers: int
    place: str


@dataclass(slots=True)
class Autograd:
    """What recorded operations do with numbers: each computes where its operands are, and keeps what its backward pass needs.

    A product needs both operands, a softmax its output; a division by a constant needs nothing. No tensor is kept twice. With hooks (as save_on_cpu sets them) a copy of
    what is kept is put on the place that they name, and fetched for the backward pass.
    """

    kept: list[Tensor] = field(default_factory=list)
    scores: int = 0
    hooks: str = ""

    def product(self, left: Tensor, right: Tensor, tall: int, wide: int, recording: bool) -> Tensor:
        return self._result(tall * wide, left, recording, left, right)

    def softmax(self, x: Tensor, recording: bool) -> Tensor:
        y = self._result(x.numbers, x, recording)
        self._keep(recording, y)
        return y

    def _result(self, numbers: int, like: Tensor, recording: bool, *needed: Tensor) -> Tensor:
        self._keep(recording, *needed)
        return Tensor(numbers=numbers, place=like.place)

    def _keep(self, recording: bool, *needed: Tensor) -> None:
        self.kept += [x for x in needed if recording and not any(x is y for y in self.kept)]

    def to(self, x: Tensor, place: str) -> Tensor:
        return Tensor(numbers=x.numbers, place=place)

    def between(self) -> list[Tensor]:
        """What is held between the passes for the backward pass."""
        return [self.to(x, self.hooks) if self.hooks else x for x in self.kept]

    def attention(self, q: Tensor, k: Tensor, v: Tensor, rows: int, keys: int, width: int, recording: bool) -> Tensor:
        """The text's inner function, line by line."""
        scores = self.product(q, k, rows, keys, recording)
        self.scores += scores.numbers
        return self.product(self.softmax(scores, recording), v, rows, width, recording)


def _inputs(rows: int, keys: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = (Tensor(numbers=size * width, place="accelerator") for size in (rows, keys, keys))
    return q, k, v


def _snippet(rows: int, keys: int, width: int) -> tuple[list[Tensor], list[Tensor], Autograd]:
    """`checkpointed_attention` on an accelerator: what outlives its forward pass, split into inputs and others, and the run after the backward pass has computed it again."""
    inputs = _inputs(rows, keys, width)
    run = Autograd()
    run.attention(*inputs, rows, keys, width, recording=False)
    run.kept += inputs  # what `checkpoint` keeps
    between = run.between()
    run.attention(*inputs, rows, keys, width, recording=True)
    return [x for x in between if any(x is y for y in inputs)], [x for x in between if not any(x is y for y in inputs)], run


def _plain_with_hooks(rows: int, keys: int, width: int) -> list[Tensor]:
    """Attention without a checkpoint, under hooks that copy to the CPU what autograd keeps."""
    run = Autograd(hooks="CPU")
    run.attention(*_inputs(rows, keys, width), rows, keys, width, recording=True)
    return run.between()


def _elsewhere(tensors: Sequence[Tensor]) -> bool:
    """Whether any of them lies anywhere but on the accelerator."""
    return any(x.place != "accelerator" for x in tensors)


def _offloads(rows: int, keys: int, width: int) -> Outcome:
    """Whether any activation lies elsewhere between the passes."""
    inputs, others, _ = _snippet(rows, keys, width)
    return decided(_elsewhere((*inputs, *others)))


def _recomputes(rows: int, keys: int, width: int) -> Outcome:
    """And that what `_offloads` looks for is found where there is something to find: with hooks that offload."""
    inputs, others, run = _snippet(rows, keys, width)
    kept = sum(x.numbers for x in inputs) == (rows + 2 * keys) * width and not others
    recorded = sum(x.numbers for x in run.kept) == (rows + 2 * keys) * width + rows * keys
    moved = _plain_with_hooks(rows, keys, width)
    offloaded = _elsewhere(moved) and sum(x.numbers for x in moved if x.place == "CPU") == (rows + 2 * keys) * width + rows * keys
    return decided(kept and recorded and run.scores == 2 * rows * keys and not _elsewhere(run.kept) and offloaded)


def _snippet_by_hand(rows: int, keys: int, width: int) -> str:
    inputs, others, run = _snippet(rows, keys, width)
    return (
        f"n_q = {rows}, n_k = {keys}, d = {width}, all on an accelerator. Every line of the inner function computes where its operands are; none copies to a CPU or writes a file. "
        f"After the forward pass `checkpoint` keeps q, k and v ({sum(x.numbers for x in inputs)} numbers, on the accelerator) and {sum(x.numbers for x in others)} "
        f"intermediate numbers, anywhere. The {rows * keys} score(s) are computed again in the backward pass: {run.scores} in all."
    )


snippet_offloads = Claim(
    id="training_memory.snippet-offloads",
    title="`checkpointed_attention` stores activations on CPU or disk",
    states="Activation offloading: store intermediate activations on CPU or disk. A function `checkpointed_attention` follows, which calls `checkpoint`.",
    reading="The function does what the line above it says: between the passes, some of its activations (numbers that the forward pass computes, or its inputs; not the state of a random number generator) lie on another place than the accelerator that computes them.",
    precise="After the forward pass of `checkpoint(attention_fn, q, k, v)`, some activations that are kept are on the CPU or on disk.",
    sources=(S0.at("Activation Offloading"),),
    scope="inputs on an accelerator, every size",
    kind=Kind.COST,
    inventory=("C141",),
    holds=_offloads,
    worked=_snippet_by_hand,
    corrected_by="training_memory.snippet-recomputes",
)


@derived(
    Claim(
        id="training_memory.snippet-recomputes",
        title="`checkpointed_attention` keeps q, k and v where they are, stores no activation, and computes the scores twice",
        states="(Not in the text; it follows from what its lines do.) The function is gradient checkpointing; offloading needs a copy, such as the hooks of torch.autograd.graph.save_on_cpu.",
        precise=r"Kept between the passes: $(n_q + 2n_k)d$ activations, the inputs, on the accelerator, and no other. Computed: $2n_qn_k$ scores. While the backward pass runs, $n_qn_k$ weights "
        r"are held as without it, so the peak of a single call does not fall. Attention without `checkpoint`, under hooks that copy what is kept to the CPU, does leave $(n_q + 2n_k)d + n_qn_k$ numbers there.",
        sources=(S0.at("Activation Offloading"), TORCH_CHECKPOINT),
        scope="inputs on an accelerator, every size",
        kind=Kind.COST,
        inventory=("C141",),
        holds=_recomputes,
    )
)
def snippet_recomputes() -> Iterator[Step]:
    rows = sp.Symbol("n_q", integer=True, positive=True)
    once = sp.Sum(sp.Sum(sp.S.One, (j, 1, n)), (i, 1, rows))
    inputs = sp.Sum(sp.Sum(sp.S.One, (a, 1, d)), (i, 1, rows)) + 2 * sp.Sum(sp.Sum(sp.S.One, (a, 1, d)), (j, 1, n))
    yield Step(inputs, "=", (rows + 2 * n) * d, "queries, keys and values are kept")
    yield Step(once + once, "=", 2 * rows * n, "a score for each of the n_q n_k pairs, in either pass")


# --- bytes ------------------------------------------------------------------------------------------------------------------------------

PLAIN = {"weights": 4, "gradients": 4, "first moments": 4, "second moments": 4}
MIXED = {"weights": 2, "gradients": 2, "master weights": 4, "first moments": 4, "second moments": 4}  # bytes a parameter
WHOLE, HALVED = 4, 2  # bytes of an activation


def _bytes(parameters: int, activations: int) -> tuple[int, int]:
    """Bytes of a training step with Adam, in float32 and in mixed precision, tensor by tensor."""
    plain = sum(size for _ in range(parameters) for size in PLAIN.values()) + sum(WHOLE for _ in range(activations))
    mixed = sum(size for _ in range(parameters) for size in MIXED.values()) + sum(HALVED for _ in range(activations))
    return plain, mixed


def _about_half(parameters: int, activations: int) -> Outcome:
    """A reduction that rounds to 50 %, to whole tens: from 45 % to 55 %."""
    plain, mixed = _bytes(parameters, activations)
    return decided(45 * plain <= 100 * (plain - mixed) <= 55 * plain)


def _byte_count(parameters: int, activations: int) -> Outcome:
    plain, mixed = _bytes(parameters, activations)
    exactly = (plain, mixed) == (16 * parameters + 4 * activations, 16 * parameters + 2 * activations)
    near_half = 100 * (plain - mixed) >= 45 * plain
    return decided(exactly and 2 * (plain - mixed) < plain and near_half == (activations >= 36 * parameters))


def _half_by_hand(parameters: int, activations: int) -> str:
    plain, mixed = _bytes(parameters, activations)
    return (
        f"{parameters} parameter(s), {activations} stored activation(s). In float32: 4 bytes each for a weight, its gradient and Adam's two moments, 4 for an activation: "
        f"{plain} bytes. Mixed: 2 for a weight and 2 for its gradient, 4 for the master weight and for each moment, 2 for an activation: {mixed} bytes. "
        f"That saves {Fraction(plain - mixed, plain)} of the memory, {100 * (plain - mixed) / plain:.1f} %."
    )


parameter_count, activation_count = sp.Symbol("N", positive=True), sp.Symbol("A", nonnegative=True)


@derived(
    Claim(
        id="training_memory.half-of-memory",
        title="Mixed precision halves training memory",
        states="Mixed precision training (FP16 forward, FP32 for critical operations): memory reduction of about 50 %.",
        reading="Bytes that a training step with Adam holds for weights, gradients, moments and stored activations; about 50 % means 45 % to 55 %.",
        precise=r"The share saved is $\frac{2A}{16N + 4A}$ for $N$ parameters and $A$ stored activations, which is at least $\frac{9}{20}$ if $A \ge 36N$ (written $A = 36N + x$), and 0 if $A = 0$.",
        sources=(S0.at("Mixed Precision Training"), MICIKEVICIUS.at("section 3.1"), RAJBHANDARI.at("section 3.1")),
        scope="Adam with float32 moments and float32 master weights; every activation stored in half precision; every N ≥ 1 and A ≥ 0",
        kind=Kind.COST,
        inventory=("C142",),
        uses=("training_memory.bytes",),
        holds=_about_half,
        worked=_half_by_hand,
        unsaid="only stored activations count, or there are at least 36 of them for every parameter",
        corrected_by="training_memory.bytes",
    )
)
def half_of_memory() -> Iterator[Step]:
    more = sp.Symbol("x", nonnegative=True)
    count = 36 * parameter_count + more
    plain, mixed = (sum(table.values()) * parameter_count + size * count for table, size in ((PLAIN, WHOLE), (MIXED, HALVED)))
    yield Step(sp.Rational(9, 20) * plain, "<=", plain - mixed, "with A = 36N + x activations at least 45 % of all bytes are saved", certificate=more / 5)


@derived(
    Claim(
        id="training_memory.bytes",
        title="Mixed precision takes 16 bytes a parameter, as float32 does, and halves activations alone",
        states="(Not in the text; it follows from counting.) Bytes of a training step with Adam.",
        reading="Float32: weight, gradient, two moments, 4 bytes each. Mixed: weight and gradient of 2 bytes, master weight and two moments of 4.",
        precise=r"$16N + 2A$ bytes instead of $16N + 4A$. The share saved is $\frac{A}{8N + 2A} < \frac12$: nothing for $A = 0$, half in the limit of many activations a parameter; "
        r"it rounds to 50 %, to whole tens, exactly if $A \ge 36N$.",
        sources=(S0.at("Mixed Precision Training"), MICIKEVICIUS.at("section 3.1"), RAJBHANDARI.at("section 3.1")),
        scope="Adam with float32 moments and float32 master weights; every activation stored in half precision; every N ≥ 1 and A ≥ 0",
        kind=Kind.COST,
        inventory=("C142",),
        holds=_byte_count,
    )
)
def byte_count() -> Iterator[Step]:
    plain, mixed = (sum(table.values()) * parameter_count + size * activation_count for table, size in ((PLAIN, WHOLE), (MIXED, HALVED)))
    by_tensor = [sp.Add(*(sp.UnevaluatedExpr(size * parameter_count) for size in table.values())) for table in (PLAIN, MIXED)]
    yield Step(
        by_tensor[0] + WHOLE * activation_count, "=", 16 * parameter_count + 4 * activation_count, "float32: 4 bytes each for weight, gradient and two moments"
    )
    yield Step(
        by_tensor[1] + HALVED * activation_count, "=", 16 * parameter_count + 2 * activation_count,
        "mixed: 2 bytes each for weight and gradient, 4 each for master weight and two moments, the same in all",
    )  # fmt: skip
    share = (plain - mixed) / plain
    yield Step(
        share,
        "<",
        sp.Rational(1, 2),
        "2A over 16N + 4A is less than a half",
        certificate=16 * parameter_count / (2 * (16 * parameter_count + 4 * activation_count)),
    )


def _kept_bytes(rows: int, keys: int, width: int, half: bool) -> int:
    """Bytes kept for the backward pass of attention as written: both operands of each product, and the softmax's output in the precision it was computed in."""
    small = HALVED if half else WHOLE
    kept = {("q", small): rows * width, ("k", small): keys * width, ("v", small): keys * width}
    kept["softmax", WHOLE] = rows * keys  # softmax, computed in float32, needs its own output
    kept["softmax", small] = rows * keys  # the product with V needs its operand: another tensor if it is of another type
    return sum(numbers * size for (_, size), numbers in kept.items())


def _softmax_kept_twice(rows: int, keys: int, width: int) -> Outcome:
    plain, mixed = (_kept_bytes(rows, keys, width, half) for half in (False, True))
    sizes = 4 * rows * keys + 4 * (rows + 2 * keys) * width, 6 * rows * keys + 2 * (rows + 2 * keys) * width
    return decided((plain, mixed) == sizes and (mixed > plain) == (rows * keys > (rows + 2 * keys) * width))


@derived(
    Claim(
        id="training_memory.softmax-kept-twice",
        title="With its softmax in float32, attention as written keeps more bytes in mixed precision than without, for long sequences",
        states="FP16 for the forward pass, FP32 for critical operations: memory falls by about 50 %.",
        reading="The three lines of attention with scores and both products in float16 and the softmax in float32 (the critical operation); what autograd keeps for their backward pass.",
        precise=r"Float32: $4(n_qn_k + (n_q + 2n_k)d)$ bytes, the weights being one tensor for softmax and for the product. Mixed: $(4 + 2)n_qn_k + 2(n_q + 2n_k)d$, the weights in float32 for "
        r"softmax and in float16 for the product. With $n$ queries and keys that is more once $n > 3d$ (written $n = 3d + x$), and tends to $\tfrac32$ of it.",
        sources=(S0.at("Mixed Precision Training"), TORCH_AMP.at("ops that autocast to float32")),
        scope="attention as written, no fused kernel and no checkpoint; every n_q, n_k and d = d_v",
        kind=Kind.COST,
        inventory=("C142",),
        holds=_softmax_kept_twice,
    )
)
def softmax_kept_twice() -> Iterator[Step]:
    more = sp.Symbol("x", integer=True, positive=True)
    length = 3 * d + more
    plain, mixed = WHOLE * length**2 + 3 * WHOLE * length * d, (WHOLE + HALVED) * length**2 + 3 * HALVED * length * d
    yield Step(WHOLE * per_pair(1) + WHOLE * 3 * per_row(d), "=", 4 * n**2 + 12 * n * d, "float32: Q, K, V and one matrix of weights")
    yield Step((WHOLE + HALVED) * per_pair(1) + HALVED * 3 * per_row(d), "=", 6 * n**2 + 6 * n * d, "mixed: two matrices of weights")
    yield Step(mixed, "<", sp.Rational(3, 2) * plain, "by less than a half", certificate=12 * length * d)
    yield Step(plain, "<", mixed, "with n = 3d + x the second is larger", certificate=2 * length * more)


# --- how much faster --------------------------------------------------------------------------------------------------------------------


def _speed(share: Fraction, factor: int) -> Fraction:
    """How many times faster a step is if operations that take `share` of its time become `factor` times faster."""
    return 1 / (1 - share + share / factor)


def _amdahl(share: Fraction, factor: int) -> Outcome:
    speed = _speed(share, factor)
    within = factor != 2 or (speed >= Fraction(3, 2)) == (share >= Fraction(2, 3))
    saved = share * (1 - Fraction(1, factor))
    within &= (Fraction(3, 2) <= speed <= 2) == (Fraction(1, 3) <= saved <= Fraction(1, 2))
    return decided(1 <= speed <= factor and speed * (1 - share) <= 1 and within)


mixed_precision_speed = Claim(
    id="training_memory.mixed-precision-speed",
    title="Mixed precision makes training 1.5 to 2 times faster",
    states="Mixed precision: 1.5-2x speed improvement on modern hardware.",
    reading="The time of a training step, before and after, on the hardware and with the model that are meant.",
    precise="None: no hardware, model, size or baseline is named.",
    sources=(S0.at("Mixed Precision Training"),),
    scope="-",
    inventory=("C143",),
    not_checkable="It is an observation about time, and the text names no hardware, model or baseline. What can be checked is what any such factor is made of, training_memory.amdahl: if the operations that gain take a share f of the time and become σ times as fast, "
    "the step is 1.5 to 2 times as fast exactly if f(1 − 1/σ) lies from 1/3 to 1/2, which depends on model and machine.",
)


@derived(
    Claim(
        id="training_memory.amdahl",
        title="What half precision can gain: at most σ, and at most 1/(1 − f)",
        states="(Not in the text; it follows from the definition of a share of the time.) What a speed-up of some operations does to the whole.",
        reading="A part β of a step's time is divided by σ, a part α stays.",
        precise=r"$\frac{\alpha + \beta}{\alpha + \beta/\sigma}$ lies between 1 and $\sigma$, and below $\frac{\alpha + \beta}{\alpha}$: with $f = \beta/(\alpha + \beta)$, at most $1/(1 - f)$. At $\sigma = 2$ it reaches "
        r"$\frac32$ exactly if $f \ge \frac23$. For any $\sigma$ it lies "
        r"from $\frac32$ to 2 exactly if $\frac13 \le g \le \frac12$, where $g = f(1 - 1/\sigma)$ is the share of the time that is saved.",
        sources=(S0.at("Mixed Precision Training"), AMDAHL),
        scope="all times α > 0, β > 0 and factors σ > 1 (written 1 + ρ)",
        inventory=("C143",),
        holds=_amdahl,
    )
)
def amdahl() -> Iterator[Step]:
    stays, gains, rho = sp.symbols("alpha beta rho", positive=True)
    after = stays + gains / (1 + rho)
    before = stays + gains
    saved = gains / before * (1 - 1 / (1 + rho))
    yield Step(after, "=", before * (1 - saved), "g = f(1 − 1/σ) of the time is saved: so the gain is 1/(1 − g)")
    room, more = sp.Symbol("y", positive=True), sp.Symbol("x", nonnegative=True)
    third, half = sp.Rational(1, 3), sp.Rational(1, 2)
    yield Step(1 - (third + more), "<=", 2 * third, "g = 1/3 + x: at most 2/3 is left, so 1.5 times as fast or more", certificate=more)
    yield Step(2 * third, "<", 1 - (third - room), "g = 1/3 − y: more is left, and it is less than 1.5 times as fast", certificate=room)
    yield Step(half, "<=", 1 - (half - more), "g = 1/2 − x: no less than 1/2 is left, so twice as fast at the most", certificate=more)
    yield Step(1 - (half + room), "<", half, "g = 1/2 + y: less is left, and it is more than twice as fast", certificate=room)
    yield Step(
        before, "=", sp.Rational(3, 2) * sp.UnevaluatedExpr(stays + gains / 2) + (gains - 2 * stays) / 4,
        "σ = 2: 1.5 times as fast if β ≥ 2α, which is f ≥ 2/3, and not otherwise",
    )  # fmt: skip
    yield Step(after, "<", before, "some time is gained", certificate=gains * rho / (1 + rho))
    yield Step(before / after, "<", 1 + rho, "less than σ, because α stays", certificate=rho * stays / after)
    yield Step(before / after, "<", before / stays, "and less than 1/(1 − f), because β/σ is left", certificate=before * gains / ((1 + rho) * after * stays))


def _moved(queries: int, keys: int, width: int, block_rows: int) -> tuple[int, int, int]:
    """Numbers moved between slow and fast memory, operand by operand: by standard attention, by the tiled loop with Q outside, and by any algorithm at least."""
    standard = queries * width + keys * width + queries * keys  # QKᵀ: read Q and K, write the scores
    standard += 2 * queries * keys  # softmax: read scores, write weights
    standard += queries * keys + keys * width + queries * width  # PV: read P and V, write the output
    tiled = sum(2 * len(rows) * width + 2 * keys * width for rows in cut(queries, block_rows))
    return standard, tiled, 2 * queries * width + 2 * keys * width


def _times_faster(queries: int, keys: int, width: int, block_rows: int, ridge: int) -> tuple[Fraction, Fraction]:
    """Of the tiled loop, and at the most, on the roofline: time is the larger of operations (the same for all) and `ridge` times the numbers moved."""
    operations = 4 * queries * keys * width
    standard, tiled, least = (max(operations, ridge * moved) for moved in _moved(queries, keys, width, block_rows))
    return Fraction(standard, tiled), Fraction(standard, least)


def _tiled_traffic(blocks: int, block: int, width: int) -> Outcome:
    """What both loops move, counted, and how many times as much the standard one does: at least twice exactly for blocks of at least d rows, at most four times for blocks of at most 2d."""
    length = blocks * block
    standard, tiled, _ = _moved(length, length, width, block)
    counted = standard == 4 * length**2 + 4 * length * width and tiled == 2 * length * width + 2 * blocks * length * width
    return decided(counted and (2 * tiled <= standard) == (width <= block) and (block > 2 * width or standard <= 4 * tiled))


def _roofline(queries: int, keys: int, width: int, block_rows: int, ridge: int) -> Outcome:
    tiled, most = _times_faster(queries, keys, width, block_rows, ridge)
    traffic = 1 + Fraction(2 * queries * keys, width * (queries + keys))
    standard, _, least = _moved(queries, keys, width, block_rows)
    one_query = queries > 1 or most < 1 + Fraction(2, width)
    return decided(tiled <= most <= traffic == Fraction(standard, least) and one_query)


flash_speed = Claim(
    id="training_memory.flash-speed",
    title="FlashAttention is 2 to 4 times faster, in training and inference",
    states="2-4x speedup: faster training and inference.",
    reading="The time of training and of inference with FlashAttention against that with standard attention, on the hardware and at the sizes that are meant.",
    precise="None: no hardware, sizes or baseline are named.",
    sources=(S1.at("Flash Attention"),),
    scope="-",
    inventory=("C117",),
    not_checkable="It is an observation about time, and the text names no hardware, sizes or baseline. What can be checked is where a speed-up comes from, the numbers moved. training_memory.tiled-traffic: with whole blocks of d to 2d rows and as many queries as keys, the forward pass moves "
    "2 to 4 times less. training_memory.roofline: with the same operations no exact attention gains more than the ratio of the traffic, which is below 1 + 2/d for one query, as in token-by-token generation.",
)


@derived(
    Claim(
        id="training_memory.tiled-traffic",
        title="In whole blocks of d to 2d query rows, the tiled forward pass moves 2 to 4 times fewer numbers than standard attention",
        states="(Not in the text; it follows from counting.) What the tiled loop moves between slow and fast memory, and what standard attention moves.",
        reading="Standard attention writes the scores, reads them, writes the weights and reads them. In the tiled loop blocks of queries are the outer loop: each is read once, with all keys and values, and its outputs are written once.",
        precise=r"With $n$ queries and keys, and $R$ whole blocks of $B$ rows, $n = RB$: standard attention moves $4n^2 + 4nd$ numbers, the tiled loop $2nd + 2Rnd$. The "
        r"ratio is at least 2 if $d \le B$ (and only then) and at most 4 if $B \le 2d$ (written $B = 2x + y$, $d = x + y$).",
        sources=(S1.at("Flash Attention"), S0.at("Algorithmic Steps"), DAO.at("theorem 2"), WILLIAMS),
        scope="the forward pass, numbers of one size, as many queries as keys; Q is the outer loop; no time is measured. A remark: where traffic limits both loops, this is the ratio of their times",
        kind=Kind.COST,
        inventory=("C117",),
        uses=("cost.loads-with-queries-outside",),
        holds=_tiled_traffic,
    )
)
def tiled_traffic() -> Iterator[Step]:
    x = sp.Symbol("x", integer=True, nonnegative=True)
    y = sp.Symbol("y", integer=True, positive=True)
    blocks = sp.Symbol("R", integer=True, positive=True)
    short, room = sp.symbols("B y", integer=True, positive=True)
    length, width = blocks * short, short + room
    yield Step(
        4 * length**2 + 4 * length * width, "<", 2 * (2 * length * width + 2 * blocks * length * width), "blocks shorter than d = B + y: less than twice the traffic",
        certificate=4 * length * blocks * room,
    )  # fmt: skip
    block, width = 2 * x + y, x + y
    length = blocks * block
    standard, tiled = 4 * length**2 + 4 * length * width, 2 * length * width + 2 * blocks * length * width
    yield Step(standard, "<=", 4 * tiled, "B ≤ 2d: at most four times", certificate=4 * length * width + 4 * length * blocks * y)
    yield Step(2 * tiled, "<=", standard, "and d ≤ B: at least twice", certificate=4 * length * blocks * x)


@derived(
    Claim(
        id="training_memory.roofline",
        title="With the same operations no exact attention is, on the roofline, more than 1 + 2 n_q n_k / (d (n_q + n_k)) times as fast as standard attention",
        states="(Not in the text; it follows from the roofline model.) What the numbers moved say about a speed-up.",
        reading="Any algorithm reads Q, K, V and writes the output, and performs as many operations; a time is the larger of operations and of numbers moved, each over its rate.",
        precise=r"Standard attention moves $4n_qn_k + 2(n_q + n_k)d$ numbers, any algorithm at least $2(n_q + n_k)d$. The ratio of times is at most the ratio of traffic, $1 + \frac{2n_qn_k}{d(n_q + n_k)}$: less than "
        r"$1 + \frac2d$ for one query, so no factor 2 in token-by-token generation for $d \ge 2$, and at least 2 only for $\frac{2n_qn_k}{n_q + n_k} \ge d$.",
        sources=(S1.at("Flash Attention"), DAO.at("theorem 2"), WILLIAMS),
        scope="the forward pass on given Q, K, V that do not stay in fast memory; every n_q, n_k and d = d_v",
        assumes=("both perform the same operations; FlashAttention performs those of standard attention, and a few more to rescale",),
        kind=Kind.COST,
        inventory=("C117",),
        holds=_roofline,
    )
)
def roofline() -> Iterator[Step]:
    rows, keys = sp.symbols("n_q n_k", integer=True, positive=True)
    least, more = 2 * rows * d + 2 * keys * d, 4 * rows * keys
    scores = sp.Sum(sp.Sum(sp.S.One, (j, 1, keys)), (i, 1, rows))
    tables = sp.Sum(sp.Sum(2 * sp.S.One, (a, 1, d)), (i, 1, rows)) + sp.Sum(sp.Sum(2 * sp.S.One, (a, 1, d)), (j, 1, keys))
    yield Step(tables + 4 * scores, "=", least + more, "Q, K, V and the output once each; scores and weights written and read")
    time, extra, ratio = sp.Symbol("F", positive=True), sp.Symbol("x", nonnegative=True), sp.Symbol("rho", nonnegative=True)
    moved = sp.Symbol("M", positive=True)
    yield Step(
        time,
        "<=",
        (1 + ratio) * time,
        "operations limit both, F ≥ (1 + ρ)M: the times are equal, which is no more than a factor 1 + ρ",
        certificate=ratio * time,
    )
    yield Step(
        (1 + ratio) * moved,
        "<=",
        (1 + ratio) * (moved + extra),
        "moving (1 + ρ)M limits one, and the other takes M, or more where operations limit it",
        certificate=(1 + ratio) * extra,
    )
    yield Step(
        (1 + 2 * rows * keys / (d * (rows + keys))).subs(rows, 1), "<", 1 + 2 / d, "one query: what the bound below is then", certificate=2 / (d * (1 + keys))
    )
    yield Step((least + more) / least, "=", 1 + 2 * rows * keys / (d * (rows + keys)), "so the bound is the ratio 1 + ρ of the traffic")


# --- gradients in half precision --------------------------------------------------------------------------------------------------------


Binary = tuple[int, int]  # significand and exponent


def _dyadic(significand: int, exponent: int) -> Fraction:
    return significand * Fraction(2) ** exponent


def _smallest(fmt: Format) -> Fraction:
    """The smallest positive number of the format, a subnormal one."""
    return Fraction(2) ** (fmt.bottom - fmt.bits + 1)


def _infinite_from(fmt: Format) -> Fraction:
    """Half a unit above the largest number: from here on rounding gives infinity (the tie goes there too)."""
    return fmt.largest + Fraction(2) ** (fmt.top - fmt.bits)


def _sizes(gradients: Sequence[Binary]) -> list[Fraction]:
    return [abs(_dyadic(*gradient)) for gradient in gradients]


def _loss_scaling(gradients: Sequence[Binary], scale: Binary) -> Outcome:
    """What float16 makes of gradients: each without a scale and with this one, and whether any scale serves them all."""
    small, infinite, factor = _smallest(HALF) / 2, _infinite_from(HALF), _dyadic(*scale)
    right = True
    for size in _sizes(gradients):
        stored = HALF.rounded(size * factor)
        right &= (HALF.rounded(size) == 0) == (size <= small)
        right &= (stored == 0) == (size * factor <= small) and (stored == INFINITE) == (size * factor >= infinite)
        if scale[0] == 1 and Fraction(2) ** HALF.bottom <= size * factor < infinite:
            right &= stored == size * factor
    least, most = min(_sizes(gradients)), max(_sizes(gradients))
    if most * small >= least * infinite:
        right &= HALF.rounded(least * factor) == 0 or HALF.rounded(most * factor) == INFINITE
    else:
        between = (small / least + infinite / most) / 2
        right &= all(HALF.rounded(size * between) not in (0, INFINITE) for size in _sizes(gradients))
    return decided(right)


grid = sp.Symbol("eta", positive=True)  # the distance of neighbouring subnormal numbers, which is the smallest positive number
infinite_from = sp.Symbol("Omega", positive=True)  # rounding gives infinity from here on


loss_scaling_required = Claim(
    id="training_memory.loss-scaling-required",
    title="Training in FP16 requires loss scaling",
    states="Mixed precision with FP16: numerical stability requires careful loss scaling.",
    reading="Without a scale of the loss, training in float16 is not stable, or ends at a worse model.",
    precise="None: which gradients a training step has, and which of them it can lose, depends on model, data and loss, and none is named.",
    sources=(S0.at("Mixed Precision Training"),),
    scope="-",
    inventory=("C144",),
    not_checkable="Whether a training needs a scale depends on how small its gradients are and on how much it suffers if some are lost; the text names no model. What can be checked is what float16 does to a gradient: training_memory.loss-scaling (gradients of at most 2^−25 become 0, a scale saves "
    "them, and one that is too large makes others infinite, which is why it has to be chosen), training_memory.loss-scale-is-exact, and training_memory.bfloat16-range (a format that needs none for this).",
)


@derived(
    Claim(
        id="training_memory.loss-scaling",
        title="Small gradients vanish in float16 unless the loss is scaled, and too large a scale makes others infinite",
        states="(Implied.) Numerical stability requires careful loss scaling with FP16: some gradients need a scale, and not every scale serves them all.",
        reading="Gradients well inside float32's range that float16 turns into 0 and a scale of the loss saves; too large a scale turns others into infinity, so it has to be chosen. "
        "(Training whose gradients all stay between the thresholds needs none.)",
        precise=r"With $\eta$ the smallest positive number ($2^{-24}$ in float16): every $0 < g < \eta/2$ is nearer to 0 than to any other number of the format ($g = \eta/2$ is a tie, which goes to 0). Scaled by $2^k$ into "
        r"the normal range, a float16 number survives exactly. Rounding gives infinity from $\Omega$ on, half a unit above the largest number ($65520$ in float16). For gradients $g \le h$: a scale $c$ saves $g$ if $c > \eta/2g$, and leaves $h$ "
        r"finite if $ch < \Omega$. If $h/g \ge 2\Omega/\eta$, every $c$ that saves $g$ makes $ch > \Omega$: no constant scale serves both. If $h/g < 2\Omega/\eta$, the mean of $\eta/2g$ and $\Omega/h$ does.",
        sources=(S0.at("Mixed Precision Training"), MICIKEVICIUS.at("section 3.2"), TORCH_AMP.at("gradient scaling")),
        scope="every format with subnormal numbers, rounding to nearest, scales of any size; gradients of up to 11 significant bits in the runs, which are in float16",
        inventory=("C144",),
        uses=("training_memory.loss-scale-is-exact",),
        holds=_loss_scaling,
    )
)
def loss_scaling() -> Iterator[Step]:
    largest, half_unit = (sp.UnevaluatedExpr(sp.Integer(int(x))) for x in (HALF.largest, _infinite_from(HALF) - HALF.largest))
    yield Step(largest + half_unit, "=", sp.Integer(65520), "float16: half a unit, 16, above the largest number, 65504, is 65520")
    gradient, spare, more = sp.symbols("g x y", positive=True)
    multiple = sp.Symbol("k", integer=True, nonnegative=True)
    spaced = 2 * gradient + spare  # η
    yield Step(
        gradient, "<", (1 + multiple) * spaced - gradient, "η = 2g + x: 0 is nearer to g than (1 + k)η is, for every k ≥ 0, so g becomes 0",
        certificate=spare + multiple * spaced,
    )  # fmt: skip
    over = sp.Symbol("y", nonnegative=True)
    scale, large = grid / (2 * gradient) + spare, 2 * infinite_from * gradient / grid + over
    held = sp.Symbol("h", positive=True)
    limit = (held + more) * grid / (2 * gradient)  # Ω, where h + y = 2Ωg/η
    mean = (grid / (2 * gradient) + limit / held) / 2
    yield Step(grid / 2, "<", mean * gradient, "with h = 2Ωg/η − y, the mean of η/2g and Ω/h saves g", certificate=more * grid / (4 * held))
    yield Step(mean * held, "<", limit, "and leaves h finite: a constant scale for both", certificate=more * grid / (4 * gradient))
    yield Step(
        infinite_from, "<", scale * large, "no such scale: c = η/(2g) + x saves g; with h = 2Ωg/η + y it makes c h overflow",
        certificate=over * grid / (2 * gradient) + spare * large,
    )  # fmt: skip


def _brain_range(significand: int, exponent: int) -> Outcome:
    """A normal float32 number in bfloat16: not 0, not infinite (but for the last half unit), and off by at most 2^−8 of itself."""
    x = _dyadic(significand, exponent)
    if SINGLE.rounded(x) != x or x < Fraction(2) ** SINGLE.bottom:
        return Outcome.HELD  # no normal number of float32
    stored = BRAIN.rounded(x)
    if x >= BRAIN.largest + Fraction(2) ** (BRAIN.top - BRAIN.bits):
        return decided(stored == INFINITE)
    return decided(isinstance(stored, Fraction) and stored > 0 and abs(stored - x) * 2**BRAIN.bits <= x)


@derived(
    Claim(
        id="training_memory.bfloat16-range",
        title="In bfloat16 no gradient that float32 holds as a normal number vanishes",
        states="Mixed precision with FP16: numerical stability requires careful loss scaling. (Other formats are not mentioned; bfloat16 has the range of float32.)",
        precise=r"bfloat16 has the smallest and largest exponent of float32, so $x = 2^e(1 + f)$, $-126 \le e \le 127$, $0 \le f < 1$, is rounded to one of 8 significant bits: off by at most $2^{e-8} \le 2^{-8}x$ (so not to 0). Only the half "
        r"unit below $2^{128}$ becomes infinite.",
        sources=(KALAMKAR, S0.at("Mixed Precision Training")),
        scope="every normal number of float32; its subnormal ones, below 2^−126, may still vanish",
        holds=_brain_range,
    )
)
def bfloat16_range() -> Iterator[Step]:
    parts = [(sp.UnevaluatedExpr(sp.Integer(_sign_bit(x) + 1)), sp.UnevaluatedExpr(sp.Integer(x.bits - 1))) for x in (SINGLE, BRAIN)]
    yield Step(
        parts[0][0] - 1 - parts[0][1],
        "=",
        parts[1][0] - 1 - parts[1][1],
        "all bits but the sign and the fraction: both formats have 8 for the exponent, so they share the smallest and the largest",
    )
    top = sp.Symbol("E", integer=True)  # 127
    below = (2 - sp.Rational(1, 2 ** (BRAIN.bits - 1))) * 2**top  # the largest number
    yield Step(
        2 ** (top + 1) - (below + 2 ** (top - BRAIN.bits)),
        "=",
        2 ** (top - BRAIN.bits),
        "with the largest exponent E = 127: rounding gives infinity from half a unit, 2^119, below 2^128 on",
    )
    power, fraction = sp.Symbol("u", positive=True), sp.Symbol("f", nonnegative=True)  # u is 2^e
    half_unit = power * sp.Rational(1, 2**BRAIN.bits)
    yield Step(
        half_unit,
        "<=",
        sp.Rational(1, 2**8) * power * (1 + fraction),
        "half a unit of 8 bits is at most 2^−8 of the number",
        certificate=fraction * power / 2**8,
    )
    yield Step(
        sp.S.Zero,
        "<",
        power * (1 + fraction) - half_unit,
        "so what is stored is not 0",
        certificate=power * (1 - sp.Rational(1, 2**BRAIN.bits)) + power * fraction,
    )


@dataclass(slots=True)
class Emulated:
    """Operations of a format, each rounded; `inside` stays true while every exact result is 0 or in the normal range."""

    fmt: Format
    inside: bool = True

    def rounded(self, x: Fraction) -> Fraction:
        self.inside &= x == 0 or Fraction(2) ** self.fmt.bottom <= abs(x) <= self.fmt.largest
        stored = self.fmt.rounded(x)
        return stored if isinstance(stored, Fraction) else Fraction(0)  # not inside: nothing is said

    def dot(self, left: Sequence[Fraction], right: Sequence[Fraction]) -> Fraction:
        sofar = Fraction(0)
        for x, y in zip(left, right, strict=True):
            sofar = self.rounded(sofar + self.rounded(x * y))
        return sofar

    def backward(self, weights: Sequence[Fraction], values: Sequence[Fraction], keys: Sequence[Fraction], cotangent: Fraction) -> list[Fraction]:
        """One row: dP, D = Σ P dP, dS = P (dP − D), dq = Σ dS k, all of them."""
        received = self.rounded(cotangent)
        upstream = [self.rounded(received * x) for x in values]
        mean = self.dot(weights, upstream)
        slopes = [self.rounded(x * self.rounded(y - mean)) for x, y in zip(weights, upstream, strict=True)]
        return [*upstream, mean, *slopes, self.dot(slopes, keys)]


def _scale_is_exact(weights: Sequence[Fraction], values: Sequence[Fraction], keys: Sequence[Fraction], cotangent: Fraction, scale: int) -> Outcome:
    """Every number of the backward pass, with and without the scale 2^scale; nothing is said where one leaves the normal range."""
    plain, scaled = Emulated(HALF), Emulated(HALF)
    factor = Fraction(2) ** scale
    numbers = plain.backward(weights, values, keys, cotangent)
    moved = scaled.backward(weights, values, keys, cotangent * factor)
    if not (plain.inside and scaled.inside):
        return Outcome.HELD
    return decided(moved == [x * factor for x in numbers])


@derived(
    Claim(
        id="training_memory.loss-scale-is-exact",
        title="A loss scale of 2^k changes no bit of a gradient but its exponent, while all numbers stay in the normal range",
        states="Mixed precision with FP16: numerical stability requires careful loss scaling. (What a scale, divided out again, does to the gradients that need none is not said.)",
        reading="Every number of the backward pass is multiplied by 2^k, rounding included, so that dividing by 2^k restores what an unscaled pass computes.",
        precise=r"The backward pass is linear in the cotangent: $p_i(\lambda y_i - \sum_j p_j\lambda y_j) = \lambda\,p_i(y_i - \sum_j p_jy_j)$. At $\lambda = 2^k$ it commutes with rounding to $p$ bits: numbers between $2^e$ and $2^{e+1}$ have the "
        r"unit $2^{e-p+1}$, and $2^{(e+k)-p+1} = 2^k\,2^{e-p+1}$, so the nearest number to $2^kx$ is $2^k$ times the nearest to $x$, with the same significand (so ties go the same way). Subnormal and infinite results, and scales that are no powers of two, are not covered.",
        sources=(S0.at("Mixed Precision Training"), MICIKEVICIUS.at("section 3.2")),
        scope="binary formats, rounding to nearest; backward passes of products, sums and differences of gradients with kept numbers, none of whose results is subnormal or infinite with or without the scale",
        assumes=("every result is 0 or in the normal range, with and without the scale",),
        holds=_scale_is_exact,
    )
)
def loss_scale_is_exact() -> Iterator[Step]:
    exponent, bits, k = sp.symbols("e p k", integer=True)
    unit = 2 ** (exponent - bits + 1)
    yield Step(2 ** (exponent + k - bits + 1), "=", 2**k * unit, "a number 2^k times as large has a unit 2^k times as large")
    off, more = sp.symbols("delta x", nonnegative=True)
    yield Step(
        2**k * off, "<=", 2**k * (off + more), "whichever neighbour is nearer to x (by δ, the other by δ + x), 2^k times it is nearer to 2^k x",
        certificate=2**k * more,
    )  # fmt: skip
    upstream, factor = sp.IndexedBase("y", real=True), sp.Symbol("lambda", positive=True)
    yield Step(
        p[i] * (factor * upstream[i] - total(p[j] * factor * upstream[j], j)), "=", factor * p[i] * (upstream[i] - total(p[j] * upstream[j], j)),
        "every operation of the backward pass takes the factor through",
    )  # fmt: skip


def _float32_gradient(cotangent: Binary, activation: Binary) -> Outcome:
    """Whether the gradient that the backward pass of a float16 product stores is the one float32 would."""
    exactly = _dyadic(*cotangent) * _dyadic(*activation)
    return decided(HALF.rounded(exactly) == SINGLE.rounded(exactly))


def _own_format(cotangent: Binary, activation: Binary) -> Outcome:
    """The stored gradient is a float16 number, or infinite; a float32 copy of it is the same number. Computed in float32 it would have been exact."""
    exactly = _dyadic(*cotangent) * _dyadic(*activation)
    stored = HALF.rounded(exactly)
    copied = stored == INFINITE or (isinstance(stored, Fraction) and SINGLE.rounded(stored) == stored == HALF.rounded(stored))
    vanished = (stored == 0) == (2 * abs(exactly) <= _smallest(HALF))
    return decided(copied and vanished and SINGLE.rounded(exactly) == exactly)


def _gradient_by_hand(cotangent: Binary, activation: Binary) -> str:
    left, right = _dyadic(*cotangent), _dyadic(*activation)
    stored = HALF.rounded(left * right)
    return (
        f"A pair (m, e) stands for the number m · 2^e. A float16 product w·x with x = {right} receives the cotangent {left}. The gradient of w is their product, {left * right}, which float32 holds exactly. By default PyTorch stores it in the format of w, "
        f"float16: {stored}. If w is the float16 copy of a float32 weight, the gradient is then cast to float32, and stays {stored}."
    )


@derived(
    Claim(
        id="training_memory.gradients-are-float32",
        title="With FP16 in the forward pass, gradients are FP32",
        states="Mixed precision: use FP16 for the forward pass, FP32 for gradients.",
        reading="As a description of mixed precision as its paper and torch.amp have it: every gradient is a number computed and held in float32, in the backward pass of a product of float16 numbers what float32 would give. "
        "(As an instruction there is nothing to judge: whoever runs the backward pass in float32 has float32 gradients.)",
        precise=r"The gradient that is stored is the product of cotangent and operand as float32 holds it. Float32 would hold it exactly: two significands $2^{11}\frac{a}{a + b}$ have a product below $2^{22} < 2^{24}$. By default it is "
        r"stored in float16, the format of the tensor that it belongs to, and rounded to it.",
        sources=(S1.at("Memory-Efficient Attention"), MICIKEVICIUS.at("section 3"), TORCH_AMP.at("gradient scaling")),
        scope="products of float16 numbers, rounding to nearest",
        inventory=("C145",),
        uses=("training_memory.gradients-own-format",),
        holds=_float32_gradient,
        worked=_gradient_by_hand,
        unsaid="backward products are computed and stored in float32 (by default PyTorch stores them in the tensor's own format)",
        corrected_by="training_memory.gradients-own-format",
    )
)
def gradients_are_float32() -> Iterator[Step]:
    kept, left_out = sp.symbols("a b", positive=True)
    other, other_out = sp.symbols("f g", positive=True)
    top, enough = sp.Integer(2**HALF.bits), sp.Integer(2**SINGLE.bits)
    yield Step(
        top * kept / (kept + left_out) * top * other / (other + other_out), "<", enough,
        "computed in float32: the product of two significands below 2^11 is below 2^22, and so is exact in 24 bits",
        certificate=enough - top**2 + top**2 * (1 - kept * other / ((kept + left_out) * (other + other_out))),
    )  # fmt: skip


@derived(
    Claim(
        id="training_memory.gradients-own-format",
        title="A product of float16 numbers is exact in float32; stored in float16 it may vanish or round, and a cast to float32 afterwards changes nothing",
        states="(Not in the text; it follows from what the formats hold.) What the format in which a gradient is stored does to it.",
        precise=r"A product of float16 numbers $xg$ has at most 22 significant bits and is a multiple of $2^{-48}$, so float32 holds it exactly. Stored in float16 it is 0 for $|xg| \le 2^{-25}$, and rounded to 11 bits otherwise. A cast of that to float32 changes nothing: 11 bits fit into 24, "
        r"and float16's smallest number, $2^{-24}$, is far above float32's, $2^{-149}$. So gradients that are stored in float32 are those of float32, and those that have been through float16 are not.",
        sources=(S1.at("Memory-Efficient Attention"), MICIKEVICIUS.at("section 3"), TORCH_AMP.at("gradient scaling")),
        scope="products of float16 numbers, rounding to nearest. A remark: PyTorch stores the gradient of a float16 tensor in float16 unless told otherwise, and casts it where the weight is a float32 one whose float16 copy was multiplied",
        inventory=("C145",),
        uses=("training_memory.loss-scaling",),
        holds=_own_format,
    )
)
def gradients_own_format() -> Iterator[Step]:
    small, smaller = (sp.Rational(2) ** (fmt.bottom - fmt.bits + 1) for fmt in (HALF, SINGLE))
    normal = sp.Rational(2) ** HALF.bottom
    yield Step(
        normal * normal, "<", small / 2, "stored in float16: the product of two of its smallest normal numbers, 2^−28, is less than 2^−25, and becomes 0"
    )
    yield Step(smaller, "<", small, "the cast afterwards: 2^−149 < 2^−24, so float32 holds all of float16's numbers, and what became 0 stays 0")
    kept, left_out, other, other_out = sp.symbols("a b f g", positive=True)
    top, enough = sp.Integer(2**HALF.bits), sp.Integer(2**SINGLE.bits)
    yield Step(
        smaller,
        "<=",
        small * small,
        "stored in float32: even the product of the two smallest float16 numbers, 2^−48, is a multiple of float32's smallest number",
    )
    yield Step(
        top * kept / (kept + left_out) * top * other / (other + other_out), "<", enough, "and the product of two significands below 2^11 is below 2^22, and exact in 24 bits",
        certificate=enough - top**2 + top**2 * (1 - kept * other / ((kept + left_out) * (other + other_out))),
    )  # fmt: skip


# --- moving numbers elsewhere -----------------------------------------------------------------------------------------------------------


def _sign_bit(fmt: Format) -> int:
    """The place of the sign, above the fraction and the exponent field (0 for subnormal numbers, all ones for infinities)."""
    return fmt.bits - 1 + (fmt.top - fmt.bottom + 2).bit_length()


def encoded(x: Fraction, fmt: Format) -> int:
    """The bits of a number of the format, as a whole number: sign, exponent, fraction. Raises ValueError if x is not a number of the format."""
    if fmt.rounded(x) != x:
        raise ValueError(f"{x} is no {fmt.name}")
    size, ahead = abs(x), fmt.bits - 1
    exponent = max(size.numerator.bit_length() - size.denominator.bit_length(), fmt.bottom) if size else fmt.bottom
    exponent -= size < Fraction(2) ** exponent and exponent > fmt.bottom
    steps = int(size / Fraction(2) ** (exponent - ahead))  # 2^ahead or more for a normal number
    return ((exponent - fmt.bottom) << ahead) + steps + ((x < 0) << _sign_bit(fmt))


def decoded(pattern: int, fmt: Format) -> Fraction:
    """The finite number that these bits stand for."""
    ahead = fmt.bits - 1
    sign, pattern = divmod(pattern, 1 << _sign_bit(fmt))
    exponent, fraction = divmod(pattern, 1 << ahead)
    size = fraction * Fraction(2) ** (fmt.bottom - ahead) if exponent == 0 else (fraction + 2**ahead) * Fraction(2) ** (fmt.bottom + exponent - 1 - ahead)
    return -size if sign else size


def _there_and_back(x: Fraction, fmt: Format) -> Fraction:
    """Through bytes, as a copy to another memory or to a disk and back is."""
    stored = encoded(x, fmt).to_bytes((_sign_bit(fmt) + 1) // 8, "little")
    return decoded(int.from_bytes(stored, "little"), fmt)


def _summed(weights: Sequence[Fraction], values: Sequence[Fraction], fmt: Format, order: Sequence[int]) -> Float:
    """Σ p_j v_j in the given order, every product and partial sum rounded."""
    sofar: Float = Fraction(0)
    for place in order:
        term = fmt.rounded(weights[place] * values[place])
        sofar = fmt.rounded(sofar + term) if isinstance(sofar, Fraction) and isinstance(term, Fraction) else INFINITE
    return sofar


def _numbers(pairs: Sequence[Binary]) -> list[Fraction]:
    return [_dyadic(*pair) for pair in pairs]


def _copied(name: str, weights: Sequence[Binary], values: Sequence[Binary], order: Sequence[int]) -> Outcome:
    """Weights and values stored elsewhere and loaded again, then summed as before; the other order plays no part."""
    fmt, there, row = FORMATS[name], _numbers(weights), _numbers(values)
    back, row_back = ([_there_and_back(x, fmt) for x in numbers] for numbers in (there, row))
    usual = range(len(there))
    return decided(back == there and row_back == row and _summed(back, row_back, fmt, usual) == _summed(there, row, fmt, usual))


def _computed_elsewhere(name: str, weights: Sequence[Binary], values: Sequence[Binary], order: Sequence[int]) -> Outcome:
    """The sum on the other machine, in an order of its own."""
    fmt, there, row = FORMATS[name], _numbers(weights), _numbers(values)
    return decided(_summed(there, row, fmt, range(len(there))) == _summed(there, row, fmt, order))


def _sums_by_hand(terms: Sequence[Float], fmt: Format, order: Sequence[int]) -> str:
    """Each partial sum before and after it is rounded."""
    sofar, told = terms[order[0]], []
    for place in order[1:]:
        term = terms[place]
        exactly = sofar + term if isinstance(sofar, Fraction) and isinstance(term, Fraction) else INFINITE
        rounded = fmt.rounded(exactly) if isinstance(exactly, Fraction) else INFINITE
        told.append(f"{sofar} + {term} = {exactly}" + (f", rounded to {rounded}" if rounded != exactly else ""))
        sofar = rounded
    return "; ".join(told)


def _order_by_hand(name: str, weights: Sequence[Binary], values: Sequence[Binary], order: Sequence[int]) -> str:
    fmt, there, row = FORMATS[name], _numbers(weights), _numbers(values)
    truth = sum((x * y for x, y in zip(there, row, strict=True)), Fraction(0))
    terms = [fmt.rounded(x * y) for x, y in zip(there, row, strict=True)]
    usual = range(len(there))
    return (
        f"A pair (m, e) stands for the number m · 2^e. In {name}, which has {fmt.bits} significant bits: weights {', '.join(map(str, there))} and values {', '.join(map(str, row))}. The products, rounded, are {', '.join(map(str, terms))}. "
        f"Added from the left: {_sums_by_hand(terms, fmt, usual)}. In the order {', '.join(str(place + 1) for place in order)}: {_sums_by_hand(terms, fmt, order)}. So one machine returns "
        f"{_summed(there, row, fmt, usual)} and the other {_summed(there, row, fmt, order)}. The true sum is {truth}."
    )


@derived(
    Claim(
        id="training_memory.copy-is-exact",
        title="Activations moved to the CPU or a disk and back are the same bits, and so is everything computed from them",
        states="Activation and attention offloading: move activations and attention matrices to the CPU when they are not needed.",
        reading="Moved there, moved back, and used where they would have been used: results do not change, in any format, because a copy is one of bits. (That a copy keeps every bit is assumed, not shown: no compression, no other format and no fault on the way. Shown is that the bits determine the number.)",
        precise=r"The bits of a number determine it. Read as a whole number they are $E\,2^{p-1} + f$ with $0 \le f < 2^{p-1}$, and of two numbers the one with the larger exponent field has the larger pattern whatever the fractions are: "
        r"no two numbers share one. Every finite float16 comes back from its own pattern (all of them are tried).",
        sources=(S1.at("Memory-Efficient Attention"), S1.at("Attention Memory Scaling"), IEEE.at("section 3.4")),
        scope="finite numbers of binary formats (−0, infinities and NaNs are patterns too, and copied as such); computing stays where it was",
        assumes=(
            "a copy to another memory and back keeps every bit",
            "what is computed from them is the same operations in the same order, each a function of its operands' bits (no atomic additions in an arbitrary order)",
        ),
        inventory=("C150",),
        holds=_copied,
    )
)
def copy_is_exact() -> Iterator[Step]:
    patterns = [pattern for pattern in range(2**16) if pattern % 2**15 < 31 * 2**10]  # finite: the exponent field is not all ones
    same = sum(1 for pattern in patterns if pattern == 2**15 or encoded(decoded(pattern, HALF), HALF) == pattern)  # 2^15 is −0
    yield Step(
        sp.Mul(2, 31, 2**10, evaluate=False),
        "=",
        sp.Integer(same),
        "float16: 2 signs, 31 exponent fields of finite numbers, 2^10 fractions; encoding what a pattern stands for gives the pattern again for all of them (−0 by its sign bit)",
    )
    field_value, more, room, below, above = sp.symbols("E x y f g", integer=True, nonnegative=True)
    unit = below + room + 1  # 2^(p − 1), above the fraction f
    yield Step(
        field_value * unit + below, "<", (field_value + 1 + more) * unit + above,
        "with 2^(p−1) = f + y + 1: a larger exponent field E + 1 + x makes a larger pattern, whatever its fraction g is", certificate=more * unit + room + 1 + above,
    )  # fmt: skip


computed_elsewhere = Claim(
    id="training_memory.computed-elsewhere",
    title="Attention computed on the CPU from offloaded matrices returns the same numbers",
    states="Attention offloading: move attention matrices to the CPU.",
    reading="More than the words say: the matrices stay there, and the CPU computes with them, in the same format; its sums run in an order of their own. (Moved and moved back, as the text has it, they change nothing: training_memory.copy-is-exact.)",
    precise=r"For weights of sum 1, $\sum_j p_j v_j$ with every product and partial sum rounded is the same number in every order.",
    sources=(S1.at("Attention Memory Scaling"),),
    scope="float16 and bfloat16, rounding to nearest; positive weights that the format holds exactly",
    holds=_computed_elsewhere,
    worked=_order_by_hand,
    unsaid="the CPU performs the same operations in the same order (or nothing is computed there, and the matrices come back)",
    corrected_by="training_memory.copy-is-exact",
)
