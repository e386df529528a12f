"""3x3 convolutions by Winograd's minimal filtering, in bfloat16, channels last, for inference on a processor.

A tile of 2x2 results takes 16 products for each pair of channels instead of 36, and sums of maps, which cost less than that saves where
layers are wide: a third of their time (``benchmarks/convolutions.py``). Those sums are rounded too: the error is two to three times that
of a plain convolution in bfloat16.

Source: Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016, F(2x2, 3x3).
"""

from collections.abc import Sequence

import torch
from jaxtyping import BFloat16, Float
from torch import Tensor

Map = BFloat16[Tensor, "b c h w"]

_TILES_AT_ONCE = 256
"""What is made of so many stays in a cache."""

_KERNELS = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))


def pays(channels: int, width: int) -> bool:
    """Whether a layer becomes half as fast again: wide ones, on processors with vectors of bfloat16 but no matrix unit.

    Narrower ones gain a third or less, which is not worth the precision.
    """
    if min(channels, width) < 256 or max(channels, width) < 512:
        return False
    vectors, matrices = torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] no public names
    return vectors() and not matrices()


def kernels(weight: Float[Tensor, "d c 3 3"]) -> BFloat16[Tensor, "16 d c"]:
    """A kernel as :func:`conv` wants it, nearly twice as large, for use again and again."""
    by = torch.tensor(_KERNELS, device=weight.device)
    with torch.autocast(weight.device.type, enabled=False):
        found = torch.einsum("ik,dckl,jl->ijdc", by, weight.detach().float(), by)
    return found.flatten(0, 1).bfloat16().contiguous()


def conv(x: Map, kernel: BFloat16[Tensor, "16 d c"], bias: Float[Tensor, " d"] | None) -> BFloat16[Tensor, "b d h w"]:
    """A convolution of stride 1 with zero padding that keeps the size. ``kernel`` comes from :func:`kernels`.

    Memory beside what goes in and out: one padded picture, and tiles of some rows of it.
    """
    batch, channels, height, width = x.shape
    down, across = -(-height // 2), -(-width // 2)
    y = x.new_empty(batch, down, 2, across, 2, kernel.shape[1])
    rows = max(_TILES_AT_ONCE // across, 1)
    for one, results in zip(x.permute(0, 2, 3, 1), y, strict=True):
        padded = x.new_zeros(2 * down + 2, 2 * across + 2, channels)
        padded[1 : height + 1, 1 : width + 1] = one
        for top in range(0, down, rows):
            tiles = _tiles(padded[2 * top : 2 * (top + rows) + 2])
            products = torch.bmm(tiles.view(16, -1, channels), kernel.transpose(1, 2)).view(*tiles.shape[:4], -1)
            if bias is not None:
                products[1, 1] += bias  # the one product that counts once, and with this sign, in each of the four results
            _sum(products, results[top : top + rows])
    return y.view(batch, 2 * down, 2 * across, -1)[:, :height, :width].permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _tiles(padded: BFloat16[Tensor, "h w c"]) -> BFloat16[Tensor, "4 4 down across c"]:
    """Of every 4x4 places, two rows and two columns apart, what is multiplied."""
    height, width, channels = padded.shape
    down, across = height // 2 - 1, width // 2 - 1
    by_row = padded.new_empty(4, down, width, channels)
    _differences(padded.unfold(0, 4, 2).unbind(-1), by_row.unbind(0))
    tiles = padded.new_empty(4, 4, down, across, channels)
    _differences(by_row.unfold(2, 4, 2).unbind(-1), tiles.unbind(1))
    return tiles


def _differences(places: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    torch.sub(places[0], places[2], out=out[0])
    torch.add(places[1], places[2], out=out[1])
    torch.sub(places[2], places[1], out=out[2])
    torch.sub(places[1], places[3], out=out[3])


def _sum(products: BFloat16[Tensor, "4 4 down across d"], out: BFloat16[Tensor, "down 2 across 2 d"]) -> None:
    """Products, which are overwritten, to the results of their tiles."""
    rows = products.unbind(0)
    _sums(rows, rows[:2])
    for row, to in zip(rows[:2], out.unbind(1), strict=True):
        _sums(row.unbind(0), to.unbind(2))


def _sums(products: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    torch.add(products[0].add_(products[1]), products[2], out=out[0])
    torch.sub(products[1].sub_(products[2]), products[3], out=out[1])
