"""Square maps as a row of frequencies, from low to high, and back: the orthonormal cosine transform of every channel."""

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def cosines(side: int) -> Float[Tensor, "side side"]:
    """The orthonormal cosine transform of ``side`` samples: a row a frequency. In float64."""
    k = torch.arange(side, dtype=torch.float64)
    basis = torch.cos(math.pi / side * (k + 0.5)[None] * k[:, None]) * math.sqrt(2 / side)
    basis[0] /= math.sqrt(2)
    return basis


def order(side: int) -> list[tuple[int, int]]:
    """All pairs of a vertical and a horizontal frequency, by their distance from zero; of equal ones the less vertical first."""
    return sorted(((u, v) for u in range(side) for v in range(side)), key=lambda f: (f[0] ** 2 + f[1] ** 2, f))


def near(side: int, count: int) -> Int[np.ndarray, "n count"]:
    """For each frequency the ``count`` nearest ones of those before the last power of two in the order; 0 where there are fewer."""
    places = np.array(order(side))
    found = np.zeros((len(places), count), np.int64)
    for i in range(1, len(places)):
        distances = ((places[: 1 << i.bit_length() - 1] - places[i]) ** 2).sum(1)
        nearest = distances.argsort(kind="stable")[:count]
        found[i, : len(nearest)] = nearest
    return found


def spectrum(side: int) -> Float[Tensor, "n n"]:
    """The transform of maps of ``side`` x ``side`` places, row by row, into ``n = side * side`` frequencies: an orthonormal matrix."""
    basis = cosines(side)
    return torch.stack([torch.outer(basis[u], basis[v]).flatten() for u, v in order(side)]).float()
