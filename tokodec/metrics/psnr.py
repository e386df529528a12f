"""Peak signal-to-noise ratio."""

import math

import numpy as np
from jaxtyping import UInt8


def psnr(a: UInt8[np.ndarray, "h w 3"], b: UInt8[np.ndarray, "h w 3"]) -> float:
    """In dB, over all samples of two 8-bit pictures; infinite when they are equal."""
    difference = a.astype(np.int32) - b.astype(np.int32)
    mse = float(np.mean(difference * difference))
    return math.inf if mse == 0 else 10 * math.log10(255**2 / mse)
