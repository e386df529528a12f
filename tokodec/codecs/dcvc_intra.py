"""The image codecs of DCVC-UF and DCVC-RT: 1/8 of the resolution at once, one kind of block, four steps, 64 rates in one model.

    x ─ YCbCr ─ unshuffle 8 ─ block ─ x scale[rate] ─ 6 blocks ─ 3x3 s2 ──> y (1/16) ─ x step ── round ══> y_hat
                                                                            │                   ↑
                                                          block, 2 downs ──> z (1/64) ══> 2 ups, 4 blocks ─ context in four steps
    y_hat ─ x step ─ up ─ 12 blocks ─ x scale[rate] ─ block ─ shuffle 8 ─ RGB ──> x_hat

Sources: Jia et al., "Towards practical real-time neural video compression", CVPR 2025 (``dcvc_rt_intra``), and Li et al.,
"Ultra-fast neural video compression", CVPR 2026 (``dcvc_uf_intra``); as in microsoft/DCVC, whose weights
:mod:`tokodec.pretrained.convert.dcvc` converts. The two differ in the sums inside blocks, in width, and in what decides the
steps of y: rate and channel (UF), or the place, as z says (RT).
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.codecs.rated import RatedCodec
from tokodec.entropy.gaussian import SCALE_MIN, Gaussians
from tokodec.entropy.path import GaussianPath
from tokodec.entropy.quartercontext import QuarterContext, SteppedQuarterContext
from tokodec.entropy.rateddensity import RatedDensity
from tokodec.entropy.rounding import StraightThrough
from tokodec.entry import Entry, Weights
from tokodec.nn.depthconv import DepthConv, Down, HalfSums, NeighbourSums, UnbiasedPointwise, Up
from tokodec.nn.resnet import Pointwise
from tokodec.nn.ycbcr import rgb_of, ycbcr_of

_SHUFFLE = 8
_SOURCE = 3 * _SHUFFLE**2
_GAUSSIANS = Gaussians(count=128, low=SCALE_MIN, high=16.0)
_LATER_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class DcvcIntraConfig:
    """``N``: features at 1/8. ``M``: latents. ``Z``: hyper latents. ``skip``: symbols of no larger scale are left out, 0 for none."""

    N: int = 384
    M: int = 256
    Z: int = 128
    rates: int = 64
    encoder_blocks: int = 6
    decoder_blocks: int = 12
    skip: float = 0.15


class Scaled(nn.Module):
    """Features times a factor for each rate and channel."""

    def __init__(self, rates: int, channels: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(rates, channels))

    def forward(self, x: Float[Tensor, "b c h w"], rate: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        return x * self.factor[rate][:, :, None, None]


class Analysis(nn.Module):
    """YCbCr to y."""

    def __init__(self, block: type[DepthConv], c: DcvcIntraConfig) -> None:
        super().__init__()
        self.head = _block(block, _SOURCE, c.N)
        self.scale = Scaled(c.rates, c.N)
        self.body = nn.Sequential(*(_block(block, c.N, c.N) for _ in range(c.encoder_blocks)), nn.Conv2d(c.N, c.M, 3, stride=2, padding=1))

    def forward(self, x: Float[Tensor, "b 3 h w"], rate: Int[Tensor, " b"]) -> Float[Tensor, "b m h16 w16"]:
        y: Tensor = self.body(self.scale(self.head(F.pixel_unshuffle(x, _SHUFFLE)), rate))
        return y


class Synthesis(nn.Module):
    """y to YCbCr."""

    def __init__(self, block: type[DepthConv], c: DcvcIntraConfig, up: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(up, *(_block(block, c.N, c.N) for _ in range(c.decoder_blocks)))
        self.scale = Scaled(c.rates, c.N)
        self.tail = _block(block, c.N, _SOURCE)

    def forward(self, y: Float[Tensor, "b m h16 w16"], rate: Int[Tensor, " b"]) -> Float[Tensor, "b 3 h w"]:
        return F.pixel_shuffle(self.tail(self.scale(self.body(y), rate)), _SHUFFLE)


class DcvcIntra(RatedCodec):
    """``zero``: what stands for 0 in the YCbCr that the nets see."""

    bytes_per_pixel = 900
    zero: float

    def __init__(self, config: DcvcIntraConfig, block: type[DepthConv], up: type[Pointwise], context: QuarterContext, outputs: int) -> None:
        """``up``: what widens before a shuffle. ``outputs``: hyper features."""
        self.config = c = config
        hyper = nn.Sequential(_up(block, up, c.Z, c.Z), _up(block, up, c.Z, c.Z), _block(block, c.Z, c.M))
        fusion = nn.Sequential(*_prior(block, c.M, c.M), Pointwise(2 * c.M, outputs))
        path = GaussianPath(RatedDensity(c.rates, c.Z), nn.Sequential(hyper, fusion), context, _GAUSSIANS)
        h_a = nn.Sequential(_block(block, c.M, c.Z), *(Down(c.Z, _block(block, c.Z, c.Z)) for _ in range(2)))
        g_s = Synthesis(block, c, _up(block, up, c.M, c.N))
        super().__init__(Analysis(block, c), g_s, h_a, path, _GAUSSIANS.narrower(c.skip))
        self.rounding = StraightThrough()  # as published
        self._initialise()

    def _initialise(self) -> None:
        """As published."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def analysis(self, x: Float[Tensor, "b 3 h w"], rate: Int[Tensor, " b"]) -> Float[Tensor, "b m h16 w16"]:
        y: Tensor = self.g_a(ycbcr_of(x) - self.zero, rate)
        return y

    def synthesis(self, y_hat: Float[Tensor, "b m h w"], rate: Int[Tensor, " b"]) -> Float[Tensor, "b 3 h16 w16"]:
        ycbcr = self.g_s(self.unweighed(y_hat, rate), rate).float() + self.zero
        return rgb_of(ycbcr if self.training else ycbcr.clamp(0, 1))

    @abstractmethod
    def unweighed(self, y_hat: Float[Tensor, "b m h w"], rate: Int[Tensor, " b"]) -> Float[Tensor, "b m h w"]:
        """What the synthesis sees."""


class DcvcUFIntra(DcvcIntra):
    """Steps of y by rate and channel; blocks fold neighbours."""

    zero = 0.5

    def __init__(self, config: DcvcIntraConfig) -> None:
        c = config
        super().__init__(c, NeighbourSums, UnbiasedPointwise, QuarterContext(*_context(NeighbourSums, c.M, 2 * c.M)), 2 * c.M)
        self.finer, self.coarser = Scaled(c.rates, c.M), Scaled(c.rates, c.M)

    def weighed(self, y: Float[Tensor, "b m h w"], rate: Int[Tensor, " b"]) -> Float[Tensor, "b m h w"]:
        return self.finer(y, rate)

    def unweighed(self, y_hat: Float[Tensor, "b m h w"], rate: Int[Tensor, " b"]) -> Float[Tensor, "b m h w"]:
        return self.coarser(y_hat, rate)


class DcvcRTIntra(DcvcIntra):
    """Steps of y by place, inside the walk; blocks fold halves."""

    zero = 0.0

    def __init__(self, config: DcvcIntraConfig) -> None:
        c = config
        outputs = 2 * c.M + 2
        super().__init__(c, HalfSums, Pointwise, SteppedQuarterContext(*_context(HalfSums, c.M, outputs)), outputs)

    def unweighed(self, y_hat: Float[Tensor, "b m h w"], rate: Int[Tensor, " b"]) -> Float[Tensor, "b m h w"]:
        return y_hat


def _block(block: type[DepthConv], channels: int, width: int) -> DepthConv:
    return block(width, nn.Identity() if channels == width else Pointwise(channels, width))


def _up(block: type[DepthConv], up: type[Pointwise], channels: int, width: int) -> Up:
    return Up(up(channels, 4 * width), _block(block, width, width))


def _prior(block: type[DepthConv], channels: int, M: int) -> list[nn.Module]:
    """Three blocks at twice the width of y."""
    return [_block(block, channels, 2 * M), _block(block, 2 * M, 2 * M), _block(block, 2 * M, 2 * M)]


def _context(block: type[DepthConv], M: int, psi: int) -> tuple[int, nn.Module, list[nn.Module], nn.Module]:
    enter: list[nn.Module] = [block(2 * M, Pointwise(2 * M, 2 * M)) for _ in range(_LATER_STEPS)]
    return M, Pointwise(psi, M), enter, nn.Sequential(*_prior(block, 2 * M, M), Pointwise(2 * M, 2 * M))


_TINY = DcvcIntraConfig(N=16, M=16, Z=6, rates=4, encoder_blocks=1, decoder_blocks=1)

MODELS = {
    "dcvc_rt_intra": Entry(build=DcvcRTIntra, config=DcvcIntraConfig(N=368, skip=0.12), family="dcvc_intra", variable_rate=True),
    "dcvc_rt_intra_test": Entry(
        build=DcvcRTIntra,
        config=_TINY,
        family="dcvc_intra",
        weights=Weights(file="dcvc_rt_intra_test.safetensors"),
        variable_rate=True,
    ),
    "dcvc_uf_intra": Entry(build=DcvcUFIntra, config=DcvcIntraConfig(), family="dcvc_intra", variable_rate=True),
    "dcvc_uf_intra_test": Entry(
        build=DcvcUFIntra,
        config=_TINY,
        family="dcvc_intra",
        weights=Weights(file="dcvc_uf_intra_test.safetensors"),
        variable_rate=True,
    ),
}
