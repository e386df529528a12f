"""Pictures in webdataset shards, read in any order.

Shards are uncompressed tars whose samples are ``KEY.webp`` (or png, jpg) beside ``KEY.json``. They are indexed once and
then read by offset, not streamed: the picture of any training step is a pure function of (seed, step), which is what
makes a killed run continue bit for bit. The layout is webdataset's, so its own loader reads the same files.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tokodec.errors import InputError

_SUFFIXES = (".webp", ".png", ".jpg", ".jpeg")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Where a picture lies, and what its JSON says."""

    shard: Path
    offset: int
    length: int
    key: str
    meta: dict[str, Any]

    def read(self) -> UInt8[np.ndarray, "h w 3"]:
        """The decoded picture."""
        with self.shard.open("rb") as file:
            file.seek(self.offset)
            data = file.read(self.length)
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    @property
    def name(self) -> str:
        """Of the picture among those of all shards: ``SHARD/KEY``, both without suffix."""
        return f"{self.shard.stem}/{self.key}"

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), from the JSON."""
        width, height = self.meta["size"]
        return width, height


def number_of(name: str) -> int:
    """The name of a picture as a number that fits a tensor: the first 60 bits of its SHA-256."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:15], 16)


def index(shards: Iterable[Path]) -> list[Sample]:
    """Every sample of the shards, in order of shard name and place. Raises InputError when there is none."""
    paths = sorted(shards)
    samples = [sample for path in paths for sample in _index_one(path)]
    if not samples:
        raise InputError(f"no pictures in {len(paths)} shards; a sample is KEY.webp (png, jpg) and KEY.json in a tar")
    return samples


def _index_one(path: Path) -> Iterable[Sample]:
    with tarfile.open(path, "r:") as tar:
        members = {Path(m.name): m for m in tar if m.isfile()}
        for name, member in members.items():
            side = members.get(name.with_suffix(".json"))
            if name.suffix in _SUFFIXES and side is not None:
                handle = tar.extractfile(side)
                assert handle is not None
                meta = json.load(handle)
                yield Sample(shard=path, offset=member.offset_data, length=member.size, key=str(name.with_suffix("")), meta=meta)


def split(samples: Sequence[Sample], validation_below: int = 8) -> tuple[list[Sample], list[Sample]]:
    """(training, validation) by the first byte of the original's SHA-256, so that two crops of one original stay together."""
    held = [int(s.meta["sha256"][:2], 16) < validation_below for s in samples]
    train = [s for s, h in zip(samples, held, strict=True) if not h]
    validation = [s for s, h in zip(samples, held, strict=True) if h]
    return train, validation
