"""What is done already: one JSON object a line, each on disk before the next job begins, so that a kill loses one job at most."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokodec.errors import InputError
from tokodec.eval.protocol import Protocol, difference

Key = tuple[str, str, float | None, str]
"""Contestant, what decides its files, setting, picture."""


class Journal:
    """The rows of one protocol in one folder. Raises InputError when the folder holds those of another."""

    def __init__(self, folder: Path, protocol: Protocol) -> None:
        self._path = folder / "journal.jsonl"
        self.rows: dict[Key, dict[str, Any]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        lines = self._whole_lines()
        first = next(lines, None)
        if first is None:
            self._path.write_text("", encoding="utf-8")
            self._append({"protocol": protocol.row()})
            return
        other = first.get("protocol", {})
        if other.get("hash") != protocol.hash:
            raise InputError(
                f"{folder} holds results of the protocol {other.get('name')} ({other.get('hash')}), this run's is {protocol.name} "
                f"({protocol.hash}): {difference(protocol.row(), other)} differ; choose another folder (with --cache "
                f"{folder / 'cache'} it codes nothing again)"
            )
        self.rows = {_key(row): row for row in lines}

    def _whole_lines(self) -> Iterator[dict[str, Any]]:
        """Lines up to the first that a kill tore; what follows it is cut off."""
        if not self._path.is_file():
            return
        end = 0
        with self._path.open("rb") as file:
            for line in file:
                try:
                    row = json.loads(line)
                except ValueError:
                    break
                if not line.endswith(b"\n") or not isinstance(row, dict):
                    break
                end += len(line)
                yield row
        if end < self._path.stat().st_size:
            os.truncate(self._path, end)

    def add(self, row: Mapping[str, Any]) -> None:
        """Keep a row."""
        self.rows[_key(row)] = dict(row)
        self._append(row)

    def _append(self, row: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(row)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def done(self, contestant: str, identity: str) -> set[tuple[float | None, str]]:
        """Settings and pictures of which there is a result; what failed is tried again."""
        return {key[2:] for key, row in self.rows.items() if key[:2] == (contestant, identity) and row["error"] is None}


def _key(row: Mapping[str, Any]) -> Key:
    return row["contestant"], row["identity"], row["setting"], row["picture"]
