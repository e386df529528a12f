"""Structural similarity of 8-bit RGB pictures, as the package pytorch-msssim computes it.

Gaussian window of 11 pixels and sigma 1.5, population covariance, valid region, mean over channels; data range 255.
Sources: Wang et al., "Image quality assessment", IEEE Trans. Image Processing 13, 2004 (SSIM); Wang, Simoncelli and Bovik,
"Multiscale structural similarity", Asilomar 2003 (MS-SSIM).
"""

from importlib import import_module
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from tokodec.errors import MissingExtra

SSIM_MIN_SIDE = 11
MS_SSIM_MIN_SIDE = 161
_GRID = 16
"""MS-SSIM halves four times; on other sizes the place of its grid, and with it the value, would depend on the package."""


def ssim(a: UInt8[np.ndarray, "h w 3"], b: UInt8[np.ndarray, "h w 3"]) -> float:
    """At most 1. Both sides are at least SSIM_MIN_SIDE. Raises MissingExtra."""
    return float(_package().ssim(_planar(a), _planar(b), data_range=255))


def ms_ssim(a: UInt8[np.ndarray, "h w 3"], b: UInt8[np.ndarray, "h w 3"]) -> float:
    """Five scales, of pictures filled up to multiples of 16 by repeating the last row and column.

    At most 1. Both sides are at least MS_SSIM_MIN_SIDE. Raises MissingExtra.
    """
    return float(_package().ms_ssim(_filled(a), _filled(b), data_range=255))


def _planar(picture: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "1 3 h w"]:
    return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32))[None]


def _filled(picture: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "1 3 h2 w2"]:
    bottom, right = (-n % _GRID for n in picture.shape[:2])
    return torch.nn.functional.pad(_planar(picture), (0, right, 0, bottom), mode="replicate")


def _package() -> Any:
    try:
        return import_module("pytorch_msssim")
    except ImportError:
        raise MissingExtra("SSIM and MS-SSIM", "eval") from None
