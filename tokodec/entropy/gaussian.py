"""Rounded Gaussians: the rate as training sees it, the code tables of a range of scales, and which table a scale belongs to."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokodec.entropy.alphabet import PACKED
from tokodec.entropy.codetables import robust_counts
from tokodec.entropy.codingtables import Counts
from tokodec.nn.bound import lower_bound

SCALE_MIN = 0.11
"""Of all models so far: no Gaussian is narrower."""

_TAIL = 1e-9
_REACH = -NormalDist().inv_cdf(_TAIL / 2)
"""Beyond so many standard deviations lies _TAIL of a Gaussian, both sides together."""
_LIKELIHOOD_MIN = 1e-9
_FLOOR = 0.5
"""Scales below this part of the lowest are of table 0 however they are nudged."""


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


@dataclass(frozen=True, kw_only=True)
class Gaussians:
    """``count`` tables at scales from ``low`` to ``high``, spaced evenly in their logarithm."""

    count: int
    low: float
    high: float

    @property
    def step(self) -> float:
        """Of the logarithm, from table to table."""
        return math.log(self.high / self.low) / (self.count - 1)

    def place(self, scales: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Where scales stand among the tables: table i is for i - 1 < place <= i, the first and the last also for all beyond."""
        return (scales.clamp(min=_FLOOR * self.low) / self.low).log_().div_(self.step)

    def table_of(self, places: Float[Tensor, "..."]) -> Int[Tensor, "..."]:
        """The tables, uint8."""
        return places.ceil().clamp_(0, self.count - 1).to(torch.uint8)

    def narrower(self, scale: float) -> int:
        """How many tables are for scales up to ``scale``, or up to the table's that is nearest to it; 0 below the lowest."""
        return 0 if scale < self.low else min(round(math.log(scale / self.low) / self.step) + 1, self.count)

    def tables(self) -> list[Counts]:
        """Counts of -r..r and of the escape for every scale."""
        return [_table(self.low * math.exp(self.step * i)) for i in range(self.count)]


USUAL = Gaussians(count=64, low=SCALE_MIN, high=256.0)
"""As in Ballé et al., "Variational image compression with a scale hyperprior", ICLR 2018, and CompressAI."""
NONE = Gaussians(count=0, low=SCALE_MIN, high=SCALE_MIN)
"""Of models without Gaussians."""


def _table(scale: float) -> Counts:
    radius = math.ceil(_REACH * scale)
    radius = next((p.radius for p in PACKED if p.radius >= radius), radius)
    edges = (torch.arange(radius + 1, dtype=torch.float64) + 0.5) / scale
    above = 0.5 * torch.erfc(math.sqrt(0.5) * edges)
    side = (above[:-1] - above[1:]).tolist()
    return robust_counts(np.array([*reversed(side), 1 - 2 * float(above[0]), *side, 2 * float(above[-1])]))
