"""Fits where the answer is known, slow formulas, and what must not change."""

import json
from collections import Counter
from dataclasses import asdict
from math import log2
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tokodec.analyze.corpus import Corpus, Grid
from tokodec.analyze.document import Document, Failed, FileCoder
from tokodec.analyze.figures import figures
from tokodec.analyze.ngrams import TOP, downwards, ngrams, raster
from tokodec.analyze.zipf import zipf

SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 5))
GRIDS = st.lists(SHAPES.flatmap(lambda shape: arrays(np.uint16, shape, elements=st.integers(0, 6))), min_size=1, max_size=4)


@pytest.mark.parametrize("exponent", [0.6, 1.0, 1.5])
def test_ids_of_a_zipf_law_give_its_exponent(exponent: float) -> None:
    law = np.arange(1, 501.0) ** -exponent
    drawn = np.random.default_rng(0).multinomial(1_000_000, law / law.sum())
    found = zipf(np.sort(drawn[drawn > 0])[::-1])
    assert found.likelihood is not None
    assert found.least_squares is not None
    assert found.mandelbrot is not None
    assert found.likelihood.exponent == pytest.approx(exponent, abs=0.01)
    assert found.least_squares.exponent == pytest.approx(exponent, abs=0.05)
    assert found.least_squares.r2 is not None
    assert found.least_squares.r2 > 0.98
    assert found.likelihood.ks < 0.005
    assert found.mandelbrot.nats <= found.likelihood.nats
    assert found.mandelbrot.q < 0.1


def test_zipf_and_mandelbrot_give_their_shift() -> None:
    law = (np.arange(1, 1001) + 12.0) ** -1.4
    found = zipf((1e7 * law / law.sum()).round().astype(np.int64))
    assert found.mandelbrot is not None
    assert found.likelihood is not None
    assert (found.mandelbrot.exponent, found.mandelbrot.q) == (pytest.approx(1.4, abs=0.01), pytest.approx(12, abs=0.3))
    assert found.mandelbrot.ks < found.likelihood.ks / 10


def test_a_law_that_falls_faster_than_any_power_has_no_shift() -> None:
    assert zipf((1e6 * np.exp(-np.arange(40) / 4)).round().astype(np.int64)).mandelbrot is None


def test_equal_counts_have_no_slope() -> None:
    found = zipf(np.full(40, 9))
    assert found.least_squares is not None
    assert found.likelihood is not None
    assert (found.least_squares.exponent, found.least_squares.r2) == (pytest.approx(0), None)
    assert found.likelihood.exponent == pytest.approx(0, abs=1e-9)


def test_rare_codes_are_left_out_of_least_squares() -> None:
    found = zipf(np.array([40, 20, 10, 5, 4, 1])).least_squares
    assert found is not None
    assert found.ranks == 4
    assert zipf(np.array([40, 20])).likelihood is None


def slow(lines: list[list[int]], n: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(line[i : i + n]) for line in lines for i in range(len(line) - n + 1))


def slow_entropy(counts: Counter[Any]) -> float:
    total = counts.total()
    return -sum(c / total * log2(c / total) for c in counts.values())


@settings(max_examples=60, deadline=None)
@given(GRIDS)
def test_ngrams_are_those_of_a_slow_count(grids: list[Grid]) -> None:
    rows = [g.ravel().tolist() for g in grids]
    columns = [g[:, x].tolist() for g in grids for x in range(g.shape[1])]
    for reading, lines in ((raster(grids), rows), (downwards(grids), columns)):
        found = list(ngrams(reading, 4))
        assert len(found) == min(4, max(map(len, lines)))
        for measured in found:
            wanted = slow(lines, measured.n)
            assert (measured.total, measured.distinct) == (wanted.total(), len(wanted))
            assert measured.entropy_bits == pytest.approx(slow_entropy(wanted), abs=1e-9)
            before: Counter[Any] = Counter()
            for gram, count in wanted.items():
                before[gram[:-1]] += count
            assert measured.conditional_bits == pytest.approx(slow_entropy(wanted) - slow_entropy(before), abs=1e-9)
            ranked = sorted(wanted.items(), key=lambda item: (-item[1], item[0]))[:TOP]
            assert [(tuple(g.ids), g.count) for g in measured.top] == ranked


@settings(max_examples=40, deadline=None)
@given(GRIDS)
def test_unseen_is_that_of_a_slow_count(grids: list[Grid]) -> None:
    lines = [g.ravel().tolist() for g in grids]
    for measured in ngrams(raster(grids), 3):
        known, tested = slow(lines[::2], measured.n), slow(lines[1::2], measured.n)
        if known and tested:
            missing = {gram: c for gram, c in tested.items() if gram not in known}
            assert measured.unseen == pytest.approx(sum(missing.values()) / tested.total())
            assert measured.unseen_distinct == pytest.approx(len(missing) / len(tested))
        else:
            assert measured.unseen is None


def without_labels(row: dict[str, Any]) -> dict[str, Any]:
    """All that does not say which code it is, and what general compressors find in the digits of ids."""
    kept = {**row, "frequency": {k: v for k, v in row["frequency"].items() if k not in {"ids", "dead_runs"}}, "compression": None}
    for name in ("raster", "columns"):
        kept[name] = [{**g, "top": [t["count"] for t in g["top"]]} for g in row[name]]
    return kept


def flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for key in value for leaf in (key, *flat(value[key]))]
    return [leaf for item in value for leaf in flat(item)] if isinstance(value, list) else [value]


def test_names_of_codes_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    grids = [(rng.zipf(1.5, (9, 7)) % 50).astype(np.uint16) for _ in range(9)]
    renamed = rng.permutation(50).astype(np.uint16)
    rows = [
        asdict(figures(Corpus(stream="ids", codebook=0, size=50, axes=("h", "w"), grids=g))) for g in (grids, [renamed[g] for g in grids])
    ]
    one, other = (flat(without_labels(row)) for row in rows)
    assert rows[0]["frequency"]["ids"] != rows[1]["frequency"]["ids"]
    assert len(one) > 300
    for a, b in zip(one, other, strict=True):
        assert a == (pytest.approx(b, abs=1e-9) if isinstance(b, float) else b)


def test_order_of_rows_within_columns_matters_only_where_it_should() -> None:
    """Turning pictures by a quarter swaps what neighbours beside and below know of each other."""
    rng = np.random.default_rng(2)
    grids = [rng.integers(0, 9, (6, 8)).cumsum(1).astype(np.uint16) % 9 for _ in range(4)]
    upright, turned = (
        figures(Corpus(stream="ids", codebook=0, size=9, axes=("h", "w"), grids=g)) for g in (grids, [g.T.copy() for g in grids])
    )
    assert upright.horizontal is not None
    assert turned.vertical is not None
    assert upright.horizontal.bits == pytest.approx(turned.vertical.bits)
    assert upright.positions.entropy_bits == np.array(turned.positions.entropy_bits).T.tolist()


def test_the_document_is_json_and_comes_back() -> None:
    grids = [np.arange(12, dtype=np.uint16).reshape(3, 4) % 5]
    found = figures(Corpus(stream="ids", codebook=0, size=6, axes=("h", "w"), grids=grids))
    coder = FileCoder(ids=12, payload_bytes=6, bits_per_id=4.0, bits_per_pixel=0.1, with_prior=0)
    document = Document(
        writer="w",
        model="m",
        fingerprint="00" * 8,
        pictures=1,
        pixels=480,
        failed=[Failed(name="x", error="y")],
        file_coder=coder,
        codebooks=[found],
    )
    again = json.loads(document.json(), parse_constant=pytest.fail)
    assert again == document.row()
    assert again["codebooks"][0]["frequency"]["counts"] == [3, 3, 2, 2, 2]
    assert document.headline()["codebooks"][0]["dead"] == 1
