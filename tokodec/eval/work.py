"""What a worker process does: one contestant, one picture at one setting a job."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tokodec.errors import InputError
from tokodec.eval.contestants import Contestant, Named
from tokodec.eval.kept import ORIGINAL, Coded, Kept, Key, Nowhere, Pixels8
from tokodec.eval.measures import MEASURES
from tokodec.eval.suite import Entry, Suite, hash_of, load
from tokodec.metrics.structure import Comparison
from tokodec.pool.worker import seat


@dataclass(frozen=True, kw_only=True)
class Job:
    """A picture at a setting."""

    setting: float | None
    entry: Entry


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a worker needs to begin. ``identity`` of the contestant; ``kept``: the folder of decoded pictures; ``devices``: one a worker."""

    named: Named
    identity: str
    suite: Suite
    kept: Path | None
    devices: Sequence[str] = ("cpu",)

    def prepare(self) -> "Work":
        """In a worker: everything is loaded."""
        torch.set_num_threads(1)
        contestant = self.named.make(self.devices[seat() % len(self.devices)])
        return Work(task=self, contestant=contestant, store=Nowhere() if self.kept is None else Kept(self.kept))


@dataclass
class Work:
    """Codes, unless that is done, and measures. The jobs of one picture come one after the other: it is read once."""

    task: Task
    contestant: Contestant
    store: Kept | Nowhere
    _last: tuple[Entry, Pixels8] | None = field(default=None, init=False)

    def __call__(self, job: Job) -> dict[str, Any]:
        """The figures of a row. Raises whatever reading, coding and decoding raise."""
        picture = self._picture(job.entry)
        coded = self._coded(job, picture)
        pictures = Comparison(picture, coded.pixels)
        return coded.figures | {name: measure(pictures) for name, measure in MEASURES.items()}

    def _picture(self, entry: Entry) -> Pixels8:
        if self._last is None or self._last[0] != entry:
            _check_unchanged(entry)
            picture = load(entry, self.task.suite)
            self._last = entry, picture
            self.store.keep(self._key(ORIGINAL, None, entry), Coded(pixels=picture, figures={}))
        return self._last[1]

    def _key(self, identity: str, setting: float | None, entry: Entry) -> Key:
        return Key(identity=identity, setting=setting, picture=entry.sha256, crop=self.task.suite.crop)

    def _coded(self, job: Job, picture: Pixels8) -> Coded:
        key = self._key(self.task.identity, job.setting, job.entry)
        coded = self.store.find(key)
        if coded is None:
            coded = code(self.contestant, picture, job.setting)
            self.store.keep(key, coded)
        return coded


def code(contestant: Contestant, picture: Pixels8, setting: float | None) -> Coded:
    """Through a whole file and back, timed. Raises ValueError when another size comes out."""
    start = time.perf_counter()
    data = contestant.encode(picture, setting)
    middle = time.perf_counter()
    decoded = contestant.decode(data)
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
    return Coded(pixels=decoded, figures=figures)


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
