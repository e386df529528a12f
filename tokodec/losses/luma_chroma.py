"""The objective of DCVC-UF: rate and a distortion of luma, chroma and RGB."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tokodec.api import Output, Pixels
from tokodec.nn.ycbcr import ycbcr_of

_LUMA = 10
_EACH = 0.0833
"""Luma weighs ten of twelve parts, Cb and Cr one each; a twelfth as it is written in the source."""
_LEAST = 1e-6
_PLANES = 3


@dataclass(frozen=True, kw_only=True)
class LumaChroma:
    """``bpp + lambda * distortion``, lambda log-spaced over quality.

    Distortion is that of three planes, of values in [0, 1]: ``1 - rgb`` of it three times the geometric mean of the squared
    errors of Y (ten times), Cb and Cr, ``rgb`` of it the sum of those of R, G and B. Source: training of DCVC-UF, Li et al., CVPR
    2026.
    """

    lambda_low: float = 10.0
    lambda_high: float = 2048.0
    rgb: float = 0.2

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item, for qualities in [0, 1]."""
        assert output.pixels is not None
        planes = (ycbcr_of(output.pixels) - ycbcr_of(x)).square().flatten(2).mean(2)
        distortion = (1 - self.rgb) * _PLANES * _geometric(planes) + self.rgb * _PLANES * output.terms["mse"]
        weight = torch.exp(math.log(self.lambda_low) + quality * math.log(self.lambda_high / self.lambda_low))
        return output.terms["bpp"] + weight * distortion


def _geometric(planes: Float[Tensor, "b 3"]) -> Float[Tensor, " b"]:
    """Their weighted geometric mean."""
    weights = planes.new_tensor([_LUMA, 1, 1]) * _EACH
    return (planes.clamp(min=_LEAST).log() * weights).sum(1).exp()
