"""Who walks: a model goes through its latents once, group by group, and whoever learns, rounds, reads or rebuilds is asked for each.

There is one walk, so they cannot disagree on the order or on what is known when. Whoever has to do with bits walks in
float64: scales decide code tables, and everything else tolerates its errors (see :class:`Exact`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int, Int32, Integer
from torch import Tensor

from tokodec.entropy.coder import Reader
from tokodec.entropy.density import Densities, Density
from tokodec.entropy.gaussian import Gaussians, gaussian_bits
from tokodec.entropy.part import Grid, Part, lattice_of, rows_of
from tokodec.entropy.rounding import Rounding
from tokodec.errors import InputError

MARGIN = 1e-9
"""No scale that was written stands closer to the border between two tables, in tables. Errors of float64 are a thousandth of it."""
GRID = 2.0**16
"""Steps in a unit of latents of the grid on which means stand that are fed back without end."""
GRID_MARGIN = 1e-8
"""No such mean stood closer to the middle between two places of the grid, in its steps."""
NUDGE = 1 / 1024
"""In tables, and in steps of the grid: how much further all scales and means stand with every nudge."""
_LIMIT = 2.0**22
"""Of symbols. Escapes reach a little further."""


class Role(ABC):
    """Takes the groups of a walk in order. All values that it returns are as the decoder has them."""

    @abstractmethod
    def density(self, name: str, density: Densities, grid: Grid) -> Float[Tensor, "b c h w"]:
        """A whole lattice under a density for each channel."""

    @abstractmethod
    def gaussian(
        self, name: str, mean: Float[Tensor, "b n c"], scale: Float[Tensor, "b n c"], part: Part, whole: tuple[int, int]
    ) -> Float[Tensor, "b n c"]:
        """A part of a lattice of ``whole`` (places, channels) under Gaussians."""

    def weigh(self, name: str, factor: Float[Tensor, "b hw 1"]) -> None:  # noqa: B027 - only who knows latents cares
        """Told, before any is asked for, that the values of a lattice are latents times a factor for each place."""

    def foreseen(self, name: str) -> Float[Tensor, "b hw c"] | None:
        """All values of a lattice before any is asked for, if whoever walks knows them."""
        return None

    def steadied(self, mean: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        """Means as they are to be used where values decide the next means, again and again (:class:`Exact`)."""
        return mean


class Learner(Role):
    """Trains: knows the latents, stands in for rounding, and adds up ``bits``, by name and item."""

    def __init__(self, latents: Mapping[str, Float[Tensor, "b c h w"]], rounding: Rounding) -> None:
        self._latents, self._rounding = dict(latents), rounding
        self.bits: dict[str, Float[Tensor, " b"]] = {}

    def density(self, name: str, density: Densities, grid: Grid) -> Float[Tensor, "b c h w"]:
        v = self._latents[name] - density.medians
        self.bits[name] = self._bits_under(density, self._rounding.for_rate(v) + density.medians)
        return self._rounding.for_decoder(v) + density.medians

    def _bits_under(self, density: Densities, values: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        assert isinstance(density, Density)
        return density.bits(values)

    def gaussian(
        self, name: str, mean: Float[Tensor, "b n c"], scale: Float[Tensor, "b n c"], part: Part, whole: tuple[int, int]
    ) -> Float[Tensor, "b n c"]:
        mean, scale = mean.float(), scale.float()  # whatever the autocast
        v = part.cut(rows_of(self._latents[name])) - mean
        bits = gaussian_bits(self._rounding.for_rate(v), scale)
        self.bits[name] = self.bits[name] + bits if name in self.bits else bits
        return self._rounding.for_decoder(v) + mean

    def weigh(self, name: str, factor: Float[Tensor, "b hw 1"]) -> None:
        latents = self._latents[name]
        self._latents[name] = latents * lattice_of(factor.float(), (latents.shape[2], latents.shape[3]))

    def foreseen(self, name: str) -> Float[Tensor, "b hw c"]:
        return self._rounding.for_decoder(rows_of(self._latents[name]))


class Exact(Role):
    """Has to do with bits. ``symbols`` and ``index``, the code tables, are whole lattices as rows, by name.

    A symbol decodes if both sides take it from the same table, which the scale decides. Float64 gives scales to about 1e-14
    of their size, on any machine in any order of summation; the encoder makes sure that none stands within MARGIN of a border
    (:class:`Encoder`). The last digits of means change no symbol, and in a few passes no error of theirs grows to the size of the
    margin. Where each place follows from the one before, over hundreds of steps, it would: there means are rounded to a grid,
    away from whose borders the encoder keeps too, so that every step starts from exact values.
    """

    def __init__(self, gaussians: Gaussians, nudge: Int[Tensor, " b"]) -> None:
        self._gaussians = gaussians
        self._shift = nudge[:, None, None].double() * NUDGE
        self.symbols: dict[str, Int32[Tensor, "b hw c"]] = {}
        self.index: dict[str, Integer[Tensor, "b hw c"]] = {}

    def density(self, name: str, density: Densities, grid: Grid) -> Float[Tensor, "b c h w"]:
        index = density_index(self._gaussians.count, density.channels, grid, len(self._shift)).to(density.medians.device)
        whole = Part(start=0, stop=density.channels)
        self.index[name] = index
        self.symbols[name] = self._settle(name, index, density.medians[:, 0, 0], whole)
        return lattice_of(self.symbols[name].double() + density.medians[:, 0, 0], grid)

    def gaussian(
        self, name: str, mean: Float[Tensor, "b n c"], scale: Float[Tensor, "b n c"], part: Part, whole: tuple[int, int]
    ) -> Float[Tensor, "b n c"]:
        places = self._gaussians.place(scale).add_(self._shift)
        self._look(places)
        index = self._gaussians.table_of(places)
        symbols = self._settle(name, index, mean, part)
        if name not in self.symbols:
            self.symbols[name] = torch.zeros(len(mean), *whole, dtype=torch.int32, device=mean.device)
            self.index[name] = torch.zeros(len(mean), *whole, dtype=torch.uint8, device=mean.device)
        part.paste(self.symbols[name], symbols)
        part.paste(self.index[name], index)
        return symbols + mean

    def steadied(self, mean: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        at = mean * GRID + self._shift
        self._look_at_means(at)
        return at.round_().div_(GRID)

    def _look(self, places: Float[Tensor, "b n c"]) -> None:
        """At where the scales of a group stand."""

    def _look_at_means(self, at: Float[Tensor, "b n c"]) -> None:
        """At where means stand on the grid."""

    @abstractmethod
    def _settle(self, name: str, index: Integer[Tensor, "b n c"], mean: Float[Tensor, "*#b #n c"], part: Part) -> Int32[Tensor, "b n c"]:
        """The symbols of a part."""


class Encoder(Exact):
    """Rounds latents. ``close``: the items of the batch with a scale too close to a border."""

    def __init__(self, gaussians: Gaussians, nudge: Int[Tensor, " b"], latents: Mapping[str, Float[Tensor, "b c h w"]]) -> None:
        super().__init__(gaussians, nudge)
        self._latents = {name: rows_of(v) for name, v in latents.items()}
        self.close = torch.zeros_like(nudge, dtype=torch.bool)

    def weigh(self, name: str, factor: Float[Tensor, "b hw 1"]) -> None:
        self._latents[name] = self._latents[name] * factor

    def _look(self, places: Float[Tensor, "b n c"]) -> None:
        distance = (places - places.round()).abs_().masked_fill_((places < -0.5) | (places > self._gaussians.count - 1.5), 1.0)
        self.close |= (distance < MARGIN).flatten(1).any(1)

    def _look_at_means(self, at: Float[Tensor, "b n c"]) -> None:
        self.close |= (((at - at.floor()) - 0.5).abs_() < GRID_MARGIN).flatten(1).any(1)

    def _settle(self, name: str, index: Integer[Tensor, "b n c"], mean: Float[Tensor, "*#b #n c"], part: Part) -> Int32[Tensor, "b n c"]:
        values = (part.cut(self._latents[name]) - mean).round_()
        if values.numel() and not bool(values.abs().max() < _LIMIT):  # nor if it is no number
            raise InputError("a latent is out of range: the picture's values, or the weights, cannot be right")
        return values.to(torch.int32)


class Decoder(Exact):
    """Reads one picture."""

    def __init__(self, gaussians: Gaussians, nudge: Int[Tensor, " 1"], reader: Reader) -> None:
        super().__init__(gaussians, nudge)
        self._reader = reader

    def _settle(self, name: str, index: Integer[Tensor, "1 n c"], mean: Float[Tensor, "*#b #n c"], part: Part) -> Int32[Tensor, "1 n c"]:
        values = self._reader.read(np.ascontiguousarray(index.flatten().cpu().numpy()))
        return torch.from_numpy(values).to(index.device).view(index.shape)


class Rebuilder(Exact):
    """Knows the symbols, and finds out what follows from them."""

    def __init__(self, gaussians: Gaussians, nudge: Int[Tensor, " b"], symbols: Mapping[str, Int32[Tensor, "b c h w"]]) -> None:
        super().__init__(gaussians, nudge)
        self._known = {name: rows_of(v) for name, v in symbols.items()}

    def _settle(self, name: str, index: Integer[Tensor, "b n c"], mean: Float[Tensor, "*#b #n c"], part: Part) -> Int32[Tensor, "b n c"]:
        return part.cut(self._known[name])


def density_index(first: int, channels: int, grid: Grid, batch: int) -> Int[Tensor, "b hw c"]:
    """The code tables of a lattice under densities: one a channel, from ``first`` on. 16 bits, on the processor."""
    return torch.arange(first, first + channels, dtype=torch.int16).expand(batch, grid[0] * grid[1], channels)
