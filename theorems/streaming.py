"""Attention token by token: what caches, windows, decayed states, packing and retrieval compute, hold and cost.

In the steps a set of keys is given by indicators: A_j is 1 for the keys met before the token at hand and else 0, B_j likewise for a second, disjoint set.
The exact evaluations run small decoders on tokens of width 1: several layers, each of several heads, a position-wise map between layers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import sympy as sp
from flint import arb

from theorems import exact, overflow
from theorems.claim import Claim, Kind, derived
from theorems.cost import Operations
from theorems.outcome import Outcome
from theorems.sources import S1, Source
from theorems.step import Step
from theorems.symbols import K, Q, V, a, c, d, e, g, h, j, k, l, m, n, p, r, s, total, v

AINSLIE = Source(
    key="ainslie2023", title="GQA: Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints", url="https://arxiv.org/abs/2305.13245"
)
JIANG = Source(key="jiang2023", title="Mistral 7B", url="https://arxiv.org/abs/2310.06825")
KRELL = Source(key="krell2021", title="Efficient Sequence Packing without Cross-contamination", url="https://arxiv.org/abs/2107.02027")
KWON = Source(key="kwon2023", title="Efficient Memory Management for Large Language Model Serving with PagedAttention", url="https://arxiv.org/abs/2309.06180")
SUN = Source(key="sun2023", title="Retentive Network: A Successor to Transformer for Large Language Models", url="https://arxiv.org/abs/2307.08621")
WU = Source(key="wu2022", title="Memorizing Transformers", url="https://arxiv.org/abs/2203.08913")
XIAO = Source(key="xiao2023", title="Efficient Streaming Language Models with Attention Sinks", url="https://arxiv.org/abs/2309.17453")

Row = Sequence[int]
Head = tuple[int, int, int, int]  # query weight and bias, value weight, penalty for each step of distance
Layer = Sequence[Head]
Entry = tuple[arb, arb, int]  # what a cache keeps of a token: key, value, position
Sees = Callable[[int, int], bool]

met = sp.IndexedBase("A", nonnegative=True)  # keys met before
fresh = sp.IndexedBase("B", nonnegative=True)  # other keys that the query sees
W = sp.Symbol("W", integer=True, positive=True)  # width of a window
H = sp.Symbol("H", integer=True, positive=True)  # how many keys are dropped, or evicted
dropped = sp.Symbol("u", integer=True, positive=True)  # one of them, 1..H
x = sp.IndexedBase("x", nonnegative=True)
y = sp.IndexedBase("y", nonnegative=True)


# --- decoders in exact arithmetic -----------------------------------------------------------------------------------------------------------


def entry(token: arb, position: int, head: Head) -> Entry:
    return token, head[2] * token, position


def answer(token: arb, position: int, layer: Layer, seen: Sequence[Sequence[Entry]]) -> arb:
    """One layer at one position, given what each head sees: z/(1 + z²) of the token plus the heads' outputs."""
    mixed = token
    for (weight, bias, _, slope), entries in zip(layer, seen, strict=True):
        query = weight * token + bias
        weights = exact.softmax([query * key - slope * (position - place) for key, _, place in entries])
        mixed = mixed + sum((w * value for w, (_, value, _) in zip(weights, entries, strict=True)), arb(0))
    return mixed / (1 + mixed * mixed)


def causal(row: int, key: int) -> bool:
    return key <= row


def recomputed(tokens: Row, layers: Sequence[Layer], sees: Sees) -> list[arb]:
    """All layers over all tokens at once, by their definition: row i sees the keys j with sees(i, j)."""
    rows = [exact.ball(token) for token in tokens]
    for layer in layers:
        seen = [[[entry(row, at, head) for at, row in enumerate(rows) if sees(place, at)] for head in layer] for place in range(len(rows))]
        rows = [answer(row, place, layer, seen[place]) for place, row in enumerate(rows)]
    return rows


def decoded(tokens: Row, layers: Sequence[Layer], chunks: Row) -> list[arb]:
    """The tokens in chunks of the given sizes (then one by one): only a chunk's own rows are computed, and what is past is read from the cache."""
    cache: list[list[list[Entry]]] = [[[] for _ in layer] for layer in layers]
    outputs: list[arb] = []
    sizes = itertools.chain(chunks, itertools.repeat(1))
    while len(outputs) < len(tokens):
        start = len(outputs)
        rows = [exact.ball(token) for token in tokens[start : start + next(sizes)]]
        for layer, cached in zip(layers, cache, strict=True):
            for head, kept in zip(layer, cached, strict=True):
                kept += [entry(row, start + at, head) for at, row in enumerate(rows)]
            rows = [answer(row, start + at, layer, [[one for one in kept if causal(start + at, one[2])] for kept in cached]) for at, row in enumerate(rows)]
        outputs += rows
    return outputs


def rolled(tokens: Row, layers: Sequence[Layer], window: int, sinks: int) -> list[arb]:
    """Token by token, each head with a buffer of `sinks` + `window` slots: a first token has a slot for good, any other takes the slot of the oldest."""
    slots: list[list[list[Entry | None]]] = [[[None] * (sinks + window) for _ in layer] for layer in layers]
    outputs = []
    for place, token in enumerate(tokens):
        row, slot = exact.ball(token), place if place < sinks else sinks + (place - sinks) % window
        for layer, buffers in zip(layers, slots, strict=True):
            for head, buffer in zip(layer, buffers, strict=True):
                buffer[slot] = entry(row, place, head)
            row = answer(row, place, layer, [[one for one in buffer if one is not None] for buffer in buffers])
        outputs.append(row)
    return outputs


def band(window: int, sinks: int = 0) -> Sees:
    """The causal keys among the last `window` positions, the row's own included, and the first `sinks`."""
    return lambda row, key: key <= row and (key < sinks or row - key < window)


def _listed(values: Sequence[arb]) -> str:
    return "[" + ", ".join(map(exact.show, values)) + "]"


MAP = "each layer adds the heads' outputs to the token and maps the sum z to z/(1 + z²)"


def _part(factor: int, letters: str) -> str:
    return "" if factor == 0 else f"{'+' if factor > 0 else '−'} {abs(factor) if abs(factor) > 1 else ''}{letters} "


def _shown_head(head: Head) -> str:
    weight, bias, value, slope = head
    scores = (_part(weight, "x_i x_j") + _part(bias, "x_j") + _part(-slope, "(i − j)")).strip() or "0"
    values = _part(value, "x_j").strip() or "0"
    return f"scores {scores.removeprefix('+ ')}, values {values.removeprefix('+ ')}"


def _shown_layers(layers: Sequence[Layer]) -> str:
    """Each head in words, layer by layer."""
    return " ".join(f"Layer {number}: {'; '.join(map(_shown_head, layer))}." for number, layer in enumerate(layers, 1))


def _layer_by_layer(tokens: Row, layers: Sequence[Layer], sees: Sees) -> str:
    """The newest row's weights and its sum z in each layer, and all rows after it."""
    rows, told = [exact.ball(token) for token in tokens], []
    for number, layer in enumerate(layers, 1):
        place = len(rows) - 1
        seen = [at for at in range(len(rows)) if sees(place, at)]
        mixed, weights = rows[place], []
        for weight, bias, value, slope in layer:
            weights.append(exact.softmax([(weight * rows[place] + bias) * rows[at] - slope * (place - at) for at in seen]))
            mixed = mixed + sum((w * value * rows[at] for w, at in zip(weights[-1], seen, strict=True)), arb(0))
        rows = recomputed(rows, [layer], sees)  # type: ignore[arg-type]
        told.append(
            f"in layer {number} the newest row has the weights {' and '.join(map(_listed, weights))} and z = {exact.show(mixed)}, and the rows become {_listed(rows)}"
        )
    return "; ".join(told)


# --- caches -------------------------------------------------------------------------------------------------------------------------------


def _decodes(tokens: Row, layers: Sequence[Layer], one_way: bool = True) -> Outcome:
    """Token by token from the cache, against all rows at once under a causal mask (`one_way` plays no part: the layers are causal)."""
    return exact.equal(decoded(tokens, layers, ()), recomputed(tokens, layers, causal))


def _scored(key: sp.Symbol) -> sp.Expr:
    """exp(c q_k · k_key): the newest query, at position k, against one key."""
    return sp.exp(c * total(Q[k, a] * K[key, a], a))


def _with_newest(body: Callable[[sp.Symbol], sp.Expr]) -> sp.Expr:
    """Σ body over the keys up to and including position k: A_j + δ_jk."""
    return total((met[j] + sp.KroneckerDelta(j, k)) * body(j), j)


@derived(
    Claim(
        id="streaming.cache-is-causal-row",
        title="Decoding with cached keys and values is the full causal recomputation",
        states="For inference, keys and values of the tokens processed so far can be cached; what is computed in parallel under a causal mask matches sequential generation.",
        reading="With the same tokens given, each token's output is the same whether its row is computed alone from the cache, or all rows at once.",
        precise=r"Row $k$ of causal attention is $\dfrac{\sum_{j<k}e^{s_j}v_j + e^{s_k}v_k}{\sum_{j<k}e^{s_j} + e^{s_k}}$: the cached pairs and the new token's own. No output depends on a later token, at any "
        r"depth, so the pairs that layer $\ell + 1$ has cached of earlier tokens are those that a recomputation would find, and by induction over the layers every row is the same. "
        r"(In the steps $A_j$ is 1 for the keys before $k$, else 0.)",
        sources=(S1.at("Attention Caching"), S1.at("Causal (Masked) Attention")),
        scope="every length, width and depth, every real query, key and value; between the layers anything that acts on each position by itself; real arithmetic: nothing rounds",
        assumes=("every attention layer is causal", "a token's position is the same in both computations"),
        inventory=("C159",),
        uses=("masks.causal-stack",),
        holds=_decodes,
    )
)
def cache_is_causal_row() -> Iterator[Step]:
    cached, mass = total(met[j] * _scored(j) * V[j, e], j), total(met[j] * _scored(j), j)
    whole = _with_newest(_scored)
    yield Step(whole, "=", mass + _scored(k), "the row's normaliser: a sum over cached keys, and the new token's own term")
    yield Step(_with_newest(lambda key: _scored(key) * V[key, e]), "=", cached + _scored(k) * V[k, e], "its numerator: the same with the values")
    yield Step(
        _with_newest(lambda key: _scored(key) * V[key, e]) / whole, "=", (cached + _scored(k) * V[k, e]) / (mass + _scored(k)),
        "so the row computed alone from the cache is row k of the whole; the new token's own exponential keeps the divisor positive", nonzero=(whole,),
    )  # fmt: skip


def _newest_row_matches(tokens: Row, layers: Sequence[Layer], one_way: bool) -> Outcome:
    """Whenever a token has come: its output from the cache against all tokens so far computed anew, under a causal mask (`one_way`) or without a mask."""
    cached = decoded(tokens, layers, ())
    anew = [recomputed(tokens[: place + 1], layers, causal if one_way else lambda row, key: True)[-1] for place in range(len(tokens))]
    return exact.equal(cached, anew)


def _newest_row_by_hand(tokens: Row, layers: Sequence[Layer], one_way: bool) -> str:
    sees: Sees = causal if one_way else lambda row, key: True
    anew, first, first_anew = recomputed(tokens, layers, sees)[-1], recomputed(tokens[:1], layers[:1], sees)[0], recomputed(tokens, layers[:1], sees)[0]
    return (
        f"Tokens {list(tokens)}; {len(layers)} layer(s) {'with' if one_way else 'without'} a causal mask; {MAP}. {_shown_layers(layers)} Computed anew over all {len(tokens)} tokens: {_layer_by_layer(tokens, layers, sees)}. So the newest output is {exact.show(anew)}; "
        f"from the cache it is {exact.show(decoded(tokens, layers, ())[-1])}. The first token's row after layer 1 was {exact.show(first)} when it stood alone, and is {exact.show(first_anew)} now that it sees the others, so the key and value "
        "that layer 2 cached of it are out of date."
    )


caching_for_inference = Claim(
    id="streaming.caching-for-inference",
    title="At inference the keys and values of processed tokens can be cached",
    states="For inference, cache the key-value pairs of previously processed tokens.",
    reading="What attention computes for the newest token from the cached pairs is what it would compute from all tokens so far. (The section says “for inference”, not “for generation”; that generation "
    "needs a causal mask is said in another section, that a cache needs one is not.)",
    precise="From the cache, the newest token's output equals its row in a computation over all tokens so far, for attention as the text defines it: causal or bidirectional.",
    sources=(S1.at("Attention Caching"),),
    scope="every number of tokens and of layers; one layer alone needs no mask, as its keys and values depend on nothing but their own token",
    unsaid="attention is causal in every layer (but the last), so that a token's row never changes once it is computed",
    corrected_by="streaming.cache-is-causal-row",
    holds=_newest_row_matches,
    worked=_newest_row_by_hand,
)


def _any_split(tokens: Row, layers: Sequence[Layer], chunks: Row) -> Outcome:
    return exact.equal(decoded(tokens, layers, chunks), recomputed(tokens, layers, causal))


@derived(
    Claim(
        id="streaming.any-split",
        title="A prompt may be fed in chunks of any sizes",
        states="For inference, keys and values of the tokens processed so far are cached. (How many tokens come at once is not said.)",
        precise=r"A query at position $t$ of a chunk sees the cached keys (A) and those of its own chunk up to $t$ (B): $\sum_j(A_j + B_j)e^{s_j}v_j$ over $\sum_j(A_j + B_j)e^{s_j}$ is the sum of both parts over the "
        r"sum of both masses, whatever the cut. Within a chunk the mask is the triangle shifted by the number of cached keys.",
        sources=(S1.at("Attention Caching"), JIANG.at("pre-fill and chunking")),
        scope="every length, depth and cut, the whole prompt at once and one token at a time included; real arithmetic",
        assumes=("every attention layer is causal",),
        inventory=("C159",),
        uses=("streaming.cache-is-causal-row",),
        holds=_any_split,
    )
)
def any_split() -> Iterator[Step]:
    def part(which: sp.Expr, value: sp.Expr) -> sp.Expr:
        return total(which * _scored(j) * value, j)

    both, one = met[j] + fresh[j], sp.S.One
    yield Step(part(both, one), "=", part(met[j], one) + part(fresh[j], one), "cached keys and keys of the chunk are disjoint: their masses add up")
    yield Step(part(both, V[j, e]), "=", part(met[j], V[j, e]) + part(fresh[j], V[j, e]), "and so do their weighted values")
    yield Step(
        part(both, V[j, e]) / part(both, one), "=", (part(met[j], V[j, e]) + part(fresh[j], V[j, e])) / (part(met[j], one) + part(fresh[j], one)),
        "so the row is the same wherever the line between them is drawn; a query sees its own key, so its mass is not 0",
        nonzero=(part(both, one), part(met[j], one) + part(fresh[j], one)),
    )  # fmt: skip


Call = tuple[int, int]  # whose tokens (a sequence, or a layer of a model), and how many
Token = tuple[int, int]  # whose, and its place among them
SHAPE = (2, 1)  # heads and width, of the class's buffers in these runs


def _places(value: tuple[int, ...], room: tuple[int, ...]) -> bool:
    """Whether a tensor of the first shape can be assigned to a place of the second: leading ones are dropped, then each size must match or be 1."""
    while len(value) > len(room) and value[0] == 1:
        value = value[1:]
    return len(value) <= len(room) and all(one in (1, size) for one, size in zip(reversed(value), reversed(room), strict=False))


class AsWritten:
    """The text's class, its tensors reduced to whose token stands in each row."""

    def __init__(self, rows: int) -> None:
        self.rows: list[Token | None] = [None] * rows
        self.length = 0

    def update(self, new: Sequence[Token]) -> list[Token | None]:
        """Raises ValueError where the assignment to one row would, and IndexError behind the last row."""
        shape = SHAPE if len(new) == 1 else (len(new), *SHAPE)
        if not _places(shape, SHAPE):
            raise ValueError(f"a tensor of shape {shape} cannot be assigned to a row of shape {SHAPE}")
        self.rows[self.length] = new[0]
        self.length += 1
        return self.rows[: self.length]


class Paged:
    """One store for all: tokens are written to pages in any order, and each owner's table lists its pages. Page numbers come from `order`."""

    def __init__(self, calls: Sequence[Call], block: int, order: Row) -> None:
        pages = sum(-(-tokens // block) for _, tokens in calls) + len(calls)
        self.block = block
        self.store: list[Token | None] = [None] * (pages * block)
        self.free, self.order = list(range(pages)), itertools.cycle(order)
        self.tables: dict[int, list[int]] = {}
        self.lengths: dict[int, int] = {}

    def update(self, owner: int, new: Sequence[Token]) -> list[Token | None]:
        table = self.tables.setdefault(owner, [])
        for token in new:
            length = self.lengths.get(owner, 0)
            if length % self.block == 0:
                table.append(self.free.pop(next(self.order) % len(self.free)))
            self.store[table[length // self.block] * self.block + length % self.block] = token
            self.lengths[owner] = length + 1
        return [self.store[table[at // self.block] * self.block + at % self.block] for at in range(self.lengths[owner])]


def _histories(calls: Sequence[Call]) -> Iterator[tuple[int, list[Token], list[Token]]]:
    """Each call: whose, the tokens that it brings, and all tokens of that owner so far."""
    sofar: dict[int, list[Token]] = {}
    for owner, tokens in calls:
        known = sofar.setdefault(owner, [])
        new = [(owner, len(known) + at) for at in range(tokens)]
        known += new
        yield owner, new, list(known)


def _class_returns(calls: Sequence[Call], block: int, order: Row) -> Outcome:
    """After each call: the class's answer is all of the owner's tokens so far, in order. It has as many rows as tokens come (block and order play no part)."""
    cache = AsWritten(sum(tokens for _, tokens in calls))
    try:
        return exact.decided(all(cache.update(new) == wanted for _, new, wanted in _histories(calls)))
    except ValueError:
        return Outcome.REFUTED


def _pages_return(calls: Sequence[Call], block: int, order: Row) -> Outcome:
    """The same of a paged store; and the class does so too when one owner's tokens come one by one."""
    paged = Paged(calls, block, order)
    right = all(paged.update(owner, new) == wanted for owner, new, wanted in _histories(calls))
    plain = len({owner for owner, _ in calls}) == 1 and all(tokens == 1 for _, tokens in calls)
    return Outcome.worst([exact.decided(right), _class_returns(calls, block, order) if plain else Outcome.HELD])


def _class_by_hand(calls: Sequence[Call], block: int, order: Row) -> str:
    cache, lines = (
        AsWritten(sum(tokens for _, tokens in calls)),
        ["A call (s, t) hands the cache the next t tokens of sequence s; tokens are named by their sequence and place. (Block and order play no part.)"],
    )
    for number, (owner, new, wanted) in enumerate(_histories(calls), 1):
        try:
            told = f"returns {cache.update(new)}"
        except ValueError as error:
            lines.append(f"Call {number} brings {len(new)} tokens of sequence {owner}: {error}, so it raises.")
            break
        lines.append(f"Call {number} brings {len(new)} token(s) of sequence {owner} and {told} (sequence, place); that sequence so far is {wanted}.")
    return "\n".join(lines)


def _rounds(calls: Sequence[Call]) -> list[list[Token]]:
    """What each round brings: one token of every sequence of the batch."""
    new = [token for _, tokens, _ in _histories(calls) for token in tokens]
    batch = len({owner for owner, _ in calls})
    return [new[start : start + batch] for start in range(0, len(new), batch)]


def _batch_returns(calls: Sequence[Call], block: int, order: Row) -> Outcome:
    """Calls round by round, in each one token of every sequence (block and order play no part). Where there is one sequence: all of its tokens so far."""
    rounds = _rounds(calls)
    cache = AsWritten(len(rounds))
    try:
        returned = [cache.update(new) for new in rounds]
    except ValueError:
        return Outcome.REFUTED
    return exact.decided(returned == [[token for one in rounds[: number + 1] for token in one] for number in range(len(rounds))])


def _batch_by_hand(calls: Sequence[Call], block: int, order: Row) -> str:
    first = _rounds(calls)[0]
    shape = (len(first), *SHAPE)
    return (
        "A call (s, 1) is the next token of sequence s, and the calls of a round go in as one tensor. (Block and order play no part.) "
        f"A batch of {len(first)} sequences with {SHAPE[0]} heads of width {SHAPE[1]}. The first call brings one token of each: a tensor of shape {shape}. It is assigned to `k_cache[0]`, "
        f"of shape {SHAPE}, which has no axis for the batch: the assignment raises."
    )


cache_class = Claim(
    id="streaming.cache-class",
    title="The text's class is a key-value cache",
    states="A class with buffers of zeros [max_seq_len, heads, dim] and a counter: `update` writes the new pair to the next row and returns all rows so far.",
    reading="As the cache of one attention layer for one sequence: whatever tokens `update` is handed, a prompt or the next token, it returns the keys and values of all tokens so far.",
    precise="After any calls, each bringing any number of tokens, the rows returned are the tokens so far, in order, if `max_seq_len` is large enough.",
    sources=(S1.at("Attention Caching"),),
    scope="every list of calls; shapes as in PyTorch's assignment: leading ones are dropped and the rest must broadcast, so two tokens or more (or a batch of sequences) for one row raise",
    inventory=("C161",),
    unsaid="every call brings one token (a prompt is fed token by token)",
    corrected_by="streaming.page-table",
    holds=_class_returns,
    worked=_class_by_hand,
)
cache_class_batch = Claim(
    id="streaming.cache-class-batch",
    title="One object of the text's class serves a batch of sequences",
    states="A class with buffers [max_seq_len, heads, dim] and a counter; `update` takes the new keys and values. Sequences are processed in batches.",
    reading="Sequences are decoded together: each call of `update` is handed the next key and value of every sequence, [batch, heads, dim], and returns those of every sequence so far.",
    precise="After any number of rounds, each bringing one token of every sequence of the batch, what is returned is the tokens so far, sequence by sequence, in order.",
    sources=(S1.at("Attention Caching"), S1.at("Batch Processing")),
    scope="every size of the batch and number of rounds; the buffers have no axis for the batch, so the assignment to one row raises for two sequences or more; `max_seq_len` is large enough",
    inventory=("C161",),
    unsaid="the batch is a single sequence (or each sequence has an object of its own)",
    corrected_by="streaming.page-table",
    holds=_batch_returns,
    worked=_batch_by_hand,
)


def _in_format(fmt: str, number: int, power: int) -> Fraction:
    """A number of the format near number · 2^power (which none of those drawn overflows)."""
    rounded = overflow.FORMATS[fmt].rounded(number * Fraction(2) ** power)
    if isinstance(rounded, str):
        raise OverflowError(f"{number} · 2^{power} is beyond the largest {fmt}")
    return rounded


def _class_keeps(fmt: str, number: int, power: int) -> Outcome:
    """Written to a buffer of float32, which is what zeros() makes unless told otherwise: is it the same number, and of the same format?"""
    x = _in_format(fmt, number, power)
    return exact.decided(overflow.SINGLE.rounded(x) == x and fmt == overflow.SINGLE.name)


def _same_format_keeps(fmt: str, number: int, power: int) -> Outcome:
    """Written to a buffer of its own format (float32 for a float32 model, as the class has it); and the same number from one of float32, if that has as many bits."""
    x, form = _in_format(fmt, number, power), overflow.FORMATS[fmt]
    return exact.decided(form.rounded(x) == x and (form.bits > overflow.SINGLE.bits or overflow.SINGLE.rounded(x) == x))


def _kept_by_hand(fmt: str, number: int, power: int) -> str:
    x, back = _in_format(fmt, number, power), overflow.SINGLE.rounded(_in_format(fmt, number, power))
    value = (
        f"float32 has {overflow.SINGLE.bits} bits and holds it as it is, so {back} is returned"
        if back == x
        else f"its numerator takes {abs(x).numerator.bit_length()} bits and float32 has {overflow.SINGLE.bits}, so the nearest number of float32, {back}, is returned"
    )
    refused = (
        ""
        if fmt == overflow.SINGLE.name
        else f" What is returned has the format float32, and a product of it with queries of format {fmt} is refused: the two must have one format."
    )
    return f"A model of format {fmt} hands the cache the number {number} · 2^({power}), rounded to its format: {x}. The buffer is made by `torch.zeros`, which has the format float32: {value}.{refused}"


cache_class_format = Claim(
    id="streaming.cache-class-format",
    title="The text's class returns the numbers that it was given",
    states="Buffers are made by `torch.zeros(max_seq_len, num_heads, head_dim)`, and keys and values are assigned to their rows.",
    reading="Whatever the format of the model's numbers, what is read from the cache is what was written to it: the same numbers, in the same format, so that they can meet the model's queries.",
    precise="Assigned to a buffer of float32, the default that the class leaves in place, every number of the model's format is returned as it was, and in that format.",
    sources=(S1.at("Attention Caching"),),
    scope="float64, float32, float16 and bfloat16, numbers within their ranges (in an example the number is N · 2^E, rounded to the format). A remark: a float16 model gets float32 keys back, and PyTorch's product of them with its queries "
    "raises an error; the buffers are on the default device as well",
    inventory=("C161",),
    unsaid="the model is float32, on the default device",
    corrected_by="streaming.buffer-format",
    holds=_class_keeps,
    worked=_kept_by_hand,
)


@derived(
    Claim(
        id="streaming.buffer-format",
        title="A buffer of the model's own format returns every number as it was, and one with more bits and exponents the same number in another format",
        states="(Not in the text; it follows from what the formats hold.) The buffers should have the model's own format; a wider one keeps the numbers, but not their format.",
        precise=r"A number of $p$ bits, $N2^E$ with $|N| < 2^p$, is $(N2^x)2^{E-x}$ with $|N2^x| < 2^{p+x}$: a number of $p + x$ bits, for every $x \ge 0$. (In the steps $N = 2^p - y$.)",
        sources=(S1.at("Attention Caching"),),
        scope="binary formats, the wider one with an exponent range that holds the narrower one's, subnormal numbers included (float16 and bfloat16 within float32, all of them within float64)",
        inventory=("C161",),
        holds=_same_format_keeps,
    )
)
def buffer_format() -> Iterator[Step]:
    bits, more, exponent = sp.Symbol("p", integer=True, positive=True), sp.Symbol("x", integer=True, nonnegative=True), sp.Symbol("E", integer=True)
    whole, short = sp.Symbol("N", real=True), sp.Symbol("y", positive=True)
    yield Step((2**bits - short) * 2**more, "<", 2 ** (bits + more), "N has p bits, and N · 2^x has no more than p + x", certificate=short * 2**more)
    yield Step(whole * 2**exponent, "=", (whole * 2**more) * 2 ** (exponent - more), "and it is the same number, written with x more bits")


@derived(
    Claim(
        id="streaming.page-table",
        title="Where keys and values are stored changes nothing, if a table finds them again",
        states="(Not in the text; it follows from what a write to a slot does.) Keys and values may lie in pages anywhere in memory, or in one row after another, as long as a table finds them.",
        precise=r"Write token after token, each to a slot of its own, and gather through the table of slots: what slot $k$ returns is what was last written there, since a write of $w$ to slot $l$ leaves "
        r"$X_k + \delta_{kl}(w - X_k)$. So the gathered keys, values and positions are those of the tokens in order, and attention is the same. With one sequence whose tokens come one by one, rows $1, 2, \dots$ are "
        "such slots.",
        sources=(S1.at("Attention Caching"), KWON.at("PagedAttention")),
        scope="any number of sequences and layers, any sizes of calls and of pages, any order of the pages; slots in use are distinct (a page may be shared by sequences that agree on it, until one of them writes)",
        inventory=("C161",),
        uses=("symmetry.key-value-invariance",),
        holds=_pages_return,
    )
)
def page_table() -> Iterator[Step]:
    stored, written = sp.IndexedBase("X", real=True), sp.Symbol("w", real=True)

    def after(slot: sp.Symbol) -> sp.Expr:
        here = sp.KroneckerDelta(slot, l)
        return (1 - here) * stored[slot] + here * written

    here = sp.KroneckerDelta(k, l)
    yield Step(here * after(k), "=", here * written, "the slot that was written, k = l, returns what was written (for any other both sides are 0)")
    yield Step(after(k), "=", stored[k] + sp.KroneckerDelta(k, l) * (written - stored[k]), "any other slot, δ = 0, returns what it held before")
    yield Step(
        total((met[j] + sp.KroneckerDelta(j, l)) * after(j), j), "=", total(met[j] * stored[j], j) + written + met[l] * (written - stored[l]),
        "gathered by the table A, with slot l added to it, a sum over the slots gains the new token's term and keeps the others, since the slot was free: A_l = 0",
    )  # fmt: skip


def _broadcasts(query: Sequence[Row], keys: Sequence[Sequence[Row]], values: Sequence[Sequence[Row]]) -> list[list[arb]]:
    """softmax(q Kᵀ) V with batched products over the leading axis, q [heads, 1, dim], K and V [tokens, heads, dim] as returned; tokens = heads."""
    return [exact.attention([one], batch, value)[0] for one, batch, value in zip(query, keys, values, strict=True)]


def _by_head(query: Sequence[Row], keys: Sequence[Sequence[Row]], values: Sequence[Sequence[Row]]) -> list[list[arb]]:
    """The definition: head h of the query attends to key h of every token."""
    heads = range(len(query))
    return [exact.attention([query[at]], [token[at] for token in keys], [token[at] for token in values])[0] for at in heads]


def _used_directly(query: Sequence[Row], keys: Sequence[Sequence[Row]], values: Sequence[Sequence[Row]]) -> Outcome:
    return exact.equal(_broadcasts(query, keys, values), _by_head(query, keys, values))


def _heads_first(query: Sequence[Row], keys: Sequence[Sequence[Row]], values: Sequence[Sequence[Row]]) -> Outcome:
    swapped = [[[token[at] for token in tensor] for at in range(len(query))] for tensor in (keys, values)]
    return exact.equal(_broadcasts(query, *swapped), _by_head(query, keys, values))


def _layout_by_hand(query: Sequence[Row], keys: Sequence[Sequence[Row]], values: Sequence[Sequence[Row]]) -> str:
    direct, wanted = _broadcasts(query, keys, values), _by_head(query, keys, values)
    return (
        f"{len(query)} heads, {len(keys)} cached tokens. Query, head by head: {[list(x) for x in query]}; keys, token by token: {[[list(x) for x in t] for t in keys]}; "
        f"values: {[[list(x) for x in t] for t in values]}. Multiplied as returned, head b of the query meets token b, and the softmax runs over that token's heads: "
        f"{', '.join(map(_listed, direct))}. Head by head over the tokens it is {', '.join(map(_listed, wanted))}. "
        "With another number of tokens (but 1) the product is not defined for more than one head."
    )


used_directly = Claim(
    id="streaming.returned-tensors-used-directly",
    title="The returned tensors can go into attention as they are",
    states="`update` returns slices [seq_len, heads, dim], for attention to use.",
    reading="As K and V of softmax(QKᵀ)V, computed as usual with batched products, for the new token's query [heads, 1, dim].",
    precise=r"With as many cached tokens as heads (with one token the product mixes its heads, and with other numbers it is not defined or has another shape), $\mathrm{softmax}(qK^\top)V$ over the last two axes is the attention of each head over the cached tokens.",
    sources=(S1.at("Attention Caching"),),
    scope="batched products contract the last axis and batch over the first, so head b of the query meets token b; sizes as stated, every scale",
    inventory=("C162",),
    unsaid="the products name their axes (scores by einsum 'hd,thd->ht'), or the first two axes are swapped first",
    corrected_by="streaming.heads-first",
    holds=_used_directly,
    worked=_layout_by_hand,
)


@derived(
    Claim(
        id="streaming.heads-first",
        title="With heads as the leading axis, batched products are attention head by head",
        states="(Not in the text; it follows from the definition of a batched product.) The first two axes of the returned tensors are swapped before the products.",
        precise=r"With $K'_{gka} = K_{kga}$ (head $g$, token $k$): $\sum_aQ_{ga}K'_{gka} = \sum_aQ_{ga}K_{kga}$, head $g$'s score of token $k$, which a product that names its axes takes from $K$ as returned. A batched product of what was returned is $\sum_aQ_{ga}K_{gka}$: token $g$, head $k$.",
        sources=(S1.at("Attention Caching"),),
        scope="every number of heads and tokens, every width, every real Q, K, V",
        inventory=("C162",),
        holds=_heads_first,
    )
)
def heads_first() -> Iterator[Step]:
    p_ = sp.Symbol("p", integer=True, positive=True)

    def swapped(tensor: sp.IndexedBase, feature: sp.Symbol) -> sp.Expr:
        """Entry (g, k, feature) after the swap, as a sum over the old axes: tokens j, heads p."""
        return sp.Sum(sp.KroneckerDelta(j, k) * sp.KroneckerDelta(p_, g) * tensor[j, p_, feature], (j, 1, n), (p_, 1, h))

    own = sp.exp(total(Q[g, a] * K[j, g, a], a))
    yield Step(total(Q[g, a] * swapped(K, a), a), "=", total(Q[g, a] * K[k, g, a], a), "the batched product of the swapped keys is head g's score of token k")
    yield Step(
        sp.Sum(own / sp.Sum(own, (j, 1, n)) * V[j, g, e], (j, 1, n)), "=",
        sp.Sum(sp.exp(total(Q[g, a] * swapped(K, a), a)) * swapped(V, e), (k, 1, n)) / sp.Sum(own, (j, 1, n)),
        "softmax over tokens, times the swapped values: the attention of head g",
    )  # fmt: skip


# --- what a cache holds and costs -----------------------------------------------------------------------------------------------------------

L, h_kv = sp.symbols("L h_kv", integer=True, positive=True)  # layers, key-value heads
d_h, tokens_ = sp.symbols("d_h t", integer=True, positive=True)  # width of a head, keys that a query sees
counts = [sp.Symbol(f"x_{at}", integer=True, positive=True) for at in range(1, 5)]  # indices that only count


def _times(body: sp.Expr, *sizes: sp.Expr) -> sp.Expr:
    """Σ body, once for every combination of the sizes."""
    for index, size in zip(counts, sizes, strict=False):
        body = sp.Sum(body, (index, 1, size))
    return body


def _held(length: int, layers: int, kv_heads: int, width: int, window: int = 0, sinks: int = 0) -> int:
    """The most numbers that the caches of all layers hold while `length` tokens pass; a window keeps the last ones, and the first `sinks`."""
    caches: list[list[tuple[int, ...]]] = [[] for _ in range(layers * kv_heads)]
    most = 0
    for token in range(length):
        for cache in caches:
            if window and len(cache) == window + sinks:
                del cache[sinks]
            cache.append((token,) * (2 * width))  # key and value
        most = max(most, sum(len(pair) for cache in caches for pair in cache))
    return most


def _row_operations(keys: int, heads: int, width: int) -> int:
    """Operations of one query against `keys` keys: scores with the scale, softmax, weighted values, for each head."""
    done = Operations()
    for _ in range(heads):
        for _ in range(keys):
            done.dot(width)
            done.multiplications += 1
        done.softmax(keys)
        for _ in range(width):
            done.dot(keys)
    return done.all()


def _projection_operations(model: int) -> int:
    """Query, key, value and output projection of one token, model × model each."""
    done = Operations()
    for _ in range(4 * model):
        done.dot(model)
    return done.all()


def _decode_time(cached: int, heads: int, width: int) -> Outcome:
    model, attention, projections = heads * width, _row_operations(cached, heads, width), _projection_operations(heads * width)
    formula = heads * (4 * cached * width + 5 * cached - width - 2)
    bounded = cached * model <= attention <= 9 * cached * model
    exceeded = (projections > 9 * cached * model) == (8 * model > 9 * cached + 4)
    return exact.decided(attention == formula and bounded and projections == 8 * model**2 - 4 * model and exceeded)


@derived(
    Claim(
        id="streaming.decode-time",
        title="A decoded token costs of order td on its cache, and 8d² − 4d operations of projections whatever t is",
        states="(Implied.) With cached keys and values, one more token costs O(td).",
        reading="Operations (multiply, add, compare, exp, divide: one each) of one layer for one token that sees t keys, its own included; d = h d_h.",
        precise=r"Attention: $h(4td_h + 5t - d_h - 2)$, so between $td$ and $9td$. The four projections: $8d^2 - 4d$, which is more than $9td$ exactly if $8d > 9t + 4$: the order td is that of the attention alone. "
        r"(Written with $t = 1 + x$, $d_h = 1 + y$.)",
        sources=(S1.at("Attention Caching"),),
        scope="every t, h and d_h; a dense d × d map for each of query, key, value and output, no bias",
        kind=Kind.COST,
        inventory=("C160",),
        holds=_decode_time,
    )
)
def decode_time() -> Iterator[Step]:
    more, wider = sp.symbols("x y", integer=True, nonnegative=True)
    attention = _times(2, d_h, tokens_, h) + _times(5, tokens_, h) - _times(2, h) + _times(2, tokens_, d_h, h) - _times(1, d_h, h)
    formula = h * (4 * tokens_ * d_h + 5 * tokens_ - d_h - 2)
    yield Step(_times(2 * d - 1, d, 4), "=", 8 * d**2 - 4 * d, "four projections of d dot products each: t is not in it")
    yield Step(8 * d**2 - 4 * d - 9 * tokens_ * d, "=", d * (8 * d - 9 * tokens_ - 4), "they take more than 9td exactly if 8d > 9t + 4")
    yield Step(attention, "=", formula, "scores with the scale 2d_h a key, softmax 5 a key less 2, values 2t − 1 a feature; for each head")
    small = {tokens_: 1 + more, d_h: 1 + wider}
    spent, order = sp.expand(formula.subs(small)), sp.expand((tokens_ * h * d_h).subs(small))
    yield Step(order, "<=", spent, "at least td", certificate=sp.expand(spent - order))
    yield Step(spent, "<=", 9 * order, "at most 9td", certificate=sp.expand(9 * order - spent))


def _cache_memory(length: int, layers: int, kv_heads: int, group: int, width: int) -> Outcome:
    """Each group of `group` query heads shares one key-value head."""
    held = _held(length, layers, kv_heads, width)
    return exact.decided(held == 2 * layers * kv_heads * width * length and _held(length, layers, kv_heads * group, width) == group * held)


@derived(
    Claim(
        id="streaming.cache-memory",
        title="The cache holds 2 · L · H_kv · d_h · n numbers",
        states="(Implied.) A key-value cache of L layers and H heads takes 2·L·H·d_h·n elements for n tokens.",
        precise=r"$2Lh_{kv}d_hn$ numbers for one sequence of $n$ tokens, with $h_{kv}$ key-value heads of width $d_h$ in each of $L$ layers: one key and one value a head, layer and token. With groups of $h/h_{kv}$ query heads that share "
        r"theirs it is $h/h_{kv}$ times less than with $h_{kv} = h$. Buffers allocated for $n_{\max}$ tokens, as the text's class does (one object for each layer), take $2Lh_{kv}d_hn_{\max}$ from the start.",
        sources=(S1.at("Attention Caching"), AINSLIE.at("grouped-query attention")),
        scope="every n, L, h_kv, d_h; one sequence (a batch multiplies it); keys and values of one width",
        kind=Kind.COST,
        inventory=("C160",),
        holds=_cache_memory,
    )
)
def cache_memory() -> Iterator[Step]:
    group = sp.Symbol("q", integer=True, positive=True)
    held = _times(2 * d_h, n, h_kv, L)
    yield Step(_times(2 * d_h, n, group * h_kv, L), "=", group * held, "without sharing, h = q h_kv heads store q times as much")
    yield Step(held.subs(n, n + 1) - held, "=", 2 * L * h_kv * d_h, "each token adds the same: the cache grows without bound")
    yield Step(held, "=", 2 * L * h_kv * d_h * n, "a key and a value of d_h numbers for each token, head and layer")


def _pairs(length: int, cached: bool) -> int:
    """Query-key pairs scored while `length` tokens are generated one by one: the newest row each time, or the whole triangle anew."""
    return sum(len(range(row + 1)) for new in range(length) for row in ([new] if cached else range(new + 1)))


def _cache_saves(length: int) -> Outcome:
    anew = length * (length + 1) * (length + 2)
    return exact.decided(2 * _pairs(length, True) == length * (length + 1) and 6 * _pairs(length, False) == anew)


@derived(
    Claim(
        id="streaming.cache-saves",
        title="A cache turns cubic work into quadratic",
        states="(Implied.) Caching keys and values saves recomputation.",
        precise=r"Generating $n$ tokens scores $n(n + 1)/2$ query-key pairs with a cache, and $n(n + 1)(n + 2)/6$ if every step recomputes the causal triangle: $(n + 2)/3$ times as many. By induction from no token, where both are 0.",
        sources=(S1.at("Attention Caching"),),
        scope="every n; per head and layer, the triangle computed without its masked half",
        kind=Kind.COST,
        inventory=("C160",),
        holds=_cache_saves,
    )
)
def cache_saves() -> Iterator[Step]:
    def once(length: sp.Expr) -> sp.Expr:
        return length * (length + 1) / 2

    def anew(length: sp.Expr) -> sp.Expr:
        return length * (length + 1) * (length + 2) / 6

    yield Step(once(n) - once(n - 1), "=", n, "with a cache, token n scores its n keys")
    yield Step(anew(n) - anew(n - 1), "=", once(n), "without one, step n scores the triangle of n rows")
    yield Step(anew(n), "=", (n + 2) / 3 * once(n), "the ratio of the two")


# --- padding and packing --------------------------------------------------------------------------------------------------------------------


MOST = 6  # sequences of which every order is tried


def cut(lengths: Sequence[int], size: int) -> list[Sequence[int]]:
    return [lengths[start : start + size] for start in range(0, len(lengths), size)]


def padded(batches: Sequence[Sequence[int]]) -> int:
    """Places, padding included, when each batch is padded to its longest sequence."""
    return sum(len(batch) * max(batch) for batch in batches)


def refilled(batches: Sequence[Sequence[int]]) -> list[Sequence[int]]:
    """Batches of the same sizes, in the order of their longest sequences, filled anew with the lengths from the shortest on."""
    waiting = iter(sorted(length for batch in batches for length in batch))
    return [tuple(itertools.islice(waiting, len(batch))) for batch in sorted(batches, key=max)]


def _sorted_pads_less(lengths: Row, size: int) -> Outcome:
    either = min(padded(cut(sorted(lengths, reverse=downwards), size)) for downwards in (False, True))
    return exact.decided(either <= padded(cut(lengths, size)))


def _refilled_pads_less(lengths: Row, size: int) -> Outcome:
    """Against the order of arrival; where all batches are full the refill is sorting and cutting, and (for up to six sequences) no order needs less."""
    batches = cut(lengths, size)
    least, full = padded(refilled(batches)), len(lengths) % size == 0
    same = not full or refilled(batches) == [tuple(batch) for batch in cut(sorted(lengths), size)]
    best = not full or len(lengths) > MOST or least == min(padded(cut(order, size)) for order in itertools.permutations(lengths))
    return exact.decided(sum(lengths) <= least <= padded(batches) and same and best)


def _sorted_by_hand(lengths: Row, size: int) -> str:
    arrived, up, down = (cut(tuple(order), size) for order in (lengths, sorted(lengths), sorted(lengths, reverse=True)))
    return (
        f"Lengths {list(lengths)}, batches of {size}. As they come: {[list(x) for x in arrived]}, {padded(arrived)} places. Sorted upwards: {[list(x) for x in up]}, {padded(up)} places; "
        f"downwards: {[list(x) for x in down]}, {padded(down)} places. The last batch is not full: what sorting puts there, the longest or the shortest, is not what pads least."
    )


similar_lengths = Claim(
    id="streaming.similar-lengths",
    title="Sorting by length before batching reduces padding",
    states="(Not in the text, which groups sequences of similar lengths and does not say how; this is the usual code for it.) Sort the sequences by length and cut the list into batches.",
    reading="Grouping as it is usually coded: sequences are sorted by length, upwards or downwards, and cut into batches of b. The better of the two ways never needs more places, padding included, than batches of b in the order of arrival. "
    "(Fewer are not promised: equal lengths need no padding at all.)",
    precise=r"$\sum_B|B|\max(B)$ over the batches sorted upwards, or over those sorted downwards, is at most the same sum over the batches as they came, for every $b$.",
    sources=(S1.at("Batch Processing"),),
    scope="each batch is padded to its own longest sequence; the last batch may be smaller than b",
    unsaid="the batches are of one size, so b divides the number of sequences (or where the short batch goes is chosen as well)",
    corrected_by="streaming.sorted-batches",
    holds=_sorted_pads_less,
    worked=_sorted_by_hand,
)


@derived(
    Claim(
        id="streaming.sorted-batches",
        title="Sorted batches of the same sizes never need more padding, and with one size no grouping needs less",
        states="Dynamic batching, to group sequences of similar lengths, is a solution to the padding overhead.",
        reading="Each batch is padded to its own longest sequence, and places are counted, padding included. The batches are kept, with their sizes, and only filled in another way.",
        precise=r"Take any batches of $b_1, \dots, b_B$ sequences, in the order of their longest lengths $M_1 \le \dots \le M_B$, and fill them again with the lengths $l_1 \le l_2 \le \dots$ from the shortest on. Let $s_{hu}$ be the number of lengths "
        r"in batch $h$ that are at most $M_u$. For $h \le u$ these are all $b_h$, so that $q = \sum_hs_{hu}$, the number of all lengths of at most $M_u$, is no less than $p = \sum_{h\le u}b_h$. The refilled batch $u$ ends with the $p$-th shortest length, "
        r"$r_u = l_p \le l_q \le M_u$. So $\sum_ub_ur_u \le \sum_ub_uM_u$. If all batches have one size, every grouping is refilled in the same way, sorted and cut: no grouping needs less. (In the last step $M_u = r_u + x_u$, $x_u \ge 0$.)",
        sources=(S1.at("Batch Processing"),),
        scope="every number of sequences and batches, all lengths, all sizes of batches; where the batches are full, the runs also try every order of up to six sequences",
        inventory=("C152",),
        holds=_refilled_pads_less,
    )
)
def sorted_batches() -> Iterator[Step]:
    batch, upto, more = sp.Symbol("h", integer=True, positive=True), sp.Symbol("u", integer=True, positive=True), sp.Symbol("y", integer=True, nonnegative=True)
    size, short, rise = sp.IndexedBase("b", positive=True), sp.IndexedBase("s", nonnegative=True), sp.IndexedBase("g", nonnegative=True)
    earlier = sp.Sum(size[batch], (batch, 1, upto))  # p, with s_hu = b_h for h ≤ u
    later = sp.Sum(short[batch + upto], (batch, 1, more))  # the other batches, B = u + y
    yield Step(
        earlier,
        "<=",
        earlier + later,
        "every sequence of the batches 1 to u has at most the length M_u, and later batches may have more of the kind: p ≤ q",
        certificate=later,
    )
    place, step = sp.Symbol("p", integer=True, positive=True), sp.Symbol("i", integer=True, positive=True)
    least = sp.Symbol("l_0", positive=True)  # with increments g_i ≥ 0 from one length to the next
    length = least + sp.Sum(rise[step], (step, 1, place))
    further = sp.Sum(rise[place + step], (step, 1, more))
    yield Step(length, "<=", length + further, "sorted lengths do not fall: l_p ≤ l_q for q = p + y, and the q-th shortest is at most M_u", certificate=further)
    ends = sp.IndexedBase("r", positive=True)
    yield Step(
        total(size[j] * ends[j], j), "<=", total(size[j] * (ends[j] + x[j]), j), "so no refilled batch is padded to more than before, and the places are no more",
        certificate=total(size[j] * x[j], j),
    )  # fmt: skip


def _placed(sequence: Row, ramp: int, start: int = 0) -> list[int]:
    """Tokens with an encoding of their positions added, counted from `start`."""
    return [token + ramp * (start + at) for at, token in enumerate(sequence)]


def _alone(sequences: Sequence[Row], layers: Sequence[Layer], ramp: int, one_way: bool) -> list[arb]:
    sees: Sees = causal if one_way else lambda row, key: True
    return [row for sequence in sequences for row in recomputed(_placed(sequence, ramp), layers, sees)]


def _as_one(sequences: Sequence[Row], ramp: int, one_way: bool, blocks: bool, restart: bool) -> tuple[list[int], Sees]:
    """The sequences one after another as one, and what each row sees; `blocks` keeps each to itself, `restart` counts positions from each one's start."""
    starts = list(itertools.accumulate(map(len, sequences), initial=0))
    tokens = [token for sequence, start in zip(sequences, starts, strict=False) for token in _placed(sequence, ramp, 0 if restart else start)]
    owner = [number for number, sequence in enumerate(sequences) for _ in sequence]
    return tokens, lambda row, key: (not one_way or causal(row, key)) and (not blocks or owner[row] == owner[key])


def _packed(sequences: Sequence[Row], layers: Sequence[Layer], ramp: int, one_way: bool, blocks: bool, restart: bool) -> list[arb]:
    tokens, sees = _as_one(sequences, ramp, one_way, blocks, restart)
    return recomputed(tokens, layers, sees)


def _packing(blocks: bool, restart: bool) -> Callable[..., Outcome]:
    def holds(sequences: Sequence[Row], layers: Sequence[Layer], ramp: int, one_way: bool) -> Outcome:
        return exact.equal(_packed(sequences, layers, ramp, one_way, blocks, restart), _alone(sequences, layers, ramp, one_way))

    return holds


def _packing_by_hand(blocks: bool, restart: bool) -> Callable[..., str]:
    def worked(sequences: Sequence[Row], layers: Sequence[Layer], ramp: int, one_way: bool) -> str:
        tokens, sees = _as_one(sequences, ramp, one_way, blocks, restart)
        alone: Sees = causal if one_way else lambda row, key: True
        last = _placed(sequences[-1], ramp)
        positions = (
            f" To the token at position t = 0, 1, … the encoding {ramp}t is added: {last} in the last sequence alone, {tokens} in the concatenation."
            if ramp
            else ""
        )
        return (
            f"Sequences {[list(x) for x in sequences]}, {'a' if one_way else 'no'} causal mask; {MAP}. {_shown_layers(layers)}{positions} The last sequence alone: {_layer_by_layer(last, layers, alone)}. "
            f"The concatenation{', under a block-diagonal mask and with positions running on' if blocks else ''}: {_layer_by_layer(tokens, layers, sees)}. Sequence by sequence, each alone, the outputs are "
            f"{_listed(_alone(sequences, layers, ramp, one_way))}, and in the concatenation {_listed(_packed(sequences, layers, ramp, one_way, blocks, restart))}."
        )

    return worked


concatenated = Claim(
    id="streaming.concatenated-sequences",
    title="Sequences can be concatenated instead of padded",
    states="Packed sequences, concatenating sequences without padding, are a solution to variable lengths and padding overhead.",
    reading="Each token's output in the concatenation is what it is when its sequence is computed by itself.",
    precise="Attention (causal or not) over the concatenation gives every token the output that it has in its own sequence.",
    sources=(S1.at("Batch Processing"),),
    scope="any sequences, any number of layers; positions run on through the concatenation",
    inventory=("C154",),
    unsaid="a block-diagonal mask keeps each sequence to itself, and positions start again with each sequence",
    corrected_by="streaming.packed-is-each-alone",
    holds=_packing(False, False),
    worked=_packing_by_hand(False, False),
)
packed_positions = Claim(
    id="streaming.packed-positions",
    title="A block-diagonal mask suffices for packing",
    states="(Not in the text; it takes two of its solutions, masking and packing, together.) Concatenate sequences without padding, and mask the other sequences.",
    reading="With the mask alone, each token's output is what it is when its sequence is computed by itself.",
    precise="Under a block-diagonal mask, with positions that run on through the concatenation, every token has the output that it has in its own sequence.",
    sources=(S1.at("Batch Processing"),),
    scope="any sequences, any number of layers; positions added to the tokens",
    unsaid="positions start again with each sequence, or enter by their differences only",
    corrected_by="streaming.packed-is-each-alone",
    holds=_packing(True, False),
    worked=_packing_by_hand(True, False),
)

owns = sp.IndexedBase("mu", nonnegative=True)  # 1 for the keys of the row's own sequence that it sees, else 0
others = sp.IndexedBase("sigma", real=True)  # scores of another sequence's keys
theirs = sp.IndexedBase("w", real=True)  # and their values


@derived(
    Claim(
        id="streaming.packed-is-each-alone",
        title="Packed under a block-diagonal mask, with positions restarted, each sequence is as it is alone",
        states="(Not in the text; it follows from the definition of a mask.) Sequences are concatenated, and each is kept to itself.",
        precise=r"Let another sequence's $H$ keys keep the factor $z$ on their exponentials. The row differs from its own sequence's by $z\sum_ue^{\sigma_u}(w_u - o)$ over the normaliser, which is nothing for the mask $-\infty$ ($z = 0$), in every "
        r"layer; the inputs agree if positions restart, since an encoding $ct$ that runs on is off by $c$ times the start, and a penalty $c(t - j)$ does not notice a start at all.",
        sources=(S1.at("Batch Processing"), KRELL.at("attention mask and positions")),
        scope="any sequences and layers; causal or not; every real score and value; between the layers anything that acts on each position by itself",
        inventory=("C154",),
        uses=("masks.hidden-key-has-no-influence",),
        holds=_packing(True, True),
    )
)
def packed_is_each_alone() -> Iterator[Step]:
    keeps, start = sp.Symbol("z", nonnegative=True), sp.Symbol("o", real=True)
    own, beside = total(owns[j] * sp.exp(s[j]), j), keeps * sp.Sum(sp.exp(others[dropped]), (dropped, 1, H))
    alone = total(owns[j] * sp.exp(s[j]) * v[j], j) / own
    together = (total(owns[j] * sp.exp(s[j]) * v[j], j) + keeps * sp.Sum(sp.exp(others[dropped]) * theirs[dropped], (dropped, 1, H))) / (own + beside)
    yield Step(c * (start + tokens_) - c * tokens_, "=", c * start, "an encoding of running positions is off by its value at the start; restarted, it is not")
    yield Step(c * (start + tokens_) - c * (start + j), "=", c * (tokens_ - j), "a difference of positions does not contain the start")
    yield Step(
        together - alone, "=", keeps * sp.Sum(sp.exp(others[dropped]) * (theirs[dropped] - alone), (dropped, 1, H)) / (own + beside),
        "every term of another sequence carries its factor z, which the mask makes 0; a row sees its own key, so nothing is divided by 0", nonzero=(own, own + beside),
    )  # fmt: skip


def _concatenation_saves(lengths: Row) -> Outcome:
    return exact.decided(sum(lengths) ** 2 <= len(lengths) * max(lengths) ** 2)


def _blocks_save(lengths: Row) -> Outcome:
    """Pairs inside the blocks, counted one by one, against padded rows and keys."""
    inside = sum(1 for length in lengths for _ in itertools.product(range(length), repeat=2))
    padding = len(lengths) * max(lengths) ** 2
    return exact.decided(inside == sum(length**2 for length in lengths) <= padding and (inside == padding) == (len(set(lengths)) == 1))


def _packing_cost_by_hand(lengths: Row) -> str:
    together, most = sum(lengths), max(lengths)
    return (
        f"Lengths {list(lengths)}. Padded to {most}: {len(lengths)} · {most}² = {len(lengths) * most**2} pairs. Concatenated: {together}² = {together**2} pairs, if the masked ones are computed. "
        f"Within the blocks alone: {sum(x**2 for x in lengths)}."
    )


packing_saves = Claim(
    id="streaming.packing-saves",
    title="Concatenating sequences saves the computation wasted on padding",
    states="The challenge is wasted computation on padding tokens; packed sequences are a solution.",
    reading="Attention over the concatenation scores no more query-key pairs than over the padded batch.",
    precise=r"$(\sum_in_i)^2 \le B\max_i n_i^2$ for $B$ sequences of lengths $n_i$.",
    sources=(S1.at("Batch Processing"),),
    scope="query-key pairs that are scored, masked ones included, per head and layer; projections and feed-forward do save: they see Σ n_i tokens in place of B max n_i",
    kind=Kind.COST,
    inventory=("C154",),
    unsaid="pairs of different sequences are skipped, and not computed and then masked",
    corrected_by="streaming.packed-pairs",
    holds=_concatenation_saves,
    worked=_packing_cost_by_hand,
)


@derived(
    Claim(
        id="streaming.packed-pairs",
        title="Without the pairs of different sequences, packing never scores more than padding",
        states="(Not in the text; it follows from counting.) Sequences are packed, and only the pairs within each of them are computed.",
        precise=r"$\sum_in_i^2 \le B\max_in_i^2$, with equality only where all lengths are equal; tokens: $\sum_in_i \le B\max_in_i$. (With $n_i = M - x_i$, $M$ the longest; $n_i + x_i$ is $M$.)",
        sources=(S1.at("Batch Processing"), KRELL),
        scope="every number of sequences, all lengths ≥ 1; query-key pairs per head and layer",
        kind=Kind.COST,
        inventory=("C154",),
        holds=_blocks_save,
    )
)
def packed_pairs() -> Iterator[Step]:
    most, own = sp.Symbol("M", positive=True), sp.IndexedBase("l", positive=True)
    padding = total((own[j] + x[j]) ** 2, j)
    yield Step(total(own[j], j), "<=", total(own[j] + x[j], j), "tokens: each sequence is padded by x_j ≥ 0", certificate=total(x[j], j))
    yield Step(total(most**2, j), "=", n * most**2, "padded to one length M = n_i + x_i, all B = n sequences have n M² pairs")
    saved = x[j] * (2 * own[j] + x[j])
    yield Step(
        x[k] * (2 * own[k] + x[k]), "<=", total(saved, j), "a single shorter sequence, x_k > 0, already saves pairs: equality only where no length is shorter",
        certificate=total((1 - sp.KroneckerDelta(j, k)) * saved, j),
    )  # fmt: skip
    yield Step(total(own[j] ** 2, j), "<=", padding, "pairs: the square of each padded length is the larger", certificate=total(x[j] * (2 * own[j] + x[j]), j))


def _batch_alone(sequences: Sequence[Row], layers: Sequence[Layer], ramp: int, place: int, other: Row) -> Outcome:
    """Padded on the left to one length, the padding hidden and positions counted behind it; each row against its sequence alone, also after one is replaced."""
    outcomes = []
    for batch in (list(sequences), [other if at == place % len(sequences) else sequence for at, sequence in enumerate(sequences)]):
        longest = max(map(len, batch))
        for sequence in batch:
            pad = longest - len(sequence)
            rows = recomputed([7] * pad + _placed(sequence, ramp), layers, lambda row, key, pad=pad: key == row or (pad <= key < row))  # type: ignore[misc]
            outcomes.append(exact.equal(rows[pad:], _alone([sequence], layers, ramp, True)))
    return Outcome.worst(outcomes)


@derived(
    Claim(
        id="streaming.batch-alone",
        title="A sequence in a batch is computed as it is alone",
        states="Sequences are processed in batches.",
        precise=r"With $\delta = 1$ for the replaced sequence $l$ and 0 for any other: after other scores and values are put at sequence $l$, the output of sequence $k$ is $o_k + \delta_{kl}(o' - o_k)$, so nothing changes for $k \ne l$. Padding is "
        "removed by its mask.",
        sources=(S1.at("Batch Processing"),),
        scope="every batch, every length, sequences padded on the left in the runs; softmax over one sequence's keys; nothing between the layers mixes the batch (batch normalisation does, and capacity limits of expert layers do)",
        assumes=("positions count from each sequence's own first token, or enter by their differences only",),
        uses=("masks.padding",),
        holds=_batch_alone,
    )
)
def batch_alone() -> Iterator[Step]:
    scores, values = sp.IndexedBase("S", real=True), sp.IndexedBase("V", real=True)  # [sequence, key]
    new_scores, new_values = sp.IndexedBase("T", real=True), sp.IndexedBase("Y", real=True)
    here = sp.KroneckerDelta(k, l)

    def output(score: sp.Expr, value: sp.Expr) -> sp.Expr:
        return total(sp.exp(score) * value, j) / total(sp.exp(score), j)

    old, new = output(scores[k, j], values[k, j]), output(new_scores[j], new_values[j])
    mixed = output(scores[k, j] + here * (new_scores[j] - scores[k, j]), values[k, j] + here * (new_values[j] - values[k, j]))
    yield Step(mixed, "=", (1 - here) * old + here * new, "the row's numerator and normaliser run over the keys of its own sequence")


# --- windows --------------------------------------------------------------------------------------------------------------------------------


def _rolls(tokens: Row, layers: Sequence[Layer], window: int, sinks: int) -> Outcome:
    return exact.equal(rolled(tokens, layers, window, sinks), recomputed(tokens, layers, band(window, sinks)))


@derived(
    Claim(
        id="streaming.window-cache-is-window",
        title="A rolling cache of W slots is sliding-window attention, layer by layer",
        states="Sliding window, a fixed-size attention window, is an implementation of streaming attention: memory bounded, processing causal.",
        precise=r"If the slots hold the keys with $A_j = 1$, and the new key $l$ takes the slot of the oldest, $k$, then they hold $A_j - \delta_{jk} + \delta_{jl}$, and the row read from them is the softmax over the last $W$ keys, the new one included "
        r"(the first tokens of the sequence besides, if slots are kept for them). As long as a slot is free no key leaves, and the row is that of a growing cache. With such a cache in each layer, a stack computes what it computes under the banded mask.",
        sources=(S1.at("Streaming Attention"), JIANG.at("rolling buffer cache"), XIAO.at("rolling cache with attention sinks")),
        scope="every W ≥ 1, every number of tokens, kept first tokens and layers; every real score and value; positions are those of the stream (the paper on attention sinks numbers them within the cache: another function)",
        inventory=("C290",),
        uses=("streaming.cache-is-causal-row", "masks.causal-stack", "symmetry.key-value-invariance"),
        holds=_rolls,
    )
)
def window_cache_is_window() -> Iterator[Step]:
    after = met[j] - sp.KroneckerDelta(j, k) + sp.KroneckerDelta(j, l)

    def read(value: sp.Expr) -> sp.Expr:
        return total(after * sp.exp(s[j]) * value, j)

    def window(value: sp.IndexedBase | None) -> sp.Expr:
        def term(key: sp.Symbol) -> sp.Expr:
            return sp.exp(s[key]) * (value[key] if value is not None else 1)

        return total(met[j] * term(j), j) - term(k) + term(l)

    yield Step(total(after, j), "=", total(met[j], j), "one key leaves and one enters: as many slots as before are in use")
    yield Step(read(sp.S.One), "=", window(None), "the normaliser loses the oldest key's term and gains the new one's")
    yield Step(read(v[j]) / read(sp.S.One), "=", window(v) / window(None), "and so does the numerator", nonzero=(read(sp.S.One), window(None)))


def _window_cost(length: int, layers: int, heads: int, width: int, window: int, sinks: int) -> Outcome:
    kept = window + sinks
    bounded = _held(length, layers, heads, width, window, sinks) == 2 * layers * heads * width * min(length, kept)
    dearest = max(_row_operations(min(place + 1, kept), heads, width) for place in range(length))
    full = heads * (4 * kept * width + 5 * kept - width - 2)
    return exact.decided(bounded and (dearest == full if length >= kept else dearest < full))


@derived(
    Claim(
        id="streaming.window-cost",
        title="With a window of W tokens, memory and the cost of a token stop growing",
        states="Bounded memory, fixed regardless of the sequence's length; a sliding window is an implementation. (Implied: a fixed cost for each token as well.)",
        precise=r"$2Lhd_h\min(n, W)$ numbers are held. A token that sees $t \le W$ keys takes $h(4td_h + 5t - d_h - 2)$ operations of attention in each layer: it grows until the window is full and is then the same for every token, "
        r"$h(4Wd_h + 5W - d_h - 2)$. First tokens that are kept besides count in $W$.",
        sources=(S1.at("Streaming Attention"), JIANG.at("rolling buffer cache"), XIAO),
        scope="every n, L, h, d_h and W; operations as in streaming.decode-time, projections not included (they do not depend on t)",
        kind=Kind.COST,
        inventory=("C290",),
        uses=("streaming.decode-time",),
        holds=_window_cost,
    )
)
def window_cost() -> Iterator[Step]:
    held, room = _times(2 * d_h, tokens_, h, L), sp.Symbol("x", integer=True, nonnegative=True)
    row = h * (4 * tokens_ * d_h + 5 * tokens_ - d_h - 2)
    yield Step(held, "=", 2 * L * h * d_h * tokens_, "as many pairs as tokens are in the window, t ≤ W")
    yield Step(
        row, "<=", row.subs(tokens_, tokens_ + room), "no token costs more than one that meets a full window, W = t + x", certificate=h * room * (4 * d_h + 5)
    )


def _rerun(tokens: Row, layers: Sequence[Layer], window: int) -> Outcome:
    return exact.equal(recomputed(tokens[-window:], layers, causal)[-1], rolled(tokens, layers, window, 0)[-1])


def _reaches(tokens: Row, layers: Sequence[Layer], window: int) -> Outcome:
    """The newest output from the last L(W − 1) + 1 tokens; and with equal weights everywhere (value weight 1, no residual), the oldest of them counts W^(−L)."""
    reach = len(layers) * (window - 1) + 1
    same = exact.equal(recomputed(tokens[-reach:], layers, band(window))[-1], rolled(tokens, layers, window, 0)[-1])
    rows = [Fraction(int(at == 0)) for at in range(reach)]
    for _ in layers:
        rows = [sum(rows[max(at - window + 1, 0) : at + 1], Fraction(0)) / window for at in range(reach)]
    return Outcome.worst([same, exact.decided(rows[-1] == Fraction(1, window ** len(layers)))])


def _rerun_by_hand(tokens: Row, layers: Sequence[Layer], window: int) -> str:
    streamed, again = rolled(tokens, layers, window, 0)[-1], recomputed(tokens[-window:], layers, causal)[-1]
    below, below_again = recomputed(tokens, layers[:1], band(window))[-window:], recomputed(tokens[-window:], layers[:1], causal)
    return (
        f"Tokens {list(tokens)}, a window of {window}, {len(layers)} layers; {MAP}. {_shown_layers(layers)} From the rolling caches: {_layer_by_layer(tokens, layers, band(window))}. So the newest output is {exact.show(streamed)}. Run on the last "
        f"{window} token(s), {list(tokens[-window:])}, alone: {_layer_by_layer(tokens[-window:], layers, causal)}. So it is {exact.show(again)}. The difference arises in layer 1, whose last rows are {_listed(below)} in the stream and {_listed(below_again)} in the run: "
        "what later layers cached of those tokens was computed when earlier tokens stood in the window below."
    )


rerun = Claim(
    id="streaming.rerun-on-the-window",
    title="A sliding-window cache is the same as running the model on the last W tokens",
    states="Sliding window: a fixed-size attention window over the newest tokens.",
    reading="The newest output depends on the last W tokens only: it is what the model computes when it is given these alone.",
    precise=r"With windows of $W$ keys in every layer, the output for the newest token equals that of the same model run on the last $W$ tokens.",
    sources=(S1.at("Streaming Attention"),),
    scope="any number of layers, heads and tokens; positions enter by their differences only",
    inventory=("C291",),
    unsaid="there is one attention layer",
    corrected_by="streaming.receptive-field",
    holds=_rerun,
    worked=_rerun_by_hand,
)


@derived(
    Claim(
        id="streaming.receptive-field",
        title="Through L layers of windows of W keys the newest output sees exactly the last L(W − 1) + 1 tokens",
        states="(Not in the text; it follows from the definition of a window.) Which tokens the newest output depends on, with a window in every layer.",
        precise=r"If rows from $t$ on need the inputs from $t - \ell(W - 1)$ on after $\ell$ layers, one more layer needs those from $t - (\ell + 1)(W - 1)$ on. So the model run on the last $L(W - 1) + 1$ tokens gives the newest output exactly: for one "
        r"layer the last $W$. No fewer suffice: with equal weights $1/W$ the oldest of them reaches the output along one path only, with the coefficient $W^{-L} > 0$.",
        sources=(S1.at("Streaming Attention"), JIANG.at("sliding window attention")),
        scope="every W, L and number of tokens; between the layers anything that acts on each position by itself; positions, if they enter, are those of the stream",
        inventory=("C291",),
        uses=("masks.hidden-key-has-no-influence",),
        holds=_reaches,
    )
)
def receptive_field() -> Iterator[Step]:
    here = sp.Symbol("t", integer=True)
    depth = sp.Symbol("ell", integer=True, nonnegative=True)
    yield Step(
        W**-depth * (1 / W), "=", W ** -(depth + 1), "equal weights: the path that steps back W − 1 in every layer gains one more factor, its weight 1/W"
    )
    yield Step(sp.Integer(0), "<", W**-depth, "so the oldest token does move the output")
    yield Step(
        here - depth * (W - 1) - (W - 1), "=", here - (depth + 1) * (W - 1),
        "one layer more: the oldest row needed sees W − 1 positions before its own (no layer, ℓ = 0: the row needs its own token, t)",
    )  # fmt: skip


# --- decay ----------------------------------------------------------------------------------------------------------------------------------


def _aged(scores: Row, rate: int) -> list[int]:
    """Scores less the penalty: the newest is last and has age 0. As weights: e^(s_j) λ^age with λ = e^(−rate)."""
    return [score - rate * (len(scores) - 1 - at) for at, score in enumerate(scores)]


def _mean(scores: Row, values: Row) -> arb:
    return sum((w * value for w, value in zip(exact.softmax(scores), values, strict=False)), arb(0))


def _few_keys(scores: Row, values: Row, rate: int, kept: int) -> Outcome:
    """Decayed softmax over the last `kept` keys, against the same over all of them."""
    aged, values = _aged(scores, rate), values[: len(scores)]
    return exact.equal(_mean(aged[-kept:], values[-kept:]), _mean(aged, values))


def _few_keys_by_hand(scores: Row, values: Row, rate: int, kept: int) -> str:
    aged, values = _aged(scores, rate), values[: len(scores)]
    return (
        f"Scores {list(scores)}, the newest last, and as many values, the first of those given: {list(values)}; decay λ = e^(−{rate}) a step, so the decayed scores are {aged}: weights {_listed(exact.softmax(aged))}, output {exact.show(_mean(aged, values))}. "
        f"From the last {kept} key(s) alone: {exact.show(_mean(aged[-kept:], values[-kept:]))}. However old a key, its weight is small and not 0."
    )


def _features(score: int) -> list[int]:
    return [1, score, score * score]


def _recurs(scores: Row, values: Row, rate: int, kept: int) -> Outcome:
    """S ← λS + φ(k)v and z ← λz + φ(k) with λ = 1/(1 + rate), against the sums with λ^age; the state never has more entries (`kept` plays no part)."""
    factor, values = Fraction(1, 1 + rate), values[: len(scores)]
    state = [Fraction(0)] * 6
    for score, value in zip(scores, values, strict=True):
        features = _features(score)
        state = [factor * old + new for old, new in zip(state, [*(value * feature for feature in features), *features], strict=True)]
    powers = [factor ** (len(scores) - 1 - at) for at in range(len(scores))]
    sums = [
        sum((power * _features(score)[at] * (value if weighted else 1) for power, score, value in zip(powers, scores, values, strict=True)), Fraction(0))
        for weighted in (True, False)
        for at in range(3)
    ]
    return exact.decided(state == sums)


decay = sp.Symbol("lambda", positive=True)
psi = sp.IndexedBase("psi", real=True)  # features of the keys, psi[j, r]
phi = sp.IndexedBase("phi", real=True)  # features of the newest query


@derived(
    Claim(
        id="streaming.decay-bounds-memory",
        title="Exponential decay keeps memory fixed",
        states="Streaming needs fixed memory regardless of the sequence's length; exponential decay, weighting recent tokens more heavily, is an implementation.",
        reading="Softmax attention with weights decayed by λ for each step of age needs some fixed number W of keys and values, however long the sequence.",
        precise=r"With weights $\propto e^{s_j}\lambda^{t-j}$, the output is that of the last $W$ keys, with a $W$ fixed beforehand. False for every $W$: a key of age $W$ has the weight $\lambda^We^s/(Z + \lambda^We^s) > 0$, and its value moves the output by that much.",
        sources=(S1.at("Streaming Attention"),),
        scope="one row of softmax attention, 0 < λ < 1, every W",
        inventory=("C292",),
        unsaid="attention is linear (its weights are products of features, so that the decayed sums are a state of fixed size), or a bounded error is accepted",
        corrected_by="streaming.decay-recurrence",
        holds=_few_keys,
        worked=_few_keys_by_hand,
    )
)
def decay_bounds_memory() -> Iterator[Step]:
    held, old = sp.symbols("N o", real=True)  # the other keys' part of the numerator; the old key's value
    mass, score = sp.Symbol("Z", positive=True), sp.Symbol("s", real=True)
    aged = decay**W * sp.exp(score)
    yield Step(sp.Integer(0), "<", aged / (mass + aged), "softmax: whatever W, a key of that age has a positive weight; Z is the mass of the others")
    yield Step(
        sp.Derivative((held + aged * old) / (mass + aged), old),
        "=",
        aged / (mass + aged),
        "and its value moves the output by that weight: none can be dropped for nothing",
    )


@derived(
    Claim(
        id="streaming.decay-recurrence",
        title="Decayed linear attention is a recurrence over a state of fixed size",
        states="(Not in the text; it follows from linear attention.) Exponential decay of a state.",
        precise=r"$S_t = \lambda S_{t-1} + \psi(k_t)v_t^\top$ from $S_0 = 0$ is $\sum_{j\le t}\lambda^{t-j}\psi(k_j)v_j^\top$, and $\phi(q_t)^\top S_t = \sum_{j\le t}\lambda^{t-j}\,\phi(q_t)^\top\psi(k_j)\,v_j^\top$; likewise $z_t$ with ones for the values. "
        r"$m(d_v + 1)$ numbers, whatever $t$. (In the steps $A_j$ is 1 for the keys before $t = k$, else 0.)",
        sources=(S1.at("Streaming Attention"), SUN.at("the recurrent representation of retention")),
        scope="every λ > 0, every length, m and d_v, any real features; the quotient by φ(q)ᵀz, where it is taken, needs that not to be 0",
        inventory=("C292",),
        uses=("linear.causal-is-recurrent",),
        holds=_recurs,
    )
)
def decay_recurrence() -> Iterator[Step]:
    def state(upto: sp.Expr, age: sp.Expr) -> sp.Expr:
        return total(upto * decay**age * psi[j, r] * V[j, e], j)

    whole = met[j] + sp.KroneckerDelta(j, k)
    yield Step(total(sp.S.Zero * psi[j, r] * V[j, e], j), "=", sp.S.Zero, "start: no token, no state")
    yield Step(
        state(whole, k - j), "=", decay * state(met[j], k - 1 - j) + psi[k, r] * V[k, e], "one token: every term ages by one step, and the new one has age 0"
    )
    yield Step(
        total(phi[r] * state(whole, k - j), r), "=", total(whole * decay ** (k - j) * total(phi[r] * psi[j, r], r) * V[j, e], j),
        "read with the newest query's features, the state gives the decayed sum over all keys so far",
    )  # fmt: skip


def _tail(scores: Row, rate: int, kept: int) -> Outcome:
    """The weight of the keys older than `kept` steps against e^(2B) λ^W/(1 − λ^W), scores within ±B."""
    size = exact.ball(max(map(abs, scores)))
    old = sum(exact.softmax(_aged(scores, rate))[:-kept], arb(0))
    power = exact.ball(-rate * kept).exp()
    return exact.at_most(old, (2 * size).exp() * power / (1 - power))


@derived(
    Claim(
        id="streaming.decay-tail",
        title="Of decayed softmax attention, all but the last W keys together weigh at most e^(2B) λ^W/(1 − λ^W)",
        states="Exponential decay, weighting recent tokens more heavily, is an implementation of streaming attention, whose memory is fixed. (What it costs to drop old tokens is not said.)",
        precise=r"With scores in $[-B, B]$ and weights $\propto e^{s_j}\lambda^{age}$, keys of age $W$ and more have together at most $e^{2B}\lambda^W/(1 - \lambda^W)$ of the weight, however many they are. So $W \ge \log(1 + e^{2B}/\varepsilon)/\log(1/\lambda)$ keys "
        r"keep the dropped mass to at most $\varepsilon$, and the output within $\varepsilon$ times the diameter of the values. (In the steps $\lambda = 1/(1 + x)$ and $\omega = \lambda^{-W} - 1$, so that the bound is $e^{2B}/\omega$.)",
        sources=(S1.at("Streaming Attention"),),
        scope="every 0 < λ < 1, W ≥ 1, number H of older keys and real scores within ±B; at least W keys have come",
        inventory=("C292",),
        uses=("convexity.pruned-mass",),
        holds=_tail,
    )
)
def decay_tail() -> Iterator[Step]:
    odds, bound = sp.Symbol("x", positive=True), sp.Symbol("B", nonnegative=True)
    factor = 1 / (1 + odds)
    start, kept_slack = sp.Symbol("k", integer=True, nonnegative=True), sp.IndexedBase("x", nonnegative=True)

    def powers(number: sp.Expr) -> sp.Expr:
        return (1 - factor**number) / (1 - factor)

    old = sp.Sum(decay ** (W + dropped - 1) * sp.exp(bound - y[dropped]), (dropped, 1, H))
    most = sp.Sum(decay ** (W + dropped - 1) * sp.exp(bound), (dropped, 1, H))
    yield Step(
        old, "<=", most, "the older keys: no score exceeds B",
        certificate=sp.Sum(decay ** (W + dropped - 1) * sp.exp(bound) * (1 - sp.exp(-y[dropped])), (dropped, 1, H)),
    )  # fmt: skip
    kept = sp.Sum(decay ** (j - 1) * sp.exp(kept_slack[j] - bound), (j, 1, W))
    least = sp.Sum(decay ** (j - 1) * sp.exp(-bound), (j, 1, W))
    yield Step(
        least, "<=", kept, "the kept keys: no score is below −B", certificate=sp.Sum(decay ** (j - 1) * sp.exp(-bound) * (sp.exp(kept_slack[j]) - 1), (j, 1, W))
    )
    yield Step((1 - sp.Pow(factor, 0, evaluate=False)) / (1 - factor), "=", sp.S.Zero, "sums of powers: none", nonzero=(1 - factor,))
    yield Step(powers(start + 1) - powers(start), "=", factor**start, "and one more", nonzero=(1 - factor,))
    mass_old, mass_kept = sp.exp(bound) * factor**W * powers(H), sp.exp(-bound) * powers(W)
    yield Step(
        mass_old * (1 - factor**W), "=", sp.exp(2 * bound) * factor**W * (1 - factor**H) * sp.UnevaluatedExpr(mass_kept),
        "so old over kept is e^(2B) λ^W (1 − λ^H)/(1 − λ^W), multiplied out here", nonzero=(1 - factor,),
    )  # fmt: skip
    eta, omega, slack = sp.Symbol("eta", positive=True), sp.Symbol("omega", positive=True), sp.Symbol("z", nonnegative=True)
    near = 1 / (1 + omega)
    yield Step(
        sp.UnevaluatedExpr(near) / (1 - sp.UnevaluatedExpr(near)), "=", 1 / omega, "with λ^W = 1/(1 + ω), the factor λ^W/(1 − λ^W) is 1/ω", nonzero=(1 - near,)
    )
    above = sp.exp(2 * bound) / omega
    ratio = above * eta / ((1 + eta) * (1 + slack))
    most_lost = sp.Symbol("epsilon", positive=True)
    enough = sp.exp(2 * bound) / most_lost + slack
    yield Step(
        sp.exp(2 * bound) / enough,
        "<=",
        most_lost,
        "with W so large that ω = λ^(−W) − 1 is e^(2B)/ε or more, the share is at most ε",
        certificate=most_lost * slack / enough,
    )
    yield Step(
        ratio / (1 + ratio), "<=", above, "the older keys' share is less than their ratio to the kept ones; 1 − λ^H = η/(1 + η) is less than 1; z ≥ 0 is what the first two steps leave",
        certificate=above * (ratio + (1 + slack + eta * slack) / ((1 + eta) * (1 + slack))) / (1 + ratio),
    )  # fmt: skip


def _biased(scores: Row, rate: int) -> Outcome:
    factors = [exact.ball(-rate * (len(scores) - 1 - at)).exp() for at in range(len(scores))]
    kept = [w * factor for w, factor in zip(exact.softmax(scores), factors, strict=True)]
    mass = sum(kept, arb(0))
    return exact.equal(exact.softmax(_aged(scores, rate)), [w / mass for w in kept])


@derived(
    Claim(
        id="streaming.decay-is-a-bias",
        title="Decayed softmax attention is softmax with a linear bias",
        states="Exponential decay: weight recent tokens more heavily. (Implied: every step of age multiplies a weight by one factor λ.)",
        precise=r"$\mathrm{softmax}(s_j - \gamma a_j) = p_j\lambda^{a_j}/\sum_lp_l\lambda^{a_l}$ with $p = \mathrm{softmax}(s)$, $\lambda = e^{-\gamma}$ and ages $a_j$: a penalty on the scores, or the weights multiplied and normalised again.",
        sources=(S1.at("Streaming Attention"),),
        scope="every number of keys, all real scores, every real γ, all ages a_j ≥ 0 (t − j, for one)",
        inventory=("C293",),
        holds=_biased,
    )
)
def decay_is_a_bias() -> Iterator[Step]:
    rate = sp.Symbol("gamma", real=True)
    mass = total(sp.exp(s[l]), l)
    weighed = total(sp.exp(s[j]) / mass * sp.exp(-rate * x[j]), j)
    yield Step(
        sp.exp(s[k] - rate * x[k]) / total(sp.exp(s[j] - rate * x[j]), j), "=", sp.exp(s[k]) / mass * sp.exp(-rate * x[k]) / weighed,
        "e^(s − γa) is e^s λ^a, and the first normaliser cancels; x_j is the age of key j", nonzero=(weighed,),
    )  # fmt: skip


def _rises(scores: Row, rate: int) -> Outcome:
    weights = exact.softmax(_aged(scores, rate))
    return Outcome.worst([exact.at_most(old, new) for old, new in itertools.combinations(weights, 2)] or [Outcome.HELD])


def _shifts(scores: Row, rate: int) -> Outcome:
    """The last k keys have at least as much of the weight as without decay, for every k."""
    plain, aged = exact.softmax(scores), exact.softmax(_aged(scores, rate))
    return Outcome.worst([exact.at_most(sum(plain[at:], arb(0)), sum(aged[at:], arb(0))) for at in range(len(scores))])


def _rises_by_hand(scores: Row, rate: int) -> str:
    aged = _aged(scores, rate)
    return f"Scores {list(scores)}, decay λ = e^(−{rate}): decayed scores {aged}, weights {_listed(exact.softmax(aged))}, the newest last. A score that is more than {rate} above the next one's more than makes up for a step of age."


recent_weigh_more = Claim(
    id="streaming.recent-weigh-more",
    title="With exponential decay a recent token weighs more than an older one",
    states="Exponential decay: weight recent tokens more heavily.",
    reading="Of two tokens the more recent gets at least as large an attention weight.",
    precise=r"With weights $\propto e^{s_j}\lambda^{t-j}$: $p_i \le p_j$ for all $i < j \le t$.",
    sources=(S1.at("Streaming Attention"),),
    scope="one row of softmax attention, 0 < λ < 1, every real score",
    inventory=("C293",),
    unsaid="the older token's score is higher by no more than log(1/λ) for each step between them (equal scores, for one)",
    corrected_by="streaming.decay-shifts-mass",
    holds=_rises,
    worked=_rises_by_hand,
)


@derived(
    Claim(
        id="streaming.decay-shifts-mass",
        title="Decay moves weight to the recent tokens: the last n have no less of it than without decay, for every n",
        states="Exponential decay: weight recent tokens more heavily.",
        reading="More heavily than they would be weighted without the decay.",
        precise=r"Let the last $n$ keys have the exponentials $p_j$ and factors of at least $f$, $f + x_j$ with $x_j \ge 0$; and the $H$ older ones exponentials $P_u$ and factors $f_u \le f$, as powers of $\lambda \le 1$ have. Their share does not fall: $\frac{\sum_jp_j}{\sum_jp_j + \sum_uP_u} \le \frac{\sum_jp_j(f + x_j)}{\sum_jp_j(f + x_j) + \sum_uP_uf_u}$. (In the last step $q_u = P_uf_u$ and $y_u = P_u(f - f_u) \ge 0$, so that $P_u = (q_u + y_u)/f$.) Two decayed weights compare as $w_i/w_j = e^{s_i - s_j}\lambda^{j-i}$: the more recent, $j$, is the heavier exactly if $s_i - s_j < (j - i)\log(1/\lambda)$.",
        sources=(S1.at("Streaming Attention"),),
        scope="every row, every number n of last keys, all real scores, all factors that do not fall with recency",
        inventory=("C293",),
        holds=_shifts,
    )
)
def decay_shifts_mass() -> Iterator[Step]:
    after = sp.IndexedBase("q", positive=True)  # the older keys' exponentials times their factors
    factor, rate, gap = sp.symbols("f gamma R", positive=True)
    steps, lead = sp.Symbol("t", positive=True), sp.Symbol("Delta", real=True)
    odds = sp.exp(lead - rate * steps)
    yield Step(
        odds.subs(lead, rate * steps - gap),
        "<",
        sp.S.One,
        "a key t steps older, whose lead falls short of γ a step by R, is the lighter",
        certificate=1 - sp.exp(-gap),
    )
    yield Step(sp.S.One, "<", odds.subs(lead, rate * steps + gap), "and with a greater lead the heavier", certificate=sp.exp(gap) - 1)
    recent, recent_after = total(p[j], j), total(p[j] * (factor + x[j]), j)
    old, old_after = sp.Sum((after[dropped] + y[dropped]) / factor, (dropped, 1, H)), sp.Sum(after[dropped], (dropped, 1, H))
    gained, lost = total(p[j] * x[j], j), sp.Sum(y[dropped], (dropped, 1, H))
    yield Step(
        recent / (recent + old), "<=", recent_after / (recent_after + old_after), "over one divisor: what the recent keys gain, and what the older ones lose against the factor f",
        certificate=(gained * old + recent * lost) / ((recent + old) * (recent_after + old_after)),
    )  # fmt: skip


# --- states of a fixed size -------------------------------------------------------------------------------------------------------------------


Table = Sequence[tuple[int, int]]  # for each state, the next one after a token 0 and after a token 1


def _end(table: Table, history: Row) -> int:
    """The state in which a machine with these transitions ends. It starts in state 0."""
    state = 0
    for token in history:
        state = table[state][token] % len(table)
    return state


def _merged(table: Table) -> list[tuple[Row, Row]]:
    """Histories of as many tokens 0 and 1 as there are states, two and two: they end in the same state, and their means differ."""
    states = len(table)
    histories = list(itertools.product((0, 1), repeat=states))
    return [
        (one, two)
        for one, two in itertools.combinations(histories, 2)
        if _end(table, one) == _end(table, two) and exact.equal(_mean([0] * states, one), _mean([0] * states, two)) is Outcome.REFUTED
    ]


def _merges(table: Table, later: Row) -> Outcome:
    """Two histories end in one state though their means differ, and both are still so after more tokens."""
    states, merged = len(table), _merged(table)
    differ = [exact.equal(_mean([0] * (states + len(later)), [*one, *later]), _mean([0] * (states + len(later)), [*two, *later])) for one, two in merged[:1]]
    lost = [exact.decided(_end(table, [*one, *later]) == _end(table, [*two, *later])) for one, two in merged[:1]]
    return exact.decided(bool(merged) and differ == [Outcome.REFUTED] and lost == [Outcome.HELD])


def _state_suffices(table: Table, later: Row) -> Outcome:
    """Whether the outputs are a function of this machine's state: no two histories end in one state though their means differ (more tokens play no part)."""
    return exact.decided(not _merged(table))


def _merged_by_hand(table: Table, later: Row) -> str:
    one, two = _merged(table)[0]
    moves = "; ".join(
        f"from state {state} a token 0 leads to state {to[0] % len(table)} and a token 1 to state {to[1] % len(table)}" for state, to in enumerate(table)
    )
    return (
        f"The table lists, for each state, the next one after a token 0 and after a token 1, counted round from 0. (More tokens, as in `later`, play no part.) A memory of {len(table)} state(s), which starts in state 0: {moves}. The tokens {list(one)} and the tokens {list(two)} both end in state {_end(table, one)}. With equal scores, attention over the first is "
        f"the mean {Fraction(sum(one), len(one))}, and over the second {Fraction(sum(two), len(two))}. What is computed from the state alone is the same for both, so it is wrong for at least one of them."
    )


def _sums_suffice(table: Table, later: Row) -> Outcome:
    """Linear attention with features 1, k, k²: after each token (key, value), the output from two running sums against the one from all tokens so far."""
    tokens = [*table, *((bit, bit) for bit in later)]
    weighted, mass = [Fraction(0)] * 3, [Fraction(0)] * 3
    right = True
    for place, (key, value) in enumerate(tokens):
        features = _features(key)
        weighted = [old + feature * value for old, feature in zip(weighted, features, strict=True)]
        mass = [old + feature for old, feature in zip(mass, features, strict=True)]
        from_sums = [sum((x * y for x, y in zip(features, sums, strict=True)), Fraction(0)) for sums in (weighted, mass)]
        kernel = [sum(x * y for x, y in zip(features, _features(past), strict=True)) for past, _ in tokens[: place + 1]]
        direct = sum(w * content for w, (_, content) in zip(kernel, tokens[: place + 1], strict=True))
        right &= from_sums[0] / from_sums[1] == Fraction(direct, sum(kernel))
    return exact.decided(right)


state_compression = Claim(
    id="streaming.state-compression",
    title="The history can be compressed into memory of a fixed size",
    states="State compression, that is to compress historical information, is an implementation of streaming attention, whose memory is fixed regardless of the sequence's length.",
    reading="The memory has a fixed number M of different values, as any number of bits has, and is updated token by token. What softmax attention computes from all tokens so far is a function of it. "
    "(The text does not say that anything may be lost. If something may, the question is how much, and it names no bound.)",
    precise=r"For some $M$ and some update rule on $M$ states, any two histories of the same length that end in the same state have the same output.",
    sources=(S1.at("Streaming Attention"),),
    scope="tokens 0 and 1, each its own value, and all scores equal; exact outputs. One machine is worked through; that no number M of states and no update rule will do is streaming.no-finite-state",
    inventory=("C294",),
    unsaid="the state may hold exact numbers, of which there are infinitely many (then linear attention will do), or outputs may be off",
    corrected_by="streaming.linear-state",
    holds=_state_suffices,
    worked=_merged_by_hand,
)


@derived(
    Claim(
        id="streaming.linear-state",
        title="Linear attention needs two running sums of its history and nothing else",
        states="(Not in the text; it follows from linear attention.) The history of an attention whose weights are products of features can be compressed.",
        reading="Each output is computed from the newest query and from a state of m(d_v + 1) numbers, m features and values of width d_v, which each token updates.",
        precise=r"Let the weight of token $j$ for the newest query be $\sum_r\phi_r\psi_{jr}$ before it is divided by the sum of all weights. With the sums $S_{re} = \sum_j\psi_{jr}v_{je}$ and $z_r = \sum_j\psi_{jr}$ over the tokens so far, the output is "
        r"$\sum_r\phi_rS_{re} / \sum_r\phi_rz_r$, and the next token adds one term to each sum. (In the steps $A_j$ is 1 for the tokens so far and 0 for any other, $k$ among these; $k$ is then the next one.)",
        sources=(S1.at("Streaming Attention"),),
        scope="every number of tokens, features and value entries; any real features whose weights do not add up to 0; real numbers. A machine with M states keeps rounded sums, and streaming.no-finite-state is about such machines",
        inventory=("C294",),
        uses=("linear.causal-is-recurrent",),
        holds=_sums_suffice,
    )
)
def linear_state() -> Iterator[Step]:
    def summed(upto: sp.Expr, content: sp.Expr) -> sp.Expr:
        return total(upto * psi[j, r] * content, j)

    more = met[j] + sp.KroneckerDelta(j, k)
    yield Step(summed(more, V[j, e]), "=", summed(met[j], V[j, e]) + psi[k, r] * V[k, e], "the next token adds its features times its value to S")
    yield Step(summed(more, sp.S.One), "=", summed(met[j], sp.S.One) + psi[k, r], "and its features to z")
    read, mass = (total(phi[r] * summed(met[j], content), r) for content in (V[j, e], sp.S.One))
    weight = met[j] * total(phi[r] * psi[j, r], r)
    yield Step(
        read / mass,
        "=",
        total(weight * V[j, e], j) / total(weight, j),
        "read with the query's features, the two sums are the weighted mean over all tokens so far",
        nonzero=(mass, total(weight, j)),
    )


@derived(
    Claim(
        id="streaming.no-finite-state",
        title="A state of b bits cannot stand for the history of attention, nor for a running mean: 2^b tokens are enough to show it",
        states="State compression: compress historical information into memory of fixed size.",
        reading="What a state of fixed size, M different values in all, can keep of the tokens that have passed, whatever the rule that updates it.",
        precise=r"Of $N$ histories that call for different outputs, $M$ states tell at most $M$ apart: if no two shared a state, $N \le M$. Attention with equal scores, a running mean (softmax attention, and linear attention with $\varphi = 1$ as well), over $n$ tokens with values 0 and 1 has the $n + 1$ outputs $0, 1/n, \dots, 1$; so at "
        r"$n = M$ two histories share a state though their outputs differ, and stay together for ever, while $t$ more tokens leave the outputs $1/(n + t)$ apart or more. (What a state of real numbers can keep is in linear.causal-is-recurrent "
        r"and linear.state-capacity.)",
        sources=(S1.at("Streaming Attention"),),
        scope="every number M of states, every update rule; exact outputs are asked for: with an error allowed, fewer states may do",
        inventory=("C294",),
        holds=_merges,
    )
)
def no_finite_state() -> Iterator[Step]:
    states = sp.Symbol("M", integer=True, positive=True)
    later, ones = sp.Symbol("t", integer=True, nonnegative=True), sp.Symbol("k", integer=True, nonnegative=True)
    free = sp.IndexedBase("f", nonnegative=True)
    index = sp.Symbol("i", integer=True, positive=True)
    before, after = ones / (n + later), (ones + 1) / (n + later)
    yield Step(
        after - before,
        "=",
        1 / (n + later),
        "k and k + 1 ones among n tokens, and the same t tokens after both, which add as many ones to either: the outputs stay apart",
    )
    told_apart = sp.Sum(1 - free[index], (index, 1, states))
    yield Step(
        told_apart, "<", states + 1, "if each state stood for 1 − f_i ≤ 1 of the outputs, that would be fewer than the M + 1 that there are at n = M",
        certificate=1 + sp.Sum(free[index], (index, 1, states)),
    )  # fmt: skip


# --- latency --------------------------------------------------------------------------------------------------------------------------------


def _state_operations(features: int, width: int) -> int:
    """One token of decayed linear attention, features given: S ← λS + φvᵀ, z ← λz + φ, then φᵀS/φᵀz."""
    done = Operations()
    for _ in range(features * width):
        done.multiplications += 2
        done.additions += 1
    for _ in range(features):
        done.multiplications += 1
        done.additions += 1
    for _ in range(width + 1):
        done.dot(features)
    done.divisions += width
    return done.all()


def _latency(tokens: int, heads: int, width: int, window: int, features: int) -> Outcome:
    """What is done between a token's arrival and its output, for token after token: full cache, window, decayed state."""
    full = [_row_operations(place, heads, width) for place in range(1, tokens + 1)]
    rolling = [_row_operations(min(place, window), heads, width) for place in range(1, tokens + 1)]
    grows = all(after - before == heads * (4 * width + 5) for before, after in itertools.pairwise(full))
    ends = max(rolling) <= heads * (4 * window * width + 5 * window - width - 2)
    return exact.decided(grows and ends and _state_operations(features, width) == 5 * features * width + 4 * features - 1)


@derived(
    Claim(
        id="streaming.latency",
        title="Between a token and its output: bounded work with a window or a decayed state, growing work with a full cache",
        states="Low latency: process tokens as they arrive; sliding window, exponential decay and state compression are implementations.",
        reading="An output needs no later token, and the operations between a token's arrival and its output do not grow with the number of tokens before it. (Seconds are not judged.)",
        precise=r"Per layer: a full cache takes $h(4d_h + 5)$ operations more for every token that has come, without bound; a window takes at most $h(4Wd_h + 5W - d_h - 2)$; a decayed linear state of $m$ features takes $5md_v + 4m - 1$ for every token, "
        r"the features given. None waits for a later token: the mask is causal.",
        sources=(S1.at("Streaming Attention"),),
        scope="every t, h, d_h, W, m and d_v; operations as in streaming.decode-time, per layer, projections and features not included; decay on the scores of softmax attention changes nothing of the full cache's cost",
        kind=Kind.COST,
        inventory=("C295",),
        uses=("streaming.decode-time", "streaming.window-cost", "streaming.decay-recurrence", "masks.causal-stack"),
        holds=_latency,
    )
)
def latency() -> Iterator[Step]:
    width = sp.Symbol("d_v", integer=True, positive=True)
    room = sp.Symbol("x", integer=True, nonnegative=True)

    def row(keys: sp.Expr) -> sp.Expr:
        return h * (4 * keys * d_h + 5 * keys - d_h - 2)

    yield Step(row(tokens_ + 1) - row(tokens_), "=", h * (4 * d_h + 5), "full cache: one key more")
    yield Step(row(tokens_), "<=", row(tokens_ + room), "window: t ≤ W keys, W = t + x", certificate=h * room * (4 * d_h + 5))
    update = _times(3, m, width) + _times(2, m)
    read = _times(2 * m - 1, width + 1) + _times(1, width)
    yield Step(update + read, "=", 5 * m * width + 4 * m - 1, "decayed state: update of S and z, d_v + 1 dot products, d_v divisions; t is not in it")


# --- external memory ------------------------------------------------------------------------------------------------------------------------


def _top(scores: Row, number: int) -> list[bool]:
    """Which keys are among the `number` largest (the earlier of equal ones first)."""
    best = set(sorted(range(len(scores)), key=lambda at: -scores[at])[:number])
    return [at in best for at in range(len(scores))]


def _top_k(scores: Row, values: Row, found: Sequence[bool]) -> Outcome:
    """Retrieved: the best-scoring key, and whichever others the search has found."""
    values = values[: len(scores)]
    taken = [other or at == scores.index(max(scores)) for at, other in zip(range(len(scores)), found, strict=False)]
    missing = [score for score, kept in zip(scores, taken, strict=True) if not kept]
    crowd = len(missing) * exact.ball(max(missing) - max(scores)).exp() if missing else arb(0)
    share = crowd / (1 + crowd)
    lost = sum((w for w, kept in zip(exact.softmax(scores), taken, strict=True) if not kept), arb(0))
    retrieved = sum((w * value for w, value in zip(exact.softmax(scores, taken), values, strict=True)), arb(0))
    return Outcome.worst([exact.at_most(lost, share), exact.at_most(abs(retrieved - _mean(scores, values)), share * (max(values) - min(values)))])


@derived(
    Claim(
        id="streaming.top-k-error",
        title="Attention to the k best-scoring memories differs from attention to all N by at most a share that the gap bounds",
        states="Retrieval-augmented attention: attention combined with retrieval from an external memory.",
        reading="The k keys with the largest scores, or the best one and others that a search finds, are retrieved, and softmax runs over them alone.",
        precise=r"If every one of the $H = N - k$ keys left out scores at least $\Delta$ below the best, their mass is $\varepsilon \le \dfrac{He^{-\Delta}}{1 + He^{-\Delta}}$, and the output moves by at most $\varepsilon$ times the extent of the values in any direction. "
        r"For $k \ge N$ nothing is left out. Without a gap, $\Delta = 0$, the bound is $H/(1 + H)$: it says little.",
        sources=(S1.at("Retrieval-Augmented Attention"), WU.at("kNN lookup")),
        scope="every k ≥ 1 and H ≥ 1, all real scores (the best one B, the other kept ones with the mass R ≥ 0, those left out B − Δ − y_u); the best-scoring key is among the k retrieved; any other key that a search misses counts among those left out, and Δ with it",
        inventory=("C296",),
        uses=("convexity.pruned-mass",),
        holds=_top_k,
    )
)
def top_k_error() -> Iterator[Step]:
    best, gap, rest = sp.Symbol("B", real=True), sp.Symbol("Delta", nonnegative=True), sp.Symbol("R", nonnegative=True)
    extent = sp.Symbol("D", nonnegative=True)  # of the values
    gone = sp.Sum(sp.exp(-gap - y[dropped]), (dropped, 1, H))
    mass = sp.exp(best) * gone / (sp.exp(best) * (1 + rest + gone))
    crowd = H * sp.exp(-gap)
    short = sp.exp(-gap) * sp.Sum(1 - sp.exp(-y[dropped]), (dropped, 1, H))
    room = (short + crowd * rest) / ((1 + crowd) * (1 + rest + gone))
    yield Step(mass, "<=", crowd / (1 + crowd), "each key left out has at most e^(−Δ) of the best one's exponential", certificate=room)
    yield Step(
        mass * extent,
        "<=",
        crowd / (1 + crowd) * extent,
        "the output moves by at most the dropped mass times the extent of the values",
        certificate=room * extent,
    )


def _best_choice(scores: Row, chosen: Sequence[bool]) -> Outcome:
    """The mass of any chosen keys against that of as many best-scoring ones."""
    chosen, weights = chosen[: len(scores)], exact.softmax(scores)
    chosen = [*chosen, *[False] * (len(scores) - len(chosen))]
    best = _top(scores, sum(chosen))
    return exact.at_most(*(sum((w for w, kept in zip(weights, kept_ones, strict=True) if kept), arb(0)) for kept_ones in (chosen, best)))


@derived(
    Claim(
        id="streaming.top-k-is-best",
        title="No other k keys carry more of the weight than the k with the largest scores",
        states="Retrieval-augmented attention: attention combined with retrieval from an external memory. (Which entries are best retrieved is not said.)",
        precise=r"If $H$ of the best $k$ are exchanged for others, each of the exchanged scores $\sigma + x_u$ and each of the others $\sigma - y_u$, with $x_u, y_u \ge 0$: the exponentials that are kept lose $\sum_u(e^{\sigma + x_u} - e^{\sigma - y_u}) \ge 0$.",
        sources=(S1.at("Retrieval-Augmented Attention"),),
        scope="every number of keys, every k, all real scores",
        inventory=("C296",),
        holds=_best_choice,
    )
)
def top_k_is_best() -> Iterator[Step]:
    level = sp.Symbol("sigma", real=True)
    kept = sp.Sum(sp.exp(level + x[dropped]), (dropped, 1, H))
    other = sp.Sum(sp.exp(level - y[dropped]), (dropped, 1, H))
    surplus = sp.Sum(sp.exp(level) * ((sp.exp(x[dropped]) - 1) + (1 - sp.exp(-y[dropped]))), (dropped, 1, H))
    yield Step(other, "<=", kept, "as many keys on both sides, none of the one side above σ and none of the other below", certificate=surplus)


def _mixes(scores: Row, values: Row, memory: Row, memory_values: Row) -> Outcome:
    values, memory_values = values[: len(scores)], memory_values[: len(memory)]
    gate = sum(exact.softmax([*scores, *memory])[len(scores) :], arb(0))
    mixture = (1 - gate) * _mean(scores, values) + gate * _mean(memory, memory_values)
    return exact.equal(_mean([*scores, *memory], [*values, *memory_values]), mixture)


@derived(
    Claim(
        id="streaming.memory-and-context",
        title="Attention over context and memory together is a mixture of the two, gated by their masses",
        states="Retrieval-augmented attention: combine attention with external memory retrieval.",
        reading="Retrieved keys and values join those of the context in one softmax.",
        precise=r"$o = (1 - \pi)\,o_{\text{context}} + \pi\,o_{\text{memory}}$ with $\pi = Z_m/(Z_c + Z_m)$, $Z$ the sums of exponentials: the same keys decide what is read and how much of it. A gate learnt apart from the scores computes another mixture.",
        sources=(S1.at("Retrieval-Augmented Attention"), WU.at("kNN attention and gate")),
        scope="at least one key on each side, all real scores and values",
        inventory=("C296",),
        uses=("flash.merge-is-union",),
        holds=_mixes,
    )
)
def memory_and_context() -> Iterator[Step]:
    here, there = total(sp.exp(s[j]), j), sp.Sum(sp.exp(others[dropped]), (dropped, 1, H))
    local, far = total(sp.exp(s[j]) * v[j], j), sp.Sum(sp.exp(others[dropped]) * theirs[dropped], (dropped, 1, H))
    gate = there / (here + there)
    yield Step(
        (local + far) / (here + there),
        "=",
        (1 - gate) * (local / here) + gate * (far / there),
        "each part is divided by its own mass, and weighted with it again",
    )


def _outlives(scores: Row, values: Row, window: int, shift: int) -> Outcome:
    """The oldest value is raised by `shift`: with a window that it has left, nothing moves; with its key retrieved besides, the output moves by its weight."""
    values = values[: len(scores)]
    moved = [values[0] + shift, *values[1:]]
    band_, retrieved = [len(scores) - at <= window for at in range(len(scores))], [at == 0 or len(scores) - at <= window for at in range(len(scores))]

    def out(row: Row, visible: Sequence[bool]) -> arb:
        return sum((w * value for w, value in zip(exact.softmax(scores, visible), row, strict=True)), arb(0))

    gone = exact.equal(out(moved, band_), out(values, band_)) if len(scores) > window else Outcome.HELD
    change, weight = out(moved, retrieved) - out(values, retrieved), exact.softmax(scores, retrieved)[0]
    return Outcome.worst([gone, exact.equal(change, weight * shift), exact.decided(bool(weight > 0))])


@derived(
    Claim(
        id="streaming.memory-outlives-the-window",
        title="A retrieved value moves the output however old it is; one that has left the window moves nothing",
        states="Long-term memory: remember information across conversations.",
        reading="Whether the output of an attention layer can depend on a token beyond the reach of its window.",
        precise=r"With $\mu_k = 1$ for a retrieved key and 0 for one that is out of the window and not retrieved: $\partial o/\partial v_k = \mu_ke^{s_k}/\sum_j\mu_je^{s_j}$, positive in the first case and 0 in the second. Age is not in it: what counts is whether "
        "it is retrieved, and its score.",
        sources=(S1.at("Retrieval-Augmented Attention"),),
        scope="one attention layer, every number of keys, all real scores; at least one key is seen",
        inventory=("C297",),
        uses=("masks.hidden-key-has-no-influence",),
        holds=_outlives,
    )
)
def memory_outlives_the_window() -> Iterator[Step]:
    mass = total(owns[j] * sp.exp(s[j]), j)
    output = total(owns[j] * sp.exp(s[j]) * v[j], j) / mass
    rest = sp.Symbol("R", nonnegative=True)
    yield Step(
        sp.Integer(0), "<", sp.exp(s[k]) / (sp.exp(s[k]) + rest), "for a key that is seen, μ = 1, the coefficient is positive: R is the other keys' mass"
    )
    yield Step(sp.Derivative(output, v[k]), "=", owns[k] * sp.exp(s[k]) / mass, "the output is linear in the values", nonzero=(mass,))


factual_accuracy = Claim(
    id="streaming.factual-accuracy",
    title="Retrieved facts reduce hallucinations",
    states="Retrieval-augmented attention serves factual accuracy (fewer hallucinations with retrieved facts), knowledge-grounded generation and long-term memory.",
    precise="None: whether an answer is right is a property of trained models, of what the memory holds and of the questions asked.",
    sources=(S1.at("Retrieval-Augmented Attention"),),
    scope="-",
    inventory=("C297",),
    not_checkable="Accuracy is measured on trained models, given memories and questions, and the text names none. What can be checked is how far retrieval reaches and how much of the weight it can carry: streaming.memory-outlives-the-window, "
    "streaming.top-k-error, streaming.memory-and-context and collapse.distractors-dilute.",
)
