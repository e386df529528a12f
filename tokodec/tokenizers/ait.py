"""The tokenizers of AiT: depth and masks of single objects, decoded from ids or from how likely each id is.

    x ── convolutions of stride 2 ── residual blocks ── 1x1 ──> z ── nearest ──> ids
    ids ── row ── 1x1 ── residual blocks ── transposed convolutions ── 1x1 ──> x_hat
    logits of a model ── softmax ── mean row ── the same ("soft tokens": gradients pass)

Source: Ning et al., "All in tokens: unifying output space of visual tasks via soft token", ICCV 2023 (SwinTransformer/AiT).
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.api import Output
from tokodec.entry import Entry, Origin, Weights
from tokodec.errors import InputError
from tokodec.nn.conv import Conv
from tokodec.nn.mix import Mix
from tokodec.quantizers.ema import EmaVectorQuantizer
from tokodec.tokenizers.fourm import AsItIs
from tokodec.tokenizers.lattice import LatticeTokenizer, Picture

Map = Float[Tensor, "b c h w"]
Resized = Float[Tensor, "b c2 h2 w2"]


@dataclass(frozen=True, kw_only=True)
class AiTConfig:
    """``channels`` in; as many halvings as ``levels``, of ``width`` features, doubled each time; ``blocks`` residual blocks at the end.

    ``size`` codes of ``dim`` coordinates. ``temperature``: of the softmax over what a model says of each code.
    """

    channels: int = 1
    width: int = 16
    levels: int = 5
    blocks: int = 2
    size: int = 128
    dim: int = 512
    temperature: float = 1.0

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the levels, from the finest on."""
        return tuple(self.width * 2**i for i in range(self.levels))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a 1x1 convolution, ReLUs between, added to what comes in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        wide = (Conv(width, width, 3, padding=1) for _ in range(2))
        self.net = nn.Sequential(next(wide), nn.ReLU(), next(wide), nn.ReLU(), Mix(width, width))

    def forward(self, x: Map) -> Map:
        return x + self.net(x)


def encoder(config: AiTConfig) -> nn.Sequential:
    """Maps in their native range to vectors."""
    steps: list[nn.Module] = []
    for channels, width in pairwise((config.channels, *config.widths)):
        steps += [Conv(channels, width, 4, stride=2, padding=1), nn.ReLU()]
    deepest = config.widths[-1]
    return nn.Sequential(*steps, *(ResidualBlock(deepest) for _ in range(config.blocks)), Mix(deepest, config.dim))


def decoder(config: AiTConfig) -> nn.Sequential:
    """The mirror of it."""
    deepest = config.widths[-1]
    steps: list[nn.Module] = [Mix(config.dim, deepest), nn.ReLU(), *(ResidualBlock(deepest) for _ in range(config.blocks))]
    for channels, width in pairwise((deepest, *config.widths[::-1])):
        steps += [nn.ConvTranspose2d(channels, width, 4, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*steps, Mix(config.width, config.channels))


class AiT(LatticeTokenizer):
    """Maps (b, c, h, w) of numbers in [0, 1], as masks are; the network has them in [-1, 1]."""

    bytes_per_pixel = 1000
    stored = torch.float32

    def __init__(self, config: AiTConfig) -> None:
        super().__init__()
        self.config, self.stride = config, 2**config.levels
        self.encoder = encoder(config)
        self.quantizer = EmaVectorQuantizer(config.size, config.dim)
        self.decoder = decoder(config)

    def latents(self, x: Map) -> Resized:
        return self.encoder(x)

    def reconstruct(self, z: Map) -> Resized:
        return self.decoder(z)

    def blended(self, logits: Float[Tensor, "b k gh gw"], size: tuple[int, int]) -> Picture:
        """What is decoded, of ``size`` (h, w), when a model gives every place a logit for each code, with gradients to these.

        Raises InputError for logits of another lattice or another number of codes.
        """
        wanted = (self.config.size, *self._grid(size))
        if tuple(logits.shape[1:]) != wanted:
            raise InputError(f"logits of maps of {size[0]} x {size[1]} have the shape {wanted}, not {tuple(logits.shape[1:])}")
        share = (logits.float() / self.config.temperature).softmax(1)
        codes = self.quantizer.lookup(torch.arange(self.config.size, device=share.device)[None])[0]
        z = torch.einsum("bkhw,kd->bdhw", share, codes)
        return self.bounded(self._cropped(self.from_native(self.reconstruct(z)), size))


class AiTDepth(AsItIs, AiT):
    """Depth (b, 1, h, w) in metres; zeros are where it is not known, and do not count in ``mse``."""

    def forward(self, x: Map, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        output = super().forward(x, quality=quality)
        assert output.pixels is not None
        known = (x != 0).to(x.dtype)
        squares = F.mse_loss(output.pixels, x, reduction="none") * known
        mse = squares.flatten(1).sum(1) / known.flatten(1).sum(1).clamp(min=1)
        return Output(pixels=output.pixels, terms={**output.terms, "mse": mse}, aux=output.aux)


_UNKNOWN = "LicenseRef-unknown"
_TINY = AiTConfig(channels=3, width=4, levels=2, blocks=1, size=64, dim=8)

MODELS = {
    "ait_depth": Entry(
        build=AiTDepth,
        config=AiTConfig(temperature=0.8),
        family="ait",
        origin=Origin(file="vqvae_depth.pt", licence=_UNKNOWN),
        input="depth",
    ),
    "ait_insseg": Entry(
        build=AiT,
        config=AiTConfig(levels=4),
        family="ait",
        origin=Origin(file="vqvae_insseg.pt", licence=_UNKNOWN),
        input="masks",
    ),
    "ait_test": Entry(build=AiT, config=_TINY, family="ait", weights=Weights(file="ait_test.safetensors")),
}
