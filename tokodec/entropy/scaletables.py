"""Code tables of rounded Laplacians: integer counts, made once and stored with the weights."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from tokodec.entropy.alphabet import PACKED
from tokodec.entropy.codingtables import LENGTHS, PRECISION, CodingTables, Counts, split, to_counts
from tokodec.entropy.fixed import LEVELS
from tokodec.entropy.laplace import SCALE_MIN, tail

TABLES = 64
BANDS = 8
"""Bands of quality, each with tables of its own."""
SCALE_MAX = 64.0
STEPS_PER_OCTAVE = (TABLES - 1) / math.log2(SCALE_MAX / SCALE_MIN)
"""Tables stand at scales SCALE_MIN * 2 ** (index / STEPS_PER_OCTAVE)."""

_TAIL = 1e-2
_HEAVY = 0.05
_CERTAIN = 1e-3
_FAITH = 1000


def _radius(scale: float) -> int:
    """The least that leaves less than _TAIL outside; below 8, one that packs."""
    packed = [p.radius for p in PACKED]
    return next(r for r in (*packed, *range(packed[-1] + 1, 1 << 16)) if 2 * tail(r + 0.5, scale) < _TAIL)


def _counts(scale: float) -> Counts:
    """Counts of -r..r and of the escape, each at least one, summing to 2**24."""
    radius = _radius(scale)
    side = [tail(v - 0.5, scale) - tail(v + 0.5, scale) for v in range(1, radius + 1)]
    mass = [*reversed(side), 1 - 2 * tail(0.5, scale), *side]
    return to_counts(np.array([*mass, 2 * tail(radius + 0.5, scale)]))


def _length_counts(scale: float) -> Counts:
    """Counts of the lengths of an escape's excess: that of a Laplacian, and a little of each, for it may be anything."""
    beyond = [math.exp(-((1 << length) - 1) / scale) for length in range(LENGTHS + 1)]
    share = [(1 - _HEAVY) * (beyond[i] - beyond[i + 1]) + _HEAVY / 2 ** (i + 1) for i in range(LENGTHS)]
    return to_counts(np.array(share))


class ScaleTables(nn.Module):
    """Flat integer counts: one table a scale of symbols -r..r and an escape, then one a scale of lengths of escapes.

    Each band of quality has its own. At a low rate most residuals of a scale are zeros beside few large ones, at a high rate
    they are closer to a Laplacian: after training the counts are fitted to what is seen, band by band.
    ``skip_below``: symbols of the first so many tables are certain to be zero (but for one in 1/_CERTAIN) and are
    neither written nor read. ``thrift`` is the encoder's, see :class:`Rounder`.
    """

    counts: Tensor
    radius: Tensor
    skip_below: Tensor
    thrift: Tensor

    def __init__(self) -> None:
        super().__init__()
        tables = _laplacian()
        certain = sum(1 - t.max() / (1 << PRECISION) < _CERTAIN for t in tables[:TABLES])
        self.register_buffer("counts", torch.from_numpy(np.concatenate(tables)).to(torch.int32).repeat(BANDS, 1))
        self.register_buffer("radius", torch.tensor([(len(t) - 2) // 2 for t in tables[:TABLES]], dtype=torch.int32))
        self.register_buffer("skip_below", torch.tensor(certain, dtype=torch.int32))
        self.register_buffer("thrift", torch.zeros(BANDS))
        self._coding: dict[int, CodingTables] = {}

    def coding(self, level: int) -> "CodingTables":
        """The tables of a quality level as the coder wants them. Made on first use, after the weights are loaded."""
        band = level * BANDS // LEVELS
        if band not in self._coding:
            self._coding[band] = CodingTables(self.counts[band].cpu().numpy(), self.radius.cpu().numpy(), int(self.skip_below))
        return self._coding[band]

    def fit(self, seen: Mapping[int, Int[np.ndarray, " n"]]) -> None:
        """Move the counts towards what was seen: for levels, occurrences at every place of the flat table (:class:`Tally`).

        Levels of one band are added up. Both signs are taken together; each table is held to its first shape by _FAITH
        occurrences of its own.
        """
        for band in range(BANDS):
            found = sum((n for level, n in seen.items() if level * BANDS // LEVELS == band), np.zeros(self.counts.shape[1], np.int64))
            tables = split(found, self.radius.cpu().numpy())
            tables[:TABLES] = [np.append(t[:-1] + t[-2::-1], 2 * t[-1]) / 2 for t in tables[:TABLES]]
            parts = [to_counts(t + _FAITH * prior / prior.sum()) for t, prior in zip(tables, _laplacian(), strict=True)]
            self.counts[band] = torch.from_numpy(np.concatenate(parts))
        self._coding.clear()

    def reset(self) -> None:
        """Back to the Laplacian's counts."""
        self.counts.copy_(torch.from_numpy(np.concatenate(_laplacian())).expand(BANDS, -1))
        self._coding.clear()


def _laplacian() -> list[Counts]:
    scales = [SCALE_MIN * 2 ** (i / STEPS_PER_OCTAVE) for i in range(TABLES)]
    return [*map(_counts, scales), *map(_length_counts, scales)]
