"""The transformer block of ViT: normalisation before attention and before the perceptron, each added to what comes in.

    x ── norm ── attention ──(+)── norm ── perceptron ──(+)──> x

Source: Dosovitskiy et al., "An image is worth 16x16 words: transformers for image recognition at scale", ICLR 2021.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tokodec.nn.attention import attend
from tokodec.nn.mix import ThinLinear

Sequence = Float[Tensor, "b n c"]
Seen = Bool[Tensor, "b n"]


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """``depth`` blocks of ``width`` features in ``heads`` heads; ``hidden`` in the perceptron. ``eps``: of normalisation."""

    width: int
    depth: int
    heads: int
    hidden: int
    eps: float = 1e-5


class Attention(nn.Module):
    """Every place sees every place, or those that are ``seen``."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = ThinLinear(width, 3 * width)
        self.out = ThinLinear(width, width)

    def forward(self, x: Sequence, seen: Seen | None = None) -> Sequence:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        return self.out(attend(q, k, v, seen).transpose(1, 2).flatten(2))


class Perceptron(nn.Module):
    """Two linear maps with ``activation`` between them, by default the exact GELU."""

    def __init__(self, width: int, hidden: int, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.rise = ThinLinear(width, hidden)
        self.activation = activation or nn.GELU()
        self.fall = ThinLinear(hidden, width)

    def forward(self, x: Sequence) -> Sequence:
        return self.fall(self.activation(self.rise(x)))


class Block(nn.Module):
    """Attention, then the perceptron."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.attention = Attention(trunk.width, trunk.heads)
        self.norm2 = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.perceptron = Perceptron(trunk.width, trunk.hidden)

    def forward(self, x: Sequence, seen: Seen | None = None) -> Sequence:
        x = x + self.attention(self.norm1(x), seen)
        return x + self.perceptron(self.norm2(x))


def blocks(trunk: Trunk) -> nn.Sequential:
    """All of them, one after another."""
    return nn.Sequential(*(Block(trunk) for _ in range(trunk.depth)))


def positions(places: int, width: int) -> nn.Parameter:
    """A learned vector for each place."""
    return nn.Parameter(torch.randn(places, width) * width**-0.5)
