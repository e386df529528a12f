"""What of TokenFlow understands: the tower that sees a picture as CLIP does, and the decoder that says again what a tower saw.

    x ── patches ── (class token) ── + positions ── blocks ──> features of each patch
    codes ── linear ── class token ── + positions ── blocks ── norm ── perceptron with tanh ──> features as their teacher has them

Sources: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021 (openai/CLIP); Peng et al.,
"BEiT v2: masked image modeling with vector-quantized visual tokenizers", 2022 (microsoft/unilm); put together in
ByteFlow-AI/TokenFlow. The tower of SigLIP: :mod:`tokodec.nn.siglip`.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.keyless import KeylessBlock
from tokodec.nn.mix import ThinLinear
from tokodec.nn.patch import PatchEmbed
from tokodec.nn.transformer import Block, QuickGELU, Trunk, positions

Sequence = Float[Tensor, "b n c"]
_TENTH = 0.1
"""Added to the size of a stretched table before it is divided by what it was, so that rounding never makes it one smaller."""


class CLIPTower(nn.Module):
    """Squares of ``grid`` x ``grid`` patches, in [-1, 1], to features of each. ``table``: the side of the table of positions."""

    def __init__(self, trunk: Trunk, patch: int, table: int, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.embed = BareEmbed(3, trunk.width, patch)
        self.token = nn.Parameter(torch.randn(trunk.width) * trunk.width**-0.5)
        self.positions = positions(1 + table**2, trunk.width)
        self.norm_in = nn.LayerNorm(trunk.width)
        self.blocks = nn.Sequential(*(QuickBlock(trunk) for _ in range(trunk.depth)))
        self.norm_out = nn.LayerNorm(trunk.width)

    def forward(self, x: Float[Tensor, "b 3 s s"]) -> Sequence:
        h = with_token(self.token, self.embed(x)) + spread(self.positions[None], self.grid)
        return self.norm_out(self.blocks(self.norm_in(h)))[:, 1:]


class SemanticDecoder(nn.Module):
    """Maps of ``channels`` coordinates to ``features`` of each place."""

    def __init__(self, trunk: Trunk, channels: int, features: int, table: int, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.embed = PatchEmbed(channels, trunk.width, 1)
        self.token = nn.Parameter(torch.randn(1, 1, trunk.width) * trunk.width**-0.5)
        self.positions = nn.Parameter(positions(1 + table**2, trunk.width).detach()[None])
        self.blocks = nn.Sequential(*(KeylessBlock(trunk) for _ in range(trunk.depth)))
        self.norm = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.head = head(trunk.width, features)

    def forward(self, z: Float[Tensor, "b c g g"]) -> Float[Tensor, "b n d"]:
        h = with_token(self.token, self.embed(z)) + spread(self.positions, self.grid)
        return self.head(self.norm(self.blocks(h)[:, 1:]))


class BareEmbed(PatchEmbed):
    """Without a bias."""

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__(channels, width, patch)
        self.bias = None


class QuickBlock(Block):
    """As CLIP has it."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__(trunk)
        self.perceptron.activation = QuickGELU()


def head(width: int, features: int) -> nn.Sequential:
    """What leads from features of one kind to another."""
    return nn.Sequential(ThinLinear(width, width), nn.Tanh(), ThinLinear(width, features))


def with_token(token: Float[Tensor, "*one c"], x: Sequence) -> Float[Tensor, "b m c"]:
    """A learned vector before those of all places."""
    return torch.cat([token.expand(len(x), 1, -1), x], 1)


def spread(table: Float[Tensor, "1 n c"], grid: int) -> Float[Tensor, "1 m c"]:
    """Positions of a token and of a square, at another size of the square.

    By bicubic interpolation at places that the enlargement by a tenth more than the ratio of sizes gives, as DINO does it.
    """
    side = round((table.shape[1] - 1) ** 0.5)
    if side == grid:
        return table
    square = table[:, 1:].transpose(1, 2).unflatten(2, (side, side))
    enlarged = F.interpolate(square, scale_factor=(grid + _TENTH) / side, mode="bicubic")
    return torch.cat([table[:, :1], enlarged.flatten(2).transpose(1, 2)], 1)
