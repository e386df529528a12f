"""The three steps of every verb that codes pictures, and one input's way through them.

job ── read ──> what the file holds ── code: the networks ──> what came out ── finish: check, write ──> Result
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tokodec.cli.outcome import Failure, Outcome, Result
from tokodec.cli.paths import Job
from tokodec.errors import NoInput

ReadT = TypeVar("ReadT")
CodedT = TypeVar("CodedT")
MadeT = TypeVar("MadeT")
NextT = TypeVar("NextT")


class Work(ABC, Generic[ReadT, CodedT]):
    """What is done to one input. Each step may run in another thread than the one before it, several inputs one behind the other."""

    @abstractmethod
    def read(self, job: Job) -> ReadT:
        """What the input holds."""

    @abstractmethod
    def weight(self, read: ReadT) -> int:
        """Bytes of memory that it takes from here on, at most."""

    @abstractmethod
    def code(self, read: ReadT) -> CodedT:
        """Through the networks."""

    @abstractmethod
    def finish(self, coded: CodedT) -> Result:
        """Check it and write it: all of it or nothing."""


class Missing(Work[Job, Job]):
    """The work when no input is there: it needs no model."""

    def read(self, job: Job) -> Job:
        raise NoInput(f"{job.source}: no such file")

    def weight(self, read: Job) -> int:
        raise AssertionError

    def code(self, read: Job) -> Job:
        raise AssertionError

    def finish(self, coded: Job) -> Result:
        raise AssertionError


@dataclass(frozen=True, kw_only=True)
class Attempt(Generic[MadeT]):
    """One input between two steps: what the last one made, unless something failed; ``seconds`` of work so far."""

    job: Job
    made: MadeT | None
    seconds: float = 0.0
    failure: Failure | None = None

    @classmethod
    def begin(cls, job: Job) -> "Attempt[Job]":
        """Before the first step."""
        return Attempt(job=job, made=job)

    def then(self, step: Callable[[MadeT], NextT]) -> "Attempt[NextT]":
        """After one more step, which is left out when one before it failed. Raises BrokenPipeError: nobody listens any more."""
        if self.made is None:
            return Attempt(job=self.job, made=None, seconds=self.seconds, failure=self.failure)
        start = time.monotonic()
        made, failure = None, None
        try:
            made = step(self.made)
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - one bad file must not stop a batch, whatever is wrong with it
            failure = Failure.of(error)
        return Attempt(job=self.job, made=made, seconds=self.seconds + time.monotonic() - start, failure=failure)


def outcome(attempt: Attempt[Result]) -> Outcome:
    """After the last step."""
    return Outcome(job=attempt.job, seconds=attempt.seconds, result=attempt.made, failure=attempt.failure)
