"""Patches of pictures as vectors and back. The samples of a patch: its channels, each row by row; or its places row by row, each with all
channels.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.mix import thin


class PatchEmbed(nn.Conv2d):
    """A convolution whose kernels are as large as its steps, computed as a linear map of patches."""

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__(channels, width, patch, stride=patch)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n d"]:  # type: ignore[override]
        return thin(patches(x, self.kernel_size[0]), self.weight.flatten(1), self.bias)


def patches(x: Float[Tensor, "b c h w"], side: int) -> Float[Tensor, "b n s"]:
    """Row by row."""
    return F.pixel_unshuffle(x, side).flatten(2).transpose(1, 2)


def picture(samples: Float[Tensor, "b n s"], side: int, grid: tuple[int, int]) -> Float[Tensor, "b c h w"]:
    """The inverse, for ``grid`` rows and columns of patches."""
    return F.pixel_shuffle(samples.transpose(1, 2).unflatten(2, grid), side)


def patches_by_place(x: Float[Tensor, "b c h w"], side: int) -> Float[Tensor, "b n s"]:
    """Row by row; inside a patch the channels of a place stand together."""
    return x.unflatten(2, (-1, side)).unflatten(4, (-1, side)).permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def picture_by_place(samples: Float[Tensor, "b n s"], side: int, grid: tuple[int, int]) -> Float[Tensor, "b c h w"]:
    """The inverse, for ``grid`` rows and columns of patches."""
    places = samples.unflatten(1, grid).unflatten(3, (side, side, -1))
    return places.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
