"""Convolutions that are fast in float64 too."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn import winograd
from tokodec.nn.version import Kept

_WIDE = 16
"""With fewer channels, transforms cost more than they save."""


def _turned_round(weight: Float[Tensor, "c d k k"]) -> Float[Tensor, "nn d c"]:
    return winograd.kernels(weight.transpose(0, 1).flip(2, 3))


class PreciseConv(nn.Conv2d):
    """A convolution of stride 1 that keeps the size; the kernel has 3 or 5 rows and columns."""

    def __init__(self, channels: int, width: int, kernel: int = 5) -> None:
        super().__init__(channels, width, kernel, padding=kernel // 2)
        self._kept = Kept(winograd.kernels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:  # type: ignore[override]
        if not _by_winograd(x):
            return super().forward(x)
        assert self.bias is not None
        return winograd.conv(x, self._kept.of(self.weight), self.bias)


class PreciseDeconv(nn.ConvTranspose2d):
    """A transposed convolution of stride 1 that keeps the size: a convolution with the kernel turned round."""

    def __init__(self, channels: int, width: int, kernel: int = 3) -> None:
        super().__init__(channels, width, kernel, padding=kernel // 2)
        self._kept = Kept(_turned_round)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:  # type: ignore[override]
        if not _by_winograd(x):
            return super().forward(x)
        assert self.bias is not None
        return winograd.conv(x, self._kept.of(self.weight), self.bias)


def _by_winograd(x: Float[Tensor, "b c h w"]) -> bool:
    return x.dtype == torch.float64 and x.shape[1] >= _WIDE and not torch.is_grad_enabled()
