"""The tokenizers of 4M with a transformer on each side: pictures, maps of features, and maps of classes.

    x ── patches ── transformer ── tanh perceptron ── quant_proj ──> z ── direction ──> ids
    ids ── row ── post_quant_proj ── transformer ── tanh perceptron ── patches ──> x_hat

One recipe for every modality. Positions are stretched, so any size goes in. Siblings: :mod:`tokodec.tokenizers.fourm_divae` has another
decoder, :mod:`tokodec.tokenizers.fourm_masks` and :mod:`tokodec.tokenizers.fourm_vectors` take other things.

Sources: Mizrahi et al., "4M: massively multimodal masked modeling", NeurIPS 2023; Bachmann et al., "4M-21: an any-to-any vision model
for tens of tasks and modalities", NeurIPS 2024 (apple/ml-4m).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.api import Output, Sampler, Tokens
from tokodec.entry import Entry, Origin, Weights
from tokodec.errors import InputError
from tokodec.nn.mix import ThinLinear
from tokodec.nn.patch import PatchEmbed, picture
from tokodec.nn.transformer import Trunk
from tokodec.nn.vit import LatticeTrunk, TanhTrunk
from tokodec.quantizers.cosine import CosineQuantizer
from tokodec.tokenizers.lattice import LatticeTokenizer, lattice, sequence

Map = Float[Tensor, "b c h w"]
Classes = Int[Tensor, "b h w"]
_REVIVE_BELOW = 1 / 32
LICENCE = "LicenseRef-Apple-Sample-Code"


@dataclass(frozen=True, kw_only=True)
class FourMConfig:
    """``channels`` in patches of ``patch`` x ``patch`` (1: a map of features); ``grid``: side of the tables of positions.

    ``size`` codes of ``dim`` coordinates. ``labels``: how many classes there are, each a vector of ``channels``; 0: none.
    """

    channels: int = 3
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    grid: int = 14
    size: int = 1024
    dim: int = 32
    labels: int = 0

    @property
    def trunk(self) -> Trunk:
        """Of encoder and decoder."""
        return Trunk(width=self.width, depth=self.depth, heads=self.heads, hidden=4 * self.width, eps=1e-6)


class Encoder(nn.Module):
    """Pictures in their native range to features of each patch."""

    def __init__(self, config: FourMConfig, trunk: LatticeTrunk) -> None:
        super().__init__()
        self.proj = PatchEmbed(config.channels, config.width, config.patch)
        self.trunk = trunk

    def forward(self, x: Map, grid: tuple[int, int]) -> Float[Tensor, "b n d"]:
        return self.trunk(self.proj(x), grid)


class Decoder(nn.Module):
    """The mirror of it, to ``channels`` channels."""

    def __init__(self, config: FourMConfig, trunk: LatticeTrunk, channels: int) -> None:
        super().__init__()
        self.patch = config.patch
        self.trunk = trunk
        self.out = ThinLinear(config.width, channels * config.patch**2)

    def forward(self, h: Float[Tensor, "b n d"], grid: tuple[int, int]) -> Map:
        return picture(self.out(self.trunk(h, grid)), self.patch, grid)


class FourMEncoder(LatticeTokenizer):
    """What all with a lattice share: pictures to ids. The decoder is each one's own."""

    bytes_per_pixel = 1000
    stored = torch.float32

    def __init__(self, config: FourMConfig) -> None:
        super().__init__()
        self.config, self.stride = config, config.patch
        self.encoder = Encoder(config, self.trunk(config))
        self.quant_proj = ThinLinear(config.width, config.dim)
        self.quantizer = CosineQuantizer(config.size, config.dim, _REVIVE_BELOW)

    def trunk(self, config: FourMConfig) -> LatticeTrunk:
        """Of encoder and decoder."""
        return TanhTrunk(config.trunk, config.grid)

    def latents(self, x: Map) -> Float[Tensor, "b d gh gw"]:
        grid = (x.shape[2] // self.stride, x.shape[3] // self.stride)
        return lattice(self.quant_proj(self.encoder(x, grid)), grid)


class FourM(FourMEncoder):
    """Pictures in RGB."""

    def __init__(self, config: FourMConfig) -> None:
        super().__init__(config)
        self.post_quant_proj = ThinLinear(config.dim, config.width)
        self.decoder = self._decoder(config)

    def _decoder(self, config: FourMConfig) -> nn.Module:
        return Decoder(config, self.trunk(config), config.labels or config.channels)

    def reconstruct(self, z: Float[Tensor, "b d gh gw"]) -> Map:
        return self.decoder(self.post_quant_proj(sequence(z)), (z.shape[2], z.shape[3]))


class AsItIs(LatticeTokenizer):
    """What goes in is in its native range, and what comes out is not held in any."""

    def to_native(self, x: Map) -> Map:
        return x

    def from_native(self, x: Map) -> Map:
        return x

    def bounded(self, x: Map) -> Map:
        return x


class FourMFeatures(AsItIs, FourM):
    """Maps of features (b, c, h, w), an id for each place. A term more: ``smooth_l1``."""

    def forward(self, x: Map, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        return with_smooth_l1(super().forward(x, quality=quality), x)


class FourMLabels(AsItIs, FourM):
    """Maps of classes (b, h, w), int64 from 0 on. Terms: ``cross_entropy`` of each pixel, ``commitment``; ``aux`` has the logits."""

    def __init__(self, config: FourMConfig) -> None:
        super().__init__(config)
        self.labels = nn.Embedding(config.labels, config.channels)

    def forward(self, x: Classes, *, quality: Float[Tensor, " b"] | None = None) -> Output:  # type: ignore[override]
        self.refuse(quality)
        if not self.training:
            return self._counted(x)
        z = self.latents(self._filled(self._embedded(x)))
        quantized = self.quantizer(sequence(z))
        logits = self._cropped(self.reconstruct(lattice(quantized.z, z.shape[2:])).float(), x.shape[1:])
        loss = F.cross_entropy(logits, x, reduction="none").flatten(1).mean(1)
        ids = self._on_lattice(quantized.ids, z.shape[2:])
        return Output(pixels=None, terms={"cross_entropy": loss, **quantized.terms}, aux={"ids": ids, "logits": logits})

    def _counted(self, x: Classes) -> Output:
        """In eval mode the share of pixels that are ``wrong``, and the rate."""
        tokens = self.encode(x)
        wrong = (self.decode(tokens) != x).float().flatten(1).mean(1)
        bpp = (tokens.bits / (x.shape[1] * x.shape[2])).float().to(x.device)
        return Output(pixels=None, terms={"wrong": wrong, "bpp": bpp}, aux={"ids": tokens.ids})

    def encode(self, x: Classes, *, quality: float | Float[Tensor, " b"] | None = None) -> Tokens:  # type: ignore[override]
        """Raises InputError for classes that there are not."""
        return super().encode(self._embedded(x), quality=quality)

    def decode(self, code: Tokens, *, sampler: Sampler | None = None) -> Classes:
        """The likeliest class of each pixel, of equal ones the lowest."""
        return super().decode(code, sampler=sampler).argmax(1)

    def _embedded(self, x: Classes) -> Map:
        if x.numel() and not 0 <= int(x.min()) <= int(x.max()) < self.config.labels:
            raise InputError(f"classes are 0 to {self.config.labels - 1}; these reach from {int(x.min())} to {int(x.max())}")
        return self.labels(x).permute(0, 3, 1, 2)


def with_smooth_l1(output: Output, x: Map) -> Output:
    """With the term that features, depth and poses were trained with: squares below 1, absolute values above."""
    assert output.pixels is not None
    loss = F.smooth_l1_loss(output.pixels, x, reduction="none").flatten(1).mean(1)
    return Output(pixels=output.pixels, terms={**output.terms, "smooth_l1": loss}, aux=output.aux)


def origin(name: str) -> Origin:
    """Where the authors publish a tokenizer."""
    return Origin(repo=f"EPFL-VILAB/4M_tokenizers_{name}", file="model.safetensors", licence=LICENCE)


def _features(channels: int, takes: str, name: str) -> Entry:
    config = FourMConfig(channels=channels, patch=1, size=8192)
    return Entry(build=FourMFeatures, config=config, family="fourm", origin=origin(name), input=takes)


_SEMSEG = FourMConfig(channels=64, labels=134, size=4096)
_TINY = FourMConfig(patch=8, width=16, depth=1, heads=2, grid=4, size=64, dim=4)

MODELS = {
    "fourm_rgb_1k": Entry(build=FourM, config=FourMConfig(), family="fourm"),
    "fourm_semseg_4k": Entry(build=FourMLabels, config=_SEMSEG, family="fourm", origin=origin("semseg_4k_224-448"), input="labels:134"),
    "fourm_clip_b16_8k": _features(512, "features:512", "CLIP-B16_8k_224-448"),
    "fourm_dinov2_b14_8k": _features(768, "features:768", "DINOv2-B14_8k_224-448"),
    "fourm_imagebind_h14_8k": _features(1280, "features:1280", "ImageBind-H14_8k_224-448"),
    "fourm_test": Entry(build=FourM, config=_TINY, family="fourm", weights=Weights(file="fourm_test.safetensors")),
}
