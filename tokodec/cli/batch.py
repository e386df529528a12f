"""Does the jobs of a verb one after the other or side by side. One bad file does not stop the others."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from tokodec.cli import talk
from tokodec.cli.options import Running, Writing
from tokodec.cli.paths import Job, check
from tokodec.cli.streams import shown
from tokodec.errors import CorruptFile, InputError, ModelNotFound, NoInput, OutOfMemory

SOME_FAILED = 3
SHARED = (ModelNotFound.exit_code, CorruptFile.exit_code, OutOfMemory.exit_code)
"""Codes that several inputs keep when all failures have the same one."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a job made. ``size``: bytes of its .tkd file; ``remark``: what else there is to say."""

    size: int
    pixels: int
    remark: str = ""

    @property
    def bpp(self) -> float:
        """Bits of the whole .tkd file per pixel."""
        return 8 * self.size / self.pixels


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A job that was tried."""

    job: Job
    seconds: float
    result: Result | None = None
    error: Exception | None = None

    def row(self) -> dict[str, object]:
        """The JSON object of ``--json``."""
        return {
            "input": shown(self.job.source),
            "output": shown(self.job.target),
            "bytes": self.result and self.result.size,
            "bpp": self.result and round(self.result.bpp, 6),
            "seconds": round(self.seconds, 3),
            "ok": self.error is None,
            "error": None if self.error is None else talk.complaint(self.error, shown(self.job.source)),
        }

    def line(self) -> str:
        """What is said of it on stderr."""
        source = shown(self.job.source)
        if self.error is not None:
            return f"tokodec: {talk.complaint(self.error, source)}"
        if self.result is None:
            return f"{source}: left out, {shown(self.job.target)} exists"
        remark = f", {self.result.remark}" if self.result.remark else ""
        return f"{source} -> {shown(self.job.target)}: {self.result.size} bytes, {self.result.bpp:.3f} bpp, {self.seconds:.1f} s{remark}"


Work = Callable[[Job], Result]


def carry_out(jobs: Sequence[Job], prepare: Callable[[], Work], writing: Writing, running: Running) -> int:
    """Check all jobs, then do them; returns the exit code. ``prepare`` loads what the work needs."""
    if running.json and any(job.target is None for job in jobs):
        raise InputError("--json and a result cannot both go to stdout: name an output with -o")
    todo = check(jobs, writing)
    left_out = [job for job in jobs if job not in todo]
    if writing.dry_run:
        return preview(todo, left_out, running)
    there = any(job.source is None or job.source.exists() for job in todo)
    return run(todo, left_out, prepare() if there else _missing, running)


def _missing(job: Job) -> Result:
    """The work when no input is there: it needs no model."""
    raise NoInput(f"{job.source}: no such file")


def preview(todo: Sequence[Job], left_out: Sequence[Job], running: Running) -> int:
    """Say what would be done; returns the exit code."""
    for job in todo:
        if running.json:
            talk.put_json(Outcome(job=job, seconds=0.0).row())
        else:
            talk.put(f"{shown(job.source)} -> {shown(job.target)}")
    talk.say(f"{len(todo)} to do, {len(left_out)} left out; nothing was done")
    return 0


def run(jobs: Sequence[Job], left_out: Sequence[Job], work: Work, running: Running) -> int:
    """Do all jobs and return the exit code. ``left_out`` are only reported."""
    progress = talk.progress(running, len(jobs))

    def attempt(job: Job) -> Outcome:
        progress.start(shown(job.source))
        start = time.monotonic()
        try:
            return Outcome(job=job, result=work(job), seconds=time.monotonic() - start)
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - one bad file must not stop a batch, whatever is wrong with it
            return Outcome(job=job, error=error, seconds=time.monotonic() - start)

    outcomes: list[Outcome] = []
    try:
        for outcome in _outcomes(jobs, attempt, running.jobs):
            outcomes.append(outcome)
            _report(outcome, progress, running)
            if running.fail_fast and outcome.error is not None:
                break
    finally:
        progress.close()
    for job in left_out:
        _report(Outcome(job=job, seconds=0.0), progress, running)
    _sum_up(outcomes, len(jobs), len(left_out), running)
    return exit_code([o.error for o in outcomes], len(jobs) + len(left_out))


def exit_code(errors: Sequence[Exception | None], inputs: int) -> int:
    """0, the code of the error of a single input, the code that all failures share if it is 6, 7 or 8, or 3."""
    codes = {talk.code_of(error) for error in errors if error is not None}
    if not codes:
        return 0
    if len(codes) == 1 and (inputs == 1 or codes <= set(SHARED)):
        return codes.pop()
    return SOME_FAILED


def _outcomes(jobs: Sequence[Job], attempt: Callable[[Job], Outcome], workers: int) -> Iterator[Outcome]:
    """Outcomes in the order of the jobs. When nobody wants more, jobs that have not begun are dropped."""
    if workers == 1 or len(jobs) == 1:
        yield from map(attempt, jobs)
        return
    with _pool(workers) as pool:
        futures: list[Future[Outcome]] = [pool.submit(attempt, job) for job in jobs]
        for future in futures:
            yield future.result()


@contextmanager
def _pool(workers: int) -> Generator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _report(outcome: Outcome, progress: talk.Progress, running: Running) -> None:
    if outcome.error is not None and running.verbose:
        talk.trace(outcome.error)
    progress.done(shown(outcome.job.source), outcome.line(), outcome.error is None)
    if running.json:
        talk.put_json(outcome.row())


def _sum_up(outcomes: Sequence[Outcome], jobs: int, left_out: int, running: Running) -> None:
    failed = [o for o in outcomes if o.error is not None]
    if jobs + left_out <= 1 or (running.quiet and not failed):
        return
    more = "".join(f", {count} {what}" for count, what in ((left_out, "left out"), (jobs - len(outcomes), "not begun")) if count)
    talk.say(f"{len(outcomes) - len(failed)} done, {len(failed)} failed{more}" + (":" if failed else ""))
    for outcome in failed:
        talk.say(f"  {shown(outcome.job.source)}")
