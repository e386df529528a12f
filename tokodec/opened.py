"""A .tkd file and the codec that decodes it: whole, in tiles, or in layers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np

from tokodec.api import Codec, Symbols
from tokodec.codecs.prefix import PrefixCodec
from tokodec.codecs.variable_rate import VariableRateCodec
from tokodec.entropy import layerplan, tileplan
from tokodec.entropy.container import TkdFile
from tokodec.entropy.layerplan import LayerPlan
from tokodec.entropy.tileplan import Box, TilePlan
from tokodec.errors import CorruptFile, InputError
from tokodec.machine import Machine, need
from tokodec.media.pixels import to_uint8
from tokodec.tiled import Rgb, TileReader


@dataclass(kw_only=True)
class Opened(ABC):
    """Checked as far as it can be without computing anything."""

    file: TkdFile

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.file.header.height, self.file.header.width

    @property
    def remark(self) -> str:
        """What there is to say of it."""
        return ""

    @property
    @abstractmethod
    def weight(self) -> int:
        """Bytes of memory that decoding takes."""

    @abstractmethod
    def prepare(self) -> None:
        """Do what entropy coding there is to do before pixels can be asked for. Raises CorruptFile and OutOfMemory."""

    @abstractmethod
    def verify(self) -> None:
        """Raise CorruptFile if the symbols are not those that were encoded."""

    @abstractmethod
    def pixels(self, box: Box) -> Rgb:
        """The pixels of a part of the picture. Raises CorruptFile."""


@dataclass(kw_only=True)
class Whole(Opened):
    """All latents in one payload."""

    codec: Codec
    machine: Machine
    symbols: list[Symbols] = field(default_factory=list)
    """Read once and used once."""

    @property
    def weight(self) -> int:
        return need(self.size[1], self.size[0], self.codec.bytes_per_pixel, self.codec.stride)

    def prepare(self) -> None:
        # A false claim is damage, not lack of memory, so it is looked at first.
        self.codec.check(self.file.payload, self.size)
        self.machine.check(self.size[1], self.size[0], self.codec.bytes_per_pixel, self.codec.stride)
        self.symbols = [self._read()]

    def verify(self) -> None:
        self._read()

    def pixels(self, box: Box) -> Rgb:
        symbols = self.symbols.pop() if self.symbols else self._read()
        return np.ascontiguousarray(to_uint8(self.codec.synthesise(symbols))[0][box.slices])

    def _read(self) -> Symbols:
        symbols = self.codec.read([self.file.payload], self.size)
        if symbols.crc32() != [self.file.header.symbol_crc]:
            raise CorruptFile("the decoded symbols are not those that were encoded (their CRC-32 differs): no picture")
        return symbols


@dataclass(kw_only=True)
class Tiled(Opened):
    """A payload for each tile; all work is left until it is known which ones are wanted."""

    reader: TileReader
    machine: Machine

    @property
    def weight(self) -> int:
        return self.machine.need_tiled(self.reader.tiles, self.reader.codec)

    def prepare(self) -> None:
        self.reader.check()
        self.machine.check_tiled(self.reader.tiles, self.reader.codec)

    def verify(self) -> None:
        self.reader.verify()

    def pixels(self, box: Box) -> Rgb:
        return self.reader.read(box)


@dataclass(kw_only=True)
class Layered(Opened):
    """Ids from coarse to fine, a payload a layer; of a file that is cut, as many as there are.

    ``most``: so many ids of each window are wanted.
    """

    codec: PrefixCodec
    plan: LayerPlan
    machine: Machine
    most: int | None = None
    symbols: list[Symbols] = field(default_factory=list)
    """Read once and used once."""

    @property
    def remark(self) -> str:
        there, lost = len(self.file.payloads), self.file.lost
        return f"{there} of {len(self.plan.layers)} layers: {lost}" if lost else ""

    @property
    def weight(self) -> int:
        return need(self.size[1], self.size[0], self.codec.bytes_per_pixel, self.codec.stride)

    def prepare(self) -> None:
        self.codec.check_layers(self.plan, self.file.payloads, self.size)
        self.machine.check(self.size[1], self.size[0], self.codec.bytes_per_pixel, self.codec.stride)
        self.symbols = [self._wanted()]

    def verify(self) -> None:
        self.codec.read_layers(self.plan, self.file.payloads, self.size)

    def pixels(self, box: Box) -> Rgb:
        symbols = self.symbols.pop() if self.symbols else self._wanted()
        return np.ascontiguousarray(to_uint8(self.codec.synthesise(symbols))[0][box.slices])

    def _wanted(self) -> Symbols:
        """No layer is read that is not wanted."""
        payloads = self.file.payloads
        if self.most is None:
            return self.codec.read_layers(self.plan, payloads, self.size)
        upto = self.plan.reaching(self.most * self.codec.tokenizer.windows_of(self.size))
        symbols = self.codec.read_layers(self.plan, payloads[: len(upto.layers)], self.size)
        return self.codec.shortened(symbols, self.most)


def opened(file: TkdFile, codec: Codec, machine: Machine, tokens: int | None = None) -> Opened:
    """The file with its codec. ``tokens``: so many ids of each window are wanted, at most.

    Raises CorruptFile for a plan that cannot be, and InputError for ``tokens`` of a file without layers.
    """
    layers, tiles = layerplan.plan_of(file), tileplan.plan_of(file)
    if tokens is not None and tokens < 1:
        raise InputError(f"a window has 1 id or more, not {tokens}")
    if isinstance(codec, PrefixCodec):
        if layers is None:
            raise CorruptFile(f"the file has no layers, which {codec.name} always writes: it is damaged, or another version's")
        return Layered(file=file, codec=codec, plan=layers, machine=machine, most=tokens)
    if layers is not None:
        raise CorruptFile(f"the file has layers, which {codec.name} never writes: it is damaged")
    if tokens is not None:
        raise InputError(f"a file of {codec.name} has no layers, of which so many tokens could be decoded: leave --tokens out")
    return Whole(file=file, codec=codec, machine=machine) if tiles is None else _tiled(file, codec, tiles, machine)


def _tiled(file: TkdFile, codec: Codec, plan: TilePlan, machine: Machine) -> Tiled:
    if not isinstance(codec, VariableRateCodec):
        raise CorruptFile(f"the file has tiles, which {codec.name} never writes: it is damaged")
    size = (file.header.height, file.header.width)
    reader = TileReader(codec=codec, plan=plan, payloads=file.payloads, size=size, jobs=machine.jobs)
    return Tiled(file=file, reader=reader, machine=machine)
