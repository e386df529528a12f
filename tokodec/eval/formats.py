"""Formats of pictures that anyone can read, as baselines write them: settings, options, versions."""

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import PIL
from PIL import Image, features

from tokodec.errors import InputError, MissingExtra


class Format(ABC):
    """``settings`` of its writer, from small to large files; one None where there is nothing to set."""

    settings: Sequence[float | None]

    @abstractmethod
    def require(self, name: str) -> None:
        """Raise InputError, MissingExtra or ModelNotFound where it cannot be written here. ``name``: of the baseline."""

    @abstractmethod
    def write(self, image: Image.Image, setting: float | None) -> bytes:
        """A whole file of an RGB picture."""

    @abstractmethod
    def read(self, data: bytes) -> Image.Image:
        """The picture in it."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """``writer``, ``options`` and ``versions``."""


Knob = Callable[[float], Mapping[str, Any]]


def quality(setting: float) -> Mapping[str, Any]:
    """The usual knob: 0 to 100."""
    return {"quality": int(setting)}


def ratio(setting: float) -> Mapping[str, Any]:
    """Of JPEG 2000: how many times smaller than 24 bits a pixel."""
    return {"quality_layers": [setting]}


@dataclass(frozen=True, kw_only=True)
class PillowFormat(Format):
    """A format of Pillow's own. ``options`` of its writer; ``library``: as ``PIL.features`` names it; ``knob``: what a setting sets."""

    kind: str
    library: str
    settings: Sequence[float | None]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    knob: Knob = quality

    def require(self, name: str) -> None:
        if features.version(self.library) is None:
            raise InputError(f"Pillow here was built without {self.library}: leave {name} out")

    def write(self, image: Image.Image, setting: float | None) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, self.kind, **({} if setting is None else self.knob(setting)), **self.options)
        return buffer.getvalue()

    def read(self, data: bytes) -> Image.Image:
        return Image.open(io.BytesIO(data)).convert("RGB")

    def identity(self) -> dict[str, Any]:
        versions = {"pillow": PIL.__version__, self.library: str(features.version(self.library))}
        return {"writer": self.kind, "options": dict(self.options), "versions": versions}


@dataclass(frozen=True, kw_only=True)
class JxlFormat(PillowFormat):
    """JPEG XL by the plugin pillow-jxl-plugin, with the libjxl in it."""

    kind: str = "JXL"
    library: str = "pillow-jxl-plugin"

    def require(self, name: str) -> None:
        if find_spec("pillow_jxl") is None:
            raise MissingExtra(f"the baseline {name}", "jxl")
        import_module("pillow_jxl")  # what makes Pillow know the format

    def identity(self) -> dict[str, Any]:
        versions = {"pillow": PIL.__version__, self.library: version(self.library)}
        return {"writer": self.kind, "options": dict(self.options), "versions": versions}


@dataclass(frozen=True, kw_only=True)
class HeicFormat(Format):
    """HEIC by pillow-heif: x265 in libheif. ``chroma``: 420 or 444; ``encoder``: parameters of x265."""

    chroma: int
    encoder: Mapping[str, str]
    settings: Sequence[float | None]

    def require(self, name: str) -> None:
        if find_spec("pillow_heif") is None:
            raise MissingExtra(f"the baseline {name}", "heif")

    def write(self, image: Image.Image, setting: float | None) -> bytes:
        import pillow_heif  # noqa: PLC0415  an extra

        assert setting is not None
        buffer = io.BytesIO()
        pillow_heif.from_pillow(image).save(buffer, quality=int(setting), chroma=self.chroma, enc_params=dict(self.encoder))
        return buffer.getvalue()

    def read(self, data: bytes) -> Image.Image:
        import pillow_heif  # noqa: PLC0415  an extra

        return pillow_heif.open_heif(io.BytesIO(data)).to_pillow().convert("RGB")

    def identity(self) -> dict[str, Any]:
        import pillow_heif  # noqa: PLC0415  an extra

        told = pillow_heif.libheif_info()
        versions = {"pillow-heif": version("pillow-heif"), "libheif": told["libheif"], "x265": told["HEIF"]}
        return {"writer": "HEIC", "options": {"chroma": self.chroma, **self.encoder}, "versions": versions}
