"""What benchmarks count: operations a second, tokens a second, memory at its peak, and how work grows with length, parameters and batch.

Work is counted in multiplications of matrix products for one forward pass. A layer of width d has 4d² weights of projections and 8d² of a feed-forward net of width 4d.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import sympy as sp

from theorems import exact
from theorems.claim import Claim, Kind, derived
from theorems.cost import Operations
from theorems.outcome import Outcome
from theorems.sources import S1, Source
from theorems.step import Step
from theorems.symbols import d, n

KAPLAN = Source(key="kaplan2020", title="Scaling Laws for Neural Language Models", url="https://arxiv.org/abs/2001.08361")

L, B = sp.symbols("L B", integer=True, positive=True)  # layers, sequences of a batch
feature, other, place, key, layer, sequence = sp.symbols("a b i j g r", integer=True, positive=True)  # what is counted


def _times(*sizes: sp.Expr | int) -> sp.Expr:
    """How often the innermost of nested loops runs."""
    count: sp.Expr = sp.Integer(1)
    for index, size in zip((feature, other, place, key, layer, sequence), sizes, strict=False):
        count = sp.Sum(count, (index, 1, size))
    return count


def parameters(width: int, layers: int) -> int:
    """Weights of the projections and the feed-forward nets, no embedding."""
    return layers * (4 * width * width + 2 * width * 4 * width)


def multiplications(width: int, layers: int, length: int) -> int:
    """Of one token that attends `length` keys, in each layer: every weight once, and scores and values."""
    done = 0
    for _ in range(layers):
        done += sum(width for _ in range(4 * width)) + sum(2 for _ in range(width * 4 * width))
        done += sum(2 for _ in range(length) for _ in range(width))
    return done


def _rate(count: int, extra: int, seconds: Fraction, longer: Fraction) -> Outcome:
    """A method that takes `longer` and computes `extra` operations more has the higher rate exactly if extra/count > longer/seconds."""
    return exact.decided(((count + extra) / (seconds + longer) > count / seconds) == (Fraction(extra, count) > longer / seconds))


@derived(
    Claim(
        id="throughput.rate",
        title="FLOPS is a rate: operations over seconds",
        states="FLOPS: floating-point operations per second, a metric of throughput.",
        precise=r"With $C$ operations in $t$ seconds the rate is $C/t$. It is no measure of how soon a task is done: a method that takes $s\ge0$ seconds longer and computes $x>0$ operations more for the same result has the higher rate "
        r"exactly if $x/C>s/t$, though it is no sooner done.",
        sources=(S1.at("Throughput Analysis"),),
        scope="every positive count and time, s ≥ 0",
        inventory=("C285",),
        holds=_rate,
    )
)
def rate() -> Iterator[Step]:
    count, extra, seconds = sp.symbols("C x t", positive=True)
    longer = sp.Symbol("s", nonnegative=True)
    yield Step(sp.UnevaluatedExpr(count / seconds) * seconds, "=", count, "a rate times its seconds is the count")
    yield Step(count / seconds, "<", (count + extra) / seconds, "recomputing, with s = 0, raises the rate and not the speed", certificate=extra / seconds)
    yield Step(
        (count + extra) / (seconds + longer) - count / seconds,
        "=",
        (extra / count - longer / seconds) * count / (seconds + longer),
        "the rates of two methods with the same result: the difference has the sign of x/C − s/t",
    )


def _tokens(length: int, width: int) -> Outcome:
    """Operations for each token of attention over `length` keys, counted: 4nd + 5n − d − 2, and more for one more token."""

    def for_each(keys: int) -> Fraction:
        done = Operations()
        for _ in range(keys):
            done.dot(width)
            done.multiplications += 1
        done.softmax(keys)
        for _ in range(width):
            done.dot(keys)
        return Fraction(done.all())

    return exact.decided(for_each(length) == 4 * length * width + 5 * length - width - 2 and for_each(length) < for_each(length + 1))


@derived(
    Claim(
        id="throughput.tokens-a-second",
        title="Tokens a second fall with the length of the sequence",
        states="Tokens per second, processing speed, is a metric of throughput, peak memory another.",
        reading="That the two are metrics in use is not in doubt. What is judged is what a figure of tokens a second depends on, for one model on one machine.",
        precise=r"On a machine with a given rate, attention takes $c(n)=4nd+5n-d-2$ operations for each of $n$ tokens and $c(n+1)-c(n)=4d+5$ more with every further token, so tokens a second, rate over $c(n)$, fall with $n$: "
        "figures can be compared at the same length only.",
        sources=(S1.at("Throughput Analysis"),),
        scope="every length and width; attention on given Q, K, V, all operations alike",
        kind=Kind.COST,
        inventory=("C286",),
        uses=("cost.time",),
        holds=_tokens,
    )
)
def tokens_a_second() -> Iterator[Step]:
    def spent(length: sp.Expr) -> sp.Expr:
        return 4 * length * d + 5 * length - d - 2

    yield Step(
        _times(2, d, n) - _times(1, n) + _times(1, n) + _times(5, n) - 2 + _times(2, n, d) - _times(1, d),
        "=",
        spent(n),
        "scores and scale, softmax, values of one row",
    )
    yield Step(spent(n + 1) - spent(n), "=", 4 * d + 5, "one more key costs every row this much")
    yield Step(spent(n), "<", spent(n + 1), "so each token takes longer", certificate=4 * d + 5)


def _in_parameters(width: int, layers: int, length: int, wider: int, deeper: int) -> Outcome:
    """Whether the work of a token grows by the same factor as the parameters."""
    grown = Fraction(multiplications(width * wider, layers * deeper, length), multiplications(width, layers, length))
    return exact.decided(grown == Fraction(parameters(width * wider, layers * deeper), parameters(width, layers)))


def _in_parameters_by_hand(width: int, layers: int, length: int, wider: int, deeper: int) -> str:
    before, after = (
        (parameters(width, layers), multiplications(width, layers, length)),
        (
            parameters(width * wider, layers * deeper),
            multiplications(width * wider, layers * deeper, length),
        ),
    )
    return (
        f"A model of width d = {width} with {layers} layer(s), each token attending n = {length} key(s): 12·{width}²·{layers} = {before[0]} weights and {before[0]} + 2·{length}·{width}·{layers} = {before[1]} multiplications a token. "
        f"Width {width * wider} and {layers * deeper} layer(s): {after[0]} weights and {after[0]} + 2·{length}·{width * wider}·{layers * deeper} = {after[1]} multiplications. "
        f"The parameters grow by the factor {Fraction(after[0], before[0])}, the work by {Fraction(after[1], before[1])}; it would have to be the same factor. Scores and values take 2nd a layer, which grows with the width and not with its square."
    )


def _by_depth() -> Iterator[Step]:
    more = sp.Symbol("q", integer=True, positive=True)
    work = 12 * d**2 * L + 2 * n * d * L
    weights = 12 * d**2 * L
    ratio = sp.Mul(weights.subs(L, more * L), 1 / weights, evaluate=False)
    yield Step(ratio, "=", more, "q times as many layers have q times the parameters")
    yield Step(work.subs(L, more * L) / work, "=", ratio, "and do q times the work: the same factor")


in_parameters = Claim(
    id="throughput.in-parameters",
    title="Compute scales linearly with the number of parameters",
    states="Scaling observations: model size, linear scaling in parameters.",
    reading="In proportion: a model with q times the parameters does q times the work for each token, however it has grown. (As an order of growth, at a fixed length, it is true: throughput.work-per-parameter.)",
    precise=r"A model that grows from $P$ to $P'$ weights and from $C$ to $C'$ multiplications for each token that attends $n$ keys has $C'/C=P'/P$, where $P=12d^2L$ and $C=P+2ndL$. It is so for every $n$ if the depth $L$ alone grows.",
    sources=(S1.at("Scaling Laws"), KAPLAN.at("section 2.1")),
    scope="Transformer layers of width d with a feed-forward net of width 4d; embeddings, which multiply nothing, are not counted; every token attends all n keys (a causal one about n/2 on the mean: "
    "the paper has half of 2ndL, and n/12d for n/6d)",
    kind=Kind.COST,
    inventory=("C287",),
    unsaid="the model grows in depth alone, or only the order of growth at a fixed length is meant",
    corrected_by="throughput.work-per-parameter",
    derive=_by_depth,
    holds=_in_parameters,
    worked=_in_parameters_by_hand,
)


def _work(width: int, layers: int, length: int, wider: int, deeper: int) -> Outcome:
    for w, depth in ((width, layers), (width * wider, layers * deeper)):
        weights, work = parameters(w, depth), multiplications(w, depth, length)
        if not (work == weights + 2 * length * w * depth and Fraction(work, weights) == 1 + Fraction(length, 6 * w) <= 1 + Fraction(length, 6)):
            return Outcome.REFUTED
    return Outcome.HELD


@derived(
    Claim(
        id="throughput.work-per-parameter",
        title="A token costs one multiplication for each weight, and n/6d more for what it attends to",
        states="Scaling observations: model size, linear scaling in parameters.",
        reading="Linear as an order of growth, as with the other scaling observations of the text: at a fixed length the work of a token lies between two constant multiples of the number of parameters.",
        precise=r"With $P=12d^2L$ weights, a token that attends $n$ keys takes $C=12d^2L+2ndL=P\left(1+\frac{n}{6d}\right)$ multiplications. So $P<C\le\left(1+\frac n6\right)P$ for every width and depth, and the factor falls towards 1 as the width grows.",
        sources=(KAPLAN.at("section 2.1"), S1.at("Scaling Laws")),
        scope="every n, d, L; projections 4d², feed-forward 8d², no biases, no embeddings; every token attends all n keys (a causal one about n/2 on the mean: the paper has half of 2ndL, and n/12d for n/6d)",
        kind=Kind.COST,
        inventory=("C287",),
        holds=_work,
    )
)
def work_per_parameter() -> Iterator[Step]:
    weights = 12 * d**2 * L
    yield Step(_times(4, d, d, L) + _times(2, d, 4 * d, L), "=", weights, "each weight meets one feature of the token")
    wider = sp.Symbol("y", integer=True, nonnegative=True)
    yield Step(weights, "<", weights * (1 + n / (6 * d)), "the work is more than one multiplication for each weight", certificate=weights * n / (6 * d))
    yield Step(1 + n / (6 * (d + wider)), "<=", 1 + n / (6 * d), "the factor falls with the width", certificate=n * wider / (6 * d * (d + wider)))
    yield Step(
        (weights * (1 + n / (6 * d))).subs(d, 1 + wider), "<=", (weights * (1 + n / 6)).subs(d, 1 + wider), "and is 1 + n/6 at the most, at d = 1; here d = 1 + y",
        certificate=2 * n * L * (1 + wider) * wider,
    )  # fmt: skip
    yield Step(weights + _times(2, n, d, L), "=", weights * (1 + n / (6 * d)), "the token meets n keys and n values of d features in each layer besides")


def _batched(sequences: int, width: int, layers: int, length: int) -> Outcome:
    """Multiplications of one token of each sequence, counted, against B(12d²L + 2ndL); for each weight, if each is read once, B(1 + n/6d)."""
    work = sum(multiplications(width, layers, length) for _ in range(sequences))
    expected = sequences * (12 * width**2 * layers + 2 * length * width * layers)
    return exact.decided(work == expected and Fraction(work, parameters(width, layers)) == sequences * (1 + Fraction(length, 6 * width)))


@derived(
    Claim(
        id="throughput.batch",
        title="Work is exactly linear in the batch",
        states="Batch size: near-linear scaling with an efficient implementation.",
        reading="What is counted is the work of a batch. (The time that it takes is throughput.batch-time.)",
        precise=r"One token of each of $B$ sequences takes $B(12d^2L+2ndL)$ multiplications, $B$ times those of one. If each of the $12d^2L$ weights is read once for all of them, $B(1+n/6d)$ multiplications meet each weight that is read.",
        assumes=("where weights that are read are counted, the implementation reads each of them once for the whole batch",),
        sources=(S1.at("Scaling Laws"),),
        scope="every B, n, d, L; sequences of equal length, which share weights and nothing else",
        kind=Kind.COST,
        inventory=("C288",),
        uses=("throughput.work-per-parameter",),
        holds=_batched,
    )
)
def batch() -> Iterator[Step]:
    alone = 12 * d**2 * L + 2 * n * d * L
    yield Step(B * alone / (12 * d**2 * L), "=", B * (1 + n / (6 * d)), "multiplications for each weight that is read")
    yield Step(_times(12, d, d, L, B) + _times(2, n, d, L, B), "=", B * alone, "no sequence meets another: the loop over them is the outermost")


batch_time = Claim(
    id="throughput.batch-time",
    title="The time of a batch grows near-linearly with its size, with an efficient implementation",
    states="Batch size: near-linear scaling with an efficient implementation.",
    reading="The time that a batch takes, or the sequences done a second, grows in proportion to the size of the batch, or nearly so.",
    precise="None: no machine, no implementation and no measure of nearness is named, nor which of the two scales.",
    sources=(S1.at("Scaling Laws"),),
    scope="-",
    inventory=("C288",),
    not_checkable="It is an observation about time, and the text names no machine, no implementation, no range of sizes and no measure of what is near. What can be counted is throughput.batch: the work is exactly linear, and the multiplications for each weight that is read "
    "grow with the batch, so a machine that waits for weights takes hardly more time for a larger batch, and one that waits for arithmetic takes time in proportion.",
)


def _quadratic(length: int, width: int) -> Outcome:
    """The second difference of attention's operations is 8d + 10; they are less than the maps of a layer take for n ≤ 6d − 10, and more for n ≥ 6d."""

    def attention(size: int) -> int:
        done = Operations()
        for _ in range(size):
            for _ in range(size):
                done.dot(width)
                done.multiplications += 1
            done.softmax(size)
            for _ in range(width):
                done.dot(size)
        return done.all()

    def maps(size: int) -> int:
        """Four projections and the feed-forward net, width 4d, of every token; no biases, no activation function."""
        done = Operations()
        for _ in range(size):
            for _ in range(4 * width + 4 * width):
                done.dot(width)
            for _ in range(width):
                done.dot(4 * width)
        return done.all()

    difference = attention(length + 2) - 2 * attention(length + 1) + attention(length)
    less = attention(length) < maps(length)
    return exact.decided(
        difference == 8 * width + 10
        and maps(length) == 24 * length * width**2 - 9 * length * width
        and (less or length > 6 * width - 10)
        and not (less and length >= 6 * width)
    )


@derived(
    Claim(
        id="throughput.quadratic-in-length",
        title="The work of standard attention is quadratic in the length; that of its projections is linear",
        states="Sequence length: quadratic scaling in standard attention.",
        precise=r"$f(n)=4n^2d+5n^2-nd-2n$ has the constant second difference $f(n+2)-2f(n+1)+f(n)=8d+10>0$: degree 2 exactly. The maps of a layer, four projections and a feed-forward net of width $4d$, "
        r"take $24nd^2-9nd$, linear in $n$: more than attention for $n\le6d-10$, and less for $n\ge6d$.",
        sources=(S1.at("Scaling Laws"),),
        scope="every n and d; all operations alike; attention on given Q, K, V; no biases, norms or activation functions",
        kind=Kind.COST,
        inventory=("C289",),
        uses=("cost.time",),
        holds=_quadratic,
    )
)
def quadratic_in_length() -> Iterator[Step]:
    def work(length: sp.Expr) -> sp.Expr:
        return 4 * length**2 * d + 5 * length**2 - length * d - 2 * length

    def maps(length: sp.Expr) -> sp.Expr:
        return 4 * length * d * (2 * d - 1) + 4 * length * d * (2 * d - 1) + length * d * (8 * d - 1)

    z, y = sp.symbols("z y", integer=True, nonnegative=True)
    yield Step(maps(n), "=", 24 * n * d**2 - 9 * n * d, "four projections d to d, then d to 4d and 4d to d")
    yield Step(maps(n + 2) - 2 * maps(n + 1) + maps(n), "=", sp.Integer(0), "they meet each token alone: linear")
    yield Step(maps(n) - work(n), "=", n * (24 * d**2 - 8 * d + 2 - n * (4 * d + 5)), "what they take more than attention")
    yield Step((6 * d - 10 - z) * (4 * d + 5), "<", 24 * d**2 - 8 * d + 2, "is positive for n = 6d − 10 − z", certificate=2 * d + 52 + z * (4 * d + 5))
    yield Step(
        24 * (1 + y) ** 2 - 8 * (1 + y) + 2,
        "<",
        (6 * (1 + y) + z) * (4 * (1 + y) + 5),
        "and negative for n = 6d + z, d = 1 + y",
        certificate=36 + 38 * y + z * (4 * y + 9),
    )
    yield Step(work(n + 2) - 2 * work(n + 1) + work(n), "=", 8 * d + 10, "attention: each further token meets every other")
