"""What tokenizers share whose networks know one size, in [-1, 1], and give each window ids of its own.

Any size: pictures are filled up by replication to whole windows, each on its own, and cropped again.
"""

from abc import abstractmethod

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from tokodec.api import DiscreteTokenizer, Pixels
from tokodec.nn.pad import padded
from tokodec.nn.windows import stitched, windows

Window = Float[Tensor, "k 3 s s"]
_AT_ONCE = 8
"""Windows at a time, but on a processor, which is no faster with several: memory stays bounded however large a picture is."""


class WindowTokenizer(DiscreteTokenizer):
    """Windows have ``stride`` x ``stride`` pixels."""

    layout = torch.contiguous_format
    stored = torch.float32

    @abstractmethod
    def ids_of(self, parts: Window) -> Int[Tensor, "k n"]:
        """The ids of some windows, by transforms in the precision of its numerics."""

    def cut(self, x: Pixels) -> Window:
        """Pictures in [0, 1] as windows in [-1, 1], filled up."""
        return windows(padded(x, self.stride) * 2 - 1, self.stride)

    def whole(self, parts: Window, size: tuple[int, ...] | torch.Size) -> Pixels:
        """The inverse, of pictures of ``size`` (h, w); colours may leave [0, 1]."""
        high, wide = self.windows_of(size)
        pixels = (stitched(parts, (high * self.stride, wide * self.stride)) + 1) / 2
        return pixels[..., : size[0], : size[1]]

    def chosen(self, parts: Window) -> Int[Tensor, "k n"]:
        """The ids of windows, as numerics want them: several at a time, channels last; or, whatever the circumstances, one by one, in
        one layout, by layers that keep their order of summation."""
        return self.numerics.choice(
            lambda: torch.cat([self.ids_of(some.contiguous(memory_format=torch.channels_last)) for some in few(parts)]),
            lambda: torch.cat([self.ids_of(one.contiguous()) for one in parts.split(1)]),
        )

    def windows_of(self, size: tuple[int, ...] | torch.Size) -> tuple[int, int]:
        """How many a column and a row have."""
        return -(-size[0] // self.stride), -(-size[1] // self.stride)


def few(each: Shaped[Tensor, "k ..."]) -> tuple[Shaped[Tensor, "j ..."], ...]:
    """Some windows after others."""
    return each.split(1 if each.device.type == "cpu" else _AT_ONCE)
