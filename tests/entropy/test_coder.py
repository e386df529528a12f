"""Symbols to bytes and back, over the shipped tables."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tokodec.entropy.coder import Reader, Writer
from tokodec.entropy.codingtables import LENGTHS, PRECISION
from tokodec.entropy.scaletables import TABLES, ScaleTables
from tokodec.errors import CorruptFile, InputError

CODING = ScaleTables().coding(500)


def write(index: NDArray[np.uint8], values: NDArray[np.int32]) -> bytes:
    writer = Writer(CODING, {})
    writer.write(index, values)
    return writer.bytes()


def draw(n: int, seed: int, *, wild: float = 0.0) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Symbols that follow their tables, but for a share of wild ones that must be escaped; skipped ones are zero."""
    rng = np.random.default_rng(seed)
    index = rng.integers(0, TABLES, n).astype(np.uint8)
    scale = 0.05 * 2 ** (index / CODING_STEPS)
    values = np.where(rng.random(n) < wild, rng.integers(-(1 << 20), 1 << 20, n), np.round(rng.laplace(0, scale)))
    return index, np.where(index < CODING.skip_below, 0, values).astype(np.int32)


CODING_STEPS = (TABLES - 1) / np.log2(64 / 0.05)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(0, 300), seed=st.integers(0, 1 << 30), wild=st.sampled_from([0.0, 0.1, 1.0]))
def test_inverse(n: int, seed: int, wild: float) -> None:
    index, values = draw(n, seed, wild=wild)
    reader = Reader(CODING, write(index, values))
    np.testing.assert_array_equal(reader.read(index), values)
    reader.finish()


@pytest.mark.parametrize("values", [[], [0], [3], [-(1 << 20)], [0, 0], [1, -70000]])
def test_streams_of_no_one_and_two_symbols(values: list[int]) -> None:
    index = np.full(len(values), 40, np.uint8)
    known = np.array(values, np.int32)
    reader = Reader(CODING, write(index, known))
    np.testing.assert_array_equal(reader.read(index), known)
    reader.finish()


def test_several_groups_share_one_stream() -> None:
    groups = [draw(100, seed, wild=0.02) for seed in range(3)]
    writer = Writer(CODING, {})
    for index, values in groups:
        writer.write(index, values)
    reader = Reader(CODING, writer.bytes())
    for index, values in groups:
        np.testing.assert_array_equal(reader.read(index), values)
    reader.finish()


def test_real_bits_are_the_ideal_ones() -> None:
    index, values = draw(100_000, 1, wild=0.0005)
    ideal = float(CODING.bits(index, values).sum())
    assert ideal * 0.9999 < 8 * len(write(index, values)) < ideal * 1.0005 + 64


def test_certain_symbols_cost_nothing() -> None:
    index = np.full(10_000, CODING.skip_below - 1, np.uint8)
    assert write(index, np.zeros(10_000, np.int32)) == b""
    assert CODING.bits(index, np.zeros(10_000, np.int32)).sum() == 0


def test_tables_are_exact_counts() -> None:
    tables = ScaleTables()
    sizes = [*(2 * tables.radius + 2).tolist(), *[LENGTHS] * TABLES]
    for counts in tables.counts[0].split(sizes):
        assert int(counts.sum()) == 1 << PRECISION
        assert int(counts.min()) >= 1
    assert tables.skip_below > 0


def test_fitted_tables_cost_less_and_stay_exact() -> None:
    index, values = draw(50_000, 6)
    index[:], values[:25_000] = 20, values[:25_000] * 3  # neither the scales nor the shape that the tables expect
    tables = ScaleTables()
    before = tables.coding(500).bits(index, values).sum()
    tables.fit({500: np.bincount(tables.coding(500).places(index, values), minlength=tables.counts.shape[1])})
    coding = tables.coding(500)
    assert coding.bits(index, values).sum() < 0.9 * before
    assert {int(c.sum()) for c in tables.counts[3].split([*(2 * tables.radius + 2).tolist(), *[LENGTHS] * TABLES])} == {1 << PRECISION}
    writer = Writer(coding, {})
    writer.write(index, values)
    np.testing.assert_array_equal(Reader(coding, writer.bytes()).read(index), values)


def test_models_use_exactly_the_stored_counts() -> None:
    """One symbol of probability p costs -log2 p: thousands of each kind tell a count from its neighbours."""
    for table in (35, 45, 60):
        radius = int(CODING.radius[table])
        for value in (0, radius, radius + 1):
            index = np.full(20_000, table, np.uint8)
            values = np.full(20_000, value, np.int32)
            ideal = float(CODING.bits(index, values).sum())
            assert abs(8 * len(write(index, values)) - ideal) < 64 + 1e-4 * ideal


@pytest.mark.parametrize("change", ["cut", "flip", "extend", "empty", "odd"])
def test_damage_is_an_error_or_other_symbols_but_never_a_crash(change: str) -> None:
    index, values = draw(2_000, 3, wild=0.01)
    data = bytearray(write(index, values))
    rng = np.random.default_rng(0)
    caught = 0
    for _ in range(50):
        spoilt = bytes(spoil(data, change, rng))
        try:
            reader = Reader(CODING, spoilt)
            got = reader.read(index)
            reader.finish()
        except CorruptFile:
            caught += 1
        else:
            assert not np.array_equal(got, values)
    assert caught or change == "flip"


def test_a_flipped_bit_leaves_another_last_state() -> None:
    """All but those of raw bits are found by that alone."""
    index, values = draw(250, 4)
    data = bytearray(write(index, values))
    found = 0
    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        try:
            reader = Reader(CODING, bytes(data))
            reader.read(index)
            reader.finish()
        except CorruptFile:
            found += 1
        data[bit // 8] ^= 1 << bit % 8
    assert found > 0.9 * 8 * len(data)


def spoil(data: bytearray, change: str, rng: Any) -> bytearray:
    at = int(rng.integers(4, len(data) - 8)) // 4 * 4
    flipped = bytearray(data)
    flipped[at] ^= 1 << int(rng.integers(8))
    return {"cut": data[:at], "flip": flipped, "extend": data + b"\x55" * (4 + at), "empty": bytearray(), "odd": data[:-3]}[change]


def test_values_no_picture_can_have_are_refused() -> None:
    with pytest.raises(InputError, match="out of range"):
        write(np.array([40], np.uint8), np.array([1 << 30], np.int32))


@pytest.mark.parametrize("table", [CODING.skip_below, 10, 20, 40, TABLES - 1])
def test_a_stream_must_be_as_long_as_the_cheapest_symbols(table: int) -> None:
    index, values = np.full(100_000, table, np.uint8), np.zeros(100_000, np.int32)
    data = write(index, values)
    np.testing.assert_array_equal(Reader(CODING, data).read(index), values)
    needed = len(index) * CODING.least_bits[table] / 8
    assert 0.995 * needed < len(data) <= needed + 12, "so the bound is tight"
    for short in (b"", data[:4]):
        with pytest.raises(CorruptFile, match="too short"):
            Reader(CODING, short).read(np.full(10_000_000, table, np.uint8))


def test_a_group_after_a_costly_one_has_only_the_bits_that_are_left() -> None:
    index, values = draw(2_000, 5, wild=0.2)
    reader = Reader(CODING, write(index, values))
    reader.read(index)
    with pytest.raises(CorruptFile, match="too short"):
        reader.read(np.full(5_000, 40, np.uint8))


@pytest.mark.parametrize("counts", [{5: 1}, {5: 3}, {5: 5, 9: 2}, {5: 1, 17: 1, 24: 1, 40: 1}, {15: 7, 21: 3, 27: 1}, {7: 3, 63: 2}])
def test_symbols_that_do_not_fill_a_cell_go_to_the_next_alphabet(counts: dict[int, int]) -> None:
    index = np.repeat(np.array(list(counts), np.uint8), list(counts.values()))
    occurrences = np.bincount(index, minlength=TABLES)
    place = 0
    for stretch in CODING.stretches(occurrences):
        assert stretch.start == place
        assert stretch.runs[0].start == 0
        assert stretch.runs[-1].stop * stretch.alphabet.size == stretch.stop - stretch.start
        place = stretch.stop
    assert place == len(index)
    for seed in range(20):
        values = np.random.default_rng(seed).integers(-9, 9, len(index)).astype(np.int32)
        reader = Reader(CODING, write(index, values))
        np.testing.assert_array_equal(reader.read(index), values)
        reader.finish()


def test_escapes_of_every_length_and_sign() -> None:
    values = np.array([sign * (1 << bits) + more for bits in range(22) for sign in (-1, 1) for more in (-1, 0, 1)], np.int32)
    for table in (CODING.skip_below, 17, 25, 50):
        index = np.full(len(values), table, np.uint8)
        data = write(index, values)
        np.testing.assert_array_equal(Reader(CODING, data).read(index), values)
        assert 8 * len(data) < 1.001 * CODING.bits(index, values).sum() + 64
