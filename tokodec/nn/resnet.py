"""Residual blocks of convolutions, without normalisation or attention."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ConvBlock(nn.Module):
    """``x + 1x1(depthwise3x3(act(1x1(x))))``, then ``x + 1x1(act(1x1(x)))`` at twice the width.

    Both branches start at zero: a block that starts as the identity lets a stack train at a large learning rate from
    the first step. The depthwise form of Li et al., "Neural video compression with feature modulation", CVPR 2024; at equal
    training time it beat pairs of full 3x3 convolutions (see the card of hyperprior_vr).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix_in = nn.Conv2d(channels, channels, 1)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.mix_out = nn.Conv2d(channels, channels, 1)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.narrow = nn.Conv2d(2 * channels, channels, 1)
        for last in (self.mix_out, self.narrow):
            nn.init.zeros_(last.weight)
            assert last.bias is not None
            nn.init.zeros_(last.bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        x = x + self.mix_out(self.depthwise(F.leaky_relu(self.mix_in(x), 0.1)))
        return x + self.narrow(F.leaky_relu(self.widen(x), 0.1))
