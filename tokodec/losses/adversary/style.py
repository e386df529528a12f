"""The discriminator of StyleGAN: residual blocks down to 4x4, and a look at how much the pictures of a batch differ.

Source: Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR 2020; areas are averaged where it filters.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_SIDE = 4


@dataclass(frozen=True, kw_only=True)
class StyleConfig:
    """Features at full size; each of ``blocks`` doubles them, up to ``most``, and halves the size."""

    width: int = 32
    blocks: int = 6
    most: int = 512


class _Block(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, width, 3, padding=1)
        self.skip = nn.Conv2d(channels, width, 1, bias=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        h = F.leaky_relu(self.conv2(F.leaky_relu(self.conv1(x), 0.2)), 0.2)
        return (F.avg_pool2d(h, 2) + self.skip(F.avg_pool2d(x, 2))) * 0.5**0.5


class StyleDiscriminator(nn.Module):
    """Pictures in [-1, 1], at least ``2 ** blocks`` pixels a side, to one logit each, which depends on the others of its piece."""

    def __init__(self, config: StyleConfig) -> None:
        super().__init__()
        widths = [min(config.width * 2**i, config.most) for i in range(config.blocks + 1)]
        self.conv_in = nn.Conv2d(3, widths[0], 1)
        self.blocks = nn.Sequential(*(_Block(c, w) for c, w in pairwise(widths)))
        self.conv_out = nn.Conv2d(widths[-1] + 1, widths[-1], 3, padding=1)
        self.hidden = nn.Linear(widths[-1] * _SIDE**2, widths[-1])
        self.out = nn.Linear(widths[-1], 1)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1"]:
        h = self.blocks(F.leaky_relu(self.conv_in(x), 0.2))
        # The mean deviation over the batch: a generator that always draws the same gives itself away.
        spread = (h.var(0, correction=0) + 1e-8).sqrt().mean().expand(len(h), 1, *h.shape[2:])
        h = F.adaptive_avg_pool2d(F.leaky_relu(self.conv_out(torch.cat([h, spread], 1)), 0.2), _SIDE)
        return self.out(F.leaky_relu(self.hidden(h.flatten(1)), 0.2))
