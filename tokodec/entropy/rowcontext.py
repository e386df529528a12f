"""What the ids of a row from coarse to fine are predicted from.

An id is digits, one a coordinate. The row of a window falls into layers: its first id is layer 0, ids 2^(l-1) to 2^l - 1 are layer l. How
large digits are is known from earlier layers: of the whole window, of the coordinate alone, of four ids that are near; then there are
the digits of the same id that come before. Each of these says which row of a table counts (:mod:`tokodec.entropy.rowprior`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from jaxtyping import Int

CLASSES = 8
"""So many sizes are told apart."""
_FROM_BEFORE = 4
"""Sizes that an id is predicted from: of the window, of the coordinate, of what is near, and of that in the coordinate alone."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Ids of one layer of a picture, in their order: their place in the row of their window, and which window."""

    layer: int
    place: Int[np.ndarray, " m"]
    window: Int[np.ndarray, " m"]


def parts(first: int, last: int, windows: int) -> Iterator[Part]:
    """Ids ``first`` to ``last`` of a picture, which has the first ids of all windows, then the second ones, ..., layer by layer."""
    layer = (first // windows).bit_length()
    while first < last:
        stop = min(last, windows << layer)
        place, window = np.divmod(np.arange(first, stop), windows)
        yield Part(layer=layer, place=place, window=window)
        first, layer = stop, layer + 1


class RowContext:
    """``levels`` of each coordinate. ``near``: for each place of a row some that are near it, all of earlier layers."""

    def __init__(self, near: Int[np.ndarray, "n k"], levels: Sequence[int]) -> None:
        self.near, self.levels, self.row = near, tuple(levels), len(near)
        self.layers = (self.row - 1).bit_length() + 1
        self._levels = np.array(levels)
        self._radix = np.array([math.prod(levels[:i]) for i in range(len(levels))])
        self._largest = math.lcm(*(n - 1 for n in levels))
        self._steps = self._largest // (self._levels - 1)
        self._within = [self._heads + self.layers * start for start in accumulate(self.levels, initial=0)]

    @property
    def _heads(self) -> int:
        return self.row + _FROM_BEFORE * self.layers * CLASSES

    def rows(self, digit: int) -> int:
        """How many rows the table of a digit has."""
        return self._within[digit]

    def digits(self, ids: Int[np.ndarray, "*n"]) -> Int[np.ndarray, "*n d"]:
        """The first one lowest, as :class:`tokodec.quantizers.fsq.FiniteScalarQuantizer` counts."""
        return ids[..., None].astype(np.int64) // self._radix % self._levels

    def ids(self, digits: Int[np.ndarray, "*n d"]) -> Int[np.ndarray, "*n"]:
        """The inverse."""
        return (digits * self._radix).sum(-1)

    def before(self, digits: Int[np.ndarray, "n w d"], part: Part) -> Int[np.ndarray, "m d 5"]:
        """For each id of a part and each of its digits the rows that follow from earlier layers. ``digits``: of all that is known."""
        start, stop = (1 << part.layer) >> 2, (1 << part.layer) >> 1  # the layer before; nothing before the first
        sizes = np.abs(2 * digits[:stop] - (self._levels - 1)) * self._steps
        each = sizes[start:stop].sum(0)
        around = sizes[self.near[part.place], part.window[:, None]].sum(1) if part.layer else np.zeros((len(part.place), len(self.levels)))
        d, near = len(self.levels), self.near.shape[1]
        found = [
            self._sized(each.sum(-1, keepdims=True), d * (stop - start))[part.window],
            self._sized(each, stop - start)[part.window],
            self._sized(around.sum(-1, keepdims=True), d * near),
            self._sized(around, near),
        ]
        sized = np.stack([np.broadcast_to(f, around.shape) for f in found], -1)
        heads = self.row + CLASSES * (self.layers * np.arange(_FROM_BEFORE) + part.layer)
        places = np.broadcast_to(part.place[:, None, None], (*around.shape, 1))
        return np.concatenate([places, sized + heads], -1)

    def within(self, digits: Int[np.ndarray, "m c"], layer: int) -> Int[np.ndarray, "m c"]:
        """The rows that follow from the digits of the same ids that come before."""
        known = digits.shape[-1]
        return digits + np.array([self._within[k] + layer * self.levels[k] for k in range(known)], np.int64)

    def _sized(self, sums: Int[np.ndarray, "*n"], count: int) -> Int[np.ndarray, "*n"]:
        return np.asarray(sums, np.int64) * CLASSES // (self._largest * count + 1)
