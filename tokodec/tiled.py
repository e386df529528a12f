"""Pictures in tiles: each tile a payload of its own, the picture without seams.

A codec sees only so far (``reach``). A tile is analysed out of a window that reaches beyond it, so its latents are those that the
whole picture would give there; only their probabilities know nothing of the neighbours. A window of the picture is rendered
out of the latents of all tiles that it sees. Tiles are independent of each other until then, so several are coded at a
time, and a region needs no more than the tiles that it sees.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from tokodec.api import Symbols
from tokodec.quality import qualities_of
from tokodec.codecs.variable_rate import VariableRateCodec, level_of
from tokodec.entropy.tileplan import Box, TilePlan, Tiles
from tokodec.errors import CorruptFile
from tokodec.media.pixels import to_uint8, to_unit
from tokodec.nn.lowres import STRIDE

Rgb = UInt8[np.ndarray, "h w 3"]
In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, kw_only=True)
class TileWriter:
    """Codes pictures tile by tile, ``jobs`` at a time."""

    codec: VariableRateCodec
    device: torch.device
    jobs: int = 1

    def write(self, rgb: Rgb, tiles: Tiles, quality: float | None) -> tuple[TilePlan, list[bytes]]:
        """The plan and a payload a tile."""
        with _workers(self.jobs) as run:
            coded = run(lambda number: self._one(rgb, tiles, number, quality), range(len(tiles)))
        return TilePlan(side=tiles.side, crcs=tuple(crc for _, crc in coded)), [payload for payload, _ in coded]

    def _one(self, rgb: Rgb, tiles: Tiles, number: int, quality: float | None) -> tuple[bytes, int]:
        box = tiles.box(number)
        around = box.grown(self.codec.reach[0], self.codec.stride, tiles.whole)
        x = to_unit(np.ascontiguousarray(rgb[around.slices])).to(self.device)
        level = level_of(qualities_of(quality, x))
        y = self.codec.analyse(x, level)
        top, left = (box.top - around.top) // STRIDE, (box.left - around.left) // STRIDE
        height, width = self.codec.grids(box.size)[0]
        y = y[..., top : top + height, left : left + width].contiguous(memory_format=torch.channels_last)
        symbols = self.codec.settle(y, level, box.size)
        return self.codec.write(symbols)[0], symbols.crc32()[0]


@dataclass(frozen=True, kw_only=True)
class Latent:
    """A tile as the decoder has it: ``y_hat`` (1, M, h/16, w/16) and its quality level."""

    y_hat: Float[Tensor, "1 m h w"]
    level: Tensor


@dataclass(frozen=True, kw_only=True)
class TileReader:
    """Decodes a picture of ``size`` (h, w), or a region of it, ``jobs`` tiles at a time."""

    codec: VariableRateCodec
    plan: TilePlan
    payloads: Sequence[bytes]
    size: tuple[int, int]
    jobs: int = 1

    @property
    def tiles(self) -> Tiles:
        """Raises CorruptFile for a plan that does not fit the size."""
        return self.plan.tiles(self.size)

    def check(self) -> None:
        """Raise CorruptFile for a payload too short for its tile."""
        tiles = self.tiles
        for number, payload in enumerate(self.payloads):
            self.codec.check(payload, tiles.box(number).size)

    def verify(self) -> None:
        """Raise CorruptFile if the symbols of a tile are not those that were encoded."""
        with _workers(self.jobs) as run:
            run(self._verify, range(len(self.tiles)))

    def read(self, region: Box) -> Rgb:
        """The pixels of ``region``. Raises CorruptFile."""
        tiles, rgb = self.tiles, np.empty((*region.size, 3), np.uint8)
        known: dict[int, Latent] = {}
        with _workers(self.jobs) as run:
            for windows in _by_row(tiles, region):
                seen = sorted({number for window in windows for number in tiles.touching(self._around(window))})
                known = {number: known[number] for number in seen if number in known}
                missing = [number for number in seen if number not in known]
                known |= zip(missing, run(self._latent, missing), strict=True)
                rendered = run(partial(self._render, known=known), windows)
                for window, pixels in zip(windows, rendered, strict=True):
                    rgb[window.within(region).slices] = pixels
        return rgb

    def _around(self, window: Box) -> Box:
        """What is seen of the picture, filled up to whole strides, when ``window`` is rendered."""
        stride = self.codec.stride
        filled = Box(top=0, left=0, bottom=-(-self.size[0] // stride) * stride, right=-(-self.size[1] // stride) * stride)
        return window.grown(self.codec.reach[1], stride, filled)

    def _verify(self, number: int) -> None:
        self._symbols(number)  # and keep nothing

    def _symbols(self, number: int) -> Symbols:
        symbols = self.codec.read([self.payloads[number]], self.tiles.box(number).size)
        if symbols.crc32()[0] != self.plan.crcs[number]:
            raise CorruptFile(f"the decoded symbols of tile {number} are not those that were encoded (their CRC-32 differs): no picture")
        return symbols

    def _latent(self, number: int) -> Latent:
        symbols = self._symbols(number)
        return Latent(y_hat=self.codec.restore(symbols), level=symbols.level)

    def _render(self, window: Box, known: dict[int, Latent]) -> Rgb:
        """``window`` lies in one tile, whose level holds for it."""
        around = self._around(window)
        whole = around.divided(STRIDE)
        level = known[self.tiles.touching(window)[0]].level
        y_hat = torch.cat([torch.cat(row, 3) for row in self._pieces(whole, known)], 2)
        pixels = self.codec.render(y_hat.contiguous(memory_format=torch.channels_last), level)
        return to_uint8(pixels[(..., *window.within(around).slices)].clamp(0, 1))[0]

    def _pieces(self, whole: Box, known: dict[int, Latent]) -> Iterator[list[Tensor]]:
        """The latents of ``whole``, in units of latents, tile by tile, as rows of pieces."""
        tiles, side = self.tiles, self.plan.side // STRIDE
        for row in range(whole.top // side, -(-whole.bottom // side)):
            pieces: list[Tensor] = []
            for column in range(whole.left // side, -(-whole.right // side)):
                tile = Box(top=row * side, left=column * side, bottom=(row + 1) * side, right=(column + 1) * side)
                number = row * tiles.columns + column
                pieces.append(known[number].y_hat[(..., *tile.cut(whole).within(tile).slices)])
            yield pieces


def _by_row(tiles: Tiles, region: Box) -> list[list[Box]]:
    """The parts of ``region`` in each tile, one list a row of tiles."""
    rows: dict[int, list[Box]] = {}
    for number in tiles.touching(region):
        rows.setdefault(number // tiles.columns, []).append(tiles.box(number).cut(region))
    return list(rows.values())


@contextmanager
def _workers(jobs: int) -> Generator[Callable[[Callable[[In], Out], Iterable[In]], list[Out]]]:
    """A ``map`` that does ``jobs`` things at a time, each on one thread of torch where there is more than one."""

    def one(job: Callable[[In], Out], item: In) -> Out:
        with torch.inference_mode():  # known to each thread alone
            return job(item)

    if jobs == 1:
        yield lambda job, items: [one(job, item) for item in items]
        return
    with ThreadPoolExecutor(jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield lambda job, items: list(pool.map(lambda item: one(job, item), items))
