"""One layer of attention of any kind on a few tokens, as pictures and counts: `python -m properties.demo --length 12 --width 32 --heads 4 --attention causal`.

Embeddings and projections are random: what the pictures show is the kind of attention, and nothing that was learnt. The weights are read off the variant's
reference by giving it the identity for its values.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from impl import VARIANTS
from impl.instruments.attention_distance.reference import distance
from impl.instruments.attention_entropy.reference import entropy
from impl.instruments.jensen_shannon.pair_by_pair import divergence
from impl.instruments.pattern_scores.reference import scores
from properties.evidence import write_text

BAD_INPUT = 2
FLOAT = 4  # bytes
EXAMPLES = """examples:
  python -m properties.demo --length 12 --width 32 --heads 4 --attention causal --out /tmp/demo
  python -m properties.demo --text "the cat sat on the mat" --attention sliding-window --window 3 --out /tmp/demo

Exit status: 0 all well; 2 an argument cannot be used, or matplotlib is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A variant and what it is called with beside query, key and value, given the window."""

    variant: str
    says: str
    beside: Callable[[int], Mapping[str, Any]] = lambda window: {}


KINDS = {
    "full": Kind(variant="scaled-dot-product", says="every token sees every token"),
    "causal": Kind(variant="scaled-dot-product", says="no token sees a later one", beside=lambda window: {"is_causal": True}),
    "sliding-window": Kind(variant="sliding-window", says="tokens that are less than --window away", beside=lambda window: {"window": window}),
    "fixed-window": Kind(variant="fixed-window", says="blocks of --window tokens", beside=lambda window: {"window": window}),
    "strided": Kind(variant="strided", says="every --window'th token", beside=lambda window: {"stride": window}),
    "dilated": Kind(variant="dilated", says="tokens at distances 1, 2, 4, …"),
    "alibi": Kind(variant="alibi", says="scores fall with the distance, causal", beside=lambda window: {"is_causal": True}),
    "rotary": Kind(variant="rotary", says="queries and keys are rotated by their positions"),
    "sparsemax": Kind(variant="sparsemax", says="weights that are exactly 0"),
    "entmax": Kind(variant="entmax", says="between softmax and sparsemax"),
    "sigmoid": Kind(variant="sigmoid", says="each weight by itself: rows need not sum to 1"),
    "softmax-one": Kind(variant="softmax-one", says="a row may attend to nothing"),
    "linear": Kind(variant="linear-attention", says="products of features in place of exponentials"),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """Weights [H, N, N], and counts of the layer."""

    tokens: tuple[str, ...]
    weights: Tensor
    counts: Mapping[str, int]


def layer(kind: Kind, tokens: Sequence[str], width: int, heads: int, window: int, seed: int) -> Shown:
    """One layer on random embeddings, the same for the same token. Raises ValueError for sizes that do not fit."""
    if min(len(tokens), width, heads, window) < 1 or width % heads or (kind.variant == "rotary" and width // heads % 2):
        raise ValueError(
            f"length {len(tokens)}, width {width}, heads {heads}, window {window}: each above 0, and the heads divide the width (into even parts for rotary)"
        )
    random = torch.Generator().manual_seed(seed)
    places = {token: place for place, token in enumerate(dict.fromkeys(tokens))}
    x = torch.randn(len(places), width, generator=random)[[places[token] for token in tokens]]
    projections = torch.randn(4, width, width, generator=random) / width**0.5
    reference, beside = VARIANTS[kind.variant].reference, kind.beside(window)

    def whole() -> Tensor:
        q, k, v = (split(x @ w, heads) for w in projections[:3])
        attended: Tensor = reference(q, k, v, **beside)
        output: Tensor = attended.transpose(1, 2).flatten(2) @ projections[3]
        return output

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        whole()
    with torch.no_grad():
        identity = torch.eye(len(tokens)).expand(1, heads, -1, -1)
        weights: Tensor = reference(*(split(x @ w, heads) for w in projections[:2]), identity, **beside)
    counts = {
        "parameters": projections.numel(),
        "operations of the reference, hidden pairs too": int(counter.get_total_flops()),
        "bytes of parameters": FLOAT * projections.numel(),
        "bytes of weights": FLOAT * weights.numel(),
        "bytes of queries, keys, values and output": FLOAT * 4 * x.numel(),
        "pairs with a weight": int((weights != 0).sum()),
        "pairs": weights.numel(),
    }
    return Shown(tokens=tuple(tokens), weights=weights[0], counts=counts)


def split(projected: Tensor, heads: int) -> Tensor:
    """[N, H·D] → [1, H, N, D]."""
    found: Tensor = projected.unflatten(-1, (heads, -1))
    return found.transpose(0, 1).unsqueeze(0)


def drawn(shown: Shown, title: str) -> dict[str, str]:
    """The pictures as SVG, by name."""
    from impl.instruments import pictures

    names = [f"head {head + 1}" for head in range(len(shown.weights))]
    figures = {
        "heads": pictures.head_grid(shown.weights[None], shown.tokens, shown.tokens, title),
        "flow": pictures.flow(shown.weights.mean(0, keepdim=True), shown.tokens, least=0.5 / len(shown.tokens), title=title),
        "comparison": pictures.head_comparison(divergences(shown.weights), names, f"{title}: divergence of heads"),
    }
    figures |= {f"head-{head + 1}": pictures.heat_map(w, shown.tokens, shown.tokens, names[head]) for head, w in enumerate(shown.weights)}
    return {name: pictures.svg(figure) for name, figure in figures.items()}


def divergences(weights: Tensor) -> Tensor:
    """The mean Jensen–Shannon divergence of every two heads' rows over their sum [H, H]."""
    return divergence(shares(weights), pairs=True).mean(-1).clamp(min=0)


def shares(weights: Tensor) -> Tensor:
    """Rows over their sum, in float64: what the instruments read is a distribution, and not every kind of attention has one."""
    whole = weights.double()
    return whole / whole.sum(-1, keepdim=True)


def said(shown: Shown) -> str:
    """Counts, and each head's figures, of rows over their sum: entropy in nats, distance in tokens, and scores of patterns."""
    lines = [f"{name:<46}{count:>10}" for name, count in shown.counts.items()]
    numbers = torch.tensor([shown.tokens.index(token) for token in shown.tokens])
    lines += [f"{'head':<6}{'entropy':>10}{'distance':>10}{'previous token':>16}{'induction':>11}"]
    for head, w in enumerate(shares(shown.weights)):
        spread, away = float(entropy(w).mean()), float(distance(w).mean())
        *_, previous, induction = scores(w, numbers).tolist()
        lines.append(f"{head + 1:<6}{spread:>10.3f}{away:>10.3f}{previous:>16.3f}{induction:>11.3f}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = command_line()
    options = parser.parse_args(arguments)
    tokens = options.text.split() if options.text is not None else [str(place) for place in range(12 if options.length is None else options.length)]
    if options.text is not None and options.length not in (None, len(tokens)):
        parser.error(f"--length {options.length} with a --text of {len(tokens)} words; give one of them")
    try:
        shown = layer(KINDS[options.attention], tokens, options.width, options.heads, options.window, options.seed)
        svgs = drawn(shown, f"{options.attention} attention")
    except ValueError as error:
        parser.error(str(error))
    except ModuleNotFoundError as error:
        print(f'pictures need the package {error.name!r}, which is not installed; pip install -e ".[dev]" installs all of them', file=sys.stderr)
        return BAD_INPUT
    for name, svg in svgs.items():
        write_text(options.out / f"{name}.svg", svg)
    print(said(shown))
    print(f"{len(svgs)} pictures in {options.out}: {', '.join(svgs)}")
    return 0


def command_line() -> argparse.ArgumentParser:
    kinds = "\n".join(f"  {name:<16}{kind.says}" for name, kind in KINDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m properties.demo",
        description="Draw one layer of attention with random weights on a few tokens, and count what its reference costs.",
        epilog=f"kinds of attention:\n{kinds}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--length", type=int, help="how many tokens, all different (default 12)")
    parser.add_argument("--text", help="words to attend to instead; equal words have equal embeddings")
    parser.add_argument("--width", type=int, default=32, help="of the embeddings (default 32)")
    parser.add_argument("--heads", type=int, default=4, help="they divide the width (default 4)")
    parser.add_argument("--attention", choices=KINDS, default="full", metavar="KIND", help="one of those below (default full)")
    parser.add_argument("--window", type=int, default=3, help="for the kinds that have one (default 3)")
    parser.add_argument("--seed", type=int, default=0, help="of embeddings and projections (default 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the pictures go")
    return parser


if __name__ == "__main__":
    sys.exit(main())
