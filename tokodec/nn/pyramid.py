"""Convolutional encoder and decoder that work at 1/4 resolution and below.

    x (b,3,h,w) ─ 4x4 stride 4 ─ blocks at 1/4 ─ 2x2 stride 2 ─ blocks at 1/8 ─ ... ─ 1x1 ─ z (b,d,h/s,w/s)

and its mirror, which goes up by 1x1 convolutions and pixel shuffles. Everything else is :class:`ConvBlock`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.resnet import ConvBlock, Pointwise, Shrink

PATCH = 4


@dataclass(frozen=True, kw_only=True)
class Level:
    """One resolution: features, number of blocks, and the side of their depthwise kernels."""

    width: int
    blocks: int
    kernel: int = 3


def _blocks(level: Level) -> list[nn.Module]:
    return [ConvBlock(level.width, level.kernel) for _ in range(level.blocks)]


class PyramidEncoder(nn.Module):
    """Pictures around zero to vectors at 1/stride; sides must be multiples of ``stride``.

    ``reach``: how many pixels beyond a cell can change its vector.
    """

    def __init__(self, levels: Sequence[Level], channels: int) -> None:
        super().__init__()
        self.stride = PATCH * 2 ** (len(levels) - 1)
        self.reach = sum(level.blocks * (level.kernel // 2) * PATCH * 2**i for i, level in enumerate(levels))
        layers: list[nn.Module] = [Shrink(3, levels[0].width, PATCH), *_blocks(levels[0])]
        for above, level in pairwise(levels):
            layers += [Shrink(above.width, level.width, 2), *_blocks(level)]
        self.layers = nn.Sequential(*layers, Pointwise(levels[-1].width, channels))

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d gh gw"]:
        return self.layers(x)


class PyramidDecoder(nn.Module):
    """The mirror of :class:`PyramidEncoder`; ``levels`` from fine to coarse, too."""

    def __init__(self, levels: Sequence[Level], channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [Pointwise(channels, levels[-1].width)]
        for level, above in pairwise(reversed(levels)):
            layers += [*_blocks(level), Pointwise(level.width, 4 * above.width), nn.PixelShuffle(2)]
        layers += [*_blocks(levels[0]), nn.Conv2d(levels[0].width, 3 * PATCH**2, 3, padding=1), nn.PixelShuffle(PATCH)]
        self.layers = nn.Sequential(*layers)

    @property
    def last(self) -> Tensor:
        """The weights that every gradient of a picture passes last."""
        return next(layer.weight for layer in reversed(self.layers) if isinstance(layer, nn.Conv2d))

    def forward(self, z: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b 3 h w"]:
        return self.layers(z)
