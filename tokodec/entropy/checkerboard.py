"""Checkerboard context: one colour of the board by hyper features alone, then the other, which sees the first around it.

Source: He et al., "Checkerboard context model for efficient learned image compression", CVPR 2021.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.entropy.aggregate import Aggregation
from tokodec.entropy.conditional import NAME, Conditional
from tokodec.entropy.context import CheckerContext, Field
from tokodec.entropy.part import Grid, Part
from tokodec.entropy.roles import Role


class TwoPass(nn.Module):
    """Channels ``start`` to ``stop`` of y in two passes; each computes only its own places."""

    def __init__(self, start: int, stop: int, hidden: tuple[int, int], features: int, activation: nn.Module) -> None:
        super().__init__()
        self.start, self.stop = start, stop
        width = 2 * (stop - start)
        self.context = CheckerContext(stop - start, width)
        self.aggregate = Aggregation(width, (width + features, *hidden, width), activation)

    def parts(self, grid: Grid, device: torch.device) -> list[Part]:
        """Anchors, whose row and column add up to an even number; then the others."""
        return [Part(start=self.start, stop=self.stop, places=places) for places in _colours(grid, device)]

    def forward(self, role: Role, features: Float[Tensor, "b hw p"], grid: Grid, channels: int) -> Float[Tensor, "b hw c"]:
        """The channels as the decoder has them. ``channels``: of all of y."""
        field = Field(features.shape[0], self.stop - self.start, grid, features)
        anchors, others = self.parts(grid, features.device)
        whole = (features.shape[1], channels)
        assert anchors.places is not None
        assert others.places is not None
        scale, mean = self.aggregate(self.aggregate.of_hyper(features[:, anchors.places]))
        field.put(anchors.places, role.gaussian(NAME, mean, scale, anchors, whole))
        context = self.context.looking(field)(others.places)
        scale, mean = self.aggregate(self.aggregate.of_hyper(features[:, others.places]) + self.aggregate.of_context(context))
        field.put(others.places, role.gaussian(NAME, mean, scale, others, whole))
        return field.rows


class Checkerboard(Conditional):
    """All channels in two passes."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        m = channels
        self.passes = TwoPass(0, m, (10 * m // 3, 8 * m // 3), 2 * m, nn.LeakyReLU())

    def parts(self, grid: Grid, device: torch.device) -> Sequence[Part]:
        return self.passes.parts(grid, device)

    def forward(self, role: Role, psi: Float[Tensor, "b hw p"], grid: Grid) -> Float[Tensor, "b hw c"]:
        return self.passes(role, psi, grid, self.channels)


def _colours(grid: Grid, device: torch.device) -> tuple[Int[Tensor, " n"], Int[Tensor, " m"]]:
    y, x = torch.arange(grid[0], device=device), torch.arange(grid[1], device=device)
    odd = ((y[:, None] + x) % 2 == 1).flatten()
    return (~odd).nonzero()[:, 0], odd.nonzero()[:, 0]
