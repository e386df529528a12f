"""More than 8 bits a sample, reduced by one rule: round(x * 255 / white), white being 65535 or 2**bits - 1.

Pillow has no mode for 16-bit colour: it keeps the high byte of each sample, which darkens by half a level. Its raw
decoders also come for the other byte order, and with that one they keep the low byte. Two passes give all 16 bits.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin

from tokodec.errors import UnsupportedInput
from tokodec.media.picture import Bytes2D
from tokodec.media.samples import Samples, mask_of

Deep = NDArray[np.uint16]

_ORDER = {"L": "little", "B": "big", "N": sys.byteorder}
_OTHER = {"little": "B", "big": "L"}
_OWN = {"little": "L", "big": "B"}
_STEP_ROWS = 64


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether a file just opened holds 16-bit colour, which Pillow alone would cut to 8 bits."""
    return bool(image.tile) and (";16" in _rawmode(image) or _is_planar_deep(image)) and not image.mode.startswith("I")


def deep_samples(image: ImageFile.ImageFile, reopen: Callable[[], ImageFile.ImageFile]) -> Samples:
    """8-bit samples of a file for which ``is_deep`` holds. ``image`` is loaded; its pixels mean nothing afterwards."""
    if _is_planar_deep(image):
        raise UnsupportedInput("16-bit TIFF with separate planes: save it with interleaved samples first")
    layout, _, order = _rawmode(image).partition(";16")
    if layout == "LA":
        return _gray_alpha(_load(image, "RGBA"))
    x = _both_bytes(image, reopen, layout.replace("a", "A"), _ORDER[order])
    if layout == "CMYK":
        return Samples(base=Image.frombytes("CMYK", (x.shape[1], x.shape[0]), narrow(x).tobytes()))
    if layout == "RGBa":
        return Samples(base=Image.fromarray(_divided(x[..., :3], x[..., 3:])), alpha=narrow(x[..., 3]))
    alpha = narrow(x[..., 3]) if layout == "RGBA" else mask_of(x, image.info.get("transparency"))
    return Samples(base=Image.fromarray(narrow(x[..., :3])), alpha=alpha)


def deep_gray(image: Image.Image) -> Samples:
    """8-bit samples of a gray picture of modes I;16, I;16B and I;16L."""
    x: Deep = np.asarray(image).astype(np.uint16, copy=False)
    white, tags = 65535, getattr(image, "tag_v2", {})
    if tags.get(TiffImagePlugin.BITSPERSAMPLE) == (12,):
        white = 4095
    gray = narrow(x, white)
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # white is zero; Pillow inverts 8 bits only
        gray = 255 - gray
    return Samples(base=Image.fromarray(gray), alpha=mask_of(x, image.info.get("transparency")))


def narrow(x: Deep, white: int = 65535) -> NDArray[np.uint8]:
    """round(x * 255 / white), exactly; ``white`` is odd, so there are no ties."""
    out = np.empty(x.shape, np.uint8)
    for top in range(0, x.shape[0], _STEP_ROWS):
        rows = x[top : top + _STEP_ROWS].astype(np.uint32)
        out[top : top + _STEP_ROWS] = np.minimum((rows * 255 + white // 2) // white, 255)
    return out


def _divided(colour: Deep, alpha: Deep) -> NDArray[np.uint8]:
    """8-bit colour out of 16-bit colour that was multiplied by alpha: round(c * 255 / a), 0 where a is 0."""
    out = np.empty(colour.shape, np.uint8)
    for top in range(0, colour.shape[0], _STEP_ROWS):
        c, a = colour[top : top + _STEP_ROWS].astype(np.uint32), alpha[top : top + _STEP_ROWS].astype(np.uint32)
        out[top : top + _STEP_ROWS] = np.minimum((c * 255 + a // 2) // np.maximum(a, 1), 255)
    return out


def _gray_alpha(pairs: NDArray[np.uint8]) -> Samples:
    """From gray and alpha, big-endian, read as if they were four 8-bit samples."""
    x = pairs.view(">u2").astype(np.uint16)
    return Samples(base=Image.fromarray(narrow(x[..., 0])), alpha=narrow(x[..., 1]))


def _both_bytes(image: ImageFile.ImageFile, reopen: Callable[[], ImageFile.ImageFile], layout: str, order: str) -> Deep:
    x = _load(image, f"{layout};16{_OWN[order]}").astype(np.uint16)
    x <<= 8
    x |= _load(reopen(), f"{layout};16{_OTHER[order]}")
    return x


def _load(image: ImageFile.ImageFile, rawmode: str) -> Bytes2D:
    image.tile = [tile._replace(args=_with_rawmode(tile.args, rawmode)) for tile in image.tile]
    image.load()
    return np.asarray(image)


def _rawmode(image: ImageFile.ImageFile) -> str:
    args: Any = image.tile[0].args
    return str(args[0] if isinstance(args, tuple) and args else args)


def _with_rawmode(args: Any, rawmode: str) -> Any:
    return (rawmode, *args[1:]) if isinstance(args, tuple) else rawmode


def _is_planar_deep(image: ImageFile.ImageFile) -> bool:
    tags: Any = getattr(image, "tag_v2", {})
    bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    return tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2 and len(bits) > 1 and max(bits) > 8
