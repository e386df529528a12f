"""How the ids of a picture are divided into layers, and the L segment of a .tkd file that says so (docs/format.md, section 7)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tokodec.entropy.container import Kind, TkdFile
from tokodec.entropy.cursor import Cursor, u32, varint
from tokodec.errors import CorruptFile


@dataclass(frozen=True, kw_only=True)
class Layer:
    """``ids``: how many ids there are after it, those of earlier layers included; ``crc``: CRC-32 of the symbols up to there."""

    ids: int
    crc: int


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """What the L segment holds: layers from coarse to fine, each with more ids than the one before."""

    layers: tuple[Layer, ...]

    @property
    def counts(self) -> list[int]:
        """How many ids each layer adds."""
        return [after - before for before, after in pairwise((0, *(layer.ids for layer in self.layers)))]

    def first(self, count: int) -> "LayerPlan":
        """The plan of the first ``count`` layers."""
        return LayerPlan(layers=self.layers[:count])

    def reaching(self, ids: int) -> "LayerPlan":
        """The plan of as many layers as it takes to have ``ids`` ids, or of all."""
        return self.first(1 + sum(layer.ids < ids for layer in self.layers))

    def pack(self) -> bytes:
        """The data of the segment."""
        return b"".join(varint(layer.ids) + u32(layer.crc) for layer in self.layers)

    @classmethod
    def unpack(cls, data: bytes) -> "LayerPlan":
        """Raises CorruptFile for what :meth:`pack` does not make."""
        cursor = Cursor(memoryview(data), "the layer plan")
        plan = cls(layers=tuple(_read(cursor)))
        if not plan.layers or min(plan.counts) < 1:
            raise CorruptFile("the layer plan is none: each layer must have more ids than the one before, the first at least one")
        return plan


def _read(cursor: Cursor) -> Iterator[Layer]:
    while cursor.left:
        yield Layer(ids=cursor.varint("the ids of a layer"), crc=cursor.u32("a checksum"))


def lengths_of(most: int) -> list[int]:
    """After how many ids of each window a layer ends, where ``most`` are kept: 1, 2, 4, ..., ``most``."""
    return [*(1 << n for n in range((most - 1).bit_length())), most]


def plan_of(file: TkdFile) -> LayerPlan | None:
    """The layer plan of a file, if it has one; of a file that is cut it is the plan of the whole.

    Raises CorruptFile for one that does not fit the file.
    """
    data = file.segment(Kind.LAYERS)
    if data is None:
        return None
    plan, there = LayerPlan.unpack(data), len(file.payloads)
    if plan.layers[-1].crc != file.header.symbol_crc:
        raise CorruptFile("the checksum of the last layer's symbols is not that of the header: the file is damaged")
    if there > len(plan.layers) or (there < len(plan.layers) and not file.lost):
        raise CorruptFile(f"the file has {there} layers and a plan of {len(plan.layers)}: it is damaged")
    return plan
