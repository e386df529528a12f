"""Judges: what machines still see in a decoded picture, beside what they see in its original.

A judge gives a list of what it looked at, a box each, and means over such a list: those of a picture, and, over the lists of all
pictures at one setting, those of a point. A new judge is a row of JUDGES.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from tokodec.eval.labels import Labels
from tokodec.eval.verdicts import Verdicts, key_of
from tokodec.perception.box import Box

Pixels8 = UInt8[np.ndarray, "h w 3"]
Detail = dict[str, Any]
"""What was looked at: ``box``, and what the judge says of it."""
Values = dict[str, float | None]
Definitions = Mapping[str, tuple[str, str]]
"""Of every measure: which is better, ``higher``, ``lower`` or empty for counts, and the definition."""
Seen = TypeVar("Seen")


class Judge(ABC, Generic[Seen]):
    """``Seen``: what it keeps of an original, which is looked at once a process."""

    name: ClassVar[str]
    definitions: ClassVar[Definitions]

    def __init__(self) -> None:
        self._originals: dict[tuple[str, Labels], Seen] = {}

    def compute(self, original: Pixels8, decoded: Pixels8, labels: Labels) -> list[Detail]:
        """What there is to see in a picture: nothing without labels for this judge. Raises InputError for labels that do not fit."""
        key = hashlib.sha256(original.tobytes()).hexdigest(), labels
        if key not in self._originals:
            self._originals[key] = self.look(original, labels)
        return self.compare(self._originals[key], decoded, labels)

    @abstractmethod
    def look(self, original: Pixels8, labels: Labels) -> Seen:
        """What it keeps of an original."""

    @abstractmethod
    def compare(self, seen: Seen, decoded: Pixels8, labels: Labels) -> list[Detail]:
        """The decoded picture beside that."""

    @staticmethod
    @abstractmethod
    def pool(details: Sequence[Detail]) -> Values:
        """The measures over what was looked at; None for all of them where there was nothing."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Network, packages, hash of the weights, device."""

    def scene(self) -> dict[str, Any] | None:
        """What decides what it says beside two pictures, their labels and its identity; None where other pictures do."""
        return {}

    def protocol(self) -> dict[str, dict[str, Any]]:
        """Each measure as a protocol has it."""
        same = {"of": "boxes", "version": 1, "unit": "", **self.identity()}
        return {name: {"better": better, "definition": text, **same} for name, (better, text) in self.definitions.items()}


def pixels(picture: Pixels8, device: torch.device) -> Float[Tensor, "3 h w"]:
    """In [0, 1]."""
    return torch.from_numpy(picture.copy()).to(device).permute(2, 0, 1) / 255


EDGES: Mapping[str, Mapping[int, tuple[float, float, float]]] = {
    "text": {256: (0.02, 0.03, 0.04), 512: (0.01, 0.02, 0.03), 1024: (0.005, 0.01, 0.02)},
    "faces": {256: (0.0, 0.1, 0.2), 512: (0.0, 0.05, 0.2), 1024: (0.0, 0.05, 0.1)},
}
"""TokBench's classes of relative size for each of its settings: where small, medium and large begin."""
CLASSES = ("small", "medium", "large")


def size_class(kind: str, ratio: float, side: int) -> str | None:
    """``side``: of the setting, or the longer of the picture where it is not resized: the next setting, at most 1024. None below small."""
    edges = EDGES[kind][next((s for s in EDGES[kind] if side <= s), 1024)]
    over = sum(ratio >= edge for edge in edges)
    return CLASSES[over - 1] if over else None


def longer(box: Box) -> float:
    """The longer side of a box."""
    return max(box[2] - box[0], box[3] - box[1])


def mean(details: Sequence[Detail], key: str) -> float | None:
    """None of nothing."""
    return float(np.mean([d[key] for d in details])) if details else None


def ratio(part: float | None, whole: float | None) -> float | None:
    """What is left of a score; None where there was none."""
    return None if part is None or not whole else part / whole


def mean_of_classes(means: Sequence[float | None]) -> float | None:
    """TokBench's mean: of the means of the three classes; None where one is empty."""
    values = [m for m in means if m is not None]
    return float(np.mean(values)) if len(values) == len(CLASSES) else None


class Panel:
    """The judges of a run, and what they said before, if that is kept."""

    def __init__(self, judges: Sequence[Judge[Any]] = (), verdicts: Verdicts | None = None) -> None:
        self._judges, self._verdicts = judges, verdicts

    def protocol(self) -> dict[str, dict[str, Any]]:
        """Their measures by name."""
        return {name: row for judge in self._judges for name, row in judge.protocol().items()}

    def row(self, original: Pixels8, decoded: Pixels8, labels: Labels | None) -> dict[str, Any]:
        """Measures of a picture and, under ``detail``, what each judge looked at. Nothing without judges."""
        if not self._judges:
            return {}
        details = {j.name: self._said(j, original, decoded, labels or Labels()) for j in self._judges}
        values = {name: value for j in self._judges for name, value in j.pool(details[j.name]).items()}
        return {**values, "detail": details}

    def _said(self, judge: Judge[Any], original: Pixels8, decoded: Pixels8, labels: Labels) -> list[Detail]:
        scene = judge.scene()
        if self._verdicts is None or scene is None:
            return judge.compute(original, decoded, labels)
        key = key_of(original, decoded, {"judge": judge.protocol(), "scene": scene, "labels": asdict(labels)})
        said = self._verdicts.find(key)
        if said is None:
            said = judge.compute(original, decoded, labels)
            self._verdicts.keep(key, said)
        return said


Pool = Callable[[Sequence[Detail]], Values]


def pooled(rows: Sequence[Mapping[str, Any]], pools: Mapping[str, Pool]) -> Values:
    """Measures over all that was looked at in the pictures of a point: a word counts once, wherever it stands."""
    names = dict.fromkeys(name for row in rows for name in row.get("detail", {}))
    values: Values = {}
    for name in names:
        values |= pools[name]([d for row in rows for d in row.get("detail", {}).get(name, [])])
    return values
