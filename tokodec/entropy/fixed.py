"""Exact arithmetic on gains: logarithms as integers, so that every machine computes the same factors."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.nn.gain import Gain

ONE = 256
"""Units of a fixed-point logarithm: 1/256 of an octave."""

LEVELS = 1024
"""Integer qualities; level 0 is quality 0, the last is quality 1."""


def round_log2(log2: Float[Tensor, "..."]) -> Int[Tensor, "..."]:
    """Base-2 logarithms to the nearest fixed-point unit, int32."""
    return (log2.detach().double() * ONE).round().to(torch.int32)


class FixedGain(nn.Module):
    """A gain table in fixed point: integer rows, interpolated over integer levels by integer arithmetic."""

    rows: Tensor

    def __init__(self, rows: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(rows, channels, dtype=torch.int32))

    def copy_(self, gain: Gain) -> None:
        """Take the rows of a trained table."""
        self.rows.copy_(round_log2(gain.log2))

    def forward(self, level: Int[Tensor, " b"]) -> Int[Tensor, "b channels"]:
        """Fixed-point logarithms at each level, int64, rounded towards minus infinity."""
        position = level.long() * (self.rows.shape[0] - 1)
        row = (position // (LEVELS - 1)).clamp(max=self.rows.shape[0] - 2)
        t = (position - row * (LEVELS - 1))[:, None]
        rows = self.rows.long()
        return torch.div(rows[row] * (LEVELS - 1 - t) + rows[row + 1] * t, LEVELS - 1, rounding_mode="floor")


class Exp2(nn.Module):
    """Powers of two of fixed-point logarithms: a stored table for the fraction, exponent bits for the rest.

    A library's ``exp2`` may differ in the last bit from one machine to the next; this does not.
    """

    fractions: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("fractions", torch.exp2(torch.arange(ONE, dtype=torch.float64) / ONE).float())

    def forward(self, log2: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
        """``log2`` in fixed point, within 126 octaves; float32."""
        octaves = torch.div(log2, ONE, rounding_mode="floor")
        power = ((octaves + 127).to(torch.int32) << 23).view(torch.float32)
        return self.fractions[(log2 - octaves * ONE).long()] * power
