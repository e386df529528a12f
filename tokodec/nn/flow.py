"""Rectified flow: a network says how a noisy map moves on a straight line between a clean one and noise, and maps are drawn along it.

    x_s = (1 - s) x + s noise        velocity = noise - x

Sources: Liu et al., "Flow straight and fast", ICLR 2023; Esser et al., "Scaling rectified flow transformers for high-resolution image
synthesis", ICML 2024 (times of training); Sadat et al., "Eliminating oversaturation and artifacts of high guidance scales in diffusion
models", ICLR 2025 (normalised guidance).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Map = Float[Tensor, "b c h w"]
Velocity = Callable[[Map, Float[Tensor, " b"]], Map]
"""Of noisy maps at a time each, 0 for clean ones and 1 for noise."""
_WITHIN = (1, 2, 3)


def drawn_times(items: int, device: torch.device) -> Float[Tensor, " b"]:
    """Times of training: the logistic function of normal numbers, so that most are in the middle."""
    return torch.randn(items, device=device).sigmoid()


def noisy(x: Map, noise: Map, s: Float[Tensor, " b"]) -> Map:
    """Maps at a time each."""
    share = s[:, None, None, None]
    return (1 - share) * x + share * noise


def clean(x: Map, velocity: Map, s: Float[Tensor, " b"]) -> Map:
    """Where noisy maps come from, if they keep their velocity."""
    return x - s[:, None, None, None] * velocity


def draw(noise: Map, velocity: Velocity, steps: int) -> Map:
    """A map out of noise, in ``steps`` equal steps of Euler's method."""
    x = noise
    for i in range(steps):
        x = x - velocity(x, x.new_full((len(x),), 1 - i / steps)) / steps
    return x


@dataclass(frozen=True, kw_only=True)
class Guidance:
    """How the difference between velocities with and without a code is exaggerated.

    ``momentum`` of its sum over steps; ``most``: its length within a map; ``parallel``: how much counts of the part that points along
    the velocity. With 0, infinity and 1 this is plain classifier-free guidance.
    """

    momentum: float
    most: float
    parallel: float


class Course:
    """The velocities of one drawing, with a ``factor`` of guidance: 1 for none."""

    def __init__(self, guidance: Guidance, factor: float) -> None:
        self._guidance, self._factor = guidance, factor
        self._sum: Tensor | float = 0.0

    def __call__(self, known: Map, unknown: Map) -> Map:
        """The next one, of what the network says with and without a code."""
        self._sum = known - unknown + self._guidance.momentum * self._sum
        change = self._sum * (self._guidance.most / _length(self._sum)).clamp(max=1)
        unit = known.double() / _length(known.double())
        along = (change.double() * unit).sum(_WITHIN, keepdim=True) * unit
        kept = change.double() - along + self._guidance.parallel * along
        return known + (self._factor - 1) * kept.to(known.dtype)


def _length(x: Map) -> Float[Tensor, "b 1 1 1"]:
    return x.square().sum(_WITHIN, keepdim=True).sqrt().clamp(min=1e-12)
