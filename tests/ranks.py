"""One rank of several processes that run sequence parallelism over gloo: `python -m tests.ranks RANK SIZE FOLDER`, started by test_sequence_parallel.py.

Each case is run by the ranks of its world, forward and backward, on this rank's own shards alone. What comes out goes to FOLDER/RANK.pt.
"""

from __future__ import annotations

import itertools
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor.experimental import context_parallel
from torch.distributed.tensor.experimental._context_parallel import _attention as theirs

from impl.sequence_parallel import gathered, ring
from impl.sequence_parallel.processes import Process
from impl.sequence_parallel.shards import described, shard

METHODS = {"ring": ring, "all-gather": gathered}
SECONDS = 40  # that one rank waits for another
B, H, D, E = 2, 3, 5, 4


class Case(NamedTuple):
    """A call, small enough to be made again by whoever compares."""

    method: str
    world: int
    layout: str
    causal: bool
    queries: int
    keys: int
    dtype: torch.dtype


CASES = [
    *(Case(*what, 11, 11, torch.float32) for what in itertools.product(METHODS, (2, 3, 4), ("contiguous", "zigzag", "striped"), (False, True))),
    *(Case(method, 4, "zigzag", True, 3, 9, dtype) for method in METHODS for dtype in (torch.float64, torch.float16, torch.bfloat16)),
    *(Case(method, 4, "contiguous", causal, 2, 2, torch.float32) for method in METHODS for causal in (False, True)),  # and ranks that hold nothing
]


def tensors(case: Case) -> list[Tensor]:
    """query, key, value and the output's cotangent."""
    generator = torch.Generator().manual_seed(case.queries)
    shapes = (case.queries, D), (case.keys, D), (case.keys, E), (case.queries, E)
    return [torch.randn(B, H, *shape, generator=generator, dtype=torch.float64).to(case.dtype) for shape in shapes]


def ours(case: Case, wires: Process) -> list[Tensor]:
    """This rank's output and gradients."""
    query, key, value, cotangent = tensors(case)
    sequence = described(query, key, case.world, case.causal, None, case.layout)
    rows, columns = sequence.rows(wires.rank), sequence.columns(wires.rank)
    own = [shard(x, runs).requires_grad_() for x, runs in ((query, rows), (key, columns), (value, columns))]
    output = METHODS[case.method].of_rank(*own, sequence, wires)
    return [output.detach(), *torch.autograd.grad(output, own, shard(cotangent, rows))]


def plain() -> list[Tensor]:
    """What torch's own context parallelism is asked to compute: query, key and value [1, 2, 8, 4]."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, 2, 8, 4, generator=generator) for _ in range(3)]


def public() -> str:
    """Why torch's `context_parallel` does not run over CPUs, or "" where it does."""
    whole = plain()
    try:
        with context_parallel(init_device_mesh("cpu", (dist.get_world_size(),)), buffers=whole, buffer_seq_dims=[2, 2, 2]):
            query, key, value = whole
            nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    except Exception as error:
        return f"torch {torch.__version__}: context_parallel on a CPU raises {type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return ""


def private(group: Any, causal: bool) -> Tensor:
    """The output of this rank's shard by the ring that lies under torch's `context_parallel`, around the operator that a CPU has."""
    theirs._cp_options.enable_load_balance = False
    operator = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    query, key, value = (x.chunk(dist.get_world_size(group), dim=2)[dist.get_rank(group)].contiguous() for x in plain())
    output: Tensor = theirs._templated_ring_attention(group, 2, operator, query, key, value, is_causal=causal)[0]
    return output


def main(rank: int, size: int, folder: Path) -> None:
    """Run every case whose world this rank belongs to."""
    torch.set_num_threads(1)
    store = torch._C._distributed_c10d.FileStore(str(folder / "store"), size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=timedelta(seconds=SECONDS))
    groups = {world: dist.new_group(range(world)) for world in (2, 3, 4)}
    found: dict[Any, Any] = {number: ours(case, Process(groups[case.world])) for number, case in enumerate(CASES) if rank < case.world}
    if rank < 2:
        found["ring of torch"] = [private(groups[2], causal) for causal in (False, True)]
    found["context_parallel"] = public()
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
