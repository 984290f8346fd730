"""Linear attention in chunks: a program holds a state of one head, sums over keys or rows of products [F, E], and walks over the sequence once.

Causal, a chunk of rows first reads the state of all chunks before it, and its own keys by the CHUNK² weights of the chunk; then its keys are added. The long
axis of every large product is a width, so that chunks may be short: tiles of weights have the keys first where rows are written, and rows first where keys are.
Backward, with p_ij = φ(q_i)·φ(k_j), m_i = Σ_j p_ij, δ_i = ⟨g_i, o_i⟩ and w_ij = (g_i·v_j − δ_i) / m_i, the cotangent of p_ij:

    ∂φ(q_i) = Σ_j w_ij φ(k_j) = (S g_i − δ_i z) / m_i    S = Σ_j φ(k_j) v_jᵀ, z = Σ_j φ(k_j), as forward
    ∂φ(k_j) = Σ_i w_ij φ(q_i) = U v_j − u                U = Σ_i φ(q_i) g_iᵀ / m_i, u = Σ_i φ(q_i) δ_i / m_i, from the last row on
    ∂v_j    = Σ_i p_ij g_i / m_i = Uᵀ φ(k_j)

Letters: q, k, v, g, o are tiles of Q, K, V, of the output's cotangent and of the output; x features of queries, y of keys; i rows (queries), j columns (keys).
Shapes: Q [B, H, N, WIDTH], K [B, H, M, WIDTH], V [B, H, M, VALUE_WIDTH], padding [B, H, M] (1 shows a key), levels [B, H, M]; any strides, named by axis. F and
E are widths padded to a power of 2, BLOCK is a part of one. `impl.linear_attention.launch` prepares every argument.
Sources: Katharopoulos et al. 2020, equations 8 to 15, https://arxiv.org/abs/2006.16236; chunks: Hua et al. 2022, section 3.2, https://arxiv.org/abs/2202.10447
"""

import triton
import triton.language as tl

from impl.scaled_dot_product.kernel import apart


@triton.jit
def mapped(x, epsilon, c, MAP: tl.constexpr):
    """φ entry by entry; "identity" where features are handed over. e^x − 1 + 1 is e^x: nothing is lost to a sum with 1."""
    if MAP == "elu+1":
        return tl.where(x > 0, x + 1, tl.exp(tl.where(x > 0, 0.0, x)))  # a compiled minimum would drop NaN
    elif MAP == "exp":
        return tl.exp(x)
    elif MAP == "relu+epsilon":
        return tl.where(x < 0, 0.0, x) + epsilon  # a compiled maximum would drop NaN
    elif MAP == "polynomial":
        return (x + c) * (x + c)
    else:
        return x


@triton.jit
def through(d, x, features, c, MAP: tl.constexpr):
    """The cotangent d of features φ(x) as one of x: d ∘ φ'(x)."""
    if MAP == "elu+1":
        return d * tl.where(x > 0, 1.0, features)
    elif MAP == "exp":
        return d * features
    elif MAP == "relu+epsilon":
        return tl.where(x > 0, d, 0.0)
    elif MAP == "polynomial":
        return d * (2 * (x + c))
    else:
        return d


@triton.jit
def leading(x):
    """A float32 number as tensor cores read it in tf32, cut after 10 bits of its fraction; what it leaves has at most 13."""
    return (x.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)


@triton.jit
def product(a, b, total, PRECISION: tl.constexpr, ACC: tl.constexpr):
    """total + a b, where numbers of the accumulator's dtype need its range. "tf32x3": a number is its leading and its remaining part, and the product of two
    remaining parts, 2^−20 of the whole at most, is left out; a half precision is a leading part already. One sum takes all three products."""
    if PRECISION == "tf32x3":
        first, second = a.to(ACC), b.to(ACC)
        if a.dtype == ACC:
            first = leading(a)
        if b.dtype == ACC:
            second = leading(b)
        if a.dtype == ACC:
            total = tl.dot(a - first, second, total, input_precision="tf32", out_dtype=ACC)
        if b.dtype == ACC:
            total = tl.dot(first, b - second, total, input_precision="tf32", out_dtype=ACC)
        return tl.dot(first, second, total, input_precision="tf32", out_dtype=ACC)
    else:
        return tl.dot(a.to(ACC), b.to(ACC), total, input_precision="ieee", out_dtype=ACC)


@triton.jit
def parted(x, PARTS: tl.constexpr):
    """[A, F] → [PARTS, A, F / PARTS]: products over parts of the features are summed afterwards, so that warps can take a part each, and hold no more of it."""
    A: tl.constexpr = x.shape[0]
    PART: tl.constexpr = x.shape[1] // PARTS
    return tl.permute(tl.reshape(x, [A, PARTS, PART]), (1, 0, 2))


@triton.jit
def empty(BLOCK: tl.constexpr, F: tl.constexpr, PARTS: tl.constexpr, ACC: tl.constexpr):
    """A state of 0: [BLOCK, F], or in parts [PARTS, BLOCK, F / PARTS]."""
    if PARTS == 1:
        return tl.zeros([BLOCK, F], ACC)
    else:
        return tl.zeros([PARTS, BLOCK, F // PARTS], ACC)


@triton.jit
def along_features(a, x, PARTS: tl.constexpr, PRECISION: tl.constexpr, ACC: tl.constexpr):
    """a xᵀ: a state as `empty` makes it, or [A, F], by [CHUNK, F]."""
    CHUNK: tl.constexpr = x.shape[0]
    if PARTS == 1:
        A: tl.constexpr = a.shape[0]
        return product(a, tl.trans(x), tl.zeros([A, CHUNK], ACC), PRECISION, ACC)
    else:
        if len(a.shape) == 2:
            a = parted(a, PARTS)
        B: tl.constexpr = a.shape[1]
        return tl.sum(product(a, tl.permute(parted(x, PARTS), (0, 2, 1)), tl.zeros([PARTS, B, CHUNK], ACC), PRECISION, ACC), 0)


@triton.jit
def with_chunk(state, v, y, PARTS: tl.constexpr, PRECISION: tl.constexpr, ACC: tl.constexpr):
    """The state after a chunk of values v [CHUNK, BLOCK] and features y [CHUNK, F]: state + vᵀ y."""
    if PARTS == 1:
        return product(tl.trans(v), y, state, PRECISION, ACC)
    else:
        CHUNK: tl.constexpr = v.shape[0]
        BLOCK: tl.constexpr = v.shape[1]
        return product(tl.broadcast_to(tl.trans(v)[None, :, :], [PARTS, BLOCK, CHUNK]), parted(y, PARTS), state, PRECISION, ACC)


@triton.jit
def finite(level):
    """A level to subtract: 0 where nothing has been seen, as −∞ − (−∞) must not arise."""
    return tl.where(level == float("-inf"), 0.0, level)


@triton.jit
def part(X, offsets, r, left, f, features_left):
    """A tile of positions and features, 0 beyond what is left of either."""
    return tl.load(X + offsets, mask=(r < left)[:, None] & (f < features_left)[None, :], other=0.0)


@triton.jit
def rows_of(Q, offsets, at, qn, N, r, f, left, epsilon, c, MAP: tl.constexpr, ACC: tl.constexpr):
    """The queries from `at` on, in the accumulator's dtype, and their features; what stands in padding meets zeros of the keys."""
    q = part(Q + at * qn, offsets, r, N - at, f, left).to(ACC)
    return q, mapped(q, epsilon, c, MAP)


@triton.jit
def shown(padding, at, pm, M, r, PADDED: tl.constexpr):
    """Which keys from `at` on there are, and are not hidden."""
    seen = r < M - at
    if PADDED:
        seen = seen & (tl.load(padding + (at + r) * pm, mask=seen, other=0) != 0)
    return seen


@triton.jit
def columns_of(K, offsets, at, kn, M, r, f, left, seen, epsilon, c, MAP: tl.constexpr, ACC: tl.constexpr):
    """The keys from `at` on, and their features, 0 for a key that is hidden: what it holds, NaN too, is selected away."""
    k = part(K + at * kn, offsets, r, M - at, f, left).to(ACC)
    return k, tl.where(seen[:, None] & (f < left)[None, :], mapped(k, epsilon, c, MAP), 0.0)


@triton.jit
def values_of(V, offsets, at, vn, M, r, e, left, seen, PADDED: tl.constexpr):
    """The values from `at` on, 0 for a key that is hidden."""
    v = part(V + at * vn, offsets, r, M - at, e, left)
    if PADDED:
        v = tl.where(seen[:, None], v, 0.0)
    return v


@triton.jit
def forward(
    Q, K, V, O, masses, padding, levels,
    qb, qh, qn, qd, kb, kh, kn, kd, vb, vh, vn, vd, ob, oh, on, od, mb, mh, pb, ph, pm, lb, lh, lm, H, N, M, epsilon, c,
    CHUNK: tl.constexpr, F: tl.constexpr, BLOCK: tl.constexpr, WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr, MAP: tl.constexpr, CAUSAL: tl.constexpr,
    PARTS: tl.constexpr, PADDED: tl.constexpr, LEVELS: tl.constexpr, PRECISION: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """`BLOCK` columns of the output of one head: Σ_j p_ij v_j / m_i, 0 where no key has weight; and by the first block the rows' masses m, 1 where it is 0.
    Grid: (blocks of columns, B · H).

    With `LEVELS`, the features of key j are e^level_j times those given, and a row's sums stand relative to e to the largest level that it has seen, as the
    state's do: no later key moves them. Levels are finite; those of queries cancel.
    """
    batch, head = (tl.program_id(1) // H).to(tl.int64), (tl.program_id(1) % H).to(tl.int64)
    origin = batch * 0  # positions count in 64 bits
    first = tl.program_id(0) * BLOCK
    r, f, e = tl.arange(0, CHUNK), tl.arange(0, F), tl.arange(0, BLOCK)
    Q += batch * qb + head * qh
    K += batch * kb + head * kh
    V += batch * vb + head * vh + first.to(tl.int64) * vd
    O += batch * ob + head * oh + first.to(tl.int64) * od
    if PADDED:
        padding += batch * pb + head * ph
    if LEVELS:
        levels += batch * lb + head * lh
    queries, keys = apart(r[:, None], qn, f[None, :], qd, WIDE), apart(r[:, None], kn, f[None, :], kd, WIDE)
    values, outputs = apart(r[:, None], vn, e[None, :], vd, WIDE), apart(r[:, None], on, e[None, :], od, WIDE)
    left = VALUE_WIDTH - first

    state, z, top = empty(BLOCK, F, PARTS, ACC), tl.zeros([F], ACC), tl.zeros([1], ACC) + float("-inf")  # Sᵀ
    if not CAUSAL:
        for s in range(0, M, CHUNK):
            at = origin + s
            seen = shown(padding, at, pm, M, r, PADDED)
            _, y = columns_of(K, keys, at, kn, M, r, f, WIDTH, seen, epsilon, c, MAP, ACC)
            v = values_of(V, values, at, vn, M, r, e, left, seen, PADDED)
            if LEVELS:
                level = tl.load(levels + (at + r) * lm, mask=r < M - at, other=float("-inf")).to(ACC)
                level = tl.where(seen, level, float("-inf"))
                risen = tl.maximum(top, tl.max(level, 0))
                base = finite(risen)
                y = y * tl.exp(level - base)[:, None]
                shrink = tl.exp(top - base)
                state, z, top = state * shrink[:, None], z * shrink, risen
            state = with_chunk(state, v, y, PARTS, PRECISION, ACC)
            z += tl.sum(y, 0)
    for s in range(0, N, CHUNK):
        at = origin + s
        _, x = rows_of(Q, queries, at, qn, N, r, f, WIDTH, epsilon, c, MAP, ACC)
        total = along_features(state, x, PARTS, PRECISION, ACC)
        mass = tl.sum(x * z[None, :], 1)
        if CAUSAL:
            seen = shown(padding, at, pm, M, r, PADDED)
            _, y = columns_of(K, keys, at, kn, M, r, f, WIDTH, seen, epsilon, c, MAP, ACC)
            v = values_of(V, values, at, vn, M, r, e, left, seen, PADDED)
            p = along_features(y, x, PARTS, PRECISION, ACC)
            p = tl.where(r[:, None] <= r[None, :], p, 0.0)
            if LEVELS:
                level = tl.load(levels + (at + r) * lm, mask=r < M - at, other=float("-inf")).to(ACC)
                level = tl.where(seen, level, float("-inf"))
                before = tl.where(r[:, None] <= r[None, :], level[:, None], float("-inf"))  # of the keys that a row sees
                own = finite(tl.maximum(top, tl.max(before, 0)))
                p = p * tl.exp(before - own[None, :])
                shrink = tl.exp(top - own)
                total, mass = total * shrink[None, :], mass * shrink
                risen = tl.maximum(top, tl.max(level, 0))
                base = finite(risen)
                y = y * tl.exp(level - base)[:, None]
                shrink = tl.exp(top - base)
                state, z, top = state * shrink[:, None], z * shrink, risen
            total = product(tl.trans(v), p, total, PRECISION, ACC)
            mass += tl.sum(p, 0)
            state = with_chunk(state, v, y, PARTS, PRECISION, ACC)
            z += tl.sum(y, 0)
        mass = tl.where(mass == 0, 1.0, mass)
        total = total / mass[None, :]
        tl.store(O + at * on + outputs, tl.trans(total).to(O.dtype.element_ty), mask=(r < N - at)[:, None] & (e < left)[None, :])
        tl.store(masses + batch * mb + head * mh + at + r, mass, mask=(r < N - at) & (first == 0))


@triton.jit
def backward_queries(
    Q, K, V, O, g_O, masses, d_Q, padding,
    qb, qh, qn, qd, kb, kh, kn, kd, vb, vh, vn, vd, ob, oh, on, od, gb, gh, gn, gd, mb, mh, dqb, dqh, dqn, dqd, pb, ph, pm, H, N, M, epsilon, c,
    CHUNK: tl.constexpr, BLOCK: tl.constexpr, E: tl.constexpr, WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr, MAP: tl.constexpr, CAUSAL: tl.constexpr,
    PADDED: tl.constexpr, PRECISION: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """`BLOCK` features of dQ of one head, by the state S of these features. Grid: (blocks of features, B · H)."""
    batch, head = (tl.program_id(1) // H).to(tl.int64), (tl.program_id(1) % H).to(tl.int64)
    origin, first = batch * 0, tl.program_id(0) * BLOCK  # positions count in 64 bits
    r, f, e = tl.arange(0, CHUNK), tl.arange(0, BLOCK), tl.arange(0, E)
    Q += batch * qb + head * qh + first.to(tl.int64) * qd
    K += batch * kb + head * kh + first.to(tl.int64) * kd
    V += batch * vb + head * vh
    O += batch * ob + head * oh
    g_O += batch * gb + head * gh
    d_Q += batch * dqb + head * dqh + first.to(tl.int64) * dqd
    masses += batch * mb + head * mh
    if PADDED:
        padding += batch * pb + head * ph
    queries, keys = apart(r[:, None], qn, f[None, :], qd, WIDE), apart(r[:, None], kn, f[None, :], kd, WIDE)
    values, outputs = apart(r[:, None], vn, e[None, :], vd, WIDE), apart(r[:, None], on, e[None, :], od, WIDE)
    cotangents, gradients = apart(r[:, None], gn, e[None, :], gd, WIDE), apart(r[:, None], dqn, f[None, :], dqd, WIDE)
    left = WIDTH - first

    state, z = tl.zeros([BLOCK, E], ACC), tl.zeros([BLOCK], ACC)
    if not CAUSAL:
        for s in range(0, M, CHUNK):
            at = origin + s
            seen = shown(padding, at, pm, M, r, PADDED)
            _, y = columns_of(K, keys, at, kn, M, r, f, left, seen, epsilon, c, MAP, ACC)
            v = values_of(V, values, at, vn, M, r, e, VALUE_WIDTH, seen, PADDED)
            state = product(tl.trans(y), v, state, PRECISION, ACC)
            z += tl.sum(y, 0)
    for s in range(0, N, CHUNK):
        at = origin + s
        g = part(g_O + at * gn, cotangents, r, N - at, e, VALUE_WIDTH)
        delta = tl.sum(part(O + at * on, outputs, r, N - at, e, VALUE_WIDTH).to(ACC) * g.to(ACC), 1)
        d = product(state, tl.trans(g), tl.zeros([BLOCK, CHUNK], ACC), PRECISION, ACC) - z[:, None] * delta[None, :]
        if CAUSAL:
            seen = shown(padding, at, pm, M, r, PADDED)
            _, y = columns_of(K, keys, at, kn, M, r, f, left, seen, epsilon, c, MAP, ACC)
            v = values_of(V, values, at, vn, M, r, e, VALUE_WIDTH, seen, PADDED)
            w = tl.dot(v, tl.trans(g), input_precision="ieee", out_dtype=ACC) - delta[None, :]
            d = product(tl.trans(y), tl.where(r[:, None] <= r[None, :], w, 0.0), d, PRECISION, ACC)
            state = product(tl.trans(y), v, state, PRECISION, ACC)
            z += tl.sum(y, 0)
        q, x = rows_of(Q, queries, at, qn, N, r, f, left, epsilon, c, MAP, ACC)
        d = through(tl.trans(d) / tl.load(masses + at + r, mask=r < N - at, other=1.0)[:, None], q, x, c, MAP)
        tl.store(d_Q + at * dqn + gradients, d.to(d_Q.dtype.element_ty), mask=(r < N - at)[:, None] & (f < left)[None, :])


@triton.jit
def backward_keys(
    Q, K, V, O, g_O, masses, d_K, padding,
    qb, qh, qn, qd, kb, kh, kn, kd, vb, vh, vn, vd, ob, oh, on, od, gb, gh, gn, gd, mb, mh, dkb, dkh, dkn, dkd, pb, ph, pm, H, N, M, chunks, epsilon, c,
    CHUNK: tl.constexpr, BLOCK: tl.constexpr, E: tl.constexpr, WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr, MAP: tl.constexpr, CAUSAL: tl.constexpr,
    PADDED: tl.constexpr, PRECISION: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """`BLOCK` features of dK of one head, by the state U of these features: the last of `chunks` first, as a causal key acts on its own row and later ones.
    Grid: (blocks of features, B · H)."""
    batch, head = (tl.program_id(1) // H).to(tl.int64), (tl.program_id(1) % H).to(tl.int64)
    origin, first = batch * 0, tl.program_id(0) * BLOCK
    r, f, e = tl.arange(0, CHUNK), tl.arange(0, BLOCK), tl.arange(0, E)
    Q += batch * qb + head * qh + first.to(tl.int64) * qd
    K += batch * kb + head * kh + first.to(tl.int64) * kd
    V += batch * vb + head * vh
    O += batch * ob + head * oh
    g_O += batch * gb + head * gh
    d_K += batch * dkb + head * dkh + first.to(tl.int64) * dkd
    masses += batch * mb + head * mh
    if PADDED:
        padding += batch * pb + head * ph
    queries, keys = apart(r[:, None], qn, f[None, :], qd, WIDE), apart(r[:, None], kn, f[None, :], kd, WIDE)
    values, outputs = apart(r[:, None], vn, e[None, :], vd, WIDE), apart(r[:, None], on, e[None, :], od, WIDE)
    cotangents, gradients = apart(r[:, None], gn, e[None, :], gd, WIDE), apart(r[:, None], dkn, f[None, :], dkd, WIDE)
    left = WIDTH - first

    state, u = tl.zeros([BLOCK, E], ACC), tl.zeros([BLOCK], ACC)
    if not CAUSAL:
        for s in range(0, N, CHUNK):
            at = origin + s
            g = part(g_O + at * gn, cotangents, r, N - at, e, VALUE_WIDTH)
            delta = tl.sum(part(O + at * on, outputs, r, N - at, e, VALUE_WIDTH).to(ACC) * g.to(ACC), 1)
            _, x = rows_of(Q, queries, at, qn, N, r, f, left, epsilon, c, MAP, ACC)
            x = x / tl.load(masses + at + r, mask=r < N - at, other=1.0)[:, None]
            state = product(tl.trans(x), g, state, PRECISION, ACC)
            u += tl.sum(x * delta[:, None], 0)
    for t in range(0, chunks):
        at = origin + (chunks - 1 - t) * CHUNK
        seen = shown(padding, at, pm, M, r, PADDED)
        v = values_of(V, values, at, vn, M, r, e, VALUE_WIDTH, seen, PADDED)
        d = product(state, tl.trans(v), tl.zeros([BLOCK, CHUNK], ACC), PRECISION, ACC) - u[:, None]
        if CAUSAL:
            g = part(g_O + at * gn, cotangents, r, N - at, e, VALUE_WIDTH)
            delta = tl.sum(part(O + at * on, outputs, r, N - at, e, VALUE_WIDTH).to(ACC) * g.to(ACC), 1)
            _, x = rows_of(Q, queries, at, qn, N, r, f, left, epsilon, c, MAP, ACC)
            x = x / tl.load(masses + at + r, mask=r < N - at, other=1.0)[:, None]
            w = tl.dot(g, tl.trans(v), input_precision="ieee", out_dtype=ACC) - delta[:, None]
            d = product(tl.trans(x), tl.where(r[None, :] <= r[:, None], w, 0.0), d, PRECISION, ACC)
            state = product(tl.trans(x), g, state, PRECISION, ACC)
            u += tl.sum(x * delta[:, None], 0)
        k, y = columns_of(K, keys, at, kn, M, r, f, left, seen, epsilon, c, MAP, ACC)
        d = tl.where(seen[:, None], through(tl.trans(d), k, y, c, MAP), 0.0)
        tl.store(d_K + at * dkn + gradients, d.to(d_K.dtype.element_ty), mask=(r < M - at)[:, None] & (f < left)[None, :])


@triton.jit
def backward_values(
    Q, K, g_O, masses, d_V, padding,
    qb, qh, qn, qd, kb, kh, kn, kd, gb, gh, gn, gd, mb, mh, dvb, dvh, dvn, dvd, pb, ph, pm, H, N, M, chunks, epsilon, c,
    CHUNK: tl.constexpr, F: tl.constexpr, BLOCK: tl.constexpr, WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr, MAP: tl.constexpr, CAUSAL: tl.constexpr,
    PARTS: tl.constexpr, PADDED: tl.constexpr, PRECISION: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """`BLOCK` columns of dV of one head, by the state Uᵀ of these columns, the last of `chunks` first. Grid: (blocks of columns, B · H)."""
    batch, head = (tl.program_id(1) // H).to(tl.int64), (tl.program_id(1) % H).to(tl.int64)
    origin, first = batch * 0, tl.program_id(0) * BLOCK
    r, f, e = tl.arange(0, CHUNK), tl.arange(0, F), tl.arange(0, BLOCK)
    Q += batch * qb + head * qh
    K += batch * kb + head * kh
    g_O += batch * gb + head * gh + first.to(tl.int64) * gd
    d_V += batch * dvb + head * dvh + first.to(tl.int64) * dvd
    masses += batch * mb + head * mh
    if PADDED:
        padding += batch * pb + head * ph
    queries, keys = apart(r[:, None], qn, f[None, :], qd, WIDE), apart(r[:, None], kn, f[None, :], kd, WIDE)
    cotangents, gradients = apart(r[:, None], gn, e[None, :], gd, WIDE), apart(r[:, None], dvn, e[None, :], dvd, WIDE)
    left = VALUE_WIDTH - first

    state = empty(BLOCK, F, PARTS, ACC)
    if not CAUSAL:
        for s in range(0, N, CHUNK):
            at = origin + s
            g = part(g_O + at * gn, cotangents, r, N - at, e, left)
            _, x = rows_of(Q, queries, at, qn, N, r, f, WIDTH, epsilon, c, MAP, ACC)
            x = x / tl.load(masses + at + r, mask=r < N - at, other=1.0)[:, None]
            state = with_chunk(state, g, x, PARTS, PRECISION, ACC)
    for t in range(0, chunks):
        at = origin + (chunks - 1 - t) * CHUNK
        seen = shown(padding, at, pm, M, r, PADDED)
        _, y = columns_of(K, keys, at, kn, M, r, f, WIDTH, seen, epsilon, c, MAP, ACC)
        d = along_features(state, y, PARTS, PRECISION, ACC)
        if CAUSAL:
            g = part(g_O + at * gn, cotangents, r, N - at, e, left)
            _, x = rows_of(Q, queries, at, qn, N, r, f, WIDTH, epsilon, c, MAP, ACC)
            x = x / tl.load(masses + at + r, mask=r < N - at, other=1.0)[:, None]
            p = along_features(x, y, PARTS, PRECISION, ACC)
            d = product(tl.trans(g), tl.where(r[None, :] <= r[:, None], p, 0.0), d, PRECISION, ACC)
            state = with_chunk(state, g, x, PARTS, PRECISION, ACC)
        d = tl.where(seen[:, None], tl.trans(d), 0.0)  # a state that overflowed must not reach what no row sees
        tl.store(d_V + at * dvn + gradients, d.to(d_V.dtype.element_ty), mask=(r < M - at)[:, None] & (e < left)[None, :])
