"""diffusers: an Attention module whose projections do nothing, under AttnProcessor, AttnProcessor2_0 and SlicedAttnProcessor."""

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor, AttnProcessor2_0, SlicedAttnProcessor
from torch import Tensor, nn


class Part(nn.Module):
    """One half of the context: keys and values come to the processor as one tensor."""

    def __init__(self, part: int):
        super().__init__()
        self.part = part

    def forward(self, context: Tensor) -> Tensor:
        """The keys (0) or the values (1)."""
        return context.chunk(2, dim=-1)[self.part]


def run(processor: object, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None) -> Tensor:
    """B N H D in and out; heads side by side in between; the mask as (batch · heads, queries, keys)."""
    H, D = query.shape[2:]
    module = Attention(query_dim=H * D, heads=H, dim_head=D, processor=processor)
    module.to_q, module.to_k, module.to_v, module.to_out[0] = nn.Identity(), Part(0), Part(1), nn.Identity()
    context = torch.cat([key.flatten(2), value.flatten(2)], dim=-1)
    mask = None if attn_mask is None else attn_mask.expand(query.shape[0], H, query.shape[1], key.shape[1]).flatten(0, 1)
    return module(query.flatten(2), context, mask).unflatten(-1, (H, D))


def attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """AttnProcessor."""
    return run(AttnProcessor(), query, key, value, attn_mask)


def attention_2_0(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """AttnProcessor2_0."""
    return run(AttnProcessor2_0(), query, key, value, attn_mask)


def sliced(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """SlicedAttnProcessor, one head at a time."""
    return run(SlicedAttnProcessor(1), query, key, value, attn_mask)
