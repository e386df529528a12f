"""M3: a picture's features as 1, 9, 36, 144 or 576 vectors for a language model, each level the mean of squares of the next.

    x (b,576,c) ── linear ── GELU ── linear ──> (24 x 24) ── mean of squares ──> z (b,k,d), row by row

Source: Cai et al., "Matryoshka multimodal models", ICLR 2025 (mu-cai/matryoshka-mm).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.api import Features, Output
from tokodec.entry import Entry, Origin, Weights
from tokodec.errors import InputError
from tokodec.nn.mix import ThinLinear
from tokodec.tokenizers.nested import NestedReducer, Vectors


@dataclass(frozen=True, kw_only=True)
class M3Config:
    """``channels`` of a feature, ``width`` coordinates of a vector. ``scales``: how many vectors there can be, each a square of a divisor
    of the side of the next, the last one as many as there are features.
    """

    channels: int = 1024
    width: int = 4096
    scales: tuple[int, ...] = (1, 9, 36, 144, 576)


class M3(NestedReducer):
    """Features of so many places as the last scale has."""

    stored = torch.float32

    def __init__(self, config: M3Config) -> None:
        super().__init__()
        self.config, self.channels, self.counts = config, config.channels, config.scales
        self.projector = nn.Sequential(ThinLinear(config.channels, config.width), nn.GELU(), ThinLinear(config.width, config.width))

    def pooled(self, x: Features, k: int) -> Vectors:
        return self.fewer(self.projector(x), k)

    def fewer(self, z: Float[Tensor, "b m d"], k: int) -> Vectors:
        side, wanted = math.isqrt(z.shape[1]), math.isqrt(k)
        maps = z.float().transpose(1, 2).unflatten(2, (side, side))
        return F.avg_pool2d(maps, side // wanted).flatten(2).transpose(1, 2)

    def forward(self, x: Features, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """``vectors_K`` in ``aux`` for each scale K, or for that of ``quality`` alone: a language model's loss is the mean over them."""
        self._check(x)
        scales = self.counts if quality is None else (self.count(quality, x),)
        z = self.projector(x)
        return Output(pixels=None, terms={}, aux={f"vectors_{k}": self.fewer(z, k) for k in scales})

    def _check(self, x: Features) -> None:
        super()._check(x)
        if x.shape[1] != self.counts[-1]:
            raise InputError(f"{self.name or 'this model'} takes features of {self.counts[-1]} places, not {x.shape[1]}")


def _entry(repo: str) -> Entry:
    origin = Origin(file=f"the shard of {repo} with model.mm_projector", licence="LicenseRef-unknown")
    return Entry(build=M3, config=M3Config(), family="m3", origin=origin, input="features:1024", variable_rate=True, variable_length=True)


MODELS = {
    "m3_llava_7b": _entry("mucai/llava-v1.5-7b-m3"),
    "m3_llava_next_7b": _entry("mucai/llava-next-vicuna-7b-m3"),
    "m3_test": Entry(
        build=M3,
        config=M3Config(channels=16, width=24, scales=(1, 4, 16)),
        family="m3",
        weights=Weights(file="m3_test.safetensors"),
        input="features:16",
        variable_rate=True,
        variable_length=True,
    ),
}
