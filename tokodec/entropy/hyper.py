"""The side of a hyperprior that must be exact: from the symbols of z to the mean and the code table of every symbol of y."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int32, Shaped, UInt8
from torch import Tensor, nn

from tokodec.entropy.fixed import ONE, Exp2, FixedGain, round_log2
from tokodec.entropy.integer import INPUT_MAX, IntegerChain
from tokodec.entropy.laplace import SCALE_MIN
from tokodec.entropy.scaletables import STEPS_PER_OCTAVE, TABLES, ScaleTables
from tokodec.nn.chain import ConvChain
from tokodec.nn.gain import Gain

_GROWTH = 4
"""Rows of y for one of z."""
_HALO = 2
"""Rows of z that the net sees beyond one: 3x3 at 1, 2 and 4 times the resolution of z see 1 + 1/2 + 1/4."""
_STRIP = 2048
"""Places of z in one strip: 8 megapixels."""


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """``mean`` in steps of the quantiser; ``index``: the code table."""

    mean: Float[Tensor, "b m h w"]
    index: UInt8[Tensor, "b m h w"]


@dataclass(frozen=True, kw_only=True)
class Prior:
    """Of the net's last layer: what it sees, in integers of 0..255; means in units of y; log2 scales as places among the tables."""

    features: Float[Tensor, "b f h w"]
    mean: Float[Tensor, "b m h w"]
    place: Float[Tensor, "b m h w"]


Watch = Callable[[UInt8[Tensor, "b m h w"]], None]


def _unwatched(index: UInt8[Tensor, "b m h w"]) -> None:
    pass


class ExactHyper(nn.Module):
    """Integer nets and fixed-point gains. Every result is the same to the bit on every device, batch and layout.

    No operation here may be fused with its neighbour (multiply-add), so none of it is ever compiled.
    """

    step_z: Tensor
    index_unit: Tensor

    def __init__(self, h_s: ConvChain, *, rows: int, M: int, Z: int) -> None:
        super().__init__()
        self.M = M
        self.chain = IntegerChain(h_s)
        self.gain_y = FixedGain(rows, M)
        self.gain_z = FixedGain(rows, Z)
        self.scale_y = FixedGain(rows, M)
        self.scale_z = FixedGain(rows, Z)
        self.exp2 = Exp2()
        self.tables = ScaleTables()
        self.register_buffer("step_z", torch.zeros(Z, dtype=torch.int32))
        self.register_buffer("index_unit", torch.ones(M))

    def freeze(
        self, h_s: ConvChain, samples: Sequence[Float[Tensor, "b z h w"]], gain_y: Gain, gain_z: Gain, scale_y: Gain, scale_z: Gain
    ) -> Float[Tensor, " f"]:
        """Take trained nets and gains. ``samples``: typical rounded z, gain taken off. Returns the value of one step of each feature."""
        self.gain_y.copy_(gain_y)
        self.gain_z.copy_(gain_z)
        self.scale_z.copy_(scale_z)
        self.scale_y.rows.copy_(round_log2(gain_y.log2) + round_log2(scale_y.log2))
        self.step_z.copy_(input_step(samples))
        with torch.no_grad():
            step = self.chain.quantise(h_s, torch.exp2(self.step_z.double() / ONE), list(samples))
        self.index_unit.copy_(self._unit[self.M :] * STEPS_PER_OCTAVE)
        self.tables.reset()
        return step

    @property
    def frozen(self) -> bool:
        """Whether trained nets were taken."""
        return bool(self.step_z.any())

    def recover(self, h_s: ConvChain) -> None:
        """Make the trained net from the integer one, up to rounding."""
        self.chain.recover(h_s, torch.exp2(self.step_z.float() / ONE))

    @property
    def _unit(self) -> Float[Tensor, " c"]:
        return self.chain.layers[-1].unit

    def index_z(self, level: Int[Tensor, " b"], grid: tuple[int, int]) -> UInt8[Tensor, "b z h w"]:
        """The code table of every symbol of z on a grid of (h, w)."""
        return _index(_offset(self.scale_z(level)))[..., None, None].expand(-1, -1, *grid)

    def predict(
        self, z: Int32[Tensor, "b z h4 w4"], level: Int[Tensor, " b"], grid: tuple[int, int], watch: Watch = _unwatched
    ) -> Parameters:
        """Mean and code table of every symbol of y on a grid of (h, w), from the symbols of z.

        Large grids are computed in strips, which saves memory and, sums being exact, gives the same bits. ``watch`` sees the
        tables of each strip and may raise, before the next one is computed.
        """
        found: list[Parameters] = []
        strips = _strips(z, grid)
        for strip in strips:
            prior = strip.cut(self.prior(strip.of(z), level, strip.grid))
            found.append(Parameters(mean=prior.mean * self.gain(level), index=self.index(prior.place, level)))
            if len(strips) > 1:
                watch(found[-1].index)
        return Parameters(mean=_stacked([f.mean for f in found]), index=_stacked([f.index for f in found]))

    def watched_prior(
        self, z: Int32[Tensor, "b z h4 w4"], level: Int[Tensor, " b"], grid: tuple[int, int], watch: Watch = _unwatched
    ) -> Prior:
        """:meth:`prior` in strips, as :meth:`predict`."""
        found: list[Prior] = []
        strips = _strips(z, grid)
        for strip in strips:
            found.append(strip.cut(self.prior(strip.of(z), level, strip.grid)))
            if len(strips) > 1:
                watch(self.index(found[-1].place, level))
        return Prior(
            features=_stacked([f.features for f in found]),
            mean=_stacked([f.mean for f in found]),
            place=_stacked([f.place for f in found]),
        )

    def prior(self, z: Int32[Tensor, "b z h4 w4"], level: Int[Tensor, " b"], grid: tuple[int, int]) -> Prior:
        """What z says of y on a grid of (h, w)."""
        shrink = self.exp2(-self.gain_z(level) - self.step_z)[..., None, None]
        features = self.chain.features((z.float() * shrink).round_().clamp_(-INPUT_MAX, INPUT_MAX))[..., : grid[0], : grid[1]]
        sums = self.chain.last(features)
        mean = sums[:, : self.M] * self._unit[: self.M, None, None]
        return Prior(features=features, mean=mean, place=sums[:, self.M :] * self.index_unit[:, None, None])

    def index(self, place: Float[Tensor, "b m h w"], level: Int[Tensor, " b"]) -> UInt8[Tensor, "b m h w"]:
        """Code tables of places that know no gain."""
        return _index(place + _offset(self.scale_y(level))[..., None, None])

    def gain(self, level: Int[Tensor, " b"]) -> Float[Tensor, "b m 1 1"]:
        """Quantiser steps per unit of y."""
        return self.exp2(self.gain_y(level))[..., None, None]

    def gain_of_z(self, level: Int[Tensor, " b"]) -> Float[Tensor, "b z 1 1"]:
        """Quantiser steps per unit of z."""
        return self.exp2(self.gain_z(level))[..., None, None]


@dataclass(frozen=True, kw_only=True)
class _Strip:
    """Some rows of z, with those around them that the net sees. ``inner``: the rows of y that are wanted of what comes out."""

    above: int
    below: int
    inner: slice
    grid: tuple[int, int]

    def of(self, z: Int32[Tensor, "b z h4 w4"]) -> Int32[Tensor, "b z strip w4"]:
        return z[:, :, self.above : self.below]

    def cut(self, prior: Prior) -> Prior:
        return Prior(features=self._cut(prior.features), mean=self._cut(prior.mean), place=self._cut(prior.place))

    def _cut(self, rows: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c strip w"]:
        return rows if rows.shape[2] == self.inner.stop - self.inner.start else rows[:, :, self.inner].clone()


def _strips(z: Int32[Tensor, "b z h4 w4"], grid: tuple[int, int]) -> list[_Strip]:
    """One for most pictures, of which nothing needs to be told before its symbols are asked for."""
    rows = max(_STRIP // (z.shape[0] * z.shape[3]), 1)
    strips: list[_Strip] = []
    for top in range(0, z.shape[2], rows):
        above, below = max(top - _HALO, 0), min(top + rows + _HALO, z.shape[2])
        end = min(below * _GROWTH, grid[0])
        inner = slice((top - above) * _GROWTH, min((top + rows) * _GROWTH, grid[0]) - above * _GROWTH)
        strips.append(_Strip(above=above, below=below, inner=inner, grid=(end - above * _GROWTH, grid[1])))
    return strips


def _stacked(strips: Sequence[Shaped[Tensor, "b c _ w"]]) -> Shaped[Tensor, "b c h w"]:
    return strips[0] if len(strips) == 1 else torch.cat([*strips], 2)


def input_step(samples: Sequence[Float[Tensor, "b c h w"]]) -> Int[Tensor, " c"]:
    """What one integer step of each channel of a net's input is worth, as a fixed-point logarithm, for inputs like ``samples``."""
    reach = torch.stack([s.abs().amax((0, 2, 3)) for s in samples]).amax(0) * 1.2
    reach = torch.where(reach > 0, reach, reach.amax().clamp(min=1e-6))
    return round_log2(torch.log2(reach / INPUT_MAX))


def _offset(log2: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Log2 scales in fixed point as places among the tables, plus a half."""
    return log2.float() * (STEPS_PER_OCTAVE / ONE) + (0.5 - math.log2(SCALE_MIN) * STEPS_PER_OCTAVE)


def _index(place: Float[Tensor, "..."]) -> UInt8[Tensor, "..."]:
    """The table below; single operations on float32, none in place of another."""
    return place.clamp_(0, TABLES - 1).to(torch.uint8)
