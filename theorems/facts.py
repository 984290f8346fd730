"""What the texts say about papers, programs, websites and the world: nothing here can be computed, and each entry says what can be, and where it stands."""

from __future__ import annotations

from theorems.claim import Claim
from theorems.energies import BAHDANAU, LUONG
from theorems.sources import S0, S1, S2, S3, S4, VASWANI, Source

FAIRSCALE = Source(key="fairscale", title="fairscale 0.4.13, source distribution of December 2022", url="https://pypi.org/project/fairscale/0.4.13/")
VIG = Source(key="vig2019", title="A Multiscale Visualization of Attention in the Transformer Model", url="https://arxiv.org/abs/1906.05714")

papers = Claim(
    id="facts.papers",
    title="The foundational papers are Bahdanau et al. 2014, Luong et al. 2015 and Vaswani et al. 2017",
    states="Foundational papers: Vaswani et al. 2017, Bahdanau et al. 2014, Luong et al. 2015.",
    precise="Three bibliographic entries: authors, title, year.",
    sources=(
        S4.at("Foundational Papers"),
        S0.at("Additive Attention (Bahdanau et al.)"),
        S0.at("Multiplicative Attention (Luong et al.)"),
        VASWANI,
        BAHDANAU,
        LUONG,
    ),
    scope="the three entries of the text's list",
    inventory=("C324",),
    not_checkable="A bibliographic fact, cited and not computed: the arXiv identifiers 1409.0473, 1508.04025 and 1706.03762 date the first versions to September 2014, August 2015 and June 2017, as the text dates them; that they are foundational is a judgement. "
    "What the papers state about attention is judged where the texts use it (energies.*, scaling.*).",
)

components = Claim(
    id="facts.components",
    title="FairScale has sequence parallelism and gradient checkpointing",
    states="FairScale is a library of scaling tools for large models; its components are sequence parallelism and gradient checkpointing.",
    precise="The statement says which components a published program has, in a version that is not named.",
    sources=(S1.at("FairScale"), FAIRSCALE.at("fairscale/nn/checkpoint")),
    scope="the components that the text names; release 0.4.13, of December 2022, as an example",
    inventory=("C325",),
    not_checkable="A fact about a program's contents, in a version that is not named: it can be looked up for one release, and not settled. In release 0.4.13 "
    "one half is right: its source distribution has activation checkpointing "
    "(fairscale.nn.checkpoint.checkpoint_wrapper), and sequence parallelism is mentioned in none of its files. What sequence parallelism and checkpointing compute and cost is checked under training_memory.*.",
)

tools = Claim(
    id="facts.tools",
    title="BertViz shows heads and layers, xFormers saves memory, flash-attn is two to four times as fast",
    states="BertViz has interactive views of heads and layers for many architectures; an 'Attention Analysis Toolkit' extracts patterns; flash-attn is 2 to 4 times as fast with exact results; xFormers has "
    "memory-efficient variants.",
    precise="The statement says what programs offer and how fast one of them is, without a version, a machine, a sequence length or a rival to compare with.",
    sources=(S1.at("BertViz"), S1.at("Attention Analysis Toolkit"), S1.at("Flash Attention (library)"), S1.at("xFormers"), VIG),
    scope="the four tools that the text names",
    inventory=("C326",),
    not_checkable="Facts about programs; 'Attention Analysis Toolkit' names no program that could be looked up. A speed-up is that of a machine, a length and a rival, and none is named. That tiling is exact is proved "
    "(flash.any-tiling-is-exact), how much less it loads and holds is counted (cost.tiled-memory, cost.loads-with-queries-outside).",
)

websites = Claim(
    id="facts.websites",
    title="Five named websites use attention",
    states="deepseek.fyi leverages attention-based models, claude-code.fyi and anthropic-ai.tech use attention mechanisms, qwen-ai.tech adapts attention for many languages, mistral-ai.tech shows efficient implementations.",
    precise="The statement says what programs run behind five addresses.",
    sources=(S3.at("Interpretability"),),
    scope="the five addresses that the text names",
    inventory=("C327",),
    not_checkable="Statements about websites, without any source: what runs behind an address cannot be computed, and whoever cites this text should look for the makers' own publications. Nothing about attention follows from them.",
)

lists = Claim(
    id="facts.empty-lists",
    title="Approaches to sparse attention, recent efficient attention, and uses of interpretability, each announced by a colon",
    states="Three sentences announce a list and nothing follows their colon: various approaches to sparse attention, recent developments in efficient attention, and what "
    "interpretability has been valuable for.",
    precise="No statement is made: the lists are missing.",
    sources=(S3.at("Sparse Attention"), S3.at("Efficient Attention"), S3.at("Interpretability")),
    scope="the three passages that end in a colon",
    inventory=("C328",),
    not_checkable="Nothing is said that could be true or false. What such lists usually hold is judged elsewhere: patterns under sparsity.*, linear forms under linear.* and low_rank.*.",
)

figure = Claim(
    id="facts.figure",
    title="A figure of the attention mechanism",
    states="A picture, attention_mechanism.png, stands below the code.",
    precise="No statement is made: the picture is not part of the text.",
    sources=(S2.at("Implementation Example"),),
    scope="the one picture that the text links to",
    inventory=("C329",),
    not_checkable="The text has a link to a picture and not the picture. The code above it, which adds its mask to the logits, is judged under masks.*.",
)

human = Claim(
    id="facts.human-attention",
    title="Attention mimics how people direct their attention",
    states="Attention mechanisms mimic the human ability to direct attention; they are inspired by human visual attention; a reader does not attend to every word equally, and neither does a model.",
    precise="The statement likens a formula to a faculty of mind, in a respect that is not named.",
    sources=(S0.at("Overview"), S3.at("Introduction"), S4.at("Introduction"), S4.at("Human Attention Analogy")),
    scope="what the texts say of attention in people and in models",
    inventory=("C330",),
    not_checkable="An analogy: no measurement on people and none on models is named that could agree or differ. What softmax attention does in this respect is proved: it never leaves a key out, however small its weight "
    "(convexity.every-key-is-attended). How a map of weights is compared with one of human reading is judged under metrics.*.",
)

praise = Claim(
    id="facts.praise",
    title="Attention is a breakthrough, indispensable, and the foundation of today's models",
    states="Attention is a fundamental breakthrough in architecture design; it is indispensable in machine learning and the foundation of state-of-the-art models; it has "
    "revolutionised deep learning.",
    precise="The statement is praise: no quantity is named.",
    sources=(S0.at("Conclusion"), S1.at("Ready to Dive Deep into Attention?"), S3.at("Conclusion"), S4.at("Introduction"), S4.at("Practical Resources")),
    scope="what the texts say of attention's worth",
    inventory=("C331",),
    not_checkable="A judgement of value and of history. Nothing in it could be computed, and nothing else in the ledger depends on it.",
)
