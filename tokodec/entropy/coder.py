"""Symbols to bytes and back: one walk over the latents, run by whoever rounds, writes or reads.

A model walks over its latents once and asks a :class:`Hand` for each group of symbols, telling it the table of every one.
The encoder's hand rounds, the writer's writes what is known, the reader's reads: they cannot disagree on the order or the
tables, because there is only one walk.

Inside a group, symbols are sorted by table, so that each table's run is coded in one call. The coder is constriction's
range coder, 32-bit words, little-endian. Escapes follow their group: the number of bits of the excess, then its bits.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import constriction
import numpy as np
import torch
from jaxtyping import Float, Int32, UInt8
from torch import Tensor

from tokodec.entropy.tables import ESCAPE_LENGTH_BITS, CodingTables
from tokodec.errors import CorruptFile, InputError

_WORD = 4
_EXCESS_BITS = 23
"""Largest length of an escaped excess in bits; anything above is damage."""

Values = Int32[np.ndarray, " n"]
Index = UInt8[np.ndarray, " n"]

_RangeEncoder = constriction.stream.queue.RangeEncoder
_RangeDecoder = constriction.stream.queue.RangeDecoder
_Uniform = constriction.stream.model.Uniform


class Hand(ABC):
    """Takes the groups of a walk in order."""

    @abstractmethod
    def take(self, name: str, index: UInt8[Tensor, "b c h w"], mean: Float[Tensor, "b c h w"] | float) -> Int32[Tensor, "b c h w"]:
        """The symbols of group ``name``, whose code tables are ``index`` and whose values are expected around ``mean``."""


class Holder(Hand):
    """Hands back symbols that are known."""

    def __init__(self, values: Mapping[str, Int32[Tensor, "b c h w"]]) -> None:
        self._values = values

    def take(self, name: str, index: UInt8[Tensor, "b c h w"], mean: Float[Tensor, "b c h w"] | float) -> Int32[Tensor, "b c h w"]:
        return self._values[name]


class Meter(Holder):
    """Measures known symbols: ``bits`` is the ideal length of each group under the tables, all items together."""

    def __init__(self, tables: CodingTables, values: Mapping[str, Int32[Tensor, "b c h w"]]) -> None:
        super().__init__(values)
        self._tables = tables
        self.bits: dict[str, float] = {}

    def take(self, name: str, index: UInt8[Tensor, "b c h w"], mean: Float[Tensor, "b c h w"] | float) -> Int32[Tensor, "b c h w"]:
        values = super().take(name, index, mean)
        self.bits[name] = float(self._tables.bits(_flat(index), _flat(values)).sum())
        return values


class Tally(Holder):
    """Counts known symbols: ``seen`` is how often each place of the flat table occurred."""

    def __init__(self, tables: CodingTables, values: Mapping[str, Int32[Tensor, "b c h w"]]) -> None:
        super().__init__(values)
        self._tables = tables
        self.seen = np.zeros(tables.size, np.int64)

    def take(self, name: str, index: UInt8[Tensor, "b c h w"], mean: Float[Tensor, "b c h w"] | float) -> Int32[Tensor, "b c h w"]:
        values = super().take(name, index, mean)
        self.seen += np.bincount(self._tables.places(_flat(index), _flat(values)), minlength=self.seen.size)
        return values


class Writer(Holder):
    """Writes symbols that are known, of one picture."""

    def __init__(self, tables: CodingTables, values: Mapping[str, Int32[Tensor, "1 c h w"]]) -> None:
        super().__init__(values)
        self._tables = tables
        self._encoder = _RangeEncoder()

    def take(self, name: str, index: UInt8[Tensor, "1 c h w"], mean: Float[Tensor, "1 c h w"] | float) -> Int32[Tensor, "1 c h w"]:
        values = super().take(name, index, mean)
        self.write(_flat(index), _flat(values))
        return values

    def write(self, index: Index, values: Values) -> None:
        """Write one group of symbols."""
        order, runs = _runs(index, np.bincount(index), self._tables.skip_below)
        kept = values[order]
        for table, start, stop in runs:
            radius = self._tables.radius[table]
            run = kept[start:stop]
            places = np.where(np.abs(run) > radius, radius + 1, run) + radius
            self._encoder.encode(places.astype(np.int32, copy=False), self._tables.models[table])
        self._write_escapes(kept, self._tables.radius[index[order]])

    def _write_escapes(self, kept: Values, radius: Values) -> None:
        excess = np.abs(kept) - radius - 1
        where = np.flatnonzero(excess >= 0)
        if not where.size:
            return
        number = 2 * excess[where].astype(np.int64) + (kept[where] < 0) + 1
        length = np.floor(np.log2(number)).astype(np.int32)
        if int(length.max()) > _EXCESS_BITS:
            raise InputError(f"a latent of {int(np.abs(kept).max())} is out of range: the picture's values cannot be right")
        self._encoder.encode(length, _Uniform(1 << ESCAPE_LENGTH_BITS))
        for bits in np.unique(length[length > 0]):
            low = number[length == bits] - (1 << int(bits))
            self._encoder.encode(low.astype(np.int32), _Uniform(1 << int(bits)))

    def bytes(self) -> bytes:
        """All that was written."""
        return self._encoder.get_compressed().astype("<u4").tobytes()


class Reader(Hand):
    """Reads the symbols of one picture from bytes. Raises CorruptFile when the bytes cannot have been written by a :class:`Writer`.

    Before a group is decoded, what the groups before it cost and the least that its symbols can cost are compared with the
    bits that are there: a few bytes cannot make a reader allocate, nor a model compute, for a large picture.
    """

    def __init__(self, tables: CodingTables, data: bytes) -> None:
        if len(data) % _WORD:
            raise CorruptFile(f"an entropy-coded stream of {len(data)} bytes is not made of whole words of {_WORD}")
        self._tables = tables
        self._empty = not data
        self._room = 8.0 * (len(data) + _WORD)  # a range coder's stream is at most one word shorter than the ideal length
        self._last = np.empty(0, np.uint8), np.empty(0, np.int32)
        self._decoder = _RangeDecoder(np.frombuffer(data, "<u4").astype(np.uint32))

    def take(self, name: str, index: UInt8[Tensor, "1 c h w"], mean: Float[Tensor, "1 c h w"] | float) -> Int32[Tensor, "1 c h w"]:
        return torch.from_numpy(self.read(_flat(index))).reshape(index.shape).to(index.device)

    def expect(self, index: UInt8[Tensor, "1 c h w"]) -> None:
        """Raise CorruptFile if the bits that are left cannot hold a group with these tables."""
        self._expect(np.bincount(_flat(index)))

    def _expect(self, counts: np.ndarray) -> None:
        if counts @ self._tables.least_bits[: len(counts)] > self._room:
            raise CorruptFile("the entropy-coded stream is too short for the size of the picture")

    def read(self, index: Index) -> Values:
        """Read one group of symbols."""
        self._room -= float(self._tables.bits(*self._last).sum())
        counts = np.bincount(index)
        self._expect(counts)
        order, runs = _runs(index, counts, self._tables.skip_below)
        if runs and self._empty:
            raise CorruptFile("the entropy-coded stream is empty")
        kept = np.empty(order.size, np.int32)
        try:
            for table, start, stop in runs:
                kept[start:stop] = self._decoder.decode(self._tables.models[table], stop - start) - self._tables.radius[table]
            self._read_escapes(kept, self._tables.radius[index[order]])
        except (AssertionError, ValueError) as error:
            raise CorruptFile("the entropy-coded stream is damaged") from error
        values = np.zeros(index.size, np.int32)
        values[order] = kept
        self._last = index, values
        return values

    def _read_escapes(self, kept: Values, radius: Values) -> None:
        where = np.flatnonzero(kept > radius)
        if not where.size:
            return
        length = self._decoder.decode(_Uniform(1 << ESCAPE_LENGTH_BITS), where.size)
        if int(length.max()) > _EXCESS_BITS:
            raise CorruptFile("the entropy-coded stream is damaged: an escape is longer than any can be")
        number = np.ones(where.size, np.int64) << length
        for bits in np.unique(length[length > 0]):
            chosen = length == bits
            number[chosen] += self._decoder.decode(_Uniform(1 << int(bits)), int(chosen.sum()))
        excess, negative = np.divmod(number - 1, 2)
        kept[where] = np.where(negative, -1, 1) * (excess + radius[where] + 1)

    def finish(self) -> None:
        """All groups are read; bytes that are left over mean damage."""
        if not self._decoder.maybe_exhausted():
            raise CorruptFile("the entropy-coded stream is longer than its picture")


def _runs(index: Index, counts: np.ndarray, skip_below: int) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """Places of the symbols that are coded, sorted by table, and (table, start, stop) of each table's run.

    ``counts``: how often each table occurs.
    """
    order = np.argsort(index, kind="stable")  # a radix sort on bytes
    first = int(counts[:skip_below].sum())
    stops = np.cumsum(counts) - first
    runs = [(t, int(stops[t] - counts[t]), int(stops[t])) for t in range(skip_below, len(counts)) if counts[t]]
    return order[first:], runs


def _flat(values: Tensor) -> np.ndarray:
    return values.cpu().contiguous().numpy().reshape(-1)
