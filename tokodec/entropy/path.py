"""The path that decides bits: from hyper latents z to the Gaussians of y, as one module, so that it can be had in float64 as a whole."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.entropy.codingtables import Counts
from tokodec.entropy.conditional import NAME, Conditional
from tokodec.entropy.density import Densities, Density
from tokodec.entropy.gaussian import NONE, USUAL, Gaussians
from tokodec.entropy.part import Grid, Part, lattice_of, rows_of
from tokodec.entropy.roles import Role

HYPER_STRIDE = 4


class Path(nn.Module, ABC):
    """``gaussians``: the scales whose code tables come before those of the ``density``."""

    gaussians: Gaussians = NONE
    density: Densities

    @abstractmethod
    def forward(self, role: Role, grid: Grid) -> Float[Tensor, "b c h w"]:
        """Walk. Returns y on a grid of (h, w) as the decoder has it."""

    @abstractmethod
    def parts(self, grid: Grid, device: torch.device) -> Sequence[tuple[str, Part]]:
        """What is coded, in order: of which lattice which part."""

    @abstractmethod
    def first(self, grid: Grid) -> Grid:
        """The grid of the lattice that is coded first, under the density."""

    def tables(self) -> list[Counts]:
        """The code tables, made from the weights."""
        return [*self.gaussians.tables(), *self.density.tables()]


class FactorizedPath(Path):
    """y itself under a density for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.density = Density(channels)

    def first(self, grid: Grid) -> Grid:
        return grid

    def parts(self, grid: Grid, device: torch.device) -> Sequence[tuple[str, Part]]:
        return [(NAME, Part(start=0, stop=self.density.channels))]

    def forward(self, role: Role, grid: Grid) -> Float[Tensor, "b c h w"]:
        return role.density(NAME, self.density, grid)


class GaussianPath(Path):
    """z under densities; y under Gaussians that follow from ``h_s(z)`` and from y itself."""

    def __init__(self, density: Densities, h_s: nn.Module, conditional: Conditional, gaussians: Gaussians) -> None:
        super().__init__()
        self.density = density
        self.gaussians = gaussians
        self.h_s = h_s
        self.conditional = conditional

    def first(self, grid: Grid) -> Grid:
        return -(-grid[0] // HYPER_STRIDE), -(-grid[1] // HYPER_STRIDE)

    def parts(self, grid: Grid, device: torch.device) -> Sequence[tuple[str, Part]]:
        z = Part(start=0, stop=self.density.channels)
        return [("z", z), *((NAME, part) for part in self.conditional.parts(grid, device))]

    def forward(self, role: Role, grid: Grid) -> Float[Tensor, "b c h w"]:
        z = role.density("z", self.density, self.first(grid))
        psi = self.h_s(z)[..., : grid[0], : grid[1]]
        psi = psi.to(torch.promote_types(psi.dtype, torch.float32))  # whatever the autocast: latents are kept beside it
        return lattice_of(self.conditional(role, rows_of(psi), grid), grid)


class HyperPath(GaussianPath):
    """The usual one: a density for each channel of z, 64 scales."""

    def __init__(self, z_channels: int, h_s: nn.Module, conditional: Conditional) -> None:
        super().__init__(Density(z_channels), h_s, conditional, USUAL)
