"""What becomes of transparency, and the lossless coder of an alpha plane.

Bytes of a plane of w x h values, rows top down, each row left to right:

    method  bytes after it   meaning
    0       v                every value is v
    1       a, b, DEFLATE    two values: one bit a pixel, most significant first, each row filled up to whole bytes;
                             0 stands for a, 1 for b
    4       DEFLATE          the values themselves, w * h bytes
    5       DEFLATE          each value minus its left neighbour, modulo 256 (0 left of the first column)
    6       DEFLATE          each value minus its upper neighbour, modulo 256 (0 above the first row)
    7       DEFLATE          left differences of the upper differences: both of the above, in either order

``method`` is one byte; DEFLATE is one raw stream of RFC 1951 that ends with the plane and gives exactly the bytes
that the method needs. There is no length and no checksum: the container has both. Other methods are reserved.
"""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from PIL import ImageColor

from tokodec.errors import CorruptFile, InputError
from tokodec.media.picture import Bytes2D, Bytes3D, Picture

_CONSTANT, _TWO_VALUES, _PLAIN, _LEFT, _UP, _LEFT_UP = 0, 1, 4, 5, 6, 7

_LEVEL = 9
_BLOCK_BYTES = 2**20
"""Rows are filtered and blended in blocks of about this many values, so that no second plane is allocated."""
_PIECE_BYTES = 2**14
"""DEFLATE expands at most 1032 times: a piece gives at most 17 MB at once."""
_MOST_EXPANSION = 1032


class AlphaRule(ABC):
    """What becomes of the transparency of a picture."""

    @abstractmethod
    def apply(self, picture: Picture) -> Picture:
        """The picture under this rule."""


@dataclass(frozen=True)
class KeepAlpha(AlphaRule):
    """Kept losslessly."""

    def apply(self, picture: Picture) -> Picture:
        return picture


@dataclass(frozen=True)
class DropAlpha(AlphaRule):
    """Forgotten; clear pixels show the colours below."""

    def apply(self, picture: Picture) -> Picture:
        return replace(picture, alpha=None)


@dataclass(frozen=True)
class FlattenAlpha(AlphaRule):
    """Laid over one colour: any opaque colour that Pillow's ImageColor knows, or #rrggbb. Raises InputError for others."""

    colour: str

    def __post_init__(self) -> None:
        _ = self.rgb

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as 8-bit sRGB."""
        try:
            channels = ImageColor.getrgb(self.colour)
        except ValueError as error:
            raise InputError(f"unknown colour {self.colour!r}: a name such as white, or #rrggbb") from error
        if len(channels) != 3:
            raise InputError(f"colour {self.colour!r} is not opaque: a name such as white, or #rrggbb")
        return channels

    def apply(self, picture: Picture) -> Picture:
        if picture.alpha is None:
            return picture
        colour = self.rgb
        return replace(picture, rgb=_over(picture.rgb, picture.alpha, colour), alpha=None, gray=picture.gray and len(set(colour)) == 1)


def parse_alpha_rule(text: str) -> AlphaRule:
    """The rule of ``keep``, ``drop`` or ``flatten=COLOUR``. Raises InputError."""
    verb, _, colour = text.partition("=")
    if verb == "flatten" and colour:
        return FlattenAlpha(colour)
    if text == "keep":
        return KeepAlpha()
    if text == "drop":
        return DropAlpha()
    raise InputError(f"unknown rule for alpha {text!r}: keep, drop or flatten=COLOUR")


def encode_plane(alpha: Bytes2D) -> bytes:
    """The bytes of an alpha plane, uint8 (h, w)."""
    low, high = int(alpha.min()), int(alpha.max())
    if low == high:
        return bytes([_CONSTANT, low])
    if bool(((alpha == low) | (alpha == high)).all()):
        return bytes([_TWO_VALUES, low, high]) + _deflate(np.packbits(alpha == high, axis=1), _LEVEL)
    method = min((_PLAIN, _LEFT, _UP, _LEFT_UP), key=lambda m: len(_deflate(_some_rows(_differences(alpha, m)), 1)))
    return bytes([method]) + _deflate(_differences(alpha, method), _LEVEL)


def decode_plane(data: bytes, width: int, height: int) -> Bytes2D:
    """An alpha plane, uint8 (height, width). Raises CorruptFile.

    Allocates width * height bytes and at most about 20 MB beside them, and nothing when ``data`` is too short to
    hold so many.
    """
    if len(data) < 2:
        raise CorruptFile("the alpha plane is cut off")
    method = data[0]
    if method == _CONSTANT:
        return _constant(data, width, height)
    if method == _TWO_VALUES:
        return _two_values(data, width, height)
    if method not in (_PLAIN, _LEFT, _UP, _LEFT_UP):
        raise CorruptFile(f"unknown method {method} of the alpha plane")
    plane = _inflate(data[1:], width * height).reshape(height, width)
    _add_up(plane, method)
    return plane


def _constant(data: bytes, width: int, height: int) -> Bytes2D:
    if len(data) != 2:
        raise CorruptFile("the alpha plane is longer than it should be")
    return np.full((height, width), data[1], np.uint8)


def _two_values(data: bytes, width: int, height: int) -> Bytes2D:
    if len(data) < 3:
        raise CorruptFile("the alpha plane is cut off")
    packed = _inflate(data[3:], height * ((width + 7) // 8)).reshape(height, -1)
    plane = np.unpackbits(packed, axis=1, count=width)
    plane *= np.uint8((data[2] - data[1]) % 256)
    plane += np.uint8(data[1])
    return plane


def _differences(alpha: Bytes2D, method: int) -> Bytes2D:
    residual = alpha.copy()
    if method in (_LEFT, _LEFT_UP):
        residual[:, 1:] -= alpha[:, :-1]
    if method in (_UP, _LEFT_UP):
        residual[1:] -= residual[:-1].copy()
    return residual


def _add_up(plane: Bytes2D, method: int) -> None:
    """Undo ``_differences`` in place."""
    rows = _block_rows(plane)
    for top in range(0, plane.shape[0], rows):
        block = plane[top : top + rows]
        if method in (_LEFT, _LEFT_UP):
            np.cumsum(block.copy(), axis=1, dtype=np.uint8, out=block)
        if method in (_UP, _LEFT_UP):
            if top:
                block[0] += plane[top - 1]
            np.cumsum(block.copy(), axis=0, dtype=np.uint8, out=block)


def _some_rows(residual: Bytes2D) -> Bytes2D:
    """Enough rows to choose a method by: all of a small plane, an even share of a large one."""
    return residual[:: max(1, residual.size // _BLOCK_BYTES)]


def _block_rows(plane: Bytes2D) -> int:
    return max(1, _BLOCK_BYTES // plane.shape[1])


def _deflate(values: Bytes2D, level: int) -> bytes:
    coder = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return coder.compress(np.ascontiguousarray(values).data) + coder.flush()


def _inflate(data: bytes, size: int) -> Bytes2D:
    """Exactly ``size`` bytes out of one DEFLATE stream that is exactly ``data``."""
    if size > len(data) * _MOST_EXPANSION:
        raise CorruptFile("the alpha plane is too short for the size of the picture")
    out, filled = np.empty(size, np.uint8), 0
    for piece in _pieces(data, size):
        out[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    if filled != size:
        raise CorruptFile("the alpha plane is cut off")
    return out


def _pieces(data: bytes, room: int) -> Generator[bytes]:
    """What a DEFLATE stream gives, in pieces, as long as it fits into ``room`` bytes."""
    coder = zlib.decompressobj(-zlib.MAX_WBITS)
    for start in range(0, len(data), _PIECE_BYTES):
        try:
            piece = coder.decompress(data[start : start + _PIECE_BYTES], room + 1)
        except (zlib.error, EOFError) as error:
            raise CorruptFile("the alpha plane is damaged") from error
        if len(piece) > room or coder.unused_data:
            raise CorruptFile("the alpha plane is longer than it should be")
        room -= len(piece)
        yield piece
    if not coder.eof:
        raise CorruptFile("the alpha plane is cut off")


def _over(rgb: Bytes3D, alpha: Bytes2D, colour: tuple[int, int, int]) -> Bytes3D:
    """round((c * a + colour * (255 - a)) / 255), exactly; 255 is odd, so there are no ties."""
    out = np.empty(rgb.shape, np.uint8)
    below = np.array(colour, np.uint16)
    rows = _block_rows(alpha)
    for top in range(0, rgb.shape[0], rows):
        a = alpha[top : top + rows, :, None].astype(np.uint16)
        out[top : top + rows] = (rgb[top : top + rows] * a + below * (255 - a) + 127) // 255
    return out
