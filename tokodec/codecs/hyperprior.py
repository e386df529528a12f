"""The scale and the mean-scale hyperprior.

Sources: Ballé et al., "Variational image compression with a scale hyperprior", ICLR 2018 (``hyperprior``); Minnen, Ballé and
Toderici, "Joint autoregressive and hierarchical priors for learned image compression", NeurIPS 2018 (``mean_scale``). As in
CompressAI (``ScaleHyperprior``, bmshj2018-hyperprior; ``MeanScaleHyperprior``, mbt2018-mean), whose weights
:mod:`tokodec.pretrained.convert.compressai` converts.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from tokodec.codecs.factorized import analysis, synthesis
from tokodec.codecs.latent import HyperCodec
from tokodec.entropy.conditional import MeanScale, Scale
from tokodec.entropy.path import HyperPath
from tokodec.entry import Entry, Weights
from tokodec.nn.precise import PreciseConv
from tokodec.nn.strided import Deconv, conv


@dataclass(frozen=True, kw_only=True)
class HyperpriorConfig:
    """``N``: features, and hyper latents. ``M``: latents."""

    N: int = 128
    M: int = 192


class Magnitudes(nn.Sequential):
    """Layers that see absolute values."""

    def forward(self, y: Float[Tensor, "b m h w"]) -> Float[Tensor, "b n h4 w4"]:  # type: ignore[override]
        return super().forward(y.abs())


class ScaleHyperprior(HyperCodec):
    """Zero-mean Gaussians, whose scales are sent."""

    def __init__(self, config: HyperpriorConfig) -> None:
        self.config = config
        N, M = config.N, config.M
        h_a = Magnitudes(conv(M, N, 3, 1), nn.ReLU(), conv(N, N), nn.ReLU(), conv(N, N))
        h_s = nn.Sequential(Deconv(N, N), nn.ReLU(), Deconv(N, N), nn.ReLU(), PreciseConv(N, M, 3), nn.ReLU())
        super().__init__(analysis(N, M), synthesis(N, M), h_a, HyperPath(N, h_s, Scale(M)))


class MeanScaleHyperprior(HyperCodec):
    """Gaussians whose scales and means are sent."""

    def __init__(self, config: HyperpriorConfig) -> None:
        self.config = config
        N, M = config.N, config.M
        super().__init__(analysis(N, M), synthesis(N, M), hyper_analysis(N, M), HyperPath(N, hyper_synthesis(N, M), MeanScale(M)))


def hyper_analysis(N: int, M: int) -> nn.Module:
    """y to z, of the mean-scale hyperprior and of codecs that build on it."""
    return nn.Sequential(conv(M, N, 3, 1), nn.LeakyReLU(), conv(N, N), nn.LeakyReLU(), conv(N, N))


def hyper_synthesis(N: int, M: int) -> nn.Module:
    """z to 2 M hyper features."""
    wide = 3 * M // 2
    return nn.Sequential(Deconv(N, M), nn.LeakyReLU(), Deconv(M, wide), nn.LeakyReLU(), PreciseConv(wide, 2 * M, 3))


def _entry(build: type[nn.Module], weights: str = "", *, N: int, M: int) -> Entry:
    return Entry(build=build, config=HyperpriorConfig(N=N, M=M), family="hyperprior", weights=Weights(file=weights) if weights else None)


MODELS = {
    "hyperprior_128": _entry(ScaleHyperprior, N=128, M=192),
    "hyperprior_192": _entry(ScaleHyperprior, N=192, M=320),
    "hyperprior_test": _entry(ScaleHyperprior, "hyperprior_test.safetensors", N=6, M=8),
    "mean_scale_128": _entry(MeanScaleHyperprior, N=128, M=192),
    "mean_scale_192": _entry(MeanScaleHyperprior, N=192, M=320),
    "mean_scale_test": _entry(MeanScaleHyperprior, "mean_scale_test.safetensors", N=6, M=8),
}
