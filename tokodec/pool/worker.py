"""The life of a worker process: prepared once, then job after job until nobody is there to send any."""

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from types import FrameType
from typing import Any, TypeAlias

_TERMINATED = 128 + signal.SIGTERM
Link: TypeAlias = "Connection[Any, Any]"  # generic for type checkers only


@dataclass(frozen=True)
class Claim:
    """The bytes that a job needs. The answer means that they are there."""

    amount: int


@dataclass(frozen=True)
class Done:
    """What a job gave."""

    result: Any


@dataclass(frozen=True)
class Failed:
    """What a job raised."""

    error: Exception


@dataclass(frozen=True)
class Unprepared:
    """What preparing raised; no job will be done here."""

    error: Exception


_link: "Link | None" = None
_seat = 0


def seat() -> int:
    """Which of the workers that are there at a time this is: 0 to their number less 1, and 0 outside of a pool. A place goes on to the
    worker that takes a lost one's, so that each of several devices has its own."""
    return _seat


def claim(amount: int) -> None:
    """Wait until ``amount`` bytes are free and keep them to the end of the job; once a job. Outside of a pool there is no wait."""
    if _link is not None:
        _link.send(Claim(amount))
        _link.recv()


def live(link: "Link", prepare: Callable[[], Callable[[Any], Any]], seat: int) -> None:
    """Prepare, then answer every job with what came of it."""
    global _link, _seat
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what an interrupt means is for whoever started us to decide
    signal.signal(signal.SIGTERM, _leave)
    _link, _seat = link, seat
    try:
        work = prepare()
    except Exception as error:  # noqa: BLE001 - raised again where there are jobs
        link.send(Unprepared(portable(error)))
        return
    try:
        while True:
            link.send(_answer(work, link.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # nobody is there any more


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(_TERMINATED)  # on the way out, what was begun is removed


def _answer(work: Callable[[Any], Any], job: object) -> Done | Failed:
    try:
        return Done(work(job))
    except Exception as error:  # noqa: BLE001 - raised again where the result is wanted
        return Failed(portable(error))


def portable(error: Exception) -> Exception:
    """The error itself if it survives the way to another process, else its words."""
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))  # type: ignore[attr-defined]  # it is a static method
    except Exception:  # noqa: BLE001 - constructors of other people's errors may do anything
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
