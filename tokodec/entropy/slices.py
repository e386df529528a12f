"""Channel-wise context: slices of channels, each knowing those before it, and a prediction of what rounding took away.

Source: Minnen and Singh, "Channel-wise autoregressive entropy models for learned image compression", ICIP 2020.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.entropy.conditional import NAME, Conditional
from tokodec.entropy.part import Grid, Part, lattice_of, rows_of
from tokodec.entropy.roles import Role
from tokodec.nn.precise import PreciseConv

_REACH = 0.5
"""Rounding takes no more than half a step."""


class Slices(Conditional):
    """``count`` slices of equal width. ``psi``: hyper features, the first half for scales, the others for means.

    ``hidden``: inner widths of all nets. ``support``: no slice looks at more than so many of those before it, the first ones.
    """

    def __init__(self, channels: int, count: int, psi: int, hidden: tuple[int, int], support: int) -> None:
        super().__init__(channels)
        self.width, self.support = channels // count, support
        seen = [min(k, support) * self.width for k in range(count)]
        self.scales = nn.ModuleList(_net(psi // 2 + more, hidden, self.width) for more in seen)
        self.means = nn.ModuleList(_net(psi // 2 + more, hidden, self.width) for more in seen)
        self.residuals = nn.ModuleList(_net(psi // 2 + more + self.width, hidden, self.width) for more in seen)

    def parts(self, grid: Grid, device: torch.device) -> Sequence[Part]:
        return [Part(start=k * self.width, stop=(k + 1) * self.width) for k in range(len(self.means))]

    def forward(self, role: Role, psi: Float[Tensor, "b hw p"], grid: Grid) -> Float[Tensor, "b hw c"]:
        of_scales, of_means = lattice_of(psi, grid).chunk(2, 1)
        known: list[Float[Tensor, "b s h w"]] = []
        nets = zip(self.parts(grid, psi.device), self.scales, self.means, self.residuals, strict=True)
        for part, scales, means, residuals in nets:
            before = known[: self.support]
            scale, mean = scales(torch.cat([of_scales, *before], 1)), means(torch.cat([of_means, *before], 1))
            found = lattice_of(role.gaussian(NAME, rows_of(mean), rows_of(scale), part, (psi.shape[1], self.channels)), grid)
            residual = residuals(torch.cat([of_means, *before, found], 1))
            known.append(found + _REACH * residual.tanh())
        return rows_of(torch.cat(known, 1))


def _net(channels: int, hidden: tuple[int, int], width: int) -> nn.Sequential:
    first, second = hidden
    return nn.Sequential(
        PreciseConv(channels, first, 3), nn.GELU(), PreciseConv(first, second, 3), nn.GELU(), PreciseConv(second, width, 3)
    )
