"""Pillow and its plugins at arm's length: none of their warnings, log lines and exceptions leaves."""

import logging
import os
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager

from PIL import Image

from tokodec.errors import OutOfMemory, TokodecError, UnsupportedInput


class _Silence:
    """Ignores warnings and Pillow's log while at least one thread is inside.

    Warning filters belong to the process: two threads that each saved and restored them would leave them changed,
    so the first one in saves and the last one out restores.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved = warnings.catch_warnings()
        self._log = logging.NullHandler()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.simplefilter("ignore")
                logging.getLogger("PIL").addHandler(self._log)  # or logging's last resort prints to stderr
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._saved.__exit__(None, None, None)
                logging.getLogger("PIL").removeHandler(self._log)


_silence = _Silence()


@contextmanager
def foreign(where: str, failed: str = "damaged or not supported") -> Generator[None]:
    """Run code that hands a user's bytes to Pillow. Whatever it raises becomes a TokodecError of one line.

    ``where`` starts the message: the name of the file and a colon, or nothing. ``failed`` stands before what Pillow says.
    """
    try:
        with _silence:
            yield
    except UnsupportedInput as error:
        raise UnsupportedInput(f"{where}{error}") from error
    except (TokodecError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except MemoryError as error:
        raise OutOfMemory(f"{where}not enough memory") from error
    except Image.DecompressionBombError as error:
        raise UnsupportedInput(f"{where}more pixels than Pillow allows in this format (PIL.Image.MAX_IMAGE_PIXELS)") from error
    except BaseException as error:  # Pillow names no set of exceptions, and panics of Rust plugins are no Exception
        raise UnsupportedInput(f"{where}{failed}: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """The first line of what an exception says, or its name."""
    return next(iter(str(error).splitlines()), "")[:200] or type(error).__name__


@contextmanager
def deaf_stderr() -> Generator[None]:
    """Send what C libraries print to the process's standard error to nowhere: libtiff reports damaged files there.

    It holds for the whole process, Python's own output included, so it is for programs, not for libraries.
    """
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
