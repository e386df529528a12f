"""Symbols to bytes and back: one walk over the latents, run by whoever rounds, writes or reads.

A model walks over its latents once and asks a :class:`Hand` for each group of symbols, telling it the table of every one.
The encoder's hand rounds, the writer's writes what is known, the reader's reads: they cannot disagree on the order or the
tables, because there is only one walk.

Inside a group, symbols are sorted by table, those of one table in the order row, column, channel, and coded run by run,
several small ones to a cell (``CodingTables.stretches``). Escapes follow their group: a length for each, sorted by table,
then sign and low bits, sorted by length.

The coder is constriction's ANS coder, a stack: the writer pushes everything in reverse, and the words are stored from the
top of the stack, little-endian, so that reading goes forward in the bytes. Its last state must be the one it started from.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import constriction
import numpy as np
import torch
from jaxtyping import Float, Int32, Integer, Shaped
from torch import Tensor

from tokodec.entropy.codingtables import LENGTHS, CodingTables, Model
from tokodec.errors import CorruptFile, InputError

_WORD = 4
Values = Int32[np.ndarray, " n"]
Index = Integer[np.ndarray, " n"]

_Coder: Any = constriction.stream.stack.AnsCoder  # type: ignore[attr-defined]
_Uniform: Any = constriction.stream.model.Uniform  # type: ignore[attr-defined]

_START = np.array([0, 1], np.uint32)
"""The state 2**32. From a smaller one, likely symbols would cost nothing at first, and a bit of damage more could pass."""

_START_BITS = 32
"""No state of a writer is below the one it starts from; a reader's is when it wanted more than there was."""

_SLACK = 257 / 256
"""A symbol costs at least 256/257 of its ideal length: counts are below 2**24, the state is never below 2**32."""

_NOWHERE = np.empty(0, np.intp)


class Hand(ABC):
    """Takes the groups of a walk in order."""

    def expect(self, index: Integer[Tensor, "b c h w"]) -> None:  # noqa: B027 - only a reader cares
        """Told of some of the tables of the next group, as soon as they are known."""

    @abstractmethod
    def take(self, name: str, index: Integer[Tensor, "b c h w"], mean: Float[Tensor, "b c h w"] | float) -> Int32[Tensor, "b c h w"]:
        """The symbols of group ``name``, whose code tables are ``index`` and whose values are expected around ``mean``."""


class Holder(Hand):
    """Hands back symbols that are known."""

    def __init__(self, values: Mapping[str, Int32[Tensor, "b c h w"]]) -> None:
        self._values = values

    def take(self, name: str, index: Integer[Tensor, "b c h w"], mean: Float[Tensor, "b c h w"] | float) -> Int32[Tensor, "b c h w"]:
        return self._values[name]


class Meter(Holder):
    """Measures known symbols: ``bits`` is the ideal length of each group under the tables, all items together."""

    def __init__(self, tables: CodingTables, values: Mapping[str, Int32[Tensor, "b c h w"]]) -> None:
        super().__init__(values)
        self._tables = tables
        self.bits: dict[str, float] = {}

    def take(self, name: str, index: Integer[Tensor, "b c h w"], mean: Float[Tensor, "b c h w"] | float) -> Int32[Tensor, "b c h w"]:
        values = super().take(name, index, mean)
        self.bits[name] = float(self._tables.bits(_flat(index), _flat(values)).sum())
        return values


class Tally(Holder):
    """Counts known symbols: ``seen`` is how often each place of the flat table occurred."""

    def __init__(self, tables: CodingTables, values: Mapping[str, Int32[Tensor, "b c h w"]]) -> None:
        super().__init__(values)
        self._tables = tables
        self.seen = np.zeros(tables.size, np.int64)

    def take(self, name: str, index: Integer[Tensor, "b c h w"], mean: Float[Tensor, "b c h w"] | float) -> Int32[Tensor, "b c h w"]:
        values = super().take(name, index, mean)
        self.seen += np.bincount(self._tables.places(_flat(index), _flat(values)), minlength=self.seen.size)
        return values


class Writer(Holder):
    """Writes symbols that are known, of one picture."""

    def __init__(self, tables: CodingTables, values: Mapping[str, Int32[Tensor, "1 c h w"]]) -> None:
        super().__init__(values)
        self._tables = tables
        self._written: list[tuple[Values, Model]] = []

    def take(self, name: str, index: Integer[Tensor, "1 c h w"], mean: Float[Tensor, "1 c h w"] | float) -> Int32[Tensor, "1 c h w"]:
        values = super().take(name, index, mean)
        self.write(_flat(index), _flat(values))
        return values

    def write(self, index: Index, values: Values) -> None:
        """Write one group of symbols."""
        counts = self._tables.occurrences(index)
        order = _order(index, counts, self._tables.skip_below)
        narrow = np.clip(values, -128, 127).astype(np.int8)
        escaped = [_NOWHERE]
        for part in self._tables.stretches(counts):
            places = order[part.start : part.stop]
            cells, which = part.alphabet.pack(_gather(narrow if part.alphabet.dtype is np.int8 else values, places))
            self._written += [(cells[start:stop], model) for model, start, stop in part.runs]
            escaped.append(places[which])
        where = np.concatenate(escaped)
        if where.size:
            self._write_escapes(index[where], values[where])

    def _write_escapes(self, index: Index, values: Values) -> None:
        """``index`` ascends."""
        number = np.abs(values.astype(np.int64)) - self._tables.radius[index]
        length = np.frexp(number)[1] - 1
        if int(length.max()) >= LENGTHS:
            raise InputError(f"a latent of {int(np.abs(values).max())} is out of range: the picture's values cannot be right")
        self._written += [(length[start:stop], self._tables.lengths[table]) for table, start, stop in _equal(index)]
        raw = (number + np.where(values < 0, 0, 1 << length) - (1 << length)).astype(np.int32)
        shortest = np.argsort(length, kind="stable")
        raw = raw[shortest]
        self._written += [(raw[start:stop], _Uniform(2 << bits)) for bits, start, stop in _equal(length[shortest])]

    def bytes(self) -> bytes:
        """All that was written."""
        if not self._written:
            return b""
        coder = _Coder(_START)
        for values, model in reversed(self._written):
            coder.encode_reverse(values, model)
        return coder.get_compressed()[::-1].astype("<u4").tobytes()


class Reader(Hand):
    """Reads the symbols of one picture from bytes. Raises CorruptFile when the bytes cannot have been written by a :class:`Writer`.

    Before a group is decoded, the least that its symbols can cost is compared with the bits that are left, and after it,
    the state shows whether there were enough: a few bytes cannot make a model compute for a large picture.
    """

    def __init__(self, tables: CodingTables, data: bytes) -> None:
        if len(data) % _WORD:
            raise CorruptFile(f"an entropy-coded stream of {len(data)} bytes is not made of whole words of {_WORD}")
        self._tables = tables
        words = np.frombuffer(data, "<u4")[::-1].astype(np.uint32) if data else _START
        if not words[-1]:
            raise CorruptFile("the entropy-coded stream is damaged: it starts with a word of zero")
        self._coder = _Coder(words)
        self._least = 0.0

    def take(self, name: str, index: Integer[Tensor, "1 c h w"], mean: Float[Tensor, "1 c h w"] | float) -> Int32[Tensor, "1 c h w"]:
        return shaped(torch.from_numpy(self.read(_flat(index))).to(index.device), index)

    def expect(self, index: Integer[Tensor, "1 c h w"]) -> None:
        """Raise CorruptFile if the bits that are left cannot hold what was told of since the last group."""
        self.expect_occurrences(self._tables.occurrences(_flat(index)))

    def expect_occurrences(self, counts: np.ndarray) -> None:
        """The same, told how often each table occurs."""
        self._least += float(counts @ self._tables.least_bits)
        if self._least > self._coder.num_bits() * _SLACK:
            raise CorruptFile("the entropy-coded stream is too short for the size of the picture")

    def read(self, index: Index) -> Values:
        """Read one group of symbols."""
        counts = self._tables.occurrences(index)
        self._least = 0.0
        self.expect_occurrences(counts)
        self._least = 0.0
        order = _order(index, counts, self._tables.skip_below)
        kept = np.empty(order.size, np.int32)
        escaped = [_NOWHERE]
        for part in self._tables.stretches(counts):
            cells = np.concatenate([self._coder.decode(model, stop - start) for model, start, stop in part.runs])
            which = part.alphabet.unpack(cells, kept[part.start : part.stop])
            escaped.append(order[part.start : part.stop][which])
        values = _scatter(index.size, order, kept)
        where = np.concatenate(escaped)
        if where.size:
            values[where] = self._read_escapes(index[where])
        if self._coder.num_valid_bits() < _START_BITS:
            raise CorruptFile("the entropy-coded stream is too short for the size of the picture")
        return values

    def _read_escapes(self, index: Index) -> Values:
        """``index`` ascends."""
        length = np.concatenate([self._coder.decode(self._tables.lengths[table], stop - start) for table, start, stop in _equal(index)])
        shortest = np.argsort(length, kind="stable")
        raw = np.empty(index.size, np.int32)
        raw[shortest] = np.concatenate(
            [self._coder.decode(_Uniform(2 << bits), stop - start) for bits, start, stop in _equal(length[shortest])]
        )
        negative = raw < 1 << length
        size = raw + np.where(negative, 1 << length, 0) + self._tables.radius[index]
        return np.where(negative, -size, size).astype(np.int32)

    def finish(self) -> None:
        """All groups are read; whatever is left but the state that every stream starts from means damage."""
        if not np.array_equal(self._coder.get_compressed(), _START):
            raise CorruptFile("the entropy-coded stream is damaged, or longer than its picture")


def _equal(ascending: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Value, start and stop of every run of equal values."""
    starts = np.flatnonzero(np.diff(ascending, prepend=ascending[0] + 1)).tolist()
    for start, stop in zip(starts, [*starts[1:], len(ascending)], strict=True):
        yield int(ascending[start]), start, stop


def _order(index: Index, counts: np.ndarray, skip_below: int) -> np.ndarray:
    """Places of the symbols that are coded, sorted by table."""
    return np.argsort(index, kind="stable")[int(counts[:skip_below].sum()) :]  # a radix sort on 8 and 16 bits


def _gather(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    return torch.from_numpy(values).gather(0, torch.from_numpy(places)).numpy()  # numpy takes twice as long


def _scatter(size: int, places: np.ndarray, values: Values) -> Values:
    return torch.zeros(size, dtype=torch.int32).scatter_(0, torch.from_numpy(places), torch.from_numpy(values)).numpy()


def flat(values: Tensor) -> Tensor:
    """All values in the order of coding: row, column, channel, as they lie in memory in the format ``channels_last``."""
    return values.permute(0, 2, 3, 1).reshape(-1)


def shaped(values: Tensor, like: Shaped[Tensor, "b c h w"]) -> Shaped[Tensor, "b c h w"]:
    """The inverse of :func:`flat`."""
    b, c, h, w = like.shape
    return values.reshape(b, h, w, c).permute(0, 3, 1, 2)


def _flat(values: Tensor) -> np.ndarray:
    return flat(values).cpu().numpy()
