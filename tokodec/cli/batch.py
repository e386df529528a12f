"""Does the jobs of a verb, one behind the other or in several processes. One bad file does not stop the others."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

from tokodec.cli import talk
from tokodec.cli.options import Computing, Running, Writing
from tokodec.cli.outcome import Outcome
from tokodec.cli.paths import Job, check
from tokodec.cli.pipeline import in_turn, overlapping
from tokodec.cli.steps import Missing, Work
from tokodec.cli.streams import shown
from tokodec.cli.workers import Crew
from tokodec.errors import CorruptFile, InputError, ModelNotFound, OutOfMemory

if TYPE_CHECKING:
    from tokodec.machine import Machine

SOME_FAILED = 3
SHARED = (ModelNotFound.exit_code, CorruptFile.exit_code, OutOfMemory.exit_code)
"""Codes that several inputs keep when all failures have the same one."""

Do = Callable[[Iterator[Job]], Generator[Outcome]]
"""Does jobs; asks for the next one when it begins it."""

Prepare = Callable[["Machine"], Work[Any, Any]]
"""Loads what the work needs. It is pickled when processes do the work."""


def carry_out(jobs: Sequence[Job], prepare: Prepare, writing: Writing, running: Running, computing: Computing) -> int:
    """Check all jobs, then do them; returns the exit code."""
    if running.json and any(job.target is None for job in jobs):
        raise InputError("--json and a result cannot both go to stdout: name an output with -o")
    todo = check(jobs, writing)
    wanted = set(todo)
    left_out = [job for job in jobs if job not in wanted]
    if writing.dry_run:
        return preview(todo, left_out, running)
    there = any(job.source is None or job.source.exists() for job in todo)
    do = doing(len(todo), prepare, running, computing) if there else partial(in_turn, Missing(), _never)
    return exit_code(run(todo, left_out, do, running), len(jobs))


def preview(todo: Sequence[Job], left_out: Sequence[Job], running: Running) -> int:
    """Say what would be done; returns the exit code."""
    for job in todo:
        if running.json:
            talk.put_json(Outcome(job=job, seconds=0.0).row())
        else:
            talk.put(f"{shown(job.source)} -> {shown(job.target)}")
    talk.say(f"{len(todo)} to do, {len(left_out)} left out; nothing was done")
    return 0


def run(jobs: Sequence[Job], left_out: Sequence[Job], do: Do, running: Running) -> list[Outcome]:
    """Do all jobs and tell of each, in their order. ``left_out`` are only reported."""
    progress = talk.progress(running, len(jobs))

    def begun() -> Iterator[Job]:
        for job in jobs:
            progress.start(shown(job.source))
            yield job

    outcomes: list[Outcome] = []
    try:
        with closing(do(begun())) as coming:
            for outcome in coming:
                outcomes.append(outcome)
                _report(outcome, progress, running)
    finally:
        progress.close()
    for job in left_out:
        _report(Outcome(job=job, seconds=0.0), progress, running)
    _sum_up(outcomes, len(jobs), len(left_out), running)
    return outcomes


def exit_code(outcomes: Iterable[Outcome], inputs: int) -> int:
    """Of a batch of so many inputs."""
    return shared_code([o.failure.code for o in outcomes if o.failure is not None], inputs)


def shared_code(failures: Iterable[int], inputs: int) -> int:
    """0 without failures, the code of a single input, the code that all failures share if it is 6, 7 or 8, or 3."""
    codes = set(failures)
    if not codes:
        return 0
    if len(codes) == 1 and (inputs == 1 or codes <= set(SHARED)):
        return codes.pop()
    return SOME_FAILED


def doing(count: int, prepare: Prepare, running: Running, computing: Computing) -> Do:
    """How so many jobs are done. A single one needs neither threads nor processes beside this one. Raises what ``prepare`` raises."""
    enough = _failed if running.fail_fast else _never
    workers = min(running.jobs, count)
    if workers > 1:
        return Crew(workers, partial(_prepared, prepare, computing, workers), computing.room(), running.verbose, enough).outcomes
    work = prepare(computing.machine(tiles=running.jobs))
    return partial(in_turn, work, enough) if count == 1 else partial(overlapping, work, enough, computing.room())


def _prepared(prepare: Prepare, computing: Computing, workers: int) -> Work[Any, Any]:
    """In each of so many processes."""
    return prepare(computing.machine(workers))


def _failed(outcome: Outcome) -> bool:
    return outcome.failure is not None


def _never(_: Outcome) -> bool:
    return False


def _report(outcome: Outcome, progress: talk.Progress, running: Running) -> None:
    if outcome.failure is not None and running.verbose:
        talk.show(outcome.failure.trace)
    progress.done(shown(outcome.job.source), outcome.line(), outcome.failure is None)
    if running.json:
        talk.put_json(outcome.row())


def _sum_up(outcomes: Sequence[Outcome], jobs: int, left_out: int, running: Running) -> None:
    failed = [o for o in outcomes if o.failure is not None]
    if jobs + left_out <= 1 or (running.quiet and not failed):
        return
    more = "".join(f", {count} {what}" for count, what in ((left_out, "left out"), (jobs - len(outcomes), "not begun")) if count)
    talk.say(f"{len(outcomes) - len(failed)} done, {len(failed)} failed{more}" + (":" if failed else ""))
    for outcome in failed:
        talk.say(f"  {shown(outcome.job.source)}")
