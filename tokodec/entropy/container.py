"""The .tkd file: a header, typed segments, checksums. docs/format.md specifies it byte by byte.

    magic 8 | major u8 | minor u8 | flags u8 | length varint | CRC-32 | header body
    kind u8 | length varint | CRC-32 | data                                            one a segment
    0x00    | CRC-32 of everything before it

A checksum stands before the bytes that it covers. CRC-32 of data followed by its own CRC-32 is a constant, so with
checksums behind the data the last CRC-32 would not notice a whole segment out of another file of ours.

A file in layers (one with an L segment) may be cut behind any P: it is then read as far as it goes.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from zlib import crc32

from tokodec.entropy.cursor import MAX_U32, Cursor, u32, varint
from tokodec.errors import CorruptFile, InputError

MAGIC = b"\xd4TKD\r\n\x1a\n"
VERSION = (0, 0)
MAX_SEGMENTS = 65_536
MAX_HEADER = 65_535
MAX_SIDE = 2**20
DEFAULT_MAX_PIXELS = 2**28
"""The same limits as those of pictures (tokodec/media/limits.py stands on our own floor; a test compares)."""

_EXPERIMENTAL, _GRAY = 1, 2
_END = 0
_MODEL = re.compile(r"[a-z0-9_.:/@-]{1,64}")


class Kind(IntEnum):
    """Kinds of segments that this version knows: ASCII letters, a reader skips a lower-case one that it does not know.

    Reserved for later versions: V time line, D deep samples, e EXIF, x XMP, r preview, o offsets.
    """

    PAYLOAD = ord("P")
    ALPHA = ord("A")
    ICC = ord("i")
    TEXT = ord("t")
    TILES = ord("T")
    LAYERS = ord("L")


_SINGLE = (Kind.ALPHA, Kind.ICC, Kind.TILES, Kind.LAYERS)
_PLANS = (Kind.TILES, Kind.LAYERS)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """``kind`` is the code of an ASCII letter; ``data`` has less than 2**32 bytes."""

    kind: int
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Extension:
    """A header field that this version does not know; kept as it is. ``tag`` is 0..255."""

    tag: int
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Header:
    """What is known of the picture without weights. ``width`` and ``height`` in pixels, 1..2**20."""

    model: str
    """1 to 64 of a-z 0-9 _ . : / @ -"""
    fingerprint: bytes
    """8 bytes that name weights, settings and tables."""
    width: int
    height: int
    gray: bool
    """The source picture was gray."""
    symbol_crc: int
    """CRC-32 of the decoded symbols; each model says over which bytes."""
    version: tuple[int, int] = VERSION
    """Major and minor; a change of major breaks readers."""
    extensions: tuple[Extension, ...] = ()
    """Tags strictly ascending."""


@dataclass(frozen=True, kw_only=True)
class TkdFile:
    """A file: ``pack`` and ``unpack`` are inverse where nothing of it is ``lost``."""

    header: Header
    segments: tuple[Segment, ...]
    lost: str = ""
    """What became of the rest of a file in layers that is not whole; its segments end with a layer."""

    @property
    def payloads(self) -> list[bytes]:
        """The data of each P segment."""
        return [s.data for s in self.segments if s.kind == Kind.PAYLOAD]

    @property
    def payload(self) -> bytes:
        """The data of all P segments, joined in their order."""
        return b"".join(self.payloads)

    @property
    def payload_bytes(self) -> int:
        """Bytes of entropy-coded data: the lengths of all P segments' data, summed."""
        return sum(map(len, self.payloads))

    @property
    def experimental(self) -> bool:
        """Whether later releases may be unable to read this file: true for version 0."""
        return self.header.version[0] == 0

    def segment(self, kind: int) -> bytes | None:
        """Data of the first segment of this kind."""
        return next((s.data for s in self.segments if s.kind == kind), None)


def pack(file: TkdFile) -> bytes:
    """The bytes of a file. Raises InputError for what the format cannot hold."""
    fault = _header_fault(file.header) or _segments_fault(file.segments)
    if file.lost:
        fault = f"what is left of a file cannot be packed as a whole one: {file.lost}"
    if fault:
        raise InputError(fault)
    body = _header_body(file.header)
    flags = _EXPERIMENTAL | (_GRAY if file.header.gray else 0)
    start = MAGIC + bytes((*file.header.version, flags)) + varint(len(body))
    parts = [start, u32(crc32(body, crc32(start))), body]
    for segment in file.segments:
        kind = bytes((segment.kind,))
        parts += kind, varint(len(segment.data)), u32(crc32(segment.data, crc32(kind))), segment.data
    whole = b"".join((*parts, bytes((_END,))))
    return whole + u32(crc32(whole))


def unpack(data: bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> TkdFile:
    """The file that these bytes hold: a whole one, or one in layers that is cut exactly behind one of them.

    Raises CorruptFile for all other bytes, for a version or contents that we do not know, and for a picture of more than
    ``max_pixels``. Time and memory are linear in the bytes present, whatever they claim.
    """
    cursor = Cursor(memoryview(data), "the file")
    header, segments = _begun(cursor, max_pixels), list[Segment]()
    for segment in _read_segments(cursor):
        segments.append(segment)
        if not cursor.left and segment.kind == Kind.PAYLOAD and _layered(segments):
            return _left(header, segments, "the file was cut behind a layer")
    return _ended(cursor, header, segments)


def salvage(data: bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> TkdFile:
    """The same; of a file in layers that is damaged or cut anywhere, the layers before that. Raises CorruptFile where there are none."""
    cursor = Cursor(memoryview(data), "the file")
    header, segments = _begun(cursor, max_pixels), list[Segment]()
    try:
        for segment in _read_segments(cursor):
            segments.append(segment)
        return _ended(cursor, header, segments)
    except CorruptFile as error:
        while segments and segments[-1].kind != Kind.PAYLOAD:
            segments.pop()
        if not _layered(segments):
            raise
        return _left(header, segments, str(error))


def _begun(cursor: Cursor, max_pixels: int) -> Header:
    header = _read_header(cursor)
    if header.width * header.height > max_pixels:
        raise CorruptFile(f"the file claims {header.width} x {header.height} pixels; the limit is {max_pixels} pixels")
    return header


def _layered(segments: Sequence[Segment]) -> bool:
    return any(s.kind == Kind.LAYERS for s in segments)


def _left(header: Header, segments: Sequence[Segment], lost: str) -> TkdFile:
    if fault := _segments_fault(segments):
        raise CorruptFile(fault)
    return TkdFile(header=header, segments=tuple(segments), lost=lost)


def _ended(cursor: Cursor, header: Header, segments: Sequence[Segment]) -> TkdFile:
    """The file, after its end was looked at."""
    if fault := _segments_fault(segments):
        raise CorruptFile(fault)
    before = cursor.at
    if cursor.u32("its last checksum") != crc32(cursor.view[:before]):
        raise CorruptFile("the checksum of the whole file is wrong: the file is damaged")
    if cursor.left:
        raise CorruptFile(f"{cursor.left} bytes follow the end of the file")
    return TkdFile(header=header, segments=tuple(segments))


def _read_header(cursor: Cursor) -> Header:
    _check_magic(bytes(cursor.view[: len(MAGIC)]))
    cursor.take(len(MAGIC), "its first bytes")
    version = (cursor.u8("its version"), cursor.u8("its version"))
    if version[0] > VERSION[0]:
        raise CorruptFile(f"the file is of format version {version[0]}.{version[1]}, this reads version {VERSION[0]}: update tokodec")
    flags = cursor.u8("its flags")
    length = cursor.varint("the length of the header")
    if length > MAX_HEADER:
        raise CorruptFile(f"the header claims {length} bytes; the limit is {MAX_HEADER} bytes")
    start = cursor.view[: cursor.at]
    crc = cursor.u32("the checksum of the header")
    body = cursor.take(length, "the header")
    if crc32(body, crc32(start)) != crc:
        raise CorruptFile("the checksum of the header is wrong: the file is damaged")
    if flags | _GRAY != _EXPERIMENTAL | _GRAY:
        raise CorruptFile(f"the flags 0x{flags:02x} are unknown: the file needs another version of tokodec")
    header = _read_header_body(Cursor(body, "the header"), gray=bool(flags & _GRAY), version=version)
    if fault := _header_fault(header):
        raise CorruptFile(fault)
    return header


def _check_magic(first: bytes) -> None:
    if MAGIC.startswith(first):
        return
    if b"TKD" in first:
        raise CorruptFile("the first bytes show a transfer in text mode, which damaged the file: transfer it again as binary")
    raise CorruptFile("this is not a .tkd file")


def _read_header_body(cursor: Cursor, *, gray: bool, version: tuple[int, int]) -> Header:
    return Header(
        model=str(cursor.take(cursor.u8("the model id"), "the model id"), "latin-1"),
        fingerprint=bytes(cursor.take(8, "the fingerprint")),
        width=cursor.varint("the width"),
        height=cursor.varint("the height"),
        symbol_crc=cursor.u32("the checksum of the symbols"),
        extensions=tuple(_read_extensions(cursor)),
        gray=gray,
        version=version,
    )


def _read_extensions(cursor: Cursor) -> Iterator[Extension]:
    while cursor.left:
        yield Extension(tag=cursor.u8("a field"), data=bytes(cursor.take(cursor.varint("the length of a field"), "a field")))


def _read_segments(cursor: Cursor) -> Iterator[Segment]:
    for number in range(1, MAX_SEGMENTS + 2):
        name = f"segment {number}"
        kind = cursor.u8(name)
        if kind == _END:
            return
        if not _is_letter(kind):
            raise CorruptFile(f"{name} has kind 0x{kind:02x}, which is not a letter: the file is damaged")
        length = cursor.varint(f"the length of {name}")
        crc = cursor.u32(f"the checksum of {name}")
        data = cursor.take(length, name)
        if crc32(data, crc32(bytes((kind,)))) != crc:
            raise CorruptFile(f"the checksum of {name} ({chr(kind)}) is wrong: the file is damaged")
        yield Segment(kind=kind, data=bytes(data))


def _header_fault(header: Header) -> str | None:
    """What the format does not allow in this header."""
    tags = [e.tag for e in header.extensions]
    if not _MODEL.fullmatch(header.model):
        return f"the model id {header.model[:64]!a} is not 1 to 64 of a-z 0-9 _ . : / @ -"
    if len(header.fingerprint) != 8:
        return f"the fingerprint has {len(header.fingerprint)} bytes; it must have 8"
    if not (1 <= header.width <= MAX_SIDE and 1 <= header.height <= MAX_SIDE):
        return f"the header claims {header.width} x {header.height} pixels; a side has 1 to {MAX_SIDE}"
    if not 0 <= header.symbol_crc <= MAX_U32:
        return f"the checksum of the symbols is {header.symbol_crc}; it must have 32 bits"
    if header.version[0] != VERSION[0] or not 0 <= header.version[1] <= 255:
        return f"version {header.version[0]}.{header.version[1]} is not one of {VERSION[0]}.0 to {VERSION[0]}.255"
    if tags != sorted({*tags} & {*range(256)}):
        return "the tags of the header's fields are not strictly ascending numbers of 0 to 255"
    if len(_header_body(header)) > MAX_HEADER:
        return f"the header has more than {MAX_HEADER} bytes"
    return None


def _segments_fault(segments: Sequence[Segment]) -> str | None:
    """What the format does not allow in these segments, or what this version does not know."""
    counts = Counter(s.kind for s in segments)
    if len(segments) > MAX_SEGMENTS:
        return f"the file has more than {MAX_SEGMENTS} segments"
    for kind in counts:
        if not _is_letter(kind):
            return f"a segment has kind {kind}, which is not a letter"
        if chr(kind).isupper() and kind not in tuple(Kind):
            return f"the file needs segments of kind {chr(kind)}, which this version does not know: update tokodec"
    for kind in _SINGLE:
        if counts[kind] > 1:
            return f"the file has {counts[kind]} segments of kind {chr(kind)}; at most one is allowed"
    if not counts[Kind.PAYLOAD]:
        return "the file has no payload"
    if fault := _order_fault([s.kind for s in segments]):
        return fault
    if any(len(s.data) > MAX_U32 for s in segments):
        return f"a segment has more than {MAX_U32} bytes"
    return None


def _order_fault(kinds: Sequence[int]) -> str | None:
    """What stands behind a payload and must not, or beside what it must not."""
    behind = kinds[kinds.index(Kind.PAYLOAD) :]
    if Kind.TILES in behind:
        return "the tile plan stands behind a payload; it must come first"
    if Kind.LAYERS in behind:
        return "the layer plan stands behind a payload; it must come first"
    if all(plan in kinds for plan in _PLANS):
        return "the file has tiles and layers; it may have one of both"
    if Kind.LAYERS in kinds and (Kind.ALPHA in behind or Kind.ICC in behind):
        return "transparency or colour profile stand behind a layer; they must come first"
    return None


def _is_letter(kind: int) -> bool:
    return 0x41 <= kind <= 0x5A or 0x61 <= kind <= 0x7A


def _header_body(header: Header) -> bytes:
    model = header.model.encode("ascii")
    fixed = bytes((len(model),)) + model + header.fingerprint + varint(header.width) + varint(header.height) + u32(header.symbol_crc)
    return fixed + b"".join(bytes((e.tag,)) + varint(len(e.data)) + e.data for e in header.extensions)
