"""Transformers over the places of a map, with learned positions, normalised on both ends."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.mix import ThinLinear
from tokodec.nn.transformer import Trunk, blocks, positions

Sequence = Float[Tensor, "b n c"]


class Adapter(nn.Module):
    """Sequences of ``places`` vectors to others of the same shape."""

    def __init__(self, places: int, trunk: Trunk) -> None:
        super().__init__()
        self.positions = positions(places, trunk.width)
        self.norm_in = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.blocks = blocks(trunk)
        self.norm_out = nn.LayerNorm(trunk.width, eps=trunk.eps)

    def forward(self, x: Sequence) -> Sequence:
        return self.norm_out(self.blocks(self.norm_in(x + self.positions)))


class FeatureHead(nn.Module):
    """Codes to what another network would say of the picture: the vector of its class token, then one of each place."""

    def __init__(self, dim: int, places: int, trunk: Trunk) -> None:
        super().__init__()
        width = trunk.width
        self.rise, self.mix = ThinLinear(dim, width), ThinLinear(width, width)
        self.whole = nn.Parameter(torch.randn(1, width) * width**-0.5)
        self.adapter = Adapter(1 + places, trunk)

    def forward(self, codes: Float[Tensor, "b n d"]) -> Float[Tensor, "b n1 c"]:
        h = self.mix(torch.relu(self.rise(codes)))
        return self.adapter(torch.cat([self.whole.expand(len(h), 1, -1), h], 1))
