"""Serial autoregressive context: every place sees all that come before it.

A place (i, j) looks at rows i - 2 .. i and two columns to each side, so all places of equal 3 i + j can be coded together: a
wave that runs over the lattice in 3 h + w - 3 steps instead of h w. The order of coding is another than the reference's,
the probabilities are the same.
Means are rounded to a fine grid, so that no error of arithmetic runs along with the wave (:class:`tokodec.entropy.roles.Exact`).
Source: Minnen, Ballé and Toderici, "Joint autoregressive and hierarchical priors for learned image compression", NeurIPS 2018.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.entropy.aggregate import Aggregation
from tokodec.entropy.conditional import NAME, Conditional
from tokodec.entropy.context import Field, RasterContext
from tokodec.entropy.part import Grid, Part, lattice_of, rows_of
from tokodec.entropy.roles import Role

_LAG = 3


class Serial(Conditional):
    """Context and hyper features to the Gaussians of a place, all channels at once."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        m = channels
        self.context = RasterContext(m, 2 * m)
        self.aggregate = Aggregation(2 * m, (4 * m, 10 * m // 3, 8 * m // 3, 2 * m), nn.LeakyReLU())

    def parts(self, grid: Grid, device: torch.device) -> Sequence[Part]:
        height, width = grid
        step = _LAG * torch.arange(height, device=device)[:, None] + torch.arange(width, device=device)
        order = step.flatten().argsort(stable=True)
        sizes = torch.bincount(step.flatten()).tolist()  # narrow lattices have waves without a place
        return [Part(start=0, stop=self.channels, places=places) for places in order.split(sizes) if len(places)]

    def forward(self, role: Role, psi: Float[Tensor, "b hw p"], grid: Grid) -> Float[Tensor, "b hw c"]:
        known = role.foreseen(NAME)
        hyper = self.aggregate.of_hyper(psi)
        if known is not None:
            return self._at_once(role, hyper, known, grid)
        field = Field(psi.shape[0], self.channels, grid, psi)
        look = self.context.looking(field)
        for part in self.parts(grid, psi.device):
            assert part.places is not None
            scale, mean = self.aggregate(hyper[:, part.places] + self.aggregate.of_context(look(part.places)))
            mean = role.steadied(mean)
            field.put(part.places, role.gaussian(NAME, mean, scale, part, (psi.shape[1], self.channels)))
        return field.rows

    def _at_once(self, role: Role, hyper: Float[Tensor, "b hw d"], known: Float[Tensor, "b hw c"], grid: Grid) -> Float[Tensor, "b hw c"]:
        """For a learner, who knows everything: the same Gaussians in one pass."""
        context = rows_of(self.context(lattice_of(known, grid)))
        scale, mean = self.aggregate(hyper + self.aggregate.of_context(context))
        role.gaussian(NAME, mean, scale, Part(start=0, stop=self.channels), (known.shape[1], self.channels))
        return known
