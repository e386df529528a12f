"""The joint autoregressive and hierarchical prior: mean-scale hyperprior with a serial context.

Source: Minnen, Ballé and Toderici, "Joint autoregressive and hierarchical priors for learned image compression", NeurIPS 2018.
As in CompressAI (``JointAutoregressiveHierarchicalPriors``, mbt2018), whose weights :mod:`tokodec.pretrained.convert.compressai`
converts.
"""

from dataclasses import dataclass

from tokodec.codecs.factorized import analysis, synthesis
from tokodec.codecs.hyperprior import hyper_analysis, hyper_synthesis
from tokodec.codecs.latent import HyperCodec
from tokodec.entropy.path import HyperPath
from tokodec.entropy.serial import Serial
from tokodec.entry import Entry, Weights


@dataclass(frozen=True, kw_only=True)
class JointARConfig:
    """``N``: features, and hyper latents. ``M``: latents."""

    N: int = 192
    M: int = 192


class JointAR(HyperCodec):
    """See the module's docstring."""

    def __init__(self, config: JointARConfig) -> None:
        self.config = config
        N, M = config.N, config.M
        super().__init__(analysis(N, M), synthesis(N, M), hyper_analysis(N, M), HyperPath(N, hyper_synthesis(N, M), Serial(M)))


MODELS = {
    "joint_ar_m192": Entry(build=JointAR, config=JointARConfig(), family="joint_ar"),
    "joint_ar_m320": Entry(build=JointAR, config=JointARConfig(M=320), family="joint_ar"),
    "joint_ar_test": Entry(
        build=JointAR, config=JointARConfig(N=6, M=6), family="joint_ar", weights=Weights(file="joint_ar_test.safetensors")
    ),
}
