"""What decides a figure beside who made the file. Figures of different protocols never stand in one table."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tokodec.eval.frames import FRAMES
from tokodec.eval.labels import Labels
from tokodec.eval.measures import MEASURES
from tokodec.eval.suite import Entry, Suite

_ROUNDING = "decoded values times 255, rounded half to even, clamped to 0..255"
_RATE = "8 times the bytes of the whole file over the pixels that were coded"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """``content``: everything, as JSON. ``name``: suite, version and crop rule."""

    name: str
    content: dict[str, Any]

    @property
    def hash(self) -> str:
        """The first 16 digits of the SHA-256 of the content."""
        return hashlib.sha256(json.dumps(self.content, sort_keys=True).encode()).hexdigest()[:16]

    def row(self) -> dict[str, Any]:
        """The JSON object of the protocol."""
        return {"name": self.name, "hash": self.hash, **self.content}


def measured(names: Sequence[str]) -> dict[str, Any]:
    """What has to be known of measures of those names."""
    return {name: MEASURES[name].protocol() for name in names}


def protocol_of(suite: Suite, entries: Sequence[Entry], measures: Mapping[str, Any]) -> Protocol:
    """The protocol of a run over these pictures. ``measures``: what has to be known of each, see :func:`measured`."""
    content = {
        "suite": suite.name,
        "version": suite.version,
        "crop": suite.crop,
        "pictures": {entry.name: entry.sha256 for entry in entries},
        "rounding": _ROUNDING,
        "rate": _RATE,
        "measures": dict(measures),
    }
    if suite.frame != "native":
        content["frame"] = FRAMES[suite.frame].definition
    if suite.judges:
        content["labels"] = {entry.name: _told(entry.labels) for entry in entries if entry.labels}
    shown = suite.crop if suite.frame == "native" else suite.frame
    return Protocol(name=f"{suite.name}-v{suite.version}-{shown}", content=content)


def _told(labels: Labels) -> str:
    """The first 16 digits of the SHA-256 of what is known of a picture."""
    return hashlib.sha256(json.dumps(asdict(labels), sort_keys=True).encode()).hexdigest()[:16]


def difference(ours: dict[str, Any], other: dict[str, Any]) -> str:
    """Which parts of two protocols differ."""
    return ", ".join(sorted(key for key in {*ours, *other} - {"hash"} if ours.get(key) != other.get(key))) or "nothing that is written down"
