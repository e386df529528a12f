"""SSIMULACRA2, by the package ssimulacra2: 100 for equal pictures, 90 hard to tell apart, 70 good, may be negative.

Source: Sneyers, "SSIMULACRA 2", Cloudinary 2022 (cloudinary/ssimulacra2); the package is a port to numpy of the program.
"""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tokodec.errors import MissingExtra
from tokodec.metrics.structure import Comparison

SSIMULACRA2_MIN_SIDE = 8


def ssimulacra2(pictures: Comparison) -> float:
    """At most 100. Both sides are at least SSIMULACRA2_MIN_SIDE."""
    try:
        from ssimulacra2 import compute_ssimulacra2  # noqa: PLC0415  an extra, and slow to import
    except ImportError:
        raise MissingExtra("SSIMULACRA2", "eval") from None
    return float(compute_ssimulacra2(_file(pictures.original), _file(pictures.decoded)))


def _file(picture: UInt8[np.ndarray, "h w 3"]) -> io.BytesIO:
    """The package takes files alone."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "BMP")
    buffer.seek(0)
    return buffer
