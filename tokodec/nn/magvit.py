"""The encoder and decoder of Open-MAGVIT2: no attention, no biases inside, and a decoder whose norms follow the code.

Source: Luo et al., "Open-MAGVIT2: an open-source project toward democratizing auto-regressive visual generation", 2024
(TencentARC/SEED-Voken), after Yu et al., "Language model beats diffusion: tokenizer is key to visual generation", ICLR 2024.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.conv import Conv
from tokodec.nn.mix import Mix
from tokodec.nn.vqgan import ResidualBlock, norm, swish

Map = Float[Tensor, "b c h w"]
Resized = Float[Tensor, "b c2 h2 w2"]
_EPSILON = 1e-6


class AdaptiveNorm(nn.Module):
    """Group normalisation whose gain and offset are linear in what the code map is like: its deviation and its mean."""

    def __init__(self, channels: int, z: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.gamma, self.beta = nn.Linear(z, channels), nn.Linear(z, channels)

    def forward(self, x: Map, code: Float[Tensor, "b z gh gw"]) -> Map:
        places = code.flatten(2)
        # One place has no deviation; the source divides by n - 1.
        spread = places.var(2, correction=min(1, places.shape[2] - 1))
        gain, offset = self.gamma((spread + _EPSILON).sqrt()), self.beta(places.mean(2))
        return F.group_norm(x, self.groups, eps=_EPSILON) * gain[:, :, None, None] + offset[:, :, None, None]


class Spread(Conv):
    """Twice the size: a 3x3 convolution to four times the channels, which are laid out over 2x2 places, places first."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 4 * channels, 3, padding=1)

    def forward(self, x: Map) -> Resized:
        b, _, h, w = x.shape
        blocks = super().forward(x).view(b, 2, 2, -1, h, w)
        return blocks.permute(0, 3, 4, 1, 5, 2).reshape(b, -1, 2 * h, 2 * w)


def _blocks(channels: int, width: int, count: int, groups: int, *, bias: bool = False) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels if i == 0 else width, width, groups, bias=bias) for i in range(count)))


class MagvitEncoder(nn.Module):
    """Pictures to ``z`` features at half the size for each level but the last."""

    def __init__(self, widths: Sequence[int], blocks: int, z: int, groups: int) -> None:
        super().__init__()
        self.conv_in = Conv(3, widths[0], 3, padding=1, bias=False)
        self.levels = nn.ModuleList(_blocks(c, w, blocks, groups) for c, w in zip((widths[0], *widths), widths, strict=False))
        self.downs = nn.ModuleList(Conv(w, w, 3, stride=2, padding=1) for w in widths[:-1])
        self.middle = _blocks(widths[-1], widths[-1], blocks, groups)
        self.norm_out = norm(widths[-1], groups)
        self.conv_out = Mix(widths[-1], z)

    def forward(self, x: Map) -> Resized:
        h = self.conv_in(x)
        for i, level in enumerate(self.levels):
            h = level(h)
            if i < len(self.downs):
                h = self.downs[i](h)
        return self.conv_out(swish(self.norm_out(self.middle(h))))


class MagvitDecoder(nn.Module):
    """The mirror; ``levels``, their adaptive norms and ``ups`` go from the coarsest to the finest.

    ``middle``: blocks before the first level, by default as many as in a level; ``bias``: whether blocks have some.
    """

    def __init__(self, widths: Sequence[int], blocks: int, z: int, groups: int, *, middle: int | None = None, bias: bool = False) -> None:
        super().__init__()
        down = tuple(widths[::-1])
        self.conv_in = Conv(z, down[0], 3, padding=1)
        self.middle = _blocks(down[0], down[0], blocks if middle is None else middle, groups, bias=bias)
        self.adaptive = nn.ModuleList(AdaptiveNorm(c, z, groups) for c in (down[0], *down[:-1]))
        self.levels = nn.ModuleList(_blocks(c, w, blocks, groups, bias=bias) for c, w in zip((down[0], *down), down, strict=False))
        self.ups = nn.ModuleList(Spread(w) for w in down[:-1])
        self.norm_out = norm(down[-1], groups)
        self.conv_out = Conv(down[-1], 3, 3, padding=1)

    def forward(self, z: Map) -> Resized:
        h = self.middle(self.conv_in(z))
        for i, (adapt, level) in enumerate(zip(self.adaptive, self.levels, strict=True)):
            h = level(adapt(h, z))
            if i < len(self.ups):
                h = self.ups[i](h)
        return self.conv_out(swish(self.norm_out(h)))
