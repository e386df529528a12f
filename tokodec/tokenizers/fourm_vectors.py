"""The tokenizers of 4M for single vectors: features of a whole picture, and poses of a human body.

    x ── linear ── perceptrons ── quant_proj ──> z ── heads ──> ids (16 or 8) ──> z_hat ── perceptrons ── linear ──> x_hat

A vector is a map of one place; larger maps are as many vectors.

Sources: Bachmann et al., "4M-21", NeurIPS 2024 (apple/ml-4m); perceptrons after Bachmann et al., "Scaling MLPs", NeurIPS 2023.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.api import Output
from tokodec.entry import Entry
from tokodec.nn.mix import ThinLinear
from tokodec.nn.transformer import Perceptron
from tokodec.quantizers.memcodes import MemoryCodesQuantizer
from tokodec.tokenizers.fourm import AsItIs, origin, with_smooth_l1
from tokodec.tokenizers.lattice import lattice, sequence

Sequence = Float[Tensor, "b n c"]
Vectors = Float[Tensor, "b c h w"]


@dataclass(frozen=True, kw_only=True)
class FourMVectorsConfig:
    """``channels`` of a vector; ``dim`` coordinates in ``heads`` heads of ``size`` codes each."""

    channels: int = 768
    width: int = 1024
    depth: int = 6
    heads: int = 16
    size: int = 8192
    dim: int = 1024


class Perceptrons(nn.Module):
    """``depth`` of them, each normalised and added."""

    def __init__(self, config: FourMVectorsConfig, channels: int, out: int) -> None:
        super().__init__()
        self.enter = ThinLinear(channels, config.width)
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(config.depth))
        self.perceptrons = nn.ModuleList(Perceptron(config.width, 4 * config.width) for _ in range(config.depth))
        self.leave = ThinLinear(config.width, out)

    def forward(self, x: Sequence) -> Float[Tensor, "b n d"]:
        h = self.enter(x)
        for norm, perceptron in zip(self.norms, self.perceptrons, strict=True):
            h = h + perceptron(norm(h))
        return self.leave(h)


class FourMVectors(AsItIs):
    """Features of whole pictures (b, c, 1, 1). A term more: ``cosine``, 1 less the cosine between what goes in and comes out."""

    stride = 1
    bytes_per_pixel = 100_000
    stored = torch.float32

    def __init__(self, config: FourMVectorsConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Perceptrons(config, config.channels, config.width)
        self.quant_proj = ThinLinear(config.width, config.dim)
        self.quantizer = MemoryCodesQuantizer(config.size, config.dim, config.heads)
        self.post_quant_proj = ThinLinear(config.dim, config.width)
        self.decoder = Perceptrons(config, config.width, config.channels)

    def latents(self, x: Vectors) -> Float[Tensor, "b d h w"]:
        return lattice(self.quant_proj(self.encoder(sequence(x))), x.shape[2:])

    def reconstruct(self, z: Float[Tensor, "b d h w"]) -> Vectors:
        return lattice(self.decoder(self.post_quant_proj(sequence(z))), z.shape[2:])

    def forward(self, x: Vectors, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        output = super().forward(x, quality=quality)
        assert output.pixels is not None
        loss = 1 - F.cosine_similarity(output.pixels, x, dim=1).flatten(1).mean(1)
        return Output(pixels=output.pixels, terms={**output.terms, "cosine": loss}, aux=output.aux)


class FourMPoses(FourMVectors):
    """Rotations of the 23 joints of a body, 9 numbers each (b, 207, 1, 1). ``smooth_l1`` beside ``cosine``."""

    def forward(self, x: Vectors, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        return with_smooth_l1(super().forward(x, quality=quality), x)


_POSES = FourMVectorsConfig(channels=207, heads=8, size=1024)

MODELS = {
    "fourm_dinov2_b14_global_8k_16": Entry(
        build=FourMVectors,
        config=FourMVectorsConfig(),
        family="fourm",
        origin=origin("DINOv2-B14-global_8k_16_224"),
        input="features:768",
    ),
    "fourm_imagebind_h14_global_8k_16": Entry(
        build=FourMVectors,
        config=FourMVectorsConfig(channels=1280),
        family="fourm",
        origin=origin("ImageBind-H14-global_8k_16_224"),
        input="features:1280",
    ),
    "fourm_human_poses_1k": Entry(build=FourMPoses, config=_POSES, family="fourm", origin=origin("human-poses_1k_8"), input="poses:207"),
}
