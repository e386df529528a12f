"""Rows from coarse to fine under a frozen prior: what goes in comes out, cut anywhere, as docs/format.md has it; damage is told."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokodec.entropy.rowcoder import RowCoder
from tokodec.entropy.rowcontext import CLASSES, parts
from tokodec.entropy.rowprior import RowPrior
from tokodec.errors import CorruptFile
from tokodec.nn.spectrum import near

LEVELS = (5, 4, 3)


def prior(side: int = 4, levels: tuple[int, ...] = LEVELS) -> RowPrior:
    """Of random tables: no id is as likely as another, and every row matters."""
    torch.manual_seed(side)
    made = RowPrior(near(side, 4), levels)
    made.arm()
    assert made.net is not None
    for table in made.net.tables:
        table.data.copy_(0.4 * torch.randn_like(table))
    return made


def frozen(side: int = 4, levels: tuple[int, ...] = LEVELS) -> RowPrior:
    made = prior(side, levels)
    made.freeze()
    return made


@pytest.fixture(scope="module")
def coder() -> RowCoder:
    return RowCoder(frozen().frozen())


def some(count: int, size: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, size, count)


@given(st.integers(1, 7), st.data())
@settings(deadline=None, max_examples=60)
def test_any_range_of_any_number_of_windows(coder: RowCoder, windows: int, data: st.DataObject) -> None:
    last = data.draw(st.integers(1, 16 * windows))
    first = data.draw(st.integers(0, last - 1))
    ids = some(last, seed=last)
    payload = coder.encode(ids, first, windows)
    assert np.array_equal(coder.decode(payload, ids[:first], last - first, windows), ids[first:])


@given(st.lists(st.integers(3, 17), min_size=1, max_size=5), st.integers(1, 3))
@settings(deadline=None, max_examples=20)
def test_any_levels(levels: list[int], windows: int) -> None:
    coder, ids = RowCoder(frozen(5, tuple(levels)).frozen()), some(25 * windows, int(np.prod(levels)))
    payload = coder.encode(ids, 0, windows)
    assert np.array_equal(coder.decode(payload, ids[:0], len(ids), windows), ids)
    assert abs(8 * len(payload) - coder.bits(ids, windows)) <= 40


@given(st.integers(1, 4), st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 60]))
@settings(deadline=None, max_examples=40)
def test_more_ids_are_never_fewer_bytes(coder: RowCoder, windows: int, seed: int, size: int) -> None:
    """Small ids have small digits, which cost nothing at the bottom of the stack."""
    ids = some(16 * windows, size, seed)
    sizes = [len(coder.encode(ids[:last], 8 * windows, windows)) for last in range(8 * windows + 1, len(ids) + 1)]
    assert sizes == sorted(sizes)


def test_the_first_digits_may_cost_nothing(coder: RowCoder) -> None:
    ids = np.zeros(32, np.int64)
    assert coder.encode(ids, 0, 2) == b""
    assert np.array_equal(coder.decode(b"", ids[:0], 32, 2), ids)


def test_layers_of_a_row() -> None:
    found = [(p.layer, p.place.tolist(), p.window.tolist()) for p in parts(3, 13, 2)]
    assert found == [(1, [1], [1]), (2, [2, 2, 3, 3], [0, 1, 0, 1]), (3, [4, 4, 5, 5, 6], [0, 1, 0, 1, 0])]


def test_an_id_is_predicted_from_earlier_layers_of_its_window_alone(coder: RowCoder) -> None:
    """Whatever else is changed, the rows of an id of layer 3 stay what they were; an id that counts changes them."""
    context, windows = coder._context, 2
    digits = context.digits(np.full((16, windows), 0))
    (part,) = parts(4 * windows, 8 * windows, windows)
    before = context.before(digits, part)
    middle = context.ids(np.array([2, 1, 1]))
    later = digits.copy()
    later[4:] = context.digits(np.array([middle]))
    assert np.array_equal(context.before(later, part), before)
    other = digits.copy()
    other[:4, 1] = context.digits(np.array([middle]))
    assert np.array_equal(context.before(other, part)[part.window == 0], before[part.window == 0])
    assert not np.array_equal(context.before(other, part)[part.window == 1], before[part.window == 1])


def test_sizes_are_told_apart(coder: RowCoder) -> None:
    """The outermost digits are of the largest size, the innermost of the smallest."""
    context = coder._context
    heads = context.row + CLASSES * (context.layers * np.arange(4) + 3)
    (part,) = parts(4, 8, 1)
    outer, inner = np.zeros((8, 1, 3), np.int64), np.array([2, 1, 1]) * np.ones((8, 1, 1), np.int64)
    assert (context.before(outer, part)[..., 1:] - heads == CLASSES - 1).all()
    assert (context.before(inner, part)[..., 1:] - heads <= 2).all()  # of four levels none is in the middle


def test_training_and_coding_agree() -> None:
    """What the floats say an id costs is what it costs, up to the rounding of logits."""
    made, ids = prior(), torch.from_numpy(some(3 * 16)).view(3, 16)
    with torch.no_grad():
        told = made(ids)
    made.freeze()
    coder = RowCoder(made.frozen())
    each = [coder.bits(row.numpy(), 1) / 16 for row in ids]
    assert told.tolist() == pytest.approx(each, rel=0.01)
    ranked = ids.T.flatten().numpy()
    assert coder.bits(ranked, 3) == pytest.approx(16 * sum(each))


def test_training_lowers_the_cost() -> None:
    made = RowPrior(near(4, 4), LEVELS)
    made.arm()
    assert made.net is not None
    ids = torch.from_numpy(some(8 * 16, 20)).view(8, 16)
    optimiser = torch.optim.Adam(made.net.parameters(), 0.05)
    costs = []
    for _ in range(30):
        cost = made(ids).mean()
        optimiser.zero_grad()
        cost.backward()
        optimiser.step()
        costs.append(float(cost.detach()))
    assert costs[0] == pytest.approx(np.log2(60), rel=1e-5)
    assert costs[-1] < 0.8 * costs[0]


def test_the_bits_are_those_of_the_page(coder: RowCoder) -> None:
    """One ANS state in Python's own numbers, as docs/format.md describes it, gives the digits of a window's first id."""
    ids = some(1)
    state = int.from_bytes(coder.encode(ids, 0, 1), "little")
    digits: list[int] = []
    (part,) = parts(0, 1, 1)
    for c, levels in enumerate(LEVELS):
        rows = coder._context.before(np.zeros((1, 1, 3), np.int64), part)
        symbols = np.array([digits + [0] * (3 - c)])
        ends = np.cumsum(coder._counts(c, rows, symbols, part)[0].astype(np.int64) + 1)
        assert ends[-1] == 1 << 24
        assert len(ends) == levels
        quantile = state & ((1 << 24) - 1)
        digit = int(np.searchsorted(ends, quantile, side="right"))
        start = int(ends[digit - 1]) if digit else 0
        state = (state >> 24) * (int(ends[digit]) - start) + quantile - start
        digits.append(digit)
    assert state == 0
    assert int(coder._context.ids(np.array(digits))) == ids[0]


def told(coder: RowCoder, data: bytes, ids: np.ndarray) -> bool:
    """Whether bytes that are not those of ``ids`` are refused; if not, they must give others."""
    try:
        found = coder.decode(data, ids[:0], len(ids), 2)
    except CorruptFile:
        return True
    assert not np.array_equal(found, ids)
    return False


def test_damage_is_told_or_gives_other_ids(coder: RowCoder) -> None:
    ids = some(32)
    payload = coder.encode(ids, 0, 2)
    damaged = [payload[:i] + bytes((payload[i] ^ flip,)) + payload[i + 1 :] for i in range(len(payload)) for flip in (1, 128)]
    assert sum(told(coder, data, ids) for data in damaged) > len(payload)
    told(coder, payload[:-1], ids)
    assert all(told(coder, data, ids) for data in (payload + b"\1", payload + b"\0"))
