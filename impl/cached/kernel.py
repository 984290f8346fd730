"""Decoding in Triton over a cache that is read in splits and pages: one kernel gives the online-softmax state of each split's keys, another merges them.

Shapes: Q [B, H, N, WIDTH], the N newest tokens of each sequence; K [G, pages, PAGE, WIDTH] and V [G, pages, PAGE, VALUE_WIDTH], a pool of pages that
sequences share; lengths [B]; table [B, pages of a sequence]. A cache with slots of its own for each sequence is a pool in which sequence b has one page, b.
The H / G = `GROUP` heads that read one head of keys stand in one program, so that a key is loaded once for all of them: its rows are r = i · GROUP + (head
within the group), for token i. Scores are in base 2. Letters: q, k, v tiles of Q, K, V; s scores, p weights; c places in the sequence (or slots of a ring),
j the positions of the tokens there. `impl.cached.launch` prepares every argument.
Sources: Dao, Haziza, Massa and Sizov 2023, https://crfm.stanford.edu/2023/10/12/flashdecoding.html; Kwon et al. 2023, https://arxiv.org/abs/2309.06180
"""

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def partial(
    Q, K, V, TOP, MASS, TOTAL, lengths, table, positions, slopes,
    qb, qh, qn, qd, kg, kp, ks, kd, vg, vp, vs, vd, tb, tp, ah,
    G, N, KEYS, slots, window, sinks, scale, factor,
    SIGN: tl.constexpr, GROUP: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, D: tl.constexpr, E: tl.constexpr,
    WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr, PAGE: tl.constexpr, PAGED: tl.constexpr, WITHIN: tl.constexpr, ALIBI: tl.constexpr,
    ROLLING: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """The state (maximum, mass, sum) of `ROWS` rows over one split: of `KEYS` keys, as many as the sequence has there. A split without any has (−∞, 0, 0).

    TOP, MASS [B · H · N, splits] and TOTAL [B · H · N, splits, VALUE_WIDTH] are contiguous. `WITHIN`: a tile never leaves its page, so that one number of the
    table serves it. `ROLLING`: the sequences, all equally long, lie in the first `slots` of a ring, whose tokens stand at `positions`, and rows see
    the last `window` tokens and the first `sinks`. Grid: (splits, B · G, blocks of rows).
    """
    split, splits, batch, group = tl.program_id(0), tl.num_programs(0), tl.program_id(1) // G, tl.program_id(1) % G
    b, g = batch.to(tl.int64), group.to(tl.int64)
    r, d, e = tl.program_id(2) * ROWS + tl.arange(0, ROWS), tl.arange(0, D), tl.arange(0, E)
    i, head, live = r // GROUP, group * GROUP + r % GROUP, r < GROUP * N
    length = tl.load(lengths + b).to(tl.int32)
    own = length - N + i  # the rows' positions
    q = tl.load(
        Q + b * qb + head.to(tl.int64)[:, None] * qh + i.to(tl.int64)[:, None] * qn + d[None, :] * qd,
        mask=live[:, None] & (d < WIDTH)[None, :], other=0.0,
    ) * SIGN  # fmt: skip
    slope = tl.zeros([ROWS], ACC)
    if ALIBI:
        slope = tl.load(slopes + head * ah, mask=live, other=0.0).to(ACC)
    K += g * kg
    V += g * vg
    table += b * tb

    end = slots
    if not ROLLING:  # what the block's last row sees
        end = length - N + tl.minimum(N, ((tl.program_id(2) + 1) * ROWS - 1) // GROUP + 1)
    top = tl.full([ROWS], float("-inf"), ACC)
    mass = tl.zeros([ROWS], ACC)
    total = tl.zeros([ROWS, E], ACC)
    stop = tl.minimum(end, (split + 1) * KEYS)
    for start in range(split * KEYS, stop, COLUMNS):
        c = start + tl.arange(0, COLUMNS)
        held = c < stop
        j = c
        if ROLLING:
            j = tl.load(positions + c, mask=held, other=0).to(tl.int32)
        page, slot = b, c
        if PAGED:
            slot = c % PAGE
            if WITHIN:
                page = tl.load(table + start // PAGE * tp).to(tl.int64)
            else:
                page = tl.load(table + c // PAGE * tp, mask=held, other=0).to(tl.int64)
        slot = slot.to(tl.int64)
        k = tl.load(K + (page * kp + slot * ks)[None, :] + d[:, None] * kd, mask=held[None, :] & (d < WIDTH)[:, None], other=0.0)
        v = tl.load(V + (page * vp + slot * vs)[:, None] + e[None, :] * vd, mask=held[:, None] & (e < VALUE_WIDTH)[None, :], other=0.0)
        s = tl.dot(q, k, input_precision="ieee", out_dtype=ACC)
        if ALIBI:
            s = (s * scale - slope[:, None] * (own[:, None] - j[None, :]).to(ACC)) * LOG2_E
        seen = held[None, :] & (j[None, :] <= own[:, None])
        if ROLLING:
            seen = seen & ((own[:, None] - j[None, :] < window) | (j < sinks)[None, :])
            v = tl.where((tl.max(seen.to(tl.int32), 0) > 0)[:, None], v, 0.0)  # a token that has left the window may hold NaN
        s = tl.where(seen, s, float("-inf"))
        risen = tl.max(s, 1)
        if not ALIBI:
            risen = risen * factor
            s = s * factor
        risen = tl.maximum(top, risen)
        base = tl.where(risen == float("-inf"), 0.0, risen)  # nothing seen yet: −∞ − (−∞) must not arise
        shrink = tl.exp2(top - base)
        p = tl.exp2(s - base[:, None])
        mass = mass * shrink + tl.sum(p, 1)
        total = tl.dot(p.to(v.dtype), v, total * shrink[:, None], input_precision="ieee", out_dtype=ACC)
        top = risen

    place = ((b * G * GROUP + head) * N + i) * splits + split
    tl.store(TOP + place, top, mask=live)
    tl.store(MASS + place, mass, mask=live)
    tl.store(TOTAL + place[:, None] * VALUE_WIDTH + e[None, :], total, mask=live[:, None] & (e < VALUE_WIDTH)[None, :])


@triton.jit
def merge(
    TOP, MASS, TOTAL, O, rows, splits,
    ROWS: tl.constexpr, SPLITS: tl.constexpr, E: tl.constexpr, VALUE_WIDTH: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Outputs O [rows, VALUE_WIDTH] of `ROWS` rows from the states that `partial` leaves, `SPLITS` at a time; 0 for a row that saw no key. The state of a union
    has the largest maximum, and the masses and sums brought to it. Grid: (blocks of rows,)."""
    r, e = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64), tl.arange(0, E)
    top = tl.full([ROWS], float("-inf"), ACC)
    mass = tl.zeros([ROWS], ACC)
    total = tl.zeros([ROWS, E], ACC)
    for first in range(0, splits, SPLITS):
        s = first + tl.arange(0, SPLITS)
        there = (r < rows)[:, None] & (s < splits)[None, :]
        place = r[:, None] * splits + s[None, :]
        tops = tl.load(TOP + place, mask=there, other=float("-inf"))
        masses = tl.load(MASS + place, mask=there, other=0.0)
        totals = tl.load(TOTAL + place[:, :, None] * VALUE_WIDTH + e[None, None, :], mask=there[:, :, None] & (e < VALUE_WIDTH)[None, None, :], other=0.0)
        risen = tl.maximum(top, tl.max(tops, 1))
        base = tl.where(risen == float("-inf"), 0.0, risen)
        shrink = tl.exp2(top - base)
        weight = tl.exp2(tops - base[:, None])
        mass = mass * shrink + tl.sum(masses * weight, 1)
        total = total * shrink[:, None] + tl.sum(totals * weight[:, :, None], 1)
        top = risen
    total = total / tl.where(mass == 0, 1.0, mass)[:, None]
    tl.store(O + r[:, None] * VALUE_WIDTH + e[None, :], total.to(O.dtype.element_ty), mask=(r < rows)[:, None] & (e < VALUE_WIDTH)[None, :])
