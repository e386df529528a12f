"""Code tables of rounded Laplacians: integer counts, made once and stored with the weights."""

import math
from collections.abc import Mapping

import constriction
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from tokodec.entropy.fixed import LEVELS
from tokodec.entropy.laplace import SCALE_MIN, tail

TABLES = 64
BANDS = 8
"""Bands of quality, each with tables of its own."""
SCALE_MAX = 64.0
STEPS_PER_OCTAVE = (TABLES - 1) / math.log2(SCALE_MAX / SCALE_MIN)
"""Tables stand at scales SCALE_MIN * 2 ** (index / STEPS_PER_OCTAVE)."""

PRECISION = 24
_TAIL = 1e-4
_CERTAIN = 1e-3
_FAITH = 1000


def _counts(scale: float) -> Int[np.ndarray, " n"]:
    """Counts of -r..r and of the escape, each at least one, summing to 2**24; r leaves less than _TAIL outside."""
    radius = next(r for r in range(1, 1 << 16) if 2 * tail(r + 0.5, scale) < _TAIL)
    side = [tail(v - 0.5, scale) - tail(v + 0.5, scale) for v in range(1, radius + 1)]
    mass = [*reversed(side), 1 - 2 * tail(0.5, scale), *side]
    return _to_counts(np.array([*mass, 2 * tail(radius + 0.5, scale)]))


def _to_counts(share: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Integers of at least one that sum to 2**24, in proportion to ``share``; what is left over goes to the middle, zero."""
    free = (1 << PRECISION) - len(share)
    counts = np.floor(share / share.sum() * free).astype(np.int64)
    counts[(len(share) - 2) // 2] += free - counts.sum()
    return counts + 1


class ScaleTables(nn.Module):
    """One table a scale, of symbols -r..r and an escape, as flat integer counts; one set of them for each band of quality.

    At a low rate most residuals of a scale are zeros beside few large ones, at a high rate they are closer to a Laplacian:
    after training the counts are fitted to what is seen, band by band.
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
        certain = sum(1 - t.max() / (1 << PRECISION) < _CERTAIN for t in tables)
        self.register_buffer("counts", torch.from_numpy(np.concatenate(tables)).to(torch.int32).repeat(BANDS, 1))
        self.register_buffer("radius", torch.tensor([(len(t) - 2) // 2 for t in tables], dtype=torch.int32))
        self.register_buffer("skip_below", torch.tensor(certain, dtype=torch.int32))
        self.register_buffer("thrift", torch.zeros(BANDS))
        self._coding: dict[int, CodingTables] = {}

    def coding(self, level: int) -> "CodingTables":
        """The tables of a quality level as the coder wants them. Made on first use, after the weights are loaded."""
        band = level * BANDS // LEVELS
        if band not in self._coding:
            self._coding[band] = CodingTables(self.counts[band].cpu().numpy(), self.radius.cpu().numpy(), int(self.skip_below))
        return self._coding[band]

    def savings(self) -> Float[np.ndarray, "bands 2 tables"]:
        """Bits saved, in every table, by writing 0 instead of 1, and 1 instead of 2."""
        return np.stack([self.coding(band * LEVELS // BANDS).savings for band in range(BANDS)])

    def fit(self, seen: Mapping[int, Int[np.ndarray, " n"]]) -> None:
        """Move the counts towards what was seen: for levels, occurrences at every place of the flat table (:class:`Tally`).

        Levels of one band are added up. Both signs are taken together; each table is held to the Laplacian's shape by
        _FAITH occurrences of its own.
        """
        for band in range(BANDS):
            found = sum((n for level, n in seen.items() if level * BANDS // LEVELS == band), np.zeros(self.counts.shape[1], np.int64))
            splits = np.cumsum(2 * self.radius.cpu().numpy() + 2)[:-1]
            parts = [_fitted(prior, part) for prior, part in zip(_laplacian(), np.split(found, splits), strict=True)]
            self.counts[band] = torch.from_numpy(np.concatenate(parts))
        self._coding.clear()

    def reset(self) -> None:
        """Back to the Laplacian's counts."""
        self.counts.copy_(torch.from_numpy(np.concatenate(_laplacian())).expand(BANDS, -1))
        self._coding.clear()


def _laplacian() -> list[Int[np.ndarray, " n"]]:
    return [_counts(SCALE_MIN * 2 ** (i / STEPS_PER_OCTAVE)) for i in range(TABLES)]


def _fitted(prior: Int[np.ndarray, " n"], found: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Counts between a prior and occurrences; both signs alike, the escape last."""
    both = np.append(found[:-1] + found[-2::-1], 2 * found[-1])
    return _to_counts(both + 2 * _FAITH * prior / prior.sum())


class CodingTables:
    """Tables for the entropy coder: constriction's models over exactly the stored counts, and ideal code lengths."""

    def __init__(self, counts: Int[np.ndarray, " n"], radius: Int[np.ndarray, " t"], skip_below: int) -> None:
        self.radius = radius
        self.skip_below = skip_below
        self.size = len(counts)
        parts = np.split(counts.astype(np.float64), np.cumsum(2 * radius + 2)[:-1])
        # constriction gives every symbol one count of its own and scales what it is handed to the rest, here by exactly 1.
        self.models = [constriction.stream.model.Categorical(part - 1, perfect=False) for part in parts]
        self.least_bits = np.array([0.0 if i < skip_below else PRECISION - math.log2(part.max()) for i, part in enumerate(parts)])
        """What the most likely symbol of each table costs."""
        self._bits = PRECISION - np.log2(counts.astype(np.float64))
        self._centre = np.concatenate([[0], np.cumsum(2 * radius + 2)[:-1]]) + radius

    @property
    def savings(self) -> Float[np.ndarray, "2 tables"]:
        """Bits saved by writing 0 instead of 1, and 1 instead of 2."""
        zero, one, two = (self._bits[self._centre + np.minimum(value, self.radius)] for value in (0, 1, 2))
        return np.stack([one - zero, two - one]).clip(min=0)

    def places(self, index: UInt8[np.ndarray, " n"], values: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Where each symbol, or its escape, stands in the flat table."""
        radius = self.radius[index]
        return self._centre[index] + np.where(np.abs(values) > radius, radius + 1, values)

    def bits(self, index: UInt8[np.ndarray, " n"], values: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Ideal length of each symbol in bits; skipped ones cost nothing, escapes what their raw bits cost too."""
        radius = self.radius[index]
        excess = np.abs(values) - radius - 1
        escaped = excess >= 0
        bits = np.where(index < self.skip_below, 0.0, self._bits[self.places(index, values)])
        if escaped.any():
            bits[escaped] += ESCAPE_LENGTH_BITS + np.floor(np.log2(2 * excess[escaped] + 1 + (values[escaped] < 0)))
        return bits


ESCAPE_LENGTH_BITS = 5
