"""Per-channel gains that follow the quality of a variable-rate model."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Gain(nn.Module):
    """A table of logarithmic gains, one row a rate, interpolated between the two nearest rows.

    ``forward(quality)`` takes qualities in [0, 1], shape ``(b,)``, and gives log2 gains ``(b, channels)``.
    Source: interpolated gain units (Cui et al., "Asymmetric Gained Deep Image Compression", CVPR 2021).
    """

    def __init__(self, rows: int, channels: int, *, low: float = 0.0, high: float = 0.0) -> None:
        super().__init__()
        self.log2 = nn.Parameter(torch.linspace(low, high, rows)[:, None].repeat(1, channels))

    def forward(self, quality: Float[Tensor, " b"]) -> Float[Tensor, "b channels"]:
        last = self.log2.shape[0] - 1
        position = quality.clamp(0, 1) * last
        row = position.floor().clamp(max=last - 1)
        t = (position - row)[:, None]
        i = row.long()
        return self.log2[i] * (1 - t) + self.log2[i + 1] * t
