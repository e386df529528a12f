"""Convolutions that compute in the layout of their input."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.halved import Halved


class Conv(nn.Conv2d):
    """A convolution whose result for a contiguous map does not depend on the layout of its kernel in memory.

    PyTorch computes channels last as soon as either is channels last, in another order of summation.
    """

    def __init__(self, channels: int, width: int, kernel: int, *, stride: int = 1, padding: int = 0, bias: bool = True) -> None:
        super().__init__(channels, width, kernel, stride=stride, padding=padding, bias=bias)
        self._halved = Halved()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:  # type: ignore[override]
        weight = self.weight.contiguous() if x.is_contiguous() else self._halved.of(self.weight)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
