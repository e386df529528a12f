"""Who is better, picture by picture at equal bytes: paired tests, win rates, and the pictures where it goes worst.

At equal bytes: for each picture, the values of a contestant over the logarithm of the bytes of its files, linear between settings; the
difference of two is averaged over the bytes that both reach, and of a contestant of one rate taken at its bytes. Pictures where
two share no bytes count for neither.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from jaxtyping import Float

from tokodec.eval.curves import Curves, curves, rated, sign_of
from tokodec.eval.run import Done
from tokodec.metrics.resampling import flip_test, holm, mean_interval

WORST = 5
_STEPS = 17
"""Sizes of files at which two contestants are compared, evenly in the logarithm."""

Differences = Float[np.ndarray, " pictures"]
"""Of one contestant to another, more is better; not a number where they share no bytes."""


@dataclass(frozen=True, kw_only=True)
class Paired:
    """``one`` minus ``other`` in a measure's own unit and direction, over the ``pictures`` that could be compared.

    ``low``, ``high``: the 95 % interval of the mean by bootstrap. ``p``: two-sided, by random sign flips of the differences; ``p_holm``:
    the same for as many tests as there are of this measure. ``wins``: the share of pictures where ``one`` is better, ties half.
    """

    measure: str
    one: str
    other: str
    pictures: int
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    wins: float


@dataclass(frozen=True, kw_only=True)
class Worst:
    """The pictures on which a contestant does worst: ``values`` of the measure, mean over settings, or differences ``against`` another."""

    measure: str
    contestant: str
    against: str | None
    pictures: Sequence[str]
    values: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """``paired``: every two contestants that share bytes, by measure. ``worst``: by measure and contestant."""

    paired: Sequence[Paired]
    worst: Sequence[Worst]

    def wins(self, measure: str) -> dict[str, dict[str, float]]:
        """The matrix: rows against columns."""
        found: dict[str, dict[str, float]] = {}
        for p in self.paired:
            if p.measure == measure:
                found.setdefault(p.one, {})[p.other] = p.wins
                found.setdefault(p.other, {})[p.one] = 1 - p.wins
        return found


def statistics(done: Done, anchor: str) -> Statistics:
    """Of all measures of pictures. ``anchor``: whom pictures are worst against."""
    found = curves(done)
    paired: list[Paired] = []
    worst: list[Worst] = []
    for measure in rated(done.protocol):
        sign = sign_of(done.protocol, measure)
        own = {name: c for name, c in found.items() if measure in c.values and c.pictures}
        between = {(a, b): differences(own[a], own[b], measure) for a, b in combinations(own, 2)}
        paired += _tests(measure, sign, between)
        worst += [_worst(measure, sign, name, None, own[name].values[measure].mean(0), own[name].pictures) for name in own]
        against = {name: _towards(between, name, anchor) for name in own if name != anchor and anchor in own}
        worst += [_worst(measure, sign, name, anchor, d, own[name].pictures) for name, d in against.items() if np.isfinite(d).any()]
    return Statistics(paired=paired, worst=worst)


def differences(one: Curves, other: Curves, measure: str) -> Differences:
    """``one`` minus ``other`` at equal bytes, by picture."""
    found = np.full(len(one.pictures), np.nan)
    for i in range(len(found)):
        a, b = ((c.log_bytes[:, i], c.values[measure][:, i]) for c in (one, other))
        low, high = max(a[0].min(), b[0].min()), min(a[0].max(), b[0].max())
        if low <= high:
            at = np.linspace(low, high, _STEPS)
            found[i] = (_at(at, *a) - _at(at, *b)).mean()
    return found


def _at(x: Float[np.ndarray, " n"], log_bytes: Float[np.ndarray, " s"], values: Float[np.ndarray, " s"]) -> Float[np.ndarray, " n"]:
    order = np.argsort(log_bytes, kind="stable")
    return np.interp(x, log_bytes[order], values[order])


def _tests(measure: str, sign: int, between: Mapping[tuple[str, str], Differences]) -> list[Paired]:
    found = [_test(measure, sign, *pair, d[np.isfinite(d)]) for pair, d in between.items() if np.isfinite(d).any()]
    adjusted = holm(np.array([f.p for f in found]))
    return [replace(f, p_holm=float(p)) for f, p in zip(found, adjusted, strict=True)]


def _test(measure: str, sign: int, one: str, other: str, known: Differences) -> Paired:
    low, high = sorted(sign * v for v in mean_interval(known))
    p = flip_test(known)
    return Paired(
        measure=measure,
        one=one,
        other=other,
        pictures=len(known),
        difference=sign * float(known.mean()) + 0.0,  # no negative zero
        low=low,
        high=high,
        p=p,
        p_holm=p,
        wins=float((known > 0).mean() + (known == 0).mean() / 2),
    )


def _towards(between: Mapping[tuple[str, str], Differences], name: str, anchor: str) -> Differences:
    return between[name, anchor] if (name, anchor) in between else -between[anchor, name]


def _worst(measure: str, sign: int, name: str, against: str | None, values: Differences, pictures: Sequence[str]) -> Worst:
    order: list[int] = [i for i in np.argsort(values, kind="stable").tolist() if np.isfinite(values[i])][:WORST]
    return Worst(
        measure=measure,
        contestant=name,
        against=against,
        pictures=[pictures[i] for i in order],
        values=[sign * float(values[i]) + 0.0 for i in order],
    )
