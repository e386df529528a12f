"""What the entropy coder is handed at a time: one symbol, or several of small range as one cell of a distribution.

The coder's time goes by how often it is called, so symbols of small scale are coded four or two at a time.
"""

from abc import ABC, abstractmethod
from functools import reduce

import numpy as np
from jaxtyping import Int, Int32
from numpy.typing import NDArray

Counts = Int[np.ndarray, " cells"]
Cells = Int32[np.ndarray, " cells"]
Symbols = Int32[np.ndarray, " n"]
Places = Int[np.ndarray, " escapes"]
_NONE = np.empty(0, np.intp)


class Alphabet(ABC):
    """Cells of ``size`` symbols, each in -radius..radius or escaped."""

    size: int
    dtype: type[np.signedinteger]
    """Symbols may be clipped to this type before they are packed."""

    @abstractmethod
    def counts(self, single: Counts, precision: int) -> Counts:
        """Counts of all cells, each at least one, from those of the symbols -radius..radius and the escape. Both sum to 2**precision."""

    @abstractmethod
    def pack(self, symbols: NDArray[np.signedinteger]) -> tuple[Cells, Places]:
        """Cells of symbols of ``dtype``, whose number is a multiple of ``size``, and which symbols are escaped."""

    @abstractmethod
    def unpack(self, cells: Cells, symbols: Symbols) -> Places:
        """Write the symbols of ``cells`` to ``symbols``; returns which are escaped and still to be filled in."""


class Single(Alphabet):
    """One symbol a cell, from -radius to radius; the escape is last. ``radius`` may be another for each symbol."""

    size = 1
    dtype = np.int32

    def __init__(self, radius: int | Int32[np.ndarray, " n"]) -> None:
        self._radius = radius
        self._escape = np.uint32(2) * np.asarray(radius, np.uint32) + np.uint32(1)

    def counts(self, single: Counts, precision: int) -> Counts:
        return single

    def pack(self, symbols: NDArray[np.signedinteger]) -> tuple[Cells, Places]:
        cells = np.minimum((symbols + self._radius).view(np.uint32), self._escape)  # what is below -radius wraps to far above
        return cells.view(np.int32), np.flatnonzero(cells == self._escape)

    def unpack(self, cells: Cells, symbols: Symbols) -> Places:
        np.subtract(cells, self._radius, out=symbols)
        return np.flatnonzero(symbols > self._radius)


class Packed(Alphabet):
    """``size`` symbols of ``bits`` bits to a cell, at most 8 bits in all.

    Cells stand from likely to unlikely, by the sum of the sizes of their symbols, those with escapes last: a search from
    the first cell is short where that is almost certain.
    """

    dtype = np.int8

    def __init__(self, *, size: int, bits: int) -> None:
        self.size = size
        self.radius = (1 << bits - 1) - 1
        self._escape = 2 * self.radius + 1
        self._shift = 8 - bits
        self._word = np.dtype(f"<u{size}")
        digits = np.arange(1 << size * bits)[:, None] >> bits * np.arange(size) & self._escape
        escaped = (digits == self._escape).any(1)
        order = np.lexsort((np.abs(digits - self.radius).sum(1), escaped))
        self._digits = digits[order]
        self._symbols = (self._digits - self.radius).astype(np.int32)
        self._first_escaped = len(order) - int(escaped.sum())
        self._cell = np.argsort(order).astype(np.int32)

    def counts(self, single: Counts, precision: int) -> Counts:
        half = 1 << precision - 1
        product = reduce(lambda a, b: a * b + half >> precision, (single[digit] for digit in self._digits.T)) + 1
        product[product.argmax()] += (1 << precision) - product.sum()
        return product

    def pack(self, symbols: NDArray[np.signedinteger]) -> tuple[Cells, Places]:
        digits = np.minimum(symbols.view(np.uint8) + np.uint8(self.radius), np.uint8(self._escape))  # modulo 256, as in Single
        words = digits.view(self._word)
        packed = reduce(np.bitwise_or, (words >> self._shift * i for i in range(self.size))).astype(np.uint8)
        cells = np.take(self._cell, packed)
        return cells, np.flatnonzero(digits == self._escape) if self._has_escapes(cells) else _NONE

    def unpack(self, cells: Cells, symbols: Symbols) -> Places:
        np.take(self._symbols, cells, axis=0, out=symbols.reshape(-1, self.size), mode="clip")
        return np.flatnonzero(symbols > self.radius) if self._has_escapes(cells) else _NONE

    def _has_escapes(self, cells: Cells) -> bool:
        return int(cells.max(initial=0)) >= self._first_escaped


PACKED = (Packed(size=4, bits=2), Packed(size=2, bits=3), Packed(size=2, bits=4))
"""By radius. Symbols of a larger one are coded singly."""
