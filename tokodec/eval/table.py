"""Results as JSON, CSV and Markdown. Columns are what the protocol measures."""

import csv
import io
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from tokodec.eval.curves import rated
from tokodec.eval.deltas import Delta
from tokodec.eval.markdown import bd_table, equal_bytes, paired_table, points_table, win_table, worst_table
from tokodec.eval.run import Done
from tokodec.eval.statistics import Statistics
from tokodec.eval.summary import Point

_PACKAGES = ("tokodec", "torch", "numpy", "pillow")
_ROW = ("contestant", "setting", "picture", "width", "height", "bytes", "bpp")
_COST = ("encode_seconds", "decode_seconds", "peak_bytes", "error")


@dataclass(frozen=True, kw_only=True)
class Results:
    """All figures of a run. ``anchor``: of BD-rates and paired differences."""

    done: Done
    points: Sequence[Point]
    deltas: Sequence[Delta]
    statistics: Statistics
    anchor: str

    @property
    def measures(self) -> Mapping[str, Mapping[str, Any]]:
        """What the protocol says of each."""
        return self.done.protocol["measures"]

    @property
    def main(self) -> str:
        """The measure of the short tables: the first that is one of pictures, if any is."""
        return next(iter([*rated(self.done.protocol), *self.measures]))


def title(done: Done) -> str:
    """One line: protocol, pictures, and how many results there are of how many."""
    given, failed = len(done.rows), done.failed
    pictures = len(done.protocol["pictures"])
    counts = f"{given - failed} of {given} scored" + (f", {failed} FAILED" if failed else "")
    return f"{done.protocol['name']} ({done.protocol['hash']}): {pictures} pictures, {counts}"


def to_json(results: Results, command: str) -> str:
    """Everything: protocol, environment, command, who took part, every row, means, BD-rates, tests."""
    environment = {"python": platform.python_version(), "machine": platform.machine()}
    environment |= {name: version(name) for name in _PACKAGES}
    done, statistics = results.done, results.statistics
    content: dict[str, Any] = {
        "title": title(done),
        "command": command,
        "protocol": done.protocol,
        "environment": environment,
        "anchor": results.anchor,
        "contestants": done.contestants,
        "points": [asdict(p) for p in results.points],
        "bd_rates": [asdict(d) for d in results.deltas],
        "paired": [asdict(p) for p in statistics.paired],
        "wins": {measure: found for measure in results.measures if (found := statistics.wins(measure))},
        "worst": [asdict(w) for w in statistics.worst],
    }
    head = json.dumps(content, indent=1, allow_nan=False)[:-2]
    rows = ",\n".join("  " + json.dumps(row, allow_nan=False) for row in done.rows)  # a line a picture, so that a change shows where it is
    return f'{head},\n "rows": [\n{rows}\n ]\n}}\n'


def to_csv(done: Done) -> str:
    """A line a picture and point."""
    columns = (*_ROW, *done.protocol["measures"], *_COST)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(column) for column in columns] for row in done.rows)
    return buffer.getvalue()


def to_markdown(results: Results) -> str:
    """The tables: BD-rates, fixed-rate contestants at their own bytes, tests, win rates, the worst pictures, and all points."""
    done, statistics, anchor, main = results.done, results.statistics, results.anchor, results.main
    parts = [title(done)]
    if results.deltas:
        parts.append(bd_table(results.deltas, anchor))
    fixed = [p for p in results.points if p.setting is None]
    if fixed:
        parts.append(equal_bytes(results.points, fixed, main, results.measures[main]))
    against = [p for p in statistics.paired if anchor in (p.one, p.other)]
    if against:
        parts += [paired_table(against, anchor, results.measures), win_table(statistics.wins(main), main)]
    if statistics.worst:
        parts.append(worst_table([w for w in statistics.worst if w.measure == main]))
    parts.append(points_table(results.points, results.measures))
    return "\n\n".join(part for part in parts if part) + "\n"
