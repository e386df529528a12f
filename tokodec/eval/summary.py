"""From rows to figures: means over the pictures at each setting, BD-rates with intervals, PSNR at equal bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from tokodec.errors import InputError
from tokodec.eval.judge import pooled
from tokodec.eval.measures import MEASURES
from tokodec.eval.panel import POOLS
from tokodec.eval.run import Done
from tokodec.metrics.bd_rate import Curve, bd_rate, overlap

DRAWS = 1000
"""Resamplings of the pictures for an interval."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One contestant at one setting: means over the ``pictures`` that have a value. Times are of one thread."""

    contestant: str
    setting: float | None
    pictures: int
    values: Mapping[str, float | None]
    """``bytes``, ``bpp``, every measure, ``encode_seconds``, ``decode_seconds``, ``encode_mpix_s``, ``decode_mpix_s``, ``peak_mb``."""


@dataclass(frozen=True, kw_only=True)
class Delta:
    """BD-rate of a contestant in percent, its 95 % interval, and the dB over which it was taken; or why there is none."""

    contestant: str
    percent: float | None = None
    low: float | None = None
    high: float | None = None
    overlap: tuple[float, float] | None = None
    reason: str = ""


def points(done: Done) -> list[Point]:
    """Every contestant at every setting, in order."""
    found: list[Point] = []
    for contestant in done.contestants:
        for setting in contestant["settings"]:
            rows = [r for r in done.rows if r["contestant"] == contestant["name"] and r["setting"] == setting and r["error"] is None]
            if rows:
                found.append(_point(contestant["name"], setting, rows))
    return found


def _point(name: str, setting: float | None, rows: Sequence[Mapping[str, Any]]) -> Point:
    values = {key: _mean(rows, key) for key in ("bytes", "bpp", *MEASURES, "encode_seconds", "decode_seconds")}
    megapixels = sum(r["width"] * r["height"] for r in rows) / 1e6
    for verb in ("encode", "decode"):
        values[f"{verb}_mpix_s"] = megapixels / sum(r[f"{verb}_seconds"] for r in rows)
    peaks = [r["peak_bytes"] for r in rows if r["peak_bytes"] is not None]
    values["peak_mb"] = max(peaks) / 1e6 if peaks else None
    return Point(contestant=name, setting=setting, pictures=len(rows), values=values | pooled(rows, POOLS))


def _mean(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """None as soon as one picture has no value: a mean over other pictures would compare with nothing."""
    values = [r[key] for r in rows]
    return None if None in values else float(np.mean(values))


def deltas(done: Done, anchor: str) -> list[Delta]:
    """BD-rates against ``anchor``, paired over the pictures that every contestant coded. Raises InputError for an unknown anchor."""
    names = [c["name"] for c in done.contestants]
    if anchor not in names:
        raise InputError(f"the anchor {anchor} does not take part; {', '.join(names)} do")
    failed = {r["picture"] for r in done.rows if r["error"] is not None}
    tables = {name: _table(done, name, failed) for name in names}
    return [_delta(name, tables[anchor], tables[name]) for name in names if name != anchor]


Table = tuple[Float[np.ndarray, "settings pictures"], Float[np.ndarray, "settings pictures"]]


def _table(done: Done, name: str, without: set[str]) -> Table:
    """bpp and PSNR."""
    rows = [r for r in done.rows if r["contestant"] == name and r["picture"] not in without]
    settings = next(c["settings"] for c in done.contestants if c["name"] == name)
    by: dict[float | None, list[Mapping[str, Any]]] = {s: sorted((r for r in rows if r["setting"] == s), key=_picture) for s in settings}
    bpp, psnr = (np.array([[r[key] for r in by[s]] for s in settings]) for key in ("bpp", "psnr"))
    return bpp, psnr


def _picture(row: Mapping[str, Any]) -> str:
    return str(row["picture"])


def _delta(name: str, anchor: Table, test: Table) -> Delta:
    count = anchor[0].shape[1]
    if len(test[0]) < 2:
        return Delta(contestant=name, reason="one rate only")
    try:
        whole = np.arange(count)
        percent = bd_rate(_curve(anchor, whole), _curve(test, whole))
        shared = overlap(_curve(anchor, whole), _curve(test, whole))
    except InputError as error:
        return Delta(contestant=name, reason=str(error))
    rng, found = np.random.default_rng(0), []
    for _ in range(DRAWS):
        draw = rng.integers(0, count, count)
        try:
            found.append(bd_rate(_curve(anchor, draw), _curve(test, draw)))
        except InputError:  # a draw whose curves do not overlap says nothing
            continue
    low, high = np.percentile(found, [2.5, 97.5])
    return Delta(contestant=name, percent=percent, low=float(low), high=float(high), overlap=shared)


def _curve(table: Table, chosen: Int[np.ndarray, " n"]) -> Curve:
    bpp, psnr = (values[:, chosen].mean(1) for values in table)
    return Curve(bpp=tuple(bpp.tolist()), psnr=tuple(psnr.tolist()))


def psnr_at(all_points: Sequence[Point], contestant: str, bpp: float) -> float | None:
    """Mean PSNR of a contestant at a mean rate, linear in log rate between its settings; None outside of them."""
    own = sorted((float(p.values["bpp"] or 0), float(p.values["psnr"] or 0)) for p in all_points if p.contestant == contestant)
    rates, psnr = np.array(own).T
    return float(np.interp(np.log(bpp), np.log(rates), psnr)) if len(own) > 1 and rates[0] <= bpp <= rates[-1] else None
