"""How much weight falls on the edges of a dependency tree, by definition."""

from __future__ import annotations

from torch import Tensor

from impl.masked import accumulation


def alignment(weights: Tensor, tree: Tensor, kind: str = "weight") -> Tensor:
    """The mean over the edges (head, dependent) of a tree of the weight that the dependent's row gives its head ("weight"), or of whether that is the row's
    largest ("argmax"); among k equal largest ones, it counts 1/k, so that a uniform row scores 1/M.

    Shapes: weights [..., N, M], tree int64 [E, 2] of places (head, dependent) → [...], in [0, 1]. The root has no edge. What a high score means depends on what
    chance gives: 1/M for a uniform map, and, where heads mostly stand beside their dependents, nearly all for a map that looks one place back. float16 and
    bfloat16 are computed in float32 and rounded once. Raises ValueError for a tree without edges, for places outside the map, or another kind. Source:
    Voita et al. 2019, section 5.2.1, https://arxiv.org/abs/1905.09418 (argmax)
    """
    check(weights, tree, kind)
    heads, dependents = tree.unbind(-1)
    p = weights.to(accumulation(weights.dtype))
    given = p[..., dependents, heads]  # [..., E]
    if kind == "weight":
        return given.mean(-1).to(weights.dtype)
    rows = p[..., dependents, :]
    best = rows.amax(-1)
    hits = (given == best).to(p.dtype) / (rows == best.unsqueeze(-1)).sum(-1)
    return hits.mean(-1).to(weights.dtype)


def check(weights: Tensor, tree: Tensor, kind: str) -> None:
    """Raise ValueError unless the tree has edges, all of them inside the map."""
    if kind not in ("weight", "argmax"):
        raise ValueError(f"kind={kind!r}; there are 'weight' and 'argmax'")
    if tree.dim() != 2 or tree.shape[-1] != 2 or tree.is_floating_point():
        raise ValueError(f"a tree of shape {tuple(tree.shape)} and {tree.dtype}; expected places [E, 2] of (head, dependent)")
    if not len(tree):
        raise ValueError("a tree without edges: the mean over none of them is not defined")
    heads, dependents = tree.unbind(-1)
    if bool((tree < 0).any()) or int(heads.max()) >= weights.shape[-1] or int(dependents.max()) >= weights.shape[-2]:
        raise ValueError(f"edges {tree.tolist()} reach outside weights of shape {tuple(weights.shape)}")
