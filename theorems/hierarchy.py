"""Attention on two levels, words within sentences and sentences within a document, and attention from coarse to fine.

A document is a non-empty list of non-empty sentences. Scores of words are e[r, j], scores of sentences f[r].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import permutations

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, Kind, derived
from theorems.outcome import Outcome
from theorems.sources import COVER, S0, S1, Source
from theorems.step import Step
from theorems.symbols import c, i, j, k, l, m, n, r, s, t, total

MOBA = Source(key="lu2025", title="MoBA: Mixture of Block Attention for Long-Context LLMs", url="https://arxiv.org/abs/2502.13189")
YANG = Source(key="yang2016", title="Hierarchical Attention Networks for Document Classification", url="https://aclanthology.org/N16-1174/")

FORMULAS = S0.at("Mathematical Framework")
ENCODERS = S0.at("Hierarchical Attention Networks")
PYRAMID = S1.at("Pyramid Attention")
LETTERS = (
    "In the derivation a_r is the score of the first word of sentence r, and e_(r,l) that of a further word l; μ_(r,l) is 1 if the sentence has that word, and "
    "0 "
    "if it is shorter"
)

Row = Sequence[int]
Document = Sequence[Row]  # one row a sentence

own = sp.IndexedBase("a", real=True)  # the score of each sentence's first word, which is certainly there
e = sp.IndexedBase("e", real=True)  # the scores of n further words
mu = sp.IndexedBase("mu", nonnegative=True)  # 1 where a sentence has this further word, 0 where it is shorter
f = sp.IndexedBase("f", real=True)  # scores of sentences
low = sp.Symbol("low", real=True)
first, further = sp.IndexedBase("x", nonnegative=True), sp.IndexedBase("y", nonnegative=True)  # words along a direction, low + x and low + y


def _mass(sentence: sp.Expr) -> sp.Expr:
    """The normaliser of one sentence."""
    return sp.exp(own[sentence]) + total(mu[sentence, l] * sp.exp(e[sentence, l]), l)


def _beta(sentence: sp.Symbol) -> sp.Expr:
    return sp.exp(f[sentence]) / total(sp.exp(f[t]), t)


def two_levels(words: Document, sentences: Row) -> list[list[arb]]:
    """γ_ij = β_i α_ij of scores of words, sentence by sentence, and of one score for each sentence."""
    betas = exact.softmax(sentences)
    return [[beta * alpha for alpha in exact.softmax(row)] for beta, row in zip(betas, words, strict=True)]


def flat(words: Document) -> list[list[arb]]:
    """The weights of one softmax over all words, sentence by sentence."""
    weights = iter(exact.softmax([score for row in words for score in row]))
    return [[next(weights) for _ in row] for row in words]


def _mixed(weights: Sequence[Sequence[arb]], values: Document) -> arb:
    return sum((p * x for row, xs in zip(weights, values, strict=True) for p, x in zip(row, xs, strict=True)), arb(0))


def _distribution(words: Document, sentences: Row, values: Document) -> Outcome:
    """γ ≥ 0 and Σγ = 1; d, taken level by level, is Σγw and lies between the smallest and the largest word."""
    gamma = two_levels(words, sentences)
    pooled = [_mixed([exact.softmax(row)], [xs]) for row, xs in zip(words, values, strict=True)]
    document = sum((beta * x for beta, x in zip(exact.softmax(sentences), pooled, strict=True)), arb(0))
    everything = [x for row in values for x in row]
    positive = exact.decided(all(bool(p > 0) for row in gamma for p in row))
    inside = [exact.at_most(min(everything), document), exact.at_most(document, max(everything))]
    return Outcome.worst([positive, exact.equal(sum((p for row in gamma for p in row), arb(0)), 1), exact.equal(document, _mixed(gamma, values)), *inside])


@derived(
    Claim(
        id="hierarchy.mass-is-a-distribution",
        title="Two levels of attention are one distribution over all words",
        states="Words are averaged within each sentence by a softmax, and the sentences by another: the document is Σβ_i Σα_ij w_ij.",
        precise=r"$\gamma_{ij}=\beta_i\alpha_{ij}>0$ for every word and $\sum_{i,j}\gamma_{ij}=1$, so $d=\sum_{i,j}\gamma_{ij}w_{ij}$ lies in the convex hull of the "
        r"words: if $u\cdot w_{ij}\ge\mathrm{low}$ for every word, along some direction $u$, then $u\cdot d\ge\mathrm{low}$.",
        sources=(FORMULAS, YANG.at("section 2.2")),
        scope="m ≥ 1 sentences of one to n + 1 words each, different lengths allowed, every real score. " + LETTERS + "; the numbers u · w are low + x_r for "
        "the first word of a sentence and low + y_(r,l) for the others, with x, y ≥ 0",
        inventory=("C098",),
        uses=("convexity.output-in-the-hull",),
        holds=_distribution,
    )
)
def mass_is_a_distribution() -> Iterator[Step]:
    yield Step(sp.Integer(0), "<", _beta(r) * sp.exp(own[r]) / _mass(r), "products of positive weights are positive")
    value = sp.exp(own[r]) * (low + first[r]) + total(mu[r, j] * sp.exp(e[r, j]) * (low + further[r, j]), j)
    above = sp.exp(own[r]) * first[r] + total(mu[r, j] * sp.exp(e[r, j]) * further[r, j], j)
    yield Step(value / _mass(r), "=", low + above / _mass(r), "a sentence's mean keeps the constant that its words share")
    yield Step(
        low,
        "<=",
        total(_beta(r) * (low + above / _mass(r)), r),
        "so does the mean of the sentences, and what is left is an average of numbers ≥ 0",
        certificate=total(_beta(r) * above / _mass(r), r),
    )
    within = sp.exp(own[r]) / _mass(r) + total(mu[r, j] * sp.exp(e[r, j]) / _mass(r), j)
    yield Step(within, "=", sp.Integer(1), "the words of one sentence share its normaliser")
    yield Step(
        total(_beta(r) * (sp.exp(own[r]) + total(mu[r, j] * sp.exp(e[r, j]), j)) / _mass(r), r),
        "=",
        sp.Integer(1),
        "and the sentences theirs: the products of both weights sum to one over all words",
    )


def _one_softmax(words: Document, sentences: Row) -> Outcome:
    return exact.equal(two_levels(words, sentences), flat(words))


def _one_softmax_by_hand(words: Document, sentences: Row) -> str:
    gamma, alone = two_levels(words, sentences), flat(words)
    place = next((row, at) for row, line in enumerate(gamma) for at, x in enumerate(line) if not (x - alone[row][at]).contains(0))
    two, one = (exact.show(x[place[0]][place[1]]) for x in (gamma, alone))
    beta, alpha = exact.softmax(sentences)[place[0]], exact.softmax(words[place[0]])[place[1]]
    score, masses = words[place[0]][place[1]], [sum((exact.ball(x).exp() for x in row), arb(0)) for row in words]
    return (
        f"The scores of the words are {[list(row) for row in words]}, sentence by sentence; those of the sentences are {list(sentences)}. Take word "
        f"{place[1] + 1} of sentence {place[0] + 1}. On two levels its "
        f"sentence weighs β = {exact.show(beta)} and the word within it α = {exact.show(alpha)}, so that γ = βα = {two}. One softmax over all "
        f"{sum(map(len, words))} words gives it "
        f"e^{score} over the sum of all exponentials, {exact.show(exact.ball(score).exp())}/{exact.show(sum(masses, arb(0)))} = {one}. The claim needs the "
        "two to be equal. They are not, because a sentence's share comes from its own "
        f"score. They would be if the scores of the sentences were the log-sum-exps of their words, {', '.join(exact.show(mass.log()) for mass in masses)}, "
        "or these plus one constant."
    )


def _by_log_sum_exp() -> Iterator[Step]:
    # one sentence's score is the log-sum-exp of its words, and a constant
    everything = total(_mass(t), t)
    share = sp.exp(c) * _mass(r) / total(sp.exp(c) * _mass(t), t)
    yield Step(sp.exp(c + sp.UnevaluatedExpr(sp.log(_mass(r)))), "=", sp.exp(c) * _mass(r), "exp of f_i = c + log Σ exp e_il")
    yield Step(share, "=", _mass(r) / everything, "the constant cancels: a sentence has the share of its words")
    yield Step(share * sp.exp(own[r]) / _mass(r), "=", sp.exp(own[r]) / everything, "the sentence's normaliser cancels, and one softmax over all words is left")
    yield Step(share * mu[r, k] * sp.exp(e[r, k]) / _mass(r), "=", mu[r, k] * sp.exp(e[r, k]) / everything, "for its further words too")


flat_by_log_sum_exp = Claim(
    id="hierarchy.flat-by-log-sum-exp",
    title="Hierarchical attention weighs words as one softmax over all of them does",
    states="(Implied.) Words are weighed by a softmax within each sentence, and sentences by another: two levels weigh words as one softmax over all of them "
    "would. "
    "The text does not say so, but it is easily supposed.",
    reading="γ_ij = β_i α_ij are the weights of one softmax over the scores e of all words.",
    precise=r"$\beta_i\alpha_{ij}=e^{e_{ij}}/\sum_{k,l}e^{e_{kl}}$. It holds for $f_i=c+\log\sum_le^{e_{il}}$ with one constant $c$.",
    sources=(FORMULAS, YANG.at("section 2.2")),
    scope="m ≥ 1 sentences of one to n + 1 words each, every real score. " + LETTERS,
    inventory=("C099",),
    uses=("hierarchy.mass-is-a-distribution",),
    unsaid="a sentence's score is the log-sum-exp of its words' scores, up to one constant for all",
    corrected_by="hierarchy.flat-only-by-log-sum-exp",
    derive=_by_log_sum_exp,
    holds=_one_softmax,
    worked=_one_softmax_by_hand,
)


def _only_by_log_sum_exp(words: Document, sentences: Row) -> Outcome:
    """γ is the flat softmax exactly if f_i − log Σ exp e_il is the same for all i."""
    gaps = [exact.ball(score) - sum((exact.ball(x).exp() for x in row), arb(0)).log() for score, row in zip(sentences, words, strict=True)]
    alike = exact.equal(gaps, [gaps[0]] * len(gaps))
    same = _one_softmax(words, sentences)
    return Outcome.UNDECIDED if Outcome.UNDECIDED in (alike, same) else exact.decided(alike is same)


@derived(
    Claim(
        id="hierarchy.flat-only-by-log-sum-exp",
        title="Two levels equal one softmax only if each sentence's score is the log-sum-exp of its words, up to one constant",
        states="(Implied.) When the two levels of the formulas and one softmax over all words agree.",
        precise=r"If $\beta_i\alpha_{ij}=e^{e_{ij}}/Z$ for all words, $Z=\sum_{k,l}e^{e_{kl}}$, then $\beta_i=\sum_le^{e_{il}}/Z$; hence $f_i-f_k=\log\sum_le^{e_{il}}-\log\sum_le^{e_{kl}}$.",
        sources=(FORMULAS,),
        scope="m ≥ 1 sentences of one to n + 1 words each, every real score. " + LETTERS,
        inventory=("C099",),
        uses=("hierarchy.mass-is-a-distribution",),
        holds=_only_by_log_sum_exp,
    )
)
def flat_only_by_log_sum_exp() -> Iterator[Step]:
    everything = total(_mass(t), t)
    flat_share = sp.exp(own[r]) / everything + total(mu[r, j] * sp.exp(e[r, j]) / everything, j)
    yield Step(
        flat_share, "=", _mass(r) / everything, "the flat weights of a sentence's words sum to its mass over all: so must β_i, whose words' α sum to one"
    )
    ratio = sp.exp(f[r]) / sp.exp(f[t])
    yield Step(_beta(r) / (sp.exp(f[t]) / total(sp.exp(f[i]), i).xreplace({n: m})), "=", ratio, "and the ratio of two β is exp(f_i − f_k)")
    yield Step(
        sp.log(_mass(r) / everything / (_mass(t) / everything)),
        "=",
        sp.log(_mass(r)) - sp.log(_mass(t)),
        "whose logarithm is the difference of the log-sum-exps",
    )


# --- what is counted: pairs of a query and a key --------------------------------------------------------------------------------------------


def scored(lengths: Row, *, each_word: bool) -> tuple[int, int]:
    """How many scores two levels and one level compute: for one query (a context vector a level), or with every word and every sentence as queries."""
    sentences, words = len(lengths), sum(lengths)
    if each_word:
        return sum(length * length for length in lengths) + sentences * sentences, words * words
    return sum(1 for length in lengths for _ in range(length)) + sentences, words


def _cheaper(lengths: Row, each_word: bool) -> Outcome:
    two, one = scored(lengths, each_word=each_word)
    return exact.decided(two < one)


def _cheaper_by_hand(lengths: Row, each_word: bool) -> str:
    two, one = scored(lengths, each_word=each_word)
    words, count = sum(lengths), len(lengths)
    document = f"A document has {count} sentences, of {', '.join(map(str, lengths))} words: {words} words in all."
    if each_word:
        squares = " + ".join(f"{length}²" for length in lengths)
        return f"{document} Every word asks the words of its sentence, and every sentence asks all sentences: {squares} + {count}² = {two} scores. One level computes {words}² = {one}, which would have to be more."
    return (
        f"{document} With one query on each level, as in the text's formulas, the words need {words} scores and the sentences {count} more, {two} in all. One "
        f"query over all words needs {one}. The claim needs fewer on two levels; there "
        f"are always more, by the number of sentences."
    )


more, larger = sp.IndexedBase("x", nonnegative=True), sp.Symbol("y", integer=True, nonnegative=True)
cells, size = sp.symbols("q b", integer=True, positive=True)
chosen = sp.Symbol("p", integer=True, nonnegative=True)


def _self_attention_is_cheaper() -> Iterator[Step]:
    length = 2 + more[r]
    words, squares = total(length, r), total(length**2, r)
    others = total(total((1 - sp.KroneckerDelta(r, t)) * length * (2 + more[t]), t), r)
    yield Step(words**2 - squares, "=", others, "one level also scores each pair of words from different sentences")
    yield Step(
        4 * m**2 - 4 * m,
        "<=",
        others,
        "two words or more a sentence: at least four such pairs for each ordered pair of sentences",
        certificate=total(total((1 - sp.KroneckerDelta(r, t)) * (2 * more[r] + 2 * more[t] + more[r] * more[t]), t), r),
    )
    count = 2 + larger
    yield Step(
        count**2 + count,
        "<",
        4 * count**2 - 4 * count,
        "with m = 2 + y sentences, their m² pairs of sentences are fewer, even with the m scores that pool sentences into a document",
        certificate=3 * larger**2 + 7 * larger + 2,
    )


two_levels_cost = Claim(
    id="hierarchy.two-levels-cost",
    title="Two levels of attention are cheaper than one over all words",
    states="(Implied by two texts together.) Hierarchical attention, processing on several levels, is named by one text among the solutions to a quadratic "
    "time complexity, "
    "without formulas; the other has formulas for two levels, and says nothing of their cost.",
    reading="For every document of two or more sentences, each of two or more words, the scores computed within sentences and among sentences are fewer than "
    "those computed over all words. Like is compared with like: either each word asks "
    "on both plans (self-attention, whose cost is the quadratic one), or one query asks on each level and one over all words (as in the text's formulas).",
    precise=r"With a query for every word and every sentence $\sum_iL_i^2+m^2<(\sum_iL_i)^2$, for $m\ge2$ sentences of $L_i\ge2$ words. "
    r"It stays true if pooling is counted on both plans: words into sentences and sentences into a document, $\sum_iL_i+m$, against words into a document, $\sum_iL_i$. "
    r"With one query for each level, as in the formulas, it is false for every document: $\sum_iL_i+m>\sum_iL_i$.",
    sources=(FORMULAS,),
    scope="two or more sentences of two or more words, of any lengths (with sentences of one word each, two levels of self-attention compute more: m + m² "
    "against m²); scores are counted, which exponentials and products follow; "
    "pooling is counted on both plans or on neither",
    kind=Kind.COST,
    inventory=("C100",),
    unsaid="every word and every sentence asks a query of its own, as in self-attention; the text's formulas have one query for each level",
    corrected_by="hierarchy.count-of-scores",
    derive=_self_attention_is_cheaper,
    holds=_cheaper,
    worked=_cheaper_by_hand,
)


def _counted(lengths: Row, each_word: bool) -> Outcome:
    """The difference one level − two levels: twice the pairs across sentences less m², or −m for one query. With pooling, m less; it stays above 0. Equal lengths: nL + n²/L²."""
    two, one = scored(lengths, each_word=each_word)
    across = sum(x * y for at, x in enumerate(lengths) for y in lengths[at + 1 :])
    saved = 2 * across - len(lengths) ** 2 if each_word else -len(lengths)
    pooled = [scored(lengths, each_word=False)[level] for level in (0, 1)]
    sure = not each_word or len(lengths) < 2 or min(lengths) < 2 or two + pooled[0] < one + pooled[1]
    equal = not each_word or len(set(lengths)) > 1 or two * lengths[0] ** 2 == one + lengths[0] ** 3 * sum(lengths)
    return exact.decided(one - two == saved and sure and equal)


@derived(
    Claim(
        id="hierarchy.count-of-scores",
        title="What two levels save is the pairs of words from different sentences, less the pairs of sentences",
        states="Among the solutions to a quadratic time complexity for long documents: hierarchical attention, processing on several levels, such as the words "
        "of each sentence and the sentences.",
        reading="The text has no formulas. Quadratic is the cost of self-attention, so every word asks the words of its sentence, and every sentence all "
        "sentences; "
        "one query for each level is counted beside it.",
        precise=r"$(\sum_iL_i)^2-\bigl(\sum_iL_i^2+m^2\bigr)=\sum_{i\ne k}L_iL_k-m^2$ with a query for each word and each sentence, which is positive for "
        r"$m\ge2$ sentences of two or more "
        "words each: two levels are cheaper. With equal lengths, "
        "$n=mL$, it is $n^2-nL-m^2$: two levels compute $nL+n^2/L^2$ scores, which "
        "is more than $n^2/L^2$. For sentences of a fixed length $L$ the cost is still quadratic in $n$, and at most $L^2$ times smaller. With one query "
        "for each level two levels compute $m$ scores more.",
        sources=(S1.at("Hierarchical Attention"), S1.at("Long Document Processing"), FORMULAS),
        scope="m ≥ 1 sentences of any lengths; scores are counted, which exponentials and products follow",
        kind=Kind.COST,
        inventory=("C100",),
        holds=_counted,
    )
)
def count_of_scores() -> Iterator[Step]:
    lengths = sp.IndexedBase("L", integer=True, positive=True)
    length = sp.Symbol("L", integer=True, positive=True)
    others = total(total((1 - sp.KroneckerDelta(r, t)) * lengths[r] * lengths[t], t), r)
    yield Step(
        total(lengths[r], r) + total(sp.Integer(1), r),
        "=",
        total(lengths[r], r) + m,
        "one query for each level: a score for each word, and one for each sentence",
    )
    yield from _self_attention_is_cheaper()
    yield Step(
        total(length, r) ** 2 - total(length**2, r) - m**2, "=", (m * length) ** 2 - (m * length) * length - m**2, "equal lengths: m L² pairs within sentences"
    )
    everything = m * length
    yield Step(
        everything**2 / length**2,
        "<",
        total(length**2, r) + m**2,
        "two levels, with n = mL words, compute more than n²/L² scores: quadratic for a fixed L",
        certificate=m * length**2,
    )
    yield Step(
        total(lengths[r], r) ** 2 - total(lengths[r] ** 2, r) - m**2,
        "=",
        others - m**2,
        "whatever the lengths: the square of the sum holds each ordered pair of sentences once",
    )


def refined(cells: int, size: int, chosen: int) -> int:
    """Scores of one query: every coarse cell, then the fine keys of the chosen cells."""
    return len(range(cells)) + sum(1 for _ in range(chosen) for _ in range(size))


def _coarse_to_fine(cells: int, size: int, chosen: int) -> Outcome:
    return exact.decided(refined(cells, size, chosen) < cells * size)


def _coarse_to_fine_by_hand(cells: int, size: int, chosen: int) -> str:
    kept = chosen
    return (
        f"There are {cells * size} keys in {cells} cells of {size}, and {kept} of the cells {'is' if kept == 1 else 'are'} refined. The coarse map takes "
        f"{cells} scores and the refined keys {kept} · {size} = {kept * size}, "
        f"{refined(cells, size, kept)} in all. Attention to every key takes {cells} · {size} = {cells * size}, which would have to be more."
    )


def _few_cells() -> Iterator[Step]:
    yield Step(
        cells * size - (cells + chosen * size),
        "=",
        (cells - chosen) * size - cells,
        "all qb scores, less q coarse ones and pb fine ones: what is saved is positive exactly if q < (q − p)b",
    )


coarse_to_fine = Claim(
    id="hierarchy.coarse-to-fine",
    title="Attending from coarse to fine is cheaper than attending to everything",
    states="Pyramid attention is computationally efficient, since it goes from coarse to fine.",
    reading="For one query: scoring the cells of a coarse map, and then the fine keys inside the cells that are refined, takes fewer scores than scoring all "
    "fine keys. The map is coarser than the keys, two or more keys in a cell, and "
    "not every cell is refined.",
    precise=r"$q+pb<qb$ for $q$ cells of $b$ keys, $p$ of them refined. It holds exactly if $q<(q-p)\,b$.",
    sources=(PYRAMID,),
    scope="every number q of cells, every size b ≥ 2 of a cell, 1 ≤ p < q; scores are counted, and what forms the coarse keys is not",
    kind=Kind.COST,
    inventory=("C102",),
    unsaid="few enough cells are refined: q < (q − p) b",
    corrected_by="hierarchy.best-cell",
    derive=_few_cells,
    holds=_coarse_to_fine,
    worked=_coarse_to_fine_by_hand,
)


def _best_cell(cells: int, size: int, chosen: int) -> Outcome:
    """(q + p b)² ≥ 4 p q b, with equality exactly for q = p b."""
    spent = refined(cells, size, chosen)
    return exact.decided(spent**2 - 4 * chosen * cells * size == (cells - chosen * size) ** 2)


@derived(
    Claim(
        id="hierarchy.best-cell",
        title="Coarse to fine needs at least 2√(pn) scores for a query, and attains it with cells of √(n/p) keys",
        states="(Implied.) How much going from coarse to fine can save, of which the text says only that it is efficient.",
        precise=r"For $n=qb$ keys in $q$ cells of $b$, of which $p$ are refined, $q+pb\ge2\sqrt{pn}$, with equality exactly for $q=pb$. "
        r"So one coarse map makes attention of $n$ queries no cheaper than $2n\sqrt{pn}$ scores, against $n^2$.",
        sources=(PYRAMID,),
        scope="every p, q, b ≥ 1; one coarse map",
        kind=Kind.COST,
        inventory=("C102",),
        holds=_best_cell,
    )
)
def best_cell() -> Iterator[Step]:
    spent = cells + (1 + chosen) * size
    yield Step(
        4 * (1 + chosen) * cells * size,
        "<=",
        spent**2,
        "the arithmetic mean of q and pb is at least the geometric one (p is written 1 + p)",
        certificate=(cells - (1 + chosen) * size) ** 2,
    )


def passed_by(cells: Sequence[Sequence[Fraction]]) -> bool:
    """Whether no cell with the largest mean score holds the largest score."""
    means = [sum(cell, Fraction(0)) / len(cell) for cell in cells]
    winners = [cell for cell, mean in zip(cells, means, strict=True) if mean == max(means)]
    return max(map(max, cells)) > max(map(max, winners))


def _may_miss(query: int, keys: Document) -> Outcome:
    """The best score is within b times the largest mean score's lead over the least score; a cell (t, 0, …, 0) is passed by for one of scores c exactly if t/b < c < t."""
    scores = [[Fraction(query * key) for key in cell] for cell in keys]
    size, low = len(keys[0]), min(map(min, scores))
    lead = max(sum(cell) / size for cell in scores) - low
    bounded = max(map(max, scores)) - low <= size * lead
    best, rivals = Fraction(abs(query) + 1), [x for cell in scores for x in cell if x > 0]
    missed = all(passed_by([[best, *[Fraction(0)] * (size - 1)], [rival] * size]) == (best / size < rival < best) for rival in rivals)
    return exact.decided(bounded and missed)


def _jensen(query: int, keys: Document) -> Outcome:
    """q · mean ≤ log-mean-exp ≤ max of a cell's scores."""
    checks = []
    for cell in keys:
        scores = [exact.ball(query * key) for key in cell]
        power = (sum((x.exp() for x in scores), arb(0)) / len(cell)).log()
        checks += [exact.at_most(exact.ball(Fraction(query * sum(cell), len(cell))), power), exact.at_most(power, max(query * key for key in cell))]
    return Outcome.worst(checks)


@derived(
    Claim(
        id="hierarchy.coarse-may-miss-the-best",
        title="A coarse map of mean keys may pass by the best key",
        states="What the cell with the highest coarse score holds, and what it may lack.",
        precise=r"A cell of $n$ keys with the scores $t,0,\dots,0$ has the coarse score $t/n$. Beside a cell of $n$ keys that all score $c$, $t/n<c<t$, it is passed by, with the best key in it. "
        "There is a limit to what is lost: if no score is below low and $M$ is the largest coarse score, every score is at most "
        r"$\mathrm{low}+n(M-\mathrm{low})$.",
        sources=(MOBA.at("section 2.2"),),
        scope="cells of equal size n ≥ 1, real keys and queries; a coarse key is the mean of its cell's keys, and the cell with the largest coarse score is refined",
        holds=_may_miss,
    )
)
def coarse_may_miss() -> Iterator[Step]:
    best, above = sp.Symbol("t_1", positive=True), sp.Symbol("z", positive=True)
    lead = total(low + further[r, j], j) / n - low
    yield Step(
        low + further[r, k],
        "<=",
        low + n * lead,
        "one score exceeds low by no more than all scores of its cell do together, which is n times the lead of their mean; and that lead is at most M − low",
        certificate=total((1 - sp.KroneckerDelta(j, k)) * further[r, j], j),
    )
    yield Step(total(sp.KroneckerDelta(j, k) * best, j) / n, "=", best / n, "one key scores t, the others of its cell 0")
    rival = best / n + above
    yield Step(
        best / n, "<", total(rival, j) / n, "a cell in which every key scores c = t/n + z has the larger mean, though t may be larger than c", certificate=above
    )


@derived(
    Claim(
        id="hierarchy.coarse-score-is-a-lower-bound",
        title="The exponential of a mean key's score is at most the mean of the exponentials of its cell's scores",
        states="What a coarse score says about the fine ones.",
        precise=r"With $\bar k$ the mean of the keys of a cell of $n$, $e^{q\cdot\bar k}\le\frac1n\sum_je^{q\cdot k_j}$, and both are at most $\max_je^{q\cdot k_j}$. A high coarse score shows "
        "that the cell holds a high score; a low coarse score shows nothing.",
        sources=(PYRAMID,),
        scope="every number n ≥ 1 of keys in a cell, every real score s_j = q · k_j",
        holds=_jensen,
    )
)
def coarse_score_is_a_lower_bound() -> Iterator[Step]:
    mean = total(s[j], j) / n
    above = sp.exp(s[k] - mean) - 1 - (s[k] - mean)
    x = sp.Symbol("x", real=True)
    gap = sp.IndexedBase("x", nonnegative=True)
    best = sp.Symbol("s_max", real=True)
    yield Step(
        total(sp.exp(best - gap[k]), k) / n,
        "<=",
        sp.exp(best),
        "a mean is no larger than the largest, s_max, of which a score lacks x_j",
        certificate=sp.exp(best) * total(1 - sp.exp(-gap[k]), k) / n,
    )
    yield Step(1 + x, "<=", sp.exp(x), "the exponential lies above its tangent at 0", cites=COVER.at("Section 2.6"))
    yield Step(total(s[k] - mean, k), "=", sp.Integer(0), "deviations from the mean cancel")
    yield Step(
        total(sp.exp(s[k]), k) / n - sp.exp(mean),
        "=",
        sp.exp(mean) * total(above, k) / n,
        "so the gap is e^mean times the mean of e^x − 1 − x at the deviations x, none of which is negative",
    )
    tangent = sp.IndexedBase("z", nonnegative=True)  # e^x − 1 − x at the deviation of key k
    yield Step(
        sp.exp(mean),
        "<=",
        sp.exp(mean) * (1 + total(tangent[k], k) / n),
        "with z_k for these, so that the right side is the mean of the exponentials",
        certificate=sp.exp(mean) * total(tangent[k], k) / n,
    )


def _scales(query: int, keys: Row, values: Row, width: int) -> Outcome:
    """Means over cells of `width`: cells of one give plain attention, one cell gives the mean of the values."""

    def pooled(of: Row, size: int) -> list[Fraction]:
        return [Fraction(sum(of[start : start + size]), len(of[start : start + size])) for start in range(0, len(of), size)]

    def attended(size: int) -> arb:
        cells_keys, cells_values = pooled(keys, size), pooled(values, size)
        return sum((p * exact.ball(x) for p, x in zip(exact.softmax([query * key for key in cells_keys]), cells_values, strict=True)), arb(0))

    plain = sum((p * x for p, x in zip(exact.softmax([query * key for key in keys]), values, strict=True)), arb(0))
    among = [attended(1), attended(len(keys)), attended(width)]
    wide = [exact.at_most(min(values), among[2]), exact.at_most(among[2], max(values))]
    return Outcome.worst([exact.equal(among[0], plain), exact.equal(among[1], exact.ball(Fraction(sum(values), len(values)))), *wide])


@derived(
    Claim(
        id="hierarchy.scales",
        title="Attention over means of cells runs from plain attention, with cells of one key, to the mean of all values, with one cell",
        states="Attention maps at different resolutions.",
        reading="A coarser map has one key and one value for each cell, the means of the cell's.",
        precise=r"With cells of one key it is plain attention; with one cell of all $n$ keys it is the mean of the values, whatever is asked: $\mathrm{softmax}$ of one score is 1. "
        r"In between, each value in a cell of $n$ keys has the weight of its cell divided by $n$, so that the output stays in the hull of the values.",
        sources=(PYRAMID,),
        scope="every number of cells and of keys in each, every real key, value and query",
        uses=("convexity.output-in-the-hull",),
        holds=_scales,
    )
)
def scales() -> Iterator[Step]:
    value = sp.IndexedBase("v", real=True)
    cell = sp.exp(f[r]) / total(sp.exp(f[t]), t)
    yield Step(total(total(cell / n, j), r), "=", sp.Integer(1), "with m cells of n keys each, the weights β_r/n of all values sum to one")
    yield Step(
        sp.exp(s[k]) * sp.UnevaluatedExpr(sp.exp(-s[k])) * (total(value[j], j) / n),
        "=",
        total(value[j] / n, j),
        "one cell alone has the weight e^s/e^s = 1, whatever its score s, and gives each of its n values the weight 1/n",
    )


def _variations(query: int, cell: Row, moved: Row) -> Outcome:
    """The coarse score moves by the mean of what the scores move by, which is no more than the most that one does, and all of it if they move alike; not at all for another order."""
    moved = moved[: len(cell)]

    def coarse(keys: Sequence[int]) -> Fraction:
        return Fraction(query * sum(keys), len(keys))

    change = coarse([key + x for key, x in zip(cell, moved, strict=True)]) - coarse(cell)
    each = [query * x for x in moved]
    one = [coarse([key + moved[0] * (at == place) for at, key in enumerate(cell)]) - coarse(cell) for place in range(len(cell))]
    alike = coarse([key + moved[0] for key in cell]) - coarse(cell) == each[0]
    turned = coarse(cell[::-1]) == coarse(cell)
    return exact.decided(
        change == Fraction(sum(each), len(each)) and abs(change) <= max(map(abs, each)) and set(one) == {Fraction(each[0], len(cell))} and alike and turned
    )


@derived(
    Claim(
        id="hierarchy.coarse-key-variations",
        title="A coarse key takes 1/n of a change of one of its n keys, and all of a change that they share",
        states="Among the benefits of pyramid attention: it is robust to input variations.",
        reading="What can be decided of it: how far a variation of the keys moves the score of a coarse key, which is the mean of its cell's keys.",
        precise=r"If the scores of a cell of $n$ keys change by $\delta_j$, its coarse score changes by $\frac1n\sum_j\delta_j$, which is at most "
        r"$\max_j|\delta_j|$ in size. A change of one score by $\delta$ arrives as $\delta/n$, and another order "
        r"of the keys in the cell changes nothing; a change by the same $\delta$ everywhere arrives in full. So a coarse map is robust to variations whose "
        "mean over the cell is small, and no more robust than a fine one to those which are common to a cell.",
        sources=(PYRAMID,),
        scope="every number n ≥ 1 of keys in a cell, every real score and change",
        inventory=("C103",),
        holds=_variations,
    )
)
def coarse_key_variations() -> Iterator[Step]:
    exchanged = s[j] + (sp.KroneckerDelta(j, k) - sp.KroneckerDelta(j, l)) * (s[l] - s[k])
    yield Step(total(exchanged, j), "=", total(s[j], j), "two keys trade places: the sum is the same, and exchanges generate every order")
    alone, shared = sp.Symbol("delta_0", real=True), sp.Symbol("delta_1", real=True)
    yield Step(
        total(s[j] + sp.KroneckerDelta(j, k) * alone, j) / n - total(s[j], j) / n, "=", alone / n, "a change of one score arrives divided by the number of keys"
    )
    yield Step(total(s[j] + shared, j) / n - total(s[j], j) / n, "=", shared, "a change that all share arrives in full")
    most, less, up = sp.Symbol("D", nonnegative=True), sp.IndexedBase("x", nonnegative=True), sp.IndexedBase("y", nonnegative=True)
    yield Step(total(most - less[j], j) / n, "<=", most, "no change is above D, δ_j = D − x_j, so their mean is not", certificate=total(less[j], j) / n)
    yield Step(-most, "<=", total(-most + up[j], j) / n, "and none is below −D, δ_j = −D + y_j", certificate=total(up[j], j) / n)
    change = sp.IndexedBase("delta", real=True)
    yield Step(
        total(s[j] + change[j], j) / n - total(s[j], j) / n,
        "=",
        total(change[j], j) / n,
        "and in general the coarse score, a mean, changes by the mean of the changes",
    )


# --- order and repetition of sentences -------------------------------------------------------------------------------------------------------


def _document(sentences: Row, scores: Sequence[int]) -> arb:
    return sum((beta * x for beta, x in zip(exact.softmax(scores), sentences, strict=True)), arb(0))


def _a_set(sentences: Row, content: int, place: int) -> Outcome:
    """The same document vector in every order, and with each sentence once, where a sentence x at place i scores content · x + place · i."""
    documents = [_document(order, [content * x + place * at for at, x in enumerate(order)]) for order in (*permutations(sentences), sorted(set(sentences)))]
    return exact.equal(documents, [documents[0]] * len(documents))


def _a_set_by_hand(sentences: Row, content: int, place: int) -> str:
    turned, once = tuple(reversed(sentences)), sorted(set(sentences))
    twice = len(once) < len(sentences)
    shown = [exact.show(_document(order, [content * x + place * at for at, x in enumerate(order)])) for order in (tuple(sentences), turned, once)]
    return (
        f"The sentences are the numbers {list(sentences)}; the one with value x at place i, counted from 0, scores {content}·x + {place}·i. The scores in "
        f"this order are {[content * x + place * at for at, x in enumerate(sentences)]}, and the "
        f"document, the average of the sentences by the softmax of these, is {shown[0]}. In reverse order, {list(turned)}, the places have changed and with "
        f"them "
        f"the scores, and it is {shown[1]}.{f' With each sentence once, {once}, it is {shown[2]}.' if twice else ''} The set of sentences is the same each "
        f"time, "
        f"and the claim needs equal numbers. An encoder that reads in order (a recurrence, or positions) has such a term with i."
        f"{' A sentence that stands twice counts twice.' if twice else ''}"
    )


def _no_order() -> Iterator[Step]:
    swapped = (1 - sp.KroneckerDelta(i, k)) * (1 - sp.KroneckerDelta(i, l))

    def moved(base: sp.IndexedBase) -> sp.Expr:
        """Sentence i once k and l have changed places."""
        return (
            swapped * base[i]
            + sp.KroneckerDelta(i, k) * base[l]
            + sp.KroneckerDelta(i, l) * base[k]
            - sp.KroneckerDelta(i, k) * sp.KroneckerDelta(i, l) * base[k]
        )

    weight = sp.IndexedBase("w", positive=True)
    yield Step(total(moved(weight), i), "=", total(weight[i], i), "exchanging sentences k and l, scores with them, leaves the normaliser as it is (w = e^f)")
    product = sp.IndexedBase("u", real=True)
    yield Step(total(moved(product), i), "=", total(product[i], i), "and the weighted sum (u = e^f s); exchanges generate every order")


set_of_sentences = Claim(
    id="hierarchy.set-of-sentences",
    title="A document encoder is a function of the set of its sentences",
    states="The document is DocumentEncoder({s_i}), written with the braces of a set.",
    reading="Two documents with the same set of sentences have the same vector: neither the order of the sentences matters, nor how often a sentence stands.",
    precise=r"$d=\sum_i\beta_is_i$ with $\beta=\mathrm{softmax}(f)$ depends on the set $\{s_i\}$ alone. It does if $f_i$ is a function of $s_i$ alone and no "
    "two $s_i$ are equal: then $d$ is the same in every order.",
    sources=(ENCODERS, YANG.at("section 2.2")),
    scope="every number of sentences, every real score and value; the search looks at different sentences, whose order alone changes",
    inventory=("C108",),
    uses=("symmetry.key-value-invariance",),
    unsaid="a sentence's score and vector depend on that sentence alone, not on its place (no recurrent encoder over sentences, as the paper has one, no positions), and no "
    "sentence stands twice",
    corrected_by="hierarchy.repeated-sentence",
    derive=_no_order,
    holds=_a_set,
    worked=_a_set_by_hand,
)


def _repeated(sentences: Row, content: int, place: int) -> Outcome:
    """Scored by content alone, a sentence that stands r times weighs as one with r times the exponential, in any order."""
    del place
    scores = [content * x for x in sentences]
    kinds = sorted(set(sentences))
    once = [exact.ball(content * x).exp() * list(sentences).count(x) for x in kinds]
    expected = sum((w * x for w, x in zip(once, kinds, strict=True)), arb(0)) / sum(once, arb(0))
    turned = tuple(reversed(sentences))
    return exact.equal([_document(sentences, scores), _document(turned, [content * x for x in turned])], [expected] * 2)


@derived(
    Claim(
        id="hierarchy.repeated-sentence",
        title="Without order, a document is a multiset: a sentence that stands twice counts twice",
        states="(Implied.) What a document encoder makes of a set of sentences in which one stands more than once.",
        precise=r"If sentence $k$ stands $z$ times and every other once, $d=\dfrac{\sum_ie^{f_i}s_i+(z-1)e^{f_k}s_k}{\sum_ie^{f_i}+(z-1)e^{f_k}}$: as if its "
        r"score were $f_k+\log z$. Order plays no part, repetition does: it is a function of the multiset.",
        sources=(ENCODERS,),
        scope="every number of sentences, every real score and value, z ≥ 1",
        inventory=("C108",),
        uses=("symmetry.key-value-invariance",),
        holds=_repeated,
    )
)
def repeated_sentence() -> Iterator[Step]:
    count = sp.Symbol("z", integer=True, positive=True)
    changed = s[i] + sp.KroneckerDelta(i, k) * sp.log(count)
    yield Step(
        total(sp.exp(changed), i),
        "=",
        total(sp.exp(s[i]), i) + (count - 1) * sp.exp(s[k]),
        "log z added to one score adds z − 1 copies of its exponential to the normaliser",
    )
    v = sp.IndexedBase("v", real=True)
    yield Step(
        total(sp.exp(changed) * v[i], i),
        "=",
        total(sp.exp(s[i]) * v[i], i) + (count - 1) * sp.exp(s[k]) * v[k],
        "and as many to the weighted sum",
    )


# --- what no derivation can settle -----------------------------------------------------------------------------------------------------------

granularity = Claim(
    id="hierarchy.granularity",
    title="Characters carry morphology, words meaning, sentences structure",
    states="Hierarchical attention works at several granularities: characters for local patterns and morphology, words for semantic units, sentences for global structure; documents, images and "
    "speech have such levels.",
    precise="Which linguistic content a level carries is a property of data and of a trained model, not of the formulas.",
    sources=(S0.at("Multi-Scale Attention"), S1.at("Hierarchical Attention")),
    scope="trained models",
    inventory=("C101",),
    not_checkable="What a level learns is a matter of language and of training: nothing in the formulas names morphology or meaning. What they do say, that each level is an average "
    "within its segments and the levels compose to one distribution, is checked under hierarchy.mass-is-a-distribution.",
)

generalisation = Claim(
    id="hierarchy.generalisation",
    title="Attention at several resolutions generalises better and is robust to variations of the input",
    states="Among the benefits of pyramid attention: better generalisation, robust to input variations.",
    precise="Generalisation is a statement about trained models on data; no variation of the input, and no measure of robustness, is named.",
    sources=(PYRAMID,),
    scope="trained models",
    inventory=("C103",),
    not_checkable="Neither the data, nor the variation, nor the size of the effect is named, nor what it is better than. What can be checked is how far a "
    "variation of the keys moves a coarse key: by its mean over the cell, which may be small, and is all of it if "
    "it is common to all (hierarchy.coarse-key-variations). A coarse key can also hide a single good key (hierarchy.coarse-may-miss-the-best).",
)
