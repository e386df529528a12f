"""Parts of a lattice of latents, as rows: (b, places, channels), places row by row. What is coded together is a part."""

from dataclasses import dataclass

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

Grid = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Channels ``start`` to ``stop`` at some ``places`` of a lattice, or at all of them (None)."""

    start: int
    stop: int
    places: Int[Tensor, " n"] | None = None

    def cut(self, rows: Shaped[Tensor, "b hw c"]) -> Shaped[Tensor, "b n part"]:
        """The part, out of all rows."""
        rows = rows[..., self.start : self.stop]
        return rows if self.places is None else rows[:, self.places]

    def paste(self, rows: Shaped[Tensor, "b hw c"], part: Shaped[Tensor, "b n part"]) -> Shaped[Tensor, "b hw c"]:
        """All rows with the part in its place; in the same memory where no gradient needs what was there."""
        rows = rows.clone() if torch.is_grad_enabled() else rows
        if self.places is None:
            rows[..., self.start : self.stop] = part
        else:
            rows[:, self.places, self.start : self.stop] = part
        return rows


def rows_of(lattice: Shaped[Tensor, "b c h w"]) -> Shaped[Tensor, "b hw c"]:
    """All places of a lattice, row by row."""
    return lattice.permute(0, 2, 3, 1).flatten(1, 2)


def lattice_of(rows: Shaped[Tensor, "b hw c"], grid: Grid) -> Shaped[Tensor, "b c h w"]:
    """The inverse of :func:`rows_of`, in the memory format ``channels_last``."""
    return rows.unflatten(1, grid).permute(0, 3, 1, 2)
