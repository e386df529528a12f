"""How much of a codebook is in use."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from tokodec.analyze.counts import Counts, entropy, miller_madow


@dataclass(frozen=True, kw_only=True)
class Frequency:
    """Of ``size`` codes, ``used`` occur in ``total`` ids. Entropies in bits an id; ``perplexity`` is 2 to the plug-in entropy."""

    size: int
    total: int
    used: int
    usage: float
    dead: int
    dead_runs: list[list[int]]
    """The codes that never occur, as [first, last] of each run of them."""
    perplexity: float
    effective_share: float
    """Perplexity over size."""
    entropy_bits: float
    entropy_miller_madow_bits: float
    ids: list[int]
    """The codes that occur, the most frequent first, of equals the lowest."""
    counts: list[int]


def frequency(ids: Int[np.ndarray, " u"], counts: Counts, size: int) -> Frequency:
    """``ids`` and ``counts`` as :func:`tokodec.analyze.counts.tally` gives them."""
    bits = entropy(counts)
    return Frequency(
        size=size,
        total=int(counts.sum()),
        used=len(ids),
        usage=len(ids) / size,
        dead=size - len(ids),
        dead_runs=_gaps(np.sort(ids), size),
        perplexity=2**bits,
        effective_share=2**bits / size,
        entropy_bits=bits,
        entropy_miller_madow_bits=miller_madow(counts),
        ids=ids.tolist(),
        counts=counts.tolist(),
    )


def _gaps(used: Int[np.ndarray, " u"], size: int) -> list[list[int]]:
    """What is left of ``range(size)``; runs, since a codebook may have 2^36 codes."""
    edges = np.concatenate([[-1], used, [size]])
    first, last = edges[:-1] + 1, edges[1:] - 1
    return np.stack([first, last], 1)[first <= last].tolist()
