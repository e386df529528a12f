"""Classical codecs as contestants: a format with exact settings, at full or reduced size. A new one is a row of FORMATS."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from tokodec.errors import InputError
from tokodec.eval.commands import CommandFormat
from tokodec.eval.contestant import Contestant, Pixels8
from tokodec.eval.formats import Format, HeicFormat, JxlFormat, PillowFormat, ratio

_JPEG = (1, 3, 5, 8, 12, 18, 25, 35, 50, 65, 75, 85, 90, 95)
_AVIF = (1, 5, 10, 15, 22, 30, 40, 50, 60, 70, 80, 90)
_HEIC = (0, 3, 8, 15, 22, 30, 40, 50, 60, 70, 80, 90)
_RATIOS = (1200, 600, 400, 240, 160, 100, 60, 40, 24, 12, 6)
_DISTANCES = (25, 20, 15, 11, 8, 6, 4.5, 3.2, 2.2, 1.5, 1.0, 0.6)


def _jpeg(subsampling: str, **more: bool) -> PillowFormat:
    options = {"optimize": True, **more, "subsampling": subsampling}
    return PillowFormat(kind="JPEG", options=options, library="libjpeg_turbo", settings=_JPEG)


def _avif(subsampling: str, speed: int, **more: Any) -> PillowFormat:
    options = {"subsampling": subsampling, "speed": speed, "max_threads": 1, **more}
    return PillowFormat(kind="AVIF", options=options, library="avif", settings=_AVIF)


def _heic(chroma: int) -> HeicFormat:
    # Without a pool of threads: with one, as on every machine of several cores, x265 codes rows of blocks apart, and files are others.
    return HeicFormat(chroma=chroma, encoder={"preset": "slow", "tune": "psnr", "x265:pools": "none"}, settings=_HEIC)


FORMATS: Mapping[str, Format] = {
    "jpeg": _jpeg("4:2:0"),
    "jpeg_progressive": _jpeg("4:2:0", progressive=True),
    "jpeg_444": _jpeg("4:4:4"),
    "mozjpeg": CommandFormat(
        program="cjpeg",
        options=("-quality", "{setting}", "-sample", "2x2", "-outfile", "{output}", "{input}"),
        settings=_JPEG,
        suffix=".jpg",
        asked="-version",
        says="mozjpeg",
        origin="build mozilla/mozjpeg, or a package of your system",
    ),
    "jpegli": CommandFormat(
        program="cjpegli",
        options=("{input}", "{output}", "-q", "{setting}", "--chroma_subsampling=420"),
        settings=_JPEG,
        suffix=".jpg",
        asked="--help",
        says="cjpegli",
        origin="build google/jpegli, or libjxl's tools from 0.10 on",
    ),
    "webp": PillowFormat(kind="WEBP", options={"method": 6}, library="webp", settings=(0, 5, 10, 20, 30, 45, 60, 75, 85, 92, 97)),
    "avif": _avif("4:4:4", 6),
    "avif_420": _avif("4:2:0", 6),
    "avif_s4_psnr": _avif("4:4:4", 4, advanced={"tune": "psnr"}),
    "jpeg2000": PillowFormat(
        kind="JPEG2000",
        options={"quality_mode": "rates", "irreversible": True, "mct": 1, "no_jp2": True},
        library="jpg_2000",
        settings=_RATIOS,
        knob=ratio,
    ),
    "jxl": JxlFormat(options={"effort": 7, "num_threads": 1}, settings=(5, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95)),
    "jxl_cjxl": CommandFormat(
        program="cjxl",
        options=("{input}", "{output}", "-d", "{setting}", "-e", "7", "--num_threads=0"),
        settings=_DISTANCES,
        suffix=".jxl",
        asked="--version",
        says="cjxl",
        origin="apt install libjxl-tools, or a release of libjxl",
        reader="djxl",
    ),
    "heic": _heic(444),
    "heic_420": _heic(420),
    "png": PillowFormat(kind="PNG", options={"optimize": True}, library="zlib", settings=(None,)),
}
SHRINKS: Mapping[str, int] = {"": 1, "_ds2": 2, "_ds4": 4}
"""Suffixes of baselines that code a picture at a half or a quarter of its size: the honest classical rates below 0.1 bpp."""
BASELINES: Mapping[str, tuple[str, int]] = {f"{name}{suffix}": (name, factor) for name in FORMATS for suffix, factor in SHRINKS.items()}


class Baseline(Contestant):
    """A classical codec, maybe at reduced size: reduced by area, enlarged by bicubic interpolation.

    Raises InputError for an unknown name, and InputError, MissingExtra or ModelNotFound for one that cannot be written here.
    """

    def __init__(self, name: str) -> None:
        if name not in BASELINES:
            raise InputError(f"there is no baseline {name!r}; there are {', '.join(BASELINES)}")
        self.name = name
        key, self._factor = BASELINES[name]
        self._format = FORMATS[key]
        self._format.require(name)
        self.settings = self._format.settings

    def encode(self, picture: Pixels8, setting: float | None) -> bytes:
        image = Image.fromarray(picture)
        if self._factor == 1:
            return self._format.write(image, setting)
        small = image.resize((_part(image.width, self._factor), _part(image.height, self._factor)), Image.Resampling.BOX)
        # The size to enlarge to is not in the file: two numbers, which a user of this trick has to keep, are counted as four bytes.
        return self._format.write(small, setting) + _sides(picture)

    def decode(self, data: bytes) -> Pixels8:
        if self._factor == 1:
            return np.asarray(self._format.read(data))
        size = int.from_bytes(data[-4:-2], "little"), int.from_bytes(data[-2:], "little")
        return np.asarray(self._format.read(data[:-4]).resize(size, Image.Resampling.BICUBIC))

    def identity(self) -> dict[str, Any]:
        return {"kind": "baseline", "reduced": self._factor, **self._format.identity()}


def _part(side: int, factor: int) -> int:
    return max(-(-side // factor), 1)


def _sides(picture: Pixels8) -> bytes:
    height, width = picture.shape[:2]
    return width.to_bytes(2, "little") + height.to_bytes(2, "little")
