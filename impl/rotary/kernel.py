"""Rotary positions in Triton: each pair of features is read once, turned and written once; angles come from tables, which were taken in float64.

Shapes: Q [B, H, N, D], K [C, G, M, D] and what they become, O and P, any strides (`qb`, `qh`, `qn`, `qd`: of Q, by sequence, head, position, feature); cosines
and sines [max(N, M), PAIRS], contiguous, PAIRS = D / 2, which is padded to `PADDED`, a power of 2. `impl.rotary.launch` prepares every argument.
Source: Su et al. 2021, section 3.4.2, https://arxiv.org/abs/2104.09864
"""

import triton
import triton.language as tl


@triton.jit
def rows_of(first, i, N, number, H, HEADS, sequence_stride, head_stride, position_stride):
    """Pointers to rows `i` of one head, the `number`-th of all sequences, and which of them are there."""
    batch, head = (number // H).to(tl.int64), (number % H).to(tl.int64)
    return first + batch * sequence_stride + head * head_stride + i.to(tl.int64) * position_stride, (i < N) & (number < HEADS)


@triton.jit
def turn(X, xd, Y, yd, inside, c, s, PADDED: tl.constexpr, PAIRS: tl.constexpr, INTERLEAVED: tl.constexpr, ACC: tl.constexpr):
    """(a, b) becomes (a c − b s, a s + b c), for every pair of the rows at X [ROWS, 1], which go to Y. Neighbours are read and written as one tile of whole
    rows, that threads may fetch 16 bytes of it at once, and parted in registers."""
    if INTERLEAVED:
        d = tl.arange(0, 2 * PADDED)[None, :]
        within = inside & (d < 2 * PAIRS)
        pairs = tl.load(X + d * xd, mask=within, other=0.0).to(ACC)
        a, b = tl.split(tl.reshape(pairs, [X.shape[0], PADDED, 2]))
        turned = tl.join(a * c - b * s, a * s + b * c)
        tl.store(Y + d * yd, tl.reshape(turned, [X.shape[0], 2 * PADDED]).to(Y.dtype.element_ty), mask=within)
    else:
        p = tl.arange(0, PADDED)[None, :]
        within = inside & (p < PAIRS)
        a = tl.load(X + p * xd, mask=within, other=0.0).to(ACC)
        b = tl.load(X + (p + PAIRS) * xd, mask=within, other=0.0).to(ACC)
        tl.store(Y + p * yd, (a * c - b * s).to(Y.dtype.element_ty), mask=within)
        tl.store(Y + (p + PAIRS) * yd, (a * s + b * c).to(Y.dtype.element_ty), mask=within)


@triton.jit
def turn_both(
    Q, K, O, P, cosines, sines,
    qb, qh, qn, qd, kb, kh, kn, kd, ob, oh, on, od, pb, ph, pn, pd, H, G, N, M, query_heads, key_heads,
    ROWS: tl.constexpr, HEADS: tl.constexpr, PADDED: tl.constexpr, PAIRS: tl.constexpr, INTERLEAVED: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """`ROWS` positions of `HEADS` heads of queries and of keys, turned by one tile of the tables. Pair p is features (2p, 2p + 1), or (p, p + PAIRS).
    Grid: (blocks of positions, blocks of heads); `query_heads` = B · H and `key_heads` = C · G."""
    start = tl.program_id(0) * ROWS
    i, p = (start + tl.arange(0, ROWS))[:, None], tl.arange(0, PADDED)[None, :]
    there = (i < tl.maximum(N, M)) & (p < PAIRS)
    c = tl.load(cosines + i.to(tl.int64) * PAIRS + p, mask=there, other=0.0)
    s = tl.load(sines + i.to(tl.int64) * PAIRS + p, mask=there, other=0.0)
    for number in range(tl.program_id(1) * HEADS, (tl.program_id(1) + 1) * HEADS):
        x, inside = rows_of(Q, i, N, number, H, query_heads, qb, qh, qn)
        y, inside = rows_of(O, i, N, number, H, query_heads, ob, oh, on)
        turn(x, qd, y, od, inside, c, s, PADDED, PAIRS, INTERLEAVED, ACC)
        x, inside = rows_of(K, i, M, number, G, key_heads, kb, kh, kn)
        y, inside = rows_of(P, i, M, number, G, key_heads, pb, ph, pn)
        turn(x, kd, y, pd, inside, c, s, PADDED, PAIRS, INTERLEAVED, ACC)
