"""What the script of a page works on, as JSON: figures of every point and picture, and where the pictures stand."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from tokodec.eval.exchange.compressai import Curve
from tokodec.eval.report.frames import Frames
from tokodec.eval.results import Column, Results, Row

MOST_ROWS = 60_000
"""Figures of single pictures in a page; where there are more, those of the pictures that are shown stand there."""
_BOXES = 30
"""The worst texts or faces of a contestant at a setting."""
_SCORES = ("score", "ned", "similarity", "accuracy")
"""What texts and faces are sorted by: the first of these that there is, else the first number."""


def page_data(results: Results, shown: Frames, curves: Sequence[Curve]) -> dict[str, Any]:
    """All of it."""
    pictures = _pictures(results, shown)
    indices = {name: i for i, name in enumerate(pictures)}
    rows = {(r["contestant"], r["setting"], r["picture"]): r for r in results.rows}
    frames = {(f.contestant, f.setting, f.picture): i for i, f in enumerate(shown.frames)}
    return {
        "columns": [_column(c) for c in results.columns],
        "quality": [c.key for c in results.measures],
        "pictures": [_picture(name, shown, frames) for name in pictures],
        "contestants": [
            *(_contestant(results, c, pictures, rows, frames) for c in results.contestants),
            *(_foreign(curve, results.columns) for curve in curves),
        ],
        "boxes": list(_boxes(results, indices, frames)),
    }


def _pictures(results: Results, shown: Frames) -> list[str]:
    names = list(results.protocol["pictures"])
    if len(results.rows) <= MOST_ROWS:
        return names
    return [name for name in names if name in shown.windows]


def _column(column: Column) -> dict[str, Any]:
    return {
        "key": column.key,
        "title": column.title,
        "name": column.name,
        "unit": column.unit,
        "digits": column.digits,
        "higher": column.higher,
        "about": column.definition,
    }


def _picture(name: str, shown: Frames, frames: Mapping[tuple[str, float | None, str], int]) -> dict[str, Any]:
    w = shown.windows.get(name)
    if w is None:
        return {"name": name}
    window = [w.left, w.top, w.right, w.bottom]
    return {"name": name, "size": [w.width, w.height], "window": window, "frame": frames.get(("", None, name))}


def _contestant(
    results: Results,
    contestant: Mapping[str, Any],
    pictures: Sequence[str],
    rows: Mapping[tuple[str, float | None, str], Row],
    frames: Mapping[tuple[str, float | None, str], int],
) -> dict[str, Any]:
    name = contestant["name"]
    means = {p["setting"]: p for p in results.points if p["contestant"] == name}
    points: list[dict[str, Any]] = []
    for setting in contestant["settings"]:
        mean = means.get(setting)
        points.append(
            {
                "setting": setting,
                "count": 0 if mean is None else mean["pictures"],
                "values": None if mean is None else _values(mean["values"], results.columns),
                "rows": [_row(rows.get((name, setting, picture)), results.columns) for picture in pictures],
                "frames": [frames.get((name, setting, picture)) for picture in pictures],
            }
        )
    return {"name": name, "model": contestant.get("kind") == "model", "foreign": False, "points": points}


def _row(row: Row | None, columns: Sequence[Column]) -> list[float | str | None] | str | None:
    """Values, or why there are none."""
    return None if row is None else row["error"] if row["error"] is not None else _values(row, columns)


def _values(values: Mapping[str, Any], columns: Sequence[Column]) -> list[float | str | None]:
    return [_short(values.get(column.key)) for column in columns]


def _short(value: Any) -> Any:
    """Six digits are more than anyone reads; whole numbers stay as they are."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _foreign(curve: Curve, columns: Sequence[Column]) -> dict[str, Any]:
    points = [{"setting": None, "count": 0, "values": _values(point, columns), "rows": [], "frames": []} for point in curve.points]
    return {"name": f"{curve.name} (elsewhere)", "model": False, "foreign": True, "points": points}


def _boxes(results: Results, indices: Mapping[str, int], frames: Mapping[tuple[str, float | None, str], int]) -> "chain[dict[str, Any]]":
    """Lists of the worst texts and faces, of what is shown."""
    found: dict[tuple[str, str, float | None], list[dict[str, Any]]] = {}
    for row in results.rows:
        where = row["contestant"], row["setting"]
        if (*where, row["picture"]) in frames:
            for judge, parts in (row.get("detail") or {}).items():
                found.setdefault((judge, *where), []).extend({"picture": indices[row["picture"]], **part} for part in parts)
    return chain.from_iterable(_worst(*of, parts) for of, parts in found.items())


def _worst(judge: str, contestant: str, setting: float | None, parts: Sequence[Mapping[str, Any]]) -> Sequence[dict[str, Any]]:
    score = _score(parts)
    if score is None:
        return ()
    low = sorted((p for p in parts if _is_number(p.get(score))), key=lambda p: p[score])[:_BOXES]
    shown = [{"picture": p["picture"], "box": p["box"], "value": _short(p[score]), "words": _words(p, score)} for p in low]
    return ({"judge": judge, "score": score, "contestant": contestant, "setting": setting, "parts": shown},)


def _score(parts: Sequence[Mapping[str, Any]]) -> str | None:
    numbers = dict.fromkeys(key for part in parts for key, value in part.items() if key != "picture" and _is_number(value))
    return next((key for key in (*_SCORES, *numbers) if key in numbers), None)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _words(part: Mapping[str, Any], score: str) -> str:
    said = ((key, value) for key, value in part.items() if key not in {"picture", "box", score} and value is not None)
    return ", ".join(f"{key} {_short(value)}" for key, value in said)
