"""The network of a diffusion model: down and up again, with a bridge from every step down to its mirror on the way up.

    x, t ── inputs ── middle ── outputs ──> y      each output sees what one input left behind

Source: Dhariwal and Nichol, "Diffusion models beat GANs on image synthesis", NeurIPS 2021 (ADM), without its shifts of scale.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.mix import Mix, ThinLinear
from tokodec.nn.transformer import Attention

Map = Float[Tensor, "b c h w"]
Resized = Float[Tensor, "b c2 h2 w2"]
Time = Float[Tensor, "b e"]
_SLOWEST = 10000.0


@dataclass(frozen=True, kw_only=True)
class UNetShape:
    """``width`` times each of ``multipliers`` from the finest level on; ``blocks`` of each level; which levels have attention."""

    width: int = 256
    multipliers: tuple[int, ...] = (1, 2, 2, 2)
    blocks: int = 3
    attention: tuple[bool, ...] = (False, False, True, True)
    groups: int = 32

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the levels."""
        return tuple(self.width * m for m in self.multipliers)

    @property
    def time(self) -> int:
        """Features of the time."""
        return 4 * self.width


class ResidualBlock(nn.Module):
    """Two convolutions, the time added between them; a 1x1 convolution beside them where widths differ."""

    def __init__(self, channels: int, width: int, shape: UNetShape) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(shape.groups, channels)
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.time = ThinLinear(shape.time, width)
        self.norm2 = nn.GroupNorm(shape.groups, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = Mix(channels, width) if channels != width else nn.Identity()

    def forward(self, x: Map, time: Time) -> Resized:
        h = self.conv1(F.silu(self.norm1(x))) + self.time(F.silu(time))[:, :, None, None]
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class PlaceAttention(nn.Module):
    """One head over all places, added to what comes in."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.attention = Attention(channels, 1)

    def forward(self, x: Map) -> Map:
        seen = self.attention(self.norm(x).flatten(2).transpose(1, 2))
        return x + seen.transpose(1, 2).reshape(x.shape)


class Up(nn.Conv2d):
    """Twice the size: every place four times, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1)

    def forward(self, x: Map) -> Resized:  # type: ignore[override]
        return super().forward(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Step(nn.Module):
    """A residual block, then attention and a change of size where they are wanted."""

    def __init__(self, block: ResidualBlock, attention: nn.Module, resize: nn.Module) -> None:
        super().__init__()
        self.block, self.attention, self.resize = block, attention, resize

    def forward(self, x: Map, time: Time) -> Resized:
        return self.resize(self.attention(self.block(x, time)))


class Plain(nn.Conv2d):
    """A 3x3 convolution among steps, whatever the time is."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__(channels, width, 3, stride=stride, padding=1)

    def forward(self, x: Map, time: Time) -> Resized:  # type: ignore[override]
        return super().forward(x)


class UNet(nn.Module):
    """``channels`` to ``out``. Sides of maps are multiples of ``2 ** (levels - 1)``."""

    def __init__(self, shape: UNetShape, channels: int, out: int) -> None:
        super().__init__()
        self.width = shape.width
        self.time = nn.ModuleList([ThinLinear(shape.width, shape.time), ThinLinear(shape.time, shape.time)])
        self.inputs = nn.ModuleList([Plain(channels, shape.widths[0], 1), *_down(shape)])
        last = shape.widths[-1]
        self.middle = nn.ModuleList(
            [ResidualBlock(last, last, shape), PlaceAttention(last, shape.groups), ResidualBlock(last, last, shape)]
        )
        self.outputs = nn.ModuleList(_up(shape))
        self.norm = nn.GroupNorm(shape.groups, shape.widths[0])
        self.out = nn.Conv2d(shape.widths[0], out, 3, padding=1)

    def forward(self, x: Map, t: Float[Tensor, " b"]) -> Resized:
        """``t``: the time of each item, 0 to 999."""
        time = self.time[1](F.silu(self.time[0](_waves(t, self.width))))
        behind: list[Tensor] = []
        h = x
        for step in self.inputs:
            h = step(h, time)
            behind.append(h)
        before, attention, after = self.middle
        h = after(attention(before(h, time)), time)
        for step in self.outputs:
            h = step(torch.cat([h, behind.pop()], 1), time)
        return self.out(F.silu(self.norm(h)))


def _down(shape: UNetShape) -> Iterator[nn.Module]:
    channels = shape.widths[0]
    for level, width in enumerate(shape.widths):
        for _ in range(shape.blocks):
            yield Step(ResidualBlock(channels, width, shape), _attention(shape, level), nn.Identity())
            channels = width
        if level < len(shape.widths) - 1:
            yield Plain(width, width, 2)


def _up(shape: UNetShape) -> Iterator[nn.Module]:
    """From the coarsest level on, one step more a level than down, because the convolution before a level left something too."""
    left = [shape.widths[0]]
    for level, width in enumerate(shape.widths):
        left += [width] * (shape.blocks + (level < len(shape.widths) - 1))
    channels = shape.widths[-1]
    for level in reversed(range(len(shape.widths))):
        width = shape.widths[level]
        for i in range(shape.blocks + 1):
            resize = Up(width) if level and i == shape.blocks else nn.Identity()
            yield Step(ResidualBlock(channels + left.pop(), width, shape), _attention(shape, level), resize)
            channels = width


def _attention(shape: UNetShape, level: int) -> nn.Module:
    return PlaceAttention(shape.widths[level], shape.groups) if shape.attention[level] else nn.Identity()


def _waves(t: Float[Tensor, " b"], width: int) -> Float[Tensor, "b width"]:
    """Cosines and sines of the time."""
    half = width // 2
    rate = torch.exp(-math.log(_SLOWEST) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angle = t[:, None].float() * rate
    return torch.cat([angle.cos(), angle.sin()], 1)
