"""The nearest, or the strongest, code of each vector, without a matrix of all distances.

Half the squared distance less what is equal for all codes is ``|e|^2 / 2 - z e``: one multiplication with a bias. It is taken
for a few vectors and codes at a time, so that their scores stay in the processor's cache: what costs is not the arithmetic but writing
and reading a matrix of vectors by codes. The best is looked for in two steps, the best of each of about sqrt(k)
groups and then the group of the best, because a maximum is several times as fast as a maximum with its place.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from tokodec.nn import onednn

_CACHED = 64
"""So many vectors at a time are fastest on a processor: with 16,384 codes 4 MiB."""
_ROWS = 1 << 14
"""Codes at a time."""
_DEVICE_BYTES = 128 << 20
"""Elsewhere few large products are better than many small ones."""


@torch.no_grad()
def nearest(z: Float[Tensor, "n d"], codes: Float[Tensor, "k d"]) -> Int[Tensor, " n"]:
    """The index of the code with the least Euclidean distance; of equally near ones the lowest. At the precision of ``z``."""
    return _best(z, codes, _half_square(codes.to(z.dtype)))


@torch.no_grad()
def strongest(z: Float[Tensor, "n d"], codes: Float[Tensor, "k d"]) -> Int[Tensor, " n"]:
    """The index of the code with the largest dot product; of equal ones the lowest. At the precision of ``z``."""
    return _best(z, codes, z.new_zeros(len(codes)))


def _best(z: Float[Tensor, "n d"], codes: Float[Tensor, "k d"], less: Float[Tensor, " k"]) -> Int[Tensor, " n"]:
    """A part of the table at a time: one that a cache holds is read from memory once for all vectors."""
    found = [_best_of(z, *part) for part in zip(codes.split(_ROWS), less.split(_ROWS), strict=True)]
    ids, scores = (torch.stack(parts) for parts in zip(*found, strict=True))
    part = scores.argmax(0, keepdim=True)
    return (ids.gather(0, part) + part * _ROWS)[0]


def _best_of(
    z: Float[Tensor, "n d"], codes: Float[Tensor, "k d"], less: Float[Tensor, " k"]
) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"]]:
    """The best of some codes, and its score."""
    ids, best = [z.new_empty(0, dtype=torch.int64)], [z.new_empty(0)]
    for scores in _scores(z, codes, less):
        groups = scores.amax(1)
        group = groups.argmax(0)
        ids.append(group * scores.shape[1] + _columns(scores, group).argmax(1))
        best.append(groups.amax(0))
    return torch.cat(ids), torch.cat(best)


@torch.no_grad()
def nearest_two(z: Float[Tensor, "n d"], codes: Float[Tensor, "k d"]) -> tuple[Int[Tensor, " n"], Float[Tensor, "n 2"]]:
    """The nearest code as :func:`nearest` gives it, and the distances of the nearest and of the second nearest (of at least two)."""
    ids, best = [z.new_empty(0, dtype=torch.int64)], [z.new_empty(0, 2)]
    for scores in _scores(z, codes, _half_square(codes.to(z.dtype))):
        groups = scores.amax(1).t()
        first = groups.max(1, keepdim=True)
        inside = _columns(scores, first.indices[:, 0])
        place = inside.argmax(1, keepdim=True)
        others = torch.cat([groups.scatter(1, first.indices, -torch.inf), inside.scatter(1, place, -torch.inf)], 1)
        ids.append((first.indices * scores.shape[1] + place)[:, 0])
        best.append(torch.cat([first.values, others.amax(1, keepdim=True)], 1))
    square = z.square().sum(1, keepdim=True) - 2 * torch.cat(best)
    return torch.cat(ids), square.clamp(min=0).sqrt()


def _columns(scores: Float[Tensor, "groups size m"], group: Int[Tensor, " m"]) -> Float[Tensor, "m size"]:
    return scores[group, :, torch.arange(len(group), device=scores.device)]


def _half_square(codes: Float[Tensor, "k d"]) -> Float[Tensor, " k"]:
    """Half the squared length of each code, a part of the table at a time: tables may be larger than what else there is."""
    return torch.cat([part.square().sum(1) / 2 for part in codes.split(_ROWS)])


def _scores(z: Float[Tensor, "n d"], codes: Float[Tensor, "k d"], less: Float[Tensor, " k"]) -> Iterator[Float[Tensor, "groups size m"]]:
    """``e z - less``: the higher, the better. Filled up to whole groups with what is never the best.

    Vectors lie along the last axis, so that a maximum over a group's codes compares whole rows of them.
    """
    codes = codes.to(z.dtype)
    groups = math.isqrt(len(codes))
    size = -(-len(codes) // groups)
    missing = groups * size - len(codes)
    bias = F.pad(-less, (0, missing), value=-torch.inf)[:, None]
    padded = F.pad(codes, (0, 0, 0, missing)) if missing else codes  # a large table is not copied for nothing
    columns = _CACHED if z.device.type == "cpu" else max(_DEVICE_BYTES // (z.element_size() * len(codes)), 1)
    for part in z.split(columns):
        ours = onednn.computes(padded, part)
        scores = onednn.linear(padded, part).add_(bias) if ours else torch.addmm(bias, padded, part.t())
        yield scores.view(groups, size, -1)
