"""Attention whose activations wait elsewhere: each tensor that backward will read is moved out when it is saved, and back when it is read."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor

from impl.checkpointed import reference


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    segments: int = 1,
    *,
    place: Callable[[], AbstractContextManager[object]] | None = None,
) -> Tensor:
    """As the reference, with nothing computed twice. `place` opens the hooks that move tensors: `on_disk` by default, or `in_bytes`."""
    with (place or on_disk)():
        return reference.attention(query, key, value, attn_mask, is_causal, scale, segments)


class Shelf:
    """A folder of saved tensors, one file each; it is removed with the last reference to it."""

    def __init__(self) -> None:
        self.folder, self.count = tempfile.TemporaryDirectory(prefix="activations-"), 0

    def put(self, x: Tensor) -> tuple[Path, torch.device]:
        self.count += 1
        path = Path(self.folder.name) / f"{self.count}.pt"
        torch.save(x.detach().cpu().clone(), path)  # the clone leaves behind what else its storage holds
        return path, x.device

    def take(self, ticket: tuple[Path, torch.device]) -> Tensor:
        path, device = ticket
        return torch.load(path, weights_only=True).to(device)  # type: ignore[no-any-return]


def on_disk() -> AbstractContextManager[object]:
    """Saved tensors become files until backward reads them."""
    shelf = Shelf()
    return torch.autograd.graph.saved_tensors_hooks(shelf.put, shelf.take)


def in_bytes() -> AbstractContextManager[object]:
    """Saved tensors become copies in the CPU's memory, as `torch.autograd.graph.save_on_cpu` keeps them, on whatever device they are."""
    return torch.autograd.graph.saved_tensors_hooks(lambda x: (x.detach().to("cpu", copy=True), x.device), lambda kept: kept[0].to(kept[1]))
