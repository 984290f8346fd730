"""Philox-4x32-10 in numpy: the counter-based generator that dropout masks are specified by, apart from any kernel's. Salmon et al. 2011, section 3.3."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL = (0x9E3779B9, 0xBB67AE85)  # what the key grows by each round: the golden ratio, √3 − 1
ROUNDS = 10
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Four random words (32 bits each, kept in uint64) for each counter; the counter's words broadcast."""
    a, b, c, d = np.broadcast_arrays(*(np.asarray(word, dtype=np.uint64) for word in counter))
    left, right = key
    for _ in range(ROUNDS):
        first, second = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, b, c, d = (second >> HALF) ^ b ^ np.uint64(left), second & LOW, (first >> HALF) ^ d ^ np.uint64(right), first & LOW
        left, right = (left + WEYL[0]) & 0xFFFFFFFF, (right + WEYL[1]) & 0xFFFFFFFF
    return a, b, c, d


def kept(shape: tuple[int, int, int, int], p: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which weights [B, H, N, M] dropout keeps: the first word at the counter (j, i, b · H + h, 0), under the key `seed`, is at least p · 2^32."""
    batch, heads, n, m = shape
    head = np.arange(batch * heads).reshape(batch, heads, 1, 1)
    counter = np.arange(m).reshape(1, 1, 1, m), np.arange(n).reshape(1, 1, n, 1), head, np.zeros(1)
    word = philox(counter, (seed & 0xFFFFFFFF, seed >> 32))[0]  # type: ignore[arg-type]
    stays: npt.NDArray[np.bool_] = word >= np.uint64(min(int(p * 2**32), 2**32 - 1))
    return stays
