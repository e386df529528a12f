"""From rows to figures: means over the pictures at each setting, with 95 % intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokodec.eval.judge import pooled
from tokodec.eval.measure import SetMeasure
from tokodec.eval.measures import MEASURES
from tokodec.eval.observations import Observations
from tokodec.eval.panel import POOLS
from tokodec.eval.run import Done
from tokodec.metrics.resampling import mean_interval

Row = Mapping[str, Any]
_JUDGED_DRAWS = 200
"""Each looks at all boxes again: a fifth of the draws of other intervals."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One contestant at one setting: means over the ``pictures`` that have a value. Times are of one thread."""

    contestant: str
    setting: float | None
    pictures: int
    values: Mapping[str, float | None]
    """``bytes``, ``bpp``, every measure, ``encode_seconds``, ``decode_seconds``, ``encode_mpix_s``, ``decode_mpix_s``, ``peak_mb``."""
    intervals: Mapping[str, tuple[float, float]]
    """95 % of the means over pictures, ``bytes``, ``bpp`` and the measures, by resampling pictures; of one picture there are none."""
    capped: Mapping[str, int]
    """Of measures with a ceiling, how many pictures count as that: their mean is at least what it says."""


def points(done: Done) -> list[Point]:
    """Every contestant at every setting, in order."""
    groups: dict[tuple[str, float | None], list[Row]] = {}
    for row in done.rows:
        if row["error"] is None:
            groups.setdefault((row["contestant"], row["setting"]), []).append(row)
    keys = [(contestant["name"], setting) for contestant in done.contestants for setting in contestant["settings"]]
    return [_point(done, *key, groups[key]) for key in keys if key in groups]


def _point(done: Done, name: str, setting: float | None, rows: Sequence[Row]) -> Point:
    measures: Mapping[str, Row] = done.protocol["measures"]
    single = ["bytes", "bpp", *(m for m in measures if measures[m].get("of") != "set")]
    values = {key: _mean(rows, key) for key in (*single, "encode_seconds", "decode_seconds")}
    values |= {m: _of_all(done, rows, m) for m in measures if m not in single}
    megapixels = sum(r["width"] * r["height"] for r in rows) / 1e6
    for verb in ("encode", "decode"):
        values[f"{verb}_mpix_s"] = megapixels / sum(r[f"{verb}_seconds"] for r in rows)
    peaks = [r["peak_bytes"] for r in rows if r["peak_bytes"] is not None]
    values["peak_mb"] = max(peaks) / 1e6 if peaks else None
    known = [key for key in single if values[key] is not None and len(rows) > 1 and measures.get(key, {}).get("of") != "boxes"]
    return Point(
        contestant=name,
        setting=setting,
        pictures=len(rows),
        values=values | pooled(rows, POOLS),
        intervals={key: mean_interval(np.array([r[key] for r in rows], float)) for key in known} | _judged(rows, measures),
        capped={m: count for m in measures if (count := _capped(rows, m, measures[m].get("ceiling"))) > 0},
    )


def _judged(rows: Sequence[Row], measures: Mapping[str, Row]) -> dict[str, tuple[float, float]]:
    """Of what judges measure over all boxes: pictures are drawn anew, each with its boxes. A measure that a draw lacks has none."""
    wanted = [m for m, row in measures.items() if row.get("of") == "boxes" and row["better"]]
    if len(rows) < 2 or not wanted:
        return {}
    drawn = np.random.default_rng(0).integers(0, len(rows), (_JUDGED_DRAWS, len(rows)))
    found = [pooled([rows[i] for i in draw], POOLS) for draw in drawn.tolist()]
    known = {m: [v for f in found if (v := f.get(m)) is not None] for m in wanted}
    ends = {m: np.percentile(v, [2.5, 97.5]).tolist() for m, v in known.items() if len(v) == len(found)}
    return {m: (low, high) for m, (low, high) in ends.items()}


def _mean(rows: Sequence[Row], key: str) -> float | None:
    """None as soon as one picture has no value: a mean over other pictures would compare with nothing."""
    values = [r.get(key) for r in rows]
    return None if None in values else float(np.mean(np.array(values, float)))


def _of_all(done: Done, rows: Sequence[Row], name: str) -> float | None:
    """A measure of all pictures together."""
    measure = MEASURES[name]
    assert isinstance(measure, SetMeasure)
    return measure.combine(Observations(done.folder).of(rows, measure.kept))


def _capped(rows: Sequence[Row], key: str, ceiling: float | None) -> int:
    return 0 if ceiling is None else sum(r.get(key) == ceiling for r in rows)


def value_at(all_points: Sequence[Point], contestant: str, bpp: float, measure: str) -> float | None:
    """The mean of a measure of a contestant at a mean rate, linear in log rate between its settings; None outside of them."""
    own = [p.values for p in all_points if p.contestant == contestant]
    pairs = sorted((v["bpp"], v[measure]) for v in own if v["bpp"] is not None and v[measure] is not None)
    if len(pairs) < 2 or not pairs[0][0] <= bpp <= pairs[-1][0]:
        return None
    rates, values = np.array(pairs, float).T
    return float(np.interp(np.log(bpp), np.log(rates), values))
