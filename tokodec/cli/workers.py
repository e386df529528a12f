"""Many inputs in several processes, each with the model and one thread of torch."""

import io
import sys
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from tokodec.cli.outcome import Failure, Outcome
from tokodec.cli.paths import Job
from tokodec.cli.pipeline import Enough
from tokodec.cli.steps import Attempt, Work, outcome
from tokodec.cli.streams import read_stdin
from tokodec.pool.pool import Pool
from tokodec.pool.worker import claim

_HEAVY = ("torch", "numpy", "constriction", "safetensors.torch", "PIL.Image", "jaxtyping")
"""What is imported once for all workers. None of it is ours: the import would not know where this process found us."""


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """A job on its way to a worker, which cannot read the stdin of this process: ``stdin`` is what was there."""

    job: Job
    stdin: bytes | None = None


@dataclass(frozen=True)
class Crew:
    """So many processes. ``room``: bytes of memory for all inputs at work. ``verbose``: libraries may talk."""

    workers: int
    prepare: Callable[[], Work[Any, Any]]
    room: int
    verbose: bool
    enough: Enough

    def outcomes(self, jobs: Iterator[Job]) -> Generator[Outcome]:
        """In the order of the jobs. After one that is enough no other is begun; those that are at work are done."""
        begun: deque[Job] = deque()
        over = False

        def parcels() -> Iterator[Parcel]:
            for job in jobs:
                begun.append(job)
                yield Parcel(job=job, stdin=read_stdin() if job.source is None else None)
                if over:
                    return

        ready = partial(_prepared, self.prepare, self.verbose)
        with Pool(self.workers, ready, capacity=self.room, preload=_HEAVY) as pool:
            for future in pool.map(parcels()):
                done = _done(begun.popleft(), future)
                over = over or self.enough(done)
                yield done


def _done(job: Job, future: "Future[Outcome]") -> Outcome:
    """What a worker says, or what there is to say of one that was lost."""
    error = future.exception()
    return future.result() if error is None else Outcome(job=job, seconds=0.0, failure=Failure.of(error))


def _prepared(prepare: Callable[[], Work[Any, Any]], verbose: bool) -> Callable[[Parcel], Outcome]:
    """In a worker: the work, loaded."""
    if not verbose:
        warnings.simplefilter("ignore")
    return partial(_do, prepare())


def _do(work: Work[Any, Any], parcel: Parcel) -> Outcome:
    if parcel.stdin is not None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(parcel.stdin)))  # type: ignore[arg-type]
    read = Attempt.begin(parcel.job).then(work.read)
    if read.made is not None:
        claim(work.weight(read.made))
    return outcome(read.then(work.code).then(work.finish))
