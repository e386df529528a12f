"""Convolutions that are as fast in float64 as the processor allows."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_WIDE = 64


class PreciseConv(nn.Conv2d):
    """A convolution of stride 1 that keeps the size.

    In float64, for which libraries have no fast one, it is a sum of matrix products, one a tap, of the rows of a padded
    lattice: shifting rows costs nothing. With few input channels copies for one large product are faster.
    """

    def __init__(self, channels: int, width: int, kernel: int = 5) -> None:
        super().__init__(channels, width, kernel, padding=kernel // 2)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:  # type: ignore[override]
        if x.dtype != torch.float64 or self.in_channels < _WIDE or torch.is_grad_enabled():
            return super().forward(x)
        return torch.cat([self._shifted(item) for item in x.split(1)])

    def _shifted(self, x: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 d h w"]:
        side, (height, width) = self.kernel_size[0], x.shape[2:]
        edge = side // 2
        row = width + 2 * edge
        # One row more at the end: the last taps of the last places reach into it.
        rows = F.pad(x[0].permute(1, 2, 0), (0, 0, edge, edge, edge, edge + 1)).flatten(0, 1)
        taps = self.weight.permute(2, 3, 1, 0).contiguous()
        assert self.bias is not None
        sums = self.bias.expand(height * row, -1).contiguous()
        for i in range(side):
            for j in range(side):
                start = i * row + j
                sums.addmm_(rows[start : start + height * row], taps[i, j])
        return sums.view(height, row, -1)[:, :width].permute(2, 0, 1)[None]
