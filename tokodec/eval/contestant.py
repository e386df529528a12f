"""Whoever turns a picture into the bytes of a file and back."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

Pixels8 = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True, kw_only=True)
class Codes:
    """Ids of one codebook that a file holds, and how many the codebook has."""

    ids: Int[np.ndarray, " n"]
    size: int


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a file holds beside its bytes, where its maker can say.

    ``raw_bits``: of ids, each as its vocabulary alone would have it. ``estimated_bits``: what the entropy model says its payloads
    cost. ``codes``: by codebook.
    """

    raw_bits: float | None = None
    estimated_bits: float | None = None
    codes: Mapping[str, Codes] = field(default_factory=dict[str, Codes])


class Contestant(ABC):
    """``settings``: from small to large files. ``name``: as tables show it."""

    name: str
    settings: Sequence[float | None]

    @abstractmethod
    def encode(self, picture: Pixels8, setting: float | None) -> bytes:
        """A whole file."""

    @abstractmethod
    def decode(self, data: bytes) -> Pixels8:
        """The picture in it."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What decides its files: settings and versions, or a fingerprint."""

    def contents(self, data: bytes) -> Contents:
        """What a file of its own holds; of classical codecs nothing is known."""
        return Contents()


def spread(settings: Sequence[float | None], points: int) -> tuple[float | None, ...]:
    """At most so many of the settings: each the middle of an equal share of them, so that neither end is among a few."""
    count = len(settings)
    return tuple(settings[(2 * i + 1) * count // (2 * points)] for i in range(points)) if points < count else tuple(settings)
