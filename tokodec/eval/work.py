"""What a worker process does: one contestant, one picture at one setting a job."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tokodec.errors import InputError
from tokodec.eval.contestants import Contestant, Named
from tokodec.eval.frames import FRAMES, Native, Square
from tokodec.eval.judge import Panel
from tokodec.eval.kept import ORIGINAL, Coded, Kept, Key, Nowhere, Pixels8, cut_of
from tokodec.eval.measure import Case, RowMeasure, SetMeasure
from tokodec.eval.measures import MEASURES
from tokodec.eval.observations import Observations
from tokodec.eval.panel import panel_of
from tokodec.eval.suite import Entry, Suite, hash_of, load
from tokodec.eval.verdicts import Verdicts
from tokodec.metrics.structure import Comparison
from tokodec.pool.worker import seat


@dataclass(frozen=True, kw_only=True)
class Job:
    """A picture at a setting."""

    setting: float | None
    entry: Entry


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a worker needs to begin. ``identity`` of the contestant; ``measures`` by name; ``results``: the folder of the run; ``kept``:
    that of decoded pictures; ``devices``: one a worker, and ``judge_device``: where judges look, who know ``entries``.
    """

    named: Named
    identity: str
    suite: Suite
    entries: Sequence[Entry]
    measures: Sequence[str]
    results: Path
    kept: Path | None
    devices: Sequence[str] = ("cpu",)
    judge_device: str = "cpu"

    def prepare(self) -> "Work":
        """In a worker: everything is loaded."""
        torch.set_num_threads(1)
        contestant = self.named.make(self.devices[seat() % len(self.devices)])
        store = Nowhere() if self.kept is None else Kept(self.kept)
        verdicts = None if self.kept is None else Verdicts(folder=self.kept / "verdicts")
        panel = panel_of(self.suite, self.entries, self.judge_device, verdicts)
        return Work(task=self, contestant=contestant, store=store, panel=panel)


@dataclass
class Work:
    """Codes, unless that is done, and measures. The jobs of one picture come one after the other: it is read once."""

    task: Task
    contestant: Contestant
    store: Kept | Nowhere
    panel: Panel
    _last: tuple[Entry, Pixels8] | None = field(default=None, init=False)

    def __call__(self, job: Job) -> dict[str, Any]:
        """The figures of a row. Raises whatever reading, coding and decoding raise."""
        picture = self._picture(job.entry)
        coded = self._coded(job, picture)
        case = Case(pictures=Comparison(picture, coded.pixels), data=coded.data, contestant=self.contestant)
        return coded.figures | self._values(job, case) | self.panel.row(picture, coded.pixels, job.entry.labels)

    def _values(self, job: Job, case: Case) -> dict[str, float | None]:
        """A number a measure; of those of the whole suite None, and what they need is kept."""
        wanted = {name: MEASURES[name] for name in self.task.measures}
        kept = {measure.kept: measure for measure in wanted.values() if isinstance(measure, SetMeasure)}
        row = {"contestant": self.contestant.name, "identity": self.task.identity, "setting": job.setting, "picture": job.entry.name}
        for name, measure in kept.items():
            Observations(self.task.results).keep(row, name, measure.observe(case))
        return {name: measure(case) if isinstance(measure, RowMeasure) else None for name, measure in wanted.items()}

    def _picture(self, entry: Entry) -> Pixels8:
        if self._last is None or self._last[0] != entry:
            _check_unchanged(entry)
            picture = load(entry, self.task.suite)
            self._last = entry, picture
            self.store.keep(self._key(ORIGINAL, None, entry), Coded(pixels=picture, figures={}, data=b""))
        return self._last[1]

    def _key(self, identity: str, setting: float | None, entry: Entry) -> Key:
        return Key(
            identity=identity,
            setting=setting,
            picture=entry.sha256,
            crop=cut_of(self.task.suite.crop, FRAMES[self.task.suite.frame].definition),
        )

    def _coded(self, job: Job, picture: Pixels8) -> Coded:
        key = self._key(self.task.identity, job.setting, job.entry)
        coded = self.store.find(key)
        if coded is None:
            coded = code(self.contestant, picture, job.setting, FRAMES[self.task.suite.frame])
            self.store.keep(key, coded)
        return coded


def code(contestant: Contestant, picture: Pixels8, setting: float | None, frame: Native | Square) -> Coded:
    """Through a whole file and back, timed, with what ``frame`` shows of it. Raises ValueError when another size comes out."""
    start = time.perf_counter()
    data = contestant.encode(frame.shown(picture), setting)
    middle = time.perf_counter()
    decoded = frame.restored(contestant.decode(data), picture)
    stop = time.perf_counter()
    height, width = picture.shape[:2]
    if decoded.shape != picture.shape:
        raise ValueError(f"{width}x{height} pixels went in and {decoded.shape[1]}x{decoded.shape[0]} came out")
    figures = {
        "width": width,
        "height": height,
        "bytes": len(data),
        "bpp": 8 * len(data) / (height * width),
        "encode_seconds": middle - start,
        "decode_seconds": stop - middle,
        "peak_bytes": _peak(),
    }
    return Coded(pixels=decoded, figures=figures, data=data)


def _check_unchanged(entry: Entry) -> None:
    if hash_of(entry.path) != entry.sha256:
        raise InputError(f"{entry.path}: has changed since the run began")


def _peak() -> int | None:
    """The most memory that this process held at once, where the system says."""
    try:
        from resource import RUSAGE_SELF, getrusage  # noqa: PLC0415  not on Windows
    except ImportError:
        return None
    return getrusage(RUSAGE_SELF).ru_maxrss * 1024
