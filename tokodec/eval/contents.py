"""What files hold, as measures: bits in three ways, and how much of their codebooks token models use."""

from collections.abc import Sequence

import numpy as np

from tokodec.eval.measure import Case, Observation
from tokodec.metrics.codebook import perplexity_of

_SIZE = "#"
"""Begins the name of what says how large a codebook is; no stream is called so."""


def raw_bits(case: Case) -> float | None:
    """None for all but token models."""
    return case.contents.raw_bits


def estimated_bits(case: Case) -> float | None:
    """None for classical codecs."""
    return case.contents.estimated_bits


def file_bits(case: Case) -> float:
    """Of the whole file."""
    return 8.0 * len(case.data)


def id_counts(case: Case) -> Observation:
    """Which ids occur how often: an array (2, n) a codebook, and its size."""
    found: dict[str, np.ndarray] = {}
    for name, codes in case.contents.codes.items():
        found[name] = np.stack(np.unique(codes.ids, return_counts=True)).astype(np.int64)
        found[_SIZE + name] = np.array(codes.size)
    return found


def usage(found: Sequence[Observation]) -> float | None:
    """The share of codes that occur, mean over codebooks; None where there are none."""
    tables = _tables(found)
    return float(np.mean([ids.size / int(found[0][_SIZE + name]) for name, (ids, _) in tables.items()])) if tables else None


def perplexity(found: Sequence[Observation]) -> float | None:
    """Of the frequencies of codes, geometric mean over codebooks; None where there are none."""
    tables = _tables(found)
    return float(np.exp(np.mean([np.log(perplexity_of(counts)) for _, counts in tables.values()]))) if tables else None


def _tables(found: Sequence[Observation]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By codebook, the ids that occur in any picture, and how often in all."""
    names = [name for name in found[0] if not name.startswith(_SIZE)]
    tables: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name in names:
        pairs = np.concatenate([f[name] for f in found], axis=1)
        ids, place = np.unique(pairs[0], return_inverse=True)
        tables[name] = ids, np.bincount(place, weights=pairs[1])
    return tables
