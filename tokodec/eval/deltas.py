"""Bjøntegaard deltas of every contestant against an anchor, with intervals over the pictures."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from tokodec.errors import InputError
from tokodec.eval.curves import Curves, curves, rated, sign_of
from tokodec.eval.run import Done
from tokodec.metrics.bd_rate import EVERYWHERE, PSNR_BOUNDS, Bounds, Curve, Overlap, bd_quality, bd_rate, overlap, rate_overlap
from tokodec.metrics.cubic import AkimaCubic, Cubic, MonotoneCubic
from tokodec.metrics.resampling import resamplings

INTERPOLANTS: Mapping[str, type[Cubic]] = {"PCHIP": MonotoneCubic, "Akima": AkimaCubic}
MAIN = "psnr"
"""The measure whose deltas have intervals and both interpolations; of others there is the BD-rate by PCHIP alone."""


@dataclass(frozen=True, kw_only=True)
class Delta:
    """One figure of a contestant against the anchor, its 95 % interval, and over what it was taken; or why there is none.

    ``figure``: ``BD-rate`` (percent) or ``BD-quality`` (the unit of the measure; of PSNR that is BD-PSNR). ``over``: of BD-rate, the
    qualities that both reach; of BD-quality, the bpp. ``share``: of what both cover together, 0 to 1.
    """

    contestant: str
    measure: str
    figure: str
    interpolation: str
    unit: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    over: tuple[float, float] | None = None
    over_unit: str = ""
    share: float | None = None
    reason: str = ""


def deltas(done: Done, anchor: str) -> list[Delta]:
    """Against ``anchor``, paired over the pictures that every contestant coded. Raises InputError for an unknown anchor."""
    found = curves(done)
    if anchor not in found:
        raise InputError(f"the anchor {anchor} does not take part; {', '.join(found)} do")
    return [delta for name, own in found.items() if name != anchor for delta in _all(done.protocol, found[anchor], own)]


def _all(protocol: Mapping[str, Any], anchor: Curves, test: Curves) -> Iterator[Delta]:
    for measure in rated(protocol):
        for ask in _asked(protocol, measure):
            yield ask.answer(anchor, test)


@dataclass(frozen=True, kw_only=True)
class _Question:
    """``compute`` and ``shared`` of two curves; ``draws``: how much pictures weigh in each resampling, none without an interval."""

    measure: str
    figure: str
    interpolation: str
    unit: str
    over_unit: str
    sign: int
    compute: Callable[[Curve, Curve], float]
    shared: Callable[[Curve, Curve], Overlap]
    sampled: bool

    def answer(self, anchor: Curves, test: Curves) -> Delta:
        empty = Delta(
            contestant=test.contestant,
            measure=self.measure,
            figure=self.figure,
            interpolation=self.interpolation,
            unit=self.unit,
            over_unit=self.over_unit,
        )
        reason = _impossible(anchor, test, self.measure)
        if reason:
            return replace(empty, reason=reason)
        count = len(anchor.pictures)
        whole = np.full(count, 1 / count)
        one, other = (_curve(c, self.measure, whole) for c in (anchor, test))
        if one is None or other is None:
            return replace(empty, reason="the settings give a single rate or quality")
        shared = self.shared(one, other)
        empty = replace(empty, share=shared.share)
        try:
            value = self.compute(one, other)
        except InputError as error:
            return replace(empty, reason=str(error))
        low, high = self._interval(anchor, test) if self.sampled else (None, None)
        over = sorted(self._shown(v) for v in (shared.low, shared.high))
        return replace(empty, value=value, low=low, high=high, over=(over[0], over[1]))

    def _shown(self, value: float) -> float:
        return self.sign * value if self.figure == "BD-rate" else value

    def _interval(self, anchor: Curves, test: Curves) -> tuple[float, float]:
        found: list[float] = []
        for weights in resamplings(len(anchor.pictures)):
            one, other = (_curve(c, self.measure, weights) for c in (anchor, test))
            try:
                found += [self.compute(one, other)] if one is not None and other is not None else []
            except InputError:  # a draw whose curves do not overlap says nothing
                continue
        low, high = np.percentile(found, [2.5, 97.5])
        return float(low), float(high)


def _asked(protocol: Mapping[str, Any], measure: str) -> Iterator[_Question]:
    sign, unit = sign_of(protocol, measure), str(protocol["measures"][measure].get("unit", ""))
    bounds = PSNR_BOUNDS if measure == MAIN else EVERYWHERE
    for name, interpolant in INTERPOLANTS.items():
        if measure == MAIN or name == "PCHIP":
            yield _Question(
                measure=measure,
                figure="BD-rate",
                interpolation=name,
                unit="%",
                over_unit=unit,
                sign=sign,
                compute=_rate(bounds, interpolant),
                shared=lambda one, other: overlap(one, other, bounds),
                sampled=measure == MAIN,
            )
    for name, interpolant in INTERPOLANTS.items():
        if measure == MAIN:
            yield _Question(
                measure=measure,
                figure="BD-quality",
                interpolation=name,
                unit=unit,
                over_unit="bpp",
                sign=sign,
                compute=_quality(interpolant),
                shared=rate_overlap,
                sampled=True,
            )


def _rate(bounds: Bounds, interpolant: type[Cubic]) -> Callable[[Curve, Curve], float]:
    return lambda one, other: bd_rate(one, other, bounds, interpolant)


def _quality(interpolant: type[Cubic]) -> Callable[[Curve, Curve], float]:
    return lambda one, other: bd_quality(one, other, interpolant)


def _impossible(anchor: Curves, test: Curves, measure: str) -> str:
    if not anchor.pictures:
        return "no picture was coded by everyone"
    if min(len(anchor.bpp), len(test.bpp)) < 2:
        return "one rate only"
    missing = [c.contestant for c in (anchor, test) if measure not in c.values]
    return f"pictures without a value of {measure}" if missing else ""


def _curve(own: Curves, measure: str, weights: Float[np.ndarray, " pictures"]) -> Curve | None:
    """Of means at equal setting; None where all settings give one rate or one quality."""
    bpp, quality = own.bpp @ weights, own.values[measure] @ weights
    if len(set(bpp.tolist())) < 2 or len(set(quality.tolist())) < 2:
        return None
    return Curve(bpp=tuple(bpp.tolist()), psnr=tuple(quality.tolist()))
