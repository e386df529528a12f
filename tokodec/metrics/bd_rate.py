"""Bjøntegaard deltas: by how much one codec's files are smaller at equal quality, or its quality higher at equal size.

Log rate is interpolated over quality (BD-rate) or quality over log rate (BD-quality), and the mean difference between two bounds is
taken. The interpolation is part of the figure's name: PCHIP or Akima. Source: Bjøntegaard, VCEG-M33, 2001.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tokodec.errors import InputError
from tokodec.metrics.cubic import Cubic, MonotoneCubic

MIN_OVERLAP = 0.5
"""Curves that share less of what they cover together say little about each other."""
PSNR_BOUNDS = (27.0, 37.0)
"""dB between which BD-rates over PSNR are taken."""
EVERYWHERE = (-math.inf, math.inf)
Bounds: TypeAlias = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Points of a rate-quality curve, one a setting, in any order.

    ``bpp``: bits a pixel, greater than 0. ``psnr``: the quality, dB of PSNR or any other measure of which more is better. Over a
    set of pictures both are means at equal setting.
    """

    bpp: tuple[float, ...]
    psnr: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.bpp) != len(self.psnr) or len(set(self.psnr)) < 2 or len(set(self.bpp)) < 2:
            raise InputError(
                f"a curve needs as many rates as PSNRs and at least two different ones; got {len(self.bpp)} and {len(self.psnr)}"
            )
        if not all(math.isfinite(v) for v in (*self.bpp, *self.psnr)) or min(self.bpp) <= 0:
            raise InputError("a curve needs finite values, and rates greater than 0")


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """What two curves share: from ``low`` to ``high``, and which ``share`` that is of what they cover together, 0 to 1."""

    low: float
    high: float
    share: float

    def held(self, what: str, unit: str = "") -> "Overlap":
        """Itself. Raises InputError below MIN_OVERLAP."""
        if self.share < MIN_OVERLAP:
            raise InputError(
                f"the curves overlap by {max(self.high - self.low, 0):.3g}{unit and ' ' + unit}, {self.share:.0%} of the {what} that "
                f"they cover; at least {MIN_OVERLAP:.0%} are needed"
            )
        return self


def bd_rate(anchor: Curve, test: Curve, bounds: Bounds = PSNR_BOUNDS, interpolant: type[Cubic] = MonotoneCubic) -> float:
    """Mean difference of rate of ``test`` against ``anchor`` in percent; negative where ``test`` needs fewer bits.

    Taken over the qualities within ``bounds`` that both curves reach. Raises InputError where those are less than MIN_OVERLAP of
    the qualities within bounds that one of them reaches.
    """
    shared = overlap(anchor, test, bounds).held("quality", "dB" if bounds == PSNR_BOUNDS else "")
    one, other = (_mean(_log_rate(curve), shared, interpolant) for curve in (anchor, test))
    return 100 * math.expm1(other - one)


def bd_quality(anchor: Curve, test: Curve, interpolant: type[Cubic] = MonotoneCubic) -> float:
    """Mean difference of quality at equal rate in the unit of quality, over the log rates that both curves reach; BD-PSNR for PSNR.

    Raises InputError where those are less than MIN_OVERLAP of the log rates that one of them reaches.
    """
    shared = rate_overlap(anchor, test)
    inside = Overlap(low=math.log(shared.low), high=math.log(shared.high), share=shared.share).held("logarithm of rate")
    one, other = (_mean(_quality(curve), inside, interpolant) for curve in (anchor, test))
    return other - one


def overlap(anchor: Curve, test: Curve, bounds: Bounds = PSNR_BOUNDS) -> Overlap:
    """The qualities within ``bounds`` that both curves reach; ``high`` may be less than ``low``."""
    return _overlap([_range(curve.psnr, bounds) for curve in (anchor, test)])


def rate_overlap(anchor: Curve, test: Curve) -> Overlap:
    """The rates (bpp) that both curves reach; the share is one of their logarithms."""
    found = _overlap([_range(tuple(map(math.log, curve.bpp)), EVERYWHERE) for curve in (anchor, test)])
    return Overlap(low=math.exp(found.low), high=math.exp(found.high), share=found.share)


def _range(values: tuple[float, ...], bounds: Bounds) -> Bounds:
    return max(min(values), bounds[0]), min(max(values), bounds[1])


def _overlap(ranges: list[Bounds]) -> Overlap:
    low, high = max(r[0] for r in ranges), min(r[1] for r in ranges)
    inside = [r for r in ranges if r[0] < r[1]]  # a curve that lies outside of the bounds covers nothing
    covered = max(r[1] for r in inside) - min(r[0] for r in inside) if inside else 0.0
    return Overlap(low=low, high=high, share=max(high - low, 0.0) / covered if covered > 0 else 0.0)


Points: TypeAlias = dict[float, float]


def _log_rate(curve: Curve) -> Points:
    """Of points with equal quality the cheapest counts."""
    points: Points = {}
    for bpp, psnr in zip(curve.bpp, curve.psnr, strict=True):
        points[psnr] = min(math.log(bpp), points.get(psnr, math.inf))
    return points


def _quality(curve: Curve) -> Points:
    """Over log rate. Of points with equal rate the best counts."""
    points: Points = {}
    for bpp, psnr in zip(curve.bpp, curve.psnr, strict=True):
        points[math.log(bpp)] = max(psnr, points.get(math.log(bpp), -math.inf))
    return points


def _mean(points: Points, over: Overlap, interpolant: type[Cubic]) -> float:
    """Between two bounds."""
    x = np.array([sorted(points)])
    y = np.array([[points[v] for v in x[0].tolist()]])
    low, high = np.array([over.low]), np.array([over.high])
    return float(interpolant(x, y).integral(low, high)[0]) / (over.high - over.low)
