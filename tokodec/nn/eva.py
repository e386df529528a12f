"""The vision tower of EVA-CLIP.

    x ── patches ── class token in front ── + positions, stretched ── blocks without a bias of keys ──> features

Source: Fang et al., "EVA: exploring the limits of masked visual representation learning at scale", CVPR 2023.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.keyless import KeylessBlock
from tokodec.nn.patch import PatchEmbed
from tokodec.nn.position import restretched
from tokodec.nn.transformer import Trunk


class EvaTower(nn.Module):
    """Pictures in their native range to features of the class token and of each patch, without a last normalisation.

    ``grid``: side of the table of positions.
    """

    def __init__(self, trunk: Trunk, patch: int, grid: int) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(3, trunk.width, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, trunk.width))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + grid**2, trunk.width))
        # The published tower has 1e-6, whatever the rest has.
        self.blocks = nn.Sequential(*(KeylessBlock(replace(trunk, eps=1e-6)) for _ in range(trunk.depth)))

    def forward(self, x: Float[Tensor, "b 3 h w"], grid: tuple[int, int]) -> Float[Tensor, "b n c"]:
        first, rest = self.cls_token + self.pos_embed[:, :1], restretched(self.pos_embed[0, 1:], grid)
        places = self.patch_embed(x) + rest
        return self.blocks(torch.cat([first.expand(len(x), -1, -1), places], 1))
