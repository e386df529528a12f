"""Entropy by place: which parts of a picture are the same everywhere.

Where all pictures have one grid, of every position over the pictures. Elsewhere of relative positions: grids are laid over one of at
most 8 x 8 cells (row ``r`` of ``h`` falls into cell ``r * 8 // h``), and a cell's ids of all pictures count together.
A cell of n ids can have no more than log2 n bits, so ``ids`` belong to every figure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Int

from tokodec.analyze.corpus import Grid, joined
from tokodec.analyze.counts import counts_of, entropy, miller_madow

COARSE = 8
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Positions:
    """By row and column: plug-in and Miller-Madow entropy in bits, and how many ids there were. ``relative``: cells, not positions."""

    relative: bool
    entropy_bits: list[list[float]]
    entropy_miller_madow_bits: list[list[float]]
    ids: list[list[int]]


def positions(grids: Sequence[Grid]) -> Positions:
    """Of grids, of one size or several."""
    sizes = {grid.shape for grid in grids}
    rows, columns = next(iter(sizes)) if len(sizes) == 1 else (min(COARSE, *(size[axis] for size in sizes)) for axis in (0, 1))
    cells = np.concatenate([_cells(grid.shape, rows, columns) for grid in grids])
    order = np.argsort(cells, kind="stable")
    ids = joined([grid.ravel() for grid in grids])[order]
    parts = np.split(ids, np.searchsorted(cells[order], np.arange(1, rows * columns)))
    counts = [counts_of(part) for part in parts]
    return Positions(
        relative=len(sizes) > 1,
        entropy_bits=_table([entropy(c) for c in counts], columns),
        entropy_miller_madow_bits=_table([miller_madow(c) for c in counts], columns),
        ids=_table([len(part) for part in parts], columns),
    )


def _cells(shape: tuple[int, ...], rows: int, columns: int) -> Int[np.ndarray, " n"]:
    """The number of the cell of each position, row by row."""
    row, column = np.arange(shape[0]) * rows // shape[0], np.arange(shape[1]) * columns // shape[1]
    return (row[:, None] * columns + column).ravel()


def _table(values: list[T], columns: int) -> list[list[T]]:
    return [values[start : start + columns] for start in range(0, len(values), columns)]
