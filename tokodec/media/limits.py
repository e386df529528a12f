"""How large a picture may be. Checked on what a header claims, before anything is allocated."""

import os

from tokodec.errors import UnsupportedInput

DEFAULT_MAX_PIXELS = 2**28
"""268 megapixels: 0.8 GB as 8-bit RGB."""

MAX_SIDE = 2**20
"""Most pixels on one side, whatever ``max_pixels`` says."""


def check_size(width: int, height: int, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
    """Raise UnsupportedInput unless 1 <= side <= MAX_SIDE and width * height <= max_pixels."""
    if width < 1 or height < 1:
        raise UnsupportedInput(f"a picture of {width} x {height} pixels has nothing to code")
    if max(width, height) > MAX_SIDE:
        raise UnsupportedInput(f"{width} x {height} pixels: a side may have at most {MAX_SIDE}")
    if width * height > max_pixels:
        raise UnsupportedInput(f"{width} x {height} pixels are more than the limit of {max_pixels} (max_pixels)")


def physical_memory() -> int:
    """Bytes of memory that the machine has; where it does not say, more than any has."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # AttributeError: Windows
        return 2**60
