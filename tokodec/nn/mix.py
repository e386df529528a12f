"""1x1 convolutions and linear maps whose results do not depend on how many threads compute them."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn import onednn
from tokodec.nn.halved import Halved

_THIN = 64
"""Matrix products with fewer outputs are split along their sums when there are many threads."""


class Mix(nn.Conv2d):
    """A 1x1 convolution.

    Libraries pick another order of summation for 1x1 convolutions when the number of threads changes; matrix products of contiguous
    maps keep theirs, except those of few outputs, which are cheap enough for float64 (rounded to float32, no order shows).
    """

    def __init__(self, channels: int, width: int, *, bias: bool = True) -> None:
        super().__init__(channels, width, 1, bias=bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:  # type: ignore[override]
        if x.dtype != torch.float32 or torch.is_autocast_enabled(x.device.type) or not x.is_contiguous():
            return super().forward(x)
        if self.out_channels < _THIN:
            return self._mixed(x.double(), self.weight.double(), self.bias.double() if self.bias is not None else None).float()
        return self._mixed(x, self.weight, self.bias)

    def _mixed(self, x: Float[Tensor, "b c h w"], weight: Tensor, bias: Tensor | None) -> Float[Tensor, "b d h w"]:
        places, matrix = x.flatten(2), weight.flatten(1).expand(len(x), -1, -1)
        mixed = torch.bmm(matrix, places) if bias is None else torch.baddbmm(bias[:, None], matrix, places)
        return mixed.unflatten(2, x.shape[2:])


class ThinLinear(nn.Linear):
    """A linear map of sequences: what :class:`Mix` is for maps."""

    def __init__(self, channels: int, width: int, *, bias: bool = True) -> None:
        super().__init__(channels, width, bias=bias)
        self._halved = Halved()

    def forward(self, x: Float[Tensor, "... c"]) -> Float[Tensor, "... d"]:  # type: ignore[override]
        return thin(x, self._halved.of(self.weight), self.bias)


def thin(x: Float[Tensor, "... c"], weight: Float[Tensor, "d c"], bias: Float[Tensor, " d"] | None) -> Float[Tensor, "... d"]:
    """A linear map; with few outputs in float64, with many by oneDNN."""
    if x.dtype != torch.float32 or torch.is_autocast_enabled(x.device.type):
        return F.linear(x, weight, bias)
    if len(weight) < _THIN:
        return F.linear(x.double(), weight.double(), bias.double() if bias is not None else None).float()
    return onednn.linear(x, weight, bias)
