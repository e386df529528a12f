"""What workers do in the tests of the pool: they find it by its name."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tokodec.errors import MissingExtra
from tokodec.pool.worker import claim, seat


class Awkward(Exception):
    """Cannot be made from its message."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def numbers() -> Callable[[int], int]:
    """Squares of numbers, the small ones last."""
    return _square


def _square(number: int) -> int:
    time.sleep(max(0.05 - number / 200, 0))
    return number * number


def never() -> Callable[[int], int]:
    """Cannot be prepared."""
    raise MissingExtra("counting", "numbers")


def troubles() -> Callable[[str], int]:
    """Several ways to fail."""
    return _trouble


def _trouble(what: str) -> int:
    match what:
        case "ours":
            raise MissingExtra("this", "that")
        case "awkward":
            raise Awkward(1, 2)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "ended":
            os._exit(3)
        case _:
            pass
    return os.getpid()


def seats() -> Callable[[bool], int]:
    """The place of each worker; one that is told to dies."""
    return _sit


def _sit(dies: bool) -> int:
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return seat()


def memory() -> Callable[[tuple[Path, int]], None]:
    """Claims, and writes down while it holds."""
    return _hold


def _hold(job: tuple[Path, int]) -> None:
    log, amount = job
    claim(amount)
    _note(log, f"{amount}\n")
    time.sleep(0.01)
    _note(log, f"{-amount}\n")


def _note(log: Path, text: str) -> None:
    with log.open("a") as stream:
        stream.write(text)


def slow() -> Callable[[Path], None]:
    """Never done; cleans up behind itself."""
    return _wait


def _wait(begun: Path) -> None:
    try:
        begun.touch()
        time.sleep(600)
    finally:
        begun.unlink()
