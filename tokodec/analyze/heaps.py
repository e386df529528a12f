"""New codes over ids read: Heaps' law, V(n) = K n^beta.

Ids are read in order, picture by picture and row by row, so that the order of the pictures counts: of folders it is that of names.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from tokodec.analyze.fit import least_squares

POINTS = 64
"""Where the curve is looked at: evenly in log n."""
FIT_FROM = 10
"""The first few ids say nothing of growth."""
SHARES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, kw_only=True)
class Heaps:
    """``K``, ``beta`` and ``r2`` by least squares in log V over log n, of the points from n = 10 on; None where there are too few.

    A vocabulary that is exhausted grows no more: then ``r2`` is low and the law does not hold.
    """

    K: float | None
    beta: float | None
    r2: float | None
    n: list[int]
    vocabulary: list[int]
    pictures_to_share: dict[str, int]
    """After so many pictures so much of the codes that occur at all had occurred."""


def heaps(ids: Int[np.ndarray, " n"], lengths: Int[np.ndarray, " pictures"]) -> Heaps:
    """``lengths``: ids of each picture."""
    first = np.sort(np.unique(ids, return_index=True)[1])
    n = np.unique(np.geomspace(1, max(len(ids), 1), POINTS).round().astype(np.int64)) if len(ids) else np.empty(0, np.int64)
    grown = np.searchsorted(first, n, side="left")
    kept = n >= FIT_FROM
    line = least_squares(np.log(n[kept]), np.log(grown[kept]))
    return Heaps(
        K=None if line is None else float(np.exp(line.intercept)),
        beta=None if line is None else line.slope,
        r2=None if line is None else line.r2,
        n=n.tolist(),
        vocabulary=grown.tolist(),
        pictures_to_share={str(share): _pictures(first, lengths, share) for share in SHARES} if len(first) else {},
    )


def _pictures(first: Int[np.ndarray, " u"], lengths: Int[np.ndarray, " pictures"], share: float) -> int:
    """How many pictures hold the first ``share`` of all first occurrences."""
    last = first[int(np.ceil(share * len(first))) - 1]
    return int(np.searchsorted(np.cumsum(lengths), last, side="right")) + 1
