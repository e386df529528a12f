"""Convolutions that compute in the layout of their input."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Conv(nn.Conv2d):
    """A convolution whose result for a contiguous map does not depend on the layout of its kernel in memory.

    PyTorch computes channels last as soon as either is channels last, in another order of summation.
    """

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:  # type: ignore[override]
        weight = self.weight.contiguous() if x.is_contiguous() else self.weight
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
