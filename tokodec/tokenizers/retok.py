"""ReTok: a row of 256 ids out of a lattice of features, of which any first ones are a picture.

    x ── CNN ──> features ── reader ── quant_conv ──> z (b,n,8) ── quantizer ──> ids ── the first k
    ids ── lookup ── post_quant_conv ── writer ──> features ── CNN with adaptive norms ──> x_hat

The reader's tail queries stand there twice, and all see each other; the second ones give no ids here, but ids depend on them.

Source: "Improving flexible image tokenizers for autoregressive image generation", 2026 (ReTok; zfu006/ReTok), on Xiong et al.,
"GigaTok", 2025.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.api import Pixels
from tokodec.entry import Entry, Origin, Weights
from tokodec.nn.magvit import MagvitDecoder
from tokodec.nn.mix import ThinLinear
from tokodec.nn.transformer import Trunk
from tokodec.nn.vqgan import Encoder, ResidualBlock, Shape
from tokodec.quantizers.codebook import NormalisedVectorQuantizer
from tokodec.tokenizers.prefix import PrefixTokenizer
from tokodec.tokenizers.retok_layers import LatticeReader, LatticeWriter
from tokodec.tokenizers.rows import Parts, Row, Seen

_MIDDLE = 2
"""Blocks between the levels of the CNNs."""


@dataclass(frozen=True, kw_only=True)
class ReTokConfig:
    """``side`` of a window in pixels. CNNs: ``width`` times each of ``multipliers`` from the finest level to the coarsest, ``z`` features.

    Transformers: width, layers and heads. ``row`` ids, a power of 2, those from ``head`` on read twice; ``size`` codes of ``dim`` coordinates.
    """

    side: int = 256
    width: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    blocks: int = 2
    groups: int = 32
    z: int = 256
    encoder: tuple[int, int, int] = (512, 6, 8)
    decoder: tuple[int, int, int] = (768, 12, 12)
    row: int = 256
    head: int = 32
    size: int = 16384
    dim: int = 8

    @property
    def places(self) -> int:
        """Of the lattice, on a side."""
        return self.side // 2 ** (len(self.multipliers) - 1)

    @staticmethod
    def trunk(tower: tuple[int, int, int]) -> Trunk:
        """Of a transformer."""
        width, depth, heads = tower
        return Trunk(width=width, depth=depth, heads=heads, hidden=4 * width)


class Reader(nn.Module):
    """Windows in [-1, 1] to vectors: the row, and its tail again."""

    def __init__(self, config: ReTokConfig) -> None:
        super().__init__()
        shape = Shape.of(config.width, config.multipliers, config.blocks, config.groups, attention=0)
        self.features = Encoder(shape, config.z)
        widest = shape.widths[-1]
        self.features.middle = nn.Sequential(*(ResidualBlock(widest, widest, config.groups) for _ in range(_MIDDLE)))
        self.row = LatticeReader(config.trunk(config.encoder), config.places**2, config.row, config.head, config.z)

    def forward(self, x: Parts) -> Float[Tensor, "bk all z"]:
        return self.row(self.features(x))


class Writer(nn.Module):
    """The mirror, of rows of any length."""

    def __init__(self, config: ReTokConfig) -> None:
        super().__init__()
        self.lattice = LatticeWriter(config.trunk(config.decoder), config.places, config.row, config.z)
        widths = [config.width * m for m in config.multipliers]
        self.pixels = MagvitDecoder(widths, config.blocks + 1, config.z, config.groups, middle=_MIDDLE, bias=True)

    def forward(self, row: Row, seen: Seen | None = None) -> Parts:
        return self.pixels(self.lattice(row, seen))


class ReTok(PrefixTokenizer):
    """Vectors and codes are compared at unit length."""

    bytes_per_pixel = 500
    stored = torch.float32

    def __init__(self, config: ReTokConfig) -> None:
        super().__init__()
        self.config, self.stride, self.row = config, config.side, config.row
        self.encoder = Reader(config)
        self.quant_conv = ThinLinear(config.z, config.dim)
        self.quantizer = NormalisedVectorQuantizer(config.size, config.dim)
        self.post_quant_conv = ThinLinear(config.dim, config.z)
        self.decoder = Writer(config)

    def to_native(self, x: Pixels) -> Pixels:
        """From [0, 1] to [-1, 1]."""
        return x * 2 - 1

    def from_native(self, x: Pixels) -> Pixels:
        """The inverse."""
        return (x + 1) / 2

    def latents(self, x: Parts) -> Row:
        return self.vectors(x)[:, : self.row]

    def vectors(self, x: Parts) -> Float[Tensor, "bk all d"]:
        """Those of the row, and behind them what its tail says the second time."""
        return self.quant_conv(self.encoder(x))

    def drawn(self, z: Row, seen: Seen | None = None) -> tuple[Parts, Mapping[str, Tensor]]:
        return self.decoder(self.post_quant_conv(z), seen), {}

    def drawn_lengths(self, items: int) -> Int[Tensor, " b"]:
        """One length for each item, every length alike: nested dropout."""
        return torch.randint(1, self.row + 1, (items,))

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last."""
        return self.decoder.pixels.conv_out.weight


def _entry(config: ReTokConfig, *, weights: Weights | None = None, origin: Origin | None = None) -> Entry:
    return Entry(build=ReTok, config=config, family="retok", weights=weights, origin=origin, variable_rate=True, variable_length=True)


_TOWER = (32, 1, 2)
_TINY = ReTokConfig(
    side=32,
    width=4,
    multipliers=(1, 1, 1, 2),
    blocks=1,
    groups=2,
    z=8,
    encoder=_TOWER,
    decoder=_TOWER,
    row=8,
    head=2,
    size=64,
    dim=4,
)

MODELS = {
    "retok_sb256": _entry(ReTokConfig(), origin=Origin(file="VQ_SB256_e250.pt", licence="LicenseRef-unknown")),
    "retok_ss256": _entry(ReTokConfig(decoder=(512, 6, 8)), origin=Origin(file="VQ_SS256", licence="LicenseRef-unknown")),
    "retok_test": _entry(_TINY, weights=Weights(file="retok_test.safetensors")),
}
