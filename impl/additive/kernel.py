"""Additive attention in Triton: scores one hidden unit at a time, online softmax, and a backward pass that computes the hidden units again.

A program holds `ROWS` queries (`COLUMNS` keys in `backward_keys`) and walks over tiles of the other axis. Inside a tile it loops over the hidden units:
s_ij = Σ_a e_a tanh(r_ia + c_ja), so that no more than one unit of one tile is alive, and nothing of size N · M · A.
Scores are in base 2 inside, and under an additive mask natural, as in `impl.scaled_dot_product.kernel`; the log-sum-exp L too.
Letters: r and c are projected queries and keys, e the energies' weight, v, o and g values, output and its cotangent; i rows, j columns, a hidden units.
`impl.additive.launch` prepares every argument. Shapes: R [B, H, N, A], C [B, H, M, A], energy [A], all in the accumulator's dtype; V [B, H, M, VALUE_WIDTH];
strides are named by tensor and axis (`rb`, `rh`, `rn`, `ra`: of R, by sequence, head, position, unit). What is written is contiguous.

Sources: Bahdanau, Cho and Bengio 2015, appendix A.1.2, https://arxiv.org/abs/1409.0473; online softmax and backward: Dao 2023, algorithms 1 and 2,
https://arxiv.org/abs/2307.08691.
"""

import triton
import triton.language as tl

from impl._triton.division import divided
from impl.scaled_dot_product.kernel import apart, biased, raised, tile

LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)
FARTHEST = tl.constexpr(20.0)  # from 19.1 on tanh rounds to 1 in float64 too


@triton.jit
def tanh(x, ACC: tl.constexpr):
    """tanh x to 7 units of roundoff u, near 0 too, by one exp2 and one quotient: from ln 2 on (E − 1) / (E + 1) with E = e^{2|x|}, below a fraction of z = x².

    Far: E has relative error ε = 4u of exp2 and 2u · 2|x| of its argument, and the quotient has 2E / (E² − 1) = 1 / sinh 2|x| times it: E ≥ 4 makes that at
    most 8/15 · 4u + 2u · 2 ln 2 / (15/8) < 3.7u; E − 1, E + 1 and the quotient are one rounding each: below 6.7u.
    Near: tanh x = x / (1 + z / (3 + z / (5 + …))) (Lambert; DLMF 4.39.1, https://dlmf.nist.gov/4.39). Its parts are positive, so that tanh lies between
    neighbouring convergents x A_n / B_n, which differ by x z^n / (B_n B_{n+1}): relatively by at most z^5 / (945 · 10395) < 0.05 u for n = 5 in float32
    (z < 0.4805), and by z^9 / (17!! 19!!) < 0.001 u for n = 9 in float64. By Horner's rule sums of positive terms do not cancel: numerator and denominator
    have below 2.5u each (later terms are small beside the first), the product and the correctly rounded quotient u each: below 7u.
    """
    size = tl.abs(x)
    size = tl.where(size > FARTHEST, FARTHEST, size)  # keeps NaN
    z = size * size
    above, below = (z + 105) * z + 945, (15 * z + 420) * z + 945
    if ACC.primitive_bitwidth == 64:
        above = (((z + 990) * z + 135135) * z + 4729725) * z + 34459425
        below = (((45 * z + 13860) * z + 945945) * z + 16216200) * z + 34459425
    grown = tl.exp2(size * (2 * LOG2_E))
    near = size < LN_2
    found = divided(tl.where(near, size * above, grown - 1), tl.where(near, below, grown + 1))
    return tl.where(x < 0, -found, found)


@triton.jit
def hidden(x, x_place, x_inside, y, y_place, y_inside, ACC: tl.constexpr):
    """tanh(x + y) of one hidden unit [X, Y]: `x` and `y` point at the first position of each axis, `x_place` and `y_place` are the positions' offsets."""
    first = tl.load(x + x_place, mask=x_inside, other=0.0)
    second = tl.load(y + y_place, mask=y_inside, other=0.0)
    return tanh(first[:, None] + second[None, :], ACC)


@triton.jit
def energies(
    x, x_place, x_inside, x_step, y, y_place, y_inside, y_step, energy, energy_step,
    A: tl.constexpr, X: tl.constexpr, Y: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Σ_a e_a tanh(x_a + y_a) [X, Y]; the steps lead from a hidden unit to the next."""
    s = tl.zeros([X, Y], ACC)
    for _ in range(A):
        s += tl.load(energy) * hidden(x, x_place, x_inside, y, y_place, y_inside, ACC)
        x += x_step
        y += y_step
        energy += energy_step
    return s


@triton.jit
def through_tanh(
    d_s, d_x, d_energy, x, x_place, x_inside, x_step, y, y_place, y_inside, y_step,
    A: tl.constexpr, UNITS: tl.constexpr, OF_ENERGY: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """What a tile's gradient of the scores d_s [X, Y] adds to Σ_y d_s (1 − tanh²) [X, UNITS] and, where asked for, to Σ_y d_s tanh [X, UNITS]."""
    unit = tl.arange(0, UNITS)[None, :]
    for a in range(A):
        t = hidden(x, x_place, x_inside, y, y_place, y_inside, ACC)
        d_x += tl.where(unit == a, tl.sum(d_s * (1 - t * t), 1)[:, None], 0.0)
        if OF_ENERGY:
            d_energy += tl.where(unit == a, tl.sum(d_s * t, 1)[:, None], 0.0)
        x += x_step
        y += y_step
    return d_x, d_energy


@triton.jit
def based(score, BIAS: tl.constexpr):
    """Natural scores in base 2, unless a bias was added to them."""
    if BIAS == "additive":
        return score
    else:
        return score * LOG2_E


@triton.jit
def forward(
    R, C, energy, V, O, L, bias,
    rb, rh, rn, ra, cb, ch, cm, ca, ea, vb, vh, vm, ve, bb, bh, bn, bm, H, N, M,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, A: tl.constexpr, E: tl.constexpr, VALUE_WIDTH: tl.constexpr,
    CAUSAL: tl.constexpr, BIAS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Output and log-sum-exp of `ROWS` queries of one head. Grid: (blocks of queries, B · H)."""
    b, h, start = (tl.program_id(1) // H).to(tl.int64), (tl.program_id(1) % H).to(tl.int64), tl.program_id(0) * ROWS
    r, c, e = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, E)
    i = start + r
    R += b * rb + h * rh + start.to(tl.int64) * rn
    C += b * cb + h * ch
    V += b * vb + h * vh
    row_place, column_place = r.to(tl.int64) * rn, c.to(tl.int64) * cm
    values = apart(c[:, None], vm, e[None, :], ve, WIDE)
    if BIAS != "none":
        bias += b * bb + h * bh
    top = tl.full([ROWS], float("-inf"), ACC)
    mass = tl.zeros([ROWS], ACC)
    total = tl.zeros([ROWS, E], ACC)
    end = M
    if CAUSAL:
        end = tl.minimum(M, start + ROWS)
    for s in range(0, end, COLUMNS):
        j = s + c
        first = (M * 0 + s).to(tl.int64)
        score = energies(R, row_place, i < N, ra, C + first * cm, column_place, j < M, ca, energy, ea, A, ROWS, COLUMNS, ACC)
        inside = (i < N)[:, None] & (j < M)[None, :]
        if CAUSAL:
            inside = inside & (j[None, :] <= i[:, None])
        score, inside = biased(score, i[:, None], j[None, :], 0, 0.0, bias, bn, bm, inside, BIAS, False, WIDE, ACC)
        score = tl.where(inside, based(score, BIAS), float("-inf"))
        risen = tl.maximum(top, tl.max(score, 1))
        base = tl.where(risen == float("-inf"), 0.0, risen)  # nothing seen yet: −∞ − (−∞) must not arise
        shrink = raised(top - base, BIAS != "additive")
        p = raised(score - base[:, None], BIAS != "additive")
        mass = mass * shrink + tl.sum(p, 1)
        v = tile(V + first * vm, values, c[:, None], M - s, e[None, :], VALUE_WIDTH, E, True)
        total = tl.dot(p.to(v.dtype), v, total * shrink[:, None], input_precision="ieee", out_dtype=ACC)
        top = risen
    empty = mass == 0
    total = total / tl.where(empty, 1.0, mass)[:, None]
    above = (b * H + h) * N + start
    O += above * VALUE_WIDTH
    tl.store(O + apart(r[:, None], VALUE_WIDTH, e[None, :], 1, WIDE), total.to(O.dtype.element_ty), mask=(i < N)[:, None] & (e < VALUE_WIDTH)[None, :])
    mass = tl.where(empty, 1.0, mass)
    tl.store(L + above + r, tl.where(empty, float("-inf"), top + (tl.log2(mass) if BIAS != "additive" else tl.log(mass))), mask=i < N)


@triton.jit
def slope(score, d_p, log_sum_exp, delta, inside, BIAS: tl.constexpr):
    """Weights p, rebuilt from natural scores and their log-sum-exp, and the gradient of the scores p ∘ (d_p − delta); both 0 outside."""
    p = tl.where(inside, raised(based(score, BIAS) - log_sum_exp, BIAS != "additive"), 0.0)
    return p, tl.where(inside, p * (d_p - delta), 0.0)


@triton.jit
def backward_queries(
    R, C, energy, V, O, g_O, L, delta, d_R, d_energy, d_bias, bias,
    rb, rh, rn, ra, cb, ch, cm, ca, ea, vb, vh, vm, ve, gb, gh, gn, ge, bb, bh, bn, bm, H, N, M,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, A: tl.constexpr, UNITS: tl.constexpr, E: tl.constexpr, VALUE_WIDTH: tl.constexpr,
    CAUSAL: tl.constexpr, BIAS: tl.constexpr, D_BIAS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """dR of `ROWS` queries of one head, this program's part of the gradient of the energies' weight, d_energy [B · H, blocks, A], and delta =
    rowsum(g ∘ O), which `backward_keys` reads. Where `D_BIAS`, the gradient of the scores too, in [B, H, N, M]. Grid: (blocks of queries, B · H)."""
    b, h, start = (tl.program_id(1) // H).to(tl.int64), (tl.program_id(1) % H).to(tl.int64), tl.program_id(0) * ROWS
    r, c, e, u = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, E), tl.arange(0, UNITS)
    i = start + r
    R += b * rb + h * rh + start.to(tl.int64) * rn
    C += b * cb + h * ch
    V += b * vb + h * vh
    above = (b * H + h) * N + start
    row_place, column_place = r.to(tl.int64) * rn, c.to(tl.int64) * cm
    values = apart(c[None, :], vm, e[:, None], ve, WIDE)
    g_O += b * gb + h * gh + start.to(tl.int64) * gn
    g = tile(g_O, apart(r[:, None], gn, e[None, :], ge, WIDE), i[:, None], N, e[None, :], VALUE_WIDTH, E, True)
    o = tile(O + above * VALUE_WIDTH, apart(r[:, None], VALUE_WIDTH, e[None, :], 1, WIDE), i[:, None], N, e[None, :], VALUE_WIDTH, E, True)
    down = tl.sum(o.to(ACC) * g.to(ACC), 1)
    tl.store(delta + above + r, down, mask=i < N)
    log_sum_exp = tl.load(L + above + r, mask=i < N, other=float("-inf"))
    if BIAS != "none":
        bias += b * bb + h * bh
    d_r = tl.zeros([ROWS, UNITS], ACC)
    d_e = tl.zeros([ROWS, UNITS], ACC)
    end = M
    if CAUSAL:
        end = tl.minimum(M, start + ROWS)
    for s in range(0, end, COLUMNS):
        j = s + c
        first = (M * 0 + s).to(tl.int64)
        score = energies(R, row_place, i < N, ra, C + first * cm, column_place, j < M, ca, energy, ea, A, ROWS, COLUMNS, ACC)
        inside = (i < N)[:, None] & (j < M)[None, :]
        if CAUSAL:
            inside = inside & (j[None, :] <= i[:, None])
        score, inside = biased(score, i[:, None], j[None, :], 0, 0.0, bias, bn, bm, inside, BIAS, False, WIDE, ACC)
        v = tile(V + first * vm, values, c[None, :], M - s, e[:, None], VALUE_WIDTH, E, True)
        d_p = tl.dot(g, v, input_precision="ieee", out_dtype=ACC)
        inside = inside & (log_sum_exp != float("-inf"))[:, None]  # a row that sees nothing has no weights
        _, d_s = slope(score, d_p, log_sum_exp[:, None], down[:, None], inside, BIAS)
        if D_BIAS:
            tl.store(d_bias + (above + r)[:, None] * M + j[None, :], d_s, mask=(i < N)[:, None] & (j < M)[None, :])
        d_r, d_e = through_tanh(d_s, d_r, d_e, R, row_place, i < N, ra, C + first * cm, column_place, j < M, ca, A, UNITS, True, ACC)
    weight = tl.load(energy + u * ea, mask=u < A, other=0.0)
    tl.store(d_R + (above + r)[:, None] * A + u[None, :], d_r * weight[None, :], mask=(i < N)[:, None] & (u < A)[None, :])
    part = tl.program_id(1).to(tl.int64) * tl.num_programs(0) + tl.program_id(0)
    tl.store(d_energy + part * A + u, tl.sum(d_e, 0), mask=u < A)


@triton.jit
def backward_keys(
    R, C, energy, V, g_O, L, delta, d_C, d_V, bias,
    rb, rh, rn, ra, cb, ch, cm, ca, ea, vb, vh, vm, ve, gb, gh, gn, ge, bb, bh, bn, bm, H, N, M,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, A: tl.constexpr, UNITS: tl.constexpr, E: tl.constexpr, VALUE_WIDTH: tl.constexpr,
    CAUSAL: tl.constexpr, BIAS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """dC and dV of `COLUMNS` keys of one head. Tiles have the keys first. Grid: (blocks of keys, B · H)."""
    b, h, start = (tl.program_id(1) // H).to(tl.int64), (tl.program_id(1) % H).to(tl.int64), tl.program_id(0) * COLUMNS
    r, c, e, u = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, E), tl.arange(0, UNITS)
    j = start + c
    R += b * rb + h * rh
    C += b * cb + h * ch + start.to(tl.int64) * cm
    V += b * vb + h * vh + start.to(tl.int64) * vm
    g_O += b * gb + h * gh
    rows = (b * H + h) * N
    row_place, column_place = r.to(tl.int64) * rn, c.to(tl.int64) * cm
    v = tile(V, apart(c[:, None], vm, e[None, :], ve, WIDE), j[:, None], M, e[None, :], VALUE_WIDTH, E, True)
    cotangents = apart(r[:, None], gn, e[None, :], ge, WIDE)
    if BIAS != "none":
        bias += b * bb + h * bh
    d_c = tl.zeros([COLUMNS, UNITS], ACC)
    d_v = tl.zeros([COLUMNS, E], ACC)
    begin = N * 0
    if CAUSAL:
        begin = tl.minimum(N, start // ROWS * ROWS)
    for s in range(begin, N, ROWS):
        i = s + r
        first = (N * 0 + s).to(tl.int64)
        score = energies(C, column_place, j < M, ca, R + first * rn, row_place, i < N, ra, energy, ea, A, COLUMNS, ROWS, ACC)
        inside = (j < M)[:, None] & (i < N)[None, :]
        if CAUSAL:
            inside = inside & (j[:, None] <= i[None, :])
        score, inside = biased(score, i[None, :], j[:, None], 0, 0.0, bias, bn, bm, inside, BIAS, False, WIDE, ACC)
        g = tile(g_O + first * gn, cotangents, i[:, None], N, e[None, :], VALUE_WIDTH, E, True)
        d_p = tl.dot(v, tl.trans(g), input_precision="ieee", out_dtype=ACC)
        log_sum_exp = tl.load(L + rows + i, mask=i < N, other=float("-inf"))
        down = tl.load(delta + rows + i, mask=i < N, other=0.0)
        inside = inside & (log_sum_exp != float("-inf"))[None, :]
        p, d_s = slope(score, d_p, log_sum_exp[None, :], down[None, :], inside, BIAS)
        d_v = tl.dot(p.to(g.dtype), g, d_v, input_precision="ieee", out_dtype=ACC)
        d_c, _ = through_tanh(d_s, d_c, 0.0, C, column_place, j < M, ca, R + first * rn, row_place, i < N, ra, A, UNITS, False, ACC)
    above = (b * H + h) * M + start
    weight = tl.load(energy + u * ea, mask=u < A, other=0.0)
    tl.store(d_C + (above + c)[:, None] * A + u[None, :], d_c * weight[None, :], mask=(j < M)[:, None] & (u < A)[None, :])
    d_V += above * VALUE_WIDTH
    tl.store(d_V + apart(c[:, None], VALUE_WIDTH, e[None, :], 1, WIDE), d_v.to(d_V.dtype.element_ty), mask=(j < M)[:, None] & (e < VALUE_WIDTH)[None, :])
