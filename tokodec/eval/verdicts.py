"""What judges said of two pictures, kept: the same pictures in another suite, or beside other measures, are not looked at again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokodec.atomic import write_whole
from tokodec.eval.kept import Pixels8

VERSION = 1
"""Goes up when a judge says something else of the same pictures: then nothing older is found."""
Said = list[dict[str, Any]]


def key_of(original: Pixels8, decoded: Pixels8, circumstances: Mapping[str, Any]) -> str:
    """A hash of both pictures and of what else decides a verdict."""
    digest = hashlib.sha256(json.dumps([VERSION, original.shape, circumstances], sort_keys=True).encode())
    digest.update(original.tobytes())
    digest.update(decoded.tobytes())
    return digest.hexdigest()[:40]


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """In a folder, which several processes may use at a time."""

    folder: Path

    def find(self, key: str) -> Said | None:
        """What was said; what is damaged does not count."""
        try:
            found = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, list) else None

    def keep(self, key: str, said: Said) -> None:
        """Keep it."""
        self._path(key).parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._path(key), json.dumps(said).encode())

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.json"
