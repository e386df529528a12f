"""What neighbours know of each other: mutual information, in bits.

From few pairs of many codes it comes out far too large: most pairs occur once, whatever their codes. So it is measured again with one
side of all pairs shuffled, where it should be 0, and what is left over counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from tokodec.analyze.corpus import Grid, joined
from tokodec.analyze.counts import counts_of, entropy

SHUFFLES = 4


@dataclass(frozen=True, kw_only=True)
class Mutual:
    """``bits``: plug-in; ``shuffled_bits``: the mean of four shuffles; ``excess_bits``: the difference."""

    pairs: int
    bits: float
    shuffled_bits: float
    excess_bits: float


def horizontal(grids: Sequence[Grid]) -> Mutual | None:
    """Of an id and the one to its right, in one row. None without pairs."""
    return mutual(joined([g[:, :-1].ravel() for g in grids]), joined([g[:, 1:].ravel() for g in grids]))


def vertical(grids: Sequence[Grid]) -> Mutual | None:
    """Of an id and the one below it. None without pairs."""
    return mutual(joined([g[:-1].ravel() for g in grids]), joined([g[1:].ravel() for g in grids]))


def mutual(a: Int[np.ndarray, " n"], b: Int[np.ndarray, " n"]) -> Mutual | None:
    """Of pairs."""
    if not len(a):
        return None
    a, b = (np.unique(values, return_inverse=True)[1].astype(np.int64) for values in (a, b))
    apart = entropy(np.bincount(a)) + entropy(np.bincount(b))
    bits = max(0.0, apart - _together(a, b))
    rng = np.random.default_rng(0)
    shuffled = float(np.mean([max(0.0, apart - _together(a, rng.permutation(b))) for _ in range(SHUFFLES)]))
    return Mutual(pairs=len(a), bits=bits, shuffled_bits=shuffled, excess_bits=bits - shuffled)


def _together(a: Int[np.ndarray, " n"], b: Int[np.ndarray, " n"]) -> float:
    return entropy(counts_of(a * (b.max() + 1) + b))
