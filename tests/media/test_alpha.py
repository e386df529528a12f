"""Transparency: the rules, and the lossless coder of a plane under friend and foe."""

import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from tokodec.errors import CorruptFile, InputError
from tokodec.media.alpha import DropAlpha, FlattenAlpha, KeepAlpha, decode_plane, encode_plane, parse_alpha_rule
from tokodec.media.picture import Picture

Plane = NDArray[np.uint8]
SHAPES = npst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)
PLANES = st.one_of(
    npst.arrays(np.uint8, SHAPES),
    npst.arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 255])),
    npst.arrays(np.uint8, SHAPES, elements=st.sampled_from([7, 200])),
)


def disc(height: int, width: int, edge: float) -> Plane:
    y, x = np.mgrid[:height, :width]
    inside = min(height, width) / 2.5 - np.hypot(y - height / 2, x - width / 2)
    return (inside / edge * 255 + 128).clip(0, 255).astype(np.uint8)


def raw_deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    return coder.compress(data) + coder.flush()


@settings(deadline=None, derandomize=True)
@given(PLANES)
def test_a_plane_comes_back_as_it_was(plane: Plane) -> None:
    back = decode_plane(encode_plane(plane), plane.shape[1], plane.shape[0])
    assert back.dtype == np.uint8
    assert np.array_equal(back, plane)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 2), (2000, 1100)])
@pytest.mark.parametrize("edge", [0.01, 1.5, 300.0])
def test_discs_of_any_size_come_back(shape: tuple[int, int], edge: float) -> None:
    plane = disc(*shape, edge)
    assert np.array_equal(decode_plane(encode_plane(plane), shape[1], shape[0]), plane)


@pytest.mark.parametrize("value", [0, 1, 255])
def test_a_constant_plane_takes_two_bytes(value: int) -> None:
    assert encode_plane(np.full((3000, 4000), value, np.uint8)) == bytes([0, value])


def test_each_method_is_chosen_where_it_is_best() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64))
    step = noise % 2
    planes = {
        0: np.zeros((64, 64)),
        1: disc(64, 64, 0.01),
        4: noise,
        5: np.cumsum(step, axis=1),
        6: np.cumsum(step, axis=0),
        7: np.cumsum(np.cumsum(step, axis=0), axis=1) % 256,
    }
    assert [encode_plane(np.asarray(plane).astype(np.uint8))[0] for plane in planes.values()] == list(planes)


def test_the_bytes_are_those_of_the_format() -> None:
    """What docs/format.md says, decoded from bytes made by hand."""
    assert decode_plane(bytes([0, 9]), 2, 1).tolist() == [[9, 9]]
    assert decode_plane(bytes([1, 10, 20]) + raw_deflate(bytes([0b10100000, 0b01000000])), 3, 2).tolist() == [[20, 10, 20], [10, 20, 10]]
    rows = raw_deflate(bytes([5, 1, 255, 2, 3, 4]))
    assert decode_plane(bytes([4]) + rows, 3, 2).tolist() == [[5, 1, 255], [2, 3, 4]]
    assert decode_plane(bytes([5]) + rows, 3, 2).tolist() == [[5, 6, 5], [2, 5, 9]]
    assert decode_plane(bytes([6]) + rows, 3, 2).tolist() == [[5, 1, 255], [7, 4, 3]]
    assert decode_plane(bytes([7]) + rows, 3, 2).tolist() == [[5, 6, 5], [7, 11, 14]]


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=60), st.integers(1, 40), st.integers(1, 40))
def test_any_bytes_give_a_plane_or_an_error(data: bytes, width: int, height: int) -> None:
    try:
        plane = decode_plane(data, width, height)
    except CorruptFile:
        return
    assert plane.shape == (height, width)


@settings(deadline=None, derandomize=True)
@given(PLANES, st.data())
def test_a_damaged_plane_gives_a_plane_or_an_error(plane: Plane, data: st.DataObject) -> None:
    broken = bytearray(encode_plane(plane))
    broken[data.draw(st.integers(0, len(broken) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        assert decode_plane(bytes(broken), plane.shape[1], plane.shape[0]).shape == plane.shape
    except CorruptFile:
        return


@pytest.mark.parametrize("edge", [0.01, 1.5, 300.0])
def test_cut_and_extended_planes_are_refused(edge: float) -> None:
    good = encode_plane(disc(30, 50, edge))
    for end in range(len(good)):
        with pytest.raises(CorruptFile):
            decode_plane(good[:end], 50, 30)
    for more in (b"\0", good, bytes(40000)):
        with pytest.raises(CorruptFile, match="longer"):
            decode_plane(good + more, 50, 30)


@pytest.mark.parametrize(("width", "height"), [(50, 29), (50, 31), (60, 30), (40, 30)])
@pytest.mark.parametrize("edge", [0.01, 1.5])
def test_a_plane_for_another_size_is_refused(width: int, height: int, edge: float) -> None:
    with pytest.raises(CorruptFile):
        decode_plane(encode_plane(disc(30, 50, edge)), width, height)


@pytest.mark.parametrize("method", [1, 4, 7])
def test_a_bomb_is_stopped_before_it_goes_off(method: int) -> None:
    bomb = bytes([method, 0, 255][: 3 if method == 1 else 1]) + raw_deflate(bytes(2**27))
    tracemalloc.start()
    with pytest.raises(CorruptFile, match="longer"):
        decode_plane(bomb, 100, 100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


@pytest.mark.parametrize("method", [1, 4, 7])
def test_a_size_that_the_bytes_cannot_hold_is_not_allocated(method: int) -> None:
    short = bytes([method, 0, 255]) + raw_deflate(bytes(1000))
    tracemalloc.start()
    with pytest.raises(CorruptFile, match="too short"):
        decode_plane(short, 2**15, 2**14)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**16


def test_decoding_takes_little_more_than_the_plane() -> None:
    good = encode_plane(disc(1000, 1500, 2000.0))
    assert good[0] >= 4
    tracemalloc.start()
    decode_plane(good, 1500, 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_500_000 + 20_000_000


@pytest.mark.parametrize("method", [2, 3, 8, 255])
def test_an_unknown_method_is_refused(method: int) -> None:
    with pytest.raises(CorruptFile, match=f"unknown method {method}"):
        decode_plane(bytes([method, 0, 0]), 1, 1)


def test_rules_are_parsed() -> None:
    assert parse_alpha_rule("keep") == KeepAlpha()
    assert parse_alpha_rule("drop") == DropAlpha()
    assert parse_alpha_rule("flatten=#102030") == FlattenAlpha("#102030")


@pytest.mark.parametrize("text", ["", "Keep", "keep=1", "flatten", "flatten=", "flatten=no", "flatten=#12", "flatten=#11223344", "=white"])
def test_other_rules_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_alpha_rule(text)


@pytest.mark.parametrize(("name", "rgb"), [("white", (255, 255, 255)), ("#0af", (0, 170, 255)), ("rgb(1, 2, 3)", (1, 2, 3))])
def test_colours_have_names(name: str, rgb: tuple[int, int, int]) -> None:
    assert FlattenAlpha(name).rgb == rgb


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_flatten_rounds_exactly(value: int, alpha: int, below: int) -> None:
    picture = Picture(rgb=np.full((1, 1, 3), value, np.uint8), alpha=np.full((1, 1), alpha, np.uint8))
    flat = FlattenAlpha(f"rgb({below},{below},{below})").apply(picture)
    assert flat.alpha is None
    exact = value * alpha + below * (255 - alpha)
    assert abs(255 * int(flat.rgb[0, 0, 0]) - exact) <= 127


def test_flatten_over_a_colour_makes_a_gray_picture_coloured() -> None:
    gray = Picture(rgb=np.full((2, 2, 3), 90, np.uint8), alpha=np.full((2, 2), 100, np.uint8), gray=True)
    assert not FlattenAlpha("red").apply(gray).gray
    assert FlattenAlpha("white").apply(gray).gray


def test_drop_and_keep() -> None:
    picture = Picture(rgb=np.zeros((2, 2, 3), np.uint8), alpha=np.zeros((2, 2), np.uint8))
    assert DropAlpha().apply(picture).alpha is None
    assert KeepAlpha().apply(picture) is picture
