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
_LONG = 32
"""Products of shorter vectors cost less than new memory for what they give."""


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
    ids, best = z.new_zeros(len(z), dtype=torch.int64), z.new_full((len(z),), -torch.inf)
    for i, part in enumerate(zip(codes.split(_ROWS), less.split(_ROWS), strict=True)):
        _improve(ids, best, z, part, i * _ROWS)
    return ids


def _improve(
    ids: Int[Tensor, " n"],
    best: Float[Tensor, " n"],
    z: Float[Tensor, "n d"],
    part: tuple[Float[Tensor, "k d"], Float[Tensor, " k"]],
    first: int,
) -> None:
    """Put the codes of a part, whose first is ``first``, where their scores are better than the best so far.

    Nothing is made that stays: between pieces of memory of some megabytes it would keep a heap from shrinking.
    """
    columns = _at_once(z, part[0])
    for scores, id_, top in zip(_scores(z, *part), ids.split(columns), best.split(columns), strict=True):
        groups = scores.amax(1)
        group = groups.argmax(0)
        here, found = group * scores.shape[1] + _columns(scores, group).argmax(1) + first, groups.amax(0)
        better = found > top
        id_.copy_(torch.where(better, here, id_))
        top.copy_(torch.where(better, found, top))


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
    parts = z.split(_at_once(z, codes))
    if codes.shape[1] >= _LONG and onednn.computes(padded, z):
        found = (onednn.linear(padded, part).add_(bias) for part in parts)
    else:
        found = _in_one_memory(bias, padded, parts)
    return (scores.view(groups, size, -1) for scores in found)


def _at_once(z: Float[Tensor, "n d"], codes: Float[Tensor, "k d"]) -> int:
    """So many vectors."""
    return _CACHED if z.device.type == "cpu" else max(_DEVICE_BYTES // (z.element_size() * len(codes)), 1)


def _in_one_memory(bias: Float[Tensor, "k 1"], codes: Float[Tensor, "k d"], parts: tuple[Tensor, ...]) -> Iterator[Float[Tensor, "k m"]]:
    """Whoever takes a part is done with it before the next."""
    memory = torch.empty(len(codes) * max(map(len, parts)), dtype=codes.dtype, device=codes.device)
    for part in parts:
        yield torch.addmm(bias, codes, part.t(), out=memory[: len(codes) * len(part)].view(len(codes), len(part)))
