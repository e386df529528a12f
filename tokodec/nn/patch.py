"""Patches of pictures as vectors and back. The samples of a patch: its channels, each row by row."""

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
