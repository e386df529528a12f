"""Structural similarity of 8-bit RGB pictures, at one scale (SSIM) and at five (MS-SSIM).

Gaussian window of 11 pixels and sigma 1.5, population covariance, valid region, mean over channels; data range 255: the values
of the package pytorch-msssim (a test compares), computed several times as fast. All the sums that both need of both pictures
are filtered together, and the finest scale of MS-SSIM gives SSIM as well.

Sources: Wang et al., "Image quality assessment", IEEE Trans. Image Processing 13, 2004 (SSIM); Wang, Simoncelli and Bovik,
"Multiscale structural similarity", Asilomar 2003 (MS-SSIM).
"""

from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

SSIM_MIN_SIDE = 11
MS_SSIM_MIN_SIDE = 161
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_GRID = 2 ** (len(_WEIGHTS) - 1)
"""MS-SSIM halves four times; on sizes of another multiple its value would depend on where the grid of halving lies."""
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


class Comparison:
    """Two pictures of one size, and what is computed of them once."""

    def __init__(self, original: UInt8[np.ndarray, "h w 3"], decoded: UInt8[np.ndarray, "h w 3"]) -> None:
        self.original, self.decoded = original, decoded

    @cached_property
    def ssim(self) -> float:
        """At most 1. Both sides are at least SSIM_MIN_SIDE."""
        whole = all(n % _GRID == 0 for n in self.original.shape[:2]) and min(self.original.shape[:2]) >= MS_SSIM_MIN_SIDE
        similarity = self._scales[0][0] if whole else _similarity(_planar(self.original), _planar(self.decoded))[0]
        return float(similarity.mean())

    @cached_property
    def ms_ssim(self) -> float:
        """At most 1, of pictures filled up to multiples of 16 by repeating the last row and column.

        Both sides are at least MS_SSIM_MIN_SIDE.
        """
        *finer, coarsest = self._scales
        factors = [contrast for _, contrast in finer] + [coarsest[0]]
        product = torch.ones(3, dtype=torch.float64)
        for factor, weight in zip(factors, _WEIGHTS, strict=True):
            product *= factor.clamp(min=0) ** weight
        return float(product.mean())

    @cached_property
    def units(self) -> tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 3 h w"]]:
        """Original and decoded picture with values in [0, 1]."""
        return _planar(self.original) / 255, _planar(self.decoded) / 255

    @cached_property
    def _scales(self) -> list[tuple[Float[Tensor, " 3"], Float[Tensor, " 3"]]]:
        a, b = _filled(self.original), _filled(self.decoded)
        scales = [_similarity(a, b)]
        for _ in _WEIGHTS[1:]:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
            scales.append(_similarity(a, b))
        return scales


@torch.inference_mode()
def _similarity(a: Float[Tensor, "1 3 h w"], b: Float[Tensor, "1 3 h w"]) -> tuple[Float[Tensor, " 3"], Float[Tensor, " 3"]]:
    """SSIM of each channel, and its part without luminance."""
    mean_a, mean_b, squares, product = _blurred(torch.cat([a, b, a * a + b * b, a * b], 1)).split(3, 1)
    means = mean_a * mean_b
    energy = mean_a.square_() + mean_b.square_()
    contrast = (product - means).mul_(2).add_(_C2) / (squares - energy).add_(_C2)
    luminance = means.mul_(2).add_(_C1) / energy.add_(_C1)
    return (luminance * contrast).double().mean((0, 2, 3)), contrast.double().mean((0, 2, 3))


def _blurred(x: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 c h2 w2"]:
    """Channels last: in that layout a depthwise convolution takes a third of the time."""
    window = torch.exp(-((torch.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    window = (window / window.sum()).expand(x.shape[1], 1, 1, 11)
    x = x.contiguous(memory_format=torch.channels_last)
    return F.conv2d(F.conv2d(x, window.mT.contiguous(), groups=x.shape[1]), window.contiguous(), groups=x.shape[1])


def _planar(picture: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "1 3 h w"]:
    return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32))[None]


def _filled(picture: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "1 3 h2 w2"]:
    bottom, right = (-n % _GRID for n in picture.shape[:2])
    return F.pad(_planar(picture), (0, right, 0, bottom), mode="replicate")
