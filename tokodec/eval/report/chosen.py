"""Which decoded pictures stand in a page: there are a thousand times more than anyone looks at.

Settings: of each contestant those that come nearest, in the logarithm of mean bits a pixel, to a few rates: the own rates of contestants
that have only one, and five that divide evenly, as logarithms, what the others reach together.
Pictures: all, if there is room for them; else one half evenly out of their names, the other half the worst of each contestant in turn.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice, zip_longest
from typing import Any

import numpy as np

from tokodec.eval.results import Column, Results

RATES = 5


def chosen_settings(results: Results) -> dict[str, list[float | None]]:
    """Of each contestant that has a result, in order of its settings."""
    rates = {c["name"]: _rates(results, c["name"]) for c in results.contestants}
    wanted = _wanted([by for by in rates.values() if by])
    return {name: _nearest(by, wanted) for name, by in rates.items() if by}


def _rates(results: Results, name: str) -> dict[float | None, float]:
    return {p["setting"]: math.log(p["values"]["bpp"]) for p in results.points if p["contestant"] == name and p["values"]["bpp"]}


def _wanted(contestants: Sequence[Mapping[float | None, float]]) -> list[float]:
    """Logarithms of rates."""
    several = [list(by.values()) for by in contestants if len(by) > 1]
    fixed = [next(iter(by.values())) for by in contestants if len(by) == 1]
    if not several:
        return fixed
    low, high = max(min(own) for own in several), min(max(own) for own in several)
    if low >= high:  # nothing is reached by all
        low, high = min(min(own) for own in several), max(max(own) for own in several)
    return [*fixed, *np.linspace(low, high, RATES).tolist()]


def _nearest(by: Mapping[float | None, float], wanted: Sequence[float]) -> list[float | None]:
    near = {min(by, key=lambda setting: abs(by[setting] - rate)) for rate in wanted}
    return [setting for setting in by if setting in near]


def chosen_pictures(results: Results, settings: Mapping[str, Sequence[float | None]], most: int) -> list[str]:
    """Names, in order; ``most`` of them."""
    names = list(results.protocol["pictures"])
    if len(names) <= most:
        return names
    even = names[:: -(-len(names) // (most - most // 2))]
    chosen = dict.fromkeys(chain(even, _worst(results, settings)))
    kept = set(islice(chosen, most))
    return [name for name in names if name in kept]


def _worst(results: Results, settings: Mapping[str, Sequence[float | None]]) -> Iterator[str]:
    """The worst of each contestant in its middle setting by each measure, then the second ..."""
    lists = [worst_first(results, column, name, own[len(own) // 2]) for name, own in settings.items() for column in results.measures]
    yield from (name for names in zip_longest(*lists) for name in names if name is not None)


def worst_first(results: Results, column: Column, contestant: str, setting: float | None) -> list[str]:
    """Names of the pictures that have a value."""
    rows: list[Mapping[str, Any]] = [
        r for r in results.rows if r["contestant"] == contestant and r["setting"] == setting and isinstance(r.get(column.key), int | float)
    ]
    return [r["picture"] for r in sorted(rows, key=lambda r: r[column.key], reverse=not column.higher)]
