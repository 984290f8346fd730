"""Random features in one kernel: the product with the projection, the squared norm, a stabiliser and the exponential. Nothing of size N · COUNT but the result.

A feature is e^level_i times what is written, where a row's level is its largest exponent, so that each number written is at most 1 (√2 for cosines). Levels of
queries cancel in the quotient of attention; those of keys go with them, so that whoever sums keys can keep the sum at a power of e of its own
(`impl.linear_attention.kernel.forward`). `impl.random_features.launch` prepares every argument.
Sources: Choromanski et al. 2021, lemma 1, https://arxiv.org/abs/2009.14794; Rahimi and Recht 2007 (cosines), https://papers.nips.cc/paper/3182
"""

import triton
import triton.language as tl

from impl.scaled_dot_product.kernel import apart, tile

ROOT_2 = tl.constexpr(1.4142135623730951)
TURN = tl.constexpr(0.15915494309189535)  # 1 / 2π


@triton.jit
def cosine(x):
    """cos x. In float32 the turns of x are counted in float64, and cos 2πt = sin 2π(1/4 − |t|), |t| ≤ 1/2, is the sine's series up to its seventh term,
    within 10⁻⁹: a library's cosine keeps a path for large x that needs a table and local memory."""
    if x.dtype == tl.float64:
        return tl.cos(x)
    else:
        turns = x.to(tl.float64) * TURN
        turns = turns - tl.floor(turns + 0.5)
        y = ((0.25 - tl.abs(turns)) * (1 / TURN)).to(x.dtype)
        square = y * y
        series = 1 - square * (1 / 156)
        series = 1 - square * (1 / 110) * series
        series = 1 - square * (1 / 72) * series
        series = 1 - square * (1 / 42) * series
        series = 1 - square * (1 / 20) * series
        series = 1 - square * (1 / 6) * series
        return y * series


@triton.jit
def features(
    X, W, phase, raised, levels, xb, xh, xn, xd, wr, wd, H, N, root,
    ROWS: tl.constexpr, D: tl.constexpr, R: tl.constexpr, WIDTH: tl.constexpr, COUNT: tl.constexpr, COSINES: tl.constexpr, PRECISION: tl.constexpr,
    WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Features of `ROWS` positions of one head of X [B, H, N, WIDTH], times `root` = √scale, under the projection W [COUNT, WIDTH]: `raised` [B, H, N, COUNT]
    and `levels` [B, H, N], both contiguous. Positive: exponents w·x − |x|²/2; with cosines: √2 cos(w·x + phase) and the exponent |x|²/2.
    D and R are WIDTH and COUNT padded to a power of 2. Grid: (blocks of positions, B · H)."""
    batch, head = (tl.program_id(1) // H).to(tl.int64), (tl.program_id(1) % H).to(tl.int64)
    start = tl.program_id(0) * ROWS
    i, d, r = tl.arange(0, ROWS), tl.arange(0, D), tl.arange(0, R)
    X += batch * xb + head * xh + start.to(tl.int64) * xn
    x = tile(X, apart(i[:, None], xn, d[None, :], xd, WIDE), i[:, None], N - start, d[None, :], WIDTH, D, True)
    w = tile(W, apart(r[:, None], wr, d[None, :], wd, WIDE), r[:, None], COUNT, d[None, :], WIDTH, D, True)
    if X.dtype == W.dtype:  # products of half precisions are exact
        along = tl.dot(x, tl.trans(w), input_precision="ieee", out_dtype=ACC)
    else:
        along = tl.dot(x.to(ACC), tl.trans(w.to(ACC)), input_precision=PRECISION, out_dtype=ACC)
    along = along * root
    x = x.to(ACC) * root
    half = tl.sum(x * x, 1) * 0.5
    if COSINES:
        level = half
        values = ROOT_2 * cosine(along + tl.load(phase + r, mask=r < COUNT, other=0.0).to(ACC)[None, :])
    else:
        exponents = tl.where(r[None, :] < COUNT, along - half[:, None], float("-inf"))
        level = tl.max(exponents, 1)
        values = tl.exp(exponents - level[:, None])
    row = tl.program_id(1).to(tl.int64) * N + start + i
    there = i < N - start
    tl.store(raised + row[:, None] * COUNT + r[None, :], values, mask=there[:, None] & (r < COUNT)[None, :])
    tl.store(levels + row, level, mask=there)
