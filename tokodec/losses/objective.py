"""The table of objectives, by the name a recipe uses."""

from collections.abc import Mapping
from typing import Any, Protocol

from jaxtyping import Float
from torch import Tensor

from tokodec.api import Output, Pixels
from tokodec.losses.distillation import ContrastiveDistillation, CosineDistillation
from tokodec.losses.luma_chroma import LumaChroma
from tokodec.losses.perceptual import LPIPSVGG, LPIPSAlex
from tokodec.losses.pixel import L1, MSE, Term
from tokodec.losses.proxy import ProxyCodes
from tokodec.losses.rate_distortion import OneRate, Quantiles, RateDistortion
from tokodec.losses.reading import ReadingCTC, ReadingFeatures
from tokodec.losses.reconstruction import Growth, IdBits, Reconstruction
from tokodec.losses.similarity import MSSSIM, HaarPSI


class Objective(Protocol):
    """A frozen dataclass whose fields are the recipe's settings."""

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """One loss an item."""
        ...


OBJECTIVES: Mapping[str, type[Any]] = {
    "rate_distortion": RateDistortion,
    "one_rate": OneRate,
    "luma_chroma": LumaChroma,
    "quantiles": Quantiles,
    "reconstruction": Reconstruction,
    "growth": Growth,
    "id_bits": IdBits,
    "l1": L1,
    "mse": MSE,
    "term": Term,
    "ms_ssim": MSSSIM,
    "haarpsi": HaarPSI,
    "reading_features": ReadingFeatures,
    "reading_ctc": ReadingCTC,
    "lpips_vgg": LPIPSVGG,
    "lpips_alex": LPIPSAlex,
    "contrastive_distillation": ContrastiveDistillation,
    "cosine_distillation": CosineDistillation,
    "proxy_codes": ProxyCodes,
}
