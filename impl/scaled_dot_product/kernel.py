"""Flash attention in Triton: forward with online softmax (Dao 2023, algorithm 1), backward that rebuilds the weights from the log-sum-exp (algorithm 2).

Where a score is a scaled product and nothing else, it is in base 2, so that the scale and log2 e are one factor in front of exp2. Else it is natural, and
log2 e multiplies what is left after the maximum is subtracted: a score near float32's lowest number, which masks add, would be −∞ after that factor.
A program holds `ROWS` queries (`COLUMNS` keys in `backward_keys`) and walks over tiles of the other axis: the tiles in which every score is visible need no
mask, and have a loop of their own.
Letters: q, k, v, o and g are tiles of Q, K, V, the output and its cotangent; s scores, p weights; i rows (queries), j columns (keys).
`impl.scaled_dot_product.launch` prepares every argument. Shapes: Q [B, H, N, WIDTH], K [B, G, M, WIDTH], V [B, G, M, VALUE_WIDTH]; strides are named by
tensor and axis (`qb`, `qh`, `qn`, `qd`: of Q, by sequence, head, position, feature). Packed sequences lie one behind the other, offsets [B + 1] part them.
"""

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)


@triton.jit
def raised(x, PLAIN: tl.constexpr):
    """e to a difference of scores; 2 to it where they are `PLAIN`, and so in base 2."""
    if PLAIN:
        return tl.exp2(x)
    else:
        return tl.exp2(x * LOG2_E)


@triton.jit
def extent(offsets, batch, length, PACKED: tl.constexpr):
    """First position and length of a sequence: the whole axis, or where the packed offsets say."""
    if PACKED:
        first = tl.load(offsets + batch)
        return first.to(tl.int64), tl.load(offsets + batch + 1) - first
    else:
        return (batch * 0).to(tl.int64), length


@triton.jit
def apart(rows, stride, columns, column_stride, WIDE: tl.constexpr):
    """Offsets of a tile's elements from its first; in 64 bits where the launcher saw that 32 would overflow."""
    if WIDE:
        rows = rows.to(tl.int64)
        columns = columns.to(tl.int64)
    return rows * stride + columns * column_stride


@triton.jit
def tile(first, offsets, row, left, feature, WIDTH: tl.constexpr, PADDED: tl.constexpr, MASKED: tl.constexpr):
    """A tile of K or V: zeros where `row` reaches `left`, and where a width is no power of 2 in the padding of its features."""
    if MASKED:
        if WIDTH < PADDED:
            return tl.load(first + offsets, mask=(row < left) & (feature < WIDTH), other=0.0)
        else:
            return tl.load(first + offsets, mask=(row < left) & (feature >= 0), other=0.0)
    else:
        if WIDTH < PADDED:
            return tl.load(first + offsets, mask=(row >= 0) & (feature < WIDTH), other=0.0)
        else:
            return tl.load(first + offsets)


@triton.jit
def capped(s, cap):
    """cap · tanh(s / cap); where exp2 overflows it is the cap."""
    return cap - 2 * cap / (tl.exp2(s * (2 * LOG2_E / cap)) + 1)


@triton.jit
def biased(s, i, j, shift, slope, bias, bias_row, bias_column, inside, BIAS: tl.constexpr, ALIBI: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr):
    """Natural scores after ALiBi, −slope · |i + shift − j|, and an additive bias; and what a boolean bias leaves of `inside`. `bias` points at (0, 0)."""
    if ALIBI:
        s -= slope * tl.abs(i + shift - j).to(ACC)
    if BIAS != "none":
        found = tl.load(bias + apart(i, bias_row, j, bias_column, WIDE), mask=inside, other=0)
        if BIAS == "boolean":
            inside = inside & (found != 0)
        else:
            s += found.to(ACC)
    return s, inside


@triton.jit
def kept(seed, head, i, j, below):
    """Which weights dropout keeps: the first word of Philox at the counter (j, i, head, 0) is at least `below`, p · 2^32."""
    zero = i * 0 + j * 0
    word, _, _, _ = tl.philox(seed, (j + zero).to(tl.uint32), (i + zero).to(tl.uint32), (head + zero).to(tl.uint32), zero.to(tl.uint32))
    return word >= below


@triton.jit
def quads(x):
    """[ROWS, COLUMNS] as [ROWS, COLUMNS / 8, 4, 2]: in the tensor cores' layout the four threads of a quad share a row, two columns of every eight each, so
    that sums over the last axis and then over the second stay within a thread."""
    return tl.reshape(x, [x.shape[0], x.shape[1] // 8, 4, 2])


@triton.jit
def fold(
    q, k, v, top, mass, total, i, start, c, N, M, shift, scale, factor, slope, cap, bias, bias_row, bias_column, seed, head, below,
    MASKED: tl.constexpr, CAUSAL: tl.constexpr, BIAS: tl.constexpr, ALIBI: tl.constexpr, SOFTCAP: tl.constexpr, DROPOUT: tl.constexpr,
    WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """The state (top, mass, total) of online softmax after one more tile of keys, those from `start` on: k [D, COLUMNS], v [COLUMNS, E].
    `mass` [ROWS, 4] is in four parts, which are added at the end; `factor` = scale · log2 e."""
    PLAIN: tl.constexpr = BIAS == "none" and not ALIBI and not SOFTCAP
    j = start + c
    s = tl.dot(q, k, input_precision="ieee", out_dtype=ACC)
    if not PLAIN:
        s = s * scale
        if SOFTCAP:
            s = capped(s, cap)
        inside = (i < N)[:, None] & (j < M)[None, :]
        s, inside = biased(s, i[:, None], j[None, :], shift, slope, bias, bias_row, bias_column, inside, BIAS, ALIBI, WIDE, ACC)
        if BIAS == "boolean":
            s = tl.where(inside, s, float("-inf"))
    if MASKED:
        beyond = M - start + 0 * i  # the first column of the tile that a row does not see
        if CAUSAL:
            beyond = tl.minimum(beyond, i + (shift + 1 - start))
        s = tl.where(c[None, :] < beyond[:, None], s, float("-inf"))
    risen = tl.max(tl.max(tl.max(quads(s), 3), 1), 1)
    if PLAIN:
        risen = risen * factor
    risen = tl.maximum(top, risen)
    base = risen
    if MASKED or BIAS != "none":
        base = tl.where(risen == float("-inf"), 0.0, risen)  # nothing seen yet: −∞ − (−∞) must not arise
    shrink = raised(top - base, PLAIN)  # before p: after it, Triton moves it through shared memory into another layout
    if PLAIN:
        s = s * factor
    p = raised(s - base[:, None], PLAIN)
    total = total * shrink[:, None]
    mass = mass * shrink[:, None] + tl.sum(tl.sum(quads(p), 3), 1)
    if DROPOUT:
        p = tl.where(kept(seed, head, i[:, None], j[None, :], below), p, 0.0)
    total = tl.dot(p.to(v.dtype), v, total, input_precision="ieee", out_dtype=ACC)
    return risen, mass, total


@triton.jit
def forward(
    Q, K, V, O, L, bias, slopes, sinks, query_offsets, key_offsets,
    qb, qh, qn, qd, kb, kh, kn, kd, vb, vh, vn, vd, ob, oh, on, od, lb, lh, bb, bh, bn, bm, ab, ah,
    H, G, N, M, scale, factor, cap, seed, below, boost,
    SIGN: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, D: tl.constexpr, E: tl.constexpr,
    WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr, CAUSAL: tl.constexpr, BOTTOM_RIGHT: tl.constexpr, BIAS: tl.constexpr, ALIBI: tl.constexpr,
    SOFTCAP: tl.constexpr, SINKS: tl.constexpr, DROPOUT: tl.constexpr, PACKED: tl.constexpr, DESCRIPTORS: tl.constexpr, WIDE: tl.constexpr,
    ACC: tl.constexpr,
):  # fmt: skip
    """Output and log-sum-exp of `ROWS` queries of one head. Grid: (blocks of queries, B · H)."""
    batch, head, start = tl.program_id(1) // H, tl.program_id(1) % H, tl.program_id(0) * ROWS
    key_head = head // (H // G)
    first_query, N = extent(query_offsets, batch, N, PACKED)
    first_key, M = extent(key_offsets, batch, M, PACKED)
    if PACKED:
        if start >= N:
            return
    shift = M - N if BOTTOM_RIGHT else 0
    r, c, d, e = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, D), tl.arange(0, E)
    i = start + r
    b, h, g = batch.to(tl.int64), head.to(tl.int64), key_head.to(tl.int64)
    Q += b * qb + h * qh + (first_query + start) * qn
    q = tile(Q, apart(r[:, None], qn, d[None, :], qd, WIDE), i[:, None], N, d[None, :], WIDTH, D, True) * SIGN
    if not DESCRIPTORS:
        K += b * kb + g * kh
        V += b * vb + g * vh
    keys = apart(c[None, :], kn, d[:, None], kd, WIDE)
    values = apart(c[:, None], vn, e[None, :], vd, WIDE)
    slope = 0.0
    if ALIBI:
        slope = tl.load(slopes + b * ab + h * ah).to(ACC)
    if BIAS != "none":
        bias += b * bb + h * bh

    PLAIN: tl.constexpr = BIAS == "none" and not ALIBI and not SOFTCAP
    top = tl.full([ROWS], float("-inf"), ACC)
    mass = tl.zeros([ROWS, 4], ACC)
    total = tl.zeros([ROWS, E], ACC)
    if SINKS:  # one more key, with this score and no value
        sink = tl.load(sinks + h).to(ACC)
        top = tl.maximum(top, sink * LOG2_E if PLAIN else sink)
        mass += tl.where(top == float("-inf"), 0.0, 0.25)[:, None]  # four quarters of exp2(0)

    end, whole = M, M // COLUMNS * COLUMNS  # the tiles before `whole` need no mask
    if CAUSAL:
        end = tl.maximum(tl.minimum(M, start + ROWS + shift), 0)
        whole = tl.minimum(whole, tl.maximum(start + shift + 1, 0) // COLUMNS * COLUMNS)
    for s in range(0, whole, COLUMNS):
        if DESCRIPTORS:
            k, v = K.load([batch, key_head, s, 0]).reshape(COLUMNS, D).T, V.load([batch, key_head, s, 0]).reshape(COLUMNS, E)
        else:
            k = tile(K + (first_key + s) * kn, keys, c[None, :], M, d[:, None], WIDTH, D, False)
            v = tile(V + (first_key + s) * vn, values, c[:, None], M, e[None, :], VALUE_WIDTH, E, False)
        top, mass, total = fold(
            q, k, v, top, mass, total, i, s, c, N, M, shift, scale, factor, slope, cap, bias, bn, bm, seed, tl.program_id(1), below,
            False, CAUSAL, BIAS, ALIBI, SOFTCAP, DROPOUT, WIDE, ACC,
        )  # fmt: skip
    for s in range(whole, end, COLUMNS):
        if DESCRIPTORS:
            k, v = K.load([batch, key_head, s, 0]).reshape(COLUMNS, D).T, V.load([batch, key_head, s, 0]).reshape(COLUMNS, E)
        else:
            k = tile(K + (first_key + s) * kn, keys, c[None, :], M - s, d[:, None], WIDTH, D, True)
            v = tile(V + (first_key + s) * vn, values, c[:, None], M - s, e[None, :], VALUE_WIDTH, E, True)
        top, mass, total = fold(
            q, k, v, top, mass, total, i, s, c, N, M, shift, scale, factor, slope, cap, bias, bn, bm, seed, tl.program_id(1), below,
            True, CAUSAL, BIAS, ALIBI, SOFTCAP, DROPOUT, WIDE, ACC,
        )  # fmt: skip

    mass = tl.sum(mass, 1)
    empty = mass == 0
    total = total / tl.where(empty, 1.0, mass)[:, None]
    if DROPOUT:
        total *= boost
    log_sum_exp = tl.where(empty, float("-inf"), (top + tl.log2(mass)) * LN_2 if PLAIN else top + tl.log2(mass) * LN_2)
    O += b * ob + h * oh + (first_query + start) * on
    tl.store(O + apart(r[:, None], on, e[None, :], od, WIDE), total.to(O.dtype.element_ty), mask=(i < N)[:, None] & (e < VALUE_WIDTH)[None, :])
    tl.store(L + b * lb + h * lh + first_query + i, log_sum_exp, mask=i < N)


@triton.jit
def slopes_of_scores(
    s, d_p, log_sum_exp, delta, i, j, N, M, shift, scale, factor, slope, cap, bias, bias_row, bias_column, seed, head, below, boost,
    MASKED: tl.constexpr, CAUSAL: tl.constexpr, BIAS: tl.constexpr, ALIBI: tl.constexpr, SOFTCAP: tl.constexpr, DROPOUT: tl.constexpr,
    WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """From raw products s = q kᵀ and dP = g vᵀ: the weights that met V, the gradient of the scores, and of the products that were scaled to them.
    Everything broadcasts to one tile, in either orientation; `log_sum_exp` is in the scores' base, and +∞ for a row that saw nothing."""
    PLAIN: tl.constexpr = BIAS == "none" and not ALIBI and not SOFTCAP
    inside = (i < N) & (j < M)
    if CAUSAL and MASKED:
        inside = inside & (j <= i + shift)
    within = 1.0
    if PLAIN:
        s = s * factor
    else:
        s = s * scale
        if SOFTCAP:
            s = capped(s, cap)
            within = 1 - (s / cap) * (s / cap)
        s, inside = biased(s, i, j, shift, slope, bias, bias_row, bias_column, inside, BIAS, ALIBI, WIDE, ACC)
    p = raised(s - log_sum_exp, PLAIN)
    if MASKED or BIAS == "boolean":
        p = tl.where(inside, p, 0.0)
    met = p
    if DROPOUT:
        stays = kept(seed, head, i, j, below)
        met = tl.where(stays, p * boost, 0.0)
        d_p = tl.where(stays, d_p * boost, 0.0)
    d_s = p * (d_p - delta)
    return met, d_s, d_s * within


@triton.jit
def backward_queries(
    Q, K, V, O, g_O, L, g_L, delta, d_Q, d_bias, bias, slopes, query_offsets, key_offsets,
    qb, qh, qn, qd, kb, kh, kn, kd, vb, vh, vn, vd, ob, oh, on, od, gb, gh, gn, gd, lb, lh, glb, glh, gln, dqb, dqh, dqn, dqd, bb, bh, bn, bm, ab, ah,
    H, G, N, M, scale, factor, cap, seed, below, boost,
    SIGN: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, D: tl.constexpr, E: tl.constexpr,
    WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr, CAUSAL: tl.constexpr, BOTTOM_RIGHT: tl.constexpr, BIAS: tl.constexpr, ALIBI: tl.constexpr,
    SOFTCAP: tl.constexpr, DROPOUT: tl.constexpr, PACKED: tl.constexpr, D_BIAS: tl.constexpr,
    OF_LOG_SUM_EXP: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """dQ of `ROWS` queries of one head, and delta = rowsum(g ∘ O) less the cotangent of the log-sum-exp, which `backward_keys` reads.
    Where `D_BIAS`, the gradient of the scores too, in a contiguous [B, H, N, M]. Grid: (blocks of queries, B · H)."""
    batch, head, start = tl.program_id(1) // H, tl.program_id(1) % H, tl.program_id(0) * ROWS
    first_query, N = extent(query_offsets, batch, N, PACKED)
    first_key, M = extent(key_offsets, batch, M, PACKED)
    if PACKED:
        if start >= N:
            return
    PLAIN: tl.constexpr = BIAS == "none" and not ALIBI and not SOFTCAP
    shift = M - N if BOTTOM_RIGHT else 0
    r, c, d, e = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, D), tl.arange(0, E)
    i = start + r
    b, h, key_head = batch.to(tl.int64), head.to(tl.int64), (head // (H // G)).to(tl.int64)
    above = first_query + start
    q = tile(Q + b * qb + h * qh + above * qn, apart(r[:, None], qn, d[None, :], qd, WIDE), i[:, None], N, d[None, :], WIDTH, D, True) * SIGN
    o = tile(O + b * ob + h * oh + above * on, apart(r[:, None], on, e[None, :], od, WIDE), i[:, None], N, e[None, :], VALUE_WIDTH, E, True)
    g = tile(g_O + b * gb + h * gh + above * gn, apart(r[:, None], gn, e[None, :], gd, WIDE), i[:, None], N, e[None, :], VALUE_WIDTH, E, True)
    rows = b * lb + h * lh + first_query + i
    log_sum_exp = tl.load(L + rows, mask=i < N, other=float("inf"))
    if PLAIN:
        log_sum_exp = log_sum_exp * LOG2_E
    log_sum_exp = tl.where(log_sum_exp == float("-inf"), float("inf"), log_sum_exp)
    down = tl.sum(o.to(ACC) * g.to(ACC), 1)
    if OF_LOG_SUM_EXP:  # its gradient by a score is the weight
        down -= tl.load(g_L + b * glb + h * glh + (first_query + i) * gln, mask=i < N, other=0.0).to(ACC)
    tl.store(delta + rows, down, mask=i < N)
    K += b * kb + key_head * kh
    V += b * vb + key_head * vh
    keys = apart(c[None, :], kn, d[:, None], kd, WIDE)
    values = apart(c[None, :], vn, e[:, None], vd, WIDE)
    slope = 0.0
    if ALIBI:
        slope = tl.load(slopes + b * ab + h * ah).to(ACC)
    if BIAS != "none":
        bias += b * bb + h * bh

    end, whole = M, M // COLUMNS * COLUMNS
    if CAUSAL:
        end = tl.maximum(tl.minimum(M, start + ROWS + shift), 0)
        whole = tl.minimum(whole, tl.maximum(start + shift + 1, 0) // COLUMNS * COLUMNS)
    d_q = tl.zeros([ROWS, D], ACC)
    for part in tl.static_range(1, -1, -1):  # with a mask, then without: in the other order ptxas lets no two matrix products overlap on sm_90
        for s in range(0 if part == 0 else whole, whole if part == 0 else end, COLUMNS):
            k = tile(K + (first_key + s) * kn, keys, c[None, :], M - s, d[:, None], WIDTH, D, part == 1)
            v = tile(V + (first_key + s) * vn, values, c[None, :], M - s, e[:, None], VALUE_WIDTH, E, part == 1)
            raw = tl.dot(q, k, input_precision="ieee", out_dtype=ACC)
            d_p = tl.dot(g, v, input_precision="ieee", out_dtype=ACC)
            _, d_s, d_raw = slopes_of_scores(
                raw, d_p, log_sum_exp[:, None], down[:, None], i[:, None], (s + c)[None, :], N, M, shift, scale, factor, slope, cap, bias, bn, bm,
                seed, tl.program_id(1), below, boost, part == 1, CAUSAL, BIAS, ALIBI, SOFTCAP, DROPOUT, WIDE, ACC,
            )  # fmt: skip
            d_q = tl.dot(d_raw.to(k.dtype), tl.trans(k), d_q, input_precision="ieee", out_dtype=ACC)
            if D_BIAS:
                place = ((b * H + h) * N + i.to(tl.int64))[:, None] * M + (s + c)[None, :]
                tl.store(d_bias + place, d_s, mask=(i < N)[:, None] & (s + c < M)[None, :])
    d_q *= scale * SIGN
    d_Q += b * dqb + h * dqh + above * dqn
    tl.store(d_Q + apart(r[:, None], dqn, d[None, :], dqd, WIDE), d_q.to(d_Q.dtype.element_ty), mask=(i < N)[:, None] & (d < WIDTH)[None, :])


@triton.jit
def backward_keys(
    Q, K, V, g_O, L, delta, d_K, d_V, bias, slopes, query_offsets, key_offsets,
    qb, qh, qn, qd, kb, kh, kn, kd, vb, vh, vn, vd, gb, gh, gn, gd, lb, lh, dkb, dkh, dkn, dkd, dvb, dvh, dvn, dvd, bb, bh, bn, bm, ab, ah,
    H, G, N, M, scale, factor, cap, seed, below, boost,
    SIGN: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, D: tl.constexpr, E: tl.constexpr,
    WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr, CAUSAL: tl.constexpr, BOTTOM_RIGHT: tl.constexpr, BIAS: tl.constexpr, ALIBI: tl.constexpr,
    SOFTCAP: tl.constexpr, DROPOUT: tl.constexpr, PACKED: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """dK and dV of `COLUMNS` keys of one key head, summed over the query heads that read it: no atomics, so that a call repeats to the last bit.
    Tiles have the keys first. Grid: (blocks of keys, B · G)."""
    batch, key_head, start = tl.program_id(1) // G, tl.program_id(1) % G, tl.program_id(0) * COLUMNS
    first_query, N = extent(query_offsets, batch, N, PACKED)
    first_key, M = extent(key_offsets, batch, M, PACKED)
    if PACKED:
        if start >= M:
            return
    PLAIN: tl.constexpr = BIAS == "none" and not ALIBI and not SOFTCAP
    shift = M - N if BOTTOM_RIGHT else 0
    r, c, d, e = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, D), tl.arange(0, E)
    j = start + c
    b = batch.to(tl.int64)
    key_offset, value_offset = b * kb + key_head.to(tl.int64) * kh + (first_key + start) * kn, b * vb + key_head.to(tl.int64) * vh + (first_key + start) * vn
    k = tile(K + key_offset, apart(c[:, None], kn, d[None, :], kd, WIDE), j[:, None], M, d[None, :], WIDTH, D, True)
    v = tile(V + value_offset, apart(c[:, None], vn, e[None, :], vd, WIDE), j[:, None], M, e[None, :], VALUE_WIDTH, E, True)
    queries = apart(r[None, :], qn, d[:, None], qd, WIDE)
    cotangents = apart(r[:, None], gn, e[None, :], gd, WIDE)

    begin, whole = N * 0, N * 0  # queries before `begin` see no key of this block, those from `whole` on see all
    if CAUSAL:
        begin = tl.minimum(N, tl.maximum(start - shift, 0) // ROWS * ROWS)
        whole = tl.minimum(N, (tl.maximum(start + COLUMNS - 1 - shift, 0) + ROWS - 1) // ROWS * ROWS)
    d_k = tl.zeros([COLUMNS, D], ACC)
    d_v = tl.zeros([COLUMNS, E], ACC)
    for head in range(key_head * (H // G), (key_head + 1) * (H // G)):
        h = b * 0 + head
        slope = 0.0
        if ALIBI:
            slope = tl.load(slopes + b * ab + h * ah).to(ACC)
        mask = bias
        if BIAS != "none":
            mask = bias + b * bb + h * bh
        for part in tl.static_range(2):  # with a mask, then without
            for s in range(begin if part == 0 else whole, whole if part == 0 else N, ROWS):
                i = s + r
                above = first_query + s
                q = tile(Q + b * qb + h * qh + above * qn, queries, i[None, :], N, d[:, None], WIDTH, D, True) * SIGN
                g = tile(g_O + b * gb + h * gh + above * gn, cotangents, i[:, None], N, e[None, :], VALUE_WIDTH, E, True)
                rows = b * lb + h * lh + first_query + i
                log_sum_exp = tl.load(L + rows, mask=i < N, other=float("inf"))
                if PLAIN:
                    log_sum_exp = log_sum_exp * LOG2_E
                log_sum_exp = tl.where(log_sum_exp == float("-inf"), float("inf"), log_sum_exp)
                down = tl.load(delta + rows, mask=i < N, other=0.0)
                raw = tl.dot(k, q, input_precision="ieee", out_dtype=ACC)
                d_p = tl.dot(v, tl.trans(g), input_precision="ieee", out_dtype=ACC)
                met, _, d_raw = slopes_of_scores(
                    raw, d_p, log_sum_exp[None, :], down[None, :], i[None, :], j[:, None], N, M, shift, scale, factor, slope, cap, mask, bn, bm,
                    seed, batch * H + head, below, boost, part == 0, CAUSAL, BIAS, ALIBI, SOFTCAP, DROPOUT, WIDE, ACC,
                )  # fmt: skip
                d_v = tl.dot(met.to(g.dtype), g, d_v, input_precision="ieee", out_dtype=ACC)
                d_k = tl.dot(d_raw.to(q.dtype), tl.trans(q), d_k, input_precision="ieee", out_dtype=ACC)
    d_k *= scale
    d_K += b * dkb + key_head.to(tl.int64) * dkh + (first_key + start) * dkn
    d_V += b * dvb + key_head.to(tl.int64) * dvh + (first_key + start) * dvn
    tl.store(d_K + apart(c[:, None], dkn, d[None, :], dkd, WIDE), d_k.to(d_K.dtype.element_ty), mask=(j < M)[:, None] & (d < WIDTH)[None, :])
    tl.store(d_V + apart(c[:, None], dvn, e[None, :], dvd, WIDE), d_v.to(d_V.dtype.element_ty), mask=(j < M)[:, None] & (e < VALUE_WIDTH)[None, :])
