"""What of TokenFlow understands: towers that see a picture as CLIP or SigLIP does, and the decoder that says again what they saw.

    x ── patches ── (class token) ── + positions ── blocks ──> features of each patch
    codes ── linear ── class token ── + positions ── blocks ── norm ── perceptron with tanh ──> features as their teacher has them

Sources: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021 (openai/CLIP); Zhai et al.,
"Sigmoid loss for language image pre-training", ICCV 2023 (SigLIP, as in huggingface/transformers); Peng et al., "BEiT v2: masked image
modeling with vector-quantized visual tokenizers", 2022 (microsoft/unilm); put together in ByteFlow-AI/TokenFlow.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.attention import attend
from tokodec.nn.mix import ThinLinear, thin
from tokodec.nn.patch import PatchEmbed
from tokodec.nn.transformer import Block, Trunk, positions

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


class SigLIPTower(nn.Module):
    """The same without a class token, and without normalisation at the ends; pixels beyond whole patches are not seen."""

    def __init__(self, trunk: Trunk, patch: int, grid: int) -> None:
        super().__init__()
        self.seen = patch * grid
        self.embed = PatchEmbed(3, trunk.width, patch)
        self.positions = positions(grid**2, trunk.width)
        self.blocks = nn.Sequential(*(SigLIPBlock(trunk) for _ in range(trunk.depth)))

    def forward(self, x: Float[Tensor, "b 3 s s"]) -> Sequence:
        return self.blocks(self.embed(x[..., : self.seen, : self.seen]) + self.positions)


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


class QuickGELU(nn.Module):
    """``x * sigmoid(1.702 x)``."""

    def forward(self, x: Sequence) -> Sequence:
        return x * torch.sigmoid(1.702 * x)


class QuickBlock(Block):
    """As CLIP has it."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__(trunk)
        self.perceptron.activation = QuickGELU()


class SigLIPBlock(Block):
    """With the approximate GELU, and queries, keys and values from layers of their own."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__(trunk)
        self.attention = SplitAttention(trunk.width, trunk.heads)
        self.perceptron.activation = nn.GELU("tanh")


class KeylessBlock(Block):
    """As BEiT has it: no bias of keys."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__(trunk)
        self.attention = KeylessAttention(trunk.width, trunk.heads)


class SplitAttention(nn.Module):
    """Every place sees every place."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (ThinLinear(width, width) for _ in range(4))

    def forward(self, x: Sequence) -> Sequence:
        q, k, v = (layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value))
        return self.out(attend(q, k, v).transpose(1, 2).flatten(2))


class KeylessAttention(nn.Module):
    """The same out of one matrix, with biases of queries and values alone."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = ThinLinear(width, 3 * width, bias=False)
        self.query_bias, self.value_bias = (nn.Parameter(torch.zeros(width)) for _ in range(2))
        self.out = ThinLinear(width, width)

    def forward(self, x: Sequence) -> Sequence:
        bias = torch.cat([self.query_bias, torch.zeros_like(self.query_bias), self.value_bias])
        q, k, v = thin(x, self.qkv.weight, bias).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        return self.out(attend(q, k, v).transpose(1, 2).flatten(2))


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
