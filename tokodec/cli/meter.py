"""How far a benchmark is: each result as it comes, and the time that is left by the pace of each contestant."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tokodec.cli import talk
from tokodec.cli.options import Telling

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

    from tokodec.eval.pace import Pace
    from tokodec.eval.run import Step


class PacedBar(talk.Bar):
    """A bar whose time is told in words, since contestants differ in speed."""

    def left(self) -> "tuple[ProgressColumn, ...]":
        return ()


class Meter:
    """Told of every job that is done. The end of a run closes it. ``measure``: the one that is shown."""

    def __init__(self, telling: Telling, measure: str) -> None:
        self._telling, self._measure = telling, measure
        self._progress: talk.Progress | None = None

    def __call__(self, step: "Step") -> None:
        if self._progress is None:
            self._progress = talk.progress(self._telling, step.total, PacedBar)
        where = f"{step.row['contestant']} at {step.row['setting']}, {step.row['picture']}"
        time = left(step.pace)
        self._progress.start(f"{time}  {where}")
        if step.row["error"] is None:
            self._progress.done(where, f"{step.done}/{step.total}  {time}  {where}: {self._figures(step.row)}", ok=True)
        else:
            self._progress.done(where, f"tokodec: {where}: {step.row['error']}", ok=False)

    def _figures(self, row: Mapping[str, Any]) -> str:
        value = row[self._measure]
        return f"{row['bpp']:.3f} bpp, {self._measure} {'-' if value is None else format(value, '.4g')}"

    def close(self) -> None:
        """Nothing more will be done."""
        if self._progress is not None:
            self._progress.close()


def left(pace: "Pace") -> str:
    """In words; about, as long as some contestant has not begun."""
    seconds = pace.seconds
    if seconds is None:
        return "?"
    return f"{'' if pace.all_known else 'about '}{talk.lasting(seconds)} left"
