"""Whoever turns a picture into the bytes of a file and back: models of the zoo, and classical codecs beside them."""

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL
from jaxtyping import UInt8
from PIL import Image, features

from tokodec import files
from tokodec.catalogue import model_info, resolve
from tokodec.codecs.prefix import PrefixCodec
from tokodec.errors import InputError
from tokodec.media.picture import Picture
from tokodec.rate import Length, Quality, Rate

IDS = "ids of a window"
"""What settings are where they are no qualities."""
Pixels8 = UInt8[np.ndarray, "h w 3"]


class Contestant(ABC):
    """``settings``: from small to large files. ``name``: as tables show it."""

    name: str
    settings: Sequence[float | None]

    @abstractmethod
    def encode(self, picture: Pixels8, setting: float | None) -> bytes:
        """A whole file."""

    @abstractmethod
    def decode(self, data: bytes) -> Pixels8:
        """The picture in it."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What decides its files: settings and versions, or a fingerprint."""


class Model(Contestant):
    """A codec or a discrete tokenizer of ours, on the CPU in stable numerics: .tkd files, read back as anyone would.

    ``name``: of the zoo, or of weights elsewhere, ``dir:FOLDER``, which are shown under that name. ``lengths``: where ids go from coarse to
    fine, settings are these numbers of ids of each window, as far as there are so many, instead of qualities.
    """

    def __init__(self, name: str, qualities: Sequence[float], lengths: Sequence[int] = ()) -> None:
        self._machine = files.Machine()
        elsewhere = ":" in name
        self.name = name if elsewhere else resolve(name)
        info = model_info(self._machine.codec(name).name if elsewhere else name)
        if info.kind not in files.FILE_KINDS:
            raise InputError(f"{name} is a {info.kind} model, which makes no files")
        self._codec = codec = self._machine.codec(self.name)
        asked = qualities if info.variable_rate else (None,)
        self._rates: dict[float | None, Rate] = {quality: Quality(quality) for quality in asked}
        self._by_length = bool(lengths) and isinstance(codec, PrefixCodec)
        if lengths and isinstance(codec, PrefixCodec):
            self._rates = {length: Length(length) for length in sorted({min(length, codec.row) for length in lengths})}
        self.settings = tuple(self._rates)

    def encode(self, picture: Pixels8, setting: float | None) -> bytes:
        return files.encode(Picture(rgb=picture), self._codec, self._rates[setting], self._machine).data

    def decode(self, data: bytes) -> Pixels8:
        return files.decode(data, files.Given(self._codec), self._machine).rgb

    def identity(self) -> dict[str, Any]:
        unit = {"unit": IDS} if self._by_length else {}
        return {"kind": "model", "fingerprint": self._codec.fingerprint.hex(), "numerics": "stable"} | unit


@dataclass(frozen=True, kw_only=True)
class PillowCodec:
    """A format of Pillow's. ``options`` of its writer; ``library``: as ``PIL.features`` names it; ``qualities`` of its writer."""

    kind: str
    options: Mapping[str, Any]
    library: str
    qualities: tuple[int, ...]


_JPEG = (1, 3, 5, 8, 12, 18, 25, 35, 50, 65, 75, 85, 90, 95)
PILLOW: Mapping[str, PillowCodec] = {
    "jpeg": PillowCodec(kind="JPEG", options={"optimize": True, "subsampling": "4:2:0"}, library="libjpeg_turbo", qualities=_JPEG),
    "jpeg_progressive": PillowCodec(
        kind="JPEG", options={"optimize": True, "progressive": True, "subsampling": "4:2:0"}, library="libjpeg_turbo", qualities=_JPEG
    ),
    "webp": PillowCodec(kind="WEBP", options={"method": 6}, library="webp", qualities=(0, 5, 10, 20, 30, 45, 60, 75, 85, 92, 97)),
    "avif": PillowCodec(
        kind="AVIF",
        options={"subsampling": "4:4:4", "speed": 6, "max_threads": 1},
        library="avif",
        qualities=(1, 5, 10, 15, 22, 30, 40, 50, 60, 70, 80, 90),
    ),
}
SHRINKS: Mapping[str, int] = {"": 1, "_ds2": 2, "_ds4": 4}
"""Suffixes of baselines that code a picture at a half or a quarter of its size: the honest classical rates below 0.1 bpp."""
BASELINES: Mapping[str, tuple[str, int]] = {f"{name}{suffix}": (name, factor) for name in PILLOW for suffix, factor in SHRINKS.items()}


class Baseline(Contestant):
    """A classical codec through Pillow, maybe at reduced size: reduced by area, enlarged by bicubic interpolation."""

    def __init__(self, name: str) -> None:
        if name not in BASELINES:
            raise InputError(f"there is no baseline {name!r}; there are {', '.join(BASELINES)}")
        self.name = name
        codec, self._factor = BASELINES[name]
        self._codec = PILLOW[codec]
        if features.version(self._codec.library) is None:
            raise InputError(f"Pillow here was built without {self._codec.library}: leave {name} out")
        self.settings = self._codec.qualities

    def encode(self, picture: Pixels8, setting: float | None) -> bytes:
        assert setting is not None
        image, buffer = Image.fromarray(picture), io.BytesIO()
        if self._factor > 1:
            image = image.resize((_part(image.width, self._factor), _part(image.height, self._factor)), Image.Resampling.BOX)
        image.save(buffer, self._codec.kind, quality=int(setting), **self._codec.options)
        # The size to enlarge to is not in the file: two numbers, which a user of this trick has to keep, are counted as four bytes.
        return buffer.getvalue() + (_sides(picture) if self._factor > 1 else b"")

    def decode(self, data: bytes) -> Pixels8:
        if self._factor == 1:
            return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        width, height = int.from_bytes(data[-4:-2], "little"), int.from_bytes(data[-2:], "little")
        image = Image.open(io.BytesIO(data[:-4])).convert("RGB")
        return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))

    def identity(self) -> dict[str, Any]:
        c = self._codec
        versions = {"pillow": PIL.__version__, c.library: str(features.version(c.library))}
        return {"kind": "baseline", "writer": c.kind, "options": dict(c.options), "reduced": self._factor, "versions": versions}


def _part(side: int, factor: int) -> int:
    return max(-(-side // factor), 1)


def _sides(picture: Pixels8) -> bytes:
    height, width = picture.shape[:2]
    return width.to_bytes(2, "little") + height.to_bytes(2, "little")


@dataclass(frozen=True, kw_only=True)
class Named:
    """A contestant by name, small enough to travel to another process.

    ``qualities``: of models of variable rate; ``lengths``: instead of them where ids go from coarse to fine, if any are given.
    """

    name: str
    baseline: bool
    qualities: tuple[float, ...] = ()
    lengths: tuple[int, ...] = ()

    def make(self) -> Contestant:
        """Loads what is needed. Raises InputError, ModelNotFound."""
        return Baseline(self.name) if self.baseline else Model(self.name, self.qualities, self.lengths)
