"""The ids of one codebook in many pictures, in order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt

from tokodec.errors import InputError
from tokodec.tokenformats import RecordParts, StreamParts

Grid = UInt[np.ndarray, "_ _"]
"""Rows and columns of one picture, its own number of both."""
Row = UInt[np.ndarray, " _"]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """``grids``: a picture each, ids in ``range(size)``. A sequence is a grid of one row; of (t, h, w), frames stand below each other."""

    stream: str
    codebook: int
    size: int
    axes: tuple[str, ...]
    grids: Sequence[Grid]

    @property
    def name(self) -> str:
        """The stream, with the number of the codebook where several share it."""
        return f"{self.stream}[{self.codebook}]" if self.axes[-1] == "k" else self.stream

    def ids(self) -> Int[np.ndarray, " n"]:
        """All of them, picture by picture, row by row."""
        return joined([grid.ravel() for grid in self.grids])


def joined(parts: Sequence[Row]) -> Int[np.ndarray, " m"]:
    """One row of int64."""
    return np.concatenate([np.empty(0, np.int64), *parts]).astype(np.int64)


def corpora(records: Sequence[RecordParts]) -> list[Corpus]:
    """One a codebook, stream by stream. Raises InputError for records of different models, and for none."""
    if not records:
        raise InputError("there are no tokens to look at")
    first = records[0].streams
    layout = {name: (s.axes, s.vocab) for name, s in first.items()}
    if any({name: (s.axes, s.vocab) for name, s in record.streams.items()} != layout for record in records):
        raise InputError("the tokens are of different models: their streams or vocabularies differ")
    return [corpus for name, stream in first.items() for corpus in _of_stream(name, stream, records)]


def _of_stream(name: str, stream: StreamParts, records: Sequence[RecordParts]) -> Iterator[Corpus]:
    lattices = [_lattice(record.streams[name]) for record in records]
    for k, size in enumerate(stream.vocab):
        yield Corpus(stream=name, codebook=k, size=size, axes=stream.axes, grids=[lattice[..., k] for lattice in lattices])


def _lattice(stream: StreamParts) -> UInt[np.ndarray, "h w k"]:
    ids = stream.ids if stream.axes[-1] == "k" else stream.ids[..., None]
    return ids.reshape(-1, *ids.shape[-2:])
