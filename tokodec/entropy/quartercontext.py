"""Four-step context: quarters of channels at quarters of places, all steps through one net.

    psi ── scales, means of step 0
    psi ── reduction ──> common ┐
    y known so far, else zero ──┴─ enter[step] ── body ──> scales, means of steps 1, 2, 3

Sources: Li et al., "Neural video compression with diverse contexts", CVPR 2023 (the order); Jia et al., "Towards practical
real-time neural video compression", CVPR 2025, and Li et al., "Ultra-fast neural video compression", CVPR 2026 (these nets).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.entropy.conditional import NAME, Conditional
from tokodec.entropy.part import Grid, Part, lattice_of, rows_of
from tokodec.entropy.quarters import STEPS, parts
from tokodec.entropy.roles import Role

_STEP_MIN, _STEP_RANGE = 0.5, 1.5


class QuarterContext(Conditional):
    """``psi`` is scales, then means, of the first step.

    ``reduction``: psi to as many features as y has channels. ``enter``: a net for each later step, of y and these.
    ``body``: what follows, the same for all, up to scales and means.
    """

    def __init__(self, channels: int, reduction: nn.Module, enter: Sequence[nn.Module], body: nn.Module) -> None:
        super().__init__(channels)
        self.reduction, self.enter, self.body = reduction, nn.ModuleList(enter), body

    def parts(self, grid: Grid, device: torch.device) -> Sequence[Part]:
        return [part for step in range(len(STEPS)) for part in parts(step, self.channels, grid, device)]

    def forward(self, role: Role, psi: Float[Tensor, "b hw p"], grid: Grid) -> Float[Tensor, "b hw c"]:
        return self._walked(role, psi, psi, grid)

    def _walked(self, role: Role, gaussians: Float[Tensor, "b hw g"], psi: Float[Tensor, "b hw p"], grid: Grid) -> Float[Tensor, "b hw c"]:
        """``gaussians``: scales and means of the first step."""
        common = self.reduction(lattice_of(psi, grid))
        y = psi.new_zeros(*psi.shape[:2], self.channels)
        for step in range(len(STEPS)):
            if step:
                known = torch.cat([lattice_of(y, grid), common], 1)
                gaussians = rows_of(self.body(self.enter[step - 1](known)))
            scale, mean = gaussians.chunk(2, -1)
            for part in parts(step, self.channels, grid, psi.device):
                found = role.gaussian(NAME, part.cut(mean), part.cut(scale), part, (psi.shape[1], self.channels))
                y = part.paste(y, found)
        return y


class SteppedQuarterContext(QuarterContext):
    """``psi`` begins with two maps, which say how finely each place is quantised: a factor before rounding and one after."""

    def forward(self, role: Role, psi: Float[Tensor, "b hw p"], grid: Grid) -> Float[Tensor, "b hw c"]:
        before, after = (torch.sigmoid(psi[..., :2]) * _STEP_RANGE + _STEP_MIN).chunk(2, -1)
        role.weigh(NAME, before)
        return self._walked(role, psi[..., 2:], psi, grid) * after
