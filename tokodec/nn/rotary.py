"""Places on a lattice told by turns: pairs of features of queries and keys are turned by angles that grow with row and column.

Sources: Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021; on lattices: Heo et al., "Rotary position
embedding for vision transformer", ECCV 2024.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tokodec.nn.attention import attend
from tokodec.nn.transformer import Attention, Block, Trunk

Sequence = Float[Tensor, "b n c"]
Angles = Float[Tensor, "n half"]
_SLOWEST = 10000.0


def spanning(grid: tuple[int, int], head: int, span: float) -> Angles:
    """Of places row by row, half of them of the row and half of the column; both go from 0 to ``span``, however many there are."""
    quarter = head // 4
    rate = _SLOWEST ** -(torch.arange(quarter, dtype=torch.float32) / quarter)
    rows, columns = (torch.arange(n, dtype=torch.float32) * span / max(n - 1, 1) for n in grid)
    down = (rows[:, None] * rate)[:, None].expand(-1, grid[1], -1)
    right = (columns[:, None] * rate)[None].expand(grid[0], -1, -1)
    return torch.cat([down, right], -1).flatten(0, 1)


def turned(x: Float[Tensor, "b heads n c"], angles: Angles) -> Float[Tensor, "b heads n c"]:
    """Features 2j and 2j + 1 turned by angle j."""
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


class TurnedAttention(Attention):
    """Every place sees every place, or those that are ``seen``."""

    def forward(self, x: Sequence, angles: Angles, seen: Bool[Tensor, "b n"] | None = None) -> Sequence:  # type: ignore[override]
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        return self.out(attend(turned(q, angles), turned(k, angles), v, seen).transpose(1, 2).flatten(2))


class TurnedBlock(Block):
    """The block of ViT with places told by turns."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__(trunk)
        self.attention = TurnedAttention(trunk.width, trunk.heads)

    def forward(self, x: Sequence, angles: Angles, seen: Bool[Tensor, "b n"] | None = None) -> Sequence:  # type: ignore[override]
        x = x + self.attention(self.norm1(x), angles, seen)
        return x + self.perceptron(self.norm2(x))
