"""Models whose settings are numbers of ids: quality against ids, and everybody else at the same bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

from tokodec.errors import InputError
from tokodec.eval.contestants import IDS
from tokodec.eval.markdown import heading
from tokodec.eval.run import Done
from tokodec.eval.summary import Point, value_at


def parse(text: str) -> tuple[int, ...]:
    """Numbers of ids of ``1,2,4``, none of an empty text. Raises InputError."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"--lengths are numbers of ids of a window, such as 1,2,4,8, not {text!r}")
    return tuple(map(int, parts))


def by_length(done: Done, points: Sequence[Point]) -> list[Point]:
    """The points of those contestants."""
    names = [c["name"] for c in done.contestants if c.get("unit") == IDS]
    return [p for p in points if p.contestant in names]


def to_markdown(points: Sequence[Point], own: Sequence[Point], measure: str, known: Mapping[str, Any]) -> str:
    """A table of ``own`` points, and of the mean of the measure of everybody else at their mean bytes."""
    others = [n for n in dict.fromkeys(p.contestant for p in points if p.setting is not None) if n not in {p.contestant for p in own}]
    head = ["contestant", IDS, "bytes", "bpp", heading(measure, known), *(f"{name} at these bytes" for name in others)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for p in own:
        bpp = float(p.values["bpp"] or 0)
        there = [value_at(points, name, bpp, measure) for name in others]
        figures = [f"{p.setting:.0f}", f"{p.values['bytes']:.0f}", f"{bpp:.4f}", f"{p.values[measure]:.2f}"]
        lines.append(f"| {' | '.join([p.contestant, *figures, *('-' if v is None else f'{v:.2f}' for v in there)])} |")
    return "\n".join(lines) + "\n"
