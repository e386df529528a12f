"""Frequency over rank: Zipf's law, f(r) ~ r^-a, and Zipf and Mandelbrot's, f(r) ~ (r + q)^-s.

Ranks are those of the very counts they are compared with, which bends the tail down and fits up a little in small samples.

Source of the likelihood fits: Clauset et al., "Power-law distributions in empirical data", SIAM Review 2009 (their discrete power law,
here with the number of codes seen as its end).
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from tokodec.analyze.counts import Counts
from tokodec.analyze.fit import least_squares

LEAST = 5
"""Counts below it are mostly chance, and ties: least squares leaves their ranks out."""
_STEEPEST = 64.0
_FURTHEST = 6.0
"""The largest q is 10^6 ranks."""
_STEPS = 60


@dataclass(frozen=True, kw_only=True)
class LeastSquares:
    """Of log f over log r, ranks 1 to ``ranks``, all with a count of at least ``least_count``."""

    exponent: float
    r2: float | None
    intercept: float
    ranks: int
    least_count: int = LEAST


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """The likeliest p(r) ~ (r + q)^-exponent over ranks 1 to ``ranks``; ``q`` is 0 for Zipf's own.

    ``ks``: the largest distance of the cumulative shares from it. ``nats``: minus the mean log likelihood of an id.
    """

    exponent: float
    q: float
    ks: float
    nats: float
    ranks: int


@dataclass(frozen=True, kw_only=True)
class Zipf:
    """Three fits; None where there are fewer than three ranks, and where the likeliest law is no power of the rank but falls faster."""

    least_squares: LeastSquares | None
    likelihood: Likelihood | None
    mandelbrot: Likelihood | None


def zipf(counts: Counts) -> Zipf:
    """``counts`` from the largest on."""
    enough = len(counts) >= 3
    return Zipf(
        least_squares=_straight(counts[counts >= LEAST]),
        likelihood=_likeliest(counts, 0.0) if enough else None,
        mandelbrot=_shifted(counts) if enough else None,
    )


def _straight(counts: Counts) -> LeastSquares | None:
    if len(counts) < 3:
        return None
    line = least_squares(np.log(np.arange(1, len(counts) + 1)), np.log(counts))
    assert line is not None
    return LeastSquares(exponent=-line.slope, r2=line.r2, intercept=line.intercept, ranks=len(counts))


def _likeliest(counts: Counts, q: float) -> Likelihood:
    """For one q. The likelihood is concave: its maximum is where the mean of log (r + q) is the expected one, found by halving."""
    logs = np.log(np.arange(1, len(counts) + 1) + q)
    share = counts / counts.sum()
    mean = float((share * logs).sum())
    low, high = 0.0, _STEEPEST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if float((_law(logs, middle) * logs).sum()) > mean else (low, middle)
    exponent = (low + high) / 2
    law = _law(logs, exponent)
    ks = float(np.abs(np.cumsum(share) - np.cumsum(law)).max())
    return Likelihood(exponent=exponent, q=q, ks=ks, nats=float(-(share * np.log(law)).sum()), ranks=len(counts))


def _law(logs: Float[np.ndarray, " u"], exponent: float) -> Float[np.ndarray, " u"]:
    weight = np.exp(-exponent * (logs - logs[0]))
    return np.maximum(weight / weight.sum(), np.finfo(float).tiny)


def _shifted(counts: Counts) -> Likelihood | None:
    """Over q too: golden-section search in log (1 + q). None at the edge of what is searched."""
    ratio, low, high = (math.sqrt(5) - 1) / 2, 0.0, _FURTHEST
    for _ in range(_STEPS // 2):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if _likeliest(counts, 10**left - 1).nats <= _likeliest(counts, 10**right - 1).nats:
            high = right
        else:
            low = left
    found = min((_likeliest(counts, q) for q in (0.0, 10 ** ((low + high) / 2) - 1)), key=lambda fit: fit.nats)
    return found if found.exponent < 0.99 * _STEEPEST else None
