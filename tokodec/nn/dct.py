"""The orthonormal block cosine transform of colour pictures, as weights of a strided convolution."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from tokodec.nn.spectrum import cosines, order

# Rows are orthonormal, so that a quantisation step in any coefficient costs the same error in RGB: luma, then two chroma axes.
_COLOUR = ((1 / math.sqrt(3),) * 3, (1 / math.sqrt(2), 0.0, -1 / math.sqrt(2)), (1 / math.sqrt(6), -2 / math.sqrt(6), 1 / math.sqrt(6)))


def colour_dct(size: int, channels: int, *, luma_share: float = 0.7) -> Float[Tensor, "channels 3 size size"]:
    """The ``channels`` lowest frequencies of a ``size`` x ``size`` cosine transform of luma and two chroma planes.

    Rows of the result are orthonormal. Luma takes ``luma_share`` of them, the rest is split between the chroma
    planes; every plane is ordered from low to high frequency. Raises ValueError when there are fewer coefficients.
    """
    luma = min(round(channels * luma_share), size * size)
    shares = (luma, (channels - luma + 1) // 2, (channels - luma) // 2)
    if max(shares) > size * size:
        raise ValueError(f"channels = {channels}: a {size}x{size} transform of three planes has at most {3 * size * size}")
    basis, frequencies = cosines(size), order(size)
    planes = [
        torch.stack(
            [torch.tensor(colour, dtype=torch.float64)[:, None, None] * torch.outer(basis[u], basis[v]) for u, v in frequencies[:n]]
        )
        for colour, n in zip(_COLOUR, shares, strict=True)
        if n
    ]
    return torch.cat(planes).float()
