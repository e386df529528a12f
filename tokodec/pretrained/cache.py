"""Weights of others that were pulled: one folder a model, with the converted weights and a note of where they come from.

The root is ``TOKODEC_HOME``, else ``tokodec`` in ``XDG_CACHE_HOME``, else ``~/.cache/tokodec``.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from tokodec.atomic import write_whole
from tokodec.errors import WeightsMismatch

WEIGHTS, NOTE = "model.safetensors", "source.json"


@dataclass(frozen=True, kw_only=True)
class Source:
    """``sha256`` of the file at ``commit`` of ``repo``, and ``converted_sha256`` of what was made of it."""

    repo: str
    file: str
    commit: str
    sha256: str
    licence: str
    converted_sha256: str


def root() -> Path:
    """The folder of all of it; it need not exist."""
    if home := os.environ.get("TOKODEC_HOME"):
        return Path(home)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tokodec"


def folder(name: str) -> Path:
    """Of one model."""
    return root() / "models" / name


def source(name: str) -> Source | None:
    """Where the pulled weights of a model come from; None where there are none or their note is damaged."""
    try:
        return Source(**json.loads((folder(name) / NOTE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def weights(name: str, of: Source) -> bytes:
    """The converted weights. Raises WeightsMismatch if they are not those that were written."""
    path = folder(name) / WEIGHTS
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != of.converted_sha256:
        raise WeightsMismatch(f"the pulled weights of {name} are damaged or not whole: tokodec models pull {name}")
    return data


def keep(name: str, of: Source) -> None:
    """Write the note, last: weights without one do not count."""
    write_whole(folder(name) / NOTE, (json.dumps(asdict(of), indent=1) + "\n").encode())
