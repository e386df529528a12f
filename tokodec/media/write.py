"""A Picture as a PIL picture or a file. What each format holds and at which quality is in docs/pictures.md."""

import importlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tokodec.atomic import write_whole
from tokodec.errors import InputError, MissingExtra
from tokodec.media.colour import into_profile
from tokodec.media.foreign import foreign
from tokodec.media.picture import Bytes2D, Bytes3D, Picture

_TIFF_PREDICTOR = 317


def to_pil(picture: Picture) -> Image.Image:
    """Mode L or LA for gray pictures, else RGB or RGBA.

    With a kept profile the pixels are in its colours and the profile is in ``info["icc_profile"]``, so that viewers
    show what they showed before; else they are sRGB.
    """
    image = Image.fromarray(_one_channel(picture.rgb) if picture.gray else picture.rgb)
    profiled = into_profile(image, picture.icc)
    if profiled is not None:
        image = profiled
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    if profiled is not None:
        image.info["icc_profile"] = picture.icc
    return image


def write_picture(picture: Picture, target: Path | str | BinaryIO, format: str | None = None) -> None:  # noqa: A002
    """Write a picture in ``format``; for a path, the one that its suffix says will do.

    A path is written under a temporary name and renamed. Raises InputError for an unknown format, one that cannot
    hold the picture's transparency or its size; MissingExtra for HEIC and JPEG XL without their extra; TokodecError
    where the path cannot be written.
    """
    if isinstance(target, str):
        target = Path(target)
    if not isinstance(target, Path):
        target.write(encode_picture(picture, format or ""))
        return
    write_whole(target, encode_picture(picture, format or format_of(target)))


def encode_picture(picture: Picture, format: str) -> bytes:  # noqa: A002
    """The bytes of a file in this format. Raises what write_picture raises."""
    kind = _FORMATS.get(format)
    if kind is None:
        raise InputError(f"unknown picture format {format!r}: choose one of {', '.join(_FORMATS)}")
    if picture.alpha is not None and not kind.alpha:
        raise InputError(f"{kind.name} cannot hold transparency: choose png or webp, or flatten it (--alpha flatten=white)")
    if max(picture.width, picture.height) > kind.max_side:
        raise InputError(f"{kind.name} holds at most {kind.max_side} pixels a side, not {picture.width} x {picture.height}: choose png")
    image = to_pil(picture if kind.icc else replace(picture, icc=None))
    with foreign(f"{kind.name}: ", "cannot hold this picture, choose png"), io.BytesIO() as stream:
        kind.save(image, stream, kind)
        return stream.getvalue()


def format_of(path: Path) -> str:
    """The format that the suffix of a path says. Raises InputError."""
    name = _SUFFIXES.get(path.suffix.lower())
    if name is None:
        raise InputError(f"{path}: its name says no picture format that can be written ({', '.join(_FORMATS)})")
    return name


def _one_channel(rgb: Bytes3D) -> Bytes2D:
    """The rounded mean of three channels, which is the value itself where they are equal."""
    total: NDArray[np.uint16] = rgb.sum(axis=2, dtype=np.uint16)
    return ((total + 1) // 3).astype(np.uint8)


def _save(image: Image.Image, stream: BinaryIO, kind: "_Kind") -> None:
    profile = image.info.get("icc_profile")
    icc = {"icc_profile": profile} if profile else {}
    image.save(stream, kind.pillow, **_options(image, kind), **icc)


def _options(image: Image.Image, kind: "_Kind") -> dict[str, Any]:
    return {**kind.options, **(kind.alpha_options if "A" in image.mode else {})}


def _save_heif(image: Image.Image, stream: BinaryIO, kind: "_Kind") -> None:
    try:
        from pillow_heif import from_pillow  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra("HEIC", "heif") from error
    from_pillow(image).save(stream, **_options(image, kind))


def _save_jxl(image: Image.Image, stream: BinaryIO, kind: "_Kind") -> None:
    try:
        importlib.import_module("pillow_jxl")  # which makes it known to Pillow
    except ImportError as error:
        raise MissingExtra("JPEG XL", "jxl") from error
    _save(image, stream, kind)


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """A format that can be written."""

    name: str
    pillow: str
    suffixes: tuple[str, ...]
    alpha: bool = True
    icc: bool = True
    max_side: int = 2**20
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    alpha_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What keeps transparency exact in a lossy format."""
    save: Callable[[Image.Image, BinaryIO, "_Kind"], None] = _save


_FORMATS = {
    kind.name: kind
    for kind in (
        _Kind(name="png", pillow="PNG", suffixes=(".png",), options={"compress_level": 4}),
        _Kind(
            name="jpeg",
            pillow="JPEG",
            suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"),
            alpha=False,
            max_side=65500,
            options={"quality": 95, "subsampling": "4:4:4"},
        ),
        _Kind(
            name="webp",
            pillow="WEBP",
            suffixes=(".webp",),
            max_side=16383,
            options={"lossless": True, "exact": True, "quality": 50, "method": 2},
        ),
        _Kind(
            name="avif",
            pillow="AVIF",
            suffixes=(".avif",),
            max_side=32768,
            options={"quality": 95, "subsampling": "4:4:4", "speed": 9},
            alpha_options={"advanced": {"alpha:lossless": "1"}},
        ),
        _Kind(
            name="tiff",
            pillow="TIFF",
            suffixes=(".tif", ".tiff"),
            options={"compression": "tiff_adobe_deflate", "tiffinfo": {_TIFF_PREDICTOR: 2}},
        ),
        _Kind(name="bmp", pillow="BMP", suffixes=(".bmp", ".dib"), alpha=False, icc=False),
        _Kind(
            name="heif",
            pillow="HEIF",
            suffixes=(".heic", ".heif", ".hif"),
            max_side=16383,
            options={"quality": 95, "chroma": 444, "enc_params": {"preset": "ultrafast"}},
            alpha_options={"quality": -1, "matrix_coefficients": 0},
            save=_save_heif,
        ),
        _Kind(name="jxl", pillow="JXL", suffixes=(".jxl",), icc=False, options={"lossless": True, "effort": 4}, save=_save_jxl),
    )
}

_SUFFIXES = {suffix: kind.name for kind in _FORMATS.values() for suffix in kind.suffixes}

OUTPUT_FORMATS = tuple(_FORMATS)
"""Names that ``write_picture`` knows."""
