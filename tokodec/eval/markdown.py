"""The tables of a run in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from tokodec.eval.deltas import Delta
from tokodec.eval.statistics import Paired, Worst
from tokodec.eval.summary import Point, value_at

_COST = {
    "encode_seconds": ("encode s", 3),
    "decode_seconds": ("decode s", 3),
    "encode_mpix_s": ("encode Mpix/s", 1),
    "decode_mpix_s": ("decode Mpix/s", 1),
    "peak_mb": ("peak MB", 0),
}
Known = Mapping[str, Any]
"""What the protocol says of a measure."""


def heading(measure: str, known: Known) -> str:
    """Name, unit, and which way is better where that is down."""
    unit = f" {known['unit']}" if known.get("unit") else ""
    return f"{measure}{unit}{' (lower is better)' if known.get('better') == 'lower' else ''}"


def decimals(values: Sequence[float]) -> int:
    """As many as tell values of a column apart: 4 of small ones, 2 below a thousand."""
    largest = max(map(abs, values), default=0.0)
    return 4 if largest <= 2 else 2 if largest < 1000 else 0


def bd_table(deltas: Sequence[Delta], anchor: str) -> str:
    """A line for each figure."""
    rows = [
        "Against " + anchor + "; BD-quality of PSNR is BD-PSNR. Over: what both curves reach, and its share of what they cover together.",
        "",
        "| contestant | figure | value | 95 % | over | share |",
        "|---|---|---|---|---|---|",
    ]
    for d in deltas:
        name = f"{d.figure} of {d.measure}, {d.interpolation}"
        share = "-" if d.share is None else f"{d.share:.0%}"
        if d.value is None or d.over is None:
            rows.append(f"| {d.contestant} | {name} | - | - | {d.reason} | {share} |")
            continue
        digits = 1 if d.unit == "%" else 2
        interval = "-" if d.low is None or d.high is None else f"{d.low:+.{digits}f} .. {d.high:+.{digits}f}"
        over = f"{d.over[0]:.4g}-{d.over[1]:.4g} {d.over_unit}".strip()
        rows.append(f"| {d.contestant} | {name} | {d.value:+.{digits}f} {d.unit} | {interval} | {over} | {share} |")
    return "\n".join(rows)


def equal_bytes(points: Sequence[Point], fixed: Sequence[Point], measure: str, known: Known) -> str:
    """Means of everybody at the mean bytes of each contestant of one rate."""
    others = list(dict.fromkeys(p.contestant for p in points if p.setting is not None))
    lines = [
        f"| at the bytes of | bpp | its {heading(measure, known)} | {' | '.join(others)} |",
        "|---|---|---|" + "---|" * len(others),
    ]
    for p in fixed:
        bpp, own = float(p.values["bpp"] or 0), p.values[measure]
        cells = [_shown(value, 2) for value in (own, *(value_at(points, name, bpp, measure) for name in others))]
        lines.append(f"| {p.contestant} | {bpp:.4f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def paired_table(found: Sequence[Paired], anchor: str, measures: Mapping[str, Known]) -> str:
    """Of each contestant to the anchor."""
    lines = [
        f"To {anchor} at equal bytes, picture by picture (p: random sign flips, two-sided; Holm's for all pairs of a measure):",
        "",
        "| contestant | measure | mean difference | 95 % | p | p (Holm) | pictures | better on |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for p in found:
        sign, name = (1, p.one) if p.other == anchor else (-1, p.other)
        low, high = sorted((sign * p.low, sign * p.high))
        wins = p.wins if sign > 0 else 1 - p.wins
        digits = decimals([p.difference, p.low, p.high])
        lines.append(
            f"| {name} | {heading(p.measure, measures[p.measure])} | {sign * p.difference:+.{digits}f} | "
            f"{low:+.{digits}f} .. {high:+.{digits}f} | {p.p:.4f} | {p.p_holm:.4f} | {p.pictures} | {wins:.0%} |"
        )
    return "\n".join(lines)


def win_table(wins: Mapping[str, Mapping[str, float]], measure: str) -> str:
    """The matrix: how often the row is better than the column."""
    names = list(wins)
    lines = [
        f"On how many pictures the row has the better {measure} at equal bytes, of those where the two share bytes:",
        "",
        f"| | {' | '.join(names)} |",
        "|---|" + "---|" * len(names),
    ]
    for one in names:
        cells = [f"{wins[one][other]:.0%}" if other in wins[one] else "-" for other in names]
        lines.append(f"| {one} | {' | '.join(cells)} |")
    return "\n".join(lines)


def worst_table(worst: Sequence[Worst]) -> str:
    """The pictures at the end of every contestant."""
    lines = ["| contestant | worst | pictures, worst first |", "|---|---|---|"]
    for w in worst:
        what = f"{w.measure}, mean over settings" if w.against is None else f"{w.measure} to {w.against} at equal bytes"
        digits = decimals(w.values)
        shown = ", ".join(f"{name} {value:.{digits}f}" for name, value in zip(w.pictures, w.values, strict=True))
        lines.append(f"| {w.contestant} | {what} | {shown} |")
    return "\n".join(lines)


def points_table(points: Sequence[Point], measures: Mapping[str, Known]) -> str:
    """Every contestant at every setting: means with half the width of their 95 % intervals."""
    digits = {m: decimals([v for p in points if (v := p.values[m]) is not None]) for m in measures}
    columns = ["bpp", *(heading(m, known) for m, known in measures.items()), *(name for name, _ in _COST.values())]
    lines = [f"| contestant | setting | {' | '.join(columns)} |", "|---|---|" + "---|" * len(columns)]
    for p in points:
        cells = [_shown(p.values["bpp"], 4), *(_mean(p, m, digits[m]) for m in measures)]
        cells += [_shown(p.values[key], n) for key, (_, n) in _COST.items()]
        setting = "-" if p.setting is None else f"{p.setting:.3g}"
        lines.append(f"| {p.contestant} | {setting} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(p: Point, measure: str, digits: int) -> str:
    text = _shown(p.values[measure], digits)
    if measure in p.intervals:
        low, high = p.intervals[measure]
        text += f" ± {(high - low) / 2:.{digits}f}"
    return f"≥ {text}" if measure in p.capped else text


def _shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
