"""A still picture as the rest of tokodec sees it: 8-bit sRGB, upright, with what must survive beside it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bytes2D = NDArray[np.uint8]
"""uint8, (h, w)."""

Bytes3D = NDArray[np.uint8]
"""uint8, (h, w, 3)."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Pixels and what goes with them."""

    rgb: Bytes3D
    """uint8, (h, w, 3), sRGB, upright. The arrays may be read-only."""
    alpha: Bytes2D | None = None
    """uint8, (h, w), 0 is clear and 255 opaque, not premultiplied; None when the picture has no transparency."""
    gray: bool = False
    """The picture has no colour: to_pil gives it back with one channel."""
    icc: bytes | None = None
    """The source's own profile, only where keep_icc asked for it; ``rgb`` is sRGB all the same."""

    def __post_init__(self) -> None:
        assert self.rgb.dtype == np.uint8, "rgb is uint8"
        assert self.rgb.ndim == 3, "rgb is (h, w, 3)"
        assert self.rgb.shape[2] == 3, "rgb is (h, w, 3)"
        assert self.alpha is None or (self.alpha.dtype == np.uint8 and self.alpha.shape == self.rgb.shape[:2])

    @property
    def width(self) -> int:
        """Pixels across."""
        return self.rgb.shape[1]

    @property
    def height(self) -> int:
        """Pixels down."""
        return self.rgb.shape[0]
