"""Files, stdin and stdout as bytes. ``None`` as a path stands for the stream."""

import sys
from io import BufferedReader
from pathlib import Path

from tokodec.entropy.container import MAGIC, unpack
from tokodec.errors import InputError, NoInput, TokodecError, UnsupportedInput


def shown(path: Path | None) -> str:
    """A path as messages and JSON name it; ``-`` is a stream."""
    return "-" if path is None else str(path)


def read_stdin() -> bytes:
    """All of stdin. Raises InputError when it is closed."""
    return _stdin().read()


def first_of_stdin(count: int) -> bytes:
    """At most ``count`` bytes of stdin, which are still to be read afterwards. Raises InputError when it is closed."""
    return _stdin().peek(count)[:count]


def _stdin() -> BufferedReader:
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]  # what a closed one becomes
        raise InputError("stdin is closed")
    return sys.stdin.buffer  # type: ignore[return-value]  # which is what it always is


def read_tkd(path: Path | None) -> bytes:
    """The bytes of a file, of which more than the first few are read only if those are a .tkd file's.

    Raises NoInput, UnsupportedInput and CorruptFile.
    """
    if path is None:
        return read_stdin()
    try:
        with path.open("rb") as stream:
            head = stream.read(len(MAGIC))
            if head != MAGIC:
                unpack(head)  # which says what is wrong
            return head + stream.read()
    except FileNotFoundError:
        raise NoInput("no such file") from None
    except (OSError, ValueError) as error:
        raise UnsupportedInput(f"cannot read: {getattr(error, 'strerror', None) or error}") from None


def refuse_terminal() -> None:
    """Raises InputError when stdout is closed, or a terminal, which bytes would confuse."""
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise InputError("stdout is closed")
    if sys.stdout.isatty():
        raise InputError("not writing bytes to a terminal: redirect stdout, or name an output with -o")


def write_stdout(data: bytes) -> None:
    """All of ``data`` to stdout. Raises TokodecError."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise TokodecError(f"cannot write to stdout: {error.strerror or error}") from None
