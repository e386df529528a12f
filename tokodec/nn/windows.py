"""Maps as squares of one size and back, for networks that know no other size."""

from jaxtyping import Shaped
from torch import Tensor


def windows(x: Shaped[Tensor, "b c h w"], side: int) -> Shaped[Tensor, "bk c s s"]:
    """The squares of ``side`` that maps consist of, row by row, those of one map one after another."""
    parts = x.unflatten(2, (-1, side)).unflatten(4, (-1, side))
    return parts.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


def stitched(parts: Shaped[Tensor, "bk c s s"], size: tuple[int, int]) -> Shaped[Tensor, "b c h w"]:
    """The inverse, of maps of ``size``."""
    side = parts.shape[-1]
    grid = parts.unflatten(0, (-1, size[0] // side, size[1] // side))
    return grid.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
