"""What the symbols of earlier steps say about those of the next: corrections to the hyperprior's means and scales."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.entropy.quarters import STEPS
from tokodec.nn.chain import ConvChain, Link
from tokodec.nn.gain import Gain

SLOPE = 0.125
"""Of the leaky ReLUs. With plain ones, a context that was added to a trained hyperprior died within a thousand steps."""
KNOWN_UNIT, SIZE_UNIT = 4.0, 8.0
"""What the nets see is divided by these: large inputs make for large steps of their weights."""
LATER = len(STEPS) - 1
"""Steps that know others."""


class FourStepContext(nn.Module):
    """Nets that read, at every place, the latents known there and around, how large their symbols are, and hyper features.

    A layer of its own for each step, which the quality shifts, then ``body``, the same for all. The last layer starts at zero:
    an untrained context leaves the hyperprior as it is.
    """

    def __init__(self, M: int, hyper: int, width: int, inner: int, rows: int) -> None:
        super().__init__()
        self.width = width
        self.enter = nn.ModuleList(nn.Conv2d(2 * M + hyper, width, 1, bias=False) for _ in range(LATER))
        self.shift = nn.ModuleList(Gain(rows, width) for _ in range(LATER))
        self.body = ConvChain(width, (Link(width=inner, kernel=3), Link(width=width), Link(width=2 * M)), slope=SLOPE)
        last = self.body.layers[-1]
        for p in (last.weight, last.bias):
            assert p is not None
            nn.init.zeros_(p)

    @property
    def layers(self) -> list[nn.Conv2d]:
        """The first layer of each step."""
        return [conv for conv in self.enter if isinstance(conv, nn.Conv2d)]

    @property
    def shifts(self) -> list[Gain]:
        """What the quality adds to each."""
        return [shift for shift in self.shift if isinstance(shift, Gain)]

    @staticmethod
    def inputs(
        known: Float[Tensor, "b m h w"], size: Float[Tensor, "b m h w"], hyper: Float[Tensor, "b f h w"]
    ) -> Float[Tensor, "b i h w"]:
        """What the nets see: latents, log2(1 + |symbol|), both zero where nothing is known, and hyper features."""
        return torch.cat([known / KNOWN_UNIT, size / SIZE_UNIT, hyper], 1)

    def entered(self, step: int, inputs: Float[Tensor, "b i h w"], q: Float[Tensor, " b"]) -> Float[Tensor, "b e h w"]:
        """What goes into ``body``."""
        return F.leaky_relu(self.enter[step - 1](inputs) + self.shift[step - 1](q)[..., None, None], SLOPE)

    def forward(self, step: int, inputs: Float[Tensor, "b i h w"], q: Float[Tensor, " b"]) -> Float[Tensor, "b m2 h w"]:
        """Corrections for ``step`` 1 to 3 of means and of log2 scales."""
        return self.body(self.entered(step, inputs, q)).float()
