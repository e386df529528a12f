"""Many inputs in one process: the next one is read while the networks work on this one and the last one is checked and written.

    thread    read 2     read 3     read 4
    here                 code 1     code 2     code 3        networks, and whatever interrupts
    thread                          finish 1   finish 2

Pillow, the entropy coder and torch let go of Python's lock for most of their time. At most ``AHEAD`` inputs are read while
one is coded, and ``BEHIND`` are coded and not finished; fewer where all together would take more memory than there is.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from tokodec.cli.outcome import Outcome, Result
from tokodec.cli.paths import Job
from tokodec.cli.steps import Attempt, Work, outcome

AHEAD = 1
BEHIND = 2

Enough = Callable[[Outcome], bool]
"""Whether nothing is to be done after an outcome."""


def in_turn(work: Work[Any, Any], enough: Enough, jobs: Iterator[Job]) -> Generator[Outcome]:
    """One input after the other, to the first outcome that is enough."""
    for job in jobs:
        done = outcome(Attempt.begin(job).then(work.read).then(work.code).then(work.finish))
        yield done
        if enough(done):
            return


def overlapping(work: Work[Any, Any], enough: Enough, room: int, jobs: Iterator[Job]) -> Generator[Outcome]:
    """The same outcomes in the same order, with the steps of neighbours side by side. ``room``: bytes for all of them."""
    with closing(_staggered(_Last(work, enough), room, jobs)) as outcomes:
        for done in outcomes:
            yield done
            if enough(done):
                return


@dataclass
class _Last:
    """The last step. It writes nothing after an outcome that was enough."""

    work: Work[Any, Any]
    enough: Enough
    over: bool = False

    def __call__(self, coded: Attempt[Any]) -> Outcome:
        done = outcome(coded.then(self._finish))
        self.over = self.over or self.enough(done)
        return done

    def _finish(self, made: object) -> Result:
        assert not self.over, "the outcome before this one was enough: nobody asks for this one"
        return self.work.finish(made)


def _staggered(last: _Last, room: int, jobs: Iterator[Job]) -> Generator[Outcome]:
    work = last.work
    behind: deque[tuple[int, Future[Outcome]]] = deque()
    with _helper() as reader, _helper() as finisher:
        for reading in _read(reader, work, jobs):
            read = reading.result()
            weight = 0 if read.made is None else work.weight(read.made)
            while behind and (len(behind) == BEHIND or weight + sum(w for w, _ in behind) > room):
                yield behind.popleft()[1].result()
            behind.append((weight, finisher.submit(last, read.then(work.code))))
            while behind and behind[0][1].done():
                yield behind.popleft()[1].result()
        while behind:
            yield behind.popleft()[1].result()


def _read(reader: ThreadPoolExecutor, work: Work[Any, Any], jobs: Iterator[Job]) -> Iterator[Future[Attempt[Any]]]:
    """The first step of every job, some ahead of the one that is handed out."""
    ahead: deque[Future[Attempt[Any]]] = deque()
    for job in jobs:
        ahead.append(reader.submit(Attempt.begin(job).then, work.read))
        if len(ahead) > AHEAD:
            yield ahead.popleft()
    while ahead:
        yield ahead.popleft()


@contextmanager
def _helper() -> Generator[ThreadPoolExecutor]:
    """A thread for one step of all inputs. On the way out it ends what it is doing and begins nothing."""
    pool = ThreadPoolExecutor(1)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
