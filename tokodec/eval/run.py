"""Every contestant at every setting on every picture: whole files, decoded, measured; what is done is not done again."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokodec.eval.contestants import Contestant, Named
from tokodec.eval.journal import Journal
from tokodec.eval.measures import ALWAYS
from tokodec.eval.pace import Pace
from tokodec.eval.panel import panel_of
from tokodec.eval.protocol import measured, protocol_of
from tokodec.eval.suite import Entry, Suite
from tokodec.eval.work import Job, Task
from tokodec.pool.pool import Pool

_HEAVY = ("torch", "numpy", "constriction", "safetensors.torch", "PIL.Image", "jaxtyping")
"""What is imported once for all workers of a contestant."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A suite, its pictures, who takes part, where results go, what is measured, and how many processes work.

    ``kept``: the folder of decoded pictures, if they are kept. ``devices``: where models run, dealt out to the processes in turn;
    ``judge_device``: where judges look.
    """

    suite: Suite
    entries: Sequence[Entry]
    contestants: Sequence[Named]
    folder: Path
    measures: Sequence[str] = ALWAYS
    kept: Path | None = None
    jobs: int = 1
    devices: Sequence[str] = ("cpu",)
    judge_device: str = "cpu"


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a run gives: its protocol, who took part (name, identity, settings), a row for each job, in order, and where it lies."""

    protocol: dict[str, Any]
    contestants: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    folder: Path

    @property
    def failed(self) -> int:
        """How many jobs failed."""
        return sum(row["error"] is not None for row in self.rows)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A job that is done: its row, how many of how many are, and the pace."""

    row: dict[str, Any]
    done: int
    total: int
    pace: Pace


Told = Callable[[Step], None]


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A contestant and what it has to do. ``row``: as results name it."""

    named: Named
    row: dict[str, Any]
    wanted: int


def carry_out(run: Run, told: Told) -> Done:
    """Do what is not done yet, and return everything. Raises InputError for a folder of another protocol."""
    judged = panel_of(run.suite, run.entries, run.judge_device).protocol()
    protocol = protocol_of(run.suite, run.entries, measured(run.measures) | judged)
    journal = Journal(run.folder, protocol)
    parts = [_part(run, named, journal) for named in run.contestants]
    pace = Pace(left={part.row["name"]: part.wanted for part in parts})
    total, count = sum(part.wanted for part in parts), 0
    for part in parts:
        for row in _rows(run, part, journal):
            journal.add(row)
            count += 1
            pace.done(row["contestant"])
            told(Step(row=row, done=count, total=total, pace=pace))
    wanted = [(p.row["name"], p.row["identity"], setting, e.name) for p in parts for setting in p.row["settings"] for e in run.entries]
    rows = [journal.rows[key] for key in wanted]
    return Done(protocol=protocol.row(), contestants=[p.row for p in parts], rows=rows, folder=run.folder)


def _part(run: Run, named: Named, journal: Journal) -> _Part:
    contestant = named.make(run.devices[0])
    row = {"name": contestant.name, "identity": identity_of(contestant), "settings": contestant.settings, **contestant.identity()}
    return _Part(named=named, row=row, wanted=sum(1 for _ in _jobs(run, row, journal)))


def _jobs(run: Run, part: dict[str, Any], journal: Journal) -> Iterator[Job]:
    """What is left of a contestant's, picture by picture."""
    done = journal.done(part["name"], part["identity"])
    for entry in run.entries:
        for setting in part["settings"]:
            if (setting, entry.name) not in done:
                yield Job(setting=setting, entry=entry)


def _rows(run: Run, part: _Part, journal: Journal) -> Iterator[dict[str, Any]]:
    """Results in order, out of processes of this contestant's own: their peak memory is its own, too."""
    if not part.wanted:
        return
    begun: deque[Job] = deque()

    def jobs() -> Iterator[Job]:
        for job in _jobs(run, part.row, journal):
            begun.append(job)
            yield job

    task = Task(
        named=part.named,
        identity=part.row["identity"],
        suite=run.suite,
        entries=run.entries if run.suite.judges else (),
        measures=tuple(run.measures),
        results=run.folder,
        kept=run.kept,
        devices=run.devices,
        judge_device=run.judge_device,
    )
    with Pool(min(run.jobs, part.wanted), task.prepare, preload=_HEAVY) as pool:
        for future in pool.map(jobs()):
            yield _row(part.row, begun.popleft(), future)


def _row(part: dict[str, Any], job: Job, future: "Future[dict[str, Any]]") -> dict[str, Any]:
    """One bad picture must not stop a run, whatever is wrong with it: it is counted."""
    row = {"contestant": part["name"], "identity": part["identity"], "setting": job.setting, "picture": job.entry.name, "error": None}
    error = future.exception()
    return row | (future.result() if error is None else {"error": _told(error)})


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def identity_of(contestant: Contestant) -> str:
    """What decides a contestant's files, as 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(contestant.identity(), sort_keys=True).encode()).hexdigest()[:16]
