"""Sequence parallelism among real processes (gloo) is what it is among threads, to the last bit; and what happens where ranks do not agree."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from impl.sequence_parallel import gathered, reference, ring, threads
from impl.sequence_parallel.communicator import Communicator, pass_on
from impl.sequence_parallel.shards import described, joined
from impl.variant import STRAIGHTFORWARD
from properties.inputs import plain
from properties.simplex import attended, factor
from properties.tolerance import rounding
from properties.tracked import Tracked, constant, contract, exp, log, sigmoid
from tests.ranks import CASES, METHODS, Case, tensors
from tests.ranks import plain as theirs

ROOT = Path(__file__).parents[1]
SIZE, SECONDS = 4, 120.0  # processes, and how long they may take in all


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[Any, Any]]:
    """What each of four processes computed. They are started once, and end within SECONDS or are ended."""
    if not (dist.is_available() and dist.is_gloo_available()):
        pytest.skip("this build of torch has no gloo")
    folder = tmp_path_factory.mktemp("ranks")
    logs = [(folder / f"{rank}.log").open("wb") for rank in range(SIZE)]
    command = [sys.executable, "-m", "tests.ranks"]
    started = [subprocess.Popen([*command, str(rank), str(SIZE), str(folder)], cwd=ROOT, stdout=log, stderr=log) for rank, log in enumerate(logs)]
    end = time.monotonic() + SECONDS
    try:
        while any(process.poll() is None for process in started) and not any(process.poll() for process in started) and time.monotonic() < end:
            time.sleep(0.05)
        codes = [process.poll() for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
        for log in logs:
            log.close()
    said = "\n".join(f"rank {rank} ({'still running' if code is None else code}): {tail(folder / f'{rank}.log')}" for rank, code in enumerate(codes))
    assert codes == [0] * SIZE, f"after {SECONDS - end + time.monotonic():.0f} s the ranks have ended with {codes}:\n{said}"
    return [torch.load(folder / f"{rank}.pt") for rank in range(SIZE)]


def tail(file: Path) -> str:
    """The last lines that a rank wrote."""
    return "\n".join(file.read_text(encoding="utf-8", errors="replace").splitlines()[-12:])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As the processes compute: within one thread each."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: "-".join(map(str, CASES[number])))
def test_processes_compute_what_threads_do_bit_by_bit(number: int, found: list[dict[Any, Any]]) -> None:
    """Output and gradients, put together from the processes' shards."""
    case: Case = CASES[number]
    query, key, value, cotangent = tensors(case)
    whole = [x.requires_grad_() for x in (query, key, value)]
    output = METHODS[case.method].attention(*whole, case.world, case.causal, None, case.layout)
    expected = [output.detach(), *torch.autograd.grad(output, whole, cotangent)]
    sequence = described(query, key, case.world, case.causal, None, case.layout)
    held = [sequence.rows, sequence.rows, sequence.columns, sequence.columns]
    for place, (name, want) in enumerate(zip(("output", "query", "key", "value"), expected, strict=True)):
        parts = [found[rank][number][place] for rank in range(case.world)]
        got = joined(parts, [held[place](rank) for rank in range(case.world)])
        assert got.dtype == want.dtype, name
        assert torch.equal(got, want), f"{name} of {case}: {(got - want).abs().max()} apart"


def test_context_parallel_of_torch_agrees(found: list[dict[Any, Any]]) -> None:
    """By its public function, where that runs on a CPU; what it raises is the reason why not."""
    why = found[0]["context_parallel"]
    if why:
        pytest.skip(why)
    pytest.fail("context_parallel of torch runs on a CPU now: compare its output here")


@pytest.mark.parametrize("causal", [False, True])
def test_the_ring_of_torch_agrees(causal: bool, found: list[dict[Any, Any]]) -> None:
    """Two ranks. torch merges outputs by o₁ − σ(l₂ − l₁)(o₁ − o₂), l being log-sum-exps: that formula's own running error is its bound, and ours is ours."""
    output = torch.cat([found[rank]["ring of torch"][causal] for rank in (0, 1)], dim=2)
    a = rounding(torch.float32, STRAIGHTFORWARD)
    q, k, v = (constant(plain(x), a) for x in theirs())
    scores = contract("bhnd,bhmd->bhnm", q, k) * factor(None, 4, a)
    visible = np.tril(np.ones((8, 8), dtype=np.bool_)) if causal else np.ones((8, 8), dtype=np.bool_)
    merged = []
    for rank in (0, 1):
        (one, l1, _), (other, l2, any_seen) = (part(scores, v, visible, own, rank) for own in (True, False))
        merged.append(one - sigmoid(l2 - l1).where(any_seen) * (one - other))
    true = np.concatenate([x.true for x in merged], 2)
    bound = np.concatenate([x.bound() for x in merged], 2)
    mine = attended(scores, v, np.broadcast_to(visible, scores.shape))
    assert np.vectorize(lambda x, y: bool(x.overlaps(y)))(true, mine.true).all(), "the same function"
    assert (np.abs(plain(output) - mine.middle) <= bound).all(), "torch's ring within the bound of its own formula"
    for module in (ring, gathered):
        got = module.attention(*theirs(), 2, causal)
        assert (np.abs(plain(got) - plain(output)) <= bound + mine.bound()).all()


def part(scores: Tracked, v: Tracked, visible: Any, own: bool, rank: int) -> tuple[Tracked, Tracked, Any]:
    """Output and log-sum-exp [1, 2, 4, ·] of the queries of a rank over its own four keys, or over the other's; and which rows see any of them."""
    rows, keys = slice(4 * rank, 4 * rank + 4), slice(4 * rank, 4 * rank + 4) if own else slice(4 - 4 * rank, 8 - 4 * rank)
    s, seen = scores[:, :, rows, keys], np.broadcast_to(visible[rows, keys], (1, 2, 4, 4))
    some = np.asarray(seen.any(-1, keepdims=True))
    top = s.like(np.where(seen, s.middle, -np.inf).max(-1, keepdims=True).clip(-1e9))
    mass = exp((s - top).where(seen)).where(seen).sum(-1, keepdims=True)
    return attended(s, v[:, :, keys], seen), top + log(mass.where(some, 1.0)), some


# ------------------------------------------------------------------------------------------------------------------------ ranks that do not agree


def test_what_one_rank_raises_is_raised_and_the_others_do_not_wait() -> None:
    def of_rank(wires: Communicator) -> None:
        if wires.rank == 1:
            raise ZeroDivisionError("on rank 1")
        pass_on(wires, (torch.ones(1),), ((1,),))

    begin = time.monotonic()
    with pytest.raises(ZeroDivisionError, match="on rank 1"):
        threads.run(3, of_rank)
    assert time.monotonic() - begin < threads.PATIENCE / 2


def test_a_rank_that_ends_too_soon_is_found_out() -> None:
    def of_rank(wires: Communicator) -> None:
        if wires.rank:
            pass_on(wires, (torch.ones(1),), ((1,),))

    with pytest.raises(RuntimeError, match="expects shapes"):
        threads.run(2, of_rank)


def test_a_message_of_another_shape_is_found_out() -> None:
    def of_rank(wires: Communicator) -> tuple[Tensor, ...]:
        return pass_on(wires, (torch.ones(1 + wires.rank),), ((1,),))

    with pytest.raises(RuntimeError, match=r"rank 0 of 2 expects shapes \[\(1,\)\] from rank 1, which sends \[\(2,\)\]"):
        threads.run(2, of_rank)


@pytest.mark.parametrize("attention", [reference.attention, ring.attention, gathered.attention])
def test_bad_arguments_are_quoted(attention: Any) -> None:
    x, narrow, short = (torch.zeros(1, 2, *shape) for shape in ((4, 3), (4, 2), (3, 3)))
    for arguments, quoted in (
        ((x, x, x, 0), "not 0"),
        ((x, x, x, 2, False, None, "rings"), "layout 'rings' is unknown; possible are contiguous, zigzag, striped"),
        ((x, narrow, x, 2), "widths differ"),
        ((x, x, short, 2), "lengths differ"),
        ((x[0], x[0], x[0], 2), "needs"),
    ):
        with pytest.raises(ValueError, match=quoted):
            attention(*arguments)
