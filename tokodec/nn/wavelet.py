"""The Haar wavelet as averages: fixed, and exactly inverted.

Of a block ``a b / c d`` it gives ``(a+b+c+d)/4, (a+b-c-d)/4, (a-b+c-d)/4, (a-b-c+d)/4``: the mean, and what differs between above
and below, left and right, and the diagonals. Each is a group of channels. Source: the patcher of NVIDIA's Cosmos tokenizers, 2024.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Map = Float[Tensor, "b c h w"]
Resized = Float[Tensor, "b c2 h2 w2"]


def haar(x: Map, levels: int = 1) -> Resized:
    """``4 ** levels`` times the channels at ``1 / 2 ** levels`` of the size. Sides must be multiples of that."""
    for _ in range(levels):
        a, b, c, d = (x[..., i::2, j::2] for i in (0, 1) for j in (0, 1))
        above, below, left = a + b, c + d, a - b
        right = c - d
        x = torch.cat([above + below, above - below, left + right, left - right], 1) / 4
    return x


def inverse_haar(x: Map, levels: int = 1) -> Resized:
    """The inverse."""
    for _ in range(levels):
        mean, vertical, horizontal, diagonal = x.chunk(4, 1)
        above, below, left, right = mean + vertical, mean - vertical, horizontal + diagonal, horizontal - diagonal
        rows = [torch.stack(pair, -1).flatten(-2) for pair in ((above + left, above - left), (below + right, below - right))]
        x = torch.stack(rows, -2).flatten(-3, -2)
    return x
