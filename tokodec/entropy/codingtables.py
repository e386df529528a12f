"""Code tables as the entropy coder wants them: models over stored integer counts, and what they cost.

Each table is for whole numbers -r..r and an escape, which stands for all others: a length then follows, under a table of its
own, and sign and low bits. All counts lie in one flat array: the tables in order, then those of the lengths in order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import constriction
import numpy as np
import torch
from jaxtyping import Float, Int, Integer

from tokodec.entropy.alphabet import PACKED, Alphabet, Packed, Single

PRECISION = 24
LENGTHS = 23
"""An escaped symbol is -(r + 1 + e) or r + 1 + e; e + 1 has a length of 0..22 bits below its highest one."""

_LIKELY = 0.6
"""Where the likeliest cell is more probable, a linear search is faster than a binary one. The bits are the same."""

Model = Any
"""One of constriction's models; it has no types."""
Counts = Int[np.ndarray, " n"]


def to_counts(share: Float[np.ndarray, " n"]) -> Counts:
    """Integers of at least one that sum to 2**24, in proportion to ``share``; what is left over goes to the largest."""
    free = (1 << PRECISION) - len(share)
    counts = np.floor(share / share.sum() * free).astype(np.int64)
    counts[share.argmax()] += free - counts.sum()
    return counts + 1


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
        self.tables = len(radius)
        tables = split(counts.astype(np.int64), radius)
        self.lengths = [_model(t) for t in tables[self.tables :]]
        """The models of lengths of escapes."""
        self._singles = [_model(t) for t in tables[: self.tables]]
        self._packed: list[tuple[Packed, list[int], list[Model]]] = []
        likeliest = [max(t[:-1].max(), t[-1] // 2) for t in tables[: self.tables]]  # an escape costs another bit for its sign
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
        tables = np.arange(self.tables)
        zero, one, two = (self.bits(tables, np.full(self.tables, value, np.int32)) for value in (0, 1, 2))
        return np.stack([one - zero, two - one]).clip(min=0)

    def occurrences(self, index: Integer[np.ndarray, " n"]) -> Int[np.ndarray, " tables"]:
        """How often each table occurs."""
        return torch.bincount(torch.from_numpy(index), minlength=self.tables).numpy()

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

    def places(self, index: Integer[np.ndarray, " n"], values: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
        """Where each symbol, or its escape, stands in the flat table; then where the lengths of escapes stand."""
        symbols, lengths, _ = self._places(index, values)
        return np.concatenate([symbols, lengths])

    def bits(self, index: Integer[np.ndarray, " n"], values: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Ideal length of each symbol in bits; skipped ones cost nothing."""
        symbols, lengths, escaped = self._places(index, values)
        bits = np.where(index < self.skip_below, 0.0, self._bits[symbols])
        bits[escaped] += self._bits[lengths] + (lengths - self._first_length) % LENGTHS + 1
        return bits

    def _places(
        self, index: Integer[np.ndarray, " n"], values: Int[np.ndarray, " n"]
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


def split(flat: Counts, radius: Int[np.ndarray, " t"]) -> list[Counts]:
    """Tables of symbols, then tables of lengths."""
    return np.split(flat, np.cumsum([*(2 * radius + 2), *([LENGTHS] * len(radius))])[:-1])


def _model(counts: Counts) -> Model:
    # constriction gives every cell one count of its own and scales what it is handed to the rest, here by exactly 1.
    likely = bool(counts.max() > _LIKELY * (1 << PRECISION))
    return constriction.stream.model.Categorical((counts - 1).astype(np.float64), perfect=False, lazy=likely)  # type: ignore[attr-defined]
