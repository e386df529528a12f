"""Intervals and tests that ask nothing of how values are distributed: bootstrap and sign flips, of a fixed seed.

Sources: Efron, "Bootstrap methods", Annals of Statistics 7, 1979 (percentile intervals); Fisher, "The design of experiments", 1935
(the permutation test of paired differences); Holm, Scandinavian Journal of Statistics 6, 1979.
"""

import numpy as np
from jaxtyping import Float

BOOTSTRAP_DRAWS = 1000
FLIP_DRAWS = 9999
_CHUNK = 1 << 20
"""Random numbers that are held at once."""


def resamplings(count: int, draws: int = BOOTSTRAP_DRAWS) -> Float[np.ndarray, "draws count"]:
    """How much each of ``count`` pictures weighs in each resampling with replacement; a row sums to 1. The same every time."""
    chosen = np.random.default_rng(0).integers(0, count, (draws, count))
    rows = np.repeat(np.arange(draws), count)
    return np.bincount(rows * count + chosen.ravel(), minlength=draws * count).reshape(draws, count) / count


def mean_interval(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """The 95 % interval of the mean: percentiles of the means of resamplings."""
    rng, count = np.random.default_rng(0), len(values)
    rows = max(_CHUNK // count, 1)
    means = [values[rng.integers(0, count, (min(rows, BOOTSTRAP_DRAWS - done), count))].mean(1) for done in range(0, BOOTSTRAP_DRAWS, rows)]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)


def flip_test(differences: Float[np.ndarray, " n"]) -> float:
    """Two-sided p of paired differences whose mean would be 0: how often flipping their signs at random gives a mean as far from 0.

    Monte Carlo over FLIP_DRAWS flips, itself counted among them: never below 1 / (FLIP_DRAWS + 1).
    """
    rng, count = np.random.default_rng(0), len(differences)
    rows = max(_CHUNK // count, 1)
    seen = abs(differences.sum()) * (1 - 1e-12)  # equal sums in another order differ by rounding
    hits = 0
    for done in range(0, FLIP_DRAWS, rows):
        signs = 1 - 2.0 * rng.integers(0, 2, (min(rows, FLIP_DRAWS - done), count), np.int8)
        hits += int((np.abs(signs @ differences) >= seen).sum())
    return (hits + 1) / (FLIP_DRAWS + 1)


def holm(p: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The same values, each as large as it has to be when that many questions were asked at once."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    adjusted = np.empty_like(stepped)
    adjusted[order] = stepped
    return adjusted
