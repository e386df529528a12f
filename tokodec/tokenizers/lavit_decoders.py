"""LaVIT's decoders: codes to features of every patch, and to what a diffusion model is told of them.

    codes ── linear ── + positions in the row ──┐
    queries ── [see each other ── see the codes ── perceptron] x depth ── norm ── perceptron ──> features ──> conditions

The diffusion models themselves, of Stable Diffusion 1.5 and XL, are not here. Source: Jin et al., ICLR 2024 (jy0205/LaVIT).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.attention import attend
from tokodec.nn.mix import ThinLinear
from tokodec.nn.position import restretched
from tokodec.nn.transformer import Attention, Perceptron, Trunk
from tokodec.tokenizers.lavit_layers import CrossAttention

Sequence = Float[Tensor, "b n c"]


class DecoderBlock(nn.Module):
    """Queries see each other, then the codes, then the perceptron."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.norm0 = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.attention = Attention(trunk.width, trunk.heads)
        self.norm1 = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.cross = CrossAttention(trunk.width, trunk.heads)
        self.norm2 = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.perceptron = Perceptron(trunk.width, trunk.hidden)

    def forward(self, x: Sequence, codes: Float[Tensor, "b m c"], keep: Float[Tensor, "b m"]) -> Sequence:
        x = x + self.attention(self.norm0(x))
        x = x + self.cross(self.norm1(x), codes, keep)
        return x + self.perceptron(self.norm2(x))


class LowCondition(nn.Module):
    """For a U-Net of Stable Diffusion 1.5: ``prompt``, a vector for each query."""

    def __init__(self, width: int, sizes: tuple[int, ...]) -> None:
        super().__init__()
        (first,) = sizes
        self.prompt = ThinLinear(width, first)

    def forward(self, h: Sequence, _grid: tuple[int, int]) -> dict[str, Tensor]:
        return {"prompt": self.prompt(h)}


class Pool(nn.Module):
    """One vector for all: what their mean sees of them and of itself."""

    def __init__(self, width: int, out: int, heads: int, places: int) -> None:
        super().__init__()
        self.heads = heads
        self.positions = nn.Parameter(torch.randn(1 + places, width) * width**-0.5)
        self.query, self.key, self.value = (ThinLinear(width, width) for _ in range(3))
        self.out = ThinLinear(width, out)

    def forward(self, h: Sequence, grid: tuple[int, int]) -> Float[Tensor, "b d"]:
        table = torch.cat([self.positions[:1], restretched(self.positions[1:], grid)])
        x = torch.cat([h.mean(1, keepdim=True), h], 1) + table
        q, k, v = (
            project(part).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project, part in ((self.query, x[:, :1]), (self.key, x), (self.value, x))
        )
        return self.out(attend(q, k, v).transpose(1, 2).flatten(1))


class HighCondition(nn.Module):
    """For a U-Net of Stable Diffusion XL: ``prompt``, as of its two text models side by side, and ``pooled``, one vector."""

    def __init__(self, width: int, sizes: tuple[int, ...], heads: int, places: int) -> None:
        super().__init__()
        first, second = sizes
        self.first, self.second = ThinLinear(width, first), ThinLinear(width, second)
        self.pool = Pool(width, second, heads, places)

    def forward(self, h: Sequence, grid: tuple[int, int]) -> dict[str, Tensor]:
        return {"prompt": torch.cat([self.first(h), self.second(h)], -1), "pooled": self.pool(h, grid)}


class Decoder(nn.Module):
    """Vectors of codes to a query for each patch."""

    def __init__(self, trunk: Trunk, dim: int, grid: int, condition: nn.Module) -> None:
        super().__init__()
        width = trunk.width
        self.queries = nn.Parameter(0.02 * torch.randn(1, grid**2, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, grid**2, width))
        self.enter = ThinLinear(dim, width)
        self.blocks = nn.ModuleList(DecoderBlock(trunk) for _ in range(trunk.depth))
        self.norm = nn.LayerNorm(width, eps=trunk.eps)
        self.task = nn.Sequential(ThinLinear(width, width), nn.Tanh(), ThinLinear(width, width))
        self.condition = condition

    def forward(self, codes: Float[Tensor, "b m d"], keep: Float[Tensor, "b m"], grid: tuple[int, int]) -> Sequence:
        """The tower's features, as good as codes know them. ``keep``: 1 for codes that there are; others, 0, have no place in the row."""
        rank = (keep.cumsum(1) - 1).clamp(min=0).long()
        row = self.enter(codes) + restretched(self.positions[0], grid)[rank]
        x = restretched(self.queries[0], grid).expand(len(codes), -1, -1)
        for block in self.blocks:
            x = block(x, row, keep)
        return self.task(self.norm(x))
