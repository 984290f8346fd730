"""Block-sparse flash attention in Triton: online softmax over the tiles that an index names, forward and backward (Dao et al. 2022, algorithm 5; Dao 2023,
algorithms 1 and 2: https://arxiv.org/abs/2205.14135, https://arxiv.org/abs/2307.08691).

A program holds a block of one axis (`OUTER` positions: `ROWS` queries, or `COLUMNS` keys in `backward_keys`) and walks over the named blocks of the other
(`INNER` positions each). The index, one for each kernel and shared by all heads of all sequences:
    offsets int32 [2 (blocks + 1)]: where in `others` the whole blocks of each outer block begin, and then where the partly visible ones do
    others int32 [P + 1]: number of the inner block; all whole ones, then all partly visible ones, and one entry more, so that the next can always be read
    bits int32 [partly visible, OUTER, ⌈INNER / 32⌉]: bit b of word w of a line: whether the pair with inner position 32 w + b of the block is visible
A block is whole if it does not reach beyond the inner axis and every pair of it that exists is visible: then nothing in its loop is masked.
Each loop reads the next entry of `others` one pass ahead, so that addresses are there when the loads' pipeline wants them.

Scores are in base 2 inside, and under an additive mask natural, as in `impl.scaled_dot_product.kernel`. Shapes: Q [B, H, N, WIDTH], K [B, H, M, WIDTH],
V [B, H, M, VALUE_WIDTH]; L [B, H, N], contiguous, the log-sum-exp in the same base, +∞ for a row that sees nothing. Strides are named by tensor and axis;
`impl.block_sparse.launch` prepares every argument.
"""

import triton
import triton.language as tl

from impl.scaled_dot_product.kernel import apart, quads, raised, tile


@triton.jit
def listed(offsets, part, blocks):
    """Where the entries of this program's block begin and end in `others`: of its whole blocks (part 0) or its partly visible ones (part 1)."""
    at = offsets + part * (blocks + 1) + tl.program_id(0)
    return tl.load(at), tl.load(at + 1)


@triton.jit
def shown(bits, number, OUTER: tl.constexpr, INNER: tl.constexpr):
    """[OUTER, INNER]: what is visible of the partly visible block of this number."""
    WORDS: tl.constexpr = (INNER + 31) // 32
    eight, quad, two = tl.arange(0, INNER // 8)[None, :, None, None], tl.arange(0, 4)[None, None, :, None], tl.arange(0, 2)[None, None, None, :]
    lines = bits + (number.to(tl.int64) * OUTER + tl.arange(0, OUTER)) * WORDS
    word = tl.load(lines)[:, None, None, None]
    for w in tl.static_range(1, WORDS):
        word = tl.where(eight >= 4 * w, tl.load(lines + w)[:, None, None, None], word)
    # as in `quads`: a thread shifts a word once, to its own columns of every eight, and then tests bits whose numbers are constants
    found = ((word >> (2 * quad)) & (1 << (8 * (eight % 4) + two))) != 0
    return tl.reshape(found, [OUTER, INNER])


@triton.jit
def scored(s, i, j, N, M, scale, factor, bias, bias_row, bias_column, BIAS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr):
    """Scores from products, in base 2 and with an additive mask natural; −∞ where the mask hides. i and j broadcast to one tile, in either orientation."""
    if BIAS == "none":
        return s * factor
    else:
        found = tl.load(bias + apart(i, bias_row, j, bias_column, WIDE), mask=(i < N) & (j < M), other=0)
        if BIAS == "boolean":
            return tl.where(found != 0, s * factor, float("-inf"))
        else:
            return s * scale + found.to(ACC)


@triton.jit
def fold(
    q, k, v, top, mass, total, bits, number, i, j, N, M, scale, factor, bias, bias_row, bias_column,
    PARTLY: tl.constexpr, BIAS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """The state (top, mass, total) of online softmax after one more tile of keys, k [D, COLUMNS] and v [COLUMNS, E]; where `PARTLY`, rows see what the `bits`
    of this number say. `mass` [ROWS, 4] is in four parts, which are added at the end."""
    s = tl.dot(q, k, input_precision="ieee", out_dtype=ACC)
    if BIAS != "none":
        s = scored(s, i[:, None], j[None, :], N, M, scale, factor, bias, bias_row, bias_column, BIAS, WIDE, ACC)
    if PARTLY:
        s = tl.where(shown(bits, number, s.shape[0], s.shape[1]), s, float("-inf"))
    risen = tl.max(tl.max(tl.max(quads(s), 3), 1), 1)
    if BIAS == "none":
        risen = risen * factor
    risen = tl.maximum(top, risen)
    base = risen
    if PARTLY or BIAS != "none":
        base = tl.where(risen == float("-inf"), 0.0, risen)  # nothing seen yet: −∞ − (−∞) must not arise
    shrink = raised(top - base, BIAS != "additive")  # before p: after it, Triton moves it through shared memory into another layout
    if BIAS == "none":
        s = s * factor
    p = raised(s - base[:, None], BIAS != "additive")
    total = total * shrink[:, None]
    mass = mass * shrink[:, None] + tl.sum(tl.sum(quads(p), 3), 1)
    total = tl.dot(p.to(v.dtype), v, total, input_precision="ieee", out_dtype=ACC)
    return risen, mass, total


@triton.jit
def forward(
    Q, K, V, O, L, bias, offsets, others, bits,
    qb, qh, qn, qd, kb, kh, kn, kd, vb, vh, vn, vd, ob, oh, on, od, bb, bh, bn, bm,
    H, N, M, scale, factor,
    SIGN: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, D: tl.constexpr, E: tl.constexpr, WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr,
    BIAS: tl.constexpr, DESCRIPTORS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Output and log-sum-exp of `ROWS` queries of one head. Grid: (blocks of queries, B · H)."""
    batch, head, start = tl.program_id(1) // H, tl.program_id(1) % H, tl.program_id(0) * ROWS
    blocks = tl.num_programs(0)
    r, c, d, e = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, D), tl.arange(0, E)
    i = start + r
    b, h, first = batch.to(tl.int64), head.to(tl.int64), start.to(tl.int64)
    Q += b * qb + h * qh + first * qn
    q = tile(Q, apart(r[:, None], qn, d[None, :], qd, WIDE), i[:, None], N, d[None, :], WIDTH, D, True) * SIGN
    if not DESCRIPTORS:
        K += b * kb + h * kh
        V += b * vb + h * vh
    keys = apart(c[None, :], kn, d[:, None], kd, WIDE)
    values = apart(c[:, None], vn, e[None, :], vd, WIDE)
    if BIAS != "none":
        bias += b * bb + h * bh

    top = tl.full([ROWS], float("-inf"), ACC)
    mass = tl.zeros([ROWS, 4], ACC)
    total = tl.zeros([ROWS, E], ACC)
    ahead = tl.load(offsets + blocks + 1)  # how many whole blocks there are in all: the partly visible ones are counted from there
    for part in tl.static_range(2):  # whole blocks, then those with a mask of their own
        begin, end = listed(offsets, part, blocks)
        block = tl.load(others + begin)
        for at in range(begin, end):
            s = block * COLUMNS
            block = tl.load(others + at + 1)
            if DESCRIPTORS:
                k, v = K.load([batch, head, s, 0]).reshape(COLUMNS, D).T, V.load([batch, head, s, 0]).reshape(COLUMNS, E)
            else:
                k = tile(K + s.to(tl.int64) * kn, keys, c[None, :], M - s, d[:, None], WIDTH, D, part == 1)
                v = tile(V + s.to(tl.int64) * vn, values, c[:, None], M - s, e[None, :], VALUE_WIDTH, E, part == 1)
            top, mass, total = fold(q, k, v, top, mass, total, bits, at - ahead, i, s + c, N, M, scale, factor, bias, bn, bm, part == 1, BIAS, WIDE, ACC)

    mass = tl.sum(mass, 1)
    empty = mass == 0
    total = total / tl.where(empty, 1.0, mass)[:, None]
    O += b * ob + h * oh + first * on
    tl.store(O + apart(r[:, None], on, e[None, :], od, WIDE), total.to(O.dtype.element_ty), mask=(i < N)[:, None] & (e < VALUE_WIDTH)[None, :])
    logarithm = tl.log2(mass) if BIAS != "additive" else tl.log(mass)
    tl.store(L + (b * H + h) * N + i, tl.where(empty, float("inf"), top + logarithm), mask=i < N)


@triton.jit
def slopes_of_scores(
    s, d_p, log_sum_exp, delta, bits, number, i, j, N, M, scale, factor, bias, bias_row, bias_column,
    PARTLY: tl.constexpr, BIAS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """From products s = q kᵀ and dP = g vᵀ: the weights, and the gradient of the scores. Everything broadcasts to one tile, in either orientation."""
    p = raised(scored(s, i, j, N, M, scale, factor, bias, bias_row, bias_column, BIAS, WIDE, ACC) - log_sum_exp, BIAS != "additive")
    if PARTLY:
        p = tl.where(shown(bits, number, s.shape[0], s.shape[1]), p, 0.0)
    return p, p * (d_p - delta)


@triton.jit
def backward_queries(
    Q, K, V, O, g_O, L, delta, d_Q, d_bias, bias, offsets, others, bits,
    qb, qh, qn, qd, kb, kh, kn, kd, vb, vh, vn, vd, ob, oh, on, od, gb, gh, gn, gd, dqb, dqh, dqn, dqd, bb, bh, bn, bm,
    H, N, M, scale, factor,
    SIGN: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, D: tl.constexpr, E: tl.constexpr, WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr,
    BIAS: tl.constexpr, D_BIAS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """dQ of `ROWS` queries of one head, and delta = rowsum(g ∘ O) [B, H, N], which `backward_keys` reads. Where `D_BIAS`, the gradient of the scores of the
    named blocks too, in a contiguous [B, H, N, M]. Grid: (blocks of queries, B · H)."""
    batch, head, start = tl.program_id(1) // H, tl.program_id(1) % H, tl.program_id(0) * ROWS
    blocks = tl.num_programs(0)
    r, c, d, e = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, D), tl.arange(0, E)
    i = start + r
    b, h, first = batch.to(tl.int64), head.to(tl.int64), start.to(tl.int64)
    q = tile(Q + b * qb + h * qh + first * qn, apart(r[:, None], qn, d[None, :], qd, WIDE), i[:, None], N, d[None, :], WIDTH, D, True) * SIGN
    o = tile(O + b * ob + h * oh + first * on, apart(r[:, None], on, e[None, :], od, WIDE), i[:, None], N, e[None, :], VALUE_WIDTH, E, True)
    g = tile(g_O + b * gb + h * gh + first * gn, apart(r[:, None], gn, e[None, :], gd, WIDE), i[:, None], N, e[None, :], VALUE_WIDTH, E, True)
    rows = (b * H + h) * N + i
    log_sum_exp = tl.load(L + rows, mask=i < N, other=float("inf"))
    log_sum_exp = tl.max(
        tl.join(log_sum_exp, log_sum_exp), 1
    )  # Triton moves no load through a reduction: this one keeps a layout that says what a thread loads
    down = tl.sum(o.to(ACC) * g.to(ACC), 1)
    tl.store(delta + rows, down, mask=i < N)
    K += b * kb + h * kh
    V += b * vb + h * vh
    keys = apart(c[None, :], kn, d[:, None], kd, WIDE)
    values = apart(c[None, :], vn, e[:, None], vd, WIDE)
    if BIAS != "none":
        bias += b * bb + h * bh

    d_q = tl.zeros([ROWS, D], ACC)
    ahead = tl.load(offsets + blocks + 1)
    for part in tl.static_range(1, -1, -1):  # with a mask, then without: in the other order ptxas lets no two matrix products overlap on sm_90
        begin, end = listed(offsets, part, blocks)
        block = tl.load(others + begin)
        for at in range(begin, end):
            s = block * COLUMNS
            block = tl.load(others + at + 1)
            k = tile(K + s.to(tl.int64) * kn, keys, c[None, :], M - s, d[:, None], WIDTH, D, part == 1)
            v = tile(V + s.to(tl.int64) * vn, values, c[None, :], M - s, e[:, None], VALUE_WIDTH, E, part == 1)
            raw = tl.dot(q, k, input_precision="ieee", out_dtype=ACC)
            d_p = tl.dot(g, v, input_precision="ieee", out_dtype=ACC)
            _, d_s = slopes_of_scores(
                raw, d_p, log_sum_exp[:, None], down[:, None], bits, at - ahead, i[:, None], (s + c)[None, :], N, M, scale, factor, bias, bn,
                bm, part == 1, BIAS, WIDE, ACC,
            )  # fmt: skip
            d_q = tl.dot(d_s.to(k.dtype), tl.trans(k), d_q, input_precision="ieee", out_dtype=ACC)
            if D_BIAS:
                tl.store(d_bias + rows[:, None] * M + (s + c)[None, :], d_s, mask=(i < N)[:, None] & (s + c < M)[None, :])
    d_q *= scale * SIGN
    d_Q += b * dqb + h * dqh + first * dqn
    tl.store(d_Q + apart(r[:, None], dqn, d[None, :], dqd, WIDE), d_q.to(d_Q.dtype.element_ty), mask=(i < N)[:, None] & (d < WIDTH)[None, :])


@triton.jit
def backward_keys(
    Q, K, V, g_O, L, delta, d_K, d_V, bias, offsets, others, bits,
    qb, qh, qn, qd, kb, kh, kn, kd, vb, vh, vn, vd, gb, gh, gn, gd, dkb, dkh, dkn, dkd, dvb, dvh, dvn, dvd, bb, bh, bn, bm,
    H, N, M, scale, factor,
    SIGN: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, D: tl.constexpr, E: tl.constexpr, WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr,
    BIAS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """dK and dV of `COLUMNS` keys of one head, over the blocks of queries that name their block: the index the other way round, so that no sum is atomic and a
    call repeats to the last bit. Tiles have the keys first. Grid: (blocks of keys, B · H)."""
    batch, head, start = tl.program_id(1) // H, tl.program_id(1) % H, tl.program_id(0) * COLUMNS
    blocks = tl.num_programs(0)
    r, c, d, e = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, D), tl.arange(0, E)
    j = start + c
    b, h, first = batch.to(tl.int64), head.to(tl.int64), start.to(tl.int64)
    k = tile(K + b * kb + h * kh + first * kn, apart(c[:, None], kn, d[None, :], kd, WIDE), j[:, None], M, d[None, :], WIDTH, D, True)
    v = tile(V + b * vb + h * vh + first * vn, apart(c[:, None], vn, e[None, :], vd, WIDE), j[:, None], M, e[None, :], VALUE_WIDTH, E, True)
    Q += b * qb + h * qh
    g_O += b * gb + h * gh
    L += (b * H + h) * N
    delta += (b * H + h) * N
    queries = apart(r[None, :], qn, d[:, None], qd, WIDE)
    cotangents = apart(r[:, None], gn, e[None, :], gd, WIDE)
    if BIAS != "none":
        bias += b * bb + h * bh

    d_k = tl.zeros([COLUMNS, D], ACC)
    d_v = tl.zeros([COLUMNS, E], ACC)
    ahead = tl.load(offsets + blocks + 1)
    for part in tl.static_range(1, -1, -1):
        begin, end = listed(offsets, part, blocks)
        block = tl.load(others + begin)
        for at in range(begin, end):
            s = block * ROWS
            block = tl.load(others + at + 1)
            i = s + r
            q = tile(Q + s.to(tl.int64) * qn, queries, i[None, :], N, d[:, None], WIDTH, D, part == 1) * SIGN
            g = tile(g_O + s.to(tl.int64) * gn, cotangents, i[:, None], N, e[None, :], VALUE_WIDTH, E, part == 1)
            if part == 1:
                log_sum_exp = tl.load(L + i, mask=i < N, other=float("inf"))
                down = tl.load(delta + i, mask=i < N, other=0.0)
            else:
                log_sum_exp, down = tl.load(L + i), tl.load(delta + i)
            raw = tl.dot(k, q, input_precision="ieee", out_dtype=ACC)
            d_p = tl.dot(v, tl.trans(g), input_precision="ieee", out_dtype=ACC)
            p, d_s = slopes_of_scores(
                raw, d_p, log_sum_exp[None, :], down[None, :], bits, at - ahead, i[None, :], j[:, None], N, M, scale, factor, bias, bn,
                bm, part == 1, BIAS, WIDE, ACC,
            )  # fmt: skip
            d_v = tl.dot(p.to(g.dtype), g, d_v, input_precision="ieee", out_dtype=ACC)
            d_k = tl.dot(d_s.to(q.dtype), tl.trans(q), d_k, input_precision="ieee", out_dtype=ACC)
    d_k *= scale
    d_K += b * dkb + h * dkh + first * dkn
    d_V += b * dvb + h * dvh + first * dvn
    tl.store(d_K + apart(c[:, None], dkn, d[None, :], dkd, WIDE), d_k.to(d_K.dtype.element_ty), mask=(j < M)[:, None] & (d < WIDTH)[None, :])
    tl.store(d_V + apart(c[:, None], dvn, e[None, :], dvd, WIDE), d_v.to(d_V.dtype.element_ty), mask=(j < M)[:, None] & (e < VALUE_WIDTH)[None, :])
