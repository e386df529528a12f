"""What is measured of a decoded picture beside its original. A new measure is a row of MEASURES."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from tokodec.metrics.psnr import psnr
from tokodec.metrics.structure import MS_SSIM_MIN_SIDE, SSIM_MIN_SIDE, Comparison


@dataclass(frozen=True, kw_only=True)
class Measure:
    """``compute`` of a picture beside its original: higher is better. Pictures with a side below ``min_side`` have no value."""

    compute: Callable[[Comparison], float]
    unit: str
    definition: str
    version: int = 1
    """Goes up when values change."""
    package: str = ""
    """The package that computes it, whose version is part of the protocol; empty for our own."""
    min_side: int = 1

    def __call__(self, pictures: Comparison) -> float | None:
        """The value, or None for pictures that are too small."""
        return self.compute(pictures) if min(pictures.original.shape[:2]) >= self.min_side else None

    def protocol(self) -> dict[str, Any]:
        """What has to be known to compute it again."""
        own = {"definition": self.definition, "version": self.version}
        return own | ({self.package: version(self.package)} if self.package else {})


def _psnr(pictures: Comparison) -> float:
    return psnr(pictures.original, pictures.decoded)


def _ssim(pictures: Comparison) -> float:
    return pictures.ssim


def _ms_ssim(pictures: Comparison) -> float:
    return pictures.ms_ssim


MEASURES: Mapping[str, Measure] = {
    "psnr": Measure(compute=_psnr, unit="dB", definition="10 log10(255^2 / mse) over all samples of 8-bit RGB"),
    "ssim": Measure(
        compute=_ssim,
        unit="",
        definition="RGB, Gaussian 11x11 sigma 1.5, valid region, mean over channels",
        min_side=SSIM_MIN_SIDE,
    ),
    "ms_ssim": Measure(
        compute=_ms_ssim,
        unit="",
        definition="RGB, five scales, picture filled up to multiples of 16 by replication",
        min_side=MS_SSIM_MIN_SIDE,
    ),
}
