"""Plain ids: as many bytes as they cost, and back."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokodec.entropy import flat
from tokodec.entropy.flat import Section
from tokodec.errors import CorruptFile

SECTIONS = st.lists(st.tuples(st.integers(1, 700), st.integers(1, 70_000)), min_size=1, max_size=3)


@given(SECTIONS, st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=150)
def test_inverse_and_no_longer_than_the_ids_are(sections: list[tuple[int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = [rng.integers(0, size, count) for count, size in sections]
    data = flat.pack(ids, [size for _, size in sections])
    plan = [Section(count=count, size=size) for count, size in sections]
    assert len(data) == flat.length(plan)
    assert all(np.array_equal(a, b) for a, b in zip(flat.unpack(data, plan), ids, strict=True))
    assert len(data) <= sum(count * math.log2(size) for count, size in sections) / 8 + 1.01


@pytest.mark.parametrize("size", [2, 3, 15_360, 16_384, 65_537])
def test_the_largest_ids(size: int) -> None:
    ids = np.full(1000, size - 1)
    assert np.array_equal(flat.unpack(flat.pack([ids], [size]), [Section(count=1000, size=size)])[0], ids)


def test_a_power_of_two_costs_its_bits() -> None:
    assert len(flat.pack([np.arange(256) * 64], [16_384])) == 256 * 14 // 8


@given(st.binary(min_size=1, max_size=60), st.integers(1, 40), st.integers(2, 70_000))
@settings(deadline=None, max_examples=150)
def test_any_bytes_are_ids_or_an_error(data: bytes, count: int, size: int) -> None:
    plan = [Section(count=count, size=size)]
    try:
        (ids,) = flat.unpack(data, plan)
    except CorruptFile:
        return
    again = flat.pack([ids], [size])
    assert again[:-1] == data[:-1], "the last byte alone may hold bits that say nothing"
    assert ids.shape == (count,)
    assert 0 <= ids.min() <= ids.max() < size


def test_the_length_of_a_large_claim_costs_nothing() -> None:
    assert flat.length([Section(count=2**40, size=15_360)]) > 2**40
