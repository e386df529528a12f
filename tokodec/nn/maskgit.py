"""The convolutional network of MaskGIT's VQGAN: no attention, no biases inside blocks, sizes halved by averages.

Where widths differ, a block forgets what came in: a 1x1 convolution of the branch is added to the branch.

Source: Chang et al., "MaskGIT: masked generative image transformer", CVPR 2022, as in bytedance/1d-tokenizer.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.conv import Conv
from tokodec.nn.mix import Mix
from tokodec.nn.resnet import added
from tokodec.nn.vqgan import ResidualBlock, Up, norm, swish

Map = Float[Tensor, "b c h w"]
Resized = Float[Tensor, "b c2 h2 w2"]


class ForgetfulBlock(ResidualBlock):
    """To another width: the branch, and a linear map of the branch."""

    def __init__(self, channels: int, width: int, groups: int) -> None:
        super().__init__(channels, width, groups, bias=False)
        self.shortcut = Mix(width, width, bias=False)

    def forward(self, x: Map) -> Resized:
        h = self.conv2(swish(self.norm2(self.conv1(swish(self.norm1(x))))))
        return added(self.shortcut(h), h)


def _block(channels: int, width: int, groups: int) -> ResidualBlock:
    return ResidualBlock(width, width, groups, bias=False) if channels == width else ForgetfulBlock(channels, width, groups)


def _blocks(channels: int, width: int, count: int, groups: int) -> nn.Sequential:
    return nn.Sequential(*(_block(channels if i == 0 else width, width, groups) for i in range(count)))


class MaskGitEncoder(nn.Module):
    """Pictures to ``z`` features at half the size for each level but the last; ``widths`` from the finest to the coarsest."""

    def __init__(self, widths: Sequence[int], blocks: int, z: int, groups: int) -> None:
        super().__init__()
        self.conv_in = Conv(3, widths[0], 3, padding=1, bias=False)
        self.levels = nn.ModuleList(_blocks(c, w, blocks, groups) for c, w in zip((widths[0], *widths), widths, strict=False))
        self.middle = _blocks(widths[-1], widths[-1], blocks, groups)
        self.norm_out = norm(widths[-1], groups)
        self.conv_out = Mix(widths[-1], z)

    def forward(self, x: Map) -> Resized:
        h = self.levels[0](self.conv_in(x))
        for level in self.levels[1:]:
            h = level(F.avg_pool2d(h, 2))
        return self.conv_out(swish(self.norm_out(self.middle(h))))


class MaskGitDecoder(nn.Module):
    """The mirror; ``levels`` and ``ups`` go from the coarsest to the finest."""

    def __init__(self, widths: Sequence[int], blocks: int, z: int, groups: int) -> None:
        super().__init__()
        down = tuple(widths[::-1])
        self.conv_in = Conv(z, down[0], 3, padding=1)
        self.middle = _blocks(down[0], down[0], blocks, groups)
        self.levels = nn.ModuleList(_blocks(c, w, blocks, groups) for c, w in zip((down[0], *down), down, strict=False))
        self.ups = nn.ModuleList(Up(w) for w in down[:-1])
        self.norm_out = norm(down[-1], groups)
        self.conv_out = Conv(down[-1], 3, 3, padding=1)

    def forward(self, z: Map) -> Resized:
        h = self.levels[0](self.middle(self.conv_in(z)))
        for up, level in zip(self.ups, self.levels[1:], strict=True):
            h = level(up(h))
        return self.conv_out(swish(self.norm_out(h)))
