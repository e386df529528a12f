"""Piecewise cubics through points, with integrals: PCHIP, which is monotone where the points are, and Akima's.

Sources: Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5, 1984 (PCHIP); Akima, J. ACM 17, 1970.
"""

from abc import ABC, abstractmethod
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

Place: TypeAlias = tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]


class Cubic(ABC):
    """The interpolants through rows of points whose ``x`` strictly increases, a row each."""

    def __init__(self, x: Float[np.ndarray, "b n"], y: Float[np.ndarray, "b n"]) -> None:
        self._x, self._y, self._h = x, y, np.diff(x)
        secant = np.diff(y) / self._h
        self._slope = np.repeat(secant, 2, 1) if x.shape[1] == 2 else self.slopes(self._h, secant)
        pieces = self._h * (y[:, :-1] + y[:, 1:]) / 2 + self._h**2 * (self._slope[:, :-1] - self._slope[:, 1:]) / 12
        self._areas = np.concatenate([np.zeros((len(x), 1)), np.cumsum(pieces, 1)], 1)

    @abstractmethod
    def slopes(self, h: Float[np.ndarray, "b s"], secant: Float[np.ndarray, "b s"]) -> Float[np.ndarray, "b n"]:
        """Slopes at the points, of at least two steps ``h`` between them and the secants there."""

    def __call__(self, x: Float[np.ndarray, " b"]) -> Float[np.ndarray, " b"]:
        """A value of each row, within the range of its points."""
        i, h, t = self._place(x)
        ends = (1 + 2 * t) * (1 - t) ** 2 * self._y[i] + t**2 * (3 - 2 * t) * self._y[i[0], i[1] + 1]
        return ends + h * t * (1 - t) * ((1 - t) * self._slope[i] - t * self._slope[i[0], i[1] + 1])

    def integral(self, start: Float[np.ndarray, " b"], stop: Float[np.ndarray, " b"]) -> Float[np.ndarray, " b"]:
        """Of each row, from ``start`` to ``stop``, both within the range of its points."""
        return self._area(stop) - self._area(start)

    def _area(self, x: Float[np.ndarray, " b"]) -> Float[np.ndarray, " b"]:
        """From the first point on."""
        i, h, t = self._place(x)
        after = i[0], i[1] + 1
        ends = (t - t**3 + t**4 / 2) * self._y[i] + (t**3 - t**4 / 2) * self._y[after]
        slopes = (t**2 / 2 - 2 * t**3 / 3 + t**4 / 4) * self._slope[i] + (t**4 / 4 - t**3 / 3) * self._slope[after]
        return self._areas[i] + h * (ends + h * slopes)

    def _place(self, x: Float[np.ndarray, " b"]) -> Place:
        """In which piece of each row, the length of that, and how far along it, 0 to 1."""
        rows = np.arange(len(x))
        piece = np.clip((self._x <= x[:, None]).sum(1) - 1, 0, self._x.shape[1] - 2)
        h = self._h[rows, piece]
        return (rows, piece), h, (x - self._x[rows, piece]) / h


class MonotoneCubic(Cubic):
    """PCHIP: between two points it never leaves their range."""

    def slopes(self, h: Float[np.ndarray, "b s"], secant: Float[np.ndarray, "b s"]) -> Float[np.ndarray, "b n"]:
        """Harmonic means of neighbouring secants, zero where these turn; three-point formulas at the ends."""
        before, after = 2 * h[:, 1:] + h[:, :-1], h[:, 1:] + 2 * h[:, :-1]
        turns = secant[:, :-1] * secant[:, 1:] <= 0
        left, right = np.where(turns, 1, secant[:, :-1]), np.where(turns, 1, secant[:, 1:])
        inner = np.where(turns, 0, (before + after) / (before / left + after / right))
        first = _end_slope(h[:, 0], h[:, 1], secant[:, 0], secant[:, 1])
        last = _end_slope(h[:, -1], h[:, -2], secant[:, -1], secant[:, -2])
        return np.concatenate([first[:, None], inner, last[:, None]], 1)


class AkimaCubic(Cubic):
    """Akima's: follows the points closely, and may overshoot a little."""

    def slopes(self, h: Float[np.ndarray, "b s"], secant: Float[np.ndarray, "b s"]) -> Float[np.ndarray, "b n"]:
        """Means of neighbouring secants, each weighed by how much the secants turn on the other side."""
        first, last = 2 * secant[:, 0] - secant[:, 1], 2 * secant[:, -1] - secant[:, -2]
        ends = (2 * first - secant[:, 0], first), (last, 2 * last - secant[:, -1])
        m = np.concatenate([np.stack(ends[0], 1), secant, np.stack(ends[1], 1)], 1)
        turn = np.abs(np.diff(m))
        before, after = turn[:, :-2], turn[:, 2:]
        total = before + after
        even = total <= 1e-9 * total.max(1, keepdims=True)  # nothing turns on either side: both secants count alike
        weighed = (after * m[:, 1:-2] + before * m[:, 2:-1]) / np.where(even, 1, total)
        return np.where(even, (m[:, 1:-2] + m[:, 2:-1]) / 2, weighed)


Row = Float[np.ndarray, " b"]


def _end_slope(h: Row, h_next: Row, secant: Row, secant_next: Row) -> Row:
    slope = ((2 * h + h_next) * secant - h * secant_next) / (h + h_next)
    steep = (secant * secant_next < 0) & (np.abs(slope) > 3 * np.abs(secant))
    return np.where(slope * secant <= 0, 0, np.where(steep, 3 * secant, slope))
