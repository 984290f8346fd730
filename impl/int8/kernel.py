"""Attention with scores of whole numbers, in Triton: `quantise` makes int8 numbers and a step of each key, `forward` does the same with the queries of a
program, and is flash attention whose scores are products of those numbers on integer tensor cores.

Shapes: Q [B, H, N, WIDTH], K [B, H, M, WIDTH], V [B, H, M, VALUE_WIDTH] and O [B, H, N, VALUE_WIDTH] have any strides, named by tensor and axis (`qb`, `qh`,
`qn`, `qd`: of Q, by sequence, head, position, feature), as has the bias [B, H, N, M] (`bb`, `bh`, `bn`, `bm`). The keys' numbers int8 [B, H, M, D] and steps
[B, H, M] are contiguous; D and E are widths padded to powers of 2, D with zeros. `impl.int8.launch` prepares every argument.
Sources: Dettmers et al. 2022, section 2, https://arxiv.org/abs/2208.07339, for a step of each row; Zhang et al. 2024, https://arxiv.org/abs/2410.02367, for
int8 scores within online softmax.
"""

import triton
import triton.language as tl

from impl._triton.division import divided
from impl.scaled_dot_product.kernel import apart, quads, raised, tile

NEAREST = tl.constexpr(1.5 * 2.0**23)  # float32 of this size are whole: what is added rounds to the nearest, a tie to the even number
NEAREST_64 = tl.constexpr(1.5 * 2.0**52)
NEAREST_BITS = tl.constexpr(0x4B400000)  # the bits of NEAREST: one more is the next whole number


@triton.jit
def nearest(x):
    """The whole number nearest to x, |x| < 2^21; a tie goes to the even one."""
    if x.dtype == tl.float64:
        return (x + NEAREST_64) - NEAREST_64
    else:
        return (x + NEAREST) - NEAREST


@triton.jit
def numbers_of(x, most, ACC: tl.constexpr):
    """Rows x as numbers within ± `most` and a step each: x ≈ numbers · step, half a step away at most."""
    x, most = x.to(ACC), most.to(ACC)  # a quotient off by a unit could be another integer
    step = divided(tl.max(tl.abs(x), 1), most) + tl.sum(x * 0.0, 1)  # NaN if one of the row is, which a maximum need not see
    whole = nearest(divided(x, tl.where(step == 0, 1.0, step)[:, None]))
    whole = tl.minimum(tl.maximum(whole, -most), most)  # a subnormal step may have lost bits
    return whole.to(tl.int8), step


@triton.jit
def quantise(
    K, numbers, steps, levels, kb, kh, kn, kd, level, H, M,
    COLUMNS: tl.constexpr, D: tl.constexpr, WIDTH: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Numbers and steps of `COLUMNS` keys of one head, which are read once. `levels`: the largest number, of each head where `level` is 1.
    Grid: (blocks of keys, B · H)."""
    batch, head, start = tl.program_id(1) // H, tl.program_id(1) % H, tl.program_id(0) * COLUMNS
    c, d = tl.arange(0, COLUMNS), tl.arange(0, D)
    j = start + c
    K += batch.to(tl.int64) * kb + head.to(tl.int64) * kh + start.to(tl.int64) * kn
    k = tile(K, apart(c[:, None], kn, d[None, :], kd, WIDE), j[:, None], M, d[None, :], WIDTH, D, True)
    whole, step = numbers_of(k, tl.load(levels + head * level), ACC)
    place = tl.program_id(1).to(tl.int64) * M + j
    tl.store(numbers + place[:, None] * D + d[None, :], whole, mask=(j < M)[:, None] & (d < D)[None, :])
    tl.store(steps + place, step, mask=j < M)


@triton.jit
def products(q, k, ACC: tl.constexpr):
    """q kᵀ, exactly: int32 holds 2^17 products of int8. For float32 the sum is counted on from the bits of NEAREST, so that the result's bits are those of
    NEAREST + q kᵀ (|q kᵀ| ≤ 127² · 256 < 2^22): one subtraction in place of a conversion, which is as slow as an exponential."""
    if tl.float64 == ACC:
        return tl.dot(q, k, out_dtype=tl.int32).to(tl.float64)
    else:
        whole = tl.dot(q, k, tl.full([q.shape[0], k.shape[1]], NEAREST_BITS, tl.int32), out_dtype=tl.int32)
        return whole.to(tl.float32, bitcast=True) - NEAREST


@triton.jit
def based(s, factor, BIAS: tl.constexpr):
    """Scores in base 2, by the log2 e in `factor`; natural where a bias was added."""
    if BIAS == "additive":
        return s
    else:
        return s * factor


@triton.jit
def fold(
    q, q_step, k, k_step, v, top, mass, total, i, start, c, N, M, factor, bias, bias_row, bias_column,
    MASKED: tl.constexpr, CAUSAL: tl.constexpr, BIAS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """The state (top, mass, total) of online softmax after one more tile of keys, those from `start` on: k [D, COLUMNS], v [COLUMNS, E].
    A score is n · (q_step · k_step) with whole n, in this order: steps of 10^−36 and 10^36 meet each other before anything else. `factor` makes it a score in
    base 2 unless something is added to it. `mass` [ROWS, 4] is in four parts, which are added at the end."""
    j = start + c
    s = products(q, k, ACC) * (q_step[:, None] * k_step[None, :])
    if BIAS != "none":
        inside = (i < N)[:, None] & (j < M)[None, :]
        found = tl.load(bias + apart(i[:, None], bias_row, j[None, :], bias_column, WIDE), mask=inside, other=0)
        if BIAS == "boolean":
            s = tl.where(found != 0, s, float("-inf"))
        else:
            s = tl.where(found == float("-inf"), float("-inf"), s * factor + found.to(ACC))  # what is hidden may be NaN
    if MASKED:
        beyond = M - start + 0 * i  # the first column of the tile that a row does not see
        if CAUSAL:
            beyond = tl.minimum(beyond, i + (1 - start))
        s = tl.where(c[None, :] < beyond[:, None], s, float("-inf"))
    risen = tl.maximum(top, based(tl.max(tl.max(tl.max(quads(s), 3), 1), 1), factor, BIAS))
    base = risen
    if MASKED or BIAS != "none":
        base = tl.where(risen == float("-inf"), 0.0, risen)  # nothing seen yet: −∞ − (−∞) must not arise
    shrink = raised(top - base, BIAS != "additive")
    p = raised(based(s, factor, BIAS) - base[:, None], BIAS != "additive")
    mass = mass * shrink[:, None] + tl.sum(tl.sum(quads(p), 3), 1)
    total = tl.dot(p.to(v.dtype), v, total * shrink[:, None], input_precision="ieee", out_dtype=ACC)
    return risen, mass, total


@triton.jit
def forward(
    Q, numbers, k_steps, V, O, levels, bias, qb, qh, qn, qd, level, vb, vh, vn, vd, ob, oh, on, od, bb, bh, bn, bm, H, N, M, factor,
    SIGN: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, D: tl.constexpr, E: tl.constexpr,
    WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr, CAUSAL: tl.constexpr, BIAS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Output of `ROWS` queries of one head, from the keys' numbers and steps. `factor`: the size of the scale, times log2 e unless a bias is added; SIGN is
    the scale's. The tiles in which every row sees every key need no mask, and have a loop of their own. Grid: (blocks of queries, B · H)."""
    batch, head, start = tl.program_id(1) // H, tl.program_id(1) % H, tl.program_id(0) * ROWS
    r, c, d, e = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, D), tl.arange(0, E)
    i = start + r
    b, h = batch.to(tl.int64), head.to(tl.int64)
    Q += b * qb + h * qh + start.to(tl.int64) * qn
    q = tile(Q, apart(r[:, None], qn, d[None, :], qd, WIDE), i[:, None], N, d[None, :], WIDTH, D, True)
    q, q_step = numbers_of(q, tl.load(levels + head * level), ACC)
    first_key = tl.program_id(1).to(tl.int64) * M
    V += b * vb + h * vh
    keys = c[None, :] * D + d[:, None]
    values = apart(c[:, None], vn, e[None, :], vd, WIDE)
    if BIAS != "none":
        bias += b * bb + h * bh

    top = tl.full([ROWS], float("-inf"), ACC)
    mass = tl.zeros([ROWS, 4], ACC)
    total = tl.zeros([ROWS, E], ACC)
    end, whole = M, M // COLUMNS * COLUMNS  # the tiles before `whole` need no mask
    if CAUSAL:
        end = tl.minimum(M, start + ROWS)
        whole = tl.minimum(whole, (start + 1) // COLUMNS * COLUMNS)
    for s in range(0, whole, COLUMNS):
        k = tl.load(numbers + (first_key + s) * D + keys)
        k_step = tl.load(k_steps + first_key + s + c) * SIGN
        v = tile(V + (b * 0 + s) * vn, values, c[:, None], M, e[None, :], VALUE_WIDTH, E, False)
        top, mass, total = fold(
            q, q_step, k, k_step, v, top, mass, total, i, s, c, N, M, factor, bias, bn, bm, False, CAUSAL, BIAS, WIDE, ACC,
        )  # fmt: skip
    for s in range(whole, end, COLUMNS):
        k = tl.load(numbers + (first_key + s) * D + keys, mask=(c < M - s)[None, :] & (d < D)[:, None], other=0)
        k_step = tl.load(k_steps + first_key + s + c, mask=c < M - s, other=0.0) * SIGN
        v = tile(V + (b * 0 + s) * vn, values, c[:, None], M - s, e[None, :], VALUE_WIDTH, E, True)
        top, mass, total = fold(
            q, q_step, k, k_step, v, top, mass, total, i, s, c, N, M, factor, bias, bn, bm, True, CAUSAL, BIAS, WIDE, ACC,
        )  # fmt: skip

    mass = tl.sum(mass, 1)
    total = total / tl.where(mass == 0, 1.0, mass)[:, None]
    O += b * ob + h * oh + start.to(tl.int64) * on
    tl.store(O + apart(r[:, None], on, e[None, :], od, WIDE), total.to(O.dtype.element_ty), mask=(i < N)[:, None] & (e < VALUE_WIDTH)[None, :])
