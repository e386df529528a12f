"""Ids under a frozen prior: the same bits whatever torch is told, the format as docs/format.md has it, and no work for false claims."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokodec.entropy.idcoder import LEAST_BITS, IdCoder
from tokodec.entropy.idprior import IdPrior
from tokodec.errors import CorruptFile


def frozen(size: int, dim: int, sharp: float = 3.0) -> IdCoder:
    """Of a net of random weights: no id is as likely as another, and every neighbour matters."""
    torch.manual_seed(size)
    prior, codes = IdPrior(size=size, dim=dim, width=8), torch.randn(size, dim)
    prior.arm()
    assert prior.net is not None
    for parameter in prior.net.parameters():
        parameter.data.copy_(sharp * torch.randn_like(parameter) / max(parameter[0].numel(), 1) ** 0.5)
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


def test_ids_far_away_change_no_counts(coder: IdCoder) -> None:
    """A place is computed alone: what stands beside it in a strip, or how many do, is nothing to it."""
    ids = some((61, 67), 300)
    other = ids.copy()
    other[40:, 40:] = some((21, 27), 300, seed=1)
    assert 0 < abs(coder.bits(ids) - coder.bits(other)) < 21 * 27 * 40
    strips = coder.bits(ids), coder.bits(ids[:16, :16]), coder.bits(ids.T.copy().T)
    assert strips[0] == strips[2] > strips[1]


def test_damage_raises_or_gives_other_ids(coder: IdCoder) -> None:
    ids = some((6, 7), 300)
    data = coder.encode(ids)
    spoilt = [data[:at] + bytes((data[at] ^ bit,)) + data[at + 1 :] for at in range(len(data)) for bit in (1, 16, 128)]
    for bad in [*spoilt, *(data[:n] for n in range(len(data))), data + bytes(4), bytes(4) + data, data[4:]]:
        try:
            assert not np.array_equal(coder.decode(bad, (6, 7)), ids)
        except CorruptFile:
            continue


def test_no_id_costs_less_than_is_claimed() -> None:
    """The ids that a net of great certainty likes best: found id by id, in the order of coding, as a reader of zeros finds them."""
    for size, dim in ((2, 1), (60, 3), (5000, 2)):
        coder = frozen(size, dim, sharp=60.0)
        ids = np.zeros((9, 9), np.int64)
        for _ in range(3):  # ids that agree with themselves pass by pass
            best = min((coder.bits(np.where(np.arange(81).reshape(9, 9) >= 0, i, ids)), i) for i in range(min(size, 60)))[1]
            ids[:] = best
        assert coder.bits(ids) >= LEAST_BITS * ids.size


def test_a_short_payload_costs_no_more_than_it_holds(coder: IdCoder) -> None:
    """Long enough for the least that so many ids can cost, but not for these."""
    junk = np.random.default_rng(0).integers(1, 256, 5_300, dtype=np.uint8).tobytes()
    start = time.monotonic()
    with pytest.raises(CorruptFile, match="too short"):
        coder.decode(junk, (1000, 1000))
    assert time.monotonic() - start < 1
