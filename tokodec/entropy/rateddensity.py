"""A learned density for each channel and rate: what hyper latents of a model of many rates are coded under."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.entropy.codetables import robust_counts
from tokodec.entropy.codingtables import Counts
from tokodec.entropy.density import Densities
from tokodec.nn.bound import lower_bound

_LAYERS = 4
_SPREAD = 0.01
_LIKELIHOOD_MIN = 1e-9
_TAIL_LOGIT = math.log(2 / 1e-9 - 1)
"""Where half of the mass outside of a table is above."""
_RADIUS_MIN, _RADIUS_MAX = 8, 4096
"""As those of :class:`tokodec.entropy.density.Density`."""


class RatedDensity(Densities):
    """A cumulative distribution for each rate and channel: four layers of one number each, with a sigmoid at the end.

    A layer is ``x softplus(h) + b``, and after all but the last ``x + tanh(x) tanh(a)``; h, b and a of a layer are (rates, channels).
    Values are rounded around zero. Rows of tables: rate by rate, each channel by channel. Source: Jia et al., "Towards practical
    real-time neural video compression", CVPR 2025, whose hyper latents have such a model for every rate.
    """

    def __init__(self, rates: int, channels: int) -> None:
        super().__init__()
        self.rates, self.channels, self.rows = rates, channels, rates * channels
        self.h, self.b, self.a = (_numbers(layers, rates, channels) for layers in (_LAYERS, _LAYERS, _LAYERS - 1))

    @property
    def medians(self) -> Float[Tensor, "c 1 1"]:
        """Zero: models learn to centre their hyper latents."""
        return self.h[0].new_zeros(self.channels, 1, 1)

    def bits(self, values: Float[Tensor, "b c h w"], rate: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Bits of each item at its rate: -log2 of the mass in the unit interval around each value, summed."""
        params = [[p[rate][:, :, None] for p in some] for some in (self.h, self.b, self.a)]
        return -lower_bound(_mass(_edges(values.flatten(2), params)), _LIKELIHOOD_MIN).log2().flatten(1).sum(1)

    @torch.no_grad()
    def tables(self) -> list[Counts]:
        """Counts of -r..r and of the escape, for every row."""
        return [table for rate in range(self.rates) for table in self._tables(rate)]

    def _tables(self, rate: int) -> list[Counts]:
        params = [[p[rate][:, None].double() for p in some] for some in (self.h, self.b, self.a)]
        radius = _radius(params)
        most = max(radius)
        logits = _edges(torch.arange(-most, most + 1, dtype=torch.float64, device=self.h[0].device).expand(self.channels, -1), params)
        inside = _mass(logits)
        shares = [
            torch.cat(
                [
                    inside[c, most - r : most + r + 1],
                    torch.sigmoid(logits[0][c, most - r, None]) + torch.sigmoid(-logits[1][c, most + r, None]),
                ]
            )
            for c, r in enumerate(radius)
        ]
        return [robust_counts(share.clamp(min=0).cpu().numpy()) for share in shares]


Params = list[list[Tensor]]


def _numbers(layers: int, rates: int, channels: int) -> nn.ParameterList:
    return nn.ParameterList(nn.Parameter(_SPREAD * torch.randn(rates, channels)) for _ in range(layers))


def _logits(x: Float[Tensor, "*c n"], params: Params) -> Float[Tensor, "*c n"]:
    """Of the cumulative distributions. ``params``: h, b and a, layer by layer, with an axis for the values."""
    h, b, a = params
    x = x.to(h[0].dtype)  # whatever the autocast
    for i in range(_LAYERS):
        x = x * F.softplus(h[i]) + b[i]
        x = x + x.tanh() * a[i].tanh() if i < len(a) else x
    return x


def _edges(values: Float[Tensor, "*c n"], params: Params) -> tuple[Float[Tensor, "*c n"], Float[Tensor, "*c n"]]:
    """Logits below and above each value."""
    return _logits(values - 0.5, params), _logits(values + 0.5, params)


def _mass(edges: tuple[Float[Tensor, "*c n"], Float[Tensor, "*c n"]]) -> Float[Tensor, "*c n"]:
    lower, upper = edges
    sign = -(lower + upper).sign().detach()  # both on the side where sigmoids are far from 1
    return (torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower)).abs()


def _radius(params: Params) -> list[int]:
    """Of each channel: the least whose table leaves no more than the tail outside, by bisection."""
    low = torch.full_like(params[0][0], _RADIUS_MIN - 1)  # not enough, or not allowed
    high = torch.full_like(low, _RADIUS_MAX)
    while bool((high - low > 1).any()):
        middle = ((low + high) / 2).floor()
        enough = (_logits(middle + 0.5, params) > _TAIL_LOGIT) & (_logits(-middle - 0.5, params) < -_TAIL_LOGIT)
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return high[:, 0].int().tolist()
