"""Where something stands in a picture."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the upright picture; right and bottom are the first that are outside."""
