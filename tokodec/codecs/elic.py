"""ELIC: uneven groups of channels, each in two passes, around transforms of bottlenecks and attention.

Source: He et al., "ELIC: Efficient learned image compression with unevenly grouped space-channel contextual adaptive coding",
CVPR 2022. Two forms are in use, which differ in hyper features, channel context and aggregation: ``elic`` as CompressAI's
``Elic2022Official``, ``elic_chandelier`` as its ``Elic2022Chandelier``, after a public re-implementation. No weights of
either were published with CompressAI; :mod:`tokodec.pretrained.convert.compressai` converts those of its classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from tokodec.codecs.latent import HyperCodec
from tokodec.entropy.path import HyperPath
from tokodec.entropy.spacechannel import SpaceChannel
from tokodec.entry import Entry, Weights
from tokodec.nn.precise import PreciseConv, PreciseDeconv
from tokodec.nn.residual import Attention, Bottleneck
from tokodec.nn.strided import Deconv, conv


@dataclass(frozen=True, kw_only=True)
class ElicConfig:
    """``N``: features, and hyper latents. ``groups``: latents of each group. ``context``: inner widths of channel contexts."""

    N: int = 192
    groups: tuple[int, ...] = (16, 16, 32, 64, 192)
    context: tuple[int, ...] = (224, 128)


class Elic(HyperCodec):
    """Channel contexts see all groups before; inner widths of the aggregation fall evenly from input to output."""

    def __init__(self, config: ElicConfig) -> None:
        self.config = config
        N, groups = config.N, config.groups
        psi, seen = 2 * N, [tuple(range(k)) for k in range(len(groups))]
        hidden = [_falling(_input(k, groups, psi), 2 * g, 2 * N) for k, g in enumerate(groups)]
        h_s = nn.Sequential(*_grow(N), PreciseDeconv(3 * N // 2, psi))
        path = HyperPath(N, h_s, SpaceChannel(groups, seen, hidden, config.context, psi))
        super().__init__(_analysis(N, sum(groups)), _synthesis(N, sum(groups)), _hyper_analysis(N, sum(groups)), path)


class ElicChandelier(HyperCodec):
    """Channel contexts see the first and the latest group; inner widths of the aggregation are 2 M and 512."""

    def __init__(self, config: ElicConfig) -> None:
        self.config = config
        N, groups, M = config.N, config.groups, sum(config.groups)
        seen = [tuple(sorted({0, k - 1})) if k else () for k in range(len(groups))]
        hidden = [(2 * M, 512)] * len(groups)
        h_s = nn.Sequential(*_grow(N), PreciseConv(3 * N // 2, 2 * M, 3))
        path = HyperPath(N, h_s, SpaceChannel(groups, seen, hidden, config.context, 2 * M))
        super().__init__(_analysis(N, M), _synthesis(N, M), _hyper_analysis(N, M), path)


def _input(k: int, groups: Sequence[int], psi: int) -> int:
    """Features of group ``k``: spatial context, channel context if there are groups before, hyper features."""
    return 2 * groups[k] + (2 * groups[k] if k else 0) + psi


def _falling(first: int, last: int, least: int) -> tuple[int, int]:
    """The two widths between ``first`` and ``last`` on a straight line, not below ``least``."""
    return tuple(max(least, first + (last - first) * i // 3) for i in (1, 2))  # type: ignore[return-value]


def _bottlenecks(N: int) -> list[nn.Module]:
    return [Bottleneck(N) for _ in range(3)]


def _analysis(N: int, M: int) -> nn.Module:
    return nn.Sequential(
        conv(3, N), *_bottlenecks(N), conv(N, N), *_bottlenecks(N), Attention(N), conv(N, N), *_bottlenecks(N), conv(N, M), Attention(M)
    )


def _synthesis(N: int, M: int) -> nn.Module:
    return nn.Sequential(
        *(Attention(M), Deconv(M, N), *_bottlenecks(N), Deconv(N, N), Attention(N), *_bottlenecks(N)),
        *(Deconv(N, N), *_bottlenecks(N), Deconv(N, 3)),
    )


def _hyper_analysis(N: int, M: int) -> nn.Module:
    return nn.Sequential(conv(M, N, 3, 1), nn.ReLU(), conv(N, N), nn.ReLU(), conv(N, N))


def _grow(N: int) -> list[nn.Module]:
    return [Deconv(N, N), nn.ReLU(), Deconv(N, 3 * N // 2), nn.ReLU()]


_TINY = ElicConfig(N=12, groups=(4, 8), context=(8, 8))

MODELS = {
    "elic": Entry(build=Elic, config=ElicConfig(), family="elic"),
    "elic_chandelier": Entry(build=ElicChandelier, config=ElicConfig(), family="elic"),
    "elic_test": Entry(build=Elic, config=_TINY, family="elic", weights=Weights(file="elic_test.safetensors")),
    "elic_chandelier_test": Entry(
        build=ElicChandelier, config=_TINY, family="elic", weights=Weights(file="elic_chandelier_test.safetensors")
    ),
}
