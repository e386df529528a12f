"""What kind of picture a file is, by its first bytes, and who opens it.

Pillow's own ``Image.open`` is not used: it tries some forty formats, and its limit of pixels is not ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from tokodec.errors import MissingExtra
from tokodec.media.headers import Shape, gif_shape, jxl_shape, webp_shape

HEAD_BYTES = 256
"""How much of a file ``sniff`` wants to see."""

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JXL_MAGIC = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")


@dataclass(frozen=True, kw_only=True)
class Format:
    """A kind of picture that can be read."""

    name: str
    suffixes: tuple[str, ...]
    accepts: Callable[[bytes], bool]
    """Says from the first HEAD_BYTES bytes whether a file is of this kind."""
    open: Callable[[BinaryIO], ImageFile.ImageFile]
    """Reads the header."""
    shape: Callable[[BinaryIO], Shape] | None = None
    """Where ``open`` would allocate or decode: what the header claims, read without it."""


def sniff(head: bytes) -> Format | None:
    """The format of a file that starts with ``head``, or None."""
    return next((f for f in FORMATS if f.accepts(head)), None)


def is_video(head: bytes) -> bool:
    """Whether a file that ``sniff`` does not know looks like a film (MP4, QuickTime, Matroska, AVI)."""
    return head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3" or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")


def _starts(*magic: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(magic)


def _is_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _is_avif(head: bytes) -> bool:
    return bool(_AVIF_BRANDS & _brands(head))


def _is_heif(head: bytes) -> bool:
    return bool(_HEIF_BRANDS & _brands(head))


def _brands(head: bytes) -> set[bytes]:
    """Major and compatible brands of an ISO base media file."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}


def _open_png(stream: BinaryIO) -> ImageFile.ImageFile:
    """Pillow widens gray samples of 2 and 4 bits to 8, but not the value that stands for clear: done here."""
    image = PngImagePlugin.PngImageFile(stream)
    clear = image.info.get("transparency")
    if isinstance(clear, int) and image.tile:
        image.info["transparency"] = clear * {"L;2": 85, "L;4": 17}.get(str(image.tile[0].args), 1)
    return image


def _open_heif(stream: BinaryIO) -> ImageFile.ImageFile:
    try:
        from pillow_heif import HeifImageFile  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra("HEIC", "heif") from error
    return HeifImageFile(stream)


def _open_jxl(stream: BinaryIO) -> ImageFile.ImageFile:
    try:
        from pillow_jxl.JpegXLImagePlugin import JXLImageFile  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra("JPEG XL", "jxl") from error
    return JXLImageFile(stream)


FORMATS = (
    Format(name="png", suffixes=(".png", ".apng"), accepts=_starts(b"\x89PNG\r\n\x1a\n"), open=_open_png),
    # the class, not Pillow's factory: a JPEG with a second picture behind it (gain map, stereo) is its first one
    Format(name="jpeg", suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"), accepts=_starts(b"\xff\xd8\xff"), open=JpegImagePlugin.JpegImageFile),
    Format(name="webp", suffixes=(".webp",), accepts=_is_webp, open=WebPImagePlugin.WebPImageFile, shape=webp_shape),
    Format(name="avif", suffixes=(".avif", ".avifs"), accepts=_is_avif, open=AvifImagePlugin.AvifImageFile),
    Format(name="tiff", suffixes=(".tif", ".tiff"), accepts=_starts(*_TIFF_MAGIC), open=TiffImagePlugin.TiffImageFile),
    Format(name="bmp", suffixes=(".bmp", ".dib"), accepts=_starts(b"BM"), open=BmpImagePlugin.BmpImageFile),
    Format(name="gif", suffixes=(".gif",), accepts=_starts(b"GIF87a", b"GIF89a"), open=GifImagePlugin.GifImageFile, shape=gif_shape),
    Format(name="heif", suffixes=(".heic", ".heif", ".hif"), accepts=_is_heif, open=_open_heif),
    Format(name="jxl", suffixes=(".jxl",), accepts=_starts(*_JXL_MAGIC), open=_open_jxl, shape=jxl_shape),
)
"""AVIF before HEIF: an AVIF may carry the general HEIF brand as well."""

INPUT_SUFFIXES = frozenset(suffix for f in FORMATS for suffix in f.suffixes)
"""Lower case. For choosing files in a folder; what a file is, its first bytes say."""
