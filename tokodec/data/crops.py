"""The pictures of a training step: random crops and flips, every one a pure function of (seed, position)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from tokodec.data.shards import Sample
from tokodec.errors import InputError


@dataclass(frozen=True, kw_only=True)
class CropConfig:
    """How a picture becomes a training sample.

    ``reduce_from``: samples of at least this quality are cropped at twice the size and reduced by two where the
    picture allows it. Our shards are 4:2:0 WebP; at half size their chroma is whole and their coding noise is gone,
    which is what high rates would otherwise spend bits on. 1 or more switches it off.
    """

    size: int = 256
    reduce_from: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Pictures in [0, 1] and the quality each is to be coded at."""

    pixels: Float[Tensor, "b 3 h w"]
    quality: Float[Tensor, " b"]

    def to(self, device: torch.device) -> "Batch":
        return Batch(pixels=self.pixels.to(device, non_blocking=True), quality=self.quality.to(device, non_blocking=True))


class Crops:
    """An endless, seekable sequence of training samples; pictures are decoded once and kept while memory allows."""

    def __init__(self, samples: Sequence[Sample], *, seed: int, cache_bytes: int = 4 << 30) -> None:
        self._samples = samples
        self._seed = seed
        self._room = cache_bytes
        self._kept: dict[str, UInt8[np.ndarray, "h w 3"]] = {}
        self._large: dict[int, list[Sample]] = {}
        self._order: tuple[tuple[int, int], np.ndarray] = ((-1, -1), np.empty(0, np.int64))

    def batch(self, start: int, count: int, config: CropConfig) -> Batch:
        """Samples ``start`` to ``start + count`` of the sequence."""
        crops, quality = zip(*(self._sample(start + i, config) for i in range(count)), strict=True)
        pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().div_(255)
        return Batch(pixels=pixels, quality=torch.tensor(quality, dtype=torch.float32))

    def _sample(self, position: int, config: CropConfig) -> tuple[UInt8[np.ndarray, "c c 3"], float]:
        rng = np.random.default_rng((self._seed, position))
        picture = self._picture(self._which(position, config.size))
        quality = float(rng.random())
        reduced = quality >= config.reduce_from and min(picture.shape[:2]) >= 2 * config.size
        crop = _reduce(_crop(picture, 2 * config.size, rng)) if reduced else _crop(picture, config.size, rng)
        return (crop[:, ::-1] if rng.random() < 0.5 else crop), quality

    def _which(self, position: int, size: int) -> Sample:
        """The sample at a position: every epoch goes once through all pictures that are large enough, in its own order."""
        if size not in self._large:
            self._large[size] = [s for s in self._samples if min(s.size) >= size]
        samples = self._large[size]
        if not samples:
            raise InputError(f"no picture has a shorter side of {size}; choose smaller crops")
        epoch, place = divmod(position, len(samples))
        if self._order[0] != (size, epoch):
            self._order = ((size, epoch), np.random.default_rng((self._seed, 1 << 40, epoch)).permutation(len(samples)))
        return samples[int(self._order[1][place])]

    def _picture(self, sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
        name = f"{sample.shard}/{sample.key}"
        if name in self._kept:
            return self._kept[name]
        picture = sample.read()
        if picture.nbytes <= self._room:
            self._room -= picture.nbytes
            self._kept[name] = picture
        return picture


def _crop(picture: UInt8[np.ndarray, "h w 3"], size: int, rng: np.random.Generator) -> UInt8[np.ndarray, "c c 3"]:
    top = int(rng.integers(picture.shape[0] - size + 1))
    left = int(rng.integers(picture.shape[1] - size + 1))
    return picture[top : top + size, left : left + size]


def _reduce(crop: UInt8[np.ndarray, "c c 3"]) -> UInt8[np.ndarray, "d d 3"]:
    half = crop.shape[0] // 2
    sums = crop.reshape(half, 2, half, 2, 3).sum((1, 3), dtype=np.uint16)
    return ((sums + 2) // 4).astype(np.uint8)
