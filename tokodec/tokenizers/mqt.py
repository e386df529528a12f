"""MQT: a picture's features as 1 to 256 vectors for a language model, which says how many.

    queries (k,c) + positions ── norm ──> q ──┐
    positions, stretched ── norm ──> keys ──> shares (heads,k,n), the same for every picture
    x (b,n,c) ── norm ──> values ── pooled by the shares ── linear ── linear ──> z (b,k,d)

Keys hold nothing of the picture: every query is a learned weighting of places, head by head. A query does not see the others, so the
first ones say the same however many follow.

Source: Hu et al., "Matryoshka query transformer for large vision-language models", NeurIPS 2024 (gordonhu608/MQT-LLaVA).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.api import Features, Output
from tokodec.entry import Entry, Origin, Weights
from tokodec.nn.mix import ThinLinear, thin
from tokodec.nn.position import restretched, waves
from tokodec.tokenizers.nested import NestedReducer, Vectors

_STEP = 2
"""Training draws even numbers of queries."""


@dataclass(frozen=True, kw_only=True)
class MQTConfig:
    """``channels`` of features in ``heads`` heads; ``side`` x ``side`` queries; ``width`` coordinates of a vector."""

    channels: int = 1024
    heads: int = 16
    side: int = 16
    width: int = 4096


class Pooling(nn.Module):
    """Attention whose queries and keys are the same for all items."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = ThinLinear(width, 3 * width)
        self.out = ThinLinear(width, width)

    def forward(self, queries: Float[Tensor, "k c"], keys: Float[Tensor, "n c"], values: Features) -> Float[Tensor, "b k c"]:
        weights, biases = self.qkv.weight.chunk(3), self.qkv.bias.chunk(3)
        q, k, v = (
            thin(x, weight, bias).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
            for x, weight, bias in zip((queries, keys, values), weights, biases, strict=True)
        )
        shares = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)
        return self.out((shares @ v).transpose(1, 2).flatten(2))


class MQT(NestedReducer):
    """Features of any square of places; the published models know 24 x 24 of CLIP-L at 336 pixels, without its class token."""

    stored = torch.float32

    def __init__(self, config: MQTConfig) -> None:
        super().__init__()
        self.config, self.channels = config, config.channels
        self.counts = range(1, config.side**2 + 1)
        self.queries = nn.Parameter(0.02 * torch.randn(config.side**2, config.channels))
        self.positions = nn.Parameter(positions(config.side, config.channels), requires_grad=False)
        self.norm_queries, self.norm_keys, self.norm_values = (nn.LayerNorm(config.channels, eps=1e-6) for _ in range(3))
        self.attention = Pooling(config.channels, config.heads)
        self.proj = nn.Parameter(torch.randn(config.channels, config.width) * config.width**-0.5)

    def pooled(self, x: Features, k: int) -> Vectors:
        side = math.isqrt(x.shape[1])
        queries = self.norm_queries(self.queries[:k] + self.positions[:k])
        keys = self.norm_keys(restretched(self.positions, (side, side)))
        return thin(self.attention(queries, keys, self.norm_values(x)), self.proj.T, None)

    def fewer(self, z: Float[Tensor, "b m d"], k: int) -> Vectors:
        return z[:, :k]

    def forward(self, x: Features, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """``vectors`` in ``aux``: as many as ``quality`` says; without it, in training an even number drawn for the batch, else all."""
        self._check(x)
        if quality is not None:
            k = self.count(quality, x)
        elif self.training:
            k = _STEP * int(torch.randint(1, self.counts[-1] // _STEP + 1, ()))
        else:
            k = self.counts[-1]
        return Output(pixels=None, terms={}, aux={"vectors": self.pooled(x, k)})


def positions(side: int, width: int) -> Float[Tensor, "n c"]:
    """Sines and cosines of the column, then of the row, as they are in float16."""
    return waves(side, width).transpose(2, 3).flatten(2)[0].T.half().float()


_UNKNOWN = "LicenseRef-unknown"

MODELS = {
    "mqt_llava_7b": Entry(
        build=MQT,
        config=MQTConfig(),
        family="mqt",
        origin=Origin(file="query_abstractor.bin", licence=_UNKNOWN),
        input="features:1024",
        variable_rate=True,
        variable_length=True,
    ),
    "mqt_test": Entry(
        build=MQT,
        config=MQTConfig(channels=16, heads=2, side=4, width=24),
        family="mqt",
        weights=Weights(file="mqt_test.safetensors"),
        input="features:16",
        variable_rate=True,
        variable_length=True,
    ),
}
