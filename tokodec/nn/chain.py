"""A chain of convolutions simple enough to be carried over into exact integer arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Link:
    """One convolution: ``width`` channels after it, an odd ``kernel``, then pixel shuffle by ``shuffle``."""

    width: int
    kernel: int = 1
    shuffle: int = 1


class ConvChain(nn.Module):
    """``conv, pixel shuffle, leaky ReLU`` again and again; the last link is a bare convolution.

    Zero padding keeps the size; a shuffle by r makes it r times larger. ``slope``: of the ReLU below zero.
    """

    def __init__(self, channels: int, links: Sequence[Link], *, slope: float = 0.0) -> None:
        super().__init__()
        self.slope = slope
        self.links = tuple(links)
        self.convs = nn.ModuleList()
        for link in links:
            self.convs.append(nn.Conv2d(channels, link.width * link.shuffle**2, link.kernel, padding=link.kernel // 2))
            channels = link.width

    @property
    def layers(self) -> list[nn.Conv2d]:
        """The convolutions in order."""
        return [conv for conv in self.convs if isinstance(conv, nn.Conv2d)]

    def features(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b e h2 w2"]:
        """What the last convolution sees."""
        for conv, link in zip(self.layers[:-1], self.links[:-1], strict=True):
            x = F.leaky_relu(F.pixel_shuffle(conv(x), link.shuffle), self.slope)
        return x

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        return self.layers[-1](self.features(x))
