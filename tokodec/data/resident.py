"""Training samples cut on a GPU: all pictures are decoded once and stay in its memory as bytes."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from tokodec.data.crops import Batch, CropConfig, Cut, Cuts
from tokodec.data.shards import Sample

_READERS = 16


class ResidentCrops:
    """The samples of :class:`tokodec.data.crops.Crops`, byte for byte; only the numbers of a cut travel to the device."""

    def __init__(self, samples: Sequence[Sample], *, seed: int, times: Mapping[str, int], device: torch.device) -> None:
        self._cuts = Cuts(samples, seed=seed, times=times)
        with ThreadPoolExecutor(_READERS) as readers:  # decoders let go of the interpreter
            pictures = list(readers.map(lambda sample: sample.read(), samples))
        self._widths = [picture.shape[1] for picture in pictures]
        self._starts = np.cumsum([0, *(picture.shape[0] * picture.shape[1] for picture in pictures)])
        self._pool = torch.from_numpy(np.concatenate([picture.reshape(-1, 3) for picture in pictures])).to(device)

    def batch(self, start: int, count: int, config: CropConfig) -> Batch:
        """Samples ``start`` to ``start + count`` of the sequence, on the device."""
        cuts = [self._cuts.cut(start + i, config) for i in range(count)]
        crops = torch.empty(count, config.size, config.size, 3, dtype=torch.uint8, device=self._pool.device)
        for reduced in (False, True):
            chosen = [i for i, cut in enumerate(cuts) if cut.reduced == reduced]
            if chosen:
                windows = self._windows([cuts[i] for i in chosen], config.size * (1 + reduced))
                crops[self._sent(chosen)] = _halved(windows) if reduced else windows
        pixels = crops.permute(0, 3, 1, 2).float().div_(255)
        here = self._cuts.batch(cuts, pixels)
        return (here.pinned() if self._pool.is_cuda else here).to(self._pool.device)

    def _windows(self, cuts: Sequence[Cut], side: int) -> UInt8[Tensor, "n side side 3"]:
        """Mirrored where asked: gathered in one go by the places of their pixels."""
        first = [int(self._starts[c.picture]) + c.top * self._widths[c.picture] + c.left + (side - 1) * c.mirrored for c in cuts]
        step = [1 - 2 * c.mirrored for c in cuts]
        first_, step_, width = (self._sent(v)[:, None, None] for v in (first, step, [self._widths[c.picture] for c in cuts]))
        along: Int[Tensor, " side"] = torch.arange(side, device=self._pool.device)
        places = first_ + width * along[:, None] + step_ * along
        return self._pool[places]

    def _sent(self, values: Sequence[float]) -> Tensor:
        here = torch.tensor(values)
        return (here.pin_memory() if self._pool.is_cuda else here).to(self._pool.device, non_blocking=True)


def _halved(windows: UInt8[Tensor, "n side side 3"]) -> UInt8[Tensor, "n half half 3"]:
    half = windows.shape[1] // 2
    sums = windows.view(-1, half, 2, half, 2, 3).to(torch.int16).sum((2, 4), dtype=torch.int16)
    return ((sums + 2) // 4).to(torch.uint8)
