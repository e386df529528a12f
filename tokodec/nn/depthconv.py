"""Blocks of depthwise convolutions whose second half folds a wide layer by sums: the only block of DCVC-RT and DCVC-UF.

Sources: Jia et al., "Towards practical real-time neural video compression", CVPR 2025 (sums of halves), and Li et al.,
"Ultra-fast neural video compression", CVPR 2026 (sums of neighbours).
"""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.resnet import Depthwise, Pointwise, Shrink, added

_WIDER = 4
_STEEP = 4.0


class DepthConv(nn.Module, ABC):
    """``x + 1x1(depthwise(act(1x1(x))))``, then ``x + 1x1(fold(act(1x1(x))))`` at four times the width.

    ``adaptor`` comes first: what brings the input to ``channels``.
    """

    folded_into: int
    """Parts of a channel's worth that are left of four."""

    def __init__(self, channels: int, adaptor: nn.Module) -> None:
        super().__init__()
        self.adaptor = adaptor
        self.mix_in = Pointwise(channels, channels)
        self.depthwise = Depthwise(channels)
        self.mix_out = Pointwise(channels, channels)
        self.widen = Pointwise(channels, _WIDER * channels)
        self.narrow = Pointwise(self.folded_into * channels, channels)

    def forward(self, x: Float[Tensor, "b n h w"]) -> Float[Tensor, "b c h w"]:
        x = self.adaptor(x)
        x = added(x, self.mix_out(self.depthwise(wsilu(self.mix_in(x)))))
        return added(x, self.narrow(self._folded(wsilu(self.widen(x)))))

    @abstractmethod
    def _folded(self, x: Float[Tensor, "b wide h w"]) -> Float[Tensor, "b narrow h w"]:
        """The sums."""


class NeighbourSums(DepthConv):
    """Each four channels in turn are added up."""

    folded_into = 1

    def _folded(self, x: Float[Tensor, "b wide h w"]) -> Float[Tensor, "b narrow h w"]:
        return x[:, 0::4] + x[:, 1::4] + x[:, 2::4] + x[:, 3::4]


class HalfSums(DepthConv):
    """The second half of the channels is added to the first."""

    folded_into = 2

    def _folded(self, x: Float[Tensor, "b wide h w"]) -> Float[Tensor, "b narrow h w"]:
        first, second = x.chunk(2, 1)
        return first + second


class Up(nn.Module):
    """Twice as many rows and columns: ``up`` to four times the width, a shuffle, then a block and what went into it."""

    def __init__(self, up: nn.Module, block: nn.Module) -> None:
        super().__init__()
        self.up, self.block = up, block

    def forward(self, x: Float[Tensor, "b n h w"]) -> Float[Tensor, "b c h2 w2"]:
        x = F.pixel_shuffle(self.up(x), 2)
        return added(x, self.block(x))


class Down(nn.Module):
    """Half as many rows and columns: blocks of 2x2 that do not overlap, then a block and what went into it."""

    def __init__(self, channels: int, block: nn.Module) -> None:
        super().__init__()
        self.down, self.block = Shrink(channels, channels, 2), block

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        x = self.down(x)
        return added(x, self.block(x))


class UnbiasedPointwise(Pointwise):
    """A 1x1 convolution that adds nothing."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width)
        self.register_parameter("bias", None)


def wsilu(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """``x sigmoid(4 x)``."""
    return F.silu(_STEEP * x) / _STEEP
