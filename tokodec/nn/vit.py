"""A transformer over a lattice with stretched positions, and a perceptron with tanh behind it instead of a normalisation.

    x ── + positions ── blocks ── h ── norm ── perceptron ──(+ h)──> x

Source: Yu et al., "Vector-quantized image modeling with improved VQGAN", ICLR 2022 (ViT-VQGAN), as in apple/ml-4m.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.position import stretched, waves
from tokodec.nn.transformer import Perceptron, Trunk, blocks

Sequence = Float[Tensor, "b n c"]


class LatticeTrunk(nn.Module):
    """Positions, blocks, and no normalisation at the end. ``grid``: the side of the table of positions."""

    def __init__(self, trunk: Trunk, grid: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(waves(grid, trunk.width))
        self.blocks = blocks(trunk)

    def forward(self, x: Sequence, grid: tuple[int, int]) -> Sequence:
        return self.blocks(x + stretched(self.positions, grid).to(x.dtype))


class TanhTrunk(LatticeTrunk):
    """With the perceptron, which is always computed in float32."""

    def __init__(self, trunk: Trunk, grid: int) -> None:
        super().__init__(trunk, grid)
        self.norm = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.perceptron = Perceptron(trunk.width, trunk.hidden, nn.Tanh())

    def forward(self, x: Sequence, grid: tuple[int, int]) -> Sequence:
        h = super().forward(x, grid)
        with torch.autocast(h.device.type, enabled=False):
            return h.float() + self.perceptron(self.norm(h.float()))
