"""Sequence parallelism: softmax attention of a sequence that several ranks share. `reference` is the definition of the whole; `ring` sends keys and values
around, `gathered` collects them. What a rank does is written once; `threads` and `processes` (torch.distributed) carry its messages."""

from impl.sequence_parallel import gathered, reference, ring
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="sequence-parallel",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.SEQUENCE_PARALLEL}),
    source="Liu, Zaharia and Abbeel 2023, Ring attention, https://arxiv.org/abs/2310.01889",
)
SHARE = 0.2  # of a profile's examples: the true values cost some 10 ms an example
LIMITS = Limits(masks=("none",), mask_gradient=False, edges=(4, 8), max_length=17)  # lengths around 1, 2 and 4 chunks of 4 and 8 ranks
implementations = tuple(
    Implementation(variant=variant, name=name, call=call, log_sum_exp=log_sum_exp, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=SHARE)
    for name, call, log_sum_exp in (
        ("reference", reference.attention, None),
        ("ring", ring.attention, ring.attention_with_log_sum_exp),
        ("all-gather", gathered.attention, gathered.attention_with_log_sum_exp),
    )
)
