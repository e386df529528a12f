"""Bjøntegaard deltas of every contestant against an anchor, with intervals over the pictures."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from tokodec.errors import InputError
from tokodec.eval.curves import Curves, curves, rated, sign_of
from tokodec.eval.run import Done
from tokodec.metrics.bd_draws import Sampled, bd_quality_draws, bd_rate_draws
from tokodec.metrics.bd_rate import EVERYWHERE, PSNR_BOUNDS, Curve, Overlap, bd_quality, bd_rate, overlap, rate_overlap
from tokodec.metrics.cubic import AkimaCubic, Cubic, MonotoneCubic
from tokodec.metrics.resampling import resamplings

INTERPOLANTS: Mapping[str, type[Cubic]] = {"PCHIP": MonotoneCubic, "Akima": AkimaCubic}
MAIN = "psnr"
"""The measure whose deltas are taken both ways, by both interpolations; of others there is the BD-rate by PCHIP."""


@dataclass(frozen=True, kw_only=True)
class Delta:
    """One figure of a contestant against the anchor, its 95 % interval, and over what it was taken; or why there is none.

    ``figure``: ``BD-rate`` (percent) or ``BD-quality`` (the unit of the measure; of PSNR that is BD-PSNR). ``over``: of BD-rate, the
    qualities that both reach; of BD-quality, the bpp. ``share``: of what both cover together, 0 to 1.
    """

    contestant: str = ""
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
        for figure in _figures(protocol, measure):
            yield figure.of(anchor, test)


@dataclass(frozen=True, kw_only=True)
class _Figure:
    """``compute`` and ``shared`` of two curves; ``draws``: the same as ``compute`` of many at once, where there is an interval."""

    delta: Delta
    compute: Callable[[Curve, Curve], float]
    shared: Callable[[Curve, Curve], Overlap]
    draws: Callable[[Sampled, Sampled], Float[np.ndarray, " draws"]] | None
    sign: int = 1
    """Of what ``shared`` gives."""

    def of(self, anchor: Curves, test: Curves) -> Delta:
        """Or why there is none."""
        measure, empty = self.delta.measure, replace(self.delta, contestant=test.contestant)
        reason = _impossible(anchor, test, measure)
        if reason:
            return replace(empty, reason=reason)
        try:
            one, other = (_curve(c, measure) for c in (anchor, test))
            shared = self.shared(one, other)
            empty = replace(empty, share=shared.share)
            value = self.compute(one, other)
        except InputError as error:
            return replace(empty, reason=str(error))
        low, high = self._interval(anchor, test)
        over = sorted((self.sign * shared.low, self.sign * shared.high))
        return replace(empty, value=value, low=low, high=high, over=(over[0], over[1]))

    def _interval(self, anchor: Curves, test: Curves) -> tuple[float | None, float | None]:
        """Of the draws whose curves overlap enough; the others say nothing."""
        if self.draws is None or len(anchor.pictures) < 2:
            return None, None
        found = self.draws(*(_sampled(c, self.delta.measure) for c in (anchor, test)))
        known = found[np.isfinite(found)]
        if not len(known):
            return None, None
        low, high = np.percentile(known, [2.5, 97.5])
        return float(low), float(high)


def _figures(protocol: Mapping[str, Any], measure: str) -> Iterator[_Figure]:
    unit, sign = str(protocol["measures"][measure].get("unit", "")), sign_of(protocol, measure)
    yield _rate(measure, unit, sign, "PCHIP")
    if measure == MAIN:
        yield _rate(measure, unit, sign, "Akima")
        yield from (_quality(measure, unit, name) for name in INTERPOLANTS)


def _rate(measure: str, unit: str, sign: int, name: str) -> _Figure:
    bounds, interpolant = PSNR_BOUNDS if measure == MAIN else EVERYWHERE, INTERPOLANTS[name]
    return _Figure(
        delta=Delta(measure=measure, figure="BD-rate", interpolation=name, unit="%", over_unit=unit),
        compute=lambda one, other: bd_rate(one, other, bounds, interpolant),
        shared=lambda one, other: overlap(one, other, bounds),
        draws=lambda one, other: bd_rate_draws(one, other, bounds, interpolant),
        sign=sign,
    )


def _quality(measure: str, unit: str, name: str) -> _Figure:
    interpolant = INTERPOLANTS[name]
    return _Figure(
        delta=Delta(measure=measure, figure="BD-quality", interpolation=name, unit=unit, over_unit="bpp"),
        compute=lambda one, other: bd_quality(one, other, interpolant),
        shared=rate_overlap,
        draws=lambda one, other: bd_quality_draws(one, other, interpolant),
    )


def _impossible(anchor: Curves, test: Curves, measure: str) -> str:
    if not anchor.pictures:
        return "no picture was coded by everyone"
    if min(len(anchor.bpp), len(test.bpp)) < 2:
        return "one rate only"
    missing = [c.contestant for c in (anchor, test) if measure not in c.values]
    return f"pictures without a value of {measure}" if missing else ""


def _curve(own: Curves, measure: str) -> Curve:
    """Of means at equal setting. Raises InputError where all settings give one rate or one quality."""
    return Curve(bpp=tuple(own.bpp.mean(1).tolist()), psnr=tuple(own.values[measure].mean(1).tolist()))


def _sampled(own: Curves, measure: str) -> Sampled:
    """Curves of resampled pictures. Settings that give the same files throughout count once."""
    _, first = np.unique(own.bytes, axis=0, return_index=True)
    weights = resamplings(len(own.pictures))
    return Sampled(bpp=weights @ own.bpp[first].T, quality=weights @ own.values[measure][first].T)
