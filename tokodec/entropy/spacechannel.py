"""ELIC's context: groups of channels of uneven width, each in two passes, each knowing the groups before it.

Source: He et al., "ELIC: Efficient learned image compression with unevenly grouped space-channel contextual adaptive coding",
CVPR 2022.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.entropy.checkerboard import TwoPass
from tokodec.entropy.conditional import Conditional
from tokodec.entropy.part import Grid, Part, lattice_of, rows_of
from tokodec.entropy.roles import Role
from tokodec.nn.precise import PreciseConv


class SpaceChannel(Conditional):
    """``groups``: widths of the groups. ``seen``: for each group, which earlier ones its channel context looks at.

    ``hidden``: for each group, the two inner widths of what turns its features into Gaussians. ``context``: those of all channel
    contexts. ``psi``: hyper features.
    """

    def __init__(
        self, groups: Sequence[int], seen: Sequence[Sequence[int]], hidden: Sequence[tuple[int, int]], context: Sequence[int], psi: int
    ) -> None:
        super().__init__(sum(groups))
        self.seen = [list(s) for s in seen]
        bounds = list(pairwise(accumulate(groups, initial=0)))
        self.channel = nn.ModuleList(
            _channel_context(sum(groups[i] for i in before), context, width) if before else nn.Identity()
            for before, width in zip(self.seen, groups, strict=True)
        )
        extra = [2 * width if before else 0 for before, width in zip(self.seen, groups, strict=True)]
        self.passes = nn.ModuleList(
            TwoPass(start, stop, h, more + psi, nn.ReLU()) for (start, stop), h, more in zip(bounds, hidden, extra, strict=True)
        )

    @property
    def _two_passes(self) -> list[TwoPass]:
        return [p for p in self.passes if isinstance(p, TwoPass)]

    def parts(self, grid: Grid, device: torch.device) -> Sequence[Part]:
        return [part for group in self._two_passes for part in group.parts(grid, device)]

    def forward(self, role: Role, psi: Float[Tensor, "b hw p"], grid: Grid) -> Float[Tensor, "b hw c"]:
        known: list[Float[Tensor, "b hw g"]] = []
        for group, context, before in zip(self._two_passes, self.channel, self.seen, strict=True):
            features = psi
            if before:
                seen = lattice_of(torch.cat([known[i] for i in before], 2), grid)
                features = torch.cat([rows_of(context(seen)).to(psi.dtype), psi], 2)
            known.append(group(role, features, grid, self.channels))
        return torch.cat(known, 2)


def _channel_context(channels: int, hidden: Sequence[int], width: int) -> nn.Sequential:
    first, second = hidden
    return nn.Sequential(PreciseConv(channels, first), nn.ReLU(), PreciseConv(first, second), nn.ReLU(), PreciseConv(second, 2 * width))
