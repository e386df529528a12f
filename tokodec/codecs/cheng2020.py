"""Cheng2020: residual transforms around a serial or a checkerboard context, with and without attention.

Sources: Cheng, Sun, Takeuchi and Katto, "Learned image compression with discretized Gaussian mixture likelihoods and attention
modules", CVPR 2020, with one Gaussian instead of a mixture, as in CompressAI (``Cheng2020Anchor``, ``Cheng2020Attention``,
``Cheng2020AnchorCheckerboard``), whose weights :mod:`tokodec.pretrained.convert.compressai` converts; He et al., "Checkerboard context
model for efficient learned image compression", CVPR 2021.
"""

from dataclasses import dataclass

from torch import nn

from tokodec.codecs.latent import HyperCodec
from tokodec.entropy.checkerboard import Checkerboard
from tokodec.entropy.path import HyperPath
from tokodec.entropy.serial import Serial
from tokodec.entry import Entry, Weights
from tokodec.nn.precise import PreciseConv
from tokodec.nn.residual import Attention, ResidualBlock, ResidualDown, ResidualUp
from tokodec.nn.strided import Subpixel, conv


@dataclass(frozen=True, kw_only=True)
class Cheng2020Config:
    """``N``: features, latents and hyper latents."""

    N: int = 192


class Cheng2020Anchor(HyperCodec):
    """Without attention."""

    def __init__(self, config: Cheng2020Config) -> None:
        self.config = config
        N = config.N
        super().__init__(_analysis(N), _synthesis(N), _hyper_analysis(N), HyperPath(N, _hyper_synthesis(N), Serial(N)))


class Cheng2020Attention(HyperCodec):
    """With attention at 1/4 and at 1/16 of the picture's size."""

    def __init__(self, config: Cheng2020Config) -> None:
        self.config = config
        N = config.N
        down, up = _analysis(N), _synthesis(N)
        g_a = nn.Sequential(*down[:3], Attention(N), *down[3:], Attention(N))
        g_s = nn.Sequential(Attention(N), *up[:4], Attention(N), *up[4:])
        super().__init__(g_a, g_s, _hyper_analysis(N), HyperPath(N, _hyper_synthesis(N), Serial(N)))


class Cheng2020Checkerboard(HyperCodec):
    """Two passes instead of a serial context."""

    def __init__(self, config: Cheng2020Config) -> None:
        self.config = config
        N = config.N
        super().__init__(_analysis(N), _synthesis(N), _hyper_analysis(N), HyperPath(N, _hyper_synthesis(N), Checkerboard(N)))


def _analysis(N: int) -> nn.Sequential:
    return nn.Sequential(
        ResidualDown(3, N), ResidualBlock(N), ResidualDown(N, N), ResidualBlock(N), ResidualDown(N, N), ResidualBlock(N), conv(N, N, 3)
    )


def _synthesis(N: int) -> nn.Sequential:
    stages = (layer for _ in range(3) for layer in (ResidualBlock(N), ResidualUp(N, N)))
    return nn.Sequential(*stages, ResidualBlock(N), Subpixel(N, 3))


def _hyper_analysis(N: int) -> nn.Module:
    layers = [conv(N, N, 3, stride) for stride in (1, 1, 2, 1, 2)]
    return nn.Sequential(*(layer for c in layers[:-1] for layer in (c, nn.LeakyReLU())), layers[-1])


def _hyper_synthesis(N: int) -> nn.Module:
    wide = 3 * N // 2
    layers = [PreciseConv(N, N, 3), Subpixel(N, N), PreciseConv(N, wide, 3), Subpixel(wide, wide)]
    return nn.Sequential(*(layer for c in layers for layer in (c, nn.LeakyReLU())), PreciseConv(wide, 2 * N, 3))


def _entry(build: type[nn.Module], weights: str = "", *, N: int) -> Entry:
    return Entry(build=build, config=Cheng2020Config(N=N), family="cheng2020", weights=Weights(file=weights) if weights else None)


MODELS = {
    "cheng2020_anchor_128": _entry(Cheng2020Anchor, N=128),
    "cheng2020_anchor_192": _entry(Cheng2020Anchor, N=192),
    "cheng2020_attn_128": _entry(Cheng2020Attention, N=128),
    "cheng2020_attn_192": _entry(Cheng2020Attention, N=192),
    "cheng2020_attn_test": _entry(Cheng2020Attention, "cheng2020_attn_test.safetensors", N=12),
    "cheng2020_checkerboard_128": _entry(Cheng2020Checkerboard, N=128),
    "cheng2020_checkerboard_192": _entry(Cheng2020Checkerboard, N=192),
    "cheng2020_checkerboard_test": _entry(Cheng2020Checkerboard, "cheng2020_checkerboard_test.safetensors", N=6),
}
