"""VQGAN as published, and what is its network with another quantizer: LlamaGen's tokenizers and IBQ.

    x ── encoder ── quant_conv ──> z ── quantizer ──> ids ── lookup ──> z_hat ── post_quant_conv ── decoder ──> x_hat

Sources: Esser et al., "Taming transformers for high-resolution image synthesis", CVPR 2021 (CompVis/taming-transformers; the f8
models are of CompVis/latent-diffusion); Sun et al., "Autoregressive model beats diffusion: Llama for scalable image generation",
2024 (FoundationVision/LlamaGen); Shi et al., "Scalable image tokenization with index backpropagation quantization", 2024
(TencentARC/SEED-Voken).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tokodec.entry import Entry, Origin, Weights
from tokodec.nn.mix import Mix
from tokodec.nn.vqgan import Decoder, Encoder, Shape
from tokodec.quantizers.base import Quantizer
from tokodec.quantizers.codebook import IndexBackpropagationQuantizer, NormalisedVectorQuantizer, VectorQuantizer
from tokodec.quantizers.entropy import SoftEntropy
from tokodec.tokenizers.lattice import LatticeTokenizer


@dataclass(frozen=True, kw_only=True)
class VQGANConfig:
    """``width`` times each of ``multipliers`` from the finest level to the coarsest; ``attention``: at how many of the coarsest levels.

    ``z`` features leave the encoder; ``size`` codes have ``dim`` coordinates.
    """

    width: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    blocks: int = 2
    attention: int = 1
    groups: int = 32
    z: int = 256
    size: int = 16384
    dim: int = 256

    @property
    def shape(self) -> Shape:
        """Of the networks."""
        return Shape.of(self.width, self.multipliers, self.blocks, self.groups, attention=self.attention)


class VQGAN(LatticeTokenizer):
    """With a plain codebook: the nearest code."""

    bytes_per_pixel = 4000
    stored = torch.float32

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.config = config
        self.stride = 2 ** (len(config.multipliers) - 1)
        self.encoder = Encoder(config.shape, config.z)
        self.quant_conv = Mix(config.z, config.dim)
        self.quantizer = self._quantizer(config)
        self.post_quant_conv = Mix(config.dim, config.z)
        self.decoder = Decoder(config.shape, config.z)

    def _quantizer(self, config: VQGANConfig) -> Quantizer:
        return VectorQuantizer(config.size, config.dim)

    def latents(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d gh gw"]:
        return self.quant_conv(self.encoder(x))

    def reconstruct(self, z: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b 3 h w"]:
        return self.decoder(self.post_quant_conv(z))

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last: what adaptive weights of objectives are measured at."""
        return self.decoder.conv_out.weight


class LlamaGen(VQGAN):
    """With few coordinates, compared at unit length."""

    def _quantizer(self, config: VQGANConfig) -> Quantizer:
        return NormalisedVectorQuantizer(config.size, config.dim)


class IBQ(VQGAN):
    """With the largest dot product, and gradients to all codes."""

    def _quantizer(self, config: VQGANConfig) -> Quantizer:
        return IndexBackpropagationQuantizer(config.size, config.dim, SoftEntropy())


_TINY = VQGANConfig(width=8, multipliers=(1, 2), blocks=1, groups=4, z=8, size=64, dim=4)
_LLAMAGEN = "FoundationVision/LlamaGen"


def _llamagen(multipliers: tuple[int, ...], repo: str, file: str) -> Entry:
    config = VQGANConfig(multipliers=multipliers, dim=8)
    return Entry(build=LlamaGen, config=config, family="llamagen", origin=Origin(repo=repo, file=file, licence="MIT"))


def _ibq(size: int, repo: str, file: str) -> Entry:
    config = VQGANConfig(blocks=4, size=size)
    return Entry(build=IBQ, config=config, family="ibq", origin=Origin(repo=f"TencentARC/{repo}", file=file, licence="Apache-2.0"))


def _vqgan(config: VQGANConfig, file: str) -> Entry:
    return Entry(build=VQGAN, config=config, family="vqgan", origin=Origin(file=file, licence="MIT"))


MODELS = {
    "vqgan_f16_1024": _vqgan(VQGANConfig(size=1024), "vqgan_imagenet_f16_1024/ckpts/last.ckpt"),
    "vqgan_f16_16384": _vqgan(VQGANConfig(), "vqgan_imagenet_f16_16384/ckpts/last.ckpt"),
    "vqgan_f8_16384": _vqgan(VQGANConfig(multipliers=(1, 2, 2, 4), z=4, dim=4), "vq-f8.zip"),
    "vqgan_f8_256": _vqgan(VQGANConfig(multipliers=(1, 2, 2, 4), z=4, dim=4, size=256), "vq-f8-n256.zip"),
    "vqgan_test": Entry(build=VQGAN, config=_TINY, family="vqgan", weights=Weights(file="vqgan_test.safetensors")),
    "llamagen_vq16": _llamagen((1, 1, 2, 2, 4), _LLAMAGEN, "vq_ds16_c2i.pt"),
    "llamagen_vq16_t2i": _llamagen((1, 1, 2, 2, 4), "peizesun/llamagen_t2i", "vq_ds16_t2i.pt"),
    "llamagen_vq8": _llamagen((1, 2, 2, 4), _LLAMAGEN, "vq_ds8_c2i.pt"),
    "llamagen_test": Entry(build=LlamaGen, config=_TINY, family="llamagen", weights=Weights(file="llamagen_test.safetensors")),
    "ibq_1024": _ibq(1024, "IBQ-Tokenizer-1024", "imagenet256_1024.ckpt"),
    "ibq_8192": _ibq(8192, "IBQ-Tokenizer-8192", "imagenet256_8192.ckpt"),
    "ibq_16384": _ibq(16384, "IBQ-Tokenizer-16384", "imagenet256_16384.ckpt"),
    "ibq_262144": _ibq(262144, "IBQ-Tokenizer-262144", "imagenet256_262144.ckpt"),
    "ibq_16384_pretrain": _ibq(16384, "IBQ-Tokenizer-16384-Pretrain", "IBQ_pretrain_16384.ckpt"),
    "ibq_262144_pretrain": _ibq(262144, "IBQ-Tokenizer-262144-Pretrain", "IBQ_pretrain_262144.ckpt"),
    "ibq_test": Entry(build=IBQ, config=_TINY, family="ibq", weights=Weights(file="ibq_test.safetensors")),
}
