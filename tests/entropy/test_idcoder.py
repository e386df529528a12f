"""Ids under a frozen prior: the same bits whatever torch is told, the format as docs/format.md has it, and no work for false claims."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokodec.entropy.idcoder import LEAST_BITS, IdCoder, _strips
from tokodec.entropy.idprior import IdPrior
from tokodec.errors import CorruptFile


def frozen(size: int, dim: int) -> IdCoder:
    """Of a net of random weights: no id is as likely as another, and every neighbour matters."""
    torch.manual_seed(size)
    prior, codes = IdPrior(size=size, dim=dim, width=8), torch.randn(size, dim)
    prior.arm()
    assert prior.net is not None
    for parameter in prior.net.parameters():
        parameter.data.copy_(3 * torch.randn_like(parameter) / max(parameter[0].numel(), 1) ** 0.5)
    prior.freeze([torch.randint(size, (2, 9, 9))], codes)
    return IdCoder(prior.frozen())


@pytest.fixture(scope="module")
def coder() -> IdCoder:
    return frozen(300, 4)


def some(grid: tuple[int, int], size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, size, grid)


@given(st.integers(2, 70_000), st.integers(1, 5), st.integers(1, 12), st.integers(1, 12))
@settings(deadline=None, max_examples=25)
def test_any_vocabulary_on_any_lattice(size: int, dim: int, height: int, width: int) -> None:
    coder, ids = frozen(size, dim), some((height, width), size)
    data = coder.encode(ids)
    assert np.array_equal(coder.decode(data, (height, width)), ids)
    assert 0 <= 8 * len(data) - coder.bits(ids) <= 96


def test_nothing_that_torch_is_told_changes_a_bit(coder: IdCoder) -> None:
    ids = some((40, 50), 300)
    data = coder.encode(ids)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert coder.encode(ids) == data
    torch.set_num_threads(2)
    torch.set_float32_matmul_precision("medium")
    try:
        assert coder.encode(ids) == data
        assert np.array_equal(coder.decode(data, (40, 50)), ids)
    finally:
        torch.set_num_threads(1)
        torch.set_float32_matmul_precision("highest")


def test_a_place_is_computed_alone(coder: IdCoder) -> None:
    """How many others are computed with it, and which, is nothing to it."""
    rng = np.random.default_rng(0)
    h, cell = rng.integers(0, 256, (50, 8)).astype(np.float32), rng.integers(0, 17, 50).astype(np.int32)
    cells, places = coder._cells(h), coder._places(h, cell)
    for i in range(50):
        assert np.array_equal(coder._cells(h[i : i + 1])[0], cells[i])
        assert np.array_equal(coder._places(h[i : i + 1], cell[i : i + 1])[0], places[i])


def test_the_bits_are_those_of_the_page(coder: IdCoder) -> None:
    """One ANS state in Python's own numbers, as docs/format.md describes it, gives the cell of the first id."""
    ids = some((1, 1), 300)
    data = coder.encode(ids)
    words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]
    state = words[0] << 32 | words[1]
    lattice = coder._lattice((1, 1))
    h = coder._hidden(lattice, next(iter(_strips((1, 1)))))
    ends = np.cumsum(coder._cells(h)[0].astype(np.int64) + 1)
    assert ends[-1] == 1 << 24
    assert int(np.searchsorted(ends, state % (1 << 24), side="right")) == int(ids[0, 0]) // 18


def test_damage_raises_or_gives_other_ids(coder: IdCoder) -> None:
    ids = some((6, 7), 300)
    data = coder.encode(ids)
    spoilt = [data[:at] + bytes((data[at] ^ bit,)) + data[at + 1 :] for at in range(len(data)) for bit in (1, 16, 128)]
    for bad in [*spoilt, *(data[:n] for n in range(len(data))), data + bytes(4), bytes(4) + data, data[4:]]:
        try:
            assert not np.array_equal(coder.decode(bad, (6, 7)), ids)
        except CorruptFile:
            continue


@pytest.mark.parametrize("size", [2, 3, 10, 300, 16_384, 17_000, 70_000])
def test_no_id_costs_less_than_is_claimed(size: int) -> None:
    certain = frozen(size, 1)
    least = 0.0
    for symbols in certain._weights:
        logits = np.full((1, symbols), -(10**6))
        logits[0, -1] = 0
        counts = certain._counts(logits)
        assert counts.min() >= 0
        assert counts.sum() == (1 << 24) - symbols
        least += 24 - np.log2(counts.max() + 1) if len(certain._weights) == 2 else 2 * (24 - np.log2(counts.max() + 1))
    assert least >= LEAST_BITS


def test_a_short_payload_costs_no_more_than_it_holds(coder: IdCoder) -> None:
    """Long enough for the least that so many ids can cost, but not for these."""
    junk = np.random.default_rng(0).integers(1, 256, 5_300, dtype=np.uint8).tobytes()
    start = time.monotonic()
    with pytest.raises(CorruptFile, match="too short"):
        coder.decode(junk, (1000, 1000))
    assert time.monotonic() - start < 1
