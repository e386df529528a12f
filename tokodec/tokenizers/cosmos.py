"""The discrete image tokenizers of NVIDIA's Cosmos: a fixed wavelet, then VQGAN's network, then finite scalar quantization.

    x ── haar (b,48,h/4,w/4) ── encoder ── quant_conv ──> z ── rounding ──> ids
    ids ──> z_hat ── post_quant_conv ── decoder ── inverse haar ──> x_hat

Source: NVIDIA, "Cosmos tokenizer", 2024 (NVIDIA/Cosmos-Tokenizer, ``cosmos_tokenizer/networks/discrete_image.py``).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tokodec.entry import Entry, Origin, Weights
from tokodec.nn.mix import Mix
from tokodec.nn.vqgan import Decoder, Encoder, Shape
from tokodec.nn.wavelet import haar, inverse_haar
from tokodec.quantizers.fsq import FiniteScalarQuantizer
from tokodec.tokenizers.lattice import LatticeTokenizer

_WAVELETS = 2


@dataclass(frozen=True, kw_only=True)
class CosmosConfig:
    """``stride`` 8 or 16, of which the wavelet makes 4; ``width`` times each of ``multipliers``, all levels there whatever the stride."""

    stride: int = 16
    width: int = 128
    multipliers: tuple[int, ...] = (2, 4, 4)
    blocks: int = 2
    groups: int = 32
    z: int = 256
    levels: tuple[int, ...] = (8, 8, 8, 5, 5, 5)

    @property
    def shape(self) -> Shape:
        """Of the networks."""
        return Shape(
            widths=tuple(self.width * m for m in self.multipliers),
            blocks=self.blocks,
            halvings=int(math.log2(self.stride)) - _WAVELETS,
            attention=(False,) * len(self.multipliers),
            groups=self.groups,
            stem=self.width,
        )


class CosmosDiscrete(LatticeTokenizer):
    """See the module's docstring."""

    bytes_per_pixel = 1200
    stored = torch.float32

    def __init__(self, config: CosmosConfig) -> None:
        super().__init__()
        self.config, self.stride = config, config.stride
        channels = 3 * 4**_WAVELETS
        self.encoder = Encoder(config.shape, config.z, channels)
        self.quantizer = FiniteScalarQuantizer(config.levels)
        self.quant_conv = Mix(config.z, self.quantizer.dim)
        self.post_quant_conv = Mix(self.quantizer.dim, config.z)
        self.decoder = Decoder(config.shape, config.z, channels)

    def latents(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d gh gw"]:
        return self.quant_conv(self.encoder(haar(x, _WAVELETS)))

    def reconstruct(self, z: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b 3 h w"]:
        return inverse_haar(self.decoder(self.post_quant_conv(z)), _WAVELETS)

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last."""
        return self.decoder.conv_out.weight


def _entry(stride: int) -> Entry:
    side = f"{stride}x{stride}"
    origin = Origin(repo=f"nvidia/Cosmos-0.1-Tokenizer-DI{side}", file="autoencoder.jit", licence="LicenseRef-NVIDIA-Open-Model-License")
    return Entry(build=CosmosDiscrete, config=CosmosConfig(stride=stride), family="cosmos_di", origin=origin)


_TINY = CosmosConfig(stride=8, width=8, multipliers=(1, 2), blocks=1, groups=4, z=8, levels=(5, 4, 3))

MODELS = {
    "cosmos_di_8x8": _entry(8),
    "cosmos_di_16x16": _entry(16),
    "cosmos_di_test": Entry(build=CosmosDiscrete, config=_TINY, family="cosmos_di", weights=Weights(file="cosmos_di_test.safetensors")),
}
