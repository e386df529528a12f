"""What is said: data on stdout, everything else on stderr, one line each, whatever a file name or a library puts into it."""

import json
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tokodec.errors import OutOfMemory, TokodecError

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

    from tokodec.cli.options import Telling


def say(line: str) -> None:
    """One line on stderr."""
    print(one_line(line), file=sys.stderr, flush=True)


def put(line: str) -> None:
    """One line of data on stdout."""
    print(one_line(line), flush=True)


def put_json(row: Mapping[str, Any]) -> None:
    """One JSON object on stdout."""
    print(json.dumps(dict(row)), flush=True)


def one_line(text: str) -> str:
    """``text`` without line breaks and other control characters, so that no file name can drive a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.splitlines()))


def complaint(error: BaseException, where: str = "") -> str:
    """One line about an error. ``where``: the file it concerns, unless the message begins with it."""
    return located(words(error), where)


def words(error: BaseException) -> str:
    """What an error says; ours that nobody expected say their kind, too."""
    return str(error) if isinstance(error, TokodecError) else f"unexpected {type(error).__name__}: {error}".rstrip(": ")


def located(text: str, where: str) -> str:
    """One line about an error, with the file it concerns in front, unless the text begins with it."""
    return one_line(text if not where or text.startswith(f"{where}: ") else f"{where}: {text}")


def trace_of(error: BaseException) -> str:
    """Where an unexpected error comes from; of others nothing."""
    return "" if isinstance(error, TokodecError) else "".join(traceback.format_exception(error))


def show(trace: str) -> None:
    """A trace on stderr."""
    print(trace, end="", file=sys.stderr, flush=True)


def code_of(error: BaseException) -> int:
    """The exit code of an error."""
    if isinstance(error, MemoryError):
        return OutOfMemory.exit_code
    return error.exit_code if isinstance(error, TokodecError) else 1


class Progress(Protocol):
    """Told about every input of a batch."""

    def start(self, what: str) -> None:
        """An input is begun."""

    def done(self, what: str, line: str, ok: bool) -> None:
        """An input is done; ``line`` is what there is to say."""

    def close(self) -> None:
        """All are done."""


class Lines:
    """A line for each input when it is done."""

    def start(self, what: str) -> None:
        pass

    def done(self, what: str, line: str, ok: bool) -> None:
        say(line)

    def close(self) -> None:
        pass


class Silence(Lines):
    """Only what failed."""

    def done(self, what: str, line: str, ok: bool) -> None:
        if not ok:
            say(line)


@dataclass
class Events(Lines):
    """JSON objects on stderr: ``event`` (start, done), ``input``, ``number`` of ``total``, ``seconds`` since the first."""

    total: int

    def __post_init__(self) -> None:
        self.begun, self.finished, self.since = 0, 0, time.monotonic()

    def start(self, what: str) -> None:
        self.begun += 1
        self._event("start", what, self.begun)

    def done(self, what: str, line: str, ok: bool) -> None:
        self.finished += 1
        self._event("done" if ok else "failed", what, self.finished)
        if not ok:
            say(line)

    def _event(self, event: str, what: str, number: int) -> None:
        seconds = round(time.monotonic() - self.since, 3)
        row = {"event": event, "input": what, "number": number, "total": self.total, "seconds": seconds}
        print(json.dumps(row), file=sys.stderr, flush=True)


class Bar(Lines):
    """A bar with the time that is left; failures stand above it."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        columns = (BarColumn(), MofNCompleteColumn(), *self.left(), TextColumn("{task.description}", markup=False))
        self.progress = RichProgress(*columns, console=Console(stderr=True), transient=True)
        self.task = self.progress.add_task("", total=total)
        self.progress.start()

    def left(self) -> "tuple[ProgressColumn, ...]":
        """The column of the time that is left, if inputs take about the same time each."""
        from rich.progress import TimeRemainingColumn

        return (TimeRemainingColumn(),)

    def start(self, what: str) -> None:
        self.progress.update(self.task, description=one_line(what))

    def done(self, what: str, line: str, ok: bool) -> None:
        self.progress.advance(self.task)
        if not ok:
            self.progress.console.print(one_line(line), markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        self.progress.stop()


def progress(telling: "Telling", total: int, bar: type[Bar] = Bar) -> Progress:
    """What ``--progress`` and ``--quiet`` ask for."""
    if telling.progress == "json":
        return Events(total)
    if telling.quiet or telling.progress == "none":
        return Silence()
    if telling.progress == "bar" or (sys.stderr.isatty() and total > 1):
        return bar(total)
    return Lines()


def lasting(seconds: float) -> str:
    """A length of time in the two largest units that it has."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
