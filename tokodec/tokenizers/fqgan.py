"""FQGAN: VQGAN's network with two or three codebooks, one for the look and the others for meaning at one or two levels.

    x ── encoder ──┬─ adapter ── head ── quant_conv ──> z_1 ── nearest code ──> ids[..., 0]    visual
                   └─ adapter ── head ── quant_conv ──> z_2 ── nearest code ──> ids[..., 1]    semantic ── head ──> features
    ids ── codes side by side ── post_quant_conv ── decoder ──> x_hat

Positions are learned for one size, so larger pictures are windows of that size, each on its own.

Source: Bai et al., "Factorized visual tokenization and generation", 2024 (showlab/FQGAN).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.entry import Entry, Origin, Weights
from tokodec.nn.adapter import Adapter, FeatureHead
from tokodec.nn.conv import Conv
from tokodec.nn.mix import Mix
from tokodec.nn.transformer import Trunk
from tokodec.nn.vqgan import Decoder, Descent, Shape, norm, swish
from tokodec.nn.windows import stitched, windows
from tokodec.quantizers.codebook import NormalisedVectorQuantizer
from tokodec.quantizers.entropy import SoftEntropy
from tokodec.quantizers.factorized import FactorizedQuantizer
from tokodec.tokenizers.lattice import LatticeTokenizer, lattice, sequence

Map = Float[Tensor, "b c h w"]


@dataclass(frozen=True, kw_only=True)
class FQGANConfig:
    """``width`` times each of ``multipliers``, finest first; ``side`` of a window in pixels; ``depth`` and ``heads`` of adapters.

    ``size`` codes of ``dim`` coordinates in each codebook. ``teachers``: how many features each semantic codebook predicts.
    """

    width: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    blocks: int = 2
    groups: int = 32
    z: int = 256
    side: int = 256
    depth: int = 6
    heads: int = 8
    size: int = 16384
    dim: int = 8
    teachers: tuple[int, ...] = (1024,)
    teacher_depth: int = 3

    @property
    def shape(self) -> Shape:
        """Of the networks."""
        return Shape.of(self.width, self.multipliers, self.blocks, self.groups)

    @property
    def trunk(self) -> Trunk:
        """Of an adapter."""
        return self._trunk(self.shape.widths[-1], self.depth)

    @property
    def predictors(self) -> tuple[Trunk, ...]:
        """Of what predicts features."""
        return tuple(self._trunk(width, self.teacher_depth) for width in self.teachers)

    def _trunk(self, width: int, depth: int) -> Trunk:
        return Trunk(width=width, depth=depth, heads=self.heads, hidden=4 * width)

    @property
    def grid(self) -> int:
        """Places along a side of a window."""
        return self.side // 2 ** (len(self.multipliers) - 1)


class Branch(nn.Module):
    """Features of a window to the vectors of one codebook."""

    def __init__(self, config: FQGANConfig) -> None:
        super().__init__()
        width = config.shape.widths[-1]
        self.adapter = Adapter(config.grid**2, config.trunk)
        self.norm_out = norm(width, config.groups)
        self.conv_out = Conv(width, config.z, 3, padding=1)
        self.quant_conv = Mix(config.z, config.dim)

    def forward(self, h: Map) -> Float[Tensor, "b d h w"]:
        adapted = lattice(self.adapter(sequence(h)), h.shape[2:])
        if h.is_contiguous():  # and so whatever follows
            adapted = adapted.contiguous()
        return self.quant_conv(self.conv_out(swish(self.norm_out(adapted))))


class FQGAN(LatticeTokenizer):
    """Ids have a last axis: the visual codebook, then the semantic ones, from the middle level to the highest."""

    bytes_per_pixel = 4000
    stored = torch.float32

    def __init__(self, config: FQGANConfig) -> None:
        super().__init__()
        self.config, self.window = config, config.side
        self.stride = config.side // config.grid
        count = 1 + len(config.teachers)
        self.encoder = Descent(config.shape)
        self.branches = nn.ModuleList(Branch(config) for _ in range(count))
        self.quantizer = FactorizedQuantizer([NormalisedVectorQuantizer(config.size, config.dim, SoftEntropy()) for _ in range(count)])
        self.post_quant_conv = Mix(count * config.dim, config.z)
        self.decoder = Decoder(config.shape, config.z)
        self.teachers = nn.ModuleList(FeatureHead(config.dim, config.grid**2, trunk) for trunk in config.predictors)

    @staticmethod
    def decides_ids(key: str) -> bool:
        """What predicts features of others does not."""
        return LatticeTokenizer.decides_ids(key) and not key.startswith("teachers")

    def latents(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d gh gw"]:
        h = self.encoder(windows(x, self.window))
        z = torch.cat([branch(h) for branch in self.branches], 1)
        return stitched(z, (x.shape[2] // self.stride, x.shape[3] // self.stride))

    def reconstruct(self, z: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b 3 h w"]:
        parts = self.decoder(self.post_quant_conv(windows(z, self.config.grid)))
        return stitched(parts, (z.shape[2] * self.stride, z.shape[3] * self.stride))

    def predictions(self, z: Float[Tensor, "b d gh gw"]) -> dict[str, Tensor]:
        """``semantic`` (of two codebooks), ``semantic_0`` and ``semantic_1`` (of three): (b, windows, 1 + places, width).

        The first is what the class token of the teacher would be.
        """
        codes = windows(z, self.config.grid).split(self.config.dim, 1)[1:]
        found = [head(sequence(part)).unflatten(0, (len(z), -1)) for head, part in zip(self.teachers, codes, strict=True)]
        names = ["semantic"] if len(found) == 1 else [f"semantic_{i}" for i in range(len(found))]
        return dict(zip(names, found, strict=True))

    def features(self, x: Float[Tensor, "b 3 h w"]) -> dict[str, Tensor]:
        """Of pictures in [0, 1]: what :meth:`predictions` says, and ``pixel``, the visual codes (b, dim, gh, gw)."""
        code = self.encode(x)
        z = lattice(self.quantizer.lookup(code.ids.flatten(1, 2)), code.ids.shape[1:3])
        with self.numerics.transforms(x.device):
            return {"pixel": z[:, : self.config.dim], **self.predictions(z)}

    def last_layer(self) -> Tensor:
        """The weights that every gradient of a picture passes last."""
        return self.decoder.conv_out.weight


def _fqgan(teachers: tuple[int, ...], multipliers: tuple[int, ...], file: str) -> Entry:
    config = FQGANConfig(multipliers=multipliers, teachers=teachers)
    return Entry(build=FQGAN, config=config, family="fqgan", origin=Origin(repo="ZechenBai/FQGAN", file=file, licence="CC-BY-NC-4.0"))


_CLIP_L, _DINO_S, _CLIP_B = 1024, 384, 768
_F16, _F8 = (1, 1, 2, 2, 4), (1, 2, 2, 4)
_TINY = FQGANConfig(
    width=8,
    multipliers=(1, 2),
    blocks=1,
    groups=4,
    z=8,
    side=16,
    depth=1,
    heads=2,
    size=64,
    dim=4,
    teachers=(8, 12),
    teacher_depth=1,
)

MODELS = {
    "fqgan_dual_f16": _fqgan((_CLIP_L,), _F16, "fqgan_dual_ds16.pt"),
    "fqgan_dual_f8": _fqgan((_CLIP_L,), _F8, "fqgan_dual_ds8.pt"),
    "fqgan_triple_f16": _fqgan((_DINO_S, _CLIP_B), _F16, "fqgan_triple_ds16.pt"),
    "fqgan_triple_f8": _fqgan((_DINO_S, _CLIP_B), _F8, "fqgan_triple_ds8.pt"),
    "fqgan_test": Entry(build=FQGAN, config=_TINY, family="fqgan", weights=Weights(file="fqgan_test.safetensors")),
}
