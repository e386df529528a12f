"""A transformer that reads a picture into a row of vectors, and one that draws it of the row.

    x ── patches ──┐
    class vector ──┼─ norm ── blocks ──> the queries' places ── norm ── linear ──> z (b,n,d)
    queries ───────┘

    z ── linear ───┐
    class vector ──┼─ norm ── blocks ──> the places of the lattice ── norm ──> features
    mask vectors ──┘

Source: Yu et al., "An image is worth 32 tokens for reconstruction and generation", NeurIPS 2024 (TiTok; bytedance/1d-tokenizer).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tokodec.nn.mix import ThinLinear
from tokodec.nn.patch import PatchEmbed
from tokodec.nn.transformer import Block, Trunk, positions

Places = Float[Tensor, "b n c"]
Row = Float[Tensor, "b n d"]


class _Tower(nn.Module):
    """What both have: a class vector, positions of it and of ``places`` of the lattice, positions of ``tokens`` of the row, blocks."""

    def __init__(self, trunk: Trunk, places: int, tokens: int) -> None:
        super().__init__()
        self.class_vector = positions(1, trunk.width)
        self.positions = positions(places + 1, trunk.width)
        self.row_positions = positions(tokens, trunk.width)
        self.norm_in = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.blocks = nn.ModuleList(Block(trunk) for _ in range(trunk.depth))
        self.norm_out = nn.LayerNorm(trunk.width, eps=trunk.eps)

    def _run(self, lattice: Float[Tensor, "b p c"], row: Places, seen: Bool[Tensor, "b n"] | None = None) -> Float[Tensor, "b all c"]:
        """All places, those of the row last. ``seen``: of the row."""
        first = self.class_vector.expand(len(lattice), 1, -1)
        h = torch.cat([torch.cat([first, lattice], 1) + self.positions, row + self.row_positions[: row.shape[1]]], 1)
        keys = None if seen is None else torch.cat([seen.new_ones(len(h), h.shape[1] - row.shape[1]), seen], 1)
        h = self.norm_in(h)
        for block in self.blocks:
            h = block(h, keys)
        return h


class RowEncoder(_Tower):
    """Pictures in their native range, ``side`` places a side, to ``tokens`` vectors of ``dim`` coordinates."""

    def __init__(self, trunk: Trunk, patch: int, side: int, tokens: int, dim: int) -> None:
        super().__init__(trunk, side**2, tokens)
        self.embed = PatchEmbed(3, trunk.width, patch)
        self.queries = positions(tokens, trunk.width)
        self.leave = ThinLinear(trunk.width, dim)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Row:
        h = self._run(self.embed(x), self.queries.expand(len(x), -1, -1))
        return self.leave(self._ordered(self.norm_out(h[:, -len(self.queries) :])))

    def _ordered(self, h: Places) -> Places:
        return h


class InterleavedEncoder(RowEncoder):
    """As first released: the features of all queries, read as if each stood for one feature of all, so that every vector has some of each."""

    def _ordered(self, h: Places) -> Places:
        return h.reshape(len(h), h.shape[2], h.shape[1]).transpose(1, 2)


class RowDecoder(_Tower):
    """A row of at most ``tokens`` vectors of ``dim`` coordinates to features of ``side`` x ``side`` places."""

    def __init__(self, trunk: Trunk, side: int, tokens: int, dim: int) -> None:
        super().__init__(trunk, side**2, tokens)
        self.places = side**2
        self.enter = ThinLinear(dim, trunk.width)
        self.mask = positions(1, trunk.width)

    def forward(self, z: Row, seen: Bool[Tensor, "b n"] | None = None) -> Float[Tensor, "b p c"]:
        """``seen``: which vectors of the row there are, where rows of several lengths stand together."""
        h = self._run(self.mask.expand(len(z), self.places, -1), self.enter(z), seen)
        return self.norm_out(h[:, 1 : 1 + self.places])
