"""torch: what torch.nn.attention adds, its aligned causal bias and flex_attention run eagerly. Importing either imports torch._dynamo."""

import warnings

from torch import Tensor
from torch.nn.attention.bias import causal_lower_right
from torch.nn.attention.flex_attention import and_masks, create_block_mask, flex_attention
from torch.nn.functional import scaled_dot_product_attention


def lower_right(query: Tensor, key: Tensor, value: Tensor, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False) -> Tensor:
    """Causal by torch.nn.attention.bias.causal_lower_right."""
    bias = causal_lower_right(query.shape[-2], key.shape[-2]) if is_causal else None
    return scaled_dot_product_attention(query, key, value, bias, scale=scale, enable_gqa=enable_gqa)


def flex(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False
) -> Tensor:
    """flex_attention, not compiled: a boolean mask and causality as mask_mod, an additive mask as score_mod."""
    B, H, N, M = *query.shape[:3], key.shape[2]
    mods, score_mod = [], None
    if attn_mask is not None:
        full = attn_mask.expand(B, H, N, M)
        if full.is_floating_point():

            def score_mod(score, b, h, i, j):
                return score + full[b, h, i, j]
        else:
            mods.append(lambda b, h, i, j: full[b, h, i, j])
    if is_causal:
        mods.append(lambda b, h, i, j: i >= j)
    block_mask = create_block_mask(and_masks(*mods), B, H, N, M, device=query.device) if mods else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return flex_attention(query, key, value, score_mod, block_mask, scale, enable_gqa)
