"""What each Pillow mode means: one base picture (L, RGB, CMYK or LAB, 8 bits) and perhaps an alpha plane."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tokodec.errors import UnsupportedInput
from tokodec.media.picture import Bytes2D


@dataclass(frozen=True, kw_only=True)
class Samples:
    """8-bit samples in the source's own colours."""

    base: Image.Image
    """Mode L, RGB, CMYK or LAB."""
    alpha: Bytes2D | None = None


def samples_of(image: Image.Image) -> Samples:
    """The samples of a Pillow picture of at most 8 bits a sample. Raises UnsupportedInput."""
    reader = _READERS.get(image.mode)
    if reader is None:
        raise UnsupportedInput(f"pictures of Pillow mode {image.mode} are not supported: convert it to RGB or L first")
    return reader(image)


def mask_of(values: NDArray[Any], clear: Any) -> Bytes2D | None:
    """An alpha plane that is 0 where the samples, (h, w) or (h, w, c), equal ``clear``, else 255; None for no such value."""
    if isinstance(clear, int):
        return np.where(values == clear, np.uint8(0), np.uint8(255))
    if isinstance(clear, tuple) and values.ndim == 3 and len(clear) == values.shape[2]:
        equal: NDArray[np.bool_] = np.logical_and.reduce([values[..., channel] == clear[channel] for channel in range(len(clear))])
        return np.where(equal, np.uint8(0), np.uint8(255))
    return None


def _gray(image: Image.Image) -> Samples:
    gray = image.convert("L")
    clear = image.info.get("transparency")
    return Samples(base=gray, alpha=None if clear is None else mask_of(np.asarray(gray), clear))


def _colour(image: Image.Image) -> Samples:
    clear = image.info.get("transparency")
    return Samples(base=image, alpha=None if clear is None else mask_of(np.asarray(image), clear))


def _to_colour(image: Image.Image) -> Samples:
    return Samples(base=image.convert("RGB"))


def _as_it_is(image: Image.Image) -> Samples:
    return Samples(base=image)


def _gray_alpha(image: Image.Image) -> Samples:
    pairs = np.asarray(image.convert("LA"))
    return Samples(base=Image.fromarray(np.ascontiguousarray(pairs[..., 0])), alpha=np.ascontiguousarray(pairs[..., 1]))


def _colour_alpha(image: Image.Image) -> Samples:
    straight = image.convert("RGBA")
    return Samples(base=straight.convert("RGB"), alpha=np.asarray(straight.getchannel("A")))


def _palette(image: Image.Image) -> Samples:
    """Looked up. Gray when all its colours are gray; entries that the palette lacks are black."""
    colours = np.array(image.getpalette("RGBA") or [0, 0, 0, 255], np.uint8).reshape(-1, 4)
    table = np.zeros((256, 4), np.uint8)
    table[:, 3] = 255
    table[: len(colours)] = colours[:256]
    index = np.asarray(image)
    return Samples(base=_looked_up(table[:, :3], index), alpha=_palette_alpha(table[:, 3], index, image.info.get("transparency")))


def _looked_up(colours: NDArray[np.uint8], index: Bytes2D) -> Image.Image:
    if np.array_equal(colours[:, 0], colours[:, 1]) and np.array_equal(colours[:, 1], colours[:, 2]):
        return Image.fromarray(colours[:, 0][index])
    return Image.fromarray(colours[index])


def _palette_alpha(table: Bytes2D, index: Bytes2D, clear: object) -> Bytes2D | None:
    alpha = table.copy()
    if isinstance(clear, bytes):
        alpha[: len(clear)] = np.frombuffer(clear[:256], np.uint8)
    elif isinstance(clear, int) and 0 <= clear < 256:
        alpha[clear] = 0
    elif bool((alpha == 255).all()):
        return None
    return alpha[index]


def _no_white(image: Image.Image) -> Samples:
    raise UnsupportedInput(f"samples of mode {image.mode} (32-bit or float) have no defined white: convert to 8 or 16 bits first")


_READERS: Mapping[str, Callable[[Image.Image], Samples]] = {
    "1": _gray,
    "L": _gray,
    "LA": _gray_alpha,
    "La": _gray_alpha,
    "P": _palette,
    "PA": _colour_alpha,
    "RGB": _colour,
    "RGBX": _to_colour,
    "RGBA": _colour_alpha,
    "RGBa": _colour_alpha,
    "YCbCr": _to_colour,
    "HSV": _to_colour,
    "CMYK": _as_it_is,
    "LAB": _as_it_is,
    "I": _no_white,
    "F": _no_white,
}
