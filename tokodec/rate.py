"""What is asked of the rate: a quality, or a size for which the quality is searched.

A search knows nothing of models: it asks for whole files at qualities of its choice. Sizes grow with quality, and their
logarithm nearly linearly, so interpolation in it needs two to four files.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from tokodec.errors import InputError

LAST = 1023
"""Qualities are searched in steps of 1 / LAST, which are those of variable-rate codecs."""

TOLERANCE = 0.03
"""A size is met when it is this close, relative to itself."""

_OCTAVES = 5.0
"""First guess of how often the size doubles from quality 0 to 1."""
_INTERPOLATIONS = 4
"""After so many files bisection takes over, which ends for certain."""


@dataclass(frozen=True, kw_only=True)
class Coded:
    """``data``: a whole file. ``quality`` made it; None for models of one rate. ``missed`` says how a target was missed, or is empty."""

    data: bytes
    quality: float | None
    missed: str = ""


Encode = Callable[[float | None], bytes]
"""A whole file at a quality."""


class Rate(ABC):
    """What is asked of the rate of a file."""

    @abstractmethod
    def reach(self, encode: Encode, pixels: int) -> Coded:
        """The file that comes closest to what is asked, for a picture of so many pixels."""


@dataclass(frozen=True)
class Quality(Rate):
    """A quality in [0, 1]; None only for models of one rate. Raises InputError outside."""

    value: float | None

    def __post_init__(self) -> None:
        if self.value is not None and not 0 <= self.value <= 1:
            raise InputError(f"quality {self.value:g} is not in [0, 1]")

    def reach(self, encode: Encode, pixels: int) -> Coded:
        return Coded(data=encode(self.value), quality=self.value)


@dataclass(frozen=True)
class TargetBytes(Rate):
    """Bytes of the whole file, met within TOLERANCE or, where no quality does that, by the largest file below."""

    size: float

    def __post_init__(self) -> None:
        if not 1 <= self.size < math.inf:
            raise InputError(f"a file of {self.size:g} bytes cannot be aimed at")

    def reach(self, encode: Encode, pixels: int) -> Coded:
        return _search(encode, self.size, lambda size: f"{size:.0f} bytes")


@dataclass(frozen=True)
class TargetBpp(Rate):
    """Bits of the whole file per pixel of the picture, met as :class:`TargetBytes` is."""

    bpp: float

    def __post_init__(self) -> None:
        if not 0 < self.bpp < math.inf:
            raise InputError(f"{self.bpp:g} bpp cannot be aimed at")

    def reach(self, encode: Encode, pixels: int) -> Coded:
        return _search(encode, self.bpp * pixels / 8, lambda size: f"{8 * size / pixels:.4g} bpp")


def _search(encode: Encode, target: float, spell: Callable[[float], str]) -> Coded:
    """``spell`` puts a size into the words of who asked."""
    files: dict[int, bytes] = {}
    low, high = -1, LAST + 1  # the sizes of files at levels up to low are below the target, from high on above it
    level = LAST // 2
    while high - low > 1:
        files[level] = encode(level / LAST)
        size = len(files[level])
        if abs(size - target) <= TOLERANCE * target:
            return Coded(data=files[level], quality=level / LAST)
        low, high = (level, high) if size < target else (low, level)
        level = _next(files, low, high, target)
    best = max(low, 0)
    return Coded(data=files[best], quality=best / LAST, missed=_miss(low, spell(target), spell(len(files[best]))))


def _next(files: dict[int, bytes], low: int, high: int, target: float) -> int:
    """A level between low and high, exclusive."""
    if len(files) > _INTERPOLATIONS:
        return (low + high) // 2
    base = low if low in files else high
    slope = _OCTAVES / LAST
    if low in files and high in files:
        slope = (math.log2(len(files[high])) - math.log2(len(files[low]))) / (high - low)
    guess = base + round((math.log2(target) - math.log2(len(files[base]))) / slope)
    return min(max(guess, low + 1), high - 1)


def _miss(low: int, wanted: str, got: str) -> str:
    if low < 0:
        return f"{wanted} cannot be reached: quality 0, the lowest, gives {got}"
    if low == LAST:
        return f"{wanted} cannot be reached: quality 1, the highest, gives {got}"
    return f"no quality gives {wanted} within {TOLERANCE:.0%}; the nearest below gives {got}"
