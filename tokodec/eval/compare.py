"""Two results of one protocol, row by row: what changed, and whether that is too much."""

import json
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tokodec.errors import InputError
from tokodec.eval.protocol import difference
from tokodec.metrics.resampling import flip_test, mean_interval

_CONDITION = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*(%?)\s*", re.IGNORECASE)
_RELATIONS: Mapping[str, Callable[[float, float], bool]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
SIZES = ("bytes", "bpp")
"""Compared as measures are."""
TIMES = ("encode_seconds", "decode_seconds")
"""May be asked for; they differ from run to run."""

Key = tuple[str, float | None, str]
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """True of a mean difference, new minus old, that stands in ``relation`` to ``bound``, which may be in percent of the old mean."""

    text: str
    name: str
    relation: str
    bound: float
    percent: bool

    def holds(self, change: "Change") -> bool:
        """Whether it is true of a change. Of an old mean of 0 there are no percent."""
        return _RELATIONS[self.relation](change.percent if self.percent else change.difference, self.bound)


@dataclass(frozen=True, kw_only=True)
class Change:
    """Of one contestant at one setting: means over the ``pictures`` with a value in both, their difference, its 95 % interval, and p."""

    contestant: str
    setting: float | None
    measure: str
    pictures: int
    old: float
    new: float
    difference: float
    low: float
    high: float
    p: float

    @property
    def percent(self) -> float:
        """The difference in percent of the old mean; not a number where that is 0."""
        return 100 * self.difference / abs(self.old) if self.old else math.nan


@dataclass(frozen=True, kw_only=True)
class Changes:
    """``changes`` by contestant, setting and measure; ``lost``: rows with a result in the old results and none in the new ones."""

    protocol: Mapping[str, Any]
    changes: Sequence[Change]
    lost: Sequence[Key]
    gained: Sequence[Key]

    def failures(self, conditions: Sequence[Condition]) -> list[str]:
        """A line for each condition that holds, and one for results that were lost. Raises InputError for what is not compared."""
        known = {change.measure for change in self.changes}
        unknown = next((c for c in conditions if c.name not in known), None)
        if unknown is not None:
            raise InputError(f"{unknown.text}: {unknown.name} is not compared; {', '.join(sorted(known)) or 'nothing'} can be")
        found = [_told(condition, change) for condition in conditions for change in self.changes if _applies(condition, change)]
        if conditions and self.lost:
            found.append(f"{len(self.lost)} results are lost, first {_spelt(self.lost[0])}")
        return found


def condition(text: str) -> Condition:
    """``psnr<-0.05``, ``bpp>1%``. Raises InputError."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} is no condition: write a measure, <, <=, > or >=, and a number, as psnr<-0.05 or bpp>1%")
    name, relation, bound, percent = match.groups()
    return Condition(text=text.strip(), name=name, relation=relation, bound=float(bound), percent=bool(percent))


def read_results(path: Path) -> dict[str, Any]:
    """``results.json``, or the one in a folder. Raises InputError."""
    file = path / "results.json" if path.is_dir() else path
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror or error}): name results.json of a run, or its folder") from None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not {"protocol", "rows"} <= found.keys():
        raise InputError(f"{file} holds no results of tokodec bench run")
    return found


def compare(old: Mapping[str, Any], new: Mapping[str, Any], names: Sequence[str] = ()) -> Changes:
    """Differences paired by contestant, setting and picture, of sizes, all measures, and those of TIMES in ``names``.

    Raises InputError for different protocols, and for results that have no row in common.
    """
    _same_protocol(old["protocol"], new["protocol"])
    before, after = (_scored(results) for results in (old, new))
    shared = [key for key in before if key in after]
    if not shared:
        raise InputError("the two results have no contestant, setting and picture in common: nothing can be compared")
    groups: dict[tuple[str, float | None], list[Key]] = {}
    for key in shared:
        groups.setdefault(key[:2], []).append(key)
    measures = (*SIZES, *new["protocol"]["measures"], *(t for t in TIMES if t in names))
    changes = [_change(m, [before[k] for k in keys], [after[k] for k in keys]) for keys in groups.values() for m in measures]
    return Changes(
        protocol=new["protocol"],
        changes=[change for change in changes if change is not None],
        lost=[key for key in before if key not in after],
        gained=[key for key in after if key not in before],
    )


def _same_protocol(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    if old.get("hash") != new.get("hash"):
        differing = difference(dict(old), dict(new))
        raise InputError(
            f"the results are of the protocols {old.get('hash')} and {new.get('hash')}: {differing} differ, so their figures do not compare"
        )


def _scored(results: Mapping[str, Any]) -> dict[Key, Row]:
    return {(row["contestant"], row["setting"], row["picture"]): row for row in results["rows"] if row["error"] is None}


def _change(measure: str, before: Sequence[Row], after: Sequence[Row]) -> Change | None:
    """None where no picture has a value in both."""
    pairs = [(a.get(measure), b.get(measure)) for a, b in zip(before, after, strict=True)]
    known = np.array([pair for pair in pairs if None not in pair], float)
    if not len(known):
        return None
    differences = known[:, 1] - known[:, 0]
    low, high = mean_interval(differences)
    return Change(
        contestant=before[0]["contestant"],
        setting=before[0]["setting"],
        measure=measure,
        pictures=len(known),
        old=float(known[:, 0].mean()),
        new=float(known[:, 1].mean()),
        difference=float(differences.mean()),
        low=low,
        high=high,
        p=flip_test(differences),
    )


def _applies(condition: Condition, change: Change) -> bool:
    return condition.name == change.measure and condition.holds(change)


def _told(condition: Condition, change: Change) -> str:
    shown = f"{change.percent:+.3g} %" if condition.percent else f"{change.difference:+.6g}"
    return f"{condition.text}: {change.contestant} at {change.setting}: {shown} over {change.pictures} pictures"


def _spelt(key: Key) -> str:
    return f"{key[0]} at {key[1]}, {key[2]}"
