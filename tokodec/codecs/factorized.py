"""The factorized-prior codec: latents under one learned density for each channel, without hyper latents.

Source: Ballé et al., "Variational image compression with a scale hyperprior", ICLR 2018, where it is the baseline. As in
CompressAI (``FactorizedPrior``, bmshj2018-factorized), whose weights :mod:`tokodec.pretrained.convert.compressai` converts.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from tokodec.codecs.latent import LatentCodec
from tokodec.entropy.path import FactorizedPath
from tokodec.entry import Entry, Weights
from tokodec.nn.gdn import GDN, IGDN
from tokodec.nn.strided import Deconv, conv


@dataclass(frozen=True, kw_only=True)
class FactorizedConfig:
    """``N``: features. ``M``: latents."""

    N: int = 128
    M: int = 192


class FactorizedCodec(LatentCodec):
    """See the module's docstring."""

    def __init__(self, config: FactorizedConfig) -> None:
        self.config = config
        super().__init__(analysis(config.N, config.M), synthesis(config.N, config.M), FactorizedPath(config.M))

    def latents(self, x: Float[Tensor, "b 3 h w"]) -> dict[str, Float[Tensor, "b c h2 w2"]]:
        return {"y": self.g_a(x)}


def analysis(N: int, M: int) -> nn.Module:
    """Four 5x5 convolutions of stride 2, GDN between."""
    return nn.Sequential(conv(3, N), GDN(N), conv(N, N), GDN(N), conv(N, N), GDN(N), conv(N, M))


def synthesis(N: int, M: int) -> nn.Module:
    """The mirror of :func:`analysis`."""
    return nn.Sequential(Deconv(M, N), IGDN(N), Deconv(N, N), IGDN(N), Deconv(N, N), IGDN(N), Deconv(N, 3))


def _entry(weights: str = "", *, N: int, M: int) -> Entry:
    return Entry(
        build=FactorizedCodec, config=FactorizedConfig(N=N, M=M), family="factorized", weights=Weights(file=weights) if weights else None
    )


MODELS = {
    "factorized_128": _entry(N=128, M=192),
    "factorized_192": _entry(N=192, M=320),
    "factorized_test": _entry("factorized_test.safetensors", N=6, M=8),
}
