"""Attention whose keys have no bias, which would change nothing: it adds the same to all scores of a query.

Source: Bao et al., "BEiT: BERT pre-training of image transformers", ICLR 2022 (microsoft/unilm).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tokodec.nn.attention import attend
from tokodec.nn.mix import ThinLinear, thin
from tokodec.nn.transformer import Block, Trunk

Places = Float[Tensor, "b n c"]
Heads = Float[Tensor, "b heads n d"]


class Keyless(nn.Module):
    """Queries, keys and values of ``width`` features in all heads together, out of one matrix."""

    def __init__(self, channels: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = ThinLinear(channels, 3 * width, bias=False)
        self.query_bias, self.value_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))

    def projected(self, x: Places) -> tuple[Heads, Heads, Heads]:
        """Those of each head."""
        bias = torch.cat([self.query_bias, torch.zeros_like(self.query_bias), self.value_bias])
        q, k, v = thin(x, self.qkv.weight, bias).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        return q, k, v


class KeylessAttention(Keyless):
    """Every place sees every place, or those that are ``seen``."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, width, heads)
        self.out = ThinLinear(width, width)

    def forward(self, x: Places, seen: Bool[Tensor, "b n"] | None = None) -> Places:
        return self.out(attend(*self.projected(x), seen).transpose(1, 2).flatten(2))


class KeylessBlock(Block):
    """The transformer block with that attention."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__(trunk)
        self.attention = KeylessAttention(trunk.width, trunk.heads)
