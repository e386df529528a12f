"""HaarPSI, FSIM, GMSD and VIF of 8-bit RGB pictures: the values of the package piq.

Sources: Reisenhofer et al., Signal Processing: Image Communication 61, 2018 (HaarPSI); Zhang et al., IEEE Trans. Image Processing
20, 2011 (FSIM); Xue et al., the same, 23, 2014 (GMSD); Sheikh and Bovik, the same, 15, 2006 (VIF).
"""

from types import ModuleType

import torch

from tokodec.errors import MissingExtra
from tokodec.metrics.structure import Comparison

FILTER_MIN_SIDE = 16
VIF_MIN_SIDE = 41


def haarpsi(pictures: Comparison) -> float:
    """0 to 1, in colour. Both sides are at least FILTER_MIN_SIDE."""
    with torch.inference_mode():
        return float(_piq().haarpsi(*pictures.units, data_range=1.0))


def fsim(pictures: Comparison) -> float:
    """0 to 1, in colour (FSIMc). Both sides are at least FILTER_MIN_SIDE. Not a number for pictures without any edge."""
    with torch.inference_mode():
        return float(_piq().fsim(*pictures.units, data_range=1.0, chromatic=True))


def gmsd(pictures: Comparison) -> float:
    """From 0, for equal pictures; lower is better. Of luminance."""
    with torch.inference_mode():
        return float(_piq().gmsd(*pictures.units, data_range=1.0))


def vif(pictures: Comparison) -> float:
    """In the pixel domain, of luma: from 0; 1 for equal pictures. Both sides are at least VIF_MIN_SIDE."""
    with torch.inference_mode():
        return float(_piq().vif_p(*pictures.units, data_range=1.0))


def _piq() -> ModuleType:
    try:
        import piq  # noqa: PLC0415  an extra, and slow to import
    except ImportError:
        raise MissingExtra("HaarPSI, FSIM, GMSD and VIF", "eval") from None
    return piq
