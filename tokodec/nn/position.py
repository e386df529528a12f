"""Positions on a lattice: a table of sines and cosines, and tables stretched to other sizes.

Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, with half of the features for each axis.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_SLOWEST = 10000.0


def waves(side: int, width: int) -> Float[Tensor, "1 width side side"]:
    """Sines and cosines of the row, then of the column, a quarter of the features each."""
    quarter = width // 4
    rate = _SLOWEST ** -(torch.arange(quarter, dtype=torch.float32) / quarter)
    angle = rate[:, None] * torch.arange(side, dtype=torch.float32)
    axis = torch.cat([angle.sin(), angle.cos()])
    return torch.cat([axis[:, :, None].expand(-1, -1, side), axis[:, None, :].expand(-1, side, -1)])[None]


def stretched(table: Float[Tensor, "1 c h w"], grid: tuple[int, int]) -> Float[Tensor, "1 n c"]:
    """The table at another size, by bicubic interpolation, row by row."""
    at = table if tuple(table.shape[2:]) == grid else F.interpolate(table, size=grid, mode="bicubic", align_corners=False)
    return at.flatten(2).transpose(1, 2)


def restretched(table: Float[Tensor, "n c"], grid: tuple[int, int]) -> Float[Tensor, "m c"]:
    """A table of a square lattice for another one, by bicubic interpolation, row by row."""
    side = round(len(table) ** 0.5)
    return stretched(table.T.unflatten(1, (side, side))[None], grid)[0]
