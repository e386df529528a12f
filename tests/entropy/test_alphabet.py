"""Packed symbols: the same symbols and escapes back, and probabilities that are those of the single ones."""

import constriction
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokodec.entropy.alphabet import PACKED, Alphabet, Packed, Single
from tokodec.entropy.codingtables import LENGTHS, PRECISION
from tokodec.entropy.scaletables import TABLES, ScaleTables

ALPHABETS = [(a, a.radius) for a in PACKED] + [(Single(r), r) for r in (2, 9)]


@pytest.mark.parametrize(("alphabet", "radius"), ALPHABETS)
@given(data=st.data())
def test_inverse(alphabet: Alphabet, radius: int, data: st.DataObject) -> None:
    symbols = np.array(data.draw(st.lists(st.integers(-128, 127), min_size=0, max_size=6 * alphabet.size)), alphabet.dtype)
    symbols = symbols[: len(symbols) // alphabet.size * alphabet.size]
    cells, escaped = alphabet.pack(symbols)
    assert cells.dtype == np.int32
    again = np.empty(len(symbols), np.int32)
    np.testing.assert_array_equal(alphabet.unpack(cells, again), escaped)
    np.testing.assert_array_equal(escaped, np.flatnonzero(abs(symbols.astype(int)) > radius))
    inside = np.delete(np.arange(len(symbols)), escaped)
    np.testing.assert_array_equal(again[inside], symbols[inside])


def tables() -> list[np.ndarray]:
    made = ScaleTables()
    return [t.numpy().astype(np.int64) for t in made.counts[0].split([*(2 * made.radius + 2).tolist(), *[LENGTHS] * TABLES])]


@pytest.mark.parametrize("alphabet", PACKED, ids=lambda a: f"{a.size}x{a.radius}")
def test_cells_are_as_likely_as_their_symbols_together(alphabet: Packed) -> None:
    for single in tables()[3:TABLES]:
        if len(single) != 2 * alphabet.radius + 2:
            continue
        counts = alphabet.counts(single, PRECISION)
        assert counts.sum() == 1 << PRECISION
        assert counts.min() >= 1
        cells = np.arange(len(counts), dtype=np.int32)
        symbols = np.empty(alphabet.size * len(cells), np.int32)
        alphabet.unpack(cells, symbols)
        ideal = (single[symbols + alphabet.radius] / (1 << PRECISION)).reshape(-1, alphabet.size).prod(1)
        np.testing.assert_allclose(counts / (1 << PRECISION), ideal, rtol=0.001, atol=(len(counts) + 4) / (1 << PRECISION))
        lost = float((ideal * np.log2(ideal / (counts / (1 << PRECISION)))).sum())
        assert 0 <= lost < 0.0005 * float(-(ideal * np.log2(ideal)).sum())


def test_a_linear_search_reads_what_a_binary_one_does() -> None:
    """Which of the two a model uses is chosen by speed alone."""
    for counts in (PACKED[0].counts(tables()[5], PRECISION), PACKED[1].counts(tables()[18], PRECISION), tables()[30]):
        share = (counts - 1).astype(np.float64)
        eager, lazy = (constriction.stream.model.Categorical(share, perfect=False, lazy=way) for way in (False, True))
        cells = np.tile(np.arange(len(counts), dtype=np.int32), 5)
        streams = []
        for model in (eager, lazy):
            coder = constriction.stream.stack.AnsCoder()
            coder.encode_reverse(cells, model)
            streams.append(coder.get_compressed())
        np.testing.assert_array_equal(*streams)
        for model in (eager, lazy):
            np.testing.assert_array_equal(constriction.stream.stack.AnsCoder(streams[0]).decode(model, len(cells)), cells)
