"""Convolutions by Winograd's minimal filtering, in float64.

A tile of 4x4 results of a 5x5 kernel takes 64 products for each pair of channels instead of 400. In float32 that costs
precision; in float64 what is lost, a digit or two, is not missed, and no library has a fast float64 convolution: this one
is two to four times as fast for wide layers (``benchmarks/convolutions.py``).

The transforms follow from evaluating polynomials at a few points and from interpolating, transposed. Source: Lavin and Gray,
"Fast algorithms for convolutional neural networks", CVPR 2016; Blahut, "Fast algorithms for signal processing", chapter 5.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_TILE = 4
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
_TILES_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Transforms:
    """For tiles and kernels, flattened: of inputs (n n, n n), kernels (n n, k k), and products to results (tile tile, n n)."""

    inputs: Float[Tensor, "nn nn"]
    kernels: Float[Tensor, "nn kk"]
    results: Float[Tensor, "tt nn"]


@cache
def transforms(kernel: int) -> Transforms:
    """For tiles of 4x4 results of a kernel of 3 or 5 rows and columns."""
    points = torch.tensor(_POINTS[: _TILE + kernel - 2], dtype=torch.float64)

    def powers(count: int) -> Float[Tensor, "n count"]:
        """Of all points, and of infinity."""
        last = F.one_hot(torch.tensor([count - 1]), count).double()
        return torch.cat([points[:, None] ** torch.arange(count, dtype=torch.float64), last])

    interpolate = torch.linalg.inv(powers(_TILE + kernel - 1)).t().contiguous()
    steps = (interpolate, powers(kernel), powers(_TILE).t().contiguous())
    inputs, kernels, results = (torch.kron(step, step) for step in steps)
    return Transforms(inputs=inputs, kernels=kernels, results=results)


def kernels(weight: Float[Tensor, "d c k k"]) -> Float[Tensor, "nn d c"]:
    """A kernel of 3 or 5 rows and columns as :func:`conv` wants it: four or nearly three times as large, for use again and again."""
    (width, channels), side = weight.shape[:2], weight.shape[-1]
    by_place = weight.permute(2, 3, 0, 1).reshape(side * side, -1)
    return (transforms(side).kernels.to(weight.device) @ by_place).view(-1, width, channels)


def conv(x: Float[Tensor, "b c h w"], kernel: Float[Tensor, "nn d c"], bias: Float[Tensor, " d"]) -> Float[Tensor, "b d h w"]:
    """A convolution of stride 1 with zero padding that keeps the size, all in float64. ``kernel`` comes from :func:`kernels`."""
    n = math.isqrt(len(kernel))
    side = n - _TILE + 1
    t, edge = transforms(side), side // 2
    inputs, results = t.inputs.to(x.device), t.results.to(x.device)
    down, across = -(-x.shape[2] // _TILE), -(-x.shape[3] // _TILE)
    padded = F.pad(x, (edge, _TILE * across - x.shape[3] + edge, edge, _TILE * down - x.shape[2] + edge))
    tiles = padded.unfold(2, n, _TILE).unfold(3, n, _TILE)  # (b, c, down, across, n, n)
    strips = tiles.split(max(_TILES_AT_ONCE // (across * len(x)), 1), 2)
    rows = [torch.cat([_strip(some, kernel, inputs, results) for some in strip.split(_TILES_AT_ONCE, 3)], 3) for strip in strips]
    found = torch.cat(rows, 2)
    return found[:, :, : x.shape[2], : x.shape[3]].add_(bias[:, None, None])


def _strip(
    tiles: Float[Tensor, "b c down across n n"],
    kernel: Float[Tensor, "nn d c"],
    inputs: Float[Tensor, "nn nn"],
    results: Float[Tensor, "tt nn"],
) -> Float[Tensor, "b d h w"]:
    """Some rows of tiles."""
    batch, channels, down, across, n, _ = tiles.shape
    flat = tiles.permute(4, 5, 1, 0, 2, 3).reshape(n * n, -1)
    products = torch.bmm(kernel, (inputs @ flat).view(n * n, channels, -1))
    sums = (results @ products.flatten(1)).view(_TILE, _TILE, -1, batch, down, across)
    return sums.permute(3, 2, 4, 0, 5, 1).reshape(batch, -1, _TILE * down, _TILE * across)
