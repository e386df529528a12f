"""Jobs in worker processes that are prepared once each: whatever can be pickled, with a model that is loaded where it works.

    here ══ prepare ══> worker: work = prepare()
    here ══ job ══════> worker: work(job) ══ result or error ══> here, in the order of the jobs
                        worker: claim(bytes) ══ waits until the others leave so much

A worker that is killed costs its job alone: another one takes its place.
"""

import math
import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Generic, TypeVar

from tokodec.errors import OutOfMemory
from tokodec.pool.worker import Claim, Done, Failed, Link, Unprepared, live

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")

_PATIENCE = 5.0
"""Seconds that a worker has for its way out."""
_KILLED = -9
_AHEAD = 4
"""Jobs a worker that may be begun or done while the first in order is not done."""


class Pool(Generic[JobT, ResultT]):
    """Some workers, all prepared for the same work. A context: on the way out they end, whatever they are doing.

    ``prepare`` is pickled and called once in each worker. ``capacity``: the bytes that ``claim`` divides among them.
    ``preload``: modules that every worker needs; where the system can fork, they are imported once for all.
    """

    def __init__(
        self,
        workers: int,
        prepare: Callable[[], Callable[[JobT], ResultT]],
        *,
        capacity: float = math.inf,
        preload: Sequence[str] = (),
    ) -> None:
        self._most = workers
        self._prepare = prepare
        self._capacity = capacity
        self._context = _context(preload)
        self._members: list[_Member[ResultT]] = []
        self._claims: deque[tuple[_Member[ResultT], int]] = deque()

    def __enter__(self) -> "Pool[JobT, ResultT]":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for member in self._members:
            member.process.terminate()
        while self._members:
            self._members.pop().end()

    def map(self, jobs: Iterable[JobT]) -> Iterator["Future[ResultT]"]:
        """A future for each job, in order, with its result or its error when it is handed out.

        ``jobs`` is asked for the next one only when a worker is free for it. Raises what preparing raised.
        """
        source, begun = iter(jobs), deque[Future[ResultT]]()
        while True:
            begun.extend(self._begin(source, _AHEAD * self._most - len(begun)))
            if not begun:
                return
            if begun[0].done():
                yield begun.popleft()
            else:
                self._listen()

    def _begin(self, source: Iterator[JobT], most: int) -> Iterator["Future[ResultT]"]:
        """Give jobs to workers that are free, ``most`` at most."""
        for _ in range(most):
            free = next((m for m in self._members if m.future is None), None)
            if free is None and len(self._members) == self._most:
                return
            for job in source:
                yield (free or self._hired()).give(job)
                break

    def _hired(self) -> "_Member[ResultT]":
        link, far = self._context.Pipe()
        seat = min({*range(self._most)} - {member.seat for member in self._members})
        process = self._context.Process(target=live, args=(far, self._prepare, seat), daemon=True)
        with _no_interrupt():
            process.start()
        far.close()  # so that a worker's end is heard as the end of its messages
        self._members.append(_Member(link, process, seat))
        return self._members[-1]

    def _listen(self) -> None:
        """Until something is heard, and act on it."""
        by_link = {member.link: member for member in self._members}
        for link in wait([*by_link]):
            member = by_link[link]  # type: ignore[index]
            try:
                self._hear(member, member.link.recv())
            except (EOFError, ConnectionResetError):
                self._members.remove(member)
                self._claims = deque(c for c in self._claims if c[0] is not member)
                member.lost()
        self._grant()

    def _hear(self, member: "_Member[ResultT]", heard: object) -> None:
        match heard:
            case Claim(amount):
                self._claims.append((member, amount))
            case Done(result):
                member.finished().set_result(result)
            case Failed(error):
                member.finished().set_exception(error)
            case Unprepared(error):
                raise error
            case _:
                raise AssertionError(heard)

    def _grant(self) -> None:
        """First come, first served, so that nobody waits for ever. Alone, a job gets what it wants."""
        while self._claims:
            member, amount = self._claims[0]
            held = sum(m.held for m in self._members)
            if held and held + amount > self._capacity:
                return
            self._claims.popleft()
            member.held = amount
            member.send(None)


class _Member(Generic[ResultT]):
    """A worker as the pool sees it. ``future``: of the job that it is at; ``held``: bytes that it has claimed; ``seat``: its place."""

    def __init__(self, link: "Link", process: Any, seat: int) -> None:
        self.link = link
        self.process = process
        self.seat = seat
        self.future: Future[ResultT] | None = None
        self.held = 0

    def give(self, job: object) -> "Future[ResultT]":
        self.future = Future()
        self.send(job)
        return self.future

    def send(self, message: object) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # a worker that is lost is noticed where it is listened to
            self.link.send(message)

    def finished(self) -> "Future[ResultT]":
        future, self.future, self.held = self.future, None, 0
        assert future is not None
        return future

    def lost(self) -> None:
        """The process ended by itself or was killed."""
        self.end()
        if self.future is not None:
            self.finished().set_exception(_why(self.process.exitcode))

    def end(self) -> None:
        self.process.join(_PATIENCE)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        self.link.close()


def _why(exit_code: int) -> Exception:
    """What it means that a worker ended."""
    if exit_code == _KILLED:
        return OutOfMemory("the process at work on it was killed, most likely for want of memory")
    return RuntimeError(f"the process at work on it ended with code {exit_code}")


def _context(preload: Sequence[str]) -> Any:
    """Forking a process that has run threads is not safe; a server that has only imported what is needed can be forked."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context


@contextmanager
def _no_interrupt() -> Generator[None]:
    """Processes that start in here never hear Ctrl-C, not even before they can say so."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
