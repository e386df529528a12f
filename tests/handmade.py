"""Picture files and colour profiles made byte by byte: kinds that Pillow cannot write."""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]
_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind: bytes, data: bytes) -> bytes:
    """One PNG chunk with its CRC."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def make_png(x: Array, *chunks: tuple[bytes, bytes], bits: int = 16, interlaced: bool = False) -> bytes:
    """A PNG of samples (h, w, c), c samples of ``bits`` bits each: 16, 8, or for one channel 2 and 4."""
    h, w, c = x.shape
    passes = [x[y::dy, xs::dx] for xs, y, dx, dy in _ADAM7] if interlaced else [x]
    rows = b"".join(b"\0" + _png_row(row, bits) for part in passes if part.size for row in part)
    head = struct.pack(">IIBBBBB", w, h, bits, _COLOUR_TYPE[c], 0, 0, interlaced)
    extra = b"".join(chunk(kind, data) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _png_row(row: Array, bits: int) -> bytes:
    if bits >= 8:
        return row.astype(f">u{bits // 8}").tobytes()
    flat = row.reshape(-1)
    spread = (flat[:, None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(spread.astype(np.uint8).reshape(-1)).tobytes()


def make_tiff(x: Array, tags: Mapping[int, Sequence[int]], order: Literal["<", ">"] = "<", deflate: bool = False, pages: int = 1) -> bytes:
    """A TIFF with one strip of samples (h, w, c) or (c, h, w), as ``tags`` say. Every page is the same."""
    data = x.astype(x.dtype.newbyteorder(order)).tobytes()
    strip = zlib.compress(data) if deflate else data
    h, w = x.shape[:2] if tags.get(284, [1])[0] == 1 else x.shape[1:]
    values: dict[int, Sequence[int]] = {256: [w], 257: [h], 259: [8 if deflate else 1], 278: [h], 279: [len(strip)], **tags}
    if tags.get(284, [1])[0] == 2:
        values[279] = [len(strip) // x.shape[0]] * x.shape[0]
        values[273] = [8 + i * values[279][0] for i in range(x.shape[0])]
    else:
        values[273] = [8]
    body = strip + b"\0" * (len(strip) % 2)
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(body)) + body
    for page in range(pages):
        out += _ifd(values, order, len(out), last=page == pages - 1)
    return out


def _ifd(values: Mapping[int, Sequence[int]], order: str, at: int, last: bool) -> bytes:
    head, tail = struct.pack(f"{order}H", len(values)), b""
    after = at + 2 + 12 * len(values) + 4
    for tag in sorted(values):
        packed = struct.pack(f"{order}{len(values[tag])}I", *values[tag])
        if len(packed) > 4:
            where, tail = struct.pack(f"{order}I", after + len(tail)), tail + packed
        else:
            where = packed
        head += struct.pack(f"{order}HHI", tag, 4, len(values[tag])) + where
    return head + struct.pack(f"{order}I", 0 if last else after + len(tail)) + tail


def make_file(image: Image.Image, format: str, **options: Any) -> bytes:  # noqa: A002
    """A file that Pillow writes."""
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def make_icc(space: bytes, tags: Mapping[bytes, bytes], pcs: bytes = b"XYZ ") -> bytes:
    """An ICC profile, version 2, with these tags and the two texts that every profile has."""
    text = b"text" + bytes(4) + b"made by hand\0"
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"hand\0" + bytes(4 + 4 + 2 + 1 + 67)
    all_tags = {b"desc": name, b"cprt": text, b"wtpt": icc_xyz(0.9642, 1.0, 0.8249), **tags}
    table, body, at = struct.pack(">I", len(all_tags)), b"", 128 + 4 + 12 * len(all_tags)
    for tag, data in all_tags.items():
        table += tag + struct.pack(">II", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"test", 0x02400000, b"prtr" if space == b"CMYK" else b"mntr", space, pcs)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


def icc_xyz(*xyz: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in xyz))


def icc_gamma(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))


def icc_srgb_curve() -> bytes:
    x = np.linspace(0, 1, 1024)
    y = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return b"curv" + bytes(4) + struct.pack(">I", 1024) + (y * 65535).round().astype(">u2").tobytes()


def make_rgb_icc(red: Sequence[float], green: Sequence[float], blue: Sequence[float], curve: bytes) -> bytes:
    """An RGB profile of primaries (XYZ, D50) and one curve."""
    primaries = {b"rXYZ": icc_xyz(*red), b"gXYZ": icc_xyz(*green), b"bXYZ": icc_xyz(*blue)}
    return make_icc(b"RGB ", {**primaries, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def make_cmyk_icc() -> bytes:
    """A CMYK profile of two grid points an axis: any cyan is Lab (50, 0, 0), yellow raises b, black darkens."""
    grid = np.zeros((2, 2, 2, 2, 3))
    c, _, y, k = np.indices((2, 2, 2, 2))
    grid[..., 0] = np.where(k == 1, 0, np.where(c == 1, 50, 100))
    grid[..., 2] = np.where((k == 0) & (y == 1), 60, 0)
    lab = np.stack([grid[..., 0] * 2.55, grid[..., 1] + 128, grid[..., 2] + 128], -1).round().astype(np.uint8)
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + lab.tobytes() + ramp * 3
    return make_icc(b"CMYK", {b"A2B0": table}, pcs=b"Lab ")


def make_bmp_with_alpha(x: Array) -> bytes:
    """A BMP of 32 bits with an alpha mask (header version 4) of samples RGBA (h, w, 4)."""
    h, w = x.shape[:2]
    pixels = x[::-1, :, [2, 1, 0, 3]].astype(np.uint8).tobytes()
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack("<IiiHHIIiiII", 108, w, h, 1, 32, 3, len(pixels), 0, 0, 0, 0) + masks + b"BGRs" + bytes(48)
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(pixels), 0, 0, 14 + len(head)) + head + pixels


SRGB_PRIMARIES = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
P3_PRIMARIES = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
"""Of Display P3: red, green, blue as XYZ under D50."""
