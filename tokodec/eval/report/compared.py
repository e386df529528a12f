"""Contestants against each other, as results.json holds it: deltas of curves, tests paired by picture, the matrix of wins."""

from collections.abc import Mapping
from html import escape
from typing import Any

from tokodec.eval.results import Results
from tokodec.page.html import table

DELTAS = ("contestant", "figure", "value", "95 % interval", "over")
PAIRED = ("contestant", "against", "measure", "mean difference", "95 % interval", "p (Holm)", "pictures", "better on")


def delta_rows(results: Results) -> list[tuple[str, ...]]:
    """A row a figure; or why there is none."""
    return [_delta(d) for d in results.content.get("bd_rates", ())]


def _delta(d: Mapping[str, Any]) -> tuple[str, ...]:
    name = f"{d['figure']} of {d['measure']}, {d['interpolation']}"
    if d["value"] is None:
        return (d["contestant"], name, "-", "-", d["reason"])
    low, high = d["over"]
    digits = 1 if d["unit"] == "%" else 2
    interval = "-" if d["low"] is None else f"{d['low']:+.{digits}f} to {d['high']:+.{digits}f} {d['unit']}"
    over = f"{low:.4g} to {high:.4g} {d['over_unit']} ({d['share']:.0%} of both)"
    return (d["contestant"], name, f"{d['value']:+.{digits}f} {d['unit']}", interval, over)


def paired_rows(results: Results) -> list[tuple[str, ...]]:
    """A row a pair of contestants and measure."""
    columns = {c.key: c for c in results.measures}
    return [
        (
            *(p["one"], p["other"], columns[p["measure"]].title, f"{p['difference']:+.4g}", f"{p['low']:+.4g} to {p['high']:+.4g}"),
            *(f"{p['p_holm']:.4f}", str(p["pictures"]), f"{p['wins']:.0%}"),
        )
        for p in results.content.get("paired", ())
        if p["measure"] in columns
    ]


def section(results: Results, stamp: str) -> str:
    """The markup; empty for one contestant alone."""
    deltas, paired = delta_rows(results), paired_rows(results)
    if not deltas:
        return ""
    what = "BD-rate: mean difference of bytes at equal quality; BD-quality: the reverse. Intervals over the pictures."
    about = f"<p class='stamp'>{what} {stamp}</p>"
    head = f"<h3>Curves against {escape(str(results.content['anchor']))}</h3>{table(DELTAS, deltas)}{about}"
    if not paired:
        return head
    note = f"<p class='stamp'>At equal bytes, of pictures where both curves have them; p by random sign flips. {stamp}</p>"
    return f"{head}<details><summary>Picture by picture: {len(paired)} paired tests</summary>{table(PAIRED, paired)}{note}</details>"
