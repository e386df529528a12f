"""The binary autoencoder of ELM: VQGAN's network around 16 to 24 independent bits a place.

    x ── encoder ── quant_conv ──> logits ── bits ──> ids (b,gh,gw,k) ──> sum of a vector a bit ── decoder ──> x_hat

Source: Wang et al., "Elucidating the design space of language models for image generation", 2024 (ELM), after Wang et al., "Binary
latent diffusion", CVPR 2023.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tokodec.entry import Entry, Origin, Weights
from tokodec.nn.mix import Mix
from tokodec.nn.vqgan import Decoder, Encoder, Shape, norm
from tokodec.quantizers.lfq import BinaryQuantizer
from tokodec.tokenizers.lattice import LatticeTokenizer

Map = Float[Tensor, "b c h w"]
Resized = Float[Tensor, "b c2 h2 w2"]


@dataclass(frozen=True, kw_only=True)
class BAEConfig:
    """``width`` times each of ``multipliers``; ``bits`` a place, in ``codebooks`` equal runs with an id each."""

    width: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    blocks: int = 2
    groups: int = 32
    z: int = 256
    bits: int = 16
    codebooks: int = 2


def _shape(config: BAEConfig, blocks: int) -> Shape:
    return Shape.of(config.width, config.multipliers, blocks, config.groups)


class BAEEncoder(Encoder):
    """Without an activation before the last convolution."""

    def head(self, h: Map) -> Resized:
        return self.conv_out(self.norm_out(h))


class BAEDecoder(Decoder):
    """Normalised first, as many blocks as in the encoder, and without an activation before the last convolution."""

    def __init__(self, config: BAEConfig) -> None:
        super().__init__(_shape(config, config.blocks - 1), config.z)
        self.norm_in = norm(config.z, config.groups)

    def forward(self, z: Map) -> Resized:
        return super().forward(self.norm_in(z))

    def head(self, h: Map) -> Resized:
        return self.conv_out(self.norm_out(h))


class BAE(LatticeTokenizer):
    """Bits are set where they are more likely than not; its authors draw them, unless told otherwise."""

    bytes_per_pixel = 4000
    stored = torch.float32

    def __init__(self, config: BAEConfig) -> None:
        super().__init__()
        self.config = config
        self.stride = 2 ** (len(config.multipliers) - 1)
        self.encoder = BAEEncoder(_shape(config, config.blocks), config.z)
        self.quant_conv = Mix(config.z, config.bits)
        self.quantizer = BinaryQuantizer(config.bits, config.z, config.codebooks)
        self.decoder = BAEDecoder(config)

    def latents(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d gh gw"]:
        return self.quant_conv(self.encoder(x))

    def reconstruct(self, z: Float[Tensor, "b e gh gw"]) -> Float[Tensor, "b 3 h w"]:
        return self.decoder(z)

    def to_native(self, x: Map) -> Map:
        """[0, 1], as it is."""
        return x

    def from_native(self, x: Map) -> Map:
        return x

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last."""
        return self.decoder.conv_out.weight


def _entry(bits: int, folder: str) -> Entry:
    origin = Origin(repo="xuantonglll/ELM", file=f"bae/{folder}/binaryae_ema.th", licence="LicenseRef-unknown")
    return Entry(build=BAE, config=BAEConfig(bits=bits), family="bae", origin=origin)


_TINY = BAEConfig(width=8, multipliers=(1, 2), groups=4, z=8, bits=6)

MODELS = {
    "bae_16": _entry(16, "bae_16"),
    "bae_16_deter": _entry(16, "bae_16_deter"),
    "bae_20": _entry(20, "bae_20"),
    "bae_24": _entry(24, "bae_24"),
    "bae_test": Entry(build=BAE, config=_TINY, family="bae", weights=Weights(file="bae_test.safetensors")),
}
