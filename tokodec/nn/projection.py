"""Attention projections: from wide features to the few coordinates of codes, and back.

    x ── norm ── attention ──(+)── norm ── gated perceptron ──(+)──> out
     └── norm ── linear ─────┘                     of the sum ──┘

Source: Ma et al., "UniTok: a unified tokenizer for visual generation and understanding", 2025 (FoundationVision/UniTok), as
DualToken has them.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.attention import attend, attend_causally
from tokodec.nn.keyless import Keyless
from tokodec.nn.mix import ThinLinear

Places = Float[Tensor, "b n c"]


class MeanAttention(Keyless):
    """Every place sees every place; the mean over heads, each ``dim`` wide, is what is seen."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__(channels, channels, channels // dim)
        self.out = ThinLinear(dim, dim)

    def forward(self, x: Places) -> Float[Tensor, "b n d"]:
        return self.out(attend(*self.projected(x)).mean(1))


class CausalAttention(Keyless):
    """Every place sees itself and those before it, row by row; heads, each ``dim`` wide, stand side by side."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__(dim, width, width // dim)
        self.out = ThinLinear(width, width)

    def forward(self, x: Places) -> Float[Tensor, "b n d"]:
        return self.out(attend_causally(*self.projected(x)).transpose(1, 2).flatten(2))


class GatedPerceptron(nn.Module):
    """Normalisation, then two linear maps, one through the GELU by tanh, multiplied; and one back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.gate, self.rise = ThinLinear(width, 2 * width), ThinLinear(width, 2 * width)
        self.fall = ThinLinear(2 * width, width)

    def forward(self, x: Places) -> Places:
        h = self.norm(x)
        return self.fall(F.gelu(self.gate(h), approximate="tanh") * self.rise(h))


class Projection(nn.Module):
    """From ``channels`` to ``width`` features, with an attention between the two. The perceptron normalises a second time."""

    def __init__(self, channels: int, width: int, attention: nn.Module) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attention = attention
        self.norm3 = nn.LayerNorm(channels)
        self.proj = ThinLinear(channels, width)
        self.norm2 = nn.LayerNorm(width)
        self.perceptron = GatedPerceptron(width)

    def forward(self, x: Places) -> Float[Tensor, "b n d"]:
        x = self.proj(self.norm3(x)) + self.attention(self.norm1(x))
        return x + self.perceptron(self.norm2(x))


def reduction(channels: int, dim: int) -> Projection:
    """From ``channels`` features to ``dim`` coordinates."""
    return Projection(channels, dim, MeanAttention(channels, dim))


def expansion(dim: int, channels: int) -> Projection:
    """From ``dim`` coordinates back to ``channels`` features."""
    return Projection(dim, channels, CausalAttention(dim, channels))
