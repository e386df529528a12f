"""The pictures of a training step: random crops and flips, every one a pure function of (seed, position)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from tokodec.data.shards import Sample, number_of
from tokodec.errors import InputError


@dataclass(frozen=True, kw_only=True)
class CropConfig:
    """How a picture becomes a training sample.

    ``reduce_from``: samples of at least this quality are cropped at twice the size and reduced by two where the
    picture allows it. Our shards are 4:2:0 WebP; at half size their chroma is whole and their coding noise is gone,
    which is what high rates would otherwise spend bits on. 1 or more switches it off.
    ``quality_power``: qualities are even in [0, 1] to this power, so that above 1 low ones are frequent.
    """

    size: int = 256
    reduce_from: float = 2.0
    quality_power: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Pictures in [0, 1], the quality each is to be coded at, and where it was cut.

    ``picture``: :func:`tokodec.data.shards.number_of` the picture. ``window``: left, top, right and bottom of the cut as shares of its
    sides, and 1 if it was mirrored, else 0.
    """

    pixels: Float[Tensor, "b 3 h w"]
    quality: Float[Tensor, " b"]
    picture: Int[Tensor, " b"]
    window: Float[Tensor, "b 5"]

    def pinned(self) -> "Batch":
        """With what is on the processor in memory that a GPU copies while other work goes on."""
        return replace(self, quality=self.quality.pin_memory(), picture=self.picture.pin_memory(), window=self.window.pin_memory())

    def to(self, device: torch.device) -> "Batch":
        return Batch(
            pixels=self.pixels.to(device, non_blocking=True),
            quality=self.quality.to(device, non_blocking=True),
            picture=self.picture.to(device, non_blocking=True),
            window=self.window.to(device, non_blocking=True),
        )


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where a training sample comes from: a square window of a picture, maybe reduced by two, maybe mirrored."""

    picture: int
    top: int
    left: int
    reduced: bool
    mirrored: bool
    quality: float


class Cuts:
    """An endless, seekable sequence of training samples as places in pictures: a pure function of (seed, position).

    ``times``: how often an epoch goes through the pictures of a category; once, where it says nothing.
    """

    def __init__(self, samples: Sequence[Sample], *, seed: int, times: Mapping[str, int]) -> None:
        self._sides = [s.size for s in samples]
        self._times = [times.get(str(s.meta.get("category")), 1) for s in samples]
        self._numbers = [number_of(s.name) for s in samples]
        self._seed = seed
        self._large: dict[int, list[int]] = {}
        self._order: tuple[tuple[int, int], np.ndarray] = ((-1, -1), np.empty(0, np.int64))

    def cut(self, position: int, config: CropConfig) -> Cut:
        """The sample at a position of the sequence."""
        rng = np.random.default_rng((self._seed, position))
        picture = self._which(position, config.size)
        width, height = self._sides[picture]
        quality = float(rng.random()) ** config.quality_power
        reduced = quality >= config.reduce_from and min(width, height) >= 2 * config.size
        side = config.size * (2 if reduced else 1)
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        return Cut(picture=picture, top=top, left=left, reduced=reduced, mirrored=bool(rng.random() < 0.5), quality=quality)

    def batch(self, cuts: Sequence[Cut], pixels: Float[Tensor, "b 3 h w"]) -> Batch:
        """The samples of those places, with pixels that were cut there; the rest is on the processor."""
        return Batch(
            pixels=pixels,
            quality=torch.tensor([cut.quality for cut in cuts], dtype=torch.float32),
            picture=torch.tensor([self._numbers[cut.picture] for cut in cuts]),
            window=torch.tensor([self._window(cut, pixels.shape[-1]) for cut in cuts], dtype=torch.float32),
        )

    def _window(self, cut: Cut, size: int) -> tuple[float, ...]:
        (width, height), side = self._sides[cut.picture], size * (2 if cut.reduced else 1)
        box = (cut.left / width, cut.top / height, (cut.left + side) / width, (cut.top + side) / height)
        return (*box, float(cut.mirrored))

    def _which(self, position: int, size: int) -> int:
        """The picture at a position: every epoch goes through all pictures that are large enough, in its own order."""
        if size not in self._large:
            self._large[size] = [i for i, sides in enumerate(self._sides) if min(sides) >= size for _ in range(self._times[i])]
        large = self._large[size]
        if not large:
            raise InputError(f"no picture has a shorter side of {size}; choose smaller crops")
        epoch, place = divmod(position, len(large))
        if self._order[0] != (size, epoch):
            self._order = ((size, epoch), np.random.default_rng((self._seed, 1 << 40, epoch)).permutation(len(large)))
        return large[int(self._order[1][place])]


class Crops:
    """Training samples cut by the processor; pictures are decoded once and kept while memory allows."""

    def __init__(self, samples: Sequence[Sample], *, seed: int, times: Mapping[str, int], cache_bytes: int = 4 << 30) -> None:
        self._samples = samples
        self._cuts = Cuts(samples, seed=seed, times=times)
        self._room = cache_bytes
        self._kept: dict[int, UInt8[np.ndarray, "h w 3"]] = {}

    def batch(self, start: int, count: int, config: CropConfig) -> Batch:
        """Samples ``start`` to ``start + count`` of the sequence."""
        cuts = [self._cuts.cut(start + i, config) for i in range(count)]
        pixels = torch.from_numpy(np.stack([self._crop(cut, config.size) for cut in cuts])).permute(0, 3, 1, 2).float().div_(255)
        return self._cuts.batch(cuts, pixels)

    def _crop(self, cut: Cut, size: int) -> UInt8[np.ndarray, "c c 3"]:
        side = size * (2 if cut.reduced else 1)
        crop = self._picture(cut.picture)[cut.top : cut.top + side, cut.left : cut.left + side]
        crop = _reduce(crop) if cut.reduced else crop
        return crop[:, ::-1] if cut.mirrored else crop

    def _picture(self, number: int) -> UInt8[np.ndarray, "h w 3"]:
        if number in self._kept:
            return self._kept[number]
        picture = self._samples[number].read()
        if picture.nbytes <= self._room:
            self._room -= picture.nbytes
            self._kept[number] = picture
        return picture


def _reduce(crop: UInt8[np.ndarray, "c c 3"]) -> UInt8[np.ndarray, "d d 3"]:
    half = crop.shape[0] // 2
    sums = crop.reshape(half, 2, half, 2, 3).sum((1, 3), dtype=np.uint16)
    return ((sums + 2) // 4).astype(np.uint8)
