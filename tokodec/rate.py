"""What is asked of the rate: a quality, or a size for which the quality is searched.

A search knows nothing of models: it asks for whole files at qualities of its choice. Sizes grow with quality, and their
logarithm nearly linearly, so interpolation in it needs two to four files. Of rows of ids that go from coarse to fine the longest
prefix that fits is found exactly, by bisection.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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
    """``data``: a whole file. ``quality`` made it; None for models of one rate. ``missed`` says how a target was missed, or is empty.

    ``tokens``: how many ids of each window are in a file in layers.
    """

    data: bytes
    quality: float | None
    missed: str = ""
    tokens: int | None = None


Encode = Callable[[float | None], bytes]
"""A whole file at a quality."""


class Prefixes(ABC):
    """Whole files of one picture, each of the first ids of a row that goes from coarse to fine; more ids are never fewer bytes."""

    most: int
    """The most ids of a window."""

    @abstractmethod
    def kept(self, quality: float | None) -> int:
        """How many ids of each window a quality keeps; without one all."""

    @abstractmethod
    def file(self, tokens: int) -> bytes:
        """The file of so many ids of each window, 1 to ``most``."""


class Rate(ABC):
    """What is asked of the rate of a file."""

    @abstractmethod
    def reach(self, encode: Encode, pixels: int) -> Coded:
        """The file that comes closest to what is asked, for a picture of so many pixels."""

    @abstractmethod
    def longest(self, prefixes: Prefixes, pixels: int) -> Coded:
        """The file of the longest prefix that is within what is asked."""


@dataclass(frozen=True)
class Quality(Rate):
    """A quality in [0, 1]; None only for models of one rate. Raises InputError outside."""

    value: float | None

    def __post_init__(self) -> None:
        if self.value is not None and not 0 <= self.value <= 1:
            raise InputError(f"quality {self.value:g} is not in [0, 1]")

    def reach(self, encode: Encode, pixels: int) -> Coded:
        return Coded(data=encode(self.value), quality=self.value)

    def longest(self, prefixes: Prefixes, pixels: int) -> Coded:
        tokens = prefixes.kept(self.value)
        return Coded(data=prefixes.file(tokens), quality=self.value, tokens=tokens)


@dataclass(frozen=True)
class Length(Rate):
    """At most so many ids of each window, for models whose ids go from coarse to fine. Raises InputError for less than one."""

    tokens: int

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise InputError(f"a window has 1 id or more, not {self.tokens}")

    def reach(self, encode: Encode, pixels: int) -> Coded:
        raise InputError(f"this model has no row of ids from coarse to fine, of which {self.tokens} could be kept")

    def longest(self, prefixes: Prefixes, pixels: int) -> Coded:
        tokens = min(self.tokens, prefixes.most)
        return Coded(data=prefixes.file(tokens), quality=None, tokens=tokens)


@dataclass(frozen=True)
class TargetBytes(Rate):
    """Bytes of the whole file, met within TOLERANCE or, where no quality does that, by the largest file below."""

    size: float

    def __post_init__(self) -> None:
        if not 1 <= self.size < math.inf:
            raise InputError(f"a file of {self.size:g} bytes cannot be aimed at")

    def reach(self, encode: Encode, pixels: int) -> Coded:
        return _search(encode, self.size, _in_bytes)

    def longest(self, prefixes: Prefixes, pixels: int) -> Coded:
        return _longest(prefixes, self.size, _in_bytes)


@dataclass(frozen=True)
class TargetBpp(Rate):
    """Bits of the whole file per pixel of the picture, met as :class:`TargetBytes` is."""

    bpp: float

    def __post_init__(self) -> None:
        if not 0 < self.bpp < math.inf:
            raise InputError(f"{self.bpp:g} bpp cannot be aimed at")

    def reach(self, encode: Encode, pixels: int) -> Coded:
        return _search(encode, self.bpp * pixels / 8, partial(_in_bpp, pixels))

    def longest(self, prefixes: Prefixes, pixels: int) -> Coded:
        # A rate that was taken from a file is to be met by it: what float arithmetic loses on the way must not decide.
        return _longest(prefixes, round(self.bpp * pixels / 8, 6), partial(_in_bpp, pixels))


def _in_bytes(size: float) -> str:
    return f"{size:.0f} bytes"


def _in_bpp(pixels: int, size: float) -> str:
    return f"{8 * size / pixels:.4g} bpp"


def _longest(prefixes: Prefixes, target: float, spell: Callable[[float], str]) -> Coded:
    """Never above the target, unless one id of each window is."""
    files = {1: prefixes.file(1)}
    low, high = 1, prefixes.most + 1  # prefixes of up to low ids fit, or there is no shorter one; from high on they do not
    while high - low > 1 and len(files[low]) <= target:
        middle = (low + high) // 2
        files[middle] = prefixes.file(middle)
        low, high = (middle, high) if len(files[middle]) <= target else (low, middle)
    data = files[low]
    return Coded(data=data, quality=None, tokens=low, missed=_short(low, prefixes.most, target, len(data), spell))


def _short(tokens: int, most: int, target: float, size: int, spell: Callable[[float], str]) -> str:
    if abs(size - target) <= TOLERANCE * target and size <= target:
        return ""
    if size > target:
        return f"{spell(target)} cannot be reached: 1 token a window, the fewest, gives {spell(size)}"
    if tokens == most:
        return f"{spell(target)} cannot be reached: {most} tokens a window, the most, give {spell(size)}"
    return f"no number of tokens gives {spell(target)} within {TOLERANCE:.0%}; the most that fit give {spell(size)}"


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
