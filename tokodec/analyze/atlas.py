"""What every code of a codebook looks like.

A small grid of nothing but one code is decoded, at least 3 x 3 places, and the place in the middle is cut out. The other codebooks of
a model stand at their most frequent code meanwhile. So a patch shows a code among its like, which in pictures it seldom is.
"""

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from tokodec.analyze.figures import Figures
from tokodec.analyze.frequency import Frequency
from tokodec.analyze.neighbours import nearest
from tokodec.api import DiscreteTokenizer, Stream, Tokens
from tokodec.machine import memory_told
from tokodec.media.pixels import to_uint8
from tokodec.tokenizers.lattice import LatticeTokenizer

MOST = 16384
"""Codes that are drawn: all of a codebook that has no more, else those that occur most."""
_PIXELS = MOST * 16 * 16
"""Of all sheets together: at worst 17 MB of a page."""
_AT_ONCE = 1 << 18
"""Pixels that are decoded together."""
_AROUND = 3
_WIDEST = 1024

Told = Callable[[str, int, int], None]
"""Called with the name of a codebook, how many of its codes are drawn, and of how many."""


@dataclass(frozen=True, kw_only=True)
class Atlas:
    """Codes by frequency, of equals the lowest; one tile of ``side`` pixels each on a sheet of ``columns``.

    ``neighbours`` are ids, nearest first, with their ``distances``; both empty where a model has no vectors for ids.
    """

    name: str
    about: str
    side: int
    columns: int
    total: int
    """Ids that were counted."""
    ids: list[int]
    counts: list[int]
    neighbours: list[list[int]]
    distances: list[list[float]]
    png: bytes


def atlases(tokenizer: DiscreteTokenizer, codebooks: Sequence[Figures], most: int, told: Told) -> list[Atlas]:
    """Of every codebook over rows and columns, of at most ``most`` codes each; none for 0. Raises OutOfMemory."""
    painter = Painter(tokenizer, codebooks)
    drawn = [f for f in codebooks if painter.has_places(f.stream)]
    tiles = sum(len(chosen(f.frequency, most)[0]) for f in drawn)
    if not tiles:
        return []
    largest = max(math.isqrt(_PIXELS // tiles), 1)
    with memory_told(), torch.inference_mode():
        return [_atlas(painter, figures, most, largest, told) for figures in drawn]


def chosen(frequency: Frequency, most: int) -> tuple[list[int], list[int]]:
    """Which codes are drawn, and how often each occurs."""
    if frequency.size > most:
        return frequency.ids[:most], frequency.counts[:most]
    unseen = [code for first, last in frequency.dead_runs for code in range(first, last + 1)]
    return frequency.ids + unseen, frequency.counts + [0] * len(unseen)


class Painter:
    """Decodes grids of one code."""

    def __init__(self, tokenizer: DiscreteTokenizer, codebooks: Sequence[Figures]) -> None:
        self.tokenizer = tokenizer
        self._device = next(tokenizer.parameters()).device
        self._usual = {(f.stream, f.codebook): f.frequency.ids[0] for f in codebooks}
        self._blank = _smallest(tokenizer)

    def has_places(self, stream: str) -> bool:
        """Whether its ids stand for places in a picture."""
        return self._blank.streams[stream].axes[:2] == ("h", "w")

    def patches(self, stream: str, codebook: int, ids: Sequence[int], largest: int) -> UInt8[np.ndarray, "n side side 3"]:
        """The middle of each grid, reduced to ``largest`` pixels a side where it is larger."""
        grid, size = self._blank.streams[stream].ids.shape[1:3], self._blank.size
        top, left = (n // 2 * side // n for n, side in zip(grid, size, strict=True))
        side = max(size[0] // grid[0], 1)
        pixels = self.tokenizer.decode(self._tokens(stream, codebook, ids))[:, :, top : top + side, left : left + side]
        return to_uint8(F.interpolate(pixels, size=(largest, largest), mode="area") if side > largest else pixels)

    @property
    def at_once(self) -> int:
        """How many codes are decoded together."""
        pixels = [math.prod(s.ids.shape[1:3]) * self.tokenizer.stride**2 for s in self._blank.streams.values()]
        return max(_AT_ONCE // max(pixels), 1)

    def vectors(self, stream: str, codebook: int, ids: Sequence[int]) -> Float[np.ndarray, "n d"] | None:
        """What the decoder sees of each code."""
        if not isinstance(self.tokenizer, LatticeTokenizer):
            return None
        rows = [self._filled(stream, codebook, some, (1,)) for some in _split(ids, 4096)]
        found = [self.tokenizer.quantizer.lookup(r.transpose(0, 1)) for r in rows]
        return torch.cat([f[0] for f in found]).float().cpu().numpy()

    def _tokens(self, stream: str, codebook: int, ids: Sequence[int]) -> Tokens:
        streams: dict[str, Stream] = {}
        for name, blank in self._blank.streams.items():
            places = tuple(n for n, axis in zip(blank.ids.shape[1:], blank.axes, strict=True) if axis != "k")
            streams[name] = replace(blank, ids=self._filled(name, codebook if name == stream else None, ids, places))
        return replace(self._blank, streams=streams)

    def _filled(self, stream: str, codebook: int | None, ids: Sequence[int], places: tuple[int, ...]) -> Int[Tensor, "n ..."]:
        """Each id at all places, beside the usual ids of the other codebooks; for None the usual ids alone."""
        blank = self._blank.streams[stream]
        usual = torch.tensor([self._usual[stream, k] for k in range(len(blank.vocab))], device=self._device)
        rows = usual.repeat(len(ids), 1)
        if codebook is not None:
            rows[:, codebook] = torch.tensor(ids, device=self._device)
        filled = rows.view(len(ids), *[1] * len(places), -1).expand(-1, *places, -1)
        return (filled if blank.axes[-1] == "k" else filled[..., 0]).contiguous()


def _smallest(tokenizer: DiscreteTokenizer) -> Tokens:
    """Tokens without values of a square picture, as large as one of so many ids can be: some models know one size only."""
    side = _AROUND * tokenizer.stride
    while side < _WIDEST and _shapes(tokenizer, side + tokenizer.stride) == _shapes(tokenizer, side):
        side += tokenizer.stride
    return tokenizer.blank((side, side))


def _shapes(tokenizer: DiscreteTokenizer, side: int) -> list[torch.Size]:
    return [stream.ids.shape for stream in tokenizer.blank((side, side)).streams.values()]


def _atlas(painter: Painter, figures: Figures, most: int, largest: int, told: Told) -> Atlas:
    ids, counts = chosen(figures.frequency, most)
    parts: list[UInt8[np.ndarray, "n side side 3"]] = []
    for some in _split(ids, painter.at_once):
        parts.append(painter.patches(figures.stream, figures.codebook, some, largest))
        told(figures.name, sum(map(len, parts)), len(ids))
    tiles = np.concatenate(parts)
    vectors = painter.vectors(figures.stream, figures.codebook, ids)
    near = None if vectors is None else nearest(vectors)
    columns = math.isqrt(len(ids) - 1) + 1
    return Atlas(
        name=figures.name,
        about=_about(figures.frequency, len(ids)),
        side=tiles.shape[1],
        columns=columns,
        total=figures.frequency.total,
        ids=ids,
        counts=counts,
        neighbours=[] if near is None else np.array(ids)[near.places].tolist(),
        distances=[] if near is None else near.distances.tolist(),
        png=sheet(tiles, columns),
    )


def _about(frequency: Frequency, drawn: int) -> str:
    which = "All" if drawn == frequency.size else f"The {drawn:,} most frequent of {frequency.size:,}"
    return f"{which} codes, the most frequent first, each as the middle of a grid of nothing else."


def sheet(tiles: UInt8[np.ndarray, "n side side 3"], columns: int) -> bytes:
    """A PNG with the tiles row by row; what is left of the last row is black."""
    count, side = tiles.shape[:2]
    rows = -(-count // columns)
    whole = np.zeros((rows * columns, side, side, 3), np.uint8)
    whole[:count] = tiles
    pixels = whole.reshape(rows, columns, side, side, 3).swapaxes(1, 2).reshape(rows * side, columns * side, 3)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "png")
    return buffer.getvalue()


def _split(ids: Sequence[int], length: int) -> list[Sequence[int]]:
    return [ids[start : start + length] for start in range(0, len(ids), length)]
