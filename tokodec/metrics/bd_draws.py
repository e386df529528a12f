"""Bjøntegaard deltas of many pairs of curves at once: what intervals are made of."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from tokodec.metrics.bd_rate import MIN_OVERLAP, Bounds
from tokodec.metrics.cubic import Cubic

Draw = Float[np.ndarray, " draws"]
Grid = Float[np.ndarray, "draws _"]


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """Curves, a row each: ``bpp`` greater than 0, and a quality of which more is better."""

    bpp: Grid
    quality: Grid


def bd_rate_draws(anchor: Sampled, test: Sampled, bounds: Bounds, interpolant: type[Cubic]) -> Draw:
    """:func:`tokodec.metrics.bd_rate.bd_rate` of each row in percent; not a number where that is refused, and for equal qualities."""
    one, other = ((c.quality, np.log(c.bpp)) for c in (anchor, test))
    return 100 * np.expm1(_differences(one, other, bounds, interpolant))


def bd_quality_draws(anchor: Sampled, test: Sampled, interpolant: type[Cubic]) -> Draw:
    """:func:`tokodec.metrics.bd_rate.bd_quality` of each row; not a number where that is refused, and for equal rates."""
    one, other = ((np.log(c.bpp), c.quality) for c in (anchor, test))
    return _differences(one, other, (-np.inf, np.inf), interpolant)


def _differences(one: tuple[Grid, Grid], other: tuple[Grid, Grid], bounds: Bounds, interpolant: type[Cubic]) -> Draw:
    """The second's mean over what both reach within bounds, minus the first's."""
    curves = [_sorted(*pair) for pair in (one, other)]
    starts = [np.maximum(x[:, 0], bounds[0]) for x, _ in curves]
    stops = [np.minimum(x[:, -1], bounds[1]) for x, _ in curves]
    low, high = np.maximum(*starts), np.minimum(*stops)
    covered = np.maximum(*stops) - np.minimum(*starts)
    good = (high - low >= MIN_OVERLAP * covered) & (high > low)
    for x, _ in curves:
        good &= (np.diff(x) > 0).all(1)
    found = np.full(len(low), np.nan)
    means = [interpolant(x[good], y[good]).integral(low[good], high[good]) for x, y in curves]
    found[good] = (means[1] - means[0]) / (high - low)[good]
    return found


def _sorted(x: Grid, y: Grid) -> tuple[Grid, Grid]:
    order = np.argsort(x, axis=1, kind="stable")
    return np.take_along_axis(x, order, 1), np.take_along_axis(y, order, 1)
