"""Recorded figures of reference implementations, reproduced; and proof that a figure that is not reproduced is seen.

pytest tests/parity --parity-dir DIR    # every entry of every file DIR/*.golden.json, large models too; one that is unknown fails
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from parity import reference, ties
from parity.entries import FILES
from parity.harness import Case, compare, entries

from tokodec.quantizers.codebook import VectorQuantizer
from tokodec.quantizers.residual import ResidualQuantizer

Entry = tuple[str, str, dict[str, Any], Case | None]


def test_entry_is_reproduced(parity_entry: Entry) -> None:
    file, name, figures, case = parity_entry
    assert case is not None, f"nobody knows the entry {name!r} of {file}"
    assert compare(case, figures) == []


QUICK = (
    "llamagen VQ n=64 d=8 l2 beta .25 entropy .03 train, z=RandomState(42) (2,8,4,4)",
    "FSQ levels [8, 6, 5], z=2*RandomState(46) (2,3,4,4)",
)


def changed(figures: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The figures with one of them changed by a little more than it may be, for each of them."""
    for tensor, recorded in figures.items():
        if not isinstance(recorded, dict):
            yield tensor, {**figures, tensor: recorded + 2e-4 * abs(recorded)}
            continue
        room = 2e-4 * (recorded.get("absmean", 0) + recorded.get("std", 0))
        for figure, value in recorded.items():
            if figure == "dtype":
                continue
            for other in _others(value, room):
                altered = copy.deepcopy(figures)
                altered[tensor][figure] = other
                yield f"{tensor}: {figure}", altered


def _others(value: Any, room: float) -> Iterator[Any]:
    if isinstance(value, str):
        yield ("0" if value[0] != "0" else "1") + value[1:]
    elif isinstance(value, list):
        for i, v in enumerate(value):
            yield [*value[:i], *_others(v, room), *value[i + 1 :]]
    else:
        yield value + (room if isinstance(value, float) else 1)


@pytest.mark.parametrize("name", QUICK)
def test_a_changed_figure_is_seen(name: str, copies: Path) -> None:
    (figures,) = [figures for _, entry, figures in entries(copies) if entry == name]
    case = FILES["quantizers-2d"](name)
    assert case is not None
    assert compare(case, figures) == []
    count = 0
    for what, altered in changed(figures):
        assert compare(case, altered), f"{what} was changed and nobody saw it"
        count += 1
    assert count > 50


def test_a_tensor_that_nobody_computes_is_seen(copies: Path) -> None:
    (figures,) = [figures for _, entry, figures in entries(copies) if entry == QUICK[0]]
    case = FILES["quantizers-2d"](QUICK[0])
    assert case is not None
    assert compare(case, {**figures, "more": 1.0}) == ["more is not computed"]


def test_an_unknown_entry_has_no_case() -> None:
    assert [find("no such entry") for find in FILES.values()] == [None] * len(FILES)


def test_only_near_ties_may_differ() -> None:
    quantizer = VectorQuantizer(8, 2)
    quantizer.codebook.data = torch.tensor([[0.0, 0.0], [1.0, 0.0], *([[9.0, 9.0]] * 6)])
    z = torch.tensor([[[0.5 - 1e-7, 0.0], [0.4, 0.0], [0.0, 0.1]]])
    ids = quantizer.ids(z)
    assert ids.tolist() == [[0, 0, 0]]

    def settled(recorded: list[int]) -> list[int]:
        return ties.settled(quantizer, z, ids, reference.digest(torch.tensor(recorded)))[0].tolist()

    assert settled([1, 0, 0]) == [1, 0, 0]
    assert settled([0, 1, 0]) == [0, 0, 0], "no tie"
    assert settled([2, 0, 0]) == [0, 0, 0], "not the second best"


def test_what_follows_a_near_tie_of_one_level_may_differ_too() -> None:
    table = VectorQuantizer(8, 2)
    table.codebook.data = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.0], *([[9.0, 9.0]] * 5)])
    quantizer = ResidualQuantizer([table] * 2)
    z = torch.tensor([[[0.75 - 1e-7, 0.0], [0.4, 0.1]]])
    ids = quantizer.ids(z)
    assert ids.tolist() == [[[2, 0], [2, 0]]]

    def settled(recorded: list[list[int]]) -> list[list[int]]:
        return ties.settled(quantizer, z, ids, reference.digest(torch.tensor(recorded)))[0].tolist()

    assert settled([[1, 0], [2, 0]]) == [[1, 0], [2, 0]]
    assert settled([[2, 2], [2, 0]]) == [[2, 2], [2, 0]], "0.25 is between 0 and 0.5"
    assert settled([[1, 2], [2, 0]]) == [[2, 0], [2, 0]], "not what follows"
    assert settled([[2, 0], [1, 0]]) == [[2, 0], [2, 0]], "no tie"
