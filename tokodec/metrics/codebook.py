"""How much of a codebook is in use."""

import numpy as np
from jaxtyping import Int, Real


def usage(ids: Int[np.ndarray, "..."], size: int) -> float:
    """The share of ``size`` codes that occur at least once, 0 to 1. Grows with the number of ids: say how many there were."""
    return np.unique(ids).size / size


def perplexity(ids: Int[np.ndarray, "..."]) -> float:
    """2 to the entropy of the ids' frequencies: how many equally frequent codes would be as hard to guess."""
    return perplexity_of(np.unique(ids, return_counts=True)[1])


def perplexity_of(counts: Real[np.ndarray, " u"]) -> float:
    """The same of how often each id that occurs does."""
    share = counts / counts.sum()
    return float(np.exp2(-(share * np.log2(share)).sum()))
