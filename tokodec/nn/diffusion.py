"""Diffusion with a network that predicts the picture itself: noise for training, and pictures out of noise.

Sources: Ho et al., "Denoising diffusion probabilistic models", NeurIPS 2020; Song et al., "Denoising diffusion implicit models",
ICLR 2021 (DDIM); Lin et al., "Common diffusion noise schedules and sample steps are flawed", WACV 2024 (nothing is left at the last
time, and steps are counted from there).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

Map = Float[Tensor, "b c h w"]
Predict = Callable[[Map, Int[Tensor, " b"]], Map]
"""The picture, of a noisy one and its time."""


@dataclass(frozen=True, kw_only=True)
class LinearSchedule:
    """Noise grows evenly from ``first`` to ``last`` in ``times`` times, then is stretched so that at the last time nothing else is left."""

    times: int = 1000
    first: float = 1e-4
    last: float = 0.02

    def kept(self) -> Float[Tensor, " t"]:
        """The share of the picture's variance that is left at each time."""
        root = (1 - torch.linspace(self.first, self.last, self.times, dtype=torch.float64)).cumprod(0).sqrt()
        return ((root - root[-1]) * (root[0] / (root[0] - root[-1]))).square()

    def noisy(self, x: Map, noise: Map, t: Int[Tensor, " b"]) -> Map:
        """Pictures at a time each."""
        kept = self.kept().to(x.device)[t].to(x.dtype)[:, None, None, None]
        return kept.sqrt() * x + (1 - kept).sqrt() * noise

    def draw(self, noise: Map, predict: Predict, steps: int) -> Map:
        """A picture out of noise: DDIM without noise on the way, at most one step a time."""
        kept = self.kept().tolist()
        stops = [round(self.times - i * self.times / min(steps, self.times)) - 1 for i in range(min(steps, self.times))]
        x = noise
        for now, after in zip(stops, [*stops[1:], -1], strict=True):
            here, there = kept[now], kept[after] if after >= 0 else 1.0
            found = predict(x, torch.full((len(x),), now, device=x.device))
            left = (x - here**0.5 * found) / (1 - here) ** 0.5
            x = there**0.5 * found + (1 - there) ** 0.5 * left
        return x


def drawn_noise(shape: tuple[int, ...], seed: int, device: torch.device) -> Float[Tensor, "1 c h w"]:
    """Drawn on the processor, so that every device has the same."""
    return torch.randn((1, *shape), generator=torch.Generator().manual_seed(seed)).to(device)
