"""A straight line through points."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, kw_only=True)
class Line:
    """``y = intercept + slope * x``; ``r2``: the share of the variance of y that it explains, None where y does not vary."""

    slope: float
    intercept: float
    r2: float | None


def least_squares(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Line | None:
    """The line with the least squared error in y; None for fewer than two different x."""
    if len(x) < 2 or np.ptp(x) == 0:
        return None
    dx, dy = x - x.mean(), y - y.mean()
    slope = float((dx * dy).sum() / (dx * dx).sum())
    total = float((dy * dy).sum())
    left = float(np.square(dy - slope * dx).sum())
    return Line(slope=slope, intercept=float(y.mean() - slope * x.mean()), r2=1 - left / total if np.ptp(y) > 0 else None)
