"""What of DualViTok understands: the vision tower of Qwen2-VL, and transformers between its features and codes.

    x ── patches ── blocks ── 2x2 places become one ── merger ──> features ── normalised ──> what codes are to tell
    that ── linear ── blocks ── linear ──> z            codes ── linear ── blocks ── linear ── normalised ──> what they tell

Queries and keys are turned by angles of the row and of the column of their place, so no table of positions is tied to a size.

Sources: Wang et al., "Qwen2-VL: enhancing vision-language model's perception of the world at any resolution", 2024 (the tower); Su et
al., "RoFormer: enhanced transformer with rotary position embedding", 2021; put together in Huang et al., "ILLUME+", 2025.
"""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from tokodec.nn.attention import attend
from tokodec.nn.mix import ThinLinear, thin
from tokodec.nn.patch import patches
from tokodec.nn.transformer import Attention, Block, QuickGELU, Trunk

Places = Float[Tensor, "b n c"]
Turns = tuple[Float[Tensor, "n e"], Float[Tensor, "n e"]]
"""Cosines and sines, those of the two halves of a head's features one after another."""
_MERGED = 2
"""Places a side that become one."""
_SLOWEST = 10000.0
_FRAMES = 2
"""The tower is one of clips: a picture is shown as so many equal frames."""


class RotaryAttention(Attention):
    """Every place sees every place, and where it is from there."""

    def forward(self, x: Places, turns: Turns) -> Places:  # type: ignore[override]
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        return self.out(attend(turned(q, turns), turned(k, turns), v).transpose(1, 2).flatten(2))


class RotaryBlock(Block):
    """The transformer block with that attention and QuickGELU."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__(trunk)
        self.attention = RotaryAttention(trunk.width, trunk.heads)
        self.perceptron.activation = QuickGELU()

    def forward(self, x: Places, turns: Turns) -> Places:  # type: ignore[override]
        x = x + self.attention(self.norm1(x), turns)
        return x + self.perceptron(self.norm2(x))


class StillEmbed(nn.Module):
    """Patches of clips of two frames, of pictures: where frames are equal, their kernels may as well be added.

    The weight has both frames of each colour among its channels: PyTorch moves no tensor of five axes to channels last.
    """

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        count = 3 * _FRAMES
        self.weight = nn.Parameter(torch.randn(width, count, patch, patch) * (count * patch**2) ** -0.5)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Places:
        kernels = self.weight.unflatten(1, (3, _FRAMES)).sum(2)
        return thin(patches(x, self.weight.shape[-1]), kernels.flatten(1), None)


class QwenTower(nn.Module):
    """Pictures with CLIP's mean and deviation, whose sides are multiples of two patches, to ``features`` of each 2x2 of them."""

    def __init__(self, trunk: Trunk, patch: int, features: int) -> None:
        super().__init__()
        self.patch, self.head = patch, trunk.width // trunk.heads
        self.embed = StillEmbed(trunk.width, patch)
        self.blocks = nn.ModuleList(RotaryBlock(trunk) for _ in range(trunk.depth))
        self.norm = nn.LayerNorm(trunk.width, eps=trunk.eps)
        wide = _MERGED**2 * trunk.width
        self.merger = nn.Sequential(ThinLinear(wide, wide), nn.GELU(), ThinLinear(wide, features))

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b m f"]:
        grid = (x.shape[2] // self.patch, x.shape[3] // self.patch)
        turns = turns_of(grid, self.head, x.device)
        h = self.embed(x)
        for block in self.blocks:
            h = block(h, turns)
        return self.merger(merged(self.norm(h), grid))


class RotaryTrunk(nn.Module):
    """Squares of places, ``channels`` features of each, to ``out``."""

    def __init__(self, channels: int, trunk: Trunk, out: int) -> None:
        super().__init__()
        self.head = trunk.width // trunk.heads
        self.enter = ThinLinear(channels, trunk.width)
        self.blocks = nn.ModuleList(RotaryBlock(trunk) for _ in range(trunk.depth))
        self.leave = ThinLinear(trunk.width, out)

    def forward(self, x: Places) -> Float[Tensor, "b n d"]:
        side = round(x.shape[1] ** 0.5)
        turns = turns_of((side, side), self.head, x.device)
        h = self.enter(x)
        for block in self.blocks:
            h = block(h, turns)
        return self.leave(h)


class SemanticDecoder(RotaryTrunk):
    """Codes to the features that they tell of, normalised."""

    def __init__(self, channels: int, trunk: Trunk, features: int) -> None:
        super().__init__(channels, trunk, features)
        self.norm = nn.LayerNorm(features, eps=trunk.eps)

    def forward(self, x: Places) -> Float[Tensor, "b n d"]:
        return self.norm(super().forward(x))


def turns_of(grid: tuple[int, int], head: int, device: torch.device) -> Turns:
    """Of places row by row: a quarter of a head's features follows the row, a quarter the column, and the other half the same again."""
    quarter = head // 4
    rate = _SLOWEST ** -(torch.arange(quarter, dtype=torch.float32, device=device) / quarter)
    rows, columns = (torch.arange(n, dtype=torch.float32, device=device)[:, None] * rate for n in grid)
    angles = torch.cat([rows.repeat_interleave(grid[1], 0), columns.repeat(grid[0], 1)], 1)
    both = torch.cat([angles, angles], 1)
    return both.cos(), both.sin()


def turned(x: Float[Tensor, "b heads n e"], turns: Turns) -> Float[Tensor, "b heads n e"]:
    """Each feature of the first half together with its partner in the second, computed in float32."""
    cosines, sines = turns
    wide = x.float()
    first, second = wide.chunk(2, -1)
    return (wide * cosines + torch.cat([-second, first], -1) * sines).to(x.dtype)


def merged(x: Shaped[Tensor, "b n c"], grid: tuple[int, int]) -> Shaped[Tensor, "b m c4"]:
    """The features of 2x2 places side by side, row by row, places of both sizes row by row."""
    blocks = x.unflatten(1, (grid[0] // _MERGED, _MERGED, grid[1] // _MERGED, _MERGED))
    return blocks.transpose(2, 3).flatten(3, 5).flatten(1, 2)
