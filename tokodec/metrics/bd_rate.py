"""Bjøntegaard delta rate: by how much one codec's files are smaller or larger than another's at equal quality.

Log rate is interpolated over PSNR by a monotone piecewise cubic, and the mean difference between two bounds is taken.
Sources: Bjøntegaard, VCEG-M33, 2001; monotone cubics of Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5, 1984.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from tokodec.errors import InputError

MIN_OVERLAP_DB = 6.0
"""Curves that share fewer decibels than this say nothing about each other."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Points of a rate-distortion curve, one a quality setting, in any order.

    ``bpp``: bits a pixel, greater than 0. ``psnr``: dB. Over a set of pictures both are means at equal setting.
    """

    bpp: tuple[float, ...]
    psnr: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.bpp) != len(self.psnr) or len(set(self.psnr)) < 2:
            raise InputError(
                f"a curve needs as many rates as PSNRs and at least two different ones; got {len(self.bpp)} and {len(self.psnr)}"
            )
        if not all(math.isfinite(v) for v in (*self.bpp, *self.psnr)) or min(self.bpp) <= 0:
            raise InputError("a curve needs finite values, and rates greater than 0")


def bd_rate(anchor: Curve, test: Curve, low: float = 27.0, high: float = 37.0) -> float:
    """Mean difference of rate of ``test`` against ``anchor`` in percent; negative where ``test`` needs fewer bits.

    Taken over the PSNRs between ``low`` and ``high`` (dB) that both curves reach. Raises InputError where those are fewer
    than MIN_OVERLAP_DB.
    """
    start, stop = overlap(anchor, test, low, high)
    if stop - start < MIN_OVERLAP_DB:
        shared = f"{max(stop - start, 0):.1f} dB between {low:g} and {high:g} dB"
        raise InputError(f"the curves overlap by {shared}; BD-rate needs an overlap of {MIN_OVERLAP_DB:g} dB")
    difference = (_log_rate(test).integral(start, stop) - _log_rate(anchor).integral(start, stop)) / (stop - start)
    return 100 * math.expm1(difference)


def overlap(anchor: Curve, test: Curve, low: float = 27.0, high: float = 37.0) -> tuple[float, float]:
    """The PSNRs between ``low`` and ``high`` (dB) that both curves reach; the second may be less than the first."""
    return max(low, min(anchor.psnr), min(test.psnr)), min(high, max(anchor.psnr), max(test.psnr))


class MonotoneCubic:
    """The interpolant (PCHIP) through points whose ``x`` strictly increases; between two points it never leaves their range."""

    def __init__(self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> None:
        self._x, self._y = x, y
        self._slope = _slopes(np.diff(x), np.diff(y) / np.diff(x))

    def __call__(self, x: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Values within the range of the points."""
        i = np.clip(np.searchsorted(self._x, x, side="right") - 1, 0, len(self._x) - 2)
        h = self._x[i + 1] - self._x[i]
        t = (x - self._x[i]) / h
        ends = (1 + 2 * t) * (1 - t) ** 2 * self._y[i] + t**2 * (3 - 2 * t) * self._y[i + 1]
        return ends + h * t * (1 - t) * ((1 - t) * self._slope[i] - t * self._slope[i + 1])

    def integral(self, start: float, stop: float) -> float:
        """From ``start`` to ``stop``, both within the range of the points."""
        inside = self._x[(self._x > start) & (self._x < stop)]
        bounds = np.concatenate([[start], inside, [stop]])
        middle = (bounds[:-1] + bounds[1:]) / 2
        return float((np.diff(bounds) * (self(bounds[:-1]) + 4 * self(middle) + self(bounds[1:]))).sum() / 6)  # exact for cubics


def _slopes(h: Float[np.ndarray, " s"], secant: Float[np.ndarray, " s"]) -> Float[np.ndarray, " n"]:
    """Slopes at the points: harmonic means of neighbouring secants, zero where these turn; three-point formulas at the ends."""
    if len(h) == 1:
        return np.repeat(secant, 2)
    before, after = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    turns = secant[:-1] * secant[1:] <= 0
    left, right = np.where(turns, 1, secant[:-1]), np.where(turns, 1, secant[1:])
    inner = np.where(turns, 0, (before + after) / (before / left + after / right))
    return np.array([_end_slope(h[0], h[1], secant[0], secant[1]), *inner, _end_slope(h[-1], h[-2], secant[-1], secant[-2])])


def _end_slope(h: float, h_next: float, secant: float, secant_next: float) -> float:
    slope = ((2 * h + h_next) * secant - h * secant_next) / (h + h_next)
    if slope * secant <= 0:
        return 0.0
    if secant * secant_next < 0 and abs(slope) > 3 * abs(secant):
        return 3 * secant
    return slope


def _log_rate(curve: Curve) -> MonotoneCubic:
    """Of points with equal PSNR the cheapest counts."""
    cheapest: dict[float, float] = {}
    for bpp, psnr in zip(curve.bpp, curve.psnr, strict=True):
        cheapest[psnr] = min(bpp, cheapest.get(psnr, math.inf))
    psnr = np.array(sorted(cheapest))
    return MonotoneCubic(psnr, np.log([cheapest[p] for p in psnr]))
