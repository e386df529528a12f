"""What of DualViTok sees pixels and paints: VQGAN's networks with MoVQ's norms and DC-AE's shortcuts.

    down: conv to a quarter of the features ── 2x2 places become one (+) mean of the 2x2 places
    up:   conv to four times the features ── one place becomes 2x2  (+) that place four times
    norm: gain(code) * norm(x) + offset(code), linear in the code map at each place

Sources: Zheng et al., "MoVQ: modulating quantized vectors for high-fidelity image generation", NeurIPS 2022; Chen et al., "Deep
compression autoencoder for efficient high-resolution diffusion models", ICLR 2025; put together in Huang et al., "ILLUME+", 2025.
"""

from itertools import pairwise

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.conv import Conv
from tokodec.nn.mix import Mix
from tokodec.nn.resnet import added
from tokodec.nn.vqgan import Attention, Encoder, Shape, Stage, norm, swish

Map = Float[Tensor, "b c h w"]
Resized = Float[Tensor, "b c2 h2 w2"]
Code = Float[Tensor, "b z gh gw"]


class FoldDown(Conv):
    """Half the size and as many features."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels // 4, 3, padding=1)

    def forward(self, x: Map) -> Resized:  # type: ignore[override]
        return added(F.avg_pool2d(x, 2), F.pixel_unshuffle(super().forward(x), 2))


class UnfoldUp(Conv):
    """Twice the size and as many features."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 4 * channels, 3, padding=1)

    def forward(self, x: Map) -> Resized:  # type: ignore[override]
        return added(F.interpolate(x, scale_factor=2.0, mode="nearest"), F.pixel_shuffle(super().forward(x), 2))


class PixelEncoder(Encoder):
    """VQGAN's, with shortcuts where it halves the size and around its last convolution: there, means of features side by side."""

    def __init__(self, shape: Shape, z: int) -> None:
        super().__init__(shape, z)
        self.z = z
        for level, width in zip(self.levels[: shape.halvings], shape.widths, strict=False):
            assert isinstance(level, Stage)
            level.resize = FoldDown(width)

    def head(self, h: Map) -> Resized:
        a = swish(self.norm_out(h))
        return added(a.unflatten(1, (self.z, -1)).mean(2), self.conv_out(a))


class CodeNorm(nn.Module):
    """Group normalisation whose gain and offset are linear in the code map of the same place."""

    def __init__(self, channels: int, z: int, groups: int) -> None:
        super().__init__()
        self.norm = norm(channels, groups)
        self.gain, self.offset = Mix(z, channels), Mix(z, channels)

    def forward(self, x: Map, code: Code) -> Map:
        # The code map is enlarged by repetition: what is linear in it may be so before as well as after, and is cheaper before.
        gain, offset = (F.interpolate(mix(code), size=x.shape[2:], mode="nearest") for mix in (self.gain, self.offset))
        return self.norm(x) * gain + offset


class CodeBlock(nn.Module):
    """VQGAN's residual block with those norms."""

    def __init__(self, channels: int, width: int, z: int, groups: int) -> None:
        super().__init__()
        self.norm1 = CodeNorm(channels, z, groups)
        self.conv1 = Conv(channels, width, 3, padding=1)
        self.norm2 = CodeNorm(width, z, groups)
        self.conv2 = Conv(width, width, 3, padding=1)
        self.shortcut = Mix(channels, width) if channels != width else nn.Identity()

    def forward(self, x: Map, code: Code) -> Resized:
        h = self.conv1(swish(self.norm1(x, code)))
        return added(self.shortcut(x), self.conv2(swish(self.norm2(h, code))))


class CodeAttention(Attention):
    """VQGAN's attention with that norm."""

    def __init__(self, channels: int, z: int, groups: int) -> None:
        super().__init__(channels, groups)
        self.norm = CodeNorm(channels, z, groups)

    def forward(self, x: Map, code: Code) -> Map:  # type: ignore[override]
        return self.among(x, self.norm(x, code))


class CodeStage(nn.Module):
    """One level: residual blocks, each with attention after it where the level has some, then a change of size."""

    def __init__(self, channels: int, width: int, z: int, shape: Shape, resize: nn.Module, *, attends: bool) -> None:
        super().__init__()
        count, groups = shape.blocks + 1, shape.groups
        self.blocks = nn.ModuleList(CodeBlock(channels if i == 0 else width, width, z, groups) for i in range(count))
        self.attention = nn.ModuleList(CodeAttention(width, z, groups) for _ in range(count if attends else 0))
        self.resize = resize

    def forward(self, x: Map, code: Code) -> Resized:
        for i, block in enumerate(self.blocks):
            x = block(x, code)
            if self.attention:
                x = self.attention[i](x, code)
        return self.resize(x)


class PixelDecoder(nn.Module):
    """Code maps of ``z`` coordinates to pictures in [-1, 1]. ``levels`` go from the coarsest to the finest."""

    def __init__(self, shape: Shape, z: int) -> None:
        super().__init__()
        widths, groups = shape.widths[::-1], shape.groups
        self.repeats = widths[0] // z
        self.conv_in = Conv(z, widths[0], 3, padding=1)
        self.middle = nn.ModuleList(
            [CodeBlock(widths[0], widths[0], z, groups), CodeAttention(widths[0], z, groups), CodeBlock(widths[0], widths[0], z, groups)]
        )
        self.levels = nn.ModuleList(
            CodeStage(c, w, z, shape, UnfoldUp(w) if i < shape.halvings else nn.Identity(), attends=shape.attention[-1 - i])
            for i, (c, w) in enumerate(pairwise((widths[0], *widths)))
        )
        self.norm_out = CodeNorm(widths[-1], z, groups)
        self.conv_out = Conv(widths[-1], 3, 3, padding=1)

    def forward(self, z: Code, code: Code) -> Resized:
        """``z`` is what is painted, ``code`` what norms follow."""
        h = added(z.repeat_interleave(self.repeats, 1), self.conv_in(z))
        for part in (*self.middle, *self.levels):
            h = part(h, code)
        return self.conv_out(swish(self.norm_out(h, code)))
