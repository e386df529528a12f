"""RGB to YCbCr of BT.709, full range, and back: all values in [0, 1], grey has Cb = Cr = 0.5."""

import torch
from jaxtyping import Float
from torch import Tensor

_RED, _BLUE = 0.2126, 0.0722
_GREEN = 1 - _RED - _BLUE


def ycbcr_of(rgb: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Luma first."""
    red, green, blue = rgb.unbind(1)
    luma = _RED * red + _GREEN * green + _BLUE * blue
    return torch.stack([luma, (blue - luma) / (2 - 2 * _BLUE) + 0.5, (red - luma) / (2 - 2 * _RED) + 0.5], 1)


def rgb_of(ycbcr: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """The inverse."""
    luma, cb, cr = ycbcr.unbind(1)
    red = luma + (2 - 2 * _RED) * (cr - 0.5)
    blue = luma + (2 - 2 * _BLUE) * (cb - 0.5)
    return torch.stack([red, (luma - _RED * red - _BLUE * blue) / _GREEN, blue], 1)
