"""PatchGAN: a convolutional network that judges every patch of a picture.

Source: Isola et al., "Image-to-image translation with conditional adversarial networks", CVPR 2017.
"""

from dataclasses import dataclass
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

_MOST = 8


@dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """``layers`` convolutions of stride 2 after ``width`` features; patches are 70 pixels wide with three."""

    layers: int = 3
    width: int = 64


class PatchDiscriminator(nn.Sequential):
    """Pictures in [-1, 1] to a map of logits. Batch normalisation counts within the piece of a batch that is computed at once."""

    def __init__(self, config: PatchConfig) -> None:
        widths = [config.width * min(2**i, _MOST) for i in range(config.layers + 1)]
        parts: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for i, (channels, width) in enumerate(pairwise(widths)):
            stride = 2 if i < config.layers - 1 else 1
            parts += [nn.Conv2d(channels, width, 4, stride=stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.LeakyReLU(0.2)]
        super().__init__(*parts, nn.Conv2d(widths[-1], 1, 4, padding=1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def forward(self, input: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h2 w2"]:  # noqa: A002  nn.Sequential's name
        return super().forward(input)
