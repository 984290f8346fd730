"""What masks do: causal rows, hidden keys, the constant −1e9, and masks applied after the softmax.

A hidden key keeps a factor on its exponential: 0 for a mask value of −∞ (exp(−∞) = 0), exp(−B) for a finite mask value −B.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, derived
from theorems.outcome import Outcome
from theorems.sources import S0, S1, S2, S3, S4, TORCH_SDPA
from theorems.step import Step
from theorems.symbols import S, i, j, k, l, n, s, total, v

Row = Sequence[int]
Flags = Sequence[bool]

B = sp.Symbol("B", positive=True)  # minus the mask value
D = sp.Symbol("D", positive=True)  # by how much the mask value outweighs the scores
H = sp.Symbol("H", integer=True, positive=True)  # how many keys are hidden
g = sp.Symbol("g", integer=True, positive=True)  # a hidden key, 1..H
u = sp.IndexedBase("u", real=True)  # scores of the hidden keys, u[g]
w = sp.IndexedBase("w", real=True)  # values of the hidden keys, w[g]
y = sp.IndexedBase("y", nonnegative=True)  # slack of each hidden score
mu = sp.IndexedBase("mu", nonnegative=True)  # the factor of each key: 1 visible, 0 hidden
V_ii = sp.Symbol("V_ii", real=True)  # the value at row i's own key, whose score is S[i, i]
x, tau, theta = sp.symbols("x tau theta", real=True)  # a hidden key's new score and value, or the rates at which they move with θ

MASK_VALUE = 10**9  # the texts' snippets use −1e9
ROUNDS_TO_ZERO = arb(2) ** -1075  # half of the smallest float64: anything below it is stored as 0
MARGIN = 1000  # exp(−1000) is far below that, for any number of keys that fits a machine
FILLED, ADDED = "filled", "added"  # the two snippets: masked_fill(mask == 0, −1e9), and logits + mask · (−1e9)
FORMATS = {"float64": (53, 1023), "float32": (24, 127), "bfloat16": (8, 127), "float16": (11, 15)}  # significand bits, largest exponent


def _visible_sum(body: sp.Expr) -> sp.Expr:
    """Σ over keys 1..i, the ones that row i sees."""
    return sp.Sum(body, (j, 1, i))


def _hidden_sum(body: sp.Expr) -> sp.Expr:
    return sp.Sum(body, (g, 1, H))


def _struck_out(body: sp.Expr) -> sp.Expr:
    """The sum over the keys after i, with their factor exp(−∞) = 0 written down."""
    return sp.UnevaluatedExpr(sp.Mul(sp.Integer(0), sp.Sum(body, (j, i + 1, n)), evaluate=False))


def filled(scores: Row, visible: Flags, value: int) -> list[int]:
    """masked_fill: the hidden scores replaced by `value`."""
    return [score if seen else value for score, seen in zip(scores, visible, strict=True)]


def added(scores: Row, hidden: Flags, value: int) -> list[int]:
    """The hidden scores with `value` added."""
    return [score + value * flag for score, flag in zip(scores, hidden, strict=True)]


def triangle(rows: int, columns: int, diagonal: int = 0) -> list[list[bool]]:
    """tril(ones(rows, columns), diagonal): True where column ≤ row + diagonal."""
    return [[column <= row + diagonal for column in range(columns)] for row in range(rows)]


def _causal_rows(scores: Sequence[Row]) -> Outcome:
    """Fill with −∞ above the diagonal, row by row, against softmax of the row's own prefix; the additive 0/−∞ mask multiplies the exponentials."""
    outcomes = []
    for place, (row, seen) in enumerate(zip(scores, triangle(len(scores), len(scores)), strict=True)):
        prefix = [*exact.softmax(row[: place + 1]), *[arb(0)] * (len(row) - place - 1)]
        exponentials = [exact.ball(score).exp() * flag for score, flag in zip(row, seen, strict=True)]
        mass = sum(exponentials, arb(0))
        outcomes += [exact.equal(exact.softmax(row, seen), prefix), exact.equal([x / mass for x in exponentials], prefix)]
    return Outcome.worst(outcomes)


@derived(
    Claim(
        id="masks.causal-rows",
        title="A causal mask of −∞ leaves row i the softmax of its first i scores",
        states="A lower-triangular mask, tril(ones(seq_len, seq_len)), with −∞ filled in (or added) where it is 0, lets row i see positions up to i only.",
        precise=r"Row $i$ gets $\mathrm{softmax}(s_1,\dots,s_i)$ and exact zeros after it. Its normaliser is positive because its own key is visible, so no 0/0 arises. A finite mask "
        r"value $-B$, filled into the $H=n-i$ hidden places, leaves them a mass of at most $He^{-B}/\sum_{j\le i}e^{s_j}$, which tends to 0 as $B\to\infty$.",
        sources=(S1.at("Causal (Masked) Attention"), S3.at("Causal Masking")),
        scope="every row i ≥ 1 of every length, every real score, as many queries as keys; exp(−∞) = 0; filling −∞ and adding 0/−∞ agree because every finite "
        "score + (−∞) = −∞",
        inventory=("C163", "C176", "C181"),
        holds=_causal_rows,
    )
)
def causal_rows() -> Iterator[Step]:
    seen = _visible_sum(sp.exp(s[j]))
    hidden = _hidden_sum(sp.exp(-B))
    yield Step(hidden, "=", H * sp.exp(-B), "filling puts the same number in every hidden place")
    yield Step(
        hidden / (seen + hidden),
        "<=",
        H * sp.exp(-B) / seen,
        "dropping the hidden part of the normaliser only increases the quotient",
        certificate=H**2 * sp.exp(-2 * B) / (seen * (seen + H * sp.exp(-B))),
    )
    yield Step(_visible_sum(sp.exp(s[j]) / sp.Sum(sp.exp(s[l]), (l, 1, i))), "=", sp.Integer(1), "the visible weights sum to one by themselves")
    yield Step(sp.Integer(0), "<", seen, "row i sees at least its own key, so nothing is divided by zero")
    yield Step(
        sp.exp(s[k]) / (seen + _struck_out(sp.exp(s[j]))),
        "=",
        sp.exp(s[k]) / seen,
        "with −∞ a later key's exponential is exp(−∞) = 0: key k ≤ i has its weight among the first i",
    )


def _unmoved(scores: Row, values: Row, visible: Flags, place: int, score: int, value: int) -> Outcome:
    """Whether the output stays as it was when a hidden key's score and value are replaced (nothing to check at a visible one)."""
    if visible[place] or not any(visible):
        return Outcome.HELD
    changed = [[new if at == place else old for at, old in enumerate(row)] for row, new in ((scores, score), (values, value))]
    return exact.equal(_answer(changed[0], changed[1], visible), _answer(scores, values, visible))


def _answer(scores: Row, values: Row, visible: Flags) -> arb:
    return sum((p * value for p, value in zip(exact.softmax(scores, visible), values, strict=True)), arb(0))


def _factor(score: sp.Expr) -> sp.Expr:
    """What key j adds to the normaliser: key k is hidden and has the given score, every other key has the factor mu[j]."""
    hides = sp.KroneckerDelta(j, k)
    return mu[j] * (1 - hides) * sp.exp(s[j] + hides * (score - s[j]))


def _with_hidden_key(score: sp.Expr, value: sp.Expr) -> sp.Expr:
    """The output of row i, which sees its own key and hides key k; k has the score and value given."""
    own, moved = sp.exp(S[i, i]), v[j] + sp.KroneckerDelta(j, k) * (value - v[j])
    return (own * V_ii + total(_factor(score) * moved, j)) / (own + total(_factor(score), j))


@derived(
    Claim(
        id="masks.hidden-key-has-no-influence",
        title="What stands at a key hidden by −∞ cannot be seen in the output",
        states="(Not in the text, which multiplies its mask onto the softmax.) A mask of −∞, put in before the softmax, keeps the output from depending on "
        "the keys that it hides.",
        precise=r"If key $k$ is hidden by $-\infty$ and some key is visible, then replacing its score and its value by any others leaves the row's output "
        r"exactly as it was. In the formula row $i$ sees its own key, of score $S_{ii}$ and value $V_{ii}$; every other key $j$ has the factor $\mu_j$ (1 if "
        r"it is visible, 0 if it is hidden) on its exponential, and $\delta_{jk}$ picks "
        "the hidden key.",
        sources=(S0.at("Mathematical Formulation (sparse attention)"),),
        scope="every number of keys, every mask that leaves one key visible, every real score and value; finite changes, hence also all derivatives",
        inventory=("C089",),
        holds=_unmoved,
    )
)
def hidden_key_has_no_influence() -> Iterator[Step]:
    yield Step(
        total(_factor(x), j),
        "=",
        total(mu[j] * (1 - sp.KroneckerDelta(j, k)) * sp.exp(s[j]), j),
        "the exponential of the hidden score is multiplied by zero, whatever the score",
    )
    yield Step(_with_hidden_key(x, tau), "=", _with_hidden_key(s[k], v[k]), "the new score x and the new value τ are both multiplied by zero")


def _multiplied_unmoved(scores: Row, values: Row, visible: Flags, place: int, score: int, value: int) -> Outcome:
    """The same question where the mask multiplies the weights after the softmax."""
    if visible[place] or not any(visible):
        return Outcome.HELD
    changed = [[new if at == place else old for at, old in enumerate(row)] for row, new in ((scores, score), (values, value))]
    return exact.equal(_multiplied_answer(changed[0], changed[1], visible), _multiplied_answer(scores, values, visible))


def _multiplied_answer(scores: Row, values: Row, visible: Flags) -> arb:
    return sum((p * seen * value for p, seen, value in zip(exact.softmax(scores), visible, values, strict=True)), arb(0))


def _worked_multiplied(scores: Row, values: Row, visible: Flags, place: int, score: int, value: int) -> str:
    changed = [score if at == place else old for at, old in enumerate(scores)]
    before, after = exact.softmax(scores), exact.softmax(changed)
    return "\n".join(
        [
            f"Scores {list(scores)}, mask {[int(seen) for seen in visible]}, values {list(values)}. The softmax over all keys (each e^s over the sum of all) is "
            f"[{', '.join(map(exact.show, before))}]; multiplied by the mask and the values it gives {exact.show(_multiplied_answer(scores, values, visible))}.",
            f"Key {place + 1} is hidden. Change its score to {score} and its value to {value}: the softmax becomes [{', '.join(map(exact.show, after))}], "
            f"and the output {exact.show(_multiplied_answer(changed, values, visible))}. It should not have moved: the hidden key still sits in the normaliser of the visible weights.",
        ]
    )


masking_after_softmax_hides = Claim(
    id="masks.multiplied-mask-hides",
    title="A mask multiplied onto the softmax hides the masked keys",
    states="(Implied.) The weights of sparse attention are the softmax of all scores, multiplied elementwise by the mask; so a row's output does not depend "
    "on the keys that its mask hides.",
    reading="The mask is any 0/1 mask (the text names none; a causal one would be such a mask), and hiding a key means that neither its score nor its value "
    "shows in the output.",
    precise=r"With $A = M\odot\mathrm{softmax}(s)$ and $M_k=0$, the output $\sum_j A_jv_j$ does not depend on the score and the value at key $k$.",
    sources=(S0.at("Mathematical Formulation (sparse attention)"),),
    scope="one row, any mask with a visible key",
    inventory=("C089",),
    holds=_multiplied_unmoved,
    worked=_worked_multiplied,
    corrected_by="masks.hidden-key-has-no-influence",
)


def _multiplied_is_attention(scores: Row, visible: Flags) -> Outcome:
    if not any(visible):
        return Outcome.HELD
    return exact.equal([p * seen for p, seen in zip(exact.softmax(scores), visible, strict=True)], exact.softmax(scores, visible))


def _renormalised_is_attention(scores: Row, visible: Flags) -> Outcome:
    if not any(visible):
        return Outcome.HELD
    kept = [p * seen for p, seen in zip(exact.softmax(scores), visible, strict=True)]
    mass = sum(kept, arb(0))
    return exact.equal([p / mass for p in kept], exact.softmax(scores, visible))


def _worked_mass(scores: Row, visible: Flags) -> str:
    kept = [p * seen for p, seen in zip(exact.softmax(scores), visible, strict=True)]
    return (
        f"Scores {list(scores)}, mask {[int(seen) for seen in visible]}: mask times softmax is [{', '.join(map(exact.show, kept))}], "
        f"which sums to {exact.show(sum(kept, arb(0)))}. The softmax over the visible keys alone is [{', '.join(map(exact.show, exact.softmax(scores, visible)))}]."
    )


multiplied_mask = Claim(
    id="masks.multiplied-mask-is-sparse-attention",
    title="Sparse attention is the mask times the softmax",
    states="Sparse attention weights are a mask multiplied elementwise onto the softmax of all scores.",
    reading="The result should be what the same page defines for a window: a softmax over the keys that are kept.",
    precise=r"$M\odot\mathrm{softmax}(s)=\mathrm{softmax}$ over the keys with $M_j=1$, for every 0/1 mask with a visible key.",
    sources=(S0.at("Mathematical Formulation (sparse attention)"),),
    scope="one row, any 0/1 mask that keeps a key",
    inventory=("C088",),
    holds=_multiplied_is_attention,
    worked=_worked_mass,
    corrected_by="masks.renormalised-mask",
)


@derived(
    Claim(
        id="masks.renormalised-mask",
        title="A mask on the weights needs a second normalisation",
        states="(Not in the text, which leaves the division out.) The mask times the softmax, divided by its own sum, is the softmax over the kept keys.",
        precise=r"Let $\mu_j$ be the mask, 1 for a kept key and 0 for a hidden one. $\dfrac{\mu_i\,\mathrm{softmax}(s)_i}{\sum_j\mu_j\,\mathrm{softmax}(s)_j} "
        r"= \dfrac{\mu_ie^{s_i}}{\sum_j\mu_je^{s_j}}$ "
        r"wherever the divisor is not 0; without that division the row sums to $1$ minus the hidden mass.",
        sources=(S0.at("Mathematical Formulation (sparse attention)"),),
        scope="every number of keys, every real score, every non-negative mask with a positive entry",
        inventory=("C088",),
        holds=_renormalised_is_attention,
    )
)
def renormalised_mask() -> Iterator[Step]:
    mass = sp.Sum(sp.exp(s[l]), (l, 1, n))
    kept = total(mu[j] * sp.exp(s[j]), j)
    yield Step(
        total(mu[j] * sp.exp(s[j]) / mass, j),
        "=",
        1 - total((1 - mu[j]) * sp.exp(s[j]) / mass, j),
        "all weights sum to one, so the kept ones sum to one minus the dropped ones",
    )
    yield Step(
        (mu[i] * sp.exp(s[i]) / mass) / total(mu[j] * sp.exp(s[j]) / mass, j),
        "=",
        mu[i] * sp.exp(s[i]) / kept,
        "the normaliser over all keys cancels",
        nonzero=(kept, total(mu[j] * sp.exp(s[j]) / mass, j)),
    )


def stacked(tokens: Sequence[int], weights: Sequence[tuple[int, int]], causal: bool) -> list[arb]:
    """Layers x ← r(x + Att(x)) on tokens of width 1, where r(x) = x + max(x, 0) acts on each token alone; each layer has a (query·key, value) pair of "
    "weights."""
    values = [exact.ball(token) for token in tokens]
    seen = triangle(len(tokens), len(tokens)) if causal else [[True] * len(tokens)] * len(tokens)
    for score, value in weights:
        rows = exact.attention([[score * token] for token in values], [[token] for token in values], [[value * token] for token in values], visible=seen)
        values = [token + row[0] for token, row in zip(values, rows, strict=True)]
        values = [token + token.max(arb(0)) for token in values]
    return values


def _future_unseen(tokens: Row, weights: Sequence[tuple[int, int]], place: int, token: int) -> Outcome:
    changed = [token if at == place else old for at, old in enumerate(tokens)]
    return exact.equal(stacked(changed, weights, True)[:place], stacked(tokens, weights, True)[:place])


@derived(
    Claim(
        id="masks.causal-stack",
        title="Under a causal mask no output depends on a later token, at any depth",
        states="A causal mask keeps information of future positions out of the present ones.",
        precise=r"Whatever stands at the later positions, row $i$ is the same; so $\partial o_i/\partial x_k=0$ for every $k>i$, for any number of causally "
        r"masked layers. One layer: tokens "
        r"after place $i$ enter row $i$ only through scores and values whose exponentials are multiplied by $e^{-\infty}=0$, and they may be replaced ($s'$ "
        r"and $v'$ instead of $s$ and $v$). "
        r"Depth, by induction: a layer takes two sequences that agree up to place $i$ to two that agree up to place $i$, for every $i$, and so does anything "
        r"that acts on each position by itself.",
        sources=(S1.at("Causal (Masked) Attention"), S3.at("Causal Masking"), S4.at("BERT and GPT")),
        scope="every length, every depth, mask value −∞; between the layers anything that acts on each position by itself (residuals, norms, feed-forward; "
        "differentiable or not). The step is the "
        "induction's: one layer. The search runs up to three layers with residuals and a rectifier",
        inventory=("C177",),
        uses=("masks.hidden-key-has-no-influence",),
        holds=_future_unseen,
    )
)
def causal_stack() -> Iterator[Step]:
    other_scores, other_values = sp.IndexedBase("s'", real=True), sp.IndexedBase("v'", real=True)

    def output(scores: sp.IndexedBase, values: sp.IndexedBase) -> sp.Expr:
        return (_visible_sum(sp.exp(s[j]) * v[j]) + _struck_out(sp.exp(scores[j]) * values[j])) / (_visible_sum(sp.exp(s[j])) + _struck_out(sp.exp(scores[j])))

    yield Step(
        output(other_scores, other_values), "=", output(s, v), "the later tokens' exponentials are multiplied by exp(−∞) = 0, whatever their scores and values"
    )


def _value_moves_output(scores: Row, values: Row, place: int, shift: int) -> Outcome:
    """Raising one value by `shift` > 0 raises the output."""
    raised = [value + shift * (at == place) for at, value in enumerate(values)]
    everywhere = [True] * len(scores)
    return exact.decided(bool(_answer(scores, raised, everywhere) > _answer(scores, values, everywhere)))


@derived(
    Claim(
        id="masks.unmasked-sees-the-future",
        title="Without a mask every value moves every output",
        states="Bidirectional attention can see later tokens.",
        precise=r"$\partial o_i/\partial v_k = p_{ik} > 0$ for every pair $i$, $k$, later ones included. A later token moves its value (at a rate $\tau$) and its score "
        r"(at a rate $x$) together, as $\theta$ grows: then $o_i$ moves at the rate $p_{ik}(\tau + x(v_k - o_i))$, which is 0 for one value of $\tau$ alone, "
        r"$-x(v_k - o_i)$.",
        sources=(S1.at("Non-Causal (Bidirectional) Attention"), S4.at("BERT and GPT")),
        scope="unmasked attention, every length, every finite score and value, each feature of the values; k ≠ i where the token moves (the row's own token moves its query as well)",
        inventory=("C178",),
        holds=_value_moves_output,
    )
)
def unmasked_sees_the_future() -> Iterator[Step]:
    output = total(sp.exp(S[i, j]) * v[j], j) / sp.Sum(sp.exp(S[i, l]), (l, 1, n))
    weight = sp.exp(S[i, k]) / sp.Sum(sp.exp(S[i, l]), (l, 1, n))

    def score(key: sp.Symbol) -> sp.Expr:
        return S[i, key] + theta * x * sp.KroneckerDelta(key, k)

    mass = sp.Sum(sp.exp(score(l)), (l, 1, n))
    moving = total(sp.exp(score(j)) * (v[j] + theta * tau * sp.KroneckerDelta(j, k)), j) / mass
    yield Step(
        sp.Derivative(moving, theta),
        "=",
        sp.exp(S[i, k] + theta * x) / mass * (tau + x * (v[k] + theta * tau - moving)),
        "a token that moves along a line, with θ, moves its value and its score: the weight times what the value does and what the score does",
    )
    yield Step(sp.Derivative(output, v[k]), "=", weight, "the output is linear in the values, and the weight is the coefficient")
    yield Step(sp.Integer(0), "<", sp.Derivative(output, v[k]), "exponentials are positive", certificate=weight)


def hidden_mass(scores: Row, hidden: Flags) -> arb:
    """The weight of all hidden keys together, where the mask adds −1e9 to their scores; in real arithmetic, as a ball."""
    weights = exact.softmax(added(scores, hidden, -MASK_VALUE))
    return sum((p for p, flag in zip(weights, hidden, strict=True) if flag), arb(0))


def _blanked(scores: Row, hidden: Flags) -> list[int]:
    """The hidden scores replaced by 0: filling −1e9 in is adding it to these."""
    return filled(scores, [not flag for flag in hidden], 0)


def outweighs(scores: Row, hidden: Flags) -> bool:
    """Whether some visible score lies at most 1e9 − 1000 below every hidden one."""
    seen = [score for score, flag in zip(scores, hidden, strict=True) if not flag]
    return bool(seen) and all(score - max(seen) <= MASK_VALUE - MARGIN for score, flag in zip(scores, hidden, strict=True) if flag)


def _nothing_is_left(scores: Row, hidden: Flags) -> Outcome:
    """With −1e9 added, and with −1e9 filled in."""
    return exact.decided(all(hidden_mass(row, hidden) < ROUNDS_TO_ZERO for row in (scores, _blanked(scores, hidden))))


def _nothing_is_left_if_outweighed(scores: Row, hidden: Flags) -> Outcome:
    """With −1e9 added and with −1e9 filled in, wherever the constant outweighs the scores that it meets."""
    rows = [row for row in (scores, _blanked(scores, hidden)) if outweighs(row, hidden)]
    return exact.decided(all(hidden_mass(row, hidden) < ROUNDS_TO_ZERO for row in rows))


def _worked_constant(scores: Row, hidden: Flags) -> str:
    masked = added(scores, hidden, -MASK_VALUE)
    weights = ", ".join(map(exact.show, exact.softmax(masked)))
    return (
        f"Scores {list(scores)}, hidden {[int(flag) for flag in hidden]}: the mask makes them {masked}. Subtract their maximum {max(masked)}, which softmax ignores: "
        f"{[score - max(masked) for score in masked]}. The weights are [{weights}]; the hidden keys keep {exact.show(hidden_mass(scores, hidden))} (with −1e9 filled in "
        f"instead of added, {exact.show(hidden_mass(_blanked(scores, hidden), hidden))}), where −∞ would give them nothing. The scores spread as far as the "
        f"constant reaches. "
        "(In a row with no visible key it does not even take large scores: the hidden keys share all the weight.)"
    )


large_constant = Claim(
    id="masks.minus-1e9-hides",
    title="Adding −1e9 gives masked positions no attention",
    states="Positions with −1e9 added to (or filled into) their scores receive no attention: the constant acts as −∞.",
    reading="For every row of scores and every mask, the weights of the masked keys are so small that float64 stores them as 0.",
    precise=r"$\sum_{j\ \mathrm{hidden}}p_j < 2^{-1075}$, half of the smallest positive float64, for every row of scores and every mask, with $-10^9$ added and with $-10^9$ filled in.",
    sources=(S2.at("Implementation Example"), S2.at("Advanced Implementation")),
    scope="one row of real scores in exact arithmetic; the search draws rows with a visible key",
    inventory=("C183", "C184"),
    holds=_nothing_is_left,
    worked=_worked_constant,
    unsaid="some key is visible, and no hidden score exceeds its score by more than 10⁹ − 1000 (where −10⁹ is filled in: its score is at least −10⁹ + 1000)",
    corrected_by="masks.finite-constant",
)


@derived(
    Claim(
        id="masks.finite-constant",
        title="What a finite mask constant leaves to the hidden keys",
        states="(Not in the text, which says that they receive no attention.) What positions keep with −1e9 added to (or filled into) their scores is "
        "exponentially small in how far the constant outweighs "
        "the scores.",
        precise=r"Let key $k$ be visible and the $H$ hidden scores be at most $s_k + B - D$. With $-B$ added to the hidden scores, the hidden keys together weigh at most "
        r"$He^{-D}$; filling $-B$ in is adding it to hidden scores of 0. In the formulas $\mu_j$ is the factor of a further visible key (0 for every key that "
        r"is none). "
        r"For $B = 10^9$ and $D = 1000$ that is below $2^{-1075}$ for every $H$ up to $e^{254}$.",
        sources=(S2.at("Implementation Example"), S2.at("Advanced Implementation")),
        scope="every number of keys, every mask that leaves a key visible, every real score within the stated bound; the hidden scores are s_k + B − D − y_g with y_g ≥ 0",
        inventory=("C183", "C184"),
        holds=_nothing_is_left_if_outweighed,
    )
)
def finite_constant() -> Iterator[Step]:
    own, others = sp.exp(s[k]), total(mu[j] * sp.exp(s[j]), j)
    hidden = _hidden_sum(sp.exp(s[k] + B - D - y[g] - B))
    slack = sp.exp(-D) * _hidden_sum(1 - sp.exp(-y[g]))
    yield Step(hidden, "=", own * sp.exp(-D) * _hidden_sum(sp.exp(-y[g])), "the constant cancels, and what is left is measured from the visible score")
    yield Step(
        hidden / (own + others + hidden),
        "<=",
        hidden / own,
        "the normaliser is at least the visible key's own exponential",
        certificate=hidden * (others + hidden) / (own * (own + others + hidden)),
    )
    yield Step(
        hidden / (own + others + hidden),
        "<=",
        H * sp.exp(-D),
        "each of the H terms is at most exp(−D) times that exponential",
        certificate=hidden * (others + hidden) / (own * (own + others + hidden)) + slack,
    )


def rounded_is_finite(value: int, form: str) -> bool:
    """Whether rounding the integer to the format (nearest, ties to even) gives a finite number: |value| below the largest plus half its last place."""
    bits, exponent = FORMATS[form]
    return Fraction(abs(value)) < (2 - Fraction(1, 2**bits)) * Fraction(2) ** exponent


def largest(form: str) -> int:
    bits, exponent = FORMATS[form]
    return int((2 - Fraction(2, 2**bits)) * 2**exponent)


def _finite_row(form: str, visible: Flags, value: int, snippet: str) -> Outcome:
    """Whether a row (all scores 0) gets weights: filling in a value that the format does not hold raises, whatever the mask; adding it needs a visible key."""
    held = rounded_is_finite(value, form)
    return exact.decided(held or (snippet == ADDED and any(visible)))


def _every_format(form: str, visible: Flags, snippet: str) -> Outcome:
    return _finite_row(form, visible, -MASK_VALUE, snippet)


def _every_format_by_its_own(form: str, visible: Flags, snippet: str) -> Outcome:
    return _finite_row(form, visible, -largest(form), snippet)


def _worked_format(form: str, visible: Flags, snippet: str) -> str:
    seen = [int(flag) for flag in visible]
    told = (
        f"The largest finite {form} is {largest(form)}, and numbers from {largest(form)} plus half a unit in the last place on round to infinity: −1e9 is no "
        f"number of this format. "
        f"Take a row of {len(seen)} scores, all 0, with the mask {seen} (1 = visible). "
    )
    if snippet == FILLED:
        return told + (
            "PyTorch's `masked_fill` takes no value that the tensor's format cannot hold. It raises, whatever the mask. Check with "
            f"`torch.zeros({len(seen)}, dtype=torch.{form}).masked_fill(torch.tensor({seen}) == 0, -1e9)`: “value cannot be converted to type c10::Half "
            f"without overflow”. "
            "(The other snippet adds −1e9, which rounds to −∞: the weights are right if some key is visible, and not a number if none is.)"
        )
    return told + (
        "Added, −1e9 makes every hidden logit −∞; with no visible key the row maximum is −∞ too, and −∞ − (−∞) is not a number. "
        f"Check with `torch.softmax(torch.zeros({len(seen)}, dtype=torch.{form}) + torch.ones({len(seen)}) * -1e9, -1)`."
    )


dtype_agnostic = Claim(
    id="masks.minus-1e9-in-every-dtype",
    title="The masking code with −1e9 works in every dtype",
    states="(Implied.) The attention snippets, with −1e9 written into them, apply to tensors of any floating dtype.",
    reading="In float64, float32, bfloat16 and float16 alike both snippets, the one that adds −1e9 and the one that fills it in, turn finite scores and any "
    "mask into weights.",
    precise=r"In each of the four formats: filling $-10^9$ in does not raise, and rounded to the format the logits with $-10^9$ added contain a finite number.",
    sources=(S2.at("Implementation Example"), S2.at("Advanced Implementation")),
    scope="IEEE formats with rounding to nearest; rows of any mask, fully masked ones included (the search draws rows with a visible and a hidden key); "
    "masked_fill as in PyTorch 2.13",
    inventory=("C185",),
    holds=_every_format,
    worked=_worked_format,
    corrected_by="masks.smallest-finite-fill",
)


@derived(
    Claim(
        id="masks.smallest-finite-fill",
        title="Fill with the dtype's own most negative number",
        states="(Not in the text, whose snippets have −1e9 written into them.) Filled in with the most negative finite number of its own format, every row "
        "stays finite.",
        precise=r"A row with a visible key has a finite largest score, as with any mask. A row of $n$ keys that are all filled with the same finite number $-B$ has the weights $1/n$; and "
        r"$-B$ is finite in the format if it is the format's own most negative number.",
        sources=(S2.at("Implementation Example"), S2.at("Advanced Implementation")),
        scope="every n and every finite B (symbolic); the four formats (exact evaluation). Filled, not added: adding it to a negative score may overflow",
        inventory=("C185",),
        holds=_every_format_by_its_own,
    )
)
def smallest_finite_fill() -> Iterator[Step]:
    filled_row = sp.Sum(sp.exp(-B), (l, 1, n))
    yield Step(sp.exp(-B) / filled_row, "=", 1 / n, "equal logits, however negative, give equal weights")


def broadcast(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...] | None:
    """The shape of left + right under the usual rule (align at the end; sizes equal or 1), or None where there is none."""
    width = max(len(left), len(right))
    pairs = list(zip((1,) * (width - len(left)) + tuple(left), (1,) * (width - len(right)) + tuple(right), strict=True))
    if any(x != y and 1 not in (x, y) for x, y in pairs):
        return None
    return tuple(y if x == 1 else x for x, y in pairs)


def _in_place(logits: Sequence[int], mask: Sequence[int]) -> Outcome:
    """logits += mask keeps the shape of logits, so it fails where the sum would have another one."""
    together = broadcast(logits, mask)
    return exact.decided(together is None or together == tuple(logits))


def _out_of_place(logits: Sequence[int], mask: Sequence[int]) -> Outcome:
    """logits + mask holds every entry of both: each size is that of the logits, or of the mask where the logits have 1 or none."""
    together = broadcast(logits, mask)
    if together is None:
        return Outcome.HELD
    return exact.decided(broadcast(together, logits) == together == broadcast(together, mask))


def _worked_shapes(logits: Sequence[int], mask: Sequence[int]) -> str:
    return (
        f"Logits of shape {tuple(logits)} and a mask of shape {tuple(mask)} broadcast together to {broadcast(logits, mask)}, which is not the logits' shape; "
        "an in-place sum has no room for it and raises. Check with "
        f"`import numpy as np; logits = np.zeros({tuple(logits)}); logits += np.zeros({tuple(mask)})`."
    )


any_broadcastable_mask = Claim(
    id="masks.any-broadcastable-mask",
    title="The mask may have any shape that broadcasts with the logits",
    states="The optional mask is added to the logits in place, whatever its shape.",
    reading="Every mask that can be broadcast with the logits works in the snippet's in-place addition.",
    precise=r"If logits and mask broadcast together, `logits += mask` succeeds.",
    sources=(S2.at("Implementation Example"),),
    scope="shapes of any number of axes; the broadcasting rule of NumPy and PyTorch",
    inventory=("C186",),
    holds=_in_place,
    worked=_worked_shapes,
    corrected_by="masks.out-of-place-mask",
)


@derived(
    Claim(
        id="masks.out-of-place-mask",
        title="Out of place, any broadcastable mask works",
        states="(Not in the text, which adds the mask in place.) The sum logits + mask has room for every mask that broadcasts with the logits; in place the "
        "mask must "
        "broadcast to the logits' own shape.",
        precise=r"If logits and mask broadcast together, both broadcast to the shape that has the larger of the two sizes in each axis. Let the larger one be $a$. The smaller one is "
        r"$b = 1 + \beta(a - 1)$ with $\beta = 0$ (it is 1) or $\beta = 1$ (it is the same), so $(a - b)(b - 1) = 0$: it is $a$ or 1, and broadcasts to $a$.",
        sources=(S2.at("Implementation Example"),),
        scope="shapes of any number of axes, axis by axis (a missing axis counts as size 1); the broadcasting rule of NumPy and PyTorch",
        inventory=("C186",),
        holds=_out_of_place,
    )
)
def out_of_place_mask() -> Iterator[Step]:
    larger, beta = sp.symbols("a beta", real=True)
    smaller = 1 + beta * (larger - 1)
    yield Step(
        (larger - smaller) * (smaller - 1),
        "=",
        beta * (1 - beta) * (larger - 1) ** 2,
        "β(1 − β) is 0 for β = 0 and for β = 1, the two ways in which sizes may meet in an axis; the larger size is that of the sum",
    )


def first_snippet(scores: Row, mask: Row) -> list[arb]:
    """scores + mask · (−1e9), then softmax: 1 hides."""
    return exact.softmax([score - MASK_VALUE * flag for score, flag in zip(scores, mask, strict=True)])


def second_snippet(scores: Row, mask: Row) -> list[arb]:
    """masked_fill(mask == 0, −1e9), then softmax: 0 hides."""
    return exact.softmax(filled(scores, [flag != 0 for flag in mask], -MASK_VALUE))


def _agree(left: Sequence[arb], right: Sequence[arb]) -> Outcome:
    """Equal up to what float64 could not store: a certain difference beyond that refutes."""
    return exact.at_most([abs(x - y) for x, y in zip(left, right, strict=True)], [ROUNDS_TO_ZERO] * len(left))


def _share(scores: Row, mask: Row) -> Outcome:
    return _agree(first_snippet(scores, mask), second_snippet(scores, mask))


def _share_flipped(scores: Row, mask: Row) -> Outcome:
    if not any(mask):
        return Outcome.HELD
    return _agree(first_snippet(scores, [1 - flag for flag in mask]), second_snippet(scores, mask))


def _worked_share(scores: Row, mask: Row) -> str:
    first, second = (", ".join(map(exact.show, snippet(scores, mask))) for snippet in (first_snippet, second_snippet))
    return (
        f"Scores {list(scores)}, mask {list(mask)}. Adding mask · (−1e9) pushes down the places with 1, and gives the weights [{first}]; filling −1e9 where the mask "
        f"is 0 pushes down the places with 0, and gives [{second}]. The two rows should be the same (1.2e-434294482 is e^(−1e9), where it appears)."
    )


shared_masks = Claim(
    id="masks.snippets-share-masks",
    title="The two snippets of one text can be given the same mask",
    states="(Implied.) Two snippets of one text take an argument called mask, and neither says which value hides a key: the same mask may be given to both.",
    reading="One 0/1 mask handed to the two snippets gives the same attention weights (to float64 accuracy).",
    precise=r"softmax of $s + m\cdot(-10^9)$ equals softmax of $s$ with $-10^9$ filled in where $m=0$, for every mask $m\in\{0,1\}^n$.",
    sources=(S2.at("Implementation Example"), S2.at("Advanced Implementation")),
    scope="one row of small scores; the two snippets of this text alone (how other texts write their masks is told on the page of disagreements)",
    inventory=("C182",),
    holds=_share,
    worked=_worked_share,
    corrected_by="masks.opposite-polarity",
)


@derived(
    Claim(
        id="masks.opposite-polarity",
        title="The two snippets agree when one mask is the other's complement",
        states="(Not in the text, which does not say what its masks mean.) 1 hides a key in the adding snippet and shows it in the filling one; with the mask "
        "complemented for one of them, they agree but "
        "for what a finite constant leaves.",
        precise=r"Let $Z=e^{s_i}+R$ be the visible keys' exponentials, and $F$, $G$ what the hidden keys keep in the normaliser when $-B$ is filled "
        r"($F=He^{-B}$) or added ($G=e^{-B}\sum_g e^{u_g}$). The weight that filling gives a visible key $i$ exceeds the one that adding gives it by at most $G/Z$, and falls short of it "
        r"by at most $F/Z$; the hidden keys together weigh at most $F/Z$ under filling and $G/Z$ under adding.",
        sources=(S2.at("Implementation Example"), S2.at("Advanced Implementation")),
        scope="rows with a visible key, every real score, every B; a fully masked row is uniform under filling and, in exact arithmetic, the plain softmax "
        "under adding (float32 rounds scores "
        "beside −10⁹ to multiples of 64, and small ones come out uniform)",
        inventory=("C182",),
        holds=_share_flipped,
    )
)
def opposite_polarity() -> Iterator[Step]:
    own, rest = sp.exp(s[i]), sp.Symbol("R", nonnegative=True)
    seen = own + rest
    fill, add = H * sp.exp(-B), sp.exp(-B) * _hidden_sum(sp.exp(u[g]))

    def certificate(less: sp.Expr, more: sp.Expr) -> sp.Expr:
        above = more * seen * rest + more**2 * seen + less * more * seen + less * more**2 + own * less * seen
        return above / (seen * (seen + less) * (seen + more))

    difference = own / (seen + fill) - own / (seen + add)
    for kept, told in ((fill, "what the hidden keys weigh under filling"), (add, "and under adding")):
        yield Step(kept / (seen + kept), "<=", kept / seen, told, certificate=kept**2 / (seen * (seen + kept)))
    yield Step(-difference, "<=", fill / seen, "the two weights differ only in what the hidden keys keep in the normaliser", certificate=certificate(add, fill))
    yield Step(difference, "<=", add / seen, "and the same with filling and adding exchanged", certificate=certificate(fill, add))


def _padding(scores: Row, values: Row, padding_scores: Row, padding_values: Row) -> Outcome:
    visible = [True] * len(scores) + [False] * len(padding_scores)
    padded = _answer([*scores, *padding_scores], [*values, *padding_values], visible)
    return exact.equal(padded, _answer(scores, values, [True] * len(scores)))


@derived(
    Claim(
        id="masks.padding",
        title="Masking padded keys is removing them",
        states="With padding tokens masked, attention ignores them.",
        precise=r"Let padded keys keep the factor $z$ on their exponentials: 0 for the mask value $-\infty$, $e^{-B}$ for $-B$ added. The output differs from the output $o$ of attention to "
        r"the real keys alone by exactly $z\sum_g e^{u_g}(w_g-o)$ over the normaliser: by nothing for $-\infty$, and by $O(e^{-B})$ for $-B$.",
        sources=(S1.at("Batch Processing"),),
        scope="real queries, at least one real key, any number of padded keys with any scores u and values w; the rows of padded queries are not meant and must be dropped",
        inventory=("C153",),
        holds=_padding,
    )
)
def padding() -> Iterator[Step]:
    keeps = sp.Symbol("z", nonnegative=True)
    seen, padded = _visible_sum(sp.exp(s[j])), keeps * _hidden_sum(sp.exp(u[g]))
    alone = _visible_sum(sp.exp(s[j]) * v[j]) / seen
    together = (_visible_sum(sp.exp(s[j]) * v[j]) + keeps * _hidden_sum(sp.exp(u[g]) * w[g])) / (seen + padded)
    yield Step(
        together - alone,
        "=",
        keeps * _hidden_sum(sp.exp(u[g]) * (w[g] - alone)) / (seen + padded),
        "put both over one normaliser: every term that does not carry z cancels",
    )


def _cached_positions(cached: int, fresh: int) -> list[list[bool]]:
    """Which keys each fresh query may see when `cached` earlier tokens stand before it: the last rows of the whole sequence's mask."""
    positions = range(cached + fresh)
    return [[not key > position for key in positions] for position in positions][-fresh:]


def _square_triangle(cached: int, fresh: int) -> Outcome:
    return exact.decided(triangle(fresh, cached + fresh) == _cached_positions(cached, fresh))


def _shifted_triangle(cached: int, fresh: int) -> Outcome:
    return exact.decided(triangle(fresh, cached + fresh, diagonal=cached) == _cached_positions(cached, fresh))


def _worked_triangle(cached: int, fresh: int) -> str:
    shown = [[int(seen) for seen in row] for row in triangle(fresh, cached + fresh)]
    wanted = [[int(seen) for seen in row] for row in _cached_positions(cached, fresh)]
    return (
        f"{cached} cached and {fresh} new: queries are {fresh} in number, keys {cached + fresh}. The first new query stands at position {cached + 1} and may "
        f"see keys 1 to {cached + 1}. tril(ones({fresh}, {cached + fresh})) is {shown}, the causal mask is {wanted}; they should be the same."
    )


square_triangle = Claim(
    id="masks.tril-is-the-causal-mask",
    title="With a cache too, tril(ones(n_q, n_k)) is the causal mask",
    states="(Not in the text, whose tril(ones(seq_len, seq_len)) is square and right: masks.causal-rows.) A decoder with a cache, which has fewer queries "
    "than keys, may use tril(ones(n_q, n_k)).",
    reading="tril(ones(n_q, n_k)), with the n_q queries being the newest of n_k positions, lets each query see its own position and all earlier ones, and nothing later.",
    precise=r"$[\,j\le i\,]$ equals $[\,j\le i+(n_k-n_q)\,]$ for all queries i and keys j.",
    sources=(TORCH_SDPA,),
    scope="any number of cached and new tokens. (The documentation cited numbers queries from the first key, as this mask does, for its option is_causal)",
    holds=_square_triangle,
    worked=_worked_triangle,
    corrected_by="masks.shifted-triangle",
)


@derived(
    Claim(
        id="masks.shifted-triangle",
        title="With a cache the triangle's diagonal shifts by the number of cached keys",
        states="(Implied.) With keys and values of earlier tokens cached, the causal mask of the newest n_q of n_k positions is tril(ones(n_q, n_k), diagonal "
        "= n_k − n_q).",
        precise=r"Let $n_k=n_q+c$. Query $i$ stands at position $i+c$. Row $i$ of the shifted triangle shows keys 1 to $i+c$, its own among them, and hides the $n_q-i$ keys after it. "
        r"Without the shift the row would show keys 1 to $i$, which are $c$ keys fewer.",
        sources=(S1.at("Attention Caching"), S1.at("Causal (Masked) Attention")),
        scope="any number c of cached and n_q of new tokens, every query i ≤ n_q",
        inventory=("C163",),
        holds=_shifted_triangle,
    )
)
def shifted_triangle() -> Iterator[Step]:
    cached, later = sp.Symbol("c", integer=True, positive=True), sp.Symbol("t", integer=True, nonnegative=True)
    place = i + cached
    everything = i + later + cached  # n_q + c keys, where n_q = i + t
    yield Step(
        sp.Sum(sp.S.One, (j, 1, place)) - sp.Sum(sp.S.One, (j, 1, i)), "=", cached,
        "without the shift row i ends c keys too early, at key i: even the query's own key is hidden, as soon as anything is cached",
    )  # fmt: skip
    yield Step(
        sp.Sum(sp.S.One, (j, place + 1, everything)), "=", later,
        "with the shift it ends at key i + c, and what it hides is the t = n_q − i tokens after the query: all of them and nothing else",
    )  # fmt: skip
