"""The convolutional tokenizers of the house, one quantizer each: what differs between them is that alone.

``vq``: a normalised codebook. ``fsq``: each coordinate rounded to a few levels. ``bsq``: signs on the unit sphere. ``dual``: two
normalised codebooks, each for a half of the coordinates. Networks: :mod:`tokodec.tokenizers.conv`.

Sources: Sun et al., "Autoregressive model beats diffusion: Llama for scalable image generation", 2024 (normalised low-dimensional codes
at 16,384 entries); Mentzer et al., "Finite scalar quantization", ICLR 2024; Zhao et al., "Image and video tokenization with binary
spherical quantization", ICLR 2025; Bai et al., "Factorized visual tokenization and generation", CVPR 2026.
"""

from dataclasses import dataclass

from tokodec.entry import Entry, Weights
from tokodec.quantizers.ema import NormalisedEmaVectorQuantizer
from tokodec.quantizers.factorized import SureFactorizedQuantizer
from tokodec.quantizers.fsq import FiniteScalarQuantizer
from tokodec.quantizers.lfq import BinarySphericalQuantizer
from tokodec.tokenizers.conv import ConvTokenizer, ConvTokenizerConfig


@dataclass(frozen=True, kw_only=True)
class VQConfig(ConvTokenizerConfig):
    """``size`` codes of ``dim`` coordinates."""

    size: int = 16384
    dim: int = 8


@dataclass(frozen=True, kw_only=True)
class FSQConfig(ConvTokenizerConfig):
    """``levels`` of each coordinate."""

    levels: tuple[int, ...] = (8, 8, 8, 6, 5)


@dataclass(frozen=True, kw_only=True)
class BSQConfig(ConvTokenizerConfig):
    """``bits`` of an id. ``entropy_group``: how many of them the entropy of a batch is taken over together."""

    bits: int = 14
    entropy_group: int = 7


@dataclass(frozen=True, kw_only=True)
class DualConfig(ConvTokenizerConfig):
    """``sizes`` of the codebooks; each has codes of ``dim`` coordinates."""

    sizes: tuple[int, ...] = (128, 128)
    dim: int = 8


class VQTokenizer(ConvTokenizer):
    """With a normalised codebook."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__(config, NormalisedEmaVectorQuantizer(config.size, config.dim))


class FSQTokenizer(ConvTokenizer):
    """With finite scalar quantization."""

    def __init__(self, config: FSQConfig) -> None:
        super().__init__(config, FiniteScalarQuantizer(config.levels))


class BSQTokenizer(ConvTokenizer):
    """With binary spherical quantization."""

    def __init__(self, config: BSQConfig) -> None:
        super().__init__(config, BinarySphericalQuantizer(config.bits, entropy_group=config.entropy_group))


class DualTokenizer(ConvTokenizer):
    """With factorized codebooks: ids have a last axis of them."""

    def __init__(self, config: DualConfig) -> None:
        super().__init__(config, SureFactorizedQuantizer([NormalisedEmaVectorQuantizer(size, config.dim) for size in config.sizes]))


MODELS = {
    "vq_f16.v2": Entry(build=VQTokenizer, config=VQConfig(), family="vq", weights=Weights(file="vq_f16.v2.safetensors")),
    "vq_f16.v2-crisp": Entry(build=VQTokenizer, config=VQConfig(), family="vq", weights=Weights(file="vq_f16.v2-crisp.safetensors")),
    "vq_f8.v2": Entry(
        build=VQTokenizer,
        config=VQConfig(widths=(96, 200), encoder_blocks=(1, 3), decoder_blocks=(2, 3), kernels=(3, 5)),
        family="vq",
        weights=Weights(file="vq_f8.v2.safetensors"),
    ),
    "fsq_f16": Entry(build=FSQTokenizer, config=FSQConfig(), family="vq"),
    "vq_f16_12bit": Entry(
        build=VQTokenizer,
        config=VQConfig(widths=(32, 96, 192), encoder_blocks=(1, 2, 2), decoder_blocks=(1, 2, 2), size=4096),
        family="vq",
    ),
    "fsq_f16_12bit": Entry(
        build=FSQTokenizer,
        config=FSQConfig(widths=(32, 96, 192), encoder_blocks=(1, 2, 2), decoder_blocks=(1, 2, 2), levels=(8, 8, 4, 4, 4)),
        family="vq",
    ),
    "bsq_f16_12bit": Entry(
        build=BSQTokenizer,
        config=BSQConfig(widths=(32, 96, 192), encoder_blocks=(1, 2, 2), decoder_blocks=(1, 2, 2), bits=12, entropy_group=6),
        family="vq",
    ),
    "dual_f16.v2": Entry(
        build=DualTokenizer,
        config=DualConfig(widths=(32, 96, 192), encoder_blocks=(1, 2, 2), decoder_blocks=(1, 2, 2), sizes=(64, 64)),
        family="vq",
        weights=Weights(file="dual_f16.v2.safetensors"),
    ),
    "vq_test": Entry(
        build=VQTokenizer,
        config=VQConfig(widths=(8, 12, 16), encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1), kernels=(3, 3, 5), size=64, dim=4),
        family="vq",
        weights=Weights(file="vq_test.safetensors"),
    ),
    "dual_test": Entry(
        build=DualTokenizer,
        config=DualConfig(widths=(8, 12, 16), encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1), kernels=(3, 3, 5), sizes=(8, 8), dim=4),
        family="vq",
        weights=Weights(file="dual_test.safetensors"),
    ),
}
