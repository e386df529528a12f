"""Code tables of a model as they are stored with its weights: integers, made once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.entropy.codingtables import LENGTHS, PRECISION, CodingTables, Counts, split, to_counts
from tokodec.errors import WeightsMismatch

_LEAST = 2.0**-16
_KEPT = 16
"""Choices of tables whose form for the coder is kept; one of 256 tables takes about a megabyte."""


def robust_counts(share: Float[np.ndarray, " n"]) -> Counts:
    """Counts in proportion to ``share``, but none below 2**-16 of all.

    That is the finest that tables of the usual 16 bits have. Trained models are surer of zeros than they should be, so finer
    ones would cost more bits, not fewer.
    """
    return to_counts((share / share.sum()).clip(min=_LEAST))


class CodeTables(nn.Module):
    """``count`` tables of any radius: one after the other in ``counts``, then, as the coder wants them, those of lengths of escapes.

    A fresh model has none. How long the buffers are depends on the weights, so loading takes the length that comes.
    Raises WeightsMismatch where they cannot be tables.
    """

    counts: Tensor
    radius: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.register_buffer("counts", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("radius", torch.zeros(0, dtype=torch.int32))
        self._coding: dict[tuple[tuple[range, ...], int], CodingTables] = {}
        self._split: list[Counts] = []
        self.register_load_state_dict_pre_hook(_as_long_as_loaded)

    def fill(self, tables: Sequence[Counts]) -> None:
        """Take tables of -r..r and an escape each."""
        lengths = to_counts(np.exp2(-np.arange(1.0, LENGTHS + 1)))
        device = self.counts.device
        self.counts = torch.from_numpy(np.concatenate([*tables, *([lengths] * len(tables))])).to(device, torch.int32)
        self.radius = torch.tensor([(len(t) - 2) // 2 for t in tables], dtype=torch.int32, device=device)
        self.forget()

    @property
    def coding(self) -> CodingTables:
        """All, as the entropy coder wants them. Made on first use."""
        return self.some((range(self.count),), 0)

    def some(self, chosen: tuple[range, ...], skipped: int) -> CodingTables:
        """Some tables, numbered from 0 in the order in which they are chosen; symbols of the first ``skipped`` are zero and not coded."""
        key = chosen, skipped
        if key not in self._coding:
            if len(self._coding) >= _KEPT:
                self._coding.clear()
            self._coding[key] = self._made([t for tables in chosen for t in tables], skipped)
        return self._coding[key]

    def _made(self, chosen: Sequence[int], skipped: int) -> CodingTables:
        self._split = self._split or self._checked()
        flat = np.concatenate([*(self._split[t] for t in chosen), *(self._split[self.count + t] for t in chosen)])
        return CodingTables(flat, self.radius.cpu().numpy()[chosen], skip_below=skipped)

    def _checked(self) -> list[Counts]:
        """Tables of symbols, then tables of lengths."""
        counts, radius = self.counts.cpu().numpy(), self.radius.cpu().numpy()
        fits = (
            len(radius) == self.count
            and bool((radius >= 0).all())
            and len(counts) == int((2 * radius.astype(np.int64) + 2 + LENGTHS).sum())
        )
        tables = split(counts.astype(np.int64), radius) if fits else []
        if not fits or any(t.min() < 1 or t.sum() != 1 << PRECISION for t in tables):
            raise WeightsMismatch("the weights have no code tables, or damaged ones: convert or train the model again")
        return tables

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_coding": {}}  # constriction's models cannot be copied

    def forget(self) -> None:
        """That the coder's form was made of other counts."""
        self._coding, self._split = {}, []


def _as_long_as_loaded(tables: nn.Module, loaded: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Buffers of the length that is about to be loaded."""
    assert isinstance(tables, CodeTables)
    tables.forget()
    for name in ("counts", "radius"):
        if prefix + name in loaded:
            setattr(tables, name, torch.zeros_like(loaded[prefix + name], device=getattr(tables, name).device))
