"""Monotonic attention's expected alignment in Triton: rows one after another, each row by one associative scan over its positions, forward and backward.

Shapes: energies E [B, H, N, M] and an additive or boolean (uint8) bias of that shape, any strides, named by axis; weights W [B, H, N, M] and those of the step
before the first row, `begins` [B, H, M], contiguous, and the cotangent g_W of W, all in the accumulator's dtype `ACC`. A program holds one sequence, and
`BLOCK` positions at once; `ONE`: they are all. `WIDE`: offsets along a row need 64 bits. Grid: (B · H,). `impl.monotonic.launch` prepares every argument.

With p = sigmoid(e), c = 1 − p and the row before α′, a row is q_j = c_{j−1} q_{j−1} + α′_j and α_j = p_j q_j. So what comes to a position is an affine
function of what passed the positions before, and affine functions compose associatively (Blelloch 1990, section 1.4,
https://www.cs.cmu.edu/~guyb/papers/Ble93.pdf). Each factor is at most 1 and nothing is divided by: nothing overflows, and a product that underflows is as
small as it should be.

Neither scan shifts anything. An element says what comes *to* its position and what it does with that, so that a tile is stored where it was loaded. Between two
rows of several tiles a barrier makes the stores of one visible to the loads of the next, whatever layouts the compiler chose for either.
"""

import triton
import triton.language as tl


@triton.jit
def falling(x, ACC: tl.constexpr):
    """exp(x) for x ≤ 0, with a small relative error wherever it is a normal number: 2^t loses as many bits as t has before its point, so the whole part is
    taken off first, by ln 2 in two parts (Cody and Waite 1980, Software Manual for the Elementary Functions, chapter 6). 0 below −200, where float32 has no
    other number."""
    if tl.float64 == ACC:
        return tl.exp(x)
    x = tl.where(x < -200.0, -200.0, x)  # a NaN stays one
    whole = tl.floor(x * 1.4426950408889634 + 0.5)
    rest = (x - whole * 0.693359375) + whole * 2.1219444005469057e-4  # ln 2 = 0.693359375 − 2.12e-4; the first product is exact
    return tl.exp2(whole) * tl.exp2(rest * 1.4426950408889634)


@triton.jit
def chances(E, bias, j, em, bm, inside, BIAS: tl.constexpr, ACC: tl.constexpr):
    """p and 1 − p of some positions of a row, [BLOCK] each: the larger is 1 / (1 + t), the smaller t / (1 + t) with t = exp(−|e|), so that neither cancels.
    0 and 1, a scan that passes, where a position is hidden or past the end."""
    e = tl.load(E + j * em, mask=inside, other=0.0).to(ACC)
    seen = inside
    if BIAS == "boolean":
        seen = seen & (tl.load(bias + j * bm, mask=inside, other=0) != 0)
    if BIAS == "additive":
        added = tl.load(bias + j * bm, mask=inside, other=0.0).to(ACC)
        seen = seen & (added != float("-inf"))
        e = e + added
    small = falling(-tl.abs(e), ACC)
    if tl.float64 == ACC:
        large = 1.0 / (1.0 + small)
    else:
        large = tl.div_rn(1.0, 1.0 + small)
    small = small * large
    stop = tl.where(e >= 0.0, large, small)
    go = tl.where(e >= 0.0, small, large)
    return tl.where(seen, stop, 0.0), tl.where(seen, go, 1.0)


@triton.jit
def forth(a, b, c, by, began, go):
    """One stretch of positions and the next one as one stretch. If x passed everything before a stretch, a x + b comes to its last position, and passes it with
    probability c."""
    passing = by * c
    return passing * a, passing * b + began, go


@triton.jit
def back(a, b, s, go, behind, gain):
    """One stretch of positions and the one before it as one stretch. If arriving behind a stretch is worth x, passing its first position is worth a x + b
    (the chance of doing so included), and stopping there s."""
    return go * a, go * (b + s) + behind, gain


@triton.jit
def align(
    E, bias, begins, W,
    eb, eh, en, em, bb, bh, bn, bm, H, N, M,
    BLOCK: tl.constexpr, ONE: tl.constexpr, WIDE: tl.constexpr, BIAS: tl.constexpr, STAGES: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """The weights W of one sequence, whose first row begins with the weights `begins`. In one tile a row's weights stay in registers for the next row; in
    several they are read back from W, and what passed the last position of a tile is carried to the next tile."""
    sequence = tl.program_id(0)
    batch, head = (sequence // H).to(tl.int64), (sequence % H).to(tl.int64)
    E += batch * eb + head * eh
    W += sequence.to(tl.int64) * N * M
    begins += sequence.to(tl.int64) * M
    if BIAS != "none":
        bias += batch * bb + head * bh
    j = tl.arange(0, BLOCK)
    if WIDE:
        j = j.to(tl.int64)
    ones = tl.full([BLOCK], 1.0, ACC)
    if ONE:
        inside = j < M
        row = tl.load(begins + j, mask=inside, other=0.0)
        for _row in tl.range(0, N, num_stages=STAGES):
            stop, go = chances(E, bias, j, em, bm, inside, BIAS, ACC)
            _, here, _ = tl.associative_scan((ones, row, go), 0, forth)
            row = stop * here
            tl.store(W + j, row, mask=inside)
            E += en
            W += M
            if BIAS != "none":
                bias += bn
    else:
        for _row in range(0, N):
            passed = tl.full([], 0.0, ACC)
            for start in tl.range(0, M, BLOCK, num_stages=STAGES):
                at = start + j
                inside = at < M
                stop, go = chances(E, bias, at, em, bm, inside, BIAS, ACC)
                row = tl.load(begins + at, mask=inside, other=0.0)
                a, b, _ = tl.associative_scan((ones, row, go), 0, forth)
                here = a * passed + b
                tl.store(W + at, stop * here, mask=inside)
                passed = tl.sum(tl.where(j == BLOCK - 1, go * here, 0.0), 0)
            tl.debug_barrier()
            begins = W
            E += en
            W += M
            if BIAS != "none":
                bias += bn


@triton.jit
def pulled(g, weight, stop, go, behind, BLOCK: tl.constexpr, ACC: tl.constexpr):
    """Of some positions of a row, [BLOCK] each: the gradient of the energies, and what arriving is worth. `g` is what a weight is worth, through the output and
    the next row; `behind`, a number, what arriving behind these positions is worth."""
    gain = stop * g
    a, b, _ = tl.associative_scan((go, tl.full([BLOCK], 0.0, ACC), gain), 0, back, reverse=True)
    passing = a * behind + b
    return weight * (go * g - passing), gain + passing


@triton.jit
def align_backward(
    E, bias, W, g_W, d_E, d_previous,
    eb, eh, en, em, bb, bh, bn, bm, gb, gh, gn, gm, H, N, M,
    BLOCK: tl.constexpr, ONE: tl.constexpr, WIDE: tl.constexpr, BIAS: tl.constexpr, STAGES: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Gradients of one sequence, from the last row to the first and from the last position to the first: d_E [B, H, N, M] and d_previous [B, H, M], contiguous.

    With ᾱ_j the gradient of α_j (its cotangent, and q̄_j of the next row, which α_j begins), arriving at j is worth q̄_j = p_j ᾱ_j + z_j, where z_j = c_j q̄_{j+1}
    is what passing it is worth. The energy's gradient is p_j c_j q_j (ᾱ_j − q̄_{j+1}) = α_j (c_j ᾱ_j − z_j), without q and without a division. In several tiles
    q̄ of the next row is kept in d_previous, which comes full of zeros; after the first row it is what its name says.
    """
    sequence = tl.program_id(0)
    batch, head, last = (sequence // H).to(tl.int64), (sequence % H).to(tl.int64), tl.cast(N - 1, tl.int64)
    E += batch * eb + head * eh + last * en
    g_W += batch * gb + head * gh + last * gn
    W += (sequence.to(tl.int64) * N + last) * M
    d_E += (sequence.to(tl.int64) * N + last) * M
    d_previous += sequence.to(tl.int64) * M
    if BIAS != "none":
        bias += batch * bb + head * bh + last * bn
    j = tl.arange(0, BLOCK)
    if WIDE:
        j = j.to(tl.int64)
    if ONE:
        inside = j < M
        worth = tl.full([BLOCK], 0.0, ACC)
        for _row in tl.range(0, N, num_stages=STAGES):
            stop, go = chances(E, bias, j, em, bm, inside, BIAS, ACC)
            g = tl.load(g_W + j * gm, mask=inside, other=0.0) + worth
            weight = tl.load(W + j, mask=inside, other=0.0)
            slope, worth = pulled(g, weight, stop, go, 0.0, BLOCK, ACC)
            tl.store(d_E + j, slope, mask=inside)
            E -= en
            g_W -= gn
            W -= M
            d_E -= M
            if BIAS != "none":
                bias -= bn
        tl.store(d_previous + j, worth, mask=inside)
    else:
        for _row in range(0, N):
            behind = tl.full([], 0.0, ACC)
            for start in tl.range(0, M, BLOCK, num_stages=STAGES):
                at = (M - 1) // BLOCK * BLOCK - start + j
                inside = at < M
                stop, go = chances(E, bias, at, em, bm, inside, BIAS, ACC)
                worth = tl.load(d_previous + at, mask=inside, other=0.0)
                g = tl.load(g_W + at * gm, mask=inside, other=0.0) + worth
                weight = tl.load(W + at, mask=inside, other=0.0)
                slope, worth = pulled(g, weight, stop, go, behind, BLOCK, ACC)
                tl.store(d_E + at, slope, mask=inside)
                tl.store(d_previous + at, worth, mask=inside)
                behind = tl.sum(tl.where(j == 0, worth, 0.0), 0)
            E -= en
            g_W -= gn
            W -= M
            d_E -= M
            if BIAS != "none":
                bias -= bn
            tl.debug_barrier()
