"""Residual blocks and simplified attention of Cheng2020 and ELIC.

Sources: Cheng, Sun, Takeuchi and Katto, "Learned image compression with discretized Gaussian mixture likelihoods and attention
modules", CVPR 2020; He et al., "ELIC", CVPR 2022. As CompressAI builds them (``compressai/layers/layers.py``).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.gdn import GDN, IGDN
from tokodec.nn.resnet import added
from tokodec.nn.strided import Subpixel, conv

_SLOPE = 0.01


def _bent(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """In place where no gradient needs what was there."""
    return F.leaky_relu(x, _SLOPE, inplace=not torch.is_grad_enabled())


def _clipped(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    return F.relu(x, inplace=not torch.is_grad_enabled())


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with leaky ReLUs, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels, 3, 1)
        self.conv2 = conv(channels, channels, 3, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return added(x, _bent(self.conv2(_bent(self.conv1(x)))))


class ResidualDown(nn.Module):
    """Two 3x3 convolutions, the first of stride 2, and GDN, added to a 1x1 convolution of every second place.

    That one is no convolution of stride 2: the gradient of such with a 1x1 kernel in the format ``channels_last`` corrupts
    memory on processors (PyTorch 2.15).
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, width, 3, 2)
        self.conv2 = conv(width, width, 3, 1)
        self.gdn = GDN(width)
        self.skip = conv(channels, width, 1, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        return added(self.skip(x[:, :, ::2, ::2]), self.gdn(self.conv2(_bent(self.conv1(x)))))


class ResidualUp(nn.Module):
    """A subpixel and a 3x3 convolution and inverse GDN, added to another subpixel convolution."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = Subpixel(channels, width)
        self.conv2 = conv(width, width, 3, 1)
        self.gdn = IGDN(width)
        self.skip = Subpixel(channels, width)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        return added(self.skip(x), self.gdn(self.conv2(_bent(self.conv1(x)))))


class Bottleneck(nn.Module):
    """1x1 to half the width, 3x3, 1x1 back, ReLUs between, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels // 2, 1, 1)
        self.conv2 = conv(channels // 2, channels // 2, 3, 1)
        self.conv3 = conv(channels // 2, channels, 1, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return added(x, self._branch(x))

    def _branch(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return self.conv3(_clipped(self.conv2(_clipped(self.conv1(x)))))


class ClippedBottleneck(Bottleneck):
    """With a ReLU after the sum."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return _clipped(added(x, self._branch(x)))


class Attention(nn.Module):
    """``x + trunk(x) * sigmoid(gate(x))``, each of three bottlenecks, the gate with a 1x1 convolution after them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*(ClippedBottleneck(channels) for _ in range(3)))
        self.gate = nn.Sequential(*(ClippedBottleneck(channels) for _ in range(3)), conv(channels, channels, 1, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        trunk, gate = self.trunk(x), torch.sigmoid(self.gate(x))
        return added(x, trunk * gate if torch.is_grad_enabled() else trunk.mul_(gate))
