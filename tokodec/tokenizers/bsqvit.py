"""BSQ-ViT as published: a transformer on each side, and as many bits a place as coordinates.

    x ── patches ── linear ── + positions ── transformer ── quant_embed ──> z ── signs ──> ids
    ids ── +-d^(-1/2) ── post_quant_embed ── + positions ── transformer ── perceptron ── patches ──> x_hat

Positions are learned for one size, so larger pictures are windows of that size, each on its own.

Source: Zhao, Xiong and Kraehenbuehl, "Image and video tokenization with binary spherical quantization", ICLR 2025
(zhaoyue-zephyrus/bsq-vit).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.entry import Entry, Origin, Weights
from tokodec.nn.adapter import Adapter
from tokodec.nn.mix import ThinLinear
from tokodec.nn.patch import patches, picture
from tokodec.nn.transformer import Trunk
from tokodec.nn.windows import stitched, windows
from tokodec.quantizers.lfq import BinarySphericalQuantizer
from tokodec.tokenizers.lattice import LatticeTokenizer

Sequence = Float[Tensor, "b n c"]


@dataclass(frozen=True, kw_only=True)
class BSQViTConfig:
    """``bits`` a place, in ``groups`` ids; ``side`` of a window and of a patch in pixels."""

    bits: int = 18
    groups: int = 1
    side: int = 256
    patch: int = 8
    width: int = 768
    depth: int = 12
    heads: int = 12

    @property
    def trunk(self) -> Trunk:
        """Of encoder and decoder."""
        return Trunk(width=self.width, depth=self.depth, heads=self.heads, hidden=4 * self.width)

    @property
    def places(self) -> int:
        """In a window."""
        return (self.side // self.patch) ** 2

    @property
    def samples(self) -> int:
        """Of a patch: its channels, each row by row."""
        return 3 * self.patch**2


class Encoder(nn.Module):
    """Windows in [-1, 1] to features."""

    def __init__(self, config: BSQViTConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.embed = ThinLinear(config.samples, config.width, bias=False)
        self.tower = Adapter(config.places, config.trunk)

    def forward(self, x: Float[Tensor, "b 3 s s"]) -> Sequence:
        return self.tower(self.embed(patches(x, self.patch)))


class Decoder(nn.Module):
    """Features to windows."""

    def __init__(self, config: BSQViTConfig) -> None:
        super().__init__()
        self.patch, self.grid = config.patch, config.side // config.patch
        self.tower = Adapter(config.places, config.trunk)
        self.rise = ThinLinear(config.width, 4 * config.width)
        self.out = ThinLinear(4 * config.width, config.samples)

    def forward(self, h: Sequence) -> Float[Tensor, "b 3 s s"]:
        samples = self.out(torch.tanh(self.rise(self.tower(h))))
        return picture(samples, self.patch, (self.grid, self.grid))


class BSQViT(LatticeTokenizer):
    """``bits`` bits for each patch."""

    bytes_per_pixel = 2000
    stored = torch.float32

    def __init__(self, config: BSQViTConfig) -> None:
        super().__init__()
        self.config, self.stride, self.window = config, config.patch, config.side
        self.encoder = Encoder(config)
        self.quant_embed = ThinLinear(config.width, config.bits)
        self.quantizer = BinarySphericalQuantizer(config.bits, config.groups)
        self.post_quant_embed = ThinLinear(config.bits, config.width)
        self.decoder = Decoder(config)

    def latents(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d gh gw"]:
        """Not yet on the sphere: the quantizer puts them there."""
        z = self.quant_embed(self.encoder(windows(x, self.window)))
        side = self.window // self.stride
        return stitched(z.transpose(1, 2).unflatten(2, (side, side)), (x.shape[2] // self.stride, x.shape[3] // self.stride))

    def reconstruct(self, z: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b 3 h w"]:
        parts = windows(z, self.window // self.stride).flatten(2).transpose(1, 2)
        return stitched(self.decoder(self.post_quant_embed(parts)), (z.shape[2] * self.stride, z.shape[3] * self.stride))

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last: what adaptive weights of objectives are measured at."""
        return self.decoder.out.weight


def _bsqvit(config: BSQViTConfig, file: str) -> Entry:
    return Entry(build=BSQViT, config=config, family="bsqvit", origin=Origin(file=file, licence="MIT"))


_TINY = BSQViTConfig(side=16, patch=4, width=16, depth=1, heads=2)

MODELS = {
    "bsqvit_b18": _bsqvit(BSQViTConfig(), "imagenet_256x256_bsqvit_b18g18_stylegan_f8_fp16"),
    "bsqvit_b18_g9": _bsqvit(BSQViTConfig(groups=2), "imagenet_256x256_bsqvit_b18g2_stylegan_f8_fp16"),
    "bsqvit_b36": _bsqvit(BSQViTConfig(bits=36, groups=2), "imagenet_256x256_bsqvit_b36g36_stylegan_f8_fp16"),
    "bsqvit_test": Entry(build=BSQViT, config=_TINY, family="bsqvit", weights=Weights(file="bsqvit_test.safetensors")),
}
