"""Between bytes and floats."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from tokodec.media.pixels import to_uint8, to_unit

PICTURES = npst.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


@settings(deadline=None, derandomize=True)
@given(PICTURES)
def test_bytes_come_back(rgb: NDArray[np.uint8]) -> None:
    assert np.array_equal(to_uint8(to_unit(rgb))[0], rgb)


def test_all_bytes_come_back_from_every_precision() -> None:
    rgb = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    unit = to_unit(rgb)
    assert np.array_equal(to_uint8(unit.double())[0], rgb)
    assert np.array_equal(to_uint8(unit.half())[0], rgb)


def test_to_unit_is_planar_and_leaves_its_input_alone() -> None:
    rgb = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    rgb.flags.writeable = False
    unit = to_unit(rgb)
    assert unit.shape == (1, 3, 2, 4)
    assert unit.dtype == torch.float32
    assert unit.is_contiguous()
    assert unit[0, 1, 0, 2] == rgb[0, 2, 1] / np.float32(255)


@settings(deadline=None, derandomize=True)
@given(st.floats(-2, 3, width=32))
def test_rounding_is_to_the_nearest_and_half_to_even(value: float) -> None:
    got = int(to_uint8(torch.full((1, 3, 1, 1), value))[0, 0, 0, 0])
    scaled = np.float32(min(max(value, 0), 1)) * np.float32(255)
    assert got == int(np.rint(scaled))


def test_ties_go_to_even() -> None:
    x = (torch.arange(8, dtype=torch.float64) + 0.5) / 255
    assert torch.equal(x * 255, torch.arange(8, dtype=torch.float64) + 0.5)
    assert to_uint8(x.view(1, 1, 1, 8))[0, 0, :, 0].tolist() == [0, 2, 2, 4, 4, 6, 6, 8]


def test_what_is_no_number_becomes_black_and_infinities_are_clamped() -> None:
    x = torch.tensor([float("nan"), float("inf"), float("-inf"), 0.5]).view(1, 1, 1, 4)
    assert to_uint8(x)[0, 0, :, 0].tolist() == [0, 255, 0, 128]


def test_batches_and_memory_formats_give_the_same() -> None:
    x = torch.rand(3, 3, 5, 7, requires_grad=True)
    batch = to_uint8(x)
    assert batch.shape == (3, 5, 7, 3)
    assert batch.flags.c_contiguous
    assert np.array_equal(batch[1:2], to_uint8(x[1:2]))
    assert np.array_equal(batch, to_uint8(x.to(memory_format=torch.channels_last)))
