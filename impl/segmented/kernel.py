"""Softmax over segments in Triton: each target averages the values of its own rows, however many they are, and nothing is padded in memory.

Rows are sorted by segment: those from offsets[i] to offsets[i + 1] − 1 are segment i's, for its softmax. A program holds `SEGMENTS` segments of one head side
by side and walks along all of them at once, `ROWS` rows of each at a time. Each of the SEGMENTS × ROWS lanes keeps a state of online softmax of its own
(Milakov and Gimelshein 2018, algorithm 3, https://arxiv.org/abs/1805.02867): lane r of a segment has met its rows r, r + ROWS, r + 2 · ROWS, … The states
of a segment are merged once, at its end, so that no lane waits for another inside the loop, and the features of a row are one load of 16 bytes a thread.

Shapes: scores [R, H], values [S, H, WIDTH], offsets int32 [N + 1], source int32 [R] (the row of values that a row reads; without it, its own), place int32
[R] (where a row's scores stand; without it, at its own number), O and g_O [N, H, WIDTH], L and g_L [N, H]. Strides are named by tensor and axis (`vs`, `vh`,
`vc`: of values, by row, head, feature). `C` is WIDTH padded to a power of 2. A row whose score is −∞ takes no part, whatever its value holds. What is
multiplied by a stride has 64 bits. `impl.segmented.launch` prepares every argument.
Every grid is (blocks of segments · H), neighbouring programs being the heads of one block, which read the same offsets and rows.
"""

import triton
import triton.language as tl


@triton.jit
def block(offsets, N, H, SEGMENTS: tl.constexpr):
    """The head of this program, the numbers of its segments, their first rows and their lengths, and the length of the longest."""
    i = tl.program_id(0) // H * SEGMENTS + tl.arange(0, SEGMENTS)
    first = tl.load(offsets + i, mask=i < N, other=0)
    last = tl.load(offsets + i + 1, mask=i < N, other=0)
    return (tl.program_id(0) % H).to(tl.int64), i, first, last - first, tl.max(last - first, 0)


@triton.jit
def lanes(first, length, t, ROWS: tl.constexpr):
    """The rows that the lanes of each segment meet from its row t on, and which of them are its own: by their distance from its first, since the lanes of a
    segment that has ended count on, and may pass 2^31, where rows wrap around."""
    at = t + tl.arange(0, ROWS)
    return first[:, None] + at[None, :], at[None, :] < length[:, None]


@triton.jit
def through(index, row, inside, GIVEN: tl.constexpr):
    """What the index says of a row, or the row itself; 64 bits wide."""
    if GIVEN:
        return tl.load(index + row, mask=inside, other=0).to(tl.int64)
    else:
        return row.to(tl.int64)


@triton.jit
def finite(x):
    """x, and 0 for −∞, of which nothing may be subtracted that is −∞ itself."""
    return tl.where(x == float("-inf"), 0.0, x)


@triton.jit
def forward(
    scores, values, offsets, source, place, O, L,
    sr, sh, vs, vh, vc, N, H,
    SEGMENTS: tl.constexpr, ROWS: tl.constexpr, C: tl.constexpr, WIDTH: tl.constexpr, GATHERED: tl.constexpr, PLACED: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """O = Σ softmax(scores) · values of each segment, and its log-sum-exp L; 0 and −∞ where it has no rows. O and L are contiguous."""
    head, i, first, length, longest = block(offsets, N, H, SEGMENTS)
    c = tl.arange(0, C).to(tl.int64)[None, None, :]
    scores += head * sh
    values += head * vh
    top = tl.full([SEGMENTS, ROWS], float("-inf"), ACC)
    mass = tl.zeros([SEGMENTS, ROWS], ACC)
    total = tl.zeros([SEGMENTS, ROWS, C], ACC)
    for t in range(0, longest, ROWS):
        row, inside = lanes(first, length, t, ROWS)
        j = through(source, row, inside, GATHERED)
        s = tl.load(scores + through(place, row, inside, PLACED) * sr, mask=inside, other=float("-inf")).to(ACC)
        v = tl.load(values + j[:, :, None] * vs + c * vc, mask=inside[:, :, None] & (c < WIDTH), other=0.0).to(ACC)
        risen = tl.maximum(top, s)
        base = finite(risen)
        shrink = tl.exp(top - base)
        p = tl.exp(s - base)
        v = tl.where(s[:, :, None] == float("-inf"), 0.0, v)
        mass = mass * shrink + p
        total = total * shrink[:, :, None] + p[:, :, None] * v
        top = risen
    base = finite(tl.max(top, 1))
    shrink = tl.exp(top - base[:, None])
    mass = tl.sum(mass * shrink, 1)
    total = tl.sum(total * shrink[:, :, None], 1)
    empty = mass == 0
    mass = tl.where(empty, 1.0, mass)
    at = i.to(tl.int64) * H + head
    c = tl.arange(0, C)[None, :]
    tl.store(O + at[:, None] * WIDTH + c, total / mass[:, None], mask=(i < N)[:, None] & (c < WIDTH))
    tl.store(L + at, tl.where(empty, float("-inf"), base + tl.log(mass)), mask=i < N)


@triton.jit
def backward_scores(
    scores, values, offsets, source, place, O, L, g_O, g_L, d_scores, d_values,
    sr, sh, vs, vh, vc, gn, gh, gc, gln, glh, N, H,
    SEGMENTS: tl.constexpr, ROWS: tl.constexpr, C: tl.constexpr, WIDTH: tl.constexpr, GATHERED: tl.constexpr, PLACED: tl.constexpr,
    OF_VALUES: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """d_scores [R, H] = p · (Σ g ∘ (v − o) + g_L), p = exp(score − L): of the segment's own rows alone, so that no two programs meet. Where every row has a
    value of its own (`OF_VALUES`, not `GATHERED`), d_values [R, H, WIDTH] = p · g too. O, L, d_scores and d_values are contiguous."""
    head, i, first, length, longest = block(offsets, N, H, SEGMENTS)
    c = tl.arange(0, C).to(tl.int64)[None, :]
    scores += head * sh
    values += head * vh
    n = i.to(tl.int64)
    there = (i < N)[:, None] & (c < WIDTH)
    o = tl.load(O + (n * H + head)[:, None] * WIDTH + c, mask=there, other=0.0)
    g = tl.load(g_O + head * gh + n[:, None] * gn + c * gc, mask=there, other=0.0)
    log_sum_exp = finite(tl.load(L + n * H + head, mask=i < N, other=0.0))
    of_it = tl.load(g_L + n * gln + head * glh, mask=i < N, other=0.0)
    c = tl.arange(0, C).to(tl.int64)[None, None, :]
    for t in range(0, longest, ROWS):
        row, inside = lanes(first, length, t, ROWS)
        j = through(source, row, inside, GATHERED)
        e = through(place, row, inside, PLACED)
        s = tl.load(scores + e * sr, mask=inside, other=float("-inf")).to(ACC)
        v = tl.load(values + j[:, :, None] * vs + c * vc, mask=inside[:, :, None] & (c < WIDTH), other=0.0).to(ACC)
        p = tl.exp(s - log_sum_exp[:, None])
        slope = tl.sum(g[:, None, :] * (v - o[:, None, :]), 2) + of_it[:, None]
        tl.store(d_scores + e * H + head, tl.where(s == float("-inf"), 0.0, p * slope), mask=inside)
        if OF_VALUES:
            d_v = (p[:, :, None] * g[:, None, :]).to(d_values.dtype.element_ty)
            tl.store(d_values + (j * H + head)[:, :, None] * WIDTH + c, d_v, mask=inside[:, :, None] & (c < WIDTH))


@triton.jit
def backward_values(
    scores, L, g_O, offsets, target, place, d_values,
    sr, sh, gn, gh, gc, N, H,
    SEGMENTS: tl.constexpr, ROWS: tl.constexpr, C: tl.constexpr, WIDTH: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """d_values [N, H, WIDTH] = Σ p · g over the rows that read a value, in their order: no atomics, so that a call repeats to the last bit.

    Here the segments are the values' own: offsets [N + 1] part the rows sorted by what they read, `place` says where a row's scores stand, `target` which
    segment of the forward pass it belongs to, whose L and g it needs. L and d_values are contiguous; a value that no row reads gets 0.
    """
    head, i, first, length, longest = block(offsets, N, H, SEGMENTS)
    c = tl.arange(0, C).to(tl.int64)[None, None, :]
    scores += head * sh
    g_O += head * gh
    total = tl.zeros([SEGMENTS, ROWS, C], ACC)
    for t in range(0, longest, ROWS):
        row, inside = lanes(first, length, t, ROWS)
        n = through(target, row, inside, True)
        s = tl.load(scores + through(place, row, inside, True) * sr, mask=inside, other=float("-inf")).to(ACC)
        log_sum_exp = finite(tl.load(L + n * H + head, mask=inside, other=0.0))
        g = tl.load(g_O + n[:, :, None] * gn + c * gc, mask=inside[:, :, None] & (c < WIDTH), other=0.0)
        total += tl.exp(s - log_sum_exp)[:, :, None] * g
    c = tl.arange(0, C)[None, :]
    at = i.to(tl.int64) * H + head
    d_v = tl.sum(total, 1).to(d_values.dtype.element_ty)
    tl.store(d_values + at[:, None] * WIDTH + c, d_v, mask=(i < N)[:, None] & (c < WIDTH))
