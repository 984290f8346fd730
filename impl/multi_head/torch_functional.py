"""torch's own multi-head attention behind our signature: a stranger under the same laws."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import multi_head_attention_forward


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_weight: Tensor,
    key_weight: Tensor,
    value_weight: Tensor,
    out_weight: Tensor,
    num_heads: int,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
) -> Tensor:
    """Shapes as in `impl.multi_head.reference.attention`, with H·D = H·E = C as torch requires; boolean masks are inverted for it."""
    n, m = query.shape[1], key.shape[1]
    hidden = None if attn_mask is None else ~attn_mask if attn_mask.dtype == torch.bool else attn_mask
    if is_causal:
        later = torch.ones(n, m, dtype=torch.bool).triu(1)
        hidden = later if hidden is None else hidden | later if hidden.dtype == torch.bool else hidden.masked_fill(later, -torch.inf)
    if hidden is not None and hidden.dim() == 3:
        hidden = hidden.expand(query.shape[0], n, m).repeat_interleave(num_heads, dim=0)
    output, _ = multi_head_attention_forward(
        query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1),
        embed_dim_to_check=query.shape[-1], num_heads=num_heads, in_proj_weight=None, in_proj_bias=None, bias_k=None, bias_v=None,
        add_zero_attn=False, dropout_p=0.0, out_proj_weight=out_weight.T, out_proj_bias=None, training=False, need_weights=False,
        attn_mask=hidden, use_separate_proj_weight=True,
        q_proj_weight=query_weight.T, k_proj_weight=key_weight.T, v_proj_weight=value_weight.T,
    )  # fmt: skip
    return output.transpose(0, 1)
