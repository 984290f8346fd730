"""Ranks that are processes, joined by `torch.distributed`: gloo on CPUs, NCCL on GPUs, by the same calls."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor

from impl.sequence_parallel.communicator import Message


class Process:
    """This process's place in a process group (None: the default one): a Communicator."""

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self.group = dist.group.WORLD if group is None else group
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)

    def exchange(self, outgoing: Mapping[int, Message], incoming: Mapping[int, Message]) -> None:
        """As the interface says: one message for each pair of ranks, none where it would be empty, all under way at once."""
        sent = {rank: packed(message) for rank, message in outgoing.items()}
        arrived = {rank: packed(message) for rank, message in incoming.items()}
        operations = [self.operation(dist.isend, x, rank) for rank, x in sent.items() if x.numel()]
        operations += [self.operation(dist.irecv, x, rank) for rank, x in arrived.items() if x.numel()]
        for request in dist.batch_isend_irecv(operations) if operations else ():
            request.wait()
        for rank, message in incoming.items():
            for x, part in zip(message, arrived[rank].split([x.numel() for x in message]), strict=True):
                x.copy_(part.view(x.shape))

    def operation(self, what: object, x: Tensor, rank: int) -> dist.P2POp:
        return dist.P2POp(what, x, group=self.group, group_peer=rank)  # type: ignore[arg-type]


def packed(message: Message) -> Tensor:
    """All numbers of a message, one tensor behind the other."""
    return torch.cat([x.reshape(-1) for x in message])
