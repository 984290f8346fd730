"""Edges of a graph: a list of pairs, or rows of a CSR matrix."""

from __future__ import annotations

import torch
from torch import Tensor


def listed(edges: Tensor, indptr: Tensor | None, sources: int, targets: int) -> tuple[Tensor, Tensor]:
    """The source j and the target i of each edge j → i, int64 [E] each.

    `edges` is [2, E], sources above targets, in any order and as often as they come; or, with `indptr` [N + 1], the sources [E] of a CSR matrix, of which
    those from indptr[i] to indptr[i + 1] are the ones of target i. Raises ValueError for other shapes and types, and for a node that there is not.
    """
    if edges.is_floating_point() or edges.dtype == torch.bool:
        raise ValueError(
            f"edges is {edges.dtype}: expected integers, the places of nodes; a 0/1 matrix A, with A[j, i] = 1 for an edge j → i, gives them as A.nonzero().T"
        )
    if indptr is None:
        if edges.dim() != 2 or edges.shape[0] != 2:
            raise ValueError(f"edges has shape {tuple(edges.shape)}: expected [2, E], sources above targets, or [E] together with indptr")
        source, target = edges.long()
    else:
        source, target = edges.long(), rows(edges, indptr, targets)
    for name, places, count in (("source", source, sources), ("target", target, targets)):
        if places.numel() and not 0 <= int(places.min()) <= int(places.max()) < count:
            raise ValueError(f"edges names {name}s from {int(places.min())} to {int(places.max())}: expected 0 to {count - 1}")
    return source, target


def rows(edges: Tensor, indptr: Tensor, targets: int) -> Tensor:
    """The target of each edge of a CSR matrix. Raises ValueError as `listed` does."""
    if edges.dim() != 1 or indptr.shape != (targets + 1,) or indptr.is_floating_point():
        raise ValueError(f"edges {tuple(edges.shape)} with indptr {indptr.dtype} {tuple(indptr.shape)}: expected [E] and integers [{targets + 1}]")
    lengths = indptr.long().diff()
    if int(indptr[0]) != 0 or int(indptr[-1]) != len(edges) or (lengths < 0).any():
        raise ValueError(f"indptr = {indptr.tolist()}: expected 0 first, no number below the one before it, and {len(edges)}, the number of edges, last")
    return torch.arange(targets, device=edges.device).repeat_interleave(lengths)


def checked(edges: int, edge_features: Tensor | None, of_features: Tensor | None, name: str) -> None:
    """Raises ValueError unless features [E, F] and what weighs them come together, and there is a row for each edge."""
    if (edge_features is None) != (of_features is None):
        raise ValueError(f"edge_features and {name} belong together: one of them is missing")
    if edge_features is not None and edge_features.shape[:-1] != (edges,):
        raise ValueError(f"edge_features has shape {tuple(edge_features.shape)}: expected [{edges}, F], a row for each edge")


def fits(x: Tensor, shape: tuple[int, ...], name: str) -> None:
    """Raises ValueError for another shape."""
    if tuple(x.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(x.shape)}: expected {list(shape)}, by the heads and widths of the weights")
