"""One claim for every way that a page can look. Nothing here is derived; the evidence beside it says what checks would have found."""

from __future__ import annotations

from collections.abc import Iterator

from theorems.claim import Claim, Kind
from theorems.disagreements import Disagreement, Version
from theorems.inventory import Row
from theorems.outcome import Outcome
from theorems.sources import S2, S4, VASWANI
from theorems.step import Step

ARGUED_BEFORE = ("toy.old",)  # claims whose evidence was taken on other code


def steps() -> Iterator[Step]:
    return iter(())


def holds(**case: object) -> Outcome:
    return Outcome.HELD


ROW_SUM = Claim(
    id="toy.row-sum",
    title="The weights of a row sum to one, $|\\sum_j p_j| = 1$",
    states="The weights are positive and *sum to one*.",
    reading="For finite scores, in exact arithmetic.",
    precise="For all $s \\in \\mathbb{R}^n$, with $p_j = e^{s_j} / \\sum_l e^{s_l}$:\n\n$$\\sum_{j=1}^n p_j = 1.$$\n\nSo $\\|p\\|_1 = 1$ and no $p_j<0$.",
    sources=(S4.at("Step 3: Apply Softmax"), VASWANI.at("equation 1")),
    scope="every $n \\ge 1$ and finite scores",
    inventory=("C003",),
    assumes=("$n \\ge 1$", "every score is a finite real number"),
    derive=steps,
    holds=holds,
)
NORM = Claim(
    id="toy.norm",
    title="The norm is at most one",
    states="$\\|p\\|_2 \\le 1$.",
    precise="$\\|p\\|_2 \\le 1$ | for short rows",
    sources=(S4.at("no such heading"),),
    scope="$n \\in \\{2, 3\\}$",
    inventory=("C004",),
    uses=("toy.row-sum",),
    derive=steps,
    sizes=(2, 3),
    holds=holds,
)
ORDER = Claim(
    id="toy.order",
    title="Order does not matter",
    states="Attention ignores the order of its input.",
    reading="Any permutation of the rows leaves the output as it is.",
    precise="$f(PX) = f(X)$ for every permutation $P$.",
    sources=(S2.at("Attention as Matrix Operations"),),
    scope="every $n$",
    inventory=("C047",),
    derive=steps,
    holds=holds,
    corrected_by="toy.equivariance",
)
EQUIVARIANCE = Claim(
    id="toy.equivariance",
    title="Permuted rows permute the output",
    states="The output is permuted as the rows are.",
    precise="$f(PX) = P f(X)$ for every permutation $P$.",
    sources=(VASWANI,),
    scope="every $n$",
    holds=holds,
)
MASKED = Claim(
    id="toy.masked",
    title="Masked rows sum to one",
    states="Every row sums to one, masked or not.",
    precise="$\\sum_j p_j = 1$ over the visible keys.",
    sources=(S2.at("Attention as Matrix Operations"),),
    scope="every mask",
    inventory=("C004",),
    unsaid="Some key is visible.",
    corrected_by="toy.row-sum",
    holds=holds,
)
TASTE = Claim(
    id="toy.taste",
    title="Attention is elegant",
    states="Attention is elegant.",
    precise="None: elegance has no measure.",
    sources=(S4.at("Step 3: Apply Softmax"),),
    scope="none",
    inventory=("C049",),
    not_checkable="It is a matter of taste.",
)
LATER = Claim(id="toy.later", title="Not yet", states="Later.", precise="Later.", sources=(S4,), scope="none yet", inventory=("C048",))
OLD = Claim(id="toy.old", title="Taken before a change", states="It was so.", precise="It was so.", sources=(S4,), scope="all", holds=holds)
IDLE = Claim(id="toy.idle", title="Nothing breaks it", states="It is so.", precise="It is so.", sources=(S4,), scope="all", holds=holds)
COST = Claim(
    id="costs.products",
    title="Scores take $n^2 d$ products",
    states="The cost grows with $n^2$ & $d$.",
    precise="Exactly $m n d$ products.",
    sources=(S2.at("Attention as Matrix Operations"),),
    scope="all sizes",
    kind=Kind.COST,
    holds=holds,
)

CLAIMS = {c.id: c for c in (ROW_SUM, NORM, ORDER, EQUIVARIANCE, MASKED, TASTE, LATER, OLD, IDLE, COST)}
INVENTORY = {
    id: Row(id=id, topic="Toys", states=states, places=places, drawn=id == "C047")
    for id, states, places in (
        ("C003", "α_i>0 and Σα_i=1 | for finite e.", (("S4", "Step 3: Apply Softmax"), ("S2", "Attention as Matrix Operations"))),
        ("C004", "every p_ij>0 and each row sums to *exactly* 1.", (("S2", "Attention as Matrix Operations"),)),
        ("C047", "order <b>does not</b> matter.", (("S2", "Attention as Matrix Operations"),)),
        ("C048", "S denotes one quantity.", (("S4", "Step 3: Apply Softmax"),)),
        ("C049", "attention is elegant.", (("S4", "Step 3: Apply Softmax"),)),
    )
}
HEADINGS = {"S2": ("Core", "Attention as Matrix Operations"), "S4": ("Step 3: Apply Softmax",)}
TEXTS = (S2, S4)
SOURCES = {s.key: s for s in (S2, S4, VASWANI)}
DISAGREEMENTS = (
    Disagreement(
        id="sums",
        title="Do rows sum to one, $\\sum_j p_j = 1$?",
        versions=(
            Version(text="S2", heading="Attention as Matrix Operations", says="Always | ever.", judged=("toy.row-sum", "toy.masked")),
            Version(text="S4", heading="Step 3: Apply Softmax", says="After the softmax.", judged=("toy.row-sum",)),
        ),
        supported="They do.",
        by=("toy.row-sum",),
    ),
    Disagreement(
        id="order",
        title="Does order matter?",
        versions=(
            Version(text="S2", heading="Attention as Matrix Operations", says="No.", judged=("toy.order",)),
            Version(text="S4", heading="Step 3: Apply Softmax", says="It is elegant.", judged=("toy.taste",)),
        ),
        supported="This must not be printed.",
        by=("toy.equivariance", "toy.order"),
    ),
)
