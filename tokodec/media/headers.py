"""Sizes out of the headers of formats whose Pillow plugins allocate or decode as soon as they open a file.

GIF and WebP keep their size at a fixed place. JPEG XL packs it into bits, least significant first, at the start
of a codestream that may lie in a box of a container.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from tokodec.errors import UnsupportedInput

_JXL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a header claims."""

    width: int
    height: int
    animated: bool = False


def gif_shape(stream: BinaryIO) -> Shape:
    """The logical screen of a GIF."""
    width, height = struct.unpack("<HH", _exactly(stream, 10)[6:])
    return Shape(width=width, height=height)


def webp_shape(stream: BinaryIO) -> Shape:
    """The canvas of a WebP: lossy, lossless or extended."""
    head = _exactly(stream, 30)
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
        return Shape(width=width, height=height)
    if kind == b"VP8L" and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return Shape(width=(bits & 0x3FFF) + 1, height=(bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", head[26:30])
        return Shape(width=width & 0x3FFF, height=height & 0x3FFF)
    raise UnsupportedInput("damaged: no size in its header")


def jxl_shape(stream: BinaryIO) -> Shape:
    """Size and animation flag of a JPEG XL file."""
    bits = _Bits(_jxl_codestream(stream))
    width, height = _jxl_size(bits)
    animated = False
    if not bits.take(1) and bits.take(1):  # metadata that are not all default, with extra fields
        bits.take(3)  # orientation
        if bits.take(1):
            _jxl_size(bits)  # intrinsic size
        if bits.take(1):
            _jxl_preview(bits)
        animated = bool(bits.take(1))
    return Shape(width=width, height=height, animated=animated)


class _Bits:
    """Reads bits, least significant first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise UnsupportedInput("damaged: its header is cut off")
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return taken

    def choose(self, *options: tuple[int, int]) -> int:
        """Two bits choose (offset, bits): the value is the offset plus so many bits."""
        offset, count = options[self.take(2)]
        return offset + self.take(count)


def _jxl_size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)

    def side() -> int:
        return 8 * (1 + bits.take(5)) if small else bits.choose((1, 9), (1, 13), (1, 18), (1, 30))

    return _jxl_width(bits, side(), side)


def _jxl_preview(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)

    def side() -> int:
        if small:
            return 8 * bits.choose((16, 0), (32, 0), (1, 5), (33, 9))
        return bits.choose((1, 6), (65, 8), (321, 10), (1345, 12))

    return _jxl_width(bits, side(), side)


def _jxl_width(bits: _Bits, height: int, side: Callable[[], int]) -> tuple[int, int]:
    ratio = bits.take(3)
    if ratio == 0:
        return side(), height
    across, down = _JXL_RATIOS[ratio - 1]
    return height * across // down, height


def _jxl_codestream(stream: BinaryIO) -> bytes:
    """The first bytes of the codestream, without its two bytes of magic."""
    head = stream.read(2)
    if head != b"\xff\x0a":
        _enter_codestream_box(stream)
        head = stream.read(2)
    if head != b"\xff\x0a":
        raise UnsupportedInput("damaged: no JPEG XL codestream in it")
    return stream.read(64)


def _enter_codestream_box(stream: BinaryIO) -> None:
    """Leave ``stream`` at the first byte of the codestream of a container."""
    at = 0
    while True:
        stream.seek(at)
        size, kind = struct.unpack(">I4s", _exactly(stream, 8))
        if size == 1:
            (size,) = struct.unpack(">Q", _exactly(stream, 8))
        if kind == b"jxlp":
            _exactly(stream, 4)  # index of the part
        if kind in (b"jxlc", b"jxlp"):
            return
        if size < 8:
            raise UnsupportedInput("damaged: no JPEG XL codestream in it")
        at += size


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise UnsupportedInput("damaged: its header is cut off")
    return data
