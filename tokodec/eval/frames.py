"""What a contestant is given of a picture: all of it as it is, or TokBench's fixed sizes, from which it is brought back.

Fixed size: black below and on the right up to a square, Lanczos to ``side``; what comes out is brought to the square by Lanczos and
cut. TokBench leaves filler and filter open; these are ours. Source: arXiv 2505.18142 and its authors' answer in issue 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

Pixels8 = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True, kw_only=True)
class Native:
    """The picture as it is."""

    side: int | None = None
    definition: str = "native"

    def shown(self, picture: Pixels8) -> Pixels8:
        """What the contestant gets."""
        return picture

    def restored(self, decoded: Pixels8, picture: Pixels8) -> Pixels8:
        """What it gives, at the size of the picture."""
        return decoded


@dataclass(frozen=True, kw_only=True)
class Square:
    """TokBench's setting of one side: 256, 512 or 1024."""

    side: int

    @property
    def definition(self) -> str:
        """For the protocol."""
        return f"black below and right to a square, Lanczos to {self.side}, coded, Lanczos back, cut; rate over the pixels of the picture"

    def shown(self, picture: Pixels8) -> Pixels8:
        """What the contestant gets: (side, side, 3)."""
        height, width = picture.shape[:2]
        square = np.zeros((max(height, width),) * 2 + (3,), np.uint8)
        square[:height, :width] = picture
        return _resized(square, self.side)

    def restored(self, decoded: Pixels8, picture: Pixels8) -> Pixels8:
        """What it gives, at the size of the picture."""
        height, width = picture.shape[:2]
        return _resized(decoded, max(height, width))[:height, :width]


FRAMES: Mapping[str, Native | Square] = {"native": Native(), **{f"square{s}": Square(side=s) for s in (256, 512, 1024)}}


def _resized(square: Pixels8, side: int) -> Pixels8:
    return np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.LANCZOS))
