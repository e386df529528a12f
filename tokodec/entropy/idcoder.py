"""Ids to bytes and back under a frozen prior: exact on any machine.

Pass by pass (:mod:`tokodec.entropy.schedule`), strip by strip of a pass: first the cells of all its places, then the codes in
them. Everything that decides a count is a whole number: products and sums of the net stay below 2^24 in float32, between
layers stand one IEEE multiplication, one rounding and one clamp, and powers of two come from a stored table.

What a strip depends on are ids of earlier passes alone. So the encoder, which knows all ids, takes the strips from the last to
the first, as an ANS coder wants them, and neither side ever holds the counts of more than one strip.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import constriction
import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from tokodec.entropy.codingtables import PRECISION
from tokodec.entropy.idnet import KNOWN
from tokodec.entropy.idprior import ACTIVATION_MAX, Frozen, Layer
from tokodec.entropy.octaves import Counts, counts, weights
from tokodec.entropy.schedule import MARGIN, PASSES
from tokodec.errors import CorruptFile

Grid = Int[np.ndarray, "gh gw"]

LEAST_BITS = 0.04
"""No id costs less: the likeliest of n symbols leaves at least 1/65 to the others, see RANGE, and an id is two symbols."""
_STRIP = 1024
"""Places that are computed together: some 30 MB."""
_WORD = 4
_START = np.array([0, 1], np.uint32)
"""The state 2^32, as in :mod:`tokodec.entropy.coder`."""
_START_BITS = 32
"""A reader's state falls below the one it ends with when it wanted more than there was: a short payload costs a strip, no more."""

_Coder: Any = constriction.stream.stack.AnsCoder  # type: ignore[attr-defined]
_Rows: Any = constriction.stream.model.Categorical(perfect=False)  # type: ignore[attr-defined]


class Strip(NamedTuple):
    """Some places of a pass, in the order row, column: their rows and columns in the lattice."""

    number: int
    rows: Int[np.ndarray, " n"]
    columns: Int[np.ndarray, " n"]


class IdCoder:
    """See the module's docstring. ``frozen``: what a trained prior gives."""

    def __init__(self, frozen: Frozen) -> None:
        self._frozen = frozen
        cells, self._fine = frozen.fine.shape
        self._weights = {n: weights(frozen.powers, n) for n in (cells, self._fine)}
        self._vectors = np.pad(frozen.codes, ((0, 0), (0, 1)), constant_values=KNOWN)
        self._features = np.ascontiguousarray(frozen.features.transpose(0, 2, 1))

    def encode(self, ids: Grid) -> bytes:
        """Words of an ANS coder, little-endian, from the top of its stack."""
        lattice = self._lattice(ids.shape)
        lattice[MARGIN:-MARGIN, MARGIN:-MARGIN] = self._vectors[ids]
        coder = _Coder(_START)
        for strip in reversed(list(_strips(ids.shape))):
            h = self._hidden(lattice, strip)
            cell, place = np.divmod(ids[strip.rows, strip.columns].astype(np.int32), np.int32(self._fine))
            coder.encode_reverse(place, _Rows, self._places(h, cell))
            coder.encode_reverse(cell, _Rows, self._cells(h))
        return coder.get_compressed()[::-1].astype("<u4").tobytes()

    def decode(self, data: bytes, grid: tuple[int, int]) -> Grid:
        """The inverse. Raises CorruptFile for bytes that no encoder wrote for a lattice of (h, w)."""
        self.check(len(data), grid)
        words = np.frombuffer(data, "<u4")[::-1].astype(np.uint32)
        if not words[-1]:
            raise CorruptFile("the entropy-coded ids are damaged: they start with a word of zero")
        coder, ids, lattice = _Coder(words), np.zeros(grid, np.int64), self._lattice(grid)
        for strip in _strips(grid):
            h = self._hidden(lattice, strip)
            cell = coder.decode(_Rows, self._cells(h))
            found = cell.astype(np.int64) * self._fine + coder.decode(_Rows, self._places(h, cell))
            if int(found.max()) >= self._frozen.size:
                raise CorruptFile("the entropy-coded ids are damaged: an id is out of range")
            if coder.num_valid_bits() < _START_BITS:
                raise CorruptFile("the entropy-coded ids are too short for the size of the picture")
            ids[strip.rows, strip.columns] = found
            lattice[strip.rows + MARGIN, strip.columns + MARGIN] = self._vectors[found]
        if not np.array_equal(coder.get_compressed(), _START):
            raise CorruptFile("the entropy-coded ids are damaged, or of another size")
        return ids

    def bits(self, ids: Grid) -> float:
        """The ideal length under the counts."""
        lattice = self._lattice(ids.shape)
        lattice[MARGIN:-MARGIN, MARGIN:-MARGIN] = self._vectors[ids]
        total = 0.0
        for strip in _strips(ids.shape):
            h, n = self._hidden(lattice, strip), np.arange(len(strip.rows))
            cell, place = np.divmod(ids[strip.rows, strip.columns], self._fine)
            for row, symbol in ((self._cells(h), cell), (self._places(h, cell.astype(np.int32)), place)):
                total += float((PRECISION - np.log2(row[n, symbol] + 1)).sum())
        return total

    @staticmethod
    def check(size: int, grid: tuple[int, int]) -> None:
        """Raise CorruptFile if so many bytes cannot hold a lattice of (h, w)."""
        if size % _WORD or size < _WORD * len(_START):
            raise CorruptFile(f"{size} bytes of entropy-coded ids are not made of two or more whole words of {_WORD}")
        if 8 * size < LEAST_BITS * grid[0] * grid[1]:
            raise CorruptFile("the entropy-coded ids are too short for the size of the picture")

    def _lattice(self, grid: tuple[int, ...]) -> NDArray[np.int8]:
        """Vectors of ids that are known, each with a mark; nothing is yet, and beyond the margin nothing ever is."""
        return np.zeros((grid[0] + 2 * MARGIN, grid[1] + 2 * MARGIN, self._vectors.shape[1]), np.int8)

    def _hidden(self, lattice: NDArray[np.int8], strip: Strip) -> Float[np.ndarray, "n c"]:
        rows, columns = strip.rows + MARGIN, strip.columns + MARGIN
        seen = [lattice[rows + y, columns + x] for y, x in PASSES[strip.number].taps]
        context = np.concatenate([*seen, np.full((len(rows), 1), KNOWN, np.int8)], 1).astype(np.float32)
        return _activated(_activated(context, self._frozen.first[strip.number]), self._frozen.second)

    def _cells(self, h: Float[np.ndarray, "n c"]) -> Counts:
        logits = np.rint(_sums(h, self._frozen.coarse) * self._frozen.coarse.unit).astype(np.int64)
        return self._counts(logits)

    def _places(self, h: Float[np.ndarray, "n c"], cell: Int[np.ndarray, " n"]) -> Counts:
        f = self._frozen
        query = np.rint(_sums(h, f.query) * f.query.unit).clip(-f.query_max, f.query_max)
        return self._counts(f.fine[cell] + (self._products(query, cell).astype(np.int64) >> f.query_shift))

    def _products(self, query: Float[np.ndarray, "n f"], cell: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n symbols"]:
        """Of each query with the features of all codes in its cell."""
        order = np.argsort(cell, kind="stable")  # cell by cell: a product of matrices each, instead of a copy of features for every place
        query, cell = query[order], cell[order]
        starts = np.flatnonzero(np.diff(cell, prepend=-1)).tolist()
        sorted_products = np.empty((len(cell), self._fine), np.float32)
        for start, stop in zip(starts, [*starts[1:], len(cell)], strict=True):
            np.matmul(query[start:stop], self._features[cell[start]], out=sorted_products[start:stop])
        products = np.empty_like(sorted_products)
        products[order] = sorted_products
        return products

    def _counts(self, logits: Int[np.ndarray, "n symbols"]) -> Counts:
        return counts(logits, self._weights[logits.shape[1]])


def _sums(x: Float[np.ndarray, "n c"], layer: Layer) -> Float[np.ndarray, "n m"]:
    return x @ layer.weight + layer.bias


def _activated(x: Float[np.ndarray, "n c"], layer: Layer) -> Float[np.ndarray, "n m"]:
    return np.rint(_sums(x, layer) * layer.unit).clip(0, ACTIVATION_MAX)


def _strips(grid: tuple[int, ...]) -> Iterator[Strip]:
    """All places of a lattice in the order of coding."""
    for number, p in enumerate(PASSES):
        rows, columns = np.arange(p.row, grid[0], p.spacing), np.arange(p.column, grid[1], p.spacing)
        for start in range(0, len(rows) * len(columns), _STRIP):
            place = np.arange(start, min(start + _STRIP, len(rows) * len(columns)))
            yield Strip(number, rows[place // len(columns)], columns[place % len(columns)])
