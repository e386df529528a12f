"""The tokenizer of 4M-21 for masks of single objects, 64 x 64 pixels, from Segment Anything.

    x ── patches ── transformer ── quant_proj ──> z ── direction ──> ids
    ids ── row ── post_quant_proj ── transformer ── patches ── convolutions ── sigmoid ──> x_hat

Source: Bachmann et al., "4M-21", NeurIPS 2024 (apple/ml-4m); the convolutions are blocks of Liu et al., "A ConvNet for the 2020s",
CVPR 2022.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.api import Output
from tokodec.entry import Entry
from tokodec.nn.mix import ThinLinear
from tokodec.nn.vit import LatticeTrunk
from tokodec.tokenizers.fourm import AsItIs, Decoder, FourM, FourMConfig, origin

Map = Float[Tensor, "b c h w"]
_EDGE = 1e-6


class ConvNeXt(nn.Module):
    """A 7x7 convolution of each channel, a perceptron over channels, and a scale that starts near zero; added to what comes in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.rise = ThinLinear(channels, 4 * channels)
        self.fall = ThinLinear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), 1e-6))

    def forward(self, x: Map) -> Map:
        h = self.norm(self.conv(x).permute(0, 2, 3, 1))
        return x + (self.gamma * self.fall(F.gelu(self.rise(h)))).permute(0, 3, 1, 2)


class MaskDecoder(Decoder):
    """Logits of each pixel."""

    def __init__(self, config: FourMConfig, trunk: LatticeTrunk) -> None:
        super().__init__(config, trunk, config.channels)
        self.smooth = nn.Sequential(ConvNeXt(config.channels), ConvNeXt(config.channels))

    def forward(self, h: Float[Tensor, "b n d"], grid: tuple[int, int]) -> Map:
        return self.smooth(super().forward(h, grid))


class FourMMasks(AsItIs, FourM):
    """Masks (b, 1, h, w) of zeros and ones; what is decoded is probabilities. A term more: ``cross_entropy``."""

    def trunk(self, config: FourMConfig) -> LatticeTrunk:
        return LatticeTrunk(config.trunk, config.grid)

    def _decoder(self, config: FourMConfig) -> nn.Module:
        return MaskDecoder(config, self.trunk(config))

    def from_native(self, x: Map) -> Map:
        """Probabilities of logits."""
        return x.sigmoid()

    def forward(self, x: Map, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        output = super().forward(x, quality=quality)
        assert output.pixels is not None
        loss = F.binary_cross_entropy(output.pixels.clamp(_EDGE, 1 - _EDGE), x, reduction="none").flatten(1).mean(1)
        return Output(pixels=output.pixels, terms={**output.terms, "cross_entropy": loss}, aux=output.aux)


MODELS = {
    "fourm_sam_instance_1k": Entry(
        build=FourMMasks,
        config=FourMConfig(channels=1, grid=4, dim=1024),
        family="fourm",
        origin=origin("sam-instance_1k_64"),
        input="masks",
    ),
}
