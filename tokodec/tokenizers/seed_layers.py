"""SEED's networks behind the tower: the causal Q-Former, and what makes an embedding of a picture out of codes.

    queries ── norm ── [see earlier queries ── norm ── see the tower's features ── norm ── perceptron ── norm] x 12 ──> x

Only every other layer sees the features.

Sources: Ge et al., "Planting a SEED of vision in large language model", 2023 (AILab-CVC/SEED); Li et al., "BLIP-2: bootstrapping
language-image pre-training with frozen image encoders and large language models", ICML 2023 (the Q-Former); Devlin et al., "BERT:
pre-training of deep bidirectional transformers for language understanding", NAACL 2019 (its layers).
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.attention import attend, attend_causally
from tokodec.nn.mix import ThinLinear
from tokodec.nn.transformer import Perceptron, Trunk, blocks

Rows = Float[Tensor, "b n c"]
Memory = Float[Tensor, "b m d"]
Heads = tuple[Float[Tensor, "b h n e"], Float[Tensor, "b h m e"], Float[Tensor, "b h m e"]]
_EVERY = 2
"""Every so manieth layer sees the memory, from the first on."""


class Attending(nn.Module):
    """Rows see a memory of ``channels`` features; normalised behind."""

    def __init__(self, trunk: Trunk, channels: int) -> None:
        super().__init__()
        self.heads = trunk.heads
        self.query = ThinLinear(trunk.width, trunk.width)
        self.key, self.value = (ThinLinear(channels, trunk.width) for _ in range(2))
        self.out = ThinLinear(trunk.width, trunk.width)
        self.norm = nn.LayerNorm(trunk.width, eps=trunk.eps)

    def forward(self, x: Rows, memory: Memory) -> Rows:
        return self.norm(x + self.out(self.seen(self._heads(x, memory)).transpose(1, 2).flatten(2)))

    def seen(self, heads: Heads) -> Float[Tensor, "b h n e"]:
        """All of it."""
        return attend(*heads)

    def _heads(self, x: Rows, memory: Memory) -> Heads:
        q, k, v = (
            project(places).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project, places in ((self.query, x), (self.key, memory), (self.value, memory))
        )
        return q, k, v


class CausalAttending(Attending):
    """Rows see what is up to their own place."""

    def seen(self, heads: Heads) -> Float[Tensor, "b h n e"]:
        return attend_causally(*heads)


class Layer(nn.Module):
    """Queries see earlier ones, then the perceptron."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.attention = CausalAttending(trunk, trunk.width)
        self.perceptron = Perceptron(trunk.width, trunk.hidden)
        self.norm = nn.LayerNorm(trunk.width, eps=trunk.eps)

    def forward(self, x: Rows, memory: Memory) -> Rows:
        x = self.looked(self.attention(x, x), memory)
        return self.norm(x + self.perceptron(x))

    def looked(self, x: Rows, _memory: Memory) -> Rows:
        """What queries are when they have seen the memory, which is nothing new to this one."""
        return x


class LookingLayer(Layer):
    """With a look at the memory in between."""

    def __init__(self, trunk: Trunk, channels: int) -> None:
        super().__init__(trunk)
        self.cross = Attending(trunk, channels)

    def looked(self, x: Rows, memory: Memory) -> Rows:
        return self.cross(x, memory)


class CausalQFormer(nn.Module):
    """``count`` learned queries about a memory of ``channels`` features. The published one forgets its mask where ``count`` is not 32."""

    def __init__(self, trunk: Trunk, count: int, channels: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(0.02 * torch.randn(1, count, trunk.width))
        self.norm = nn.LayerNorm(trunk.width, eps=trunk.eps)
        self.layers = nn.ModuleList(Layer(trunk) if i % _EVERY else LookingLayer(trunk, channels) for i in range(trunk.depth))

    def forward(self, memory: Memory) -> Float[Tensor, "b n c"]:
        x = self.norm(self.queries).expand(len(memory), -1, -1)
        for layer in self.layers:
            x = layer(x, memory)
        return x


class Reader(nn.Module):
    """Positions and blocks over a row of vectors of codes."""

    def __init__(self, trunk: Trunk, count: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(0.02 * torch.randn(1, count, trunk.width))
        self.blocks = blocks(trunk)

    def forward(self, x: Rows) -> Rows:
        return self.blocks(x + self.positions)


class FlatEnd(nn.Module):
    """A row to one vector: every place becomes a few numbers, and a linear map sees all of them."""

    def __init__(self, trunk: Trunk, count: int, downs: tuple[int, ...], out: int) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for channels, width in pairwise((trunk.width, *downs)):
            steps += [ThinLinear(channels, width, bias=False), nn.ReLU()]
        self.down = nn.Sequential(*steps[:-1])
        self.out = ThinLinear(count * downs[-1], out)

    def forward(self, x: Rows) -> Float[Tensor, "b d"]:
        return self.out(self.down(x).flatten(1))


class AskingEnd(nn.Module):
    """A row to one vector: a Q-Former of one query asks for it."""

    def __init__(self, trunk: Trunk, out: int) -> None:
        super().__init__()
        self.former = CausalQFormer(trunk, 1, trunk.width)
        self.out = ThinLinear(trunk.width, out)

    def forward(self, x: Rows) -> Float[Tensor, "b d"]:
        return self.out(self.former(x)[:, 0])


class EmbeddingDecoder(nn.Module):
    """Vectors of codes to an embedding of the picture, and to what the Q-Former said."""

    def __init__(self, trunk: Trunk, count: int, dim: int, end: nn.Module) -> None:
        super().__init__()
        self.task = nn.Sequential(ThinLinear(dim, dim), nn.Tanh(), ThinLinear(dim, trunk.width))
        self.image, self.text = Reader(trunk, count), Reader(trunk, count)
        self.end = end

    def forward(self, codes: Float[Tensor, "b n e"]) -> Float[Tensor, "b d"]:
        """The embedding."""
        return self.end(self.image(self.task(codes)))

    def causal(self, codes: Float[Tensor, "b n e"]) -> Float[Tensor, "b n c"]:
        """What the Q-Former said, as good as codes know it."""
        return self.text(self.task(codes))
