"""All of a file, or of a folder of files, or nothing of it under its final name."""

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from tokodec.errors import TokodecError


def write_whole(path: Path, data: bytes) -> None:
    """Write a file through a temporary name in the same folder: written, flushed to disk, renamed.

    A link is followed; devices and pipes are written to as they are. Raises TokodecError where the folder or the
    disk does not allow it.
    """
    final = Path(os.path.realpath(path))
    try:
        if final.exists() and not final.is_file():
            final.write_bytes(data)
        else:
            _replace(final, data)
    except OSError as error:
        raise TokodecError(f"{path}: cannot write: {error.strerror or error}") from error


def _replace(final: Path, data: bytes) -> None:
    temporary = final.with_name(f".{final.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder: under a temporary name beside it, which is renamed; one that exists gets them once all are written.

    Raises TokodecError where the disk does not allow it.
    """
    final = Path(os.path.realpath(folder))
    temporary = final.with_name(f".{final.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir()
        for name, data in files.items():
            write_whole(temporary / name, data)
        if final.is_dir():
            for name in files:
                (temporary / name).replace(final / name)
        else:
            temporary.rename(final)
    except OSError as error:
        raise TokodecError(f"{folder}: cannot write: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
