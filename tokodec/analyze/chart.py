"""Plots as SVG that stands in a page: colours and letters are the page's own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Float

WIDTH, HEIGHT = 460, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 44
_MOST_POINTS = 240
Numbers = Sequence[int] | Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Series:
    """Points or a line. ``kind``: its class in the page's style, ``dots`` or ``line`` and a colour. Values are positive."""

    label: str
    kind: str
    x: Numbers
    y: Numbers


@dataclass(frozen=True)
class _Axis:
    """Powers of ten from ``low`` to ``high``, drawn from ``start`` to ``stop``."""

    low: int
    high: int
    start: int
    stop: int

    @classmethod
    def of(cls, values: Numbers, start: int, stop: int) -> "_Axis":
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return cls(low, max(high, low + 1), start, stop)

    def at(self, value: float | int) -> float:
        return self.start + (self.stop - self.start) * (math.log10(value) - self.low) / (self.high - self.low)

    def ticks(self) -> list[int]:
        step = -(-(self.high - self.low) // 8)
        return list(range(self.low, self.high + 1, step))


def log_log(series: Sequence[Series], x_title: str, y_title: str) -> str:
    """Both axes logarithmic, with all of each series in view, and its label below."""
    x = _Axis.of([v for s in series for v in s.x], _LEFT, WIDTH - _RIGHT)
    y = _Axis.of([v for s in series for v in s.y], HEIGHT - _BOTTOM, _TOP)
    parts = [*(_vertical(x.at(10.0**t), t) for t in x.ticks()), *(_horizontal(y.at(10.0**t), t) for t in y.ticks())]
    parts += [_drawn(s, x, y) for s in series]
    parts.append(f'<text x="{(_LEFT + WIDTH - _RIGHT) / 2}" y="{HEIGHT - 6}" class="mid">{escape(x_title)}</text>')
    parts.append(f'<text transform="translate(12 {(HEIGHT - _BOTTOM + _TOP) / 2}) rotate(-90)" class="mid">{escape(y_title)}</text>')
    label = f"{y_title} over {x_title}, both logarithmic: {', '.join(s.label for s in series)}"
    legend = "".join(f'<li class="{s.kind}">{escape(s.label)}</li>' for s in series)
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    return f'{svg}<ul class="legend">{legend}</ul>'


def _vertical(at: float, power: int) -> str:
    line = f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
    return f'{line}<text x="{at:.1f}" y="{HEIGHT - _BOTTOM + 16}" class="mid">{_power(power)}</text>'


def _horizontal(at: float, power: int) -> str:
    line = f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
    return f'{line}<text x="{_LEFT - 6}" y="{at + 4:.1f}" class="end">{_power(power)}</text>'


def _power(power: int) -> str:
    return f"{10**power:,}" if 0 <= power <= 4 else f"1e{power}"


def _drawn(series: Series, x: _Axis, y: _Axis) -> str:
    points = [(x.at(series.x[i]), y.at(series.y[i])) for i in thinned(len(series.x))]
    if series.kind.startswith("dots"):
        return "".join(f'<circle class="{series.kind}" cx="{px:.1f}" cy="{py:.1f}" r="2.2"/>' for px, py in points)
    return f'<polyline class="{series.kind}" points="{" ".join(f"{px:.1f},{py:.1f}" for px, py in points)}"/>'


def thinned(count: int) -> list[int]:
    """At most so many of ``count`` indices that a plot can show, evenly in their logarithms, the first and the last with them."""
    if count <= _MOST_POINTS:
        return list(range(count))
    return np.unique(np.geomspace(1, count, _MOST_POINTS).round().astype(int) - 1).tolist()


def heat_map(values: Sequence[Sequence[float]], counts: Sequence[Sequence[int]], unit: str) -> str:
    """A cell a place, the darker the larger; what it is and of how many ids stands in its title."""
    table: Float[np.ndarray, "r c"] = np.array(values)
    low, high = float(table.min()), float(table.max())
    rows, columns = table.shape
    cells = "".join(
        f'<rect x="{c}" y="{r}" width="1" height="1" fill-opacity="{_depth(values[r][c], low, high):.2f}">'
        f"<title>row {r}, column {c}: {values[r][c]:.2f} {unit}, {counts[r][c]:,} ids</title></rect>"
        for r in range(rows)
        for c in range(columns)
    )
    label = f"{rows} x {columns} places, {low:.2f} to {high:.2f} {unit}"
    height = f' style="max-height:{max(120, min(300, 300 * rows // columns))}px"'
    svg = f'<svg class="heat" viewBox="0 0 {columns} {rows}"{height} role="img" aria-label="{escape(label)}">{cells}</svg>'
    return f'{svg}<p class="scale"><span>{low:.2f}</span><i></i><span>{high:.2f} {escape(unit)}</span></p>'


def _depth(value: float, low: float, high: float) -> float:
    return 0.08 + 0.92 * (value - low) / (high - low) if high > low else 0.5
