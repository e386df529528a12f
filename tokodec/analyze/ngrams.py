"""Ids in a row. An n-gram never crosses the end of a line.

Read in raster order a whole picture is one line, row after row, as a language model reads it; read downwards every column is one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from tokodec.analyze.corpus import Grid, Row, joined
from tokodec.analyze.counts import counts_of, entropy, miller_madow, tally

TOP = 20


@dataclass(frozen=True, kw_only=True)
class Reading:
    """``values`` line after line; for each value the number of its line, and whether its picture is of the held-out half."""

    values: Int[np.ndarray, " n"]
    line: Int[np.ndarray, " n"]
    held: Bool[np.ndarray, " n"]


@dataclass(frozen=True, kw_only=True)
class Gram:
    """``ids`` in a row occur ``count`` times, which is ``share`` of all."""

    ids: list[int]
    count: int
    share: float


@dataclass(frozen=True, kw_only=True)
class NGrams:
    """Of ``total`` n-grams ``distinct`` are different. Entropies in bits; ``conditional_bits``: of the last id, those before it known.

    ``unseen``: of the n-grams in the held-out half, every second picture, the share that never occurs in the other half;
    ``unseen_distinct``: the same of different ones. None with one picture.
    """

    n: int
    total: int
    distinct: int
    entropy_bits: float
    entropy_miller_madow_bits: float
    conditional_bits: float
    unseen: float | None
    unseen_distinct: float | None
    top: list[Gram]


def raster(grids: Sequence[Grid]) -> Reading:
    """Pictures as lines."""
    lengths = np.array([grid.size for grid in grids], np.int64)
    pictures = np.arange(len(grids))
    return _reading([grid.ravel() for grid in grids], lengths, pictures)


def downwards(grids: Sequence[Grid]) -> Reading:
    """Columns as lines."""
    lengths = np.concatenate([np.full(grid.shape[1], grid.shape[0], np.int64) for grid in grids])
    pictures = np.repeat(np.arange(len(grids)), [grid.shape[1] for grid in grids])
    return _reading([grid.T.ravel() for grid in grids], lengths, pictures)


def _reading(parts: Sequence[Row], lengths: Int[np.ndarray, " lines"], pictures: Int[np.ndarray, " lines"]) -> Reading:
    held = (pictures % 2).astype(bool)
    return Reading(values=joined(parts), line=np.repeat(np.arange(len(lengths)), lengths), held=np.repeat(held, lengths))


def ngrams(reading: Reading, longest: int) -> Iterator[NGrams]:
    """For n = 1 to ``longest``, as long as there are any.

    An n-gram is numbered among those that occur; with the next id that makes a number below N^2, so no vocabulary is too large.
    """
    values = np.unique(reading.values, return_inverse=True)[1].astype(np.int64)
    number = values
    for n in range(1, longest + 1):
        starts = np.flatnonzero(reading.line[n - 1 :] == reading.line[: max(len(reading.line) - n + 1, 0)])
        if not len(starts):
            return
        before = number[starts] if n > 1 else np.zeros(len(starts), np.int64)
        found = np.unique(before * (values.max() + 1) + values[starts + n - 1], return_inverse=True)[1]
        number = np.zeros(len(values), np.int64)
        number[starts] = found
        yield _measured(n, reading, starts, found, entropy(counts_of(before)))


def _measured(n: int, reading: Reading, starts: Int[np.ndarray, " m"], found: Int[np.ndarray, " m"], known: float) -> NGrams:
    """``found``: the number of the n-gram at each start; ``known``: entropy of what stands before the last id."""
    counts = np.bincount(found)
    bits = entropy(counts)
    unseen, distinct = _unseen(found, reading.held[starts], len(counts))
    return NGrams(
        n=n,
        total=len(found),
        distinct=len(counts),
        entropy_bits=bits,
        entropy_miller_madow_bits=miller_madow(counts),
        conditional_bits=max(0.0, bits - known),
        unseen=unseen,
        unseen_distinct=distinct,
        top=_top(n, reading, starts, found),
    )


def _unseen(found: Int[np.ndarray, " m"], held: Bool[np.ndarray, " m"], distinct: int) -> tuple[float | None, float | None]:
    if held.all() or not held.any():
        return None, None
    seen, tested = np.zeros(distinct, bool), np.zeros(distinct, bool)
    seen[found[~held]] = True
    tested[found[held]] = True
    return float((~seen[found[held]]).mean()), float((~seen[tested]).mean())


def _top(n: int, reading: Reading, starts: Int[np.ndarray, " m"], found: Int[np.ndarray, " m"]) -> list[Gram]:
    """Of equals those with the lowest ids."""
    numbers, counts = tally(found)
    where = np.zeros(len(numbers), np.int64)
    where[found] = starts
    shown = zip(numbers[:TOP].tolist(), counts[:TOP].tolist(), strict=True)
    return [Gram(ids=reading.values[where[i] : where[i] + n].tolist(), count=c, share=c / len(found)) for i, c in shown]
