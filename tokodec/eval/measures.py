"""What is measured of a decoded picture beside its original. A new measure is a row of MEASURES."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from jaxtyping import UInt8

from tokodec.metrics.psnr import psnr
from tokodec.metrics.structure import MS_SSIM_MIN_SIDE, SSIM_MIN_SIDE, ms_ssim, ssim

Pixels8 = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """``compute`` of original and decoded picture: higher is better. Pictures with a side below ``min_side`` have no value."""

    compute: Callable[[Pixels8, Pixels8], float]
    unit: str
    definition: str
    package: str = ""
    min_side: int = 1

    def __call__(self, original: Pixels8, decoded: Pixels8) -> float | None:
        """The value, or None for a picture that is too small."""
        return self.compute(original, decoded) if min(original.shape[:2]) >= self.min_side else None

    def protocol(self) -> dict[str, str]:
        """What has to be known to compute it again."""
        return {"definition": self.definition, **({self.package: version(self.package)} if self.package else {})}


MEASURES: Mapping[str, Measure] = {
    "psnr": Measure(compute=psnr, unit="dB", definition="10 log10(255^2 / mse) over all samples of 8-bit RGB"),
    "ssim": Measure(
        compute=ssim,
        unit="",
        definition="RGB, Gaussian 11x11 sigma 1.5, valid region, mean over channels",
        package="pytorch-msssim",
        min_side=SSIM_MIN_SIDE,
    ),
    "ms_ssim": Measure(
        compute=ms_ssim,
        unit="",
        definition="RGB, five scales, picture filled up to multiples of 16 by replication",
        package="pytorch-msssim",
        min_side=MS_SSIM_MIN_SIDE,
    ),
}
