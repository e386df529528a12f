"""Codes that are alike: the nearest ones to each by the vectors that the decoder sees."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

NEAREST = 8
_ROWS = 256
"""Whose distances to all are in memory at a time."""


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """For each vector the places of those nearest to it, itself left out, and their Euclidean distances; of equals the first."""

    places: Int[np.ndarray, "n k"]
    distances: Float[np.ndarray, "n k"]


def nearest(vectors: Float[np.ndarray, "n d"], count: int = NEAREST) -> Nearest:
    """Of all vectors among all."""
    count = min(count, len(vectors) - 1)
    found = [_of_rows(vectors, start, count) for start in range(0, len(vectors), _ROWS)]
    return Nearest(places=np.concatenate([places for places, _ in found]), distances=np.concatenate([far for _, far in found]))


def _of_rows(vectors: Float[np.ndarray, "n d"], start: int, count: int) -> tuple[Int[np.ndarray, "m k"], Float[np.ndarray, "m k"]]:
    rows = vectors[start : start + _ROWS]
    squares = np.square(rows).sum(1)[:, None] + np.square(vectors).sum(1) - 2 * rows @ vectors.T
    squares[np.arange(len(rows)), start + np.arange(len(rows))] = np.inf
    if not count:
        return np.zeros((len(rows), 0), np.int64), np.zeros((len(rows), 0))
    limit = np.partition(squares, count - 1, 1)[:, count - 1]
    places = np.stack([_first(row, float(bound), count) for row, bound in zip(squares, limit, strict=True)])
    differences = vectors[places].astype(np.float64) - rows[:, None].astype(np.float64)  # exact, where the squares above cancel
    return places, np.sqrt(np.square(differences).sum(2))


def _first(squares: Float[np.ndarray, " n"], bound: float, count: int) -> Int[np.ndarray, " k"]:
    candidates = np.flatnonzero(squares <= bound)
    return candidates[np.argsort(squares[candidates], kind="stable")[:count]]
