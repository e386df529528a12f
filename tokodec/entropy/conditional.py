"""The Gaussians of latents y, from hyper features alone. Those that also look at latents already known are files of their own."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.entropy.part import Grid, Part
from tokodec.entropy.roles import Role

NAME = "y"


class Conditional(nn.Module, ABC):
    """The one that knows in which order y is coded, what its Gaussians follow from, and when.

    ``channels``: of y. All its nets work on rows, (b, places, features).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    @abstractmethod
    def forward(self, role: Role, psi: Float[Tensor, "b hw p"], grid: Grid) -> Float[Tensor, "b hw c"]:
        """Ask ``role`` for y part by part, given the hyper features ``psi``; returns y as the decoder has it."""

    @abstractmethod
    def parts(self, grid: Grid, device: torch.device) -> Sequence[Part]:
        """The parts of y in the order in which they are asked for."""


class OnePass(Conditional):
    """All of y at once."""

    def parts(self, grid: Grid, device: torch.device) -> Sequence[Part]:
        return [Part(start=0, stop=self.channels)]

    def forward(self, role: Role, psi: Float[Tensor, "b hw p"], grid: Grid) -> Float[Tensor, "b hw c"]:
        scale, mean = self._predicted(psi)
        (part,) = self.parts(grid, psi.device)
        return role.gaussian(NAME, mean, scale, part, (psi.shape[1], self.channels))

    @abstractmethod
    def _predicted(self, psi: Float[Tensor, "b hw p"]) -> tuple[Float[Tensor, "b hw c"], Float[Tensor, "b hw c"]]:
        """Scales and means."""


class Scale(OnePass):
    """The hyper features are the scales; means are zero. Source: Ballé et al., ICLR 2018."""

    def _predicted(self, psi: Float[Tensor, "b hw p"]) -> tuple[Float[Tensor, "b hw c"], Float[Tensor, "b hw c"]]:
        return psi, torch.zeros_like(psi)


class MeanScale(OnePass):
    """The hyper features are the scales, then the means. Source: Minnen, Ballé and Toderici, NeurIPS 2018."""

    def _predicted(self, psi: Float[Tensor, "b hw p"]) -> tuple[Float[Tensor, "b hw c"], Float[Tensor, "b hw c"]]:
        scale, mean = psi.chunk(2, -1)
        return scale, mean
