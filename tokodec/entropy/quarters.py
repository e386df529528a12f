"""In which order a lattice of latents is coded in four steps, each of which has every channel and every place.

Channels belong to four quarters, in turn (``take``, ``put``, ``mask``) or in runs (``parts``), places to the four positions of a
2x2 cell. In each step every position takes another quarter, so that after a step a quarter of all channels is known at every
place, and every channel at a quarter of the places:

    position       (0,0) (0,1) (1,0) (1,1)
    step 0   quarter  0     1     2     3
    step 1            3     2     1     0
    step 2            2     3     0     1
    step 3            1     0     3     2

Source: Li et al., "Neural video compression with diverse contexts", CVPR 2023, and the image codecs of DCVC-RT and DCVC-UF.
"""

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from tokodec.entropy.part import Grid, Part

STEPS = (0, 3, 2, 1)
"""A step's number for exclusive-or: position p takes quarter p ^ it."""
CELL = 2
QUARTERS = CELL * CELL


def _strips(step: int) -> list[tuple[int, int, int]]:
    """Quarter, row and column of each position, in order."""
    return [(position ^ STEPS[step], *divmod(position, CELL)) for position in range(QUARTERS)]


def take(lattice: Shaped[Tensor, "b c h w"], step: int) -> Shaped[Tensor, "b c h2 w2"]:
    """What a step codes: position by position, channels of each in order. Sides must be even, channels a multiple of four."""
    return torch.cat([lattice[:, quarter::QUARTERS, row::CELL, column::CELL] for quarter, row, column in _strips(step)], 1)


def put(lattice: Shaped[Tensor, "b c h w"], step: int, part: Shaped[Tensor, "b c h2 w2"]) -> None:
    """The inverse of :func:`take`, into ``lattice`` itself."""
    for piece, (quarter, row, column) in zip(part.chunk(QUARTERS, 1), _strips(step), strict=True):
        lattice[:, quarter::QUARTERS, row::CELL, column::CELL] = piece


def mask(step: int, channels: int, grid: tuple[int, int], device: torch.device) -> Bool[Tensor, "c h w"]:
    """Which places of which channels a step codes."""
    where = torch.zeros(1, channels, *grid, dtype=torch.bool, device=device)
    put(where, step, torch.ones(1, channels, grid[0] // CELL, grid[1] // CELL, dtype=torch.bool, device=device))
    return where[0]


def parts(step: int, channels: int, grid: Grid, device: torch.device) -> list[Part]:
    """What a step codes where quarters are runs of channels, position by position.

    Sides may be odd; positions without places are left out.
    """
    width = channels // QUARTERS
    places = torch.arange(grid[0] * grid[1], device=device).view(grid)
    found = [
        Part(start=quarter * width, stop=(quarter + 1) * width, places=places[row::CELL, column::CELL].flatten())
        for quarter, row, column in _strips(step)
    ]
    return [part for part in found if part.places is not None and part.places.numel()]
