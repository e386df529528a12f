"""Rounded Gaussians: the rate as training sees it, the code tables of 64 scales, and which table a scale belongs to."""

import math
from statistics import NormalDist

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokodec.entropy.alphabet import PACKED
from tokodec.entropy.codetables import robust_counts
from tokodec.entropy.codingtables import Counts
from tokodec.nn.bound import lower_bound

TABLES = 64
SCALE_MIN, SCALE_MAX = 0.11, 256.0
"""Tables stand at scales spaced evenly in their logarithm, as in Ballé et al., "Variational image compression with a scale
hyperprior", ICLR 2018, and CompressAI."""

_TAIL = 1e-9
_REACH = -NormalDist().inv_cdf(_TAIL / 2)
"""Beyond so many standard deviations lies _TAIL of a Gaussian, both sides together."""
_LIKELIHOOD_MIN = 1e-9
_STEP = math.log(SCALE_MAX / SCALE_MIN) / (TABLES - 1)
_FLOOR = 0.5 * SCALE_MIN
"""Scales below it are of table 0 however they are nudged."""


def gaussian_bits(values: Float[Tensor, "b ..."], scales: Float[Tensor, "b ..."]) -> Float[Tensor, " b"]:
    """Bits of each item: -log2 of the Gaussian mass in the unit interval around each value, summed.

    ``values`` have their mean taken off and carry uniform noise (training) or are whole; ``scales`` are standard deviations,
    bounded below by SCALE_MIN. At least float32, whatever the autocast.
    """
    dtype = torch.promote_types(values.dtype, torch.float32)
    magnitude, scales = values.to(dtype).abs(), lower_bound(scales.to(dtype), SCALE_MIN)
    mass = _below((0.5 - magnitude) / scales) - _below((-0.5 - magnitude) / scales)
    return -lower_bound(mass, _LIKELIHOOD_MIN).log2().flatten(1).sum(1)


def _below(v: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    return 0.5 * torch.erfc(-math.sqrt(0.5) * v)


def place(scales: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Where scales stand among the tables: table i is for i - 1 < place <= i, the first and the last also for all beyond."""
    return (scales.clamp(min=_FLOOR) / SCALE_MIN).log_().div_(_STEP)


def table_of(places: Float[Tensor, "..."]) -> Int[Tensor, "..."]:
    """The tables, uint8."""
    return places.ceil().clamp_(0, TABLES - 1).to(torch.uint8)


def tables() -> list[Counts]:
    """Counts of -r..r and of the escape for every scale."""
    return [_table(SCALE_MIN * math.exp(_STEP * i)) for i in range(TABLES)]


def _table(scale: float) -> Counts:
    radius = math.ceil(_REACH * scale)
    radius = next((p.radius for p in PACKED if p.radius >= radius), radius)
    edges = (torch.arange(radius + 1, dtype=torch.float64) + 0.5) / scale
    above = 0.5 * torch.erfc(math.sqrt(0.5) * edges)
    side = (above[:-1] - above[1:]).tolist()
    return robust_counts(np.array([*reversed(side), 1 - 2 * float(above[0]), *side, 2 * float(above[-1])]))
