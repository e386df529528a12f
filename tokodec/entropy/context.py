"""Spatial contexts: masked 5x5 convolutions over the latents that are known, computed only where they are wanted."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tokodec.entropy.part import Grid, Part

_SIDE = 5
_EDGE = _SIDE // 2


class Field:
    """A lattice of latents as rows, with zeros where nothing is known yet, and around it."""

    def __init__(self, batch: int, channels: int, grid: Grid, like: Tensor) -> None:
        height, width = grid
        self.row = width + 2 * _EDGE
        self._rows = like.new_zeros(batch, (height + 2 * _EDGE) * self.row, channels)
        y, x = torch.arange(height, device=like.device), torch.arange(width, device=like.device)
        self._inner = ((y[:, None] + _EDGE) * self.row + x + _EDGE).flatten()

    def put(self, places: Int[Tensor, " n"], values: Float[Tensor, "b n c"]) -> None:
        """These are known now."""
        part = Part(start=0, stop=values.shape[2], places=self._inner[places])
        self._rows = part.paste(self._rows, values.to(self._rows.dtype))

    def around(self, places: Int[Tensor, " n"], taps: Int[Tensor, " t"]) -> Float[Tensor, "b n tc"]:
        """What stands at ``taps``, counted in rows of this field, from each place."""
        at = self._inner[places][:, None] + taps
        return self._rows[:, at.flatten()].unflatten(1, at.shape).flatten(2)

    @property
    def rows(self) -> Float[Tensor, "b hw c"]:
        """All places, without the zeros around them."""
        return self._rows[:, self._inner]


class Context(nn.Conv2d, ABC):
    """``width`` features of each place from ``channels`` latents around it. Weights under the mask are never used."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width, _SIDE, padding=_EDGE)

    @staticmethod
    @abstractmethod
    def mask() -> Bool[Tensor, "5 5"]:
        """Which neighbours are looked at."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:  # type: ignore[override]
        """Everywhere, for latents all of which are known."""
        return F.conv2d(x, self.weight * self.mask().to(x.device), self.bias, padding=_EDGE)

    def looking(self, field: Field) -> "Look":
        """The context over a field."""
        rows, columns = self.mask().to(self.weight.device).nonzero(as_tuple=True)
        weight = self.weight[:, :, rows, columns].transpose(1, 2).flatten(1)  # (d, taps c)
        return Look(field, (rows - _EDGE) * field.row + columns - _EDGE, weight, self.bias)


class Look:
    """Evaluates a context at some places."""

    def __init__(self, field: Field, taps: Int[Tensor, " t"], weight: Float[Tensor, "d tc"], bias: Tensor | None) -> None:
        self._field, self._taps, self._weight, self._bias = field, taps, weight, bias

    def __call__(self, places: Int[Tensor, " n"]) -> Float[Tensor, "b n d"]:
        return F.linear(self._field.around(places, self._taps), self._weight, self._bias)


class RasterContext(Context):
    """All that comes before a place, row by row."""

    @staticmethod
    def mask() -> Bool[Tensor, "5 5"]:
        return (torch.arange(_SIDE * _SIDE) < _SIDE * _EDGE + _EDGE).view(_SIDE, _SIDE)


class CheckerContext(Context):
    """The fields of the other colour of a checkerboard."""

    @staticmethod
    def mask() -> Bool[Tensor, "5 5"]:
        return (torch.arange(_SIDE * _SIDE) % 2 == 1).view(_SIDE, _SIDE)
