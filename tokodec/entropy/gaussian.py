"""The rate of rounded Gaussian values, as training sees it."""

import torch
from jaxtyping import Float
from torch import Tensor

from tokodec.nn.bound import lower_bound

SCALE_MIN = 0.11
"""Below this scale a rounded value is zero but for one in 200,000; the smallest that tables hold."""

_LIKELIHOOD_MIN = 1e-9


def gaussian_bits(values: Float[Tensor, "b ..."], scales: Float[Tensor, "b ..."]) -> Float[Tensor, " b"]:
    """Bits of each item: -log2 of the Gaussian mass in the unit interval around each value, summed.

    ``values`` have their mean taken off and carry uniform noise (training) or are integers; ``scales`` are standard
    deviations, bounded below by SCALE_MIN. Computed in float32 whatever the autocast.
    Source: Ballé et al., "Variational image compression with a scale hyperprior", ICLR 2018.
    """
    scales = lower_bound(scales.float(), SCALE_MIN) * 2**0.5
    magnitude = values.float().abs()
    mass = 0.5 * (torch.erfc((magnitude - 0.5) / scales) - torch.erfc((magnitude + 0.5) / scales))
    return -lower_bound(mass, _LIKELIHOOD_MIN).log2().flatten(1).sum(1)
