"""How a large picture is cut into tiles, and the T segment of a .tkd file that says so (docs/format.md, section 7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from tokodec.entropy.container import MAX_SEGMENTS, MAX_SIDE, Kind, TkdFile
from tokodec.entropy.cursor import Cursor, u32, varint
from tokodec.errors import CorruptFile, InputError

UNIT = 64
"""Sides of tiles are multiples of it, in pixels."""
_ROOM = 16
"""Segments that a file may have beside its tiles."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` of a picture, the last ones excluded."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grown(self, by: int, unit: int, within: "Box") -> "Box":
        """Larger by ``by`` on all sides, then outwards to multiples of ``unit``, but no further than ``within``."""
        return Box(
            top=(self.top - by) // unit * unit,
            left=(self.left - by) // unit * unit,
            bottom=-(-(self.bottom + by) // unit) * unit,
            right=-(-(self.right + by) // unit) * unit,
        ).cut(within)

    def cut(self, other: "Box") -> "Box":
        """What both have in common; empty or inside out where that is nothing."""
        return Box(
            top=max(self.top, other.top),
            left=max(self.left, other.left),
            bottom=min(self.bottom, other.bottom),
            right=min(self.right, other.right),
        )

    def within(self, outer: "Box") -> "Box":
        """The same place, counted from the corner of ``outer``."""
        return Box(top=self.top - outer.top, left=self.left - outer.left, bottom=self.bottom - outer.top, right=self.right - outer.left)

    def divided(self, by: int) -> "Box":
        """In coarser units, of which all its sides are multiples."""
        return Box(top=self.top // by, left=self.left // by, bottom=self.bottom // by, right=self.right // by)


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """Squares of ``side`` pixels, row by row, that cover a picture of ``height`` x ``width``; the last ones are cut off."""

    height: int
    width: int
    side: int

    @property
    def rows(self) -> int:
        return -(-self.height // self.side)

    @property
    def columns(self) -> int:
        return -(-self.width // self.side)

    def __len__(self) -> int:
        return self.rows * self.columns

    @property
    def whole(self) -> Box:
        """The picture."""
        return Box(top=0, left=0, bottom=self.height, right=self.width)

    def box(self, number: int) -> Box:
        """A tile, counted from 0."""
        row, column = divmod(number, self.columns)
        top, left = row * self.side, column * self.side
        return Box(top=top, left=left, bottom=top + self.side, right=left + self.side).cut(self.whole)

    def touching(self, box: Box) -> list[int]:
        """The tiles that have something in common with ``box``."""
        rows = range(max(box.top, 0) // self.side, -(-min(box.bottom, self.height) // self.side))
        columns = range(max(box.left, 0) // self.side, -(-min(box.right, self.width) // self.side))
        return [row * self.columns + column for row in rows for column in columns]


@dataclass(frozen=True, kw_only=True)
class TilePlan:
    """What the T segment holds. ``crcs``: of the symbols of each tile."""

    side: int
    crcs: tuple[int, ...]

    @property
    def crc32(self) -> int:
        """Of all symbols together: the CRC-32 of those of the tiles, each as u32."""
        return crc32(b"".join(u32(crc) for crc in self.crcs))

    def pack(self) -> bytes:
        """The data of the segment."""
        return varint(self.side) + b"".join(u32(crc) for crc in self.crcs)

    @classmethod
    def unpack(cls, data: bytes, payloads: int) -> "TilePlan":
        """The plan for a file with so many payloads. Raises CorruptFile for what :meth:`pack` does not make."""
        cursor = Cursor(memoryview(data), "the tile plan")
        side = cursor.varint("the side of tiles")
        if cursor.left != 4 * payloads:
            raise CorruptFile(f"the tile plan holds {cursor.left} bytes of checksums for {payloads} tiles; each has 4")
        plan = cls(side=side, crcs=tuple(cursor.u32("a checksum") for _ in range(payloads)))
        if fault := side_fault(side):
            raise CorruptFile(fault)
        return plan

    def tiles(self, size: Sequence[int]) -> Tiles:
        """Of a picture of (h, w). Raises CorruptFile if there are more or fewer than the plan has."""
        tiles = Tiles(height=size[0], width=size[1], side=self.side)
        if len(tiles) != len(self.crcs):
            raise CorruptFile(f"{size[1]} x {size[0]} pixels make {len(tiles)} tiles of {self.side}; the file has {len(self.crcs)}")
        return tiles


def plan_of(file: TkdFile) -> TilePlan | None:
    """The tile plan of a file, if it has one. Raises CorruptFile for one that does not fit the file."""
    data = file.segment(Kind.TILES)
    if data is None:
        return None
    plan = TilePlan.unpack(data, len(file.payloads))
    if plan.crc32 != file.header.symbol_crc:
        raise CorruptFile("the checksums of the tiles' symbols are not those of the header: the file is damaged")
    plan.tiles((file.header.height, file.header.width))
    return plan


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Which pictures are cut into tiles: those of more than ``above`` pixels, into tiles of ``side`` x ``side``."""

    side: int = 1024
    above: int = 1 << 22

    def __post_init__(self) -> None:
        if fault := side_fault(self.side):
            raise InputError(fault)

    def tiles(self, size: Sequence[int]) -> Tiles | None:
        """Of a picture of (h, w); None if it stays whole. Raises InputError for more tiles than a file can have."""
        if size[0] * size[1] <= self.above:
            return None
        tiles = Tiles(height=size[0], width=size[1], side=self.side)
        if len(tiles) > MAX_SEGMENTS - _ROOM:
            raise InputError(f"tiles of {self.side} are {len(tiles)}; a file has at most {MAX_SEGMENTS - _ROOM}: choose larger ones")
        return tiles


def side_fault(side: int) -> str | None:
    """What is wrong with tiles of this side."""
    if side < UNIT or side % UNIT:
        return f"tiles of {side} pixels cannot be; their side is a multiple of {UNIT}"
    return None


NEVER = Tiling(above=MAX_SIDE**2)
"""No picture is cut."""
