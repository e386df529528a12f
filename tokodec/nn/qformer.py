"""A transformer whose queries see each other, then a memory; positions tell where to look and never what is seen.

    x ── norm ── attention ──(+)── norm ── attention over the memory ──(+)── norm ── perceptron ──(+)──> x

Sources: Carion et al., "End-to-end object detection with transformers", ECCV 2020 (DETR; normalised before); as in Xiong et al.,
"GigaTok", 2025 (SilentView/GigaTok).
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from tokodec.nn.attention import attend
from tokodec.nn.mix import ThinLinear, thin
from tokodec.nn.transformer import Perceptron, Trunk

Queries = Float[Tensor, "b n c"]
Memory = Float[Tensor, "b m c"]
Seen = Bool[Tensor, "b m"]


class PlacedAttention(nn.Module):
    """Queries and keys are handed over with their positions, values without."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = ThinLinear(width, 3 * width)
        self.out = ThinLinear(width, width)

    def forward(self, queries: Queries, keys: Memory, values: Memory, seen: Seen | None = None) -> Queries:
        weights, biases = self.qkv.weight.chunk(3), self.qkv.bias.chunk(3)
        q, k, v = (
            thin(x, weight, bias).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for x, weight, bias in zip((queries, keys, values), weights, biases, strict=True)
        )
        return self.out(attend(q, k, v, seen).transpose(1, 2).flatten(2))


class QueryBlock(nn.Module):
    """One layer."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(trunk.width, eps=trunk.eps) for _ in range(3))
        self.attention = PlacedAttention(trunk.width, trunk.heads)
        self.cross = PlacedAttention(trunk.width, trunk.heads)
        self.perceptron = Perceptron(trunk.width, trunk.hidden)

    def forward(self, x: Queries, places: Float[Tensor, "n c"], memory: Memory, keys: Memory, seen: Seen | None = None) -> Queries:
        """``places``: positions of queries. ``keys``: the memory with its positions; ``seen``: which of it there is."""
        h = self.norm1(x)
        x = x + self.attention(h + places, h + places, h)
        x = x + self.cross(self.norm2(x) + places, keys, memory, seen)
        return x + self.perceptron(self.norm3(x))
