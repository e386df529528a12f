"""What measures of a whole suite keep of each picture until all are there: one file of arrays a row, beside the journal."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tokodec.atomic import write_whole
from tokodec.errors import InputError
from tokodec.eval.measure import Observation

_KEY = ("contestant", "identity", "setting", "picture")


class Observations:
    """Of one run. ``folder``: its own, below that of the results."""

    def __init__(self, results: Path) -> None:
        self._folder = results / "observations"

    def keep(self, row: Mapping[str, Any], kept: str, found: Observation) -> None:
        """Before the row is journaled, so that a row that is done has them."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **found)  # pyright: ignore[reportArgumentType]  its own flag is no name of ours
        path = self._path(row, kept)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, buffer.getvalue())

    def of(self, rows: Sequence[Mapping[str, Any]], kept: str) -> list[Observation]:
        """Those of rows, in order. Raises InputError where they were deleted."""
        return [self._load(row, kept) for row in rows]

    def _load(self, row: Mapping[str, Any], kept: str) -> Observation:
        path = self._path(row, kept)
        if not path.is_file():
            raise InputError(
                f"{path} is gone, without which measures of the whole suite cannot be taken: delete {self._folder.parent} and run again"
            )
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)

    def _path(self, row: Mapping[str, Any], kept: str) -> Path:
        key = json.dumps([row[name] for name in _KEY])
        return self._folder / kept / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
