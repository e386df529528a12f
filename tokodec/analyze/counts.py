"""How often each value occurs, and the entropy of that, in bits."""

import math

import numpy as np
from jaxtyping import Int

Counts = Int[np.ndarray, " u"]


def tally(values: Int[np.ndarray, " n"]) -> tuple[Int[np.ndarray, " u"], Counts]:
    """The values that occur and how often, the most frequent first, of equals the lowest."""
    found, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return found[order], counts[order]


def counts_of(values: Int[np.ndarray, " n"]) -> Counts:
    """How often each value that occurs does."""
    return np.unique(values, return_counts=True)[1]


def entropy(counts: Counts) -> float:
    """Of the observed shares ("plug-in"), bits; 0 for none. Too low by about (u - 1) / (2 n ln 2) for u values in n observations."""
    share = counts[counts > 0] / max(int(counts.sum()), 1)
    return max(0.0, float(-(share * np.log2(share)).sum()))


def miller_madow(counts: Counts) -> float:
    """The plug-in entropy and that correction, with the number of values seen for u, bits.

    Source: Miller, "Note on the bias of information estimates", 1955. It still is too low where most values are rare.
    """
    seen, total = int((counts > 0).sum()), int(counts.sum())
    return entropy(counts) + (seen - 1) / (2 * total * math.log(2)) if total else 0.0
