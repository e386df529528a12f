"""What is measured of a model's tokens, as analysis.json holds it."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from tokodec.analyze.figures import Figures

VERSION = 0
"""Of the layout of analysis.json."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A picture that is not counted, and why."""

    name: str
    error: str


@dataclass(frozen=True, kw_only=True)
class FileCoder:
    """What the ids of all streams cost as the payload of .tkd files, one a picture, their headers left out."""

    ids: int
    payload_bytes: int
    bits_per_id: float
    bits_per_pixel: float
    with_prior: int
    """Pictures whose ids were shorter under the tokenizer's prior than as plain numbers."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """All of it. ``fingerprint``: 16 hexadecimal digits; ``pixels`` of the pictures that are counted."""

    writer: str
    model: str
    fingerprint: str
    pictures: int
    pixels: int
    failed: Sequence[Failed]
    file_coder: FileCoder
    codebooks: Sequence[Figures]

    def row(self) -> dict[str, Any]:
        """As JSON."""
        versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
        return {"tokodec_analysis": VERSION, "versions": versions, **asdict(self)}

    def json(self) -> str:
        """The text of analysis.json. Raises ValueError for a figure that is no number: that would be our mistake."""
        return json.dumps(self.row(), allow_nan=False, indent=None, separators=(",", ":")) + "\n"

    def headline(self) -> dict[str, Any]:
        """A few figures of each codebook."""
        kept = ("model", "fingerprint", "pictures", "pixels")
        return {
            **{key: value for key, value in asdict(self).items() if key in kept},
            "failed": len(self.failed),
            "bits_per_id": self.file_coder.bits_per_id,
            "codebooks": [_headline(figures) for figures in self.codebooks],
        }


def _headline(figures: Figures) -> dict[str, Any]:
    frequency, fit = figures.frequency, figures.zipf.likelihood
    return {
        "name": figures.name,
        "size": frequency.size,
        "ids": frequency.total,
        "usage": frequency.usage,
        "dead": frequency.dead,
        "perplexity": frequency.perplexity,
        "entropy_bits": frequency.entropy_bits,
        "entropy_miller_madow_bits": frequency.entropy_miller_madow_bits,
        "zipf_exponent": None if fit is None else fit.exponent,
        "heaps_beta": figures.heaps.beta,
    }
