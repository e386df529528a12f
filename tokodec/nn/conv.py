"""Convolutions that compute in the layout of their input."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn import winograd_half
from tokodec.nn.halved import Halved, halves
from tokodec.nn.version import Kept


class Conv(nn.Conv2d):
    """A convolution whose result for a contiguous map does not depend on the layout of its kernel in memory.

    PyTorch computes channels last as soon as either is channels last, in another order of summation.

    In bfloat16 on a processor, for inference, wide ones are computed by :mod:`tokodec.nn.winograd_half`.
    """

    def __init__(self, channels: int, width: int, kernel: int, *, stride: int = 1, padding: int = 0, bias: bool = True) -> None:
        super().__init__(channels, width, kernel, stride=stride, padding=padding, bias=bias)
        self._halved, self._minimal = Halved(), Kept(winograd_half.kernels)
        keeps_size = (self.kernel_size, self.stride, self.padding) == ((3, 3), (1, 1), (1, 1))
        self._by_winograd = keeps_size and winograd_half.pays(channels, width)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:  # type: ignore[override]
        if x.is_contiguous():
            return self._convolved(x, self.weight.contiguous())
        if self._by_winograd and halves(self.weight):
            return winograd_half.conv(x.to(torch.bfloat16), self._minimal.of(self.weight), self.bias)
        return self._convolved(x, self._halved.of(self.weight))

    def _convolved(self, x: Float[Tensor, "b c h w"], weight: Float[Tensor, "d c k k"]) -> Float[Tensor, "b d h2 w2"]:
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
