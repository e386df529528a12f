"""Convolutions that are fast in float64 too."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn import winograd
from tokodec.nn.version import version

_WIDE = 16
"""With fewer channels, transforms cost more than they save."""


class Kept:
    """The transformed kernel of a layer in use, made again when its weights have changed. ``turn``: weights as those of a convolution."""

    def __init__(self, turn: Callable[[Tensor], Tensor]) -> None:
        self._turn = turn
        self._made_of: object = None
        self._kernel: Tensor | None = None

    def of(self, weight: Float[Tensor, "m n k k"]) -> Float[Tensor, "nn d c"]:
        """For the layer's weight."""
        now = version(weight)
        if self._kernel is None or now != self._made_of:
            self._kernel, self._made_of = winograd.kernels(self._turn(weight)), now
        return self._kernel


def _as_it_is(weight: Float[Tensor, "d c k k"]) -> Float[Tensor, "d c k k"]:
    return weight


def _turned_round(weight: Float[Tensor, "c d k k"]) -> Float[Tensor, "d c k k"]:
    return weight.transpose(0, 1).flip(2, 3)


class PreciseConv(nn.Conv2d):
    """A convolution of stride 1 that keeps the size; the kernel has 3 or 5 rows and columns."""

    def __init__(self, channels: int, width: int, kernel: int = 5) -> None:
        super().__init__(channels, width, kernel, padding=kernel // 2)
        self._kept = Kept(_as_it_is)

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
