"""1.5-entmax attention in Triton: the threshold of each row by Newton's method over tiles of keys, then one pass for the output; backward as flash attention's.

With x = s / 2 the weights are y² where y = max(x − τ, 0), and Σ y² = 1 (Peters, Niculae and Martins 2019, https://arxiv.org/abs/1905.05702). Scores are
computed again in every pass and never stored. From x its row's largest, `top`, is subtracted before anything else, so that t := τ − top lies in [−1, 0),
whatever the scores.

The threshold. F(t) = ‖y‖₂ − 1 is convex and falls, with slope F' = −‖y‖₁ / ‖y‖₂ in [−√M, −1] for M keys (y ≥ 0 is not 0 left of the root). From t = −1,
where y of the largest is 1 so that F ≥ 0, Newton's steps −F / F' = ‖y‖₂ (‖y‖₂ − 1) / ‖y‖₁ rise and never pass the root. Convexity between two steps says
F_{k+1} / F_k + F'_{k+1} / F'_k ≤ 1, hence F F' falls to a quarter or less; it begins below √M · √M, and |F'| ≥ 1: after K steps the distance to the root is at
most F_K ≤ M / 4^K =: η. Keys that still count and should not have −η ≤ x − τ ≤ 0. With the keys fixed, Σ (y − δ)² = 1 is a quadratic equation, solved by
δ = (Σ y² − 1) / (Σ y + √((Σ y)² − k (Σ y² − 1))) over k keys without cancellation. Those too many move it by at most M η² / (2 (1 − 2 M η)), and
`PASSES` = K is the least with M η² ≤ u (`impl.entmax.launch.passes`).

Backward. From Σ y² = 1, dτ = Σ y dx / Σ y; so dp = y ∘ (ds − Σ y ds / Σ y), a symmetric matrix (ibid., proposition 2), and d_s = y ∘ (d_p − Σ y d_p / Σ y).

Letters and layout as in `impl.scaled_dot_product.kernel`; what is written is contiguous. Shapes: Q [B, H, N, WIDTH], K [B, H, M, WIDTH],
V [B, H, M, VALUE_WIDTH]. `impl.entmax.launch` prepares every argument.
"""

import triton
import triton.language as tl

from impl.scaled_dot_product.kernel import apart, biased, quads, tile


@triton.jit
def halves(q, k, i, j, N, M, half, bias, bn, bm, CAUSAL: tl.constexpr, BIAS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr):
    """x = s / 2 of a tile, −∞ where a pair is hidden: `half` = scale / 2; i and j broadcast to the tile, in either orientation."""
    x = tl.dot(q, k, input_precision="ieee", out_dtype=ACC) * half
    inside = (i < N) & (j < M)
    if CAUSAL:
        inside = inside & (j <= i)
    if BIAS != "none":
        x, inside = biased(2 * x, i, j, 0, 0.0, bias, bn, bm, inside, BIAS, False, WIDE, ACC)
        x = 0.5 * x
    return tl.where(inside, x, float("-inf"))


@triton.jit
def above(x, top, t):
    """y = max(x − top − t, 0); `top` is 0 for a row that sees nothing. NaN stays, which a compiled maximum would drop."""
    y = x - top - t
    return tl.where(y <= 0, 0.0, y)


@triton.jit
def total(x):
    """Sums of rows in four parts [ROWS, 4], see `quads`; they are added once a pass."""
    return tl.sum(tl.sum(quads(x), 3), 1)


@triton.jit
def sweep(
    q, K, keys, top, t, i, c, N, M, end, km, half, bias, bn, bm,
    COUNT: tl.constexpr, COLUMNS: tl.constexpr, D: tl.constexpr, WIDTH: tl.constexpr, CAUSAL: tl.constexpr, BIAS: tl.constexpr, WIDE: tl.constexpr,
    ACC: tl.constexpr,
):  # fmt: skip
    """Σ y, Σ y² and, where asked for, how many y are above 0, of each row."""
    d = tl.arange(0, D)
    mass = tl.zeros([i.shape[0], 4], ACC)
    squares = tl.zeros([i.shape[0], 4], ACC)
    count = tl.zeros([i.shape[0], 4], ACC)
    for s in range(0, end, COLUMNS):
        k = tile(K + (M * 0 + s).to(tl.int64) * km, keys, c[None, :], M - s, d[:, None], WIDTH, D, True)
        y = above(halves(q, k, i[:, None], (s + c)[None, :], N, M, half, bias, bn, bm, CAUSAL, BIAS, WIDE, ACC), top, t[:, None])
        mass += total(y)
        squares += total(y * y)
        if COUNT:
            count += total(tl.where(y > 0, 1.0, 0.0).to(ACC))
    return tl.sum(mass, 1), tl.sum(squares, 1), tl.sum(count, 1)


@triton.jit
def forward(
    Q, K, V, O, state, bias,
    qb, qh, qn, qd, kb, kh, km, kd, vb, vh, vm, ve, bb, bh, bn, bm, H, N, M, half,
    PASSES: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, D: tl.constexpr, E: tl.constexpr, WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr,
    CAUSAL: tl.constexpr, BIAS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Output of `ROWS` queries of one head, and `state` [2, B · H, N]: top, and t. Grid: (blocks of queries, B · H)."""
    b, h, start = (tl.program_id(1) // H).to(tl.int64), (tl.program_id(1) % H).to(tl.int64), tl.program_id(0) * ROWS
    r, c, d, e = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, D), tl.arange(0, E)
    i = start + r
    Q += b * qb + h * qh + start.to(tl.int64) * qn
    K += b * kb + h * kh
    V += b * vb + h * vh
    if BIAS != "none":
        bias += b * bb + h * bh
    q = tile(Q, apart(r[:, None], qn, d[None, :], qd, WIDE), i[:, None], N, d[None, :], WIDTH, D, True)
    keys, values = apart(c[None, :], km, d[:, None], kd, WIDE), apart(c[:, None], vm, e[None, :], ve, WIDE)
    end = M
    if CAUSAL:
        end = tl.minimum(M, start + ROWS)

    highest = tl.full([ROWS], float("-inf"), ACC)
    for s in range(0, end, COLUMNS):
        k = tile(K + (M * 0 + s).to(tl.int64) * km, keys, c[None, :], M - s, d[:, None], WIDTH, D, True)
        x = halves(q, k, i[:, None], (s + c)[None, :], N, M, half, bias, bn, bm, CAUSAL, BIAS, WIDE, ACC)
        highest = tl.maximum(highest, tl.max(tl.max(tl.max(quads(x), 3), 1), 1))
    top = tl.where(highest == float("-inf"), 0.0, highest)[:, None]

    t = tl.full([ROWS], -1.0, ACC)
    for _ in range(PASSES):
        mass, squares, _ = sweep(q, K, keys, top, t, i, c, N, M, end, km, half, bias, bn, bm, False, COLUMNS, D, WIDTH, CAUSAL, BIAS, WIDE, ACC)
        norm = tl.sqrt(squares)
        t += norm * (norm - 1) / tl.where(mass > 0, mass, 1.0)
    mass, squares, count = sweep(q, K, keys, top, t, i, c, N, M, end, km, half, bias, bn, bm, True, COLUMNS, D, WIDTH, CAUSAL, BIAS, WIDE, ACC)
    root = tl.sqrt(tl.maximum(mass * mass - count * (squares - 1), 0.0))
    t += tl.where(mass > 0, squares - 1, 0.0) / tl.where(mass > 0, mass + root, 1.0)

    o = tl.zeros([ROWS, E], ACC)
    for s in range(0, end, COLUMNS):
        first = (M * 0 + s).to(tl.int64)
        k = tile(K + first * km, keys, c[None, :], M - s, d[:, None], WIDTH, D, True)
        v = tile(V + first * vm, values, c[:, None], M - s, e[None, :], VALUE_WIDTH, E, True)
        y = above(halves(q, k, i[:, None], (s + c)[None, :], N, M, half, bias, bn, bm, CAUSAL, BIAS, WIDE, ACC), top, t[:, None])
        o = tl.dot((y * y).to(v.dtype), v, o, input_precision="ieee", out_dtype=ACC)
    row = (b * H + h) * N + start
    tl.store(state + row + r, highest, mask=i < N)
    tl.store(state + tl.num_programs(1).to(tl.int64) * N + row + r, t, mask=i < N)
    O += row * VALUE_WIDTH
    tl.store(O + apart(r[:, None], VALUE_WIDTH, e[None, :], 1, WIDE), o.to(O.dtype.element_ty), mask=(i < N)[:, None] & (e < VALUE_WIDTH)[None, :])


@triton.jit
def recalled(state, rows, i, N):
    """top (0 for a row that saw nothing) and t, of the rows that begin at `rows`."""
    highest = tl.load(state + rows + i, mask=i < N, other=0.0)
    t = tl.load(state + tl.num_programs(1).to(tl.int64) * N + rows + i, mask=i < N, other=0.0)
    return tl.where(highest == float("-inf"), 0.0, highest), t


@triton.jit
def backward_queries(
    Q, K, V, g_O, state, means, d_Q, d_bias, bias,
    qb, qh, qn, qd, kb, kh, km, kd, vb, vh, vm, ve, gb, gh, gn, ge, bb, bh, bn, bm, H, N, M, half,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, D: tl.constexpr, E: tl.constexpr, WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr,
    CAUSAL: tl.constexpr, BIAS: tl.constexpr, D_BIAS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """dQ of `ROWS` queries of one head, in two passes over the keys; the first leaves `means` = Σ y d_p / Σ y [B, H, N], which `backward_keys` reads. Where
    `D_BIAS`, the gradient of the scores too, in [B, H, N, M]. Grid: (blocks of queries, B · H)."""
    b, h, start = (tl.program_id(1) // H).to(tl.int64), (tl.program_id(1) % H).to(tl.int64), tl.program_id(0) * ROWS
    r, c, d, e = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, D), tl.arange(0, E)
    i = start + r
    Q += b * qb + h * qh + start.to(tl.int64) * qn
    K += b * kb + h * kh
    V += b * vb + h * vh
    g_O += b * gb + h * gh + start.to(tl.int64) * gn
    if BIAS != "none":
        bias += b * bb + h * bh
    q = tile(Q, apart(r[:, None], qn, d[None, :], qd, WIDE), i[:, None], N, d[None, :], WIDTH, D, True)
    g = tile(g_O, apart(r[:, None], gn, e[None, :], ge, WIDE), i[:, None], N, e[None, :], VALUE_WIDTH, E, True)
    keys, values = apart(c[None, :], km, d[:, None], kd, WIDE), apart(c[None, :], vm, e[:, None], ve, WIDE)
    row = (b * H + h) * N + start
    top, t = recalled(state, (b * H + h) * N, i, N)
    end = M
    if CAUSAL:
        end = tl.minimum(M, start + ROWS)

    mass = tl.zeros([ROWS, 4], ACC)
    weighted = tl.zeros([ROWS, 4], ACC)
    for s in range(0, end, COLUMNS):
        first = (M * 0 + s).to(tl.int64)
        k = tile(K + first * km, keys, c[None, :], M - s, d[:, None], WIDTH, D, True)
        v = tile(V + first * vm, values, c[None, :], M - s, e[:, None], VALUE_WIDTH, E, True)
        y = above(halves(q, k, i[:, None], (s + c)[None, :], N, M, half, bias, bn, bm, CAUSAL, BIAS, WIDE, ACC), top[:, None], t[:, None])
        d_p = tl.dot(g, v, input_precision="ieee", out_dtype=ACC)
        mass += total(y)
        weighted += total(tl.where(y > 0, y * d_p, 0.0))
    whole = tl.sum(mass, 1)
    mean = tl.sum(weighted, 1) / tl.where(whole > 0, whole, 1.0)
    tl.store(means + row + r, mean, mask=i < N)

    d_q = tl.zeros([ROWS, D], ACC)
    for s in range(0, end, COLUMNS):
        first = (M * 0 + s).to(tl.int64)
        k = tile(K + first * km, keys, c[None, :], M - s, d[:, None], WIDTH, D, True)
        v = tile(V + first * vm, values, c[None, :], M - s, e[:, None], VALUE_WIDTH, E, True)
        y = above(halves(q, k, i[:, None], (s + c)[None, :], N, M, half, bias, bn, bm, CAUSAL, BIAS, WIDE, ACC), top[:, None], t[:, None])
        d_p = tl.dot(g, v, input_precision="ieee", out_dtype=ACC)
        d_s = tl.where(y != 0, y * (d_p - mean[:, None]), 0.0)
        d_q = tl.dot(d_s.to(k.dtype), tl.trans(k), d_q, input_precision="ieee", out_dtype=ACC)
        if D_BIAS:
            tl.store(d_bias + (row + r)[:, None] * M + (s + c)[None, :], d_s, mask=(i < N)[:, None] & (s + c < M)[None, :])
    d_q *= 2 * half
    d_Q += row * WIDTH
    tl.store(d_Q + apart(r[:, None], WIDTH, d[None, :], 1, WIDE), d_q.to(d_Q.dtype.element_ty), mask=(i < N)[:, None] & (d < WIDTH)[None, :])


@triton.jit
def backward_keys(
    Q, K, V, g_O, state, means, d_K, d_V, bias,
    qb, qh, qn, qd, kb, kh, km, kd, vb, vh, vm, ve, gb, gh, gn, ge, bb, bh, bn, bm, H, N, M, half,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, D: tl.constexpr, E: tl.constexpr, WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr,
    CAUSAL: tl.constexpr, BIAS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """dK and dV of `COLUMNS` keys of one head. Tiles have the keys first. Grid: (blocks of keys, B · H)."""
    b, h, start = (tl.program_id(1) // H).to(tl.int64), (tl.program_id(1) % H).to(tl.int64), tl.program_id(0) * COLUMNS
    r, c, d, e = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, D), tl.arange(0, E)
    j = start + c
    Q += b * qb + h * qh
    K += b * kb + h * kh + start.to(tl.int64) * km
    V += b * vb + h * vh + start.to(tl.int64) * vm
    g_O += b * gb + h * gh
    if BIAS != "none":
        bias += b * bb + h * bh
    k = tile(K, apart(c[:, None], km, d[None, :], kd, WIDE), j[:, None], M, d[None, :], WIDTH, D, True)
    v = tile(V, apart(c[:, None], vm, e[None, :], ve, WIDE), j[:, None], M, e[None, :], VALUE_WIDTH, E, True)
    queries, cotangents = apart(r[None, :], qn, d[:, None], qd, WIDE), apart(r[:, None], gn, e[None, :], ge, WIDE)
    rows = (b * H + h) * N
    d_k = tl.zeros([COLUMNS, D], ACC)
    d_v = tl.zeros([COLUMNS, E], ACC)
    begin = N * 0
    if CAUSAL:
        begin = tl.minimum(N, start // ROWS * ROWS)
    for s in range(begin, N, ROWS):
        i = s + r
        first = (N * 0 + s).to(tl.int64)
        q = tile(Q + first * qn, queries, i[None, :], N, d[:, None], WIDTH, D, True)
        g = tile(g_O + first * gn, cotangents, i[:, None], N, e[None, :], VALUE_WIDTH, E, True)
        top, t = recalled(state, rows, i, N)
        mean = tl.load(means + rows + i, mask=i < N, other=0.0)
        y = above(halves(k, q, i[None, :], j[:, None], N, M, half, bias, bn, bm, CAUSAL, BIAS, WIDE, ACC), top[None, :], t[None, :])
        d_p = tl.dot(v, tl.trans(g), input_precision="ieee", out_dtype=ACC)
        d_s = tl.where(y != 0, y * (d_p - mean[None, :]), 0.0)
        d_v = tl.dot((y * y).to(g.dtype), g, d_v, input_precision="ieee", out_dtype=ACC)
        d_k = tl.dot(d_s.to(q.dtype), tl.trans(q), d_k, input_precision="ieee", out_dtype=ACC)
    d_k *= 2 * half
    above_it = (b * H + h) * M + start
    d_K += above_it * WIDTH
    d_V += above_it * VALUE_WIDTH
    tl.store(d_K + apart(c[:, None], WIDTH, d[None, :], 1, WIDE), d_k.to(d_K.dtype.element_ty), mask=(j < M)[:, None] & (d < WIDTH)[None, :])
    tl.store(d_V + apart(c[:, None], VALUE_WIDTH, e[None, :], 1, WIDE), d_v.to(d_V.dtype.element_ty), mask=(j < M)[:, None] & (e < VALUE_WIDTH)[None, :])
