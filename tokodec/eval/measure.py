"""What a measure is: a number of a decoded picture, of its file, or of all decoded pictures of a suite together.

The rows and tables of a run know measures by what their protocol says alone; no list of columns stands anywhere.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from tokodec.errors import MissingExtra
from tokodec.eval.contestant import Contents, Contestant
from tokodec.eval.weights import Weight
from tokodec.metrics.structure import Comparison

Observation: TypeAlias = Mapping[str, np.ndarray]
"""What is kept of one decoded picture until all are there."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A decoded picture beside its original, the file it came out of, and who made that."""

    pictures: Comparison
    data: bytes
    contestant: Contestant

    @cached_property
    def contents(self) -> Contents:
        """What the file holds beside its bytes."""
        return self.contestant.contents(self.data)


@dataclass(frozen=True, kw_only=True)
class Measure(ABC):
    """What has to be known of any measure. ``of``: what it is a number of."""

    of: ClassVar[str]
    unit: str
    """``dB``, ``bit``, or empty for a plain number."""
    better: Literal["higher", "lower"] = "higher"
    definition: str
    version: int = 1
    """Goes up when values change."""
    packages: tuple[str, ...] = ()
    """Packages that compute it, by import name, of the extra [eval]; their versions are part of the protocol."""
    weights: tuple[Weight, ...] = ()
    """Of its network; their hashes are part of the protocol."""
    tool: Callable[[], Mapping[str, str]] | None = None
    """What else has to be here, as name and hash; raises ModelNotFound."""

    def require(self) -> None:
        """Raise MissingExtra, ModelNotFound or InputError where something that it needs is not here, saying what to do."""
        for package in self.packages:
            if find_spec(package) is None:
                raise MissingExtra(f"a measure by the package {package}", "eval")
        for weight in self.weights:
            weight.path()
        if self.tool is not None:
            self.tool()

    def protocol(self) -> dict[str, Any]:
        """What has to be known to compute it again."""
        content: dict[str, Any] = {"of": self.of, "unit": self.unit, "better": self.better}
        content |= {"definition": self.definition, "version": self.version}
        if self.packages:
            content["packages"] = {name: version(name.replace("_", "-")) for name in self.packages}
        if self.weights:
            content["weights"] = {weight.names[0]: weight.sha256 for weight in self.weights}
        return content | ({"tool": dict(self.tool())} if self.tool is not None else {})


class RowMeasure(Measure):
    """One number for each row of a run."""

    @abstractmethod
    def __call__(self, case: Case) -> float | None:
        """The value, finite; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class PictureMeasure(RowMeasure):
    """``compute`` of a picture beside its original; no value for a side below ``min_side``, and where none is defined.

    ``ceiling``: larger values are brought down to it, also infinite ones, so that means exist and JSON can hold them.
    """

    of: ClassVar[str] = "picture"
    compute: Callable[[Comparison], float]
    min_side: int = 1
    ceiling: float | None = None

    def __call__(self, case: Case) -> float | None:
        if min(case.pictures.original.shape[:2]) < self.min_side:
            return None
        value = self.compute(case.pictures)
        value = value if self.ceiling is None else min(value, self.ceiling)
        return value if math.isfinite(value) else None

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | ({} if self.ceiling is None else {"ceiling": self.ceiling})


@dataclass(frozen=True, kw_only=True)
class FileMeasure(RowMeasure):
    """``compute`` of a contestant's file: None for contestants that have no such thing."""

    of: ClassVar[str] = "file"
    compute: Callable[[Case], float | None]

    def __call__(self, case: Case) -> float | None:
        return self.compute(case)


@dataclass(frozen=True, kw_only=True)
class SetMeasure(Measure):
    """A number of all pictures at one setting: ``observe`` each while it is there, then ``combine`` what was kept.

    ``combine`` gives None where there is no number. ``kept``: the name of what is observed, which several measures may share.
    """

    of: ClassVar[str] = "set"
    kept: str
    observe: Callable[[Case], Observation]
    combine: Callable[[Sequence[Observation]], float | None]
