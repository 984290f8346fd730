"""Where statements come from: the five course texts, and the papers that define or correct what they say."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A document and a place in it. `locator` is the nearest heading, or an equation or section number."""

    key: str
    title: str
    url: str = ""
    locator: str = ""

    def at(self, locator: str) -> Source:
        return replace(self, locator=locator)


# The course texts, by their titles; they have no permanent address, so the heading is the locator.
S0 = Source(key="S0", title="Day 15.2: Attention Mechanisms Deep Dive - Mathematical Foundations and Advanced Variants")
S1 = Source(key="S1", title="Day 42: Attention Mechanisms - Self-Attention, Multi-Head, Cross-Attention")
S2 = Source(key="S2", title="Mathematical Foundations of Attention")
S3 = Source(key="S3", title="The Mathematics of Attention Mechanisms")
S4 = Source(key="S4", title="Attention Mechanisms")
TEXTS = (S0, S1, S2, S3, S4)

VASWANI = Source(key="vaswani2017", title="Attention Is All You Need", url="https://arxiv.org/abs/1706.03762")
MILAKOV = Source(key="milakov2018", title="Online normalizer calculation for softmax", url="https://arxiv.org/abs/1805.02867")
DAO = Source(key="dao2022", title="FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness", url="https://arxiv.org/abs/2205.14135")
BLANCHARD = Source(key="blanchard2021", title="Accurately computing the log-sum-exp and softmax functions", url="https://doi.org/10.1093/imanum/draa038")
HIGHAM = Source(key="higham2002", title="Accuracy and Stability of Numerical Algorithms, 2nd ed.", url="https://doi.org/10.1137/1.9780898718027")
GLOROT = Source(
    key="glorot2010",
    title="Understanding the difficulty of training deep feedforward neural networks",
    url="https://proceedings.mlr.press/v9/glorot10a.html",
)
COVER = Source(key="cover2006", title="Elements of Information Theory, 2nd ed.", url="https://doi.org/10.1002/047174882X")
KIM = Source(key="kim2021", title="The Lipschitz Constant of Self-Attention", url="https://arxiv.org/abs/2006.04710")
ENDRES = Source(key="endres2003", title="A new metric for probability distributions", url="https://doi.org/10.1109/TIT.2003.813506")
TORCH_SDPA = Source(
    key="torch-sdpa",
    title="torch.nn.functional.scaled_dot_product_attention",
    url="https://docs.pytorch.org/docs/2.13/generated/torch.nn.functional.scaled_dot_product_attention.html",
)
