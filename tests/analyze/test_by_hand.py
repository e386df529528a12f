"""Every figure of two small pictures, worked out by hand.

0 1 0    0 0 1
2 0 1    1 3 0        in a codebook of 8
"""

import lzma
import math
import zlib
from math import log2
from statistics import linear_regression

import numpy as np
import pytest

from tokodec.analyze.compression import compression, packed, whole_bytes
from tokodec.analyze.corpus import Corpus, corpora
from tokodec.analyze.counts import entropy, miller_madow, tally
from tokodec.analyze.figures import figures
from tokodec.analyze.fit import least_squares
from tokodec.analyze.heaps import heaps
from tokodec.analyze.mutual import mutual
from tokodec.analyze.positions import positions
from tokodec.errors import InputError
from tokodec.metrics.codebook import perplexity, usage
from tokodec.tokenformats import RecordParts, StreamParts

A = np.array([[0, 1, 0], [2, 0, 1]], np.uint16)
B = np.array([[0, 0, 1], [1, 3, 0]], np.uint16)
TOY = figures(Corpus(stream="ids", codebook=0, size=8, axes=("h", "w"), grids=[A, B]))
IDS = [0, 1, 0, 2, 0, 1, 0, 0, 1, 1, 3, 0]


def bits(*counts: int) -> float:
    """Entropy, term by term."""
    return sum(c / sum(counts) * log2(sum(counts) / c) for c in counts)


def test_how_often_codes_occur() -> None:
    f = TOY.frequency
    assert (f.ids, f.counts) == ([0, 1, 2, 3], [6, 4, 1, 1])
    assert (f.size, f.total, f.used, f.usage, f.dead, f.dead_runs) == (8, 12, 4, 0.5, 4, [[4, 7]])
    wanted = 1 / 2 * 1 + 1 / 3 * log2(3) + 2 * 1 / 12 * log2(12)
    assert f.entropy_bits == pytest.approx(wanted)
    assert f.entropy_miller_madow_bits == pytest.approx(wanted + 3 / (2 * 12 * math.log(2)))
    assert f.perplexity == pytest.approx(2**wanted) == pytest.approx(8 * f.effective_share)
    assert (f.usage, f.perplexity) == (usage(np.array(IDS), 8), pytest.approx(perplexity(np.array(IDS))))


def test_runs_of_codes_that_never_occur() -> None:
    grid = np.array([[1, 2, 5]], np.uint16)
    f = figures(Corpus(stream="ids", codebook=0, size=9, axes=("n",), grids=[grid])).frequency
    assert (f.dead_runs, f.dead) == ([[0, 0], [3, 4], [6, 8]], 6)


def test_ids_in_a_row() -> None:
    one, two, three, four = TOY.raster
    assert [(g.n, g.total, g.distinct) for g in TOY.raster] == [(1, 12, 4), (2, 10, 8), (3, 8, 8), (4, 6, 6)]
    # 01 10 02 20 01 | 00 01 11 13 30
    assert two.entropy_bits == pytest.approx(bits(3, 1, 1, 1, 1, 1, 1, 1))
    assert two.conditional_bits == pytest.approx(bits(3, 1, 1, 1, 1, 1, 1, 1) - bits(5, 3, 1, 1))
    assert two.entropy_miller_madow_bits == pytest.approx(two.entropy_bits + 7 / (20 * math.log(2)))
    # 010 102 020 201 | 001 011 113 130: first two 01 10 02 20 00 01 11 13
    assert three.entropy_bits == pytest.approx(3)
    assert three.conditional_bits == pytest.approx(3 - bits(2, 1, 1, 1, 1, 1, 1))
    assert four.conditional_bits == pytest.approx(0)
    assert one.conditional_bits == one.entropy_bits == TOY.frequency.entropy_bits


def test_what_the_other_half_never_saw() -> None:
    one, two, three, _ = TOY.raster
    assert (one.unseen, one.unseen_distinct) == (pytest.approx(1 / 6), pytest.approx(1 / 3))  # the 3, of six ids and of 0, 1 and 3
    assert (two.unseen, two.unseen_distinct) == (pytest.approx(4 / 5), pytest.approx(4 / 5))  # all but 01
    assert three.unseen == 1


def test_the_most_frequent() -> None:
    top = TOY.raster[1].top
    assert (top[0].ids, top[0].count, top[0].share) == ([0, 1], 3, pytest.approx(0.3))
    assert [g.ids for g in top[1:]] == [[0, 0], [0, 2], [1, 0], [1, 1], [1, 3], [2, 0], [3, 0]]


def test_down_the_columns() -> None:
    one, two = TOY.columns
    assert (one.total, one.entropy_bits) == (12, pytest.approx(TOY.frequency.entropy_bits))
    # 02 10 01 | 01 03 10
    assert (two.total, two.distinct) == (6, 4)
    assert two.entropy_bits == pytest.approx(bits(2, 2, 1, 1))
    assert two.conditional_bits == pytest.approx(bits(2, 2, 1, 1) - bits(4, 2))
    assert two.unseen == pytest.approx(1 / 3)
    assert [g.ids for g in two.top] == [[0, 1], [1, 0], [0, 2], [0, 3]]


def test_what_neighbours_know() -> None:
    assert TOY.horizontal is not None
    assert TOY.vertical is not None
    # 01 10 20 01 00 01 13 30: left 0 0 0 0 1 1 2 3, right 0 0 0 0 1 1 1 3
    assert TOY.horizontal.pairs == 8
    assert TOY.horizontal.bits == pytest.approx(bits(4, 2, 1, 1) + bits(4, 3, 1) - bits(3, 1, 1, 1, 1, 1)) == pytest.approx(0.75)
    # 02 10 01 01 03 10: above 0 0 0 0 1 1, below 0 0 1 1 2 3
    assert TOY.vertical.bits == pytest.approx(bits(4, 2) + bits(2, 2, 1, 1) - bits(2, 2, 1, 1)) == pytest.approx(bits(4, 2))
    assert TOY.vertical.excess_bits == TOY.vertical.bits - TOY.vertical.shuffled_bits


def test_by_place() -> None:
    assert not TOY.positions.relative
    assert TOY.positions.entropy_bits == [[0, 1, 1], [1, 1, 1]]
    assert TOY.positions.ids == [[2, 2, 2], [2, 2, 2]]
    assert TOY.positions.entropy_miller_madow_bits[0] == [0, pytest.approx(1 + 1 / (4 * math.log(2))), pytest.approx(1.3607, abs=1e-4)]


def test_by_relative_place() -> None:
    """Quarters of both pictures: 5 5 5 5 with 5, four different ones with one of them, twice."""
    large = np.array([[5, 5, 1, 2], [5, 5, 3, 4], [1, 1, 7, 7], [1, 1, 7, 7]], np.uint16)
    found = positions([large, np.array([[5, 1], [2, 7]], np.uint16)])
    assert found.relative
    assert found.ids == [[5, 5], [5, 5]]
    assert found.entropy_bits == [[0, pytest.approx(bits(2, 1, 1, 1))], [pytest.approx(bits(4, 1)), 0]]


def test_uneven_grids_share_the_smallest_of_8_cells() -> None:
    found = positions([np.zeros((20, 3), np.uint16), np.ones((9, 30), np.uint16)])
    assert np.array(found.ids).shape == (8, 3)
    assert np.array(found.ids).sum() == 60 + 270
    assert found.ids[0][0] == 3 + 2 * 10  # rows 0 to 2 of 20, and 0 and 1 of 9


def test_new_codes() -> None:
    curve = dict(zip(TOY.heaps.n, TOY.heaps.vocabulary, strict=True))
    assert curve == {1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 3, 7: 3, 8: 3, 9: 3, 10: 3, 11: 4, 12: 4}
    assert TOY.heaps.pictures_to_share == {"0.5": 1, "0.9": 2, "0.99": 2}
    slope, intercept = linear_regression([math.log(n) for n in (10, 11, 12)], [math.log(v) for v in (3, 4, 4)])
    assert (TOY.heaps.beta, TOY.heaps.K) == (pytest.approx(slope), pytest.approx(math.exp(intercept)))


def test_written_down() -> None:
    c = TOY.compression
    assert c.log2_size == 3
    assert c.plain == pytest.approx(8 * 5 / 12)  # 36 bits are 5 bytes
    # 000 100 000 10 | 0 000 100 | ... lowest bits first
    stream = "".join(format(i, "03b")[::-1] for i in IDS)
    wanted = bytes(int(stream[i : i + 8][::-1], 2) for i in range(0, len(stream), 8))
    assert packed(np.array(IDS), 8) == wanted
    assert wanted[0] == 0b00001000
    assert c.zlib_packed == pytest.approx(8 * len(zlib.compress(wanted, 9)) / 12)
    assert c.lzma_packed == pytest.approx(8 * len(lzma.compress(wanted)) / 12)
    assert c.zlib_bytes == pytest.approx(8 * len(zlib.compress(bytes(IDS), 9)) / 12)


@pytest.mark.parametrize(("size", "width"), [(1, 1), (256, 1), (257, 2), (1 << 16, 2), (1 << 18, 4), (1 << 36, 8)])
def test_whole_bytes(size: int, width: int) -> None:
    assert whole_bytes(np.array([0, size - 1]), size) == bytes(width) + (size - 1).to_bytes(width, "little")


def test_chunks_make_one_string() -> None:
    ids = np.random.default_rng(0).integers(0, 1000, 70_001)
    found = compression(ids, 1000)
    assert found.zlib_packed == pytest.approx(8 * len(zlib.compress(packed(ids, 1000), 9)) / 70_001)
    assert found.plain == pytest.approx(log2(1000), abs=1e-3)
    assert packed(ids[:65536], 1000) + packed(ids[65536:], 1000) == packed(ids, 1000)


def test_one_code_alone() -> None:
    f = figures(Corpus(stream="ids", codebook=0, size=2, axes=("h", "w"), grids=[np.ones((1, 1), np.uint16)]))
    assert (f.frequency.entropy_bits, f.frequency.perplexity, f.frequency.dead_runs) == (0, 1, [[0, 0]])
    assert (f.horizontal, f.vertical, f.zipf.likelihood, f.zipf.least_squares, f.heaps.beta) == (None,) * 5
    assert [(g.n, g.unseen) for g in f.raster] == [(1, None)]


def test_entropy_of_nothing_and_of_halves() -> None:
    assert entropy(np.array([], np.int64)) == miller_madow(np.array([], np.int64)) == 0
    assert entropy(np.array([7, 7])) == 1
    assert [part.tolist() for part in tally(np.array([9, 4, 9, 2]))] == [[9, 2, 4], [2, 1, 1]]


def test_mutual_information_of_equal_and_of_independent_ids() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 300, 5000), rng.integers(0, 300, 5000)
    same, apart = mutual(a, a), mutual(a, b)
    assert same is not None
    assert apart is not None
    assert same.bits == pytest.approx(entropy(np.bincount(a)))
    assert apart.bits > 3, "what so few pairs pretend"
    assert abs(apart.excess_bits) < 0.05


def test_a_line() -> None:
    line = least_squares(np.array([1.0, 2, 3]), np.array([2.0, 2, 5]))
    assert line is not None
    assert (line.slope, line.intercept) == (pytest.approx(1.5), pytest.approx(0))
    assert line.r2 == pytest.approx(1 - (0.5**2 + 1 + 0.5**2) / 6)  # residuals 0.5, -1, 0.5; variance 1 + 1 + 4
    assert least_squares(np.array([2.0]), np.array([2.0])) is None


def test_growth_that_is_known() -> None:
    new = heaps(np.arange(5000), np.array([5000]))
    assert (new.K, new.beta, new.r2) == (pytest.approx(1), pytest.approx(1), pytest.approx(1))
    none = heaps(np.zeros(5000, np.int64), np.array([5000]))
    assert (none.K, none.beta, none.r2) == (pytest.approx(1), pytest.approx(0), None)
    root = np.sqrt(np.arange(1, 200_001)).round().astype(np.int64)  # V(n): a new code wherever it grows, else an old one
    ids = np.where(np.diff(root, prepend=0) > 0, root, 1)
    found = heaps(ids, np.array([200_000]))
    assert found.beta == pytest.approx(0.5, abs=0.005)
    assert found.r2 is not None
    assert found.r2 > 0.99


def record(streams: dict[str, StreamParts]) -> RecordParts:
    return RecordParts(name="a", source="", size=(8, 8), streams=streams)


def test_every_stream_and_codebook_stands_alone() -> None:
    pair = StreamParts(axes=("h", "w", "k"), vocab=(4, 9), varies=False, ids=np.array([[[0, 8], [3, 7]]], np.uint16))
    row = StreamParts(axes=("n",), vocab=(5,), varies=False, ids=np.array([4, 3, 2], np.uint16))
    film = StreamParts(axes=("t", "h", "w"), vocab=(9,), varies=False, ids=np.arange(8, dtype=np.uint16).reshape(2, 2, 2))
    found = corpora([record({"p": pair, "r": row, "f": film})])
    assert [(c.name, c.size, c.grids[0].tolist()) for c in found] == [
        ("p[0]", 4, [[0, 3]]),
        ("p[1]", 9, [[8, 7]]),
        ("r", 5, [[4, 3, 2]]),
        ("f", 9, [[0, 1], [2, 3], [4, 5], [6, 7]]),
    ]
    assert found[0].ids().tolist() == [0, 3]


def test_records_of_different_models_are_refused() -> None:
    one, two = (StreamParts(axes=("n",), vocab=(v,), varies=False, ids=np.array([1], np.uint16)) for v in (4, 5))
    with pytest.raises(InputError, match="different models"):
        corpora([record({"ids": one}), record({"ids": two})])
    with pytest.raises(InputError, match="no tokens"):
        corpora([])
