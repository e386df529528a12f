"""Perceptual similarity without a network: MS-SSIM and HaarPSI, as losses.

Sources: Wang, Simoncelli and Bovik, "Multiscale structural similarity", Asilomar 2003; Reisenhofer et al., "A Haar wavelet-based
perceptual similarity index for image quality assessment", Signal Processing: Image Communication 61, 2018.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tokodec.api import Output, Pixels
from tokodec.errors import InputError

Map = Float[Tensor, "b c h w"]
Resized = Float[Tensor, "b c h2 w2"]

_WINDOW = 11
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_SMALLEST = (_WINDOW - 1) * 2 ** (len(_WEIGHTS) - 1) + 1
_C1, _C2 = 0.01**2, 0.03**2

_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
_CONSTANT, _STEEPNESS = 30.0, 4.2
_SCALES = 3


@dataclass(frozen=True, kw_only=True)
class MSSSIM:
    """``1 - MS-SSIM`` of RGB in [0, 1], for crops of at least 161 pixels a side."""

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item. Raises InputError for smaller crops."""
        assert output.pixels is not None
        if min(x.shape[2:]) < _SMALLEST:
            raise InputError(f"ms_ssim needs crops of at least {_SMALLEST} pixels a side, not {x.shape[2]} x {x.shape[3]}")
        return 1 - ms_ssim(x.float(), output.pixels.float())


@dataclass(frozen=True, kw_only=True)
class HaarPSI:
    """``1 - HaarPSI`` of RGB in [0, 1]."""

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item."""
        assert output.pixels is not None
        return 1 - haarpsi(x.float(), output.pixels.float())


def ms_ssim(a: Map, b: Map) -> Float[Tensor, " b"]:
    """Gaussian window of 11 pixels, sigma 1.5, valid region, mean over channels; differentiable."""
    product = a.new_ones(a.shape[:2])
    for i, weight in enumerate(_WEIGHTS):
        structure, whole = _similarity(a, b)
        product = product * (whole if i == len(_WEIGHTS) - 1 else structure).clamp(min=1e-6) ** weight
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return product.mean(1)


def _similarity(a: Map, b: Map) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
    """Means of contrast times structure, and of that times luminance."""
    mean_a, mean_b, aa, bb, ab = _blurred(torch.cat([a, b, a * a, b * b, a * b], 1)).chunk(5, 1)
    contrast = (2 * (ab - mean_a * mean_b) + _C2) / (aa - mean_a**2 + bb - mean_b**2 + _C2)
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return contrast.mean((2, 3)), (contrast * luminance).mean((2, 3))


def _blurred(x: Map) -> Resized:
    line = torch.exp(-((torch.arange(_WINDOW, device=x.device) - _WINDOW // 2.0) ** 2) / (2 * 1.5**2)).to(x.dtype)
    line = (line / line.sum()).expand(x.shape[1], 1, 1, _WINDOW)
    return F.conv2d(F.conv2d(x, line.mT, groups=x.shape[1]), line, groups=x.shape[1])


def haarpsi(a: Map, b: Map) -> Float[Tensor, " b"]:
    """In (0, 1], 1 for equal pictures; differentiable. Pictures are RGB in [0, 1], compared at half their size."""
    (y_a, i_a, q_a), (y_b, i_b, q_b) = (_planes(F.avg_pool2d(_even(x * 255), 2)) for x in (a, b))
    detail = [(_haar(y_a, turned=turned), _haar(y_b, turned=turned)) for turned in (False, True)]
    alike = [torch.stack([_close(p.abs(), q.abs()) for p, q in zip(one[:2], other[:2], strict=True)]).mean(0) for one, other in detail]
    weights = [torch.maximum(one[2].abs(), other[2].abs()) for one, other in detail]
    smooth = [_same_mean(x).abs() for x in (i_a, i_b, q_a, q_b)]
    alike.append((_close(smooth[0], smooth[1]) + _close(smooth[2], smooth[3])) / 2)
    weights.append((weights[0] + weights[1]) / 2)
    alike_all, weights_all = torch.cat(alike, 1), torch.cat(weights, 1)
    bent = torch.sigmoid(_STEEPNESS * alike_all)
    mean = (bent * weights_all).flatten(1).sum(1) / weights_all.flatten(1).sum(1).clamp(min=1e-8)
    # Where nothing has any detail there is nothing to compare but equal emptiness.
    mean = torch.where(weights_all.flatten(1).sum(1) > 1e-8, mean, torch.sigmoid(mean.new_tensor(_STEEPNESS)))
    return (torch.logit(mean) / _STEEPNESS) ** 2


def _planes(x: Map) -> tuple[Tensor, ...]:
    """Y, I and Q."""
    matrix = x.new_tensor(_YIQ)
    return torch.einsum("ij,bjhw->bihw", matrix, x).split(1, 1)


def _even(x: Map) -> Resized:
    return F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))


def _haar(y: Map, *, turned: bool) -> list[Map]:
    """Responses at three scales to one orientation, as large as ``y``."""
    found: list[Tensor] = []
    for scale in range(1, _SCALES + 1):
        side = 2**scale
        kernel = y.new_ones(1, 1, side, side) / side
        kernel[:, :, : side // 2] *= -1
        found.append(_same(y, kernel.mT if turned else kernel))
    return found


def _same_mean(x: Map) -> Map:
    return _same(x, x.new_full((1, 1, 2, 2), 0.25))


def _same(x: Map, kernel: Tensor) -> Map:
    """A convolution that keeps the size, with zeros outside; even kernels reach one further on the right and below."""
    side = kernel.shape[-1]
    before, after = side // 2 - 1, side // 2
    return F.conv2d(F.pad(x, (before, after, before, after)), kernel)


def _close(a: Map, b: Map) -> Map:
    return (2 * a * b + _CONSTANT) / (a * a + b * b + _CONSTANT)
