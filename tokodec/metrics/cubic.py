"""Piecewise cubics through points, with integrals: PCHIP, which is monotone where the points are, and Akima's.

Sources: Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5, 1984 (PCHIP); Akima, J. ACM 17, 1970.
"""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float


class Cubic(ABC):
    """The interpolant through points whose ``x`` strictly increases."""

    def __init__(self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> None:
        self._x, self._y = x, y
        h, secant = np.diff(x), np.diff(y) / np.diff(x)
        self._slope = np.repeat(secant, 2) if len(h) == 1 else self.slopes(h, secant)

    @abstractmethod
    def slopes(self, h: Float[np.ndarray, " s"], secant: Float[np.ndarray, " s"]) -> Float[np.ndarray, " n"]:
        """Slopes at the points, of at least two steps ``h`` between them and the secants there."""

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


class MonotoneCubic(Cubic):
    """PCHIP: between two points it never leaves their range."""

    def slopes(self, h: Float[np.ndarray, " s"], secant: Float[np.ndarray, " s"]) -> Float[np.ndarray, " n"]:
        """Harmonic means of neighbouring secants, zero where these turn; three-point formulas at the ends."""
        before, after = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
        turns = secant[:-1] * secant[1:] <= 0
        left, right = np.where(turns, 1, secant[:-1]), np.where(turns, 1, secant[1:])
        inner = np.where(turns, 0, (before + after) / (before / left + after / right))
        return np.array([_end_slope(h[0], h[1], secant[0], secant[1]), *inner, _end_slope(h[-1], h[-2], secant[-1], secant[-2])])


class AkimaCubic(Cubic):
    """Akima's: follows the points closely, and may overshoot a little."""

    def slopes(self, h: Float[np.ndarray, " s"], secant: Float[np.ndarray, " s"]) -> Float[np.ndarray, " n"]:
        """Means of neighbouring secants, each weighed by how much the secants turn on the other side."""
        first, last = 2 * secant[0] - secant[1], 2 * secant[-1] - secant[-2]
        m = np.concatenate([[2 * first - secant[0], first], secant, [last, 2 * last - secant[-1]]])
        turn = np.abs(np.diff(m))
        before, after = turn[:-2], turn[2:]
        total = before + after
        even = total <= 1e-9 * total.max()  # nothing turns on either side: both secants count alike
        weighed = (after * m[1:-2] + before * m[2:-1]) / np.where(even, 1, total)
        return np.where(even, (m[1:-2] + m[2:-1]) / 2, weighed)


def _end_slope(h: float, h_next: float, secant: float, secant_next: float) -> float:
    slope = ((2 * h + h_next) * secant - h * secant_next) / (h + h_next)
    if slope * secant <= 0:
        return 0.0
    if secant * secant_next < 0 and abs(slope) > 3 * abs(secant):
        return 3 * secant
    return slope
