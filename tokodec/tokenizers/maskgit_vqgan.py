"""MaskGIT's VQGAN: what TiTok learns to tell the ids of, and decodes through.

    x ── encoder ──> z ── nearest code ──> ids ── lookup ── decoder ──> x_hat

Source: Chang et al., "MaskGIT: masked generative image transformer", CVPR 2022 (google-research/maskgit), weights as in
bytedance/1d-tokenizer.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tokodec.entry import Entry, Origin, Weights
from tokodec.nn.maskgit import MaskGitDecoder, MaskGitEncoder
from tokodec.quantizers.codebook import VectorQuantizer
from tokodec.tokenizers.lattice import LatticeTokenizer, Picture


@dataclass(frozen=True, kw_only=True)
class MaskGitConfig:
    """``width`` times each of ``multipliers`` from the finest level to the coarsest; ``size`` codes of ``z`` coordinates."""

    width: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    blocks: int = 2
    groups: int = 32
    z: int = 256
    size: int = 1024


class MaskGitVQGAN(LatticeTokenizer):
    """Pictures in [0, 1] inside too."""

    bytes_per_pixel = 4000
    stored = torch.float32

    def __init__(self, config: MaskGitConfig) -> None:
        super().__init__()
        self.config = config
        self.stride = 2 ** (len(config.multipliers) - 1)
        widths = [config.width * m for m in config.multipliers]
        self.encoder = MaskGitEncoder(widths, config.blocks, config.z, config.groups)
        self.quantizer = VectorQuantizer(config.size, config.z)
        self.decoder = MaskGitDecoder(widths, config.blocks, config.z, config.groups)

    def to_native(self, x: Picture) -> Picture:
        """The same."""
        return x

    def from_native(self, x: Picture) -> Picture:
        """The inverse."""
        return x

    def latents(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d gh gw"]:
        return self.encoder(x)

    def reconstruct(self, z: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b 3 h w"]:
        return self.decoder(z)

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last."""
        return self.decoder.conv_out.weight


_TINY = MaskGitConfig(width=4, multipliers=(1, 1, 2), blocks=1, groups=2, z=8, size=16)
_ORIGIN = Origin(repo="fun-research/TiTok", file="maskgit-vqgan-imagenet-f16-256.bin", licence="Apache-2.0")

MODELS = {
    "maskgit_vqgan": Entry(build=MaskGitVQGAN, config=MaskGitConfig(), family="titok", origin=_ORIGIN),
    "maskgit_vqgan_test": Entry(build=MaskGitVQGAN, config=_TINY, family="titok", weights=Weights(file="maskgit_vqgan_test.safetensors")),
}
