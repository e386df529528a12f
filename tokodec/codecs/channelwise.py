"""Channel-wise autoregressive coding on the transforms of the mean-scale hyperprior.

    z ── h_s ──> psi ──> slice 1 ──> slice 2 ──> ... each sees psi and the slices before it

Ten passes whatever the size of the picture, no serial scan, no checkerboard; each slice is corrected by a prediction of what
rounding took away. Source: Minnen and Singh, "Channel-wise autoregressive entropy models for learned image compression", ICIP
2020 (ten slices, at most five looked at); written from the paper, with 3x3 nets.
"""

from dataclasses import dataclass

from tokodec.codecs.factorized import analysis, synthesis
from tokodec.codecs.hyperprior import hyper_analysis, hyper_synthesis
from tokodec.codecs.latent import HyperCodec
from tokodec.entropy.path import HyperPath
from tokodec.entropy.slices import Slices
from tokodec.entry import Entry, Weights


@dataclass(frozen=True, kw_only=True)
class ChannelwiseConfig:
    """``N``: features, and hyper latents. ``M``: latents, in ``slices`` of equal width. ``hidden``: inner widths of their nets."""

    N: int = 192
    M: int = 320
    slices: int = 10
    support: int = 5
    hidden: tuple[int, int] = (224, 128)


class Channelwise(HyperCodec):
    """See the module's docstring."""

    def __init__(self, config: ChannelwiseConfig) -> None:
        self.config = c = config
        conditional = Slices(c.M, c.slices, 2 * c.M, c.hidden, c.support)
        path = HyperPath(c.N, hyper_synthesis(c.N, c.M), conditional)
        super().__init__(analysis(c.N, c.M), synthesis(c.N, c.M), hyper_analysis(c.N, c.M), path)


MODELS = {
    "channelwise": Entry(build=Channelwise, config=ChannelwiseConfig(), family="channelwise"),
    "channelwise_test": Entry(
        build=Channelwise,
        config=ChannelwiseConfig(N=6, M=8, slices=4, support=2, hidden=(8, 8)),
        family="channelwise",
        weights=Weights(file="channelwise_test.safetensors"),
    ),
}
