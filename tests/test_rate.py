"""Targets: how close, in how few files, and what is said when they are out of reach."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokodec.errors import InputError
from tokodec.rate import LAST, TOLERANCE, Quality, TargetBpp, TargetBytes


class Curve:
    """Files whose size grows from ``first`` bytes by ``octaves`` doublings, bent by ``bend``, in steps of ``grain`` bytes."""

    def __init__(self, first: int, octaves: float, bend: float = 1.0, grain: int = 1) -> None:
        self.first, self.octaves, self.bend, self.grain = first, octaves, bend, grain
        self.probes = 0

    def size(self, quality: float) -> int:
        size = self.first * 2 ** (self.octaves * quality**self.bend)
        return int(math.ceil(size / self.grain) * self.grain)

    def __call__(self, quality: float | None) -> bytes:
        assert quality is not None
        self.probes += 1
        return bytes(self.size(quality))


@settings(max_examples=300, deadline=None)
@given(
    first=st.integers(100, 20_000),
    octaves=st.floats(0.5, 7),
    bend=st.floats(0.5, 2),
    grain=st.sampled_from([1, 4, 64]),
    target=st.floats(80, 1e6),
)
def test_met_or_the_nearest_below_or_the_end(first: int, octaves: float, bend: float, grain: int, target: float) -> None:
    curve = Curve(first, octaves, bend, grain)
    coded = TargetBytes(target).reach(curve, 1000)
    assert coded.quality is not None
    assert len(coded.data) == curve.size(coded.quality)
    sizes = [curve.size(level / LAST) for level in range(LAST + 1)]
    reachable = any(abs(size - target) <= TOLERANCE * target for size in sizes)
    assert (coded.missed == "") == reachable
    if reachable:
        assert abs(len(coded.data) - target) <= TOLERANCE * target
    else:
        below = [size for size in sizes if size <= target]
        assert len(coded.data) == max(below, default=sizes[0])
    assert curve.probes <= 16


def test_a_usual_curve_takes_few_files() -> None:
    for target in (3_000, 10_000, 40_000, 90_000):
        curve = Curve(2_500, 5.3, 0.9)
        TargetBytes(target).reach(curve, 1000)
        assert curve.probes <= 4


def test_bits_per_pixel_are_those_of_the_whole_file() -> None:
    coded = TargetBpp(0.5).reach(Curve(1_000, 5), 100_000)
    assert abs(len(coded.data) * 8 / 100_000 - 0.5) <= 0.5 * TOLERANCE


def test_what_cannot_be_reached_is_said_in_the_words_of_who_asked() -> None:
    curve = Curve(1_000, 3)
    high, low = TargetBpp(100).reach(curve, 8_000), TargetBytes(10).reach(curve, 8_000)
    assert (high.quality, low.quality) == (1.0, 0.0)
    assert high.missed == "100 bpp cannot be reached: quality 1, the highest, gives 8 bpp"
    assert low.missed == "10 bytes cannot be reached: quality 0, the lowest, gives 1000 bytes"


def test_a_quality_is_taken_as_it_is() -> None:
    coded = Quality(0.25).reach(Curve(1_000, 3), 8_000)
    assert (coded.quality, coded.missed, len(coded.data)) == (0.25, "", Curve(1_000, 3).size(0.25))


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan, math.inf])
def test_wrong_qualities_and_targets_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match=r"quality .* is not in \[0, 1\]"):
        Quality(bad)
    if not bad > 1 or bad == math.inf:
        with pytest.raises(InputError, match="cannot be aimed at"):
            TargetBpp(bad)
        with pytest.raises(InputError, match="cannot be aimed at"):
            TargetBytes(bad)
