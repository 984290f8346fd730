"""The letters that derivations share: sizes, the indices that run over them, and the matrices of attention.

Sizes are positive integers. Every index runs over 1..its size (`RANGE`), which is what lets a sum over a Kronecker delta contract.
"""

import sympy as sp

n, m, d, d_v, h = sp.symbols("n m d d_v h", integer=True, positive=True)  # queries, keys, key width, value width, heads

i, j, k, l = sp.symbols("i j k l", integer=True, positive=True)  # positions among the keys of a row (1..n in one row)
r, t = sp.symbols("r t", integer=True, positive=True)  # query rows, 1..m when both axes are needed
a, b = sp.symbols("a b", integer=True, positive=True)  # key features, 1..d
e, f = sp.symbols("e f", integer=True, positive=True)  # value features, 1..d_v
g = sp.Symbol("g", integer=True, positive=True)  # heads, 1..h
head = sp.Symbol("p", integer=True, positive=True)  # one of the heads
RANGE = {i: n, j: n, k: n, l: n, r: m, t: m, a: d, b: d, e: d_v, f: d_v, g: h, head: h}

c = sp.Symbol("c", real=True)  # a constant added to scores, or the scale
T = sp.Symbol("T", positive=True)  # temperature
s = sp.IndexedBase("s", real=True)  # the scores of one row, s[j]
S = sp.IndexedBase("S", real=True)  # scores, S[r, j]
Q = sp.IndexedBase("Q", real=True)  # queries, Q[r, a]
K = sp.IndexedBase("K", real=True)  # keys, K[j, a]
V = sp.IndexedBase("V", real=True)  # values, V[j, e]
v = sp.IndexedBase("v", real=True)  # scalar values of one row, v[j]
P = sp.IndexedBase("P", positive=True)  # attention weights, P[r, j]
p = sp.IndexedBase("p", positive=True)  # the weights of one row, p[j]
G = sp.IndexedBase("G", real=True)  # cotangent of the output, G[r, e]


def total(body: sp.Expr, index: sp.Symbol) -> sp.Expr:
    """The sum of `body` over the whole range of `index`."""
    return sp.Sum(body, (index, 1, RANGE[index]))


def softmax(scores: sp.IndexedBase, position: sp.Symbol, over: sp.Symbol = l) -> sp.Expr:
    """exp(scores[position]) / Σ_over exp(scores[over]), for one row of symbolic length n."""
    return sp.exp(scores[position]) / total(sp.exp(scores[over]), over)
