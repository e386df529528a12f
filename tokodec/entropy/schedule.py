"""In which order a lattice of ids is coded: few passes, each of which knows a lattice around its places.

    0 5 2 5 0      pass 0: every fourth place of every fourth row, without context
    6 4 6 4 6      passes 1, 2, 3 fill the places of even row and column, from neighbours 2 away
    3 5 1 5 3      passes 4, 5, 6 fill the rest, from neighbours next to them
    6 4 6 4 6
    0 5 2 5 0

The number of passes does not depend on the size, and within one all places are computed together.
"""

from dataclasses import dataclass
from itertools import product

FIRST = 4
"""Spacing of the first pass."""
REACH = 2
"""A window has so many rows and columns on each side, in steps of the spacing."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """Places (row, column) + spacing * (i, j); ``taps`` lead from each to those that are known and looked at."""

    row: int
    column: int
    spacing: int
    taps: tuple[tuple[int, int], ...]

    def shape(self, grid: tuple[int, int]) -> tuple[int, int]:
        """How many rows and columns of places the pass has on a lattice of (h, w)."""
        return -(-max(grid[0] - self.row, 0) // self.spacing), -(-max(grid[1] - self.column, 0) // self.spacing)


def _passes() -> tuple[Pass, ...]:
    passes = [Pass(row=0, column=0, spacing=FIRST, taps=())]
    for step in (FIRST // 2, FIRST // 4):
        known = {(0, 0)}
        for row, column in ((step, step), (0, step), (step, 0)):
            window = product(range(-REACH * step, REACH * step + 1, step), repeat=2)
            taps = tuple((y, x) for y, x in window if ((row + y) % (2 * step), (column + x) % (2 * step)) in known)
            passes.append(Pass(row=row, column=column, spacing=2 * step, taps=taps))
            known.add((row, column))
    return tuple(passes)


PASSES = _passes()
MARGIN = REACH * FIRST // 2
"""How far taps lead at most."""
