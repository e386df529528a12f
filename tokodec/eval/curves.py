"""The rows of a run as curves: what each contestant makes of each picture at each setting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from tokodec.eval.run import Done

Grid = Float[np.ndarray, "settings pictures"]


@dataclass(frozen=True, kw_only=True)
class Curves:
    """``bytes`` and ``bpp`` of a contestant's files, and by measure its values, negated where lower is better: more is better in all."""

    contestant: str
    pictures: Sequence[str]
    bytes: Grid
    bpp: Grid
    values: Mapping[str, Grid]

    @cached_property
    def log_bytes(self) -> Grid:
        """Natural logarithms."""
        return np.log(self.bytes)


def sign_of(protocol: Mapping[str, Any], measure: str) -> int:
    """-1 where lower is better."""
    return -1 if protocol["measures"][measure].get("better") == "lower" else 1


def rated(protocol: Mapping[str, Any]) -> list[str]:
    """The measures that are a quality of each picture: those that make curves."""
    return [name for name, known in protocol["measures"].items() if known.get("of") not in ("file", "set") and known.get("better")]


def curves(done: Done) -> dict[str, Curves]:
    """By contestant, over the pictures that everyone coded, in one order. A measure is left out where a picture has no value."""
    failed = {row["picture"] for row in done.rows if row["error"] is not None}
    rows = {(r["contestant"], r["setting"], r["picture"]): r for r in done.rows}
    pictures = sorted({row["picture"] for row in done.rows} - failed)
    found: dict[str, Curves] = {}
    for contestant in done.contestants:
        name = contestant["name"]
        own = [[rows[name, setting, picture] for picture in pictures] for setting in contestant["settings"]]
        grids = {m: sign_of(done.protocol, m) * _grid(own, m) for m in rated(done.protocol)}
        values = {m: grid for m, grid in grids.items() if grid.size and np.isfinite(grid).all()}
        found[name] = Curves(contestant=name, pictures=pictures, bytes=_grid(own, "bytes"), bpp=_grid(own, "bpp"), values=values)
    return found


def _grid(rows: Sequence[Sequence[Mapping[str, Any]]], key: str) -> Grid:
    """None becomes not a number."""
    return np.array([[row.get(key) for row in line] for line in rows], float).reshape(len(rows), -1)
