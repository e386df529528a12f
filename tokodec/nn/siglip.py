"""The vision tower of SigLIP: a ViT with learned positions for one size, and a head that pools by attention.

    x ── patches ── linear ── + positions ── blocks ──> h ── norm ── pool ──> one vector

What is left over at the right and below of whole patches is not seen.

Sources: Zhai et al., "Sigmoid loss for language image pre-training", ICCV 2023; Tschannen et al., "SigLIP 2", 2025. Names and layout as
in transformers' ``SiglipVisionModel``.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.attention import attend
from tokodec.nn.mix import ThinLinear
from tokodec.nn.patch import PatchEmbed
from tokodec.nn.transformer import Perceptron, Trunk, positions

Places = Float[Tensor, "b n c"]


class Attention(nn.Module):
    """Every place sees every place; queries, keys and values have a linear map each."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (ThinLinear(width, width) for _ in range(4))

    def forward(self, x: Places) -> Places:
        q, k, v = (project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for project in (self.query, self.key, self.value))
        return self.out(attend(q, k, v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention, then a perceptron with the GELU by tanh; each normalised before and added to what comes in."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.attention = Attention(trunk.width, trunk.heads)
        self.norm2 = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.perceptron = Perceptron(trunk.width, trunk.hidden, nn.GELU("tanh"))

    def forward(self, x: Places) -> Places:
        x = x + self.attention(self.norm1(x))
        return x + self.perceptron(self.norm2(x))


class Tower(nn.Module):
    """Pictures in [-1, 1], ``side`` places a side, to features of each place."""

    def __init__(self, trunk: Trunk, patch: int, side: int) -> None:
        super().__init__()
        self.patch, self.side = patch, side
        self.embed = PatchEmbed(3, trunk.width, patch)
        self.positions = positions(side**2, trunk.width)
        self.blocks = nn.ModuleList(Block(trunk) for _ in range(trunk.depth))

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Places:
        """What comes out of the last layer."""
        return self.layers(x, [len(self.blocks)])[0]

    def layers(self, x: Float[Tensor, "b 3 h w"], wanted: Sequence[int]) -> list[Places]:
        """What comes out of each of these layers, counted from 1, in ascending order."""
        seen = self.side * self.patch
        h = self.embed(x[..., :seen, :seen]) + self.positions
        found: list[Tensor] = []
        for number, block in enumerate(self.blocks, start=1):
            h = block(h)
            found += [h] * wanted.count(number)
        return found


class Pool(nn.Module):
    """One learned query over all places, and a perceptron, added to what the query saw."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.heads = trunk.heads
        self.probe = nn.Parameter(torch.randn(1, 1, trunk.width) * trunk.width**-0.5)
        self.qkv = ThinLinear(trunk.width, 3 * trunk.width)
        self.out = ThinLinear(trunk.width, trunk.width)
        self.norm = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.perceptron = Perceptron(trunk.width, trunk.hidden, nn.GELU("tanh"))

    def forward(self, x: Places) -> Float[Tensor, "b c"]:
        q, k, v = self._heads(self.probe.expand(len(x), -1, -1))[0], *self._heads(x)[1:]
        seen = self.out(attend(q, k, v).transpose(1, 2).flatten(2))
        return (seen + self.perceptron(self.norm(seen)))[:, 0]

    def _heads(self, x: Places) -> Float[Tensor, "3 b heads n d"]:
        return self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)


class Tail(nn.Module):
    """The last ``trunk.depth`` layers of a tower, with what follows them: features to one vector of the whole picture."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block(trunk) for _ in range(trunk.depth)))
        self.norm = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.pool = Pool(trunk)

    def forward(self, h: Places) -> Float[Tensor, "b c"]:
        return self.pool(self.norm(self.blocks(h)))
