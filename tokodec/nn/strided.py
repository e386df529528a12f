"""Strided convolutions of the classical learned codecs: down by 5x5 kernels, up by transposed ones or by subpixels."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.precise import PreciseConv

_NARROW = 8


def conv(channels: int, width: int, kernel: int = 5, stride: int = 2) -> nn.Conv2d:
    """A convolution with zero padding; 5x5 of stride 2 unless said otherwise."""
    return nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2)


class Deconv(nn.ConvTranspose2d):
    """A transposed 5x5 convolution of stride 2 that doubles the size exactly.

    Libraries fill narrow outputs (pictures) up to whole vectors. There it is computed as the 3x3 convolution that makes the
    four phases of every output channel, which are then interleaved: the same sums, more than twice as fast for 3 channels
    (``benchmarks/convolutions.py``).
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width, 5, stride=2, padding=2, output_padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:  # type: ignore[override]
        if self.out_channels > _NARROW or torch.is_grad_enabled():
            return super().forward(x)
        assert self.bias is not None
        return F.pixel_shuffle(F.conv2d(x, self._phases(), self.bias.repeat_interleave(4), padding=1), 2)

    def _phases(self) -> Float[Tensor, "d4 c 3 3"]:
        """Output 2i + p takes input i + s through row p + 2 - 2s of the kernel, if there is one."""
        kernel = F.pad(self.weight, (0, 1, 0, 1))  # row and column 5: none
        rows = torch.tensor([[p + 2 - 2 * s if p + 2 - 2 * s >= 0 else 5 for s in (-1, 0, 1)] for p in (0, 1)], device=kernel.device)
        phases = kernel[:, :, rows][..., rows]  # (c, d, p, s, q, t)
        return phases.permute(1, 2, 4, 0, 3, 5).reshape(-1, self.in_channels, 3, 3)


class Subpixel(PreciseConv):
    """A 3x3 convolution to ``factor ** 2`` times the channels, and the pixel shuffle that spreads them."""

    def __init__(self, channels: int, width: int, factor: int = 2) -> None:
        super().__init__(channels, width * factor**2, 3)
        self.factor = factor

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:  # type: ignore[override]
        return F.pixel_shuffle(super().forward(x), self.factor)
