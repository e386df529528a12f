"""The convolutional encoder and decoder of VQGAN: residual blocks with group normalisation, attention at the coarsest level.

Most tokenizers of pictures and most latent diffusion models have them. Widths, depths and where attention stands differ and are a
:class:`Shape`; so do the kinds of blocks, which families hand over where theirs are others.

Source: Esser et al., "Taming transformers for high-resolution image synthesis", CVPR 2021 (CompVis/taming-transformers,
``taming/modules/diffusionmodules/model.py``), after Ho et al., "Denoising diffusion probabilistic models", NeurIPS 2020.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.attention import attend
from tokodec.nn.conv import Conv
from tokodec.nn.mix import Mix, ThinLinear
from tokodec.nn.resnet import added

Map = Float[Tensor, "b c h w"]
Resized = Float[Tensor, "b c2 h2 w2"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Levels from the finest to the coarsest: their widths; how many of the steps between them halve the size, from the finest on in
    the encoder and from the coarsest on in the decoder; residual blocks of each; which have attention after every block; the features
    before the first level of the encoder, where they are not as many as in it.
    """

    widths: tuple[int, ...]
    blocks: int
    halvings: int
    attention: tuple[bool, ...]
    groups: int = 32
    stem: int | None = None

    @classmethod
    def of(cls, width: int, multipliers: tuple[int, ...], blocks: int, groups: int, *, attention: int = 1) -> "Shape":
        """``width`` times each of ``multipliers``, a halving between all levels, and attention at so many of the coarsest."""
        levels = len(multipliers)
        return cls(
            widths=tuple(width * m for m in multipliers),
            blocks=blocks,
            halvings=levels - 1,
            attention=tuple(levels - i <= attention for i in range(levels)),
            groups=groups,
        )


class ResidualBlock(nn.Module):
    """``x + conv(act(norm(conv(act(norm(x))))))``, with a 1x1 convolution beside it where widths differ."""

    def __init__(self, channels: int, width: int, groups: int, *, bias: bool = True) -> None:
        super().__init__()
        self.norm1 = norm(channels, groups)
        self.conv1 = Conv(channels, width, 3, padding=1, bias=bias)
        self.norm2 = norm(width, groups)
        self.conv2 = Conv(width, width, 3, padding=1, bias=bias)
        self.shortcut = Mix(channels, width, bias=bias) if channels != width else nn.Identity()

    def forward(self, x: Map) -> Resized:
        h = self.conv1(swish(self.norm1(x)))
        return added(self.shortcut(x), self.conv2(swish(self.norm2(h))))


class Attention(nn.Module):
    """One head over all places, added to what comes in."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = norm(channels, groups)
        self.query, self.key, self.value, self.out = (ThinLinear(channels, channels) for _ in range(4))

    def forward(self, x: Map) -> Map:
        return self.among(x, self.norm(x))

    def among(self, x: Map, normed: Map) -> Map:
        """With what each place sees of all, once they are normalised."""
        places = normed.flatten(2).transpose(1, 2)
        q, k, v = (project(places)[:, None] for project in (self.query, self.key, self.value))
        seen = self.out(attend(q, k, v)[:, 0]).transpose(1, 2).unflatten(2, x.shape[2:])
        return x + seen  # in the layout of x, so that layers behind it go on as those before it


class Down(Conv):
    """Half the size: a 3x3 convolution of stride 2 over a picture with one more row below and one more column on the right."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, stride=2)

    def forward(self, x: Map) -> Resized:  # type: ignore[override]
        return super().forward(F.pad(x, (0, 1, 0, 1)))


class Up(Conv):
    """Twice the size: every place four times, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1)

    def forward(self, x: Map) -> Resized:  # type: ignore[override]
        return super().forward(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Stage(nn.Module):
    """One level: residual blocks, each with attention after it where the level has some, then a change of size."""

    def __init__(self, channels: int, width: int, blocks: int, shape: Shape, resize: nn.Module, *, attends: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(channels if i == 0 else width, width, shape.groups) for i in range(blocks))
        self.attention = nn.ModuleList(Attention(width, shape.groups) for _ in range(blocks if attends else 0))
        self.resize = resize

    def forward(self, x: Map) -> Resized:
        for i, block in enumerate(self.blocks):
            x = block(x)
            if self.attention:
                x = self.attention[i](x)
        return self.resize(x)


class Descent(nn.Module):
    """Pictures to features at ``1 / 2 ** halvings`` of the size: an encoder without its last layers."""

    def __init__(self, shape: Shape, channels: int = 3) -> None:
        super().__init__()
        first, last = shape.stem or shape.widths[0], shape.widths[-1]
        self.conv_in = Conv(channels, first, 3, padding=1)
        wider = pairwise((first, *shape.widths))
        self.levels = nn.ModuleList(
            Stage(c, w, shape.blocks, shape, Down(w) if i < shape.halvings else nn.Identity(), attends=shape.attention[i])
            for i, (c, w) in enumerate(wider)
        )
        self.middle = middle(last, shape.groups)

    def forward(self, x: Map) -> Resized:
        h = self.conv_in(x)
        for level in self.levels:
            h = level(h)
        return self.middle(h)


class Encoder(Descent):
    """Pictures in their native range to ``z`` features at ``1 / 2 ** halvings`` of the size."""

    def __init__(self, shape: Shape, z: int, channels: int = 3) -> None:
        super().__init__(shape, channels)
        self.norm_out = norm(shape.widths[-1], shape.groups)
        self.conv_out = Conv(shape.widths[-1], z, 3, padding=1)

    def forward(self, x: Map) -> Resized:
        return self.head(super().forward(x))

    def head(self, h: Map) -> Resized:
        """What comes last."""
        return self.conv_out(swish(self.norm_out(h)))


class Decoder(nn.Module):
    """The mirror of :class:`Encoder`, with one more residual block a level; ``levels`` go from the coarsest to the finest."""

    def __init__(self, shape: Shape, z: int, channels: int = 3) -> None:
        super().__init__()
        widths = shape.widths[::-1]
        self.conv_in = Conv(z, widths[0], 3, padding=1)
        self.middle = middle(widths[0], shape.groups)
        self.levels = nn.ModuleList(
            Stage(c, w, shape.blocks + 1, shape, Up(w) if i < shape.halvings else nn.Identity(), attends=shape.attention[-1 - i])
            for i, (c, w) in enumerate(pairwise((widths[0], *widths)))
        )
        self.norm_out = norm(widths[-1], shape.groups)
        self.conv_out = Conv(widths[-1], channels, 3, padding=1)

    def forward(self, z: Map) -> Resized:
        h = self.middle(self.conv_in(z))
        for level in self.levels:
            h = level(h)
        return self.head(h)

    def head(self, h: Map) -> Resized:
        """What comes last."""
        return self.conv_out(swish(self.norm_out(h)))


def middle(width: int, groups: int) -> nn.Sequential:
    """What stands between the levels of encoder and decoder."""
    return nn.Sequential(ResidualBlock(width, width, groups), Attention(width, groups), ResidualBlock(width, width, groups))


def norm(channels: int, groups: int) -> nn.GroupNorm:
    """Group normalisation as all of the family have it."""
    return nn.GroupNorm(groups, channels, eps=1e-6)


def swish(x: Map) -> Map:
    """``x * sigmoid(x)``, in place where no gradient needs what was there."""
    return F.silu(x, inplace=not torch.is_grad_enabled())
