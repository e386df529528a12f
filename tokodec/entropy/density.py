"""A learned density for each channel, the same at all places: the "entropy bottleneck"."""

import math
from abc import ABC, abstractmethod
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.entropy.codetables import robust_counts
from tokodec.entropy.codingtables import Counts
from tokodec.nn.bound import lower_bound

_START_SCALE = 10.0
_WIDTHS = (1, 3, 3, 3, 3, 1)
_TAIL = 1e-9
_LIKELIHOOD_MIN = 1e-9
_RADIUS_MIN, _RADIUS_MAX = 8, 4096
"""At least one that no packed alphabet has: tables of channels are in no order, and packing wants ascending ones."""


class Densities(nn.Module, ABC):
    """Densities of the channels of a lattice, the same at all places. ``rows``: how many code tables they have."""

    channels: int
    rows: int

    @property
    @abstractmethod
    def medians(self) -> Float[Tensor, "c 1 1"]:
        """What values are rounded around."""

    @abstractmethod
    def tables(self) -> list[Counts]:
        """Counts of -r..r around the median and of the escape, for every row."""


class Density(Densities):
    """A cumulative distribution for each channel: a monotone network of one input, with a sigmoid at its end.

    ``quantiles`` are where it leaves _TAIL / 2 below, half, and _TAIL / 2 above; they learn by a loss of their own
    (``quantile_loss``) and bound the code tables. The middle one is what values are rounded around.
    Source: Ballé et al., "Variational image compression with a scale hyperprior", ICLR 2018, appendix 6.1; as in CompressAI
    (``compressai/entropy_models/entropy_models.py``).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = self.rows = channels
        scale = _START_SCALE ** (1 / (len(_WIDTHS) - 1))
        pairs = list(pairwise(_WIDTHS))
        self.matrices = nn.ParameterList(
            nn.Parameter(torch.full((channels, after, before), math.log(math.expm1(1 / scale / after)))) for before, after in pairs
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.rand(channels, after, 1) - 0.5) for _, after in pairs)
        self.factors = nn.ParameterList(nn.Parameter(torch.zeros(channels, after, 1)) for _, after in pairs[:-1])
        self.quantiles = nn.Parameter(torch.tensor([-_START_SCALE, 0.0, _START_SCALE]).repeat(channels, 1, 1))

    @property
    def medians(self) -> Float[Tensor, "c 1 1"]:
        """What values are rounded around. Only ``quantile_loss`` moves them."""
        return self.quantiles[:, :, 1:2].detach()

    def bits(self, values: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        """Bits of each item: -log2 of the mass in the unit interval around each value, summed."""
        mass = self._mass(values.movedim(1, 0).flatten(1)[:, None])  # (c, 1, bhw)
        bits = -lower_bound(mass, _LIKELIHOOD_MIN).log2()
        return bits.view(self.channels, values.shape[0], -1).sum((0, 2))

    def _mass(self, values: Float[Tensor, "c 1 n"]) -> Float[Tensor, "c 1 n"]:
        lower, upper = self._logits(values - 0.5), self._logits(values + 0.5)
        sign = -(lower + upper).sign().detach()  # both on the side where sigmoids are far from 1
        return (torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower)).abs()

    def _logits(self, values: Float[Tensor, "c 1 n"]) -> Float[Tensor, "c 1 n"]:
        return self._through(values, [*self.matrices], [*self.biases], [*self.factors])

    @staticmethod
    def _through(x: Float[Tensor, "c 1 n"], matrices: list[Tensor], biases: list[Tensor], factors: list[Tensor]) -> Float[Tensor, "c 1 n"]:
        with torch.autocast(x.device.type, enabled=False):
            for i, (matrix, bias) in enumerate(zip(matrices, biases, strict=True)):
                x = F.softplus(matrix) @ x.to(matrix.dtype) + bias
                if i < len(factors):
                    x = x + factors[i].tanh() * x.tanh()
        return x

    def quantile_loss(self) -> Float[Tensor, ""]:
        """How far the quantiles are from where they should be, summed over channels; moves nothing but them."""
        still = [[p.detach() for p in params] for params in (self.matrices, self.biases, self.factors)]
        logit = math.log(2 / _TAIL - 1)
        target = self.quantiles.new_tensor([-logit, 0.0, logit])
        return (self._through(self.quantiles, *still) - target).abs().sum()

    @torch.no_grad()
    def tables(self) -> list[Counts]:
        """Counts of -r..r around the median and of the escape, for every channel."""
        low, median, high = (self.quantiles[:, 0, i].double() for i in range(3))
        reach = torch.maximum(median - low, high - median).ceil().clamp(_RADIUS_MIN, _RADIUS_MAX).int().tolist()
        params = [[p.double() for p in params] for params in (self.matrices, self.biases, self.factors)]
        return [self._table(params, c, radius, float(median[c])) for c, radius in enumerate(reach)]

    def _table(self, params: list[list[Tensor]], channel: int, radius: int, median: float) -> Counts:
        edges = torch.arange(-radius, radius + 2, dtype=torch.float64, device=self.quantiles.device) - 0.5 + median
        logits = self._through(edges[None, None], *([p[channel : channel + 1] for p in some] for some in params))[0, 0]
        sign = torch.where(logits[:-1] + logits[1:] > 0, -1.0, 1.0)
        inside = (torch.sigmoid(sign * logits[1:]) - torch.sigmoid(sign * logits[:-1])).abs()
        outside = torch.sigmoid(logits[:1]) + torch.sigmoid(-logits[-1:])
        return robust_counts(torch.cat([inside, outside]).clamp(min=0).cpu().numpy())
