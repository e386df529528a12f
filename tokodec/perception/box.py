"""Where something stands in a picture."""

from collections.abc import Sequence

Box = Sequence[float | int]
"""Four: left, top, right, bottom in pixels of the upright picture; right and bottom are the first that are outside."""
