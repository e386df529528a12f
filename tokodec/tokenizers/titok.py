"""TiTok: a picture as a row of 32 to 256 ids, or of as many vectors, none of which has a place of its own.

    x ── encoder ──> z (b,n,d) ── quantizer ──> ids
    ids ── lookup ── tower ── head ──> logits of MaskGIT's codes ── mean code ── MaskGIT's decoder ──> x_hat    first released
                             └─ patches ── convolution ──> x_hat                                                later

Source: Yu et al., "An image is worth 32 tokens for reconstruction and generation", NeurIPS 2024 (bytedance/1d-tokenizer).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.entry import Entry, Origin, Weights
from tokodec.nn.conv import Conv
from tokodec.nn.maskgit import MaskGitDecoder
from tokodec.nn.mix import ThinLinear
from tokodec.nn.oned import InterleavedEncoder, RowDecoder, RowEncoder
from tokodec.nn.patch import picture
from tokodec.nn.transformer import Trunk
from tokodec.quantizers.codebook import NormalisedVectorQuantizer, VectorQuantizer
from tokodec.tokenizers.lattice import lattice
from tokodec.tokenizers.rows import Parts, Row, RowTokenizer, Seen

SMALL, BASE, LARGE = (512, 8, 8), (768, 12, 12), (1024, 24, 16)
"""Width, layers and heads of towers."""


@dataclass(frozen=True, kw_only=True)
class RowConfig:
    """``side`` of a window and of a patch in pixels; ``row`` vectors a window. Towers: width, layers and heads."""

    side: int = 256
    patch: int = 16
    encoder: tuple[int, int, int] = BASE
    decoder: tuple[int, int, int] = LARGE
    row: int = 64

    @property
    def places(self) -> int:
        """On a side of a window."""
        return self.side // self.patch

    @staticmethod
    def trunk(tower: tuple[int, int, int]) -> Trunk:
        """Of a tower."""
        width, depth, heads = tower
        return Trunk(width=width, depth=depth, heads=heads, hidden=4 * width)


@dataclass(frozen=True, kw_only=True)
class PixelsConfig(RowConfig):
    """``size`` codes of ``dim`` coordinates."""

    size: int = 8192
    dim: int = 64


@dataclass(frozen=True, kw_only=True)
class ProxyConfig(RowConfig):
    """The same. Of MaskGIT's network: ``decoder_size`` codes of ``decoder_z`` coordinates, ``decoder_width`` times ``decoder_multipliers``."""

    size: int = 4096
    dim: int = 12
    decoder_size: int = 1024
    decoder_z: int = 256
    decoder_width: int = 128
    decoder_multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    decoder_blocks: int = 2
    decoder_groups: int = 32


class PixelDecoder(nn.Module):
    """Rows of vectors to windows: every place of the tower is a patch, smoothed by a convolution over all."""

    def __init__(self, config: RowConfig, dim: int) -> None:
        super().__init__()
        self.side, self.patch = config.places, config.patch
        self.tower = RowDecoder(config.trunk(config.decoder), self.side, config.row, dim)
        self.head = ThinLinear(config.decoder[0], 3 * config.patch**2)
        self.smooth = Conv(3, 3, 3, padding=1)

    def forward(self, z: Row, seen: Seen | None = None) -> Parts:
        samples = self.head(self.tower(z, seen)).unflatten(2, (-1, 3)).transpose(2, 3).flatten(2)  # colours lie innermost
        return self.smooth(picture(samples, self.patch, (self.side, self.side)).contiguous())


class ProxyDecoder(nn.Module):
    """Rows of vectors to windows by way of MaskGIT's codes: the mean code under what the tower holds likely, not the likeliest one."""

    def __init__(self, config: ProxyConfig) -> None:
        super().__init__()
        width, self.side = config.decoder[0], config.places
        self.tower = RowDecoder(config.trunk(config.decoder), self.side, config.row, config.dim)
        self.head = nn.Sequential(ThinLinear(width, 2 * width), nn.Tanh(), ThinLinear(2 * width, config.decoder_size))
        self.codebook = nn.Parameter(torch.randn(config.decoder_size, config.decoder_z))
        widths = [config.decoder_width * m for m in config.decoder_multipliers]
        self.pixels = MaskGitDecoder(widths, config.decoder_blocks, config.decoder_z, config.decoder_groups)

    def logits(self, z: Row, seen: Seen | None = None) -> Float[Tensor, "bk p codes"]:
        """Of MaskGIT's codes at each place, row by row."""
        return self.head(self.tower(z, seen))

    def forward(self, logits: Float[Tensor, "bk p codes"]) -> Parts:
        codes = logits.float().softmax(-1) @ self.codebook
        return self.pixels(lattice(codes, (self.side, self.side)).contiguous())


class TiTok(RowTokenizer):
    """As first released: through MaskGIT's codes, vectors and codes compared at unit length. Gives objectives ``logits`` of those codes."""

    bytes_per_pixel = 400
    stored = torch.float32

    def __init__(self, config: ProxyConfig) -> None:
        super().__init__()
        self.config, self.stride, self.row = config, config.side, config.row
        self.encoder = InterleavedEncoder(config.trunk(config.encoder), config.patch, config.places, config.row, config.dim)
        self.quantizer = NormalisedVectorQuantizer(config.size, config.dim)
        self.decoder = ProxyDecoder(config)

    def latents(self, x: Parts) -> Row:
        return self.encoder(x)

    def drawn(self, z: Row, seen: Seen | None = None) -> tuple[Parts, Mapping[str, Tensor]]:
        logits = self.decoder.logits(z, seen)
        return self.decoder(logits), {"logits": logits}

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last."""
        return self.decoder.pixels.conv_out.weight


class TiTokPixels(RowTokenizer):
    """Straight to pixels."""

    bytes_per_pixel = 400
    stored = torch.float32

    def __init__(self, config: PixelsConfig) -> None:
        super().__init__()
        self.config, self.stride, self.row = config, config.side, config.row
        self.encoder = RowEncoder(config.trunk(config.encoder), config.patch, config.places, config.row, config.dim)
        self.quantizer = VectorQuantizer(config.size, config.dim)
        self.decoder = PixelDecoder(config, config.dim)

    def latents(self, x: Parts) -> Row:
        return self.encoder(x)

    def drawn(self, z: Row, seen: Seen | None = None) -> tuple[Parts, Mapping[str, Tensor]]:
        return self.decoder(z, seen), {}

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last."""
        return self.decoder.smooth.weight


_LICENCE = "Apache-2.0"


def origin(name: str) -> Origin:
    """Of the authors' repositories, one a model."""
    return Origin(repo=f"yucornetto/tokenizer_titok_{name}_imagenet", file="model.safetensors", licence=_LICENCE)


def _proxy(name: str, tower: tuple[int, int, int], row: int) -> Entry:
    config = ProxyConfig(encoder=tower, decoder=tower, row=row)
    return Entry(build=TiTok, config=config, family="titok", origin=origin(name))


def _pixels(name: str, encoder: tuple[int, int, int], row: int) -> Entry:
    config = PixelsConfig(encoder=encoder, row=row)
    return Entry(build=TiTokPixels, config=config, family="titok", origin=origin(name))


_TOWER = (32, 1, 2)
TINY = ProxyConfig(
    side=32,
    patch=8,
    encoder=_TOWER,
    decoder=_TOWER,
    row=6,
    size=64,
    dim=4,
    decoder_size=16,
    decoder_z=8,
    decoder_width=4,
    decoder_multipliers=(1, 1, 1, 2),
    decoder_blocks=1,
    decoder_groups=2,
)
_TINY_PIXELS = PixelsConfig(side=32, patch=8, encoder=_TOWER, decoder=_TOWER, row=6, size=64, dim=8)

MODELS = {
    "titok_l32": _proxy("l32", LARGE, 32),
    "titok_b64": _proxy("b64", BASE, 64),
    "titok_s128": _proxy("s128", SMALL, 128),
    "titok_test": Entry(build=TiTok, config=TINY, family="titok", weights=Weights(file="titok_test.safetensors")),
    "titok_bl64_vq8k": _pixels("bl64_vq8k", BASE, 64),
    "titok_bl128_vq8k": _pixels("bl128_vq8k", BASE, 128),
    "titok_sl256_vq8k": _pixels("sl256_vq8k", SMALL, 256),
    "titok_pixels_test": Entry(
        build=TiTokPixels, config=_TINY_PIXELS, family="titok", weights=Weights(file="titok_pixels_test.safetensors")
    ),
}
