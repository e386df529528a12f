"""Residual blocks of plain convolutions."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ResBlock(nn.Module):
    """``x + conv3x3(leaky_relu(conv3x3(x)))`` at constant width; the second convolution starts at zero.

    A block that starts as the identity lets a deep stack train at a large learning rate from the first step.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.conv2(F.leaky_relu(self.conv1(x), 0.1))
