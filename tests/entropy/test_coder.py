"""Symbols to bytes and back, over the shipped tables."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tokodec.entropy.coder import Reader, Writer
from tokodec.entropy.tables import PRECISION, TABLES, ScaleTables
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
    sizes = (2 * tables.radius + 2).tolist()
    for counts in tables.counts[0].split(sizes):
        assert int(counts.sum()) == 1 << PRECISION
        assert int(counts.min()) >= 1
    assert tables.skip_below > 0


def test_models_use_exactly_the_stored_counts() -> None:
    """One symbol of probability p costs -log2 p: a million of each kind tell a count from its neighbours."""
    for table in (8, 20, 45):
        radius = int(CODING.radius[table])
        for value in (0, radius, radius + 1):
            index = np.full(20_000, table, np.uint8)
            values = np.full(20_000, value, np.int32)
            ideal = float(CODING.bits(index, values).sum())
            assert abs(8 * len(write(index, values)) - ideal) < 64 + 1e-6 * ideal


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


def spoil(data: bytearray, change: str, rng: Any) -> bytearray:
    at = int(rng.integers(4, len(data) - 8)) // 4 * 4
    flipped = bytearray(data)
    flipped[at] ^= 1 << int(rng.integers(8))
    return {"cut": data[:at], "flip": flipped, "extend": data + b"\x55" * (4 + at), "empty": bytearray(), "odd": data[:-3]}[change]


def test_values_no_picture_can_have_are_refused() -> None:
    with pytest.raises(InputError, match="out of range"):
        write(np.array([40], np.uint8), np.array([1 << 30], np.int32))


@pytest.mark.parametrize("table", [CODING.skip_below, 20, 40, TABLES - 1])
def test_a_stream_must_be_as_long_as_the_cheapest_symbols(table: int) -> None:
    index, values = np.full(100_000, table, np.uint8), np.zeros(100_000, np.int32)
    data = write(index, values)
    np.testing.assert_array_equal(Reader(CODING, data).read(index), values)
    needed = len(index) * CODING.least_bits[table] / 8
    assert len(data) <= needed + 12, "so the bound is tight"
    with pytest.raises(CorruptFile, match="too short"):
        Reader(CODING, bytes(4)).read(np.full(10_000_000, table, np.uint8))
