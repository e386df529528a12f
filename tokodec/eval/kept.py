"""Decoded pictures that are kept: a new measure, a page of the results or an interrupted run codes nothing a second time.

A PNG a picture, which any viewer opens; what coding it gave (bytes, seconds) stands in its text chunk, with what it was made of. The file
that it came out of lies beside it.
"""

import hashlib
import io
import json
import shutil
from abc import ABC, abstractmethod
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, PngImagePlugin

from tokodec.atomic import write_whole

Pixels8 = UInt8[np.ndarray, "h w 3"]

VERSION = 1
"""Goes up when what a contestant gets, or what is kept of it, changes: then nothing older is found."""
ORIGINAL = "original"
"""The identity under which pictures are kept as they went in."""
_CHUNK = "tokodec"
_RESERVE = 2 * 10**9
"""Bytes of the disk that are left alone."""


def cut_of(crop: str, frame: str) -> str:
    """What is coded of a picture: the crop rule of a suite, and what a frame shows of that."""
    return crop if frame == "native" else f"{crop}, {frame}"


@dataclass(frozen=True, kw_only=True)
class Key:
    """What decides a decoded picture, whatever is measured of it. ``picture``: SHA-256 of its file; ``crop``: see :func:`cut_of`."""

    identity: str
    setting: float | None
    picture: str
    crop: str

    @cached_property
    def words(self) -> str:
        """As JSON."""
        return json.dumps([VERSION, *astuple(self)])

    @cached_property
    def path(self) -> str:
        """Of its file in the folder."""
        digest = hashlib.sha256(self.words.encode()).hexdigest()
        return f"{digest[:2]}/{digest[2:40]}.png"


@dataclass(frozen=True, kw_only=True)
class Coded:
    """A decoded picture, what coding it gave, part of a row of the results, and the file; empty for pictures as they went in."""

    pixels: Pixels8
    figures: dict[str, Any]
    data: bytes


class Store(ABC):
    """Where decoded pictures are kept."""

    @abstractmethod
    def find(self, key: Key) -> Coded | None:
        """What is kept under that key; what is damaged does not count."""

    @abstractmethod
    def size(self, key: Key) -> tuple[int, int] | None:
        """Width and height of what is kept under that key."""

    @abstractmethod
    def keep(self, key: Key, coded: Coded) -> None:
        """Keep it, unless it is there or there is no room."""


class Nowhere(Store):
    """Nothing is kept."""

    def find(self, key: Key) -> Coded | None:
        return None

    def size(self, key: Key) -> tuple[int, int] | None:
        return None

    def keep(self, key: Key, coded: Coded) -> None:
        pass


@dataclass(frozen=True)
class Kept(Store):
    """In a folder, which several processes may use at a time. A disk that is nearly full gets no more."""

    folder: Path

    def find(self, key: Key) -> Coded | None:
        try:
            with Image.open(self.folder / key.path, formats=("PNG",)) as image:
                said = json.loads(image.info[_CHUNK])
                if said["key"] != key.words:
                    return None
                data = self._file(key).read_bytes()
                if hashlib.sha256(data).hexdigest() != said["file"]:
                    return None
                return Coded(pixels=np.asarray(image.convert("RGB")), figures=said["figures"], data=data)
        except (OSError, KeyError, TypeError, ValueError, SyntaxError, Image.DecompressionBombError):  # SyntaxError: a broken PNG
            return None

    def size(self, key: Key) -> tuple[int, int] | None:
        try:
            with Image.open(self.folder / key.path, formats=("PNG",)) as image:
                return image.size
        except OSError:
            return None

    def keep(self, key: Key, coded: Coded) -> None:
        path = self.folder / key.path
        if path.exists() and self.find(key) is not None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(path.parent).free > _RESERVE + coded.pixels.nbytes:
            write_whole(self._file(key), coded.data)
            write_whole(path, _png(key, coded))

    def _file(self, key: Key) -> Path:
        return (self.folder / key.path).with_suffix(".bin")


def _png(key: Key, coded: Coded) -> bytes:
    chunks, buffer = PngImagePlugin.PngInfo(), io.BytesIO()
    chunks.add_text(_CHUNK, json.dumps({"key": key.words, "figures": coded.figures, "file": hashlib.sha256(coded.data).hexdigest()}))
    Image.fromarray(coded.pixels).save(buffer, "PNG", compress_level=1, pnginfo=chunks)
    return buffer.getvalue()
