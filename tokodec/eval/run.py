"""Every contestant at every setting on every picture: whole files, decoded, measured; what is done is not done again."""

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import torch

from tokodec.errors import TokodecError
from tokodec.eval.contestants import Contestant, Named
from tokodec.eval.frames import FRAMES
from tokodec.eval.journal import Journal
from tokodec.eval.judge import Panel
from tokodec.eval.measures import MEASURES
from tokodec.eval.panel import panel_of
from tokodec.eval.protocol import protocol_of
from tokodec.eval.suite import Entry, Suite, load
from tokodec.metrics.structure import Comparison


@dataclass(frozen=True, kw_only=True)
class Run:
    """A suite, its pictures, who takes part, where results go, how many processes work, and on which ``device`` judges look."""

    suite: Suite
    entries: Sequence[Entry]
    contestants: Sequence[Named]
    folder: Path
    jobs: int = 1
    device: str = "cpu"


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a run gives: its protocol, who took part (name, identity, settings), and a row for each job, in order."""

    protocol: dict[str, Any]
    contestants: list[dict[str, Any]]
    rows: list[dict[str, Any]]

    @property
    def failed(self) -> int:
        """How many jobs failed."""
        return sum(row["error"] is not None for row in self.rows)


Told = Callable[[int, int, dict[str, Any]], None]
"""Called with how many jobs are done, of how many, and the row of the last one."""


def carry_out(run: Run, told: Told) -> Done:
    """Do what is not done yet, and return everything. Raises InputError for a folder of another protocol."""
    protocol = protocol_of(run.suite, run.entries, panel_of(run.suite, run.entries, run.device).protocol())
    journal = Journal(run.folder, protocol)
    taking_part: list[dict[str, Any]] = []
    jobs: list[list[tuple[float | None, Entry]]] = []
    for named in run.contestants:
        contestant = named.make()
        identity = _identity(contestant)
        taking_part.append({"name": contestant.name, "identity": identity, "settings": contestant.settings, **contestant.identity()})
        pairs = [(setting, entry) for setting in contestant.settings for entry in run.entries]
        jobs.append([pair for pair in pairs if not journal.done(contestant.name, identity, pair[0], pair[1].name)])
    total, count = sum(map(len, jobs)), 0
    for named, pairs in zip(run.contestants, jobs, strict=True):
        for row in _rows(run, named, pairs):
            journal.add(row)
            count += 1
            told(count, total, row)
    wanted = [(c["name"], c["identity"], setting, e.name) for c in taking_part for setting in c["settings"] for e in run.entries]
    return Done(protocol=protocol.row(), contestants=taking_part, rows=[journal.rows[key] for key in wanted])


def _rows(run: Run, named: Named, pairs: Sequence[tuple[float | None, Entry]]) -> Iterator[dict[str, Any]]:
    """Results as they come, out of processes of this contestant's own: their peak memory is its own, too."""
    if not pairs:
        return
    pool = ProcessPoolExecutor(min(run.jobs, len(pairs)), get_context("spawn"), initializer=_start, initargs=(named, run))
    try:
        futures: list[Future[dict[str, Any]]] = [pool.submit(_job, setting, entry) for setting, entry in pairs]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


_at_work: tuple[Contestant, Suite, Panel] | None = None
"""Of a worker process."""


def _start(named: Named, run: Run) -> None:
    global _at_work  # noqa: PLW0603  what a process pool's initializer is for
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _at_work = named.make(), run.suite, panel_of(run.suite, run.entries, run.device)


def _end_with_parent() -> None:
    """A pool whose process was killed would leave its workers waiting for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _job(setting: float | None, entry: Entry) -> dict[str, Any]:
    assert _at_work is not None
    contestant, suite, panel = _at_work
    row = {"contestant": contestant.name, "identity": _identity(contestant), "setting": setting, "picture": entry.name, "error": None}
    try:
        return row | _measured(contestant, suite, panel, setting, entry)
    except (TokodecError, OSError, ValueError, RuntimeError, MemoryError) as error:
        return row | {"error": f"{type(error).__name__}: {error}".splitlines()[0]}


def _measured(contestant: Contestant, suite: Suite, panel: Panel, setting: float | None, entry: Entry) -> dict[str, Any]:
    picture = load(entry, suite)
    start = time.perf_counter()
    data = contestant.encode(FRAMES[suite.frame].shown(picture), setting)
    middle = time.perf_counter()
    decoded = FRAMES[suite.frame].restored(contestant.decode(data), picture)
    stop = time.perf_counter()
    if decoded.shape != picture.shape:
        raise ValueError(f"{picture.shape[1]}x{picture.shape[0]} pixels went in and {decoded.shape[1]}x{decoded.shape[0]} came out")
    pictures = Comparison(picture, decoded)
    return {
        "width": picture.shape[1],
        "height": picture.shape[0],
        "bytes": len(data),
        "bpp": 8 * len(data) / (picture.shape[0] * picture.shape[1]),
        **{name: measure(pictures) for name, measure in MEASURES.items()},
        "encode_seconds": middle - start,
        "decode_seconds": stop - middle,
        "peak_bytes": _peak(),
        **panel.row(picture, decoded, entry.labels),
    }


def _peak() -> int | None:
    """The most memory that this process held at once, where the system says."""
    try:
        from resource import RUSAGE_SELF, getrusage  # noqa: PLC0415  not on Windows
    except ImportError:
        return None
    return getrusage(RUSAGE_SELF).ru_maxrss * 1024


def _identity(contestant: Contestant) -> str:
    return hashlib.sha256(json.dumps(contestant.identity(), sort_keys=True).encode()).hexdigest()[:16]
