"""The two transformers of ReTok: from a lattice of features to a row of vectors, and back.

features ── norm ── linear ──> memory ── averages ── linear ──> queries ── blocks ── norm ── linear ──> row
row ── norm ── linear ──> memory; its first, at every place of the lattice ── blocks ── norm ── convolution ──> features
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.conv import Conv
from tokodec.nn.mix import ThinLinear
from tokodec.nn.qformer import QueryBlock, Seen
from tokodec.nn.transformer import Trunk, positions

Map = Float[Tensor, "b z gh gw"]
Row = Float[Tensor, "b n z"]


class _Tower(nn.Module):
    """What both have. ``places`` of the lattice, ``row`` vectors, ``z`` features outside."""

    def __init__(self, trunk: Trunk, places: int, row: int, z: int) -> None:
        super().__init__()
        self.positions = positions(places, trunk.width)
        self.row_positions = positions(row, trunk.width)
        self.norm_in = nn.LayerNorm(z, eps=trunk.eps)
        self.enter = ThinLinear(z, trunk.width)
        self.blocks = nn.ModuleList(QueryBlock(trunk) for _ in range(trunk.depth))
        self.norm_out = nn.LayerNorm(trunk.width, eps=trunk.eps)


class LatticeReader(_Tower):
    """Queries begin as averages of what they read: of the whole picture, of halves, of quarters, and so on.

    Those from ``head`` on stand there a second time with positions of their own. What is read depends on them, so they are never left out.
    """

    def __init__(self, trunk: Trunk, places: int, row: int, head: int, z: int) -> None:
        super().__init__(trunk, places, row, z)
        self.groups, self.head = groups(row), head
        self.spare_positions = positions(row - head, trunk.width)
        self.start = ThinLinear(trunk.width, trunk.width)
        self.leave = ThinLinear(trunk.width, z)

    def forward(self, features: Map) -> Float[Tensor, "b all z"]:
        """The row, and behind it what its tail says the second time."""
        memory = self.enter(self.norm_in(features.flatten(2).transpose(1, 2)))
        keys = memory + self.positions
        lattice = memory.transpose(1, 2).unflatten(2, features.shape[2:])
        averages = torch.cat([F.adaptive_avg_pool2d(lattice, shape).flatten(2) for shape in self.groups], 2)
        h = self.start(averages.transpose(1, 2))
        h = torch.cat([h, h[:, self.head :]], 1)
        places = torch.cat([self.row_positions, self.spare_positions])
        for block in self.blocks:
            h = block(h, places, memory, keys)
        return self.leave(self.norm_out(h))


class LatticeWriter(_Tower):
    """Every place begins as the first vector of the row, and looks at all of it."""

    def __init__(self, trunk: Trunk, side: int, row: int, z: int) -> None:
        super().__init__(trunk, side**2, row, z)
        self.side = side
        self.leave = Conv(trunk.width, z, 3, padding=1)

    def forward(self, row: Row, seen: Seen | None = None) -> Map:
        """``seen``: which vectors of the row there are; the first is always."""
        memory = self.enter(self.norm_in(row))
        keys = memory + self.row_positions[: row.shape[1]]
        h = memory[:, :1].expand(-1, self.side**2, -1)
        for block in self.blocks:
            h = block(h, self.positions, memory, keys, seen)
        return self.leave(self.norm_out(h).transpose(1, 2).unflatten(2, (self.side, self.side)).contiguous())


def groups(count: int) -> list[tuple[int, int]]:
    """Rows and columns of parts of a picture: 1 x 1 twice, 1 x 2, 2 x 2, 2 x 4, ..., ``count`` parts in all, a power of 2."""
    steps = range(count.bit_length() - 1)
    return [(1, 1), *((2 ** (i // 2), 2 ** (i - i // 2)) for i in steps)]
