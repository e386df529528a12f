"""Code tables of rounded Laplacians: integer counts, made once and stored with the weights."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import constriction
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from tokodec.entropy.alphabet import PACKED, Alphabet, Packed, Single
from tokodec.entropy.fixed import LEVELS
from tokodec.entropy.laplace import SCALE_MIN, tail

TABLES = 64
BANDS = 8
"""Bands of quality, each with tables of its own."""
SCALE_MAX = 64.0
STEPS_PER_OCTAVE = (TABLES - 1) / math.log2(SCALE_MAX / SCALE_MIN)
"""Tables stand at scales SCALE_MIN * 2 ** (index / STEPS_PER_OCTAVE)."""

PRECISION = 24
LENGTHS = 23
"""An escaped symbol is -(r + 1 + e) or r + 1 + e; e + 1 has a length of 0..22 bits below its highest one."""

_TAIL = 1e-2
_HEAVY = 0.05
_CERTAIN = 1e-3
_FAITH = 1000
_LIKELY = 0.6
"""Where the likeliest cell is more probable, a linear search is faster than a binary one. The bits are the same."""

Model = Any
"""One of constriction's models; it has no types."""
Counts = Int[np.ndarray, " n"]


def _radius(scale: float) -> int:
    """The least that leaves less than _TAIL outside; below 8, one that packs."""
    packed = [p.radius for p in PACKED]
    return next(r for r in (*packed, *range(packed[-1] + 1, 1 << 16)) if 2 * tail(r + 0.5, scale) < _TAIL)


def _counts(scale: float) -> Counts:
    """Counts of -r..r and of the escape, each at least one, summing to 2**24."""
    radius = _radius(scale)
    side = [tail(v - 0.5, scale) - tail(v + 0.5, scale) for v in range(1, radius + 1)]
    mass = [*reversed(side), 1 - 2 * tail(0.5, scale), *side]
    return _to_counts(np.array([*mass, 2 * tail(radius + 0.5, scale)]))


def _length_counts(scale: float) -> Counts:
    """Counts of the lengths of an escape's excess: that of a Laplacian, and a little of each, for it may be anything."""
    beyond = [math.exp(-((1 << length) - 1) / scale) for length in range(LENGTHS + 1)]
    share = [(1 - _HEAVY) * (beyond[i] - beyond[i + 1]) + _HEAVY / 2 ** (i + 1) for i in range(LENGTHS)]
    return _to_counts(np.array(share))


def _to_counts(share: Float[np.ndarray, " n"]) -> Counts:
    """Integers of at least one that sum to 2**24, in proportion to ``share``; what is left over goes to the largest."""
    free = (1 << PRECISION) - len(share)
    counts = np.floor(share / share.sum() * free).astype(np.int64)
    counts[share.argmax()] += free - counts.sum()
    return counts + 1


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
            tables = _split(found, self.radius.cpu().numpy())
            tables[:TABLES] = [np.append(t[:-1] + t[-2::-1], 2 * t[-1]) / 2 for t in tables[:TABLES]]
            parts = [_to_counts(t + _FAITH * prior / prior.sum()) for t, prior in zip(tables, _laplacian(), strict=True)]
            self.counts[band] = torch.from_numpy(np.concatenate(parts))
        self._coding.clear()

    def reset(self) -> None:
        """Back to the Laplacian's counts."""
        self.counts.copy_(torch.from_numpy(np.concatenate(_laplacian())).expand(BANDS, -1))
        self._coding.clear()


def _laplacian() -> list[Counts]:
    scales = [SCALE_MIN * 2 ** (i / STEPS_PER_OCTAVE) for i in range(TABLES)]
    return [*map(_counts, scales), *map(_length_counts, scales)]


class Run(NamedTuple):
    """Cells ``start`` to ``stop`` of a stretch have this model."""

    model: Model
    start: int
    stop: int


@dataclass(frozen=True)
class Stretch:
    """Symbols ``start`` to ``stop`` of a group, sorted by table, share an alphabet."""

    alphabet: Alphabet
    start: int
    stop: int
    runs: Sequence[Run]


class CodingTables:
    """Tables for the entropy coder: constriction's models over exactly the stored counts, and ideal code lengths."""

    def __init__(self, counts: Counts, radius: Int[np.ndarray, " t"], skip_below: int) -> None:
        self.radius = radius
        self.skip_below = skip_below
        self.size = len(counts)
        tables = _split(counts.astype(np.int64), radius)
        self.lengths = [_model(t) for t in tables[TABLES:]]
        """The models of lengths of escapes."""
        self._singles = [_model(t) for t in tables[:TABLES]]
        self._packed: list[tuple[Packed, list[int], list[Model]]] = []
        likeliest = [max(t[:-1].max(), t[-1] // 2) for t in tables[:TABLES]]  # an escape costs another bit for its sign
        self.least_bits = PRECISION - np.log2(likeliest)
        """What the likeliest symbol of each table costs; nothing for those that are skipped."""
        for alphabet in PACKED:
            members = [int(t) for t in np.flatnonzero(radius == alphabet.radius)]
            cells = [alphabet.counts(tables[t], PRECISION) for t in members]
            self._packed.append((alphabet, members, [_model(c) for c in cells]))
            bits = [(PRECISION - np.log2(c.max())) / alphabet.size for c in cells]
            self.least_bits[members] = np.minimum(self.least_bits[members], bits)
        self.least_bits[:skip_below] = 0
        self._bits = PRECISION - np.log2(counts.astype(np.float64))
        self._centre = np.cumsum(2 * radius + 2) - radius - 2
        self._first_length = int((2 * radius + 2).sum())

    @cached_property
    def savings(self) -> Float[np.ndarray, "2 tables"]:
        """Bits saved by writing 0 instead of 1, and 1 instead of 2."""
        tables = np.arange(TABLES, dtype=np.uint8)
        zero, one, two = (self.bits(tables, np.full(TABLES, value, np.int32)) for value in (0, 1, 2))
        return np.stack([one - zero, two - one]).clip(min=0)

    def stretches(self, counts: Int[np.ndarray, " t"]) -> Iterator[Stretch]:
        """How a group is coded in which table t occurs ``counts[t]`` times, sorted by table and without the skipped ones.

        First the packed alphabets, by radius, as many symbols as fill whole cells; a cell has the table of its last
        symbol, but at least the first of its alphabet; symbols that are left over belong to the next one. Then all others,
        singly.
        """
        ends = np.cumsum(counts) - counts[: self.skip_below].sum()
        start = 0
        for alphabet, tables, models in self._packed:
            runs = _runs(models, np.maximum(ends[tables] - start, 0) // alphabet.size)
            if runs:
                stop = start + alphabet.size * runs[-1].stop
                yield Stretch(alphabet, start, stop, runs)
                start = stop
        stops = np.maximum(ends - start, 0)
        runs = _runs(self._singles, stops)
        if runs:
            yield Stretch(Single(np.repeat(self.radius, np.diff(stops, prepend=0))), start, start + runs[-1].stop, runs)

    def places(self, index: UInt8[np.ndarray, " n"], values: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
        """Where each symbol, or its escape, stands in the flat table; then where the lengths of escapes stand."""
        symbols, lengths, _ = self._places(index, values)
        return np.concatenate([symbols, lengths])

    def bits(self, index: UInt8[np.ndarray, " n"], values: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Ideal length of each symbol in bits; skipped ones cost nothing."""
        symbols, lengths, escaped = self._places(index, values)
        bits = np.where(index < self.skip_below, 0.0, self._bits[symbols])
        bits[escaped] += self._bits[lengths] + (lengths - self._first_length) % LENGTHS + 1
        return bits

    def _places(
        self, index: UInt8[np.ndarray, " n"], values: Int[np.ndarray, " n"]
    ) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " e"], Int[np.ndarray, " e"]]:
        radius = self.radius[index]
        excess = np.abs(values) - radius - 1
        escaped = np.flatnonzero(excess >= 0)
        length = np.frexp(excess[escaped] + 1)[1] - 1
        symbols = self._centre[index] + np.where(excess >= 0, radius + 1, values)
        return symbols, self._first_length + LENGTHS * index[escaped].astype(np.int64) + length, escaped


def _runs(models: Sequence[Model], stops: Int[np.ndarray, " m"]) -> list[Run]:
    """Runs that end at ``stops``, the first at 0; empty ones are left out."""
    bounds = [0, *stops.tolist()]
    return [Run(model, a, b) for model, (a, b) in zip(models, pairwise(bounds), strict=True) if b > a]


def _split(flat: Counts, radius: Int[np.ndarray, " t"]) -> list[Counts]:
    """Tables of symbols, then tables of lengths."""
    return np.split(flat, np.cumsum([*(2 * radius + 2), *([LENGTHS] * TABLES)])[:-1])


def _model(counts: Counts) -> Model:
    # constriction gives every cell one count of its own and scales what it is handed to the rest, here by exactly 1.
    likely = bool(counts.max() > _LIKELY * (1 << PRECISION))
    return constriction.stream.model.Categorical((counts - 1).astype(np.float64), perfect=False, lazy=likely)  # type: ignore[attr-defined]
