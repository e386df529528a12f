"""BD-rate: the published figures of classical codecs, laws of the measure, and the interpolant against scipy's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

from tokodec.errors import InputError
from tokodec.metrics.bd_draws import Sampled, bd_quality_draws, bd_rate_draws
from tokodec.metrics.bd_rate import EVERYWHERE, PSNR_BOUNDS, Curve, bd_quality, bd_rate, overlap, rate_overlap
from tokodec.metrics.cubic import AkimaCubic, Cubic, MonotoneCubic

# fmt: off
# Means over the 24 Kodak pictures at equal setting: bits a pixel of whole files, and dB of 8-bit RGB. JPEG is Pillow's (4:2:0, optimised).
KODAK = {
    "jpeg420": (
        (0.088, 0.0974, 0.1408, 0.2101, 0.2982, 0.4163, 0.5334, 0.6829, 0.8692, 1.0978, 1.3443, 1.8356, 2.3154, 3.3061),
        (21.475, 21.684, 23.852, 25.849, 27.327, 28.805, 29.893, 31.013, 32.174, 33.36, 34.522, 36.462, 38.034, 40.56),
    ),
    "jpeg444": (
        (0.14545, 0.15739, 0.20401, 0.27695, 0.36953, 0.49679, 0.62445, 0.78905, 0.99894, 1.2559, 1.5401, 2.1113, 2.6548, 3.8106),
        (21.5468, 21.7581, 23.9994, 26.0785, 27.6104, 29.1522, 30.2849, 31.4559, 32.6838, 33.942, 35.1997, 37.3534, 39.1574, 42.3012),
    ),
    "mozjpeg420": (
        (0.05407, 0.05407, 0.07977, 0.1257, 0.18607, 0.27698, 0.36972, 0.49179, 0.65399, 0.85052, 1.0675, 1.4922, 1.9147, 2.7204),
        (21.0296, 21.0296, 23.0974, 24.9033, 26.3621, 27.7912, 28.9166, 30.0734, 31.3101, 32.5713, 33.7989, 35.7294, 37.277, 39.7774),
    ),
    "jxl_e7": (
        (0.12984, 0.15701, 0.17632, 0.24587, 0.32625, 0.4129, 0.5338, 0.71822, 1.0057, 1.3827, 1.8832, 2.6844),
        (25.5937, 26.0785, 26.6901, 27.9885, 29.1721, 30.2817, 31.3196, 32.8862, 34.7099, 36.67, 38.6661, 41.0379),
    ),
    "webp": (
        (0.10257, 0.21742, 0.27442, 0.37749, 0.47621, 0.628, 0.76866, 0.93904, 1.4475, 2.2237, 3.2202),
        (25.6748, 28.1086, 28.9319, 30.1936, 31.2283, 32.6566, 33.7325, 34.872, 37.6061, 40.2861, 42.4348),
    ),
    "jpeg2000": (
        (0.02007, 0.03972, 0.0598, 0.09972, 0.14972, 0.23885, 0.39896, 0.59859, 0.99911, 1.9975, 3.9971),
        (22.5897, 24.1299, 25.0897, 26.393, 27.5656, 29.1009, 31.1539, 33.0743, 35.9952, 40.7966, 47.0591),
    ),
    "avif444_s6": (
        (0.07316, 0.08092, 0.11062, 0.13002, 0.18219, 0.25608, 0.39207, 0.61765, 0.91681, 1.2841, 1.7027, 2.6066),
        (25.7817, 26.0219, 26.9537, 27.4435, 28.4983, 29.7444, 31.3998, 33.5504, 35.6002, 37.6814, 39.4374, 42.292),
    ),
    "heic444": (
        (0.051, 0.07007, 0.09798, 0.18738, 0.29345, 0.49821, 0.88363, 1.4288, 2.2233, 3.3375, 4.7489, 6.5658),
        (24.1199, 25.4641, 26.4422, 28.5393, 30.2455, 32.6285, 35.7911, 38.9072, 41.9377, 44.8252, 47.2658, 49.5849),
    ),
    "avif444_s4_psnr": (
        (0.05357, 0.07911, 0.11708, 0.15701, 0.23442, 0.342, 0.52272, 0.76519, 1.1343, 1.4509, 1.8946, 3.1593),
        (25.4245, 26.4722, 27.5673, 28.4953, 29.9497, 31.5153, 33.515, 35.5853, 37.9366, 39.4865, 41.1703, 44.302),
    ),
}
# fmt: on
KNOWN = {
    "jpeg420": 0.0,
    "jpeg444": 6.3,
    "mozjpeg420": -11.2,
    "jxl_e7": -28.0,
    "webp": -35.2,
    "jpeg2000": -44.4,
    "avif444_s6": -48.0,
    "heic444": -49.1,
    "avif444_s4_psnr": -55.7,
}


def curve(name: str) -> Curve:
    bpp, psnr = KODAK[name]
    return Curve(bpp=bpp, psnr=psnr)


@pytest.mark.parametrize("name", KNOWN)
def test_known_figures(name: str) -> None:
    assert bd_rate(curve("jpeg420"), curve(name)) == pytest.approx(KNOWN[name], abs=0.1)


def test_half_the_rate_is_minus_fifty_percent() -> None:
    anchor = curve("webp")
    half = Curve(bpp=tuple(b / 2 for b in anchor.bpp), psnr=anchor.psnr)
    assert bd_rate(anchor, half) == pytest.approx(-50)
    assert bd_rate(half, anchor) == pytest.approx(100)


def test_the_order_of_points_does_not_matter() -> None:
    backwards = Curve(bpp=tuple(reversed(curve("webp").bpp)), psnr=tuple(reversed(curve("webp").psnr)))
    assert bd_rate(curve("jpeg420"), backwards) == bd_rate(curve("jpeg420"), curve("webp"))


def test_bounds_are_those_that_both_reach() -> None:
    anchor = curve("jpeg420")
    inside = Curve(bpp=(0.2, 0.4, 0.9), psnr=(28.0, 31.0, 35.0))
    assert bd_rate(anchor, inside) == bd_rate(anchor, inside, (28.0, 35.0)) == bd_rate(anchor, inside, (26.0, 38.0))
    assert bd_rate(anchor, curve("webp"), (27.0, 33.0)) != bd_rate(anchor, curve("webp"), (31.0, 37.0))


@pytest.mark.parametrize(("psnr", "share"), [((20.0, 31.9), "4.9 dB, 49%"), ((10.0, 20.0), "0 dB, 0%"), ((34.0, 50.0), "3 dB, 30%")])
def test_too_little_overlap_is_refused(psnr: tuple[float, float], share: str) -> None:
    with pytest.raises(InputError, match=f"overlap by {share} of the quality"):
        bd_rate(curve("jpeg420"), Curve(bpp=(0.1, 1.0), psnr=psnr))
    assert math.isfinite(bd_rate(curve("jpeg420"), Curve(bpp=(0.1, 1.0), psnr=(20.0, 32.1)))), "51 % are enough"


def test_the_overlap_is_a_share_of_what_both_cover() -> None:
    one, other = Curve(bpp=(0.1, 1.0), psnr=(20.0, 30.0)), Curve(bpp=(0.5, 2.0), psnr=(25.0, 40.0))
    shared = overlap(one, other, EVERYWHERE)
    assert (shared.low, shared.high, shared.share) == (25.0, 30.0, 0.25)
    rates = rate_overlap(one, other)
    assert rates.low == pytest.approx(0.5)
    assert rates.high == pytest.approx(1.0)
    assert rates.share == pytest.approx(math.log(2) / math.log(20))


def test_a_decibel_more_at_every_rate_is_one_decibel() -> None:
    anchor = curve("webp")
    better = Curve(bpp=anchor.bpp, psnr=tuple(v + 1 for v in anchor.psnr))
    for interpolant in (MonotoneCubic, AkimaCubic):
        assert bd_quality(anchor, better, interpolant) == pytest.approx(1)
        assert bd_quality(better, anchor, interpolant) == pytest.approx(-1)


def test_bd_quality_needs_half_of_the_logarithm_of_rate() -> None:
    with pytest.raises(InputError, match="48% of the logarithm of rate"):
        bd_quality(Curve(bpp=(0.1, 1.0), psnr=(20.0, 30.0)), Curve(bpp=(0.225, 2.25), psnr=(25.0, 40.0)))


@pytest.mark.parametrize("name", ["webp", "avif444_s6", "jpeg2000"])
def test_both_interpolations_agree_where_points_are_dense(name: str) -> None:
    pchip, akima = (bd_rate(curve("jpeg420"), curve(name), PSNR_BOUNDS, i) for i in (MonotoneCubic, AkimaCubic))
    assert akima == pytest.approx(pchip, abs=0.3)
    assert akima != pchip


def test_many_at_once_are_the_same_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    grids = [np.array(KODAK[name])[:, None] * rng.uniform(0.98, 1.02, (2, 20, len(KODAK[name][0]))) for name in ("jpeg420", "avif444_s6")]
    one, other = (Sampled(bpp=bpp, quality=quality) for bpp, quality in grids)
    rates, gains = bd_rate_draws(one, other, PSNR_BOUNDS, AkimaCubic), bd_quality_draws(one, other, MonotoneCubic)
    for i in range(20):
        a, b = (Curve(bpp=tuple(g.bpp[i]), psnr=tuple(g.quality[i])) for g in (one, other))
        assert rates[i] == pytest.approx(bd_rate(a, b, PSNR_BOUNDS, AkimaCubic))
        assert gains[i] == pytest.approx(bd_quality(a, b))


def test_of_many_those_that_are_refused_are_no_numbers() -> None:
    one = Sampled(bpp=np.array([[0.1, 1.0]] * 3), quality=np.array([[28.0, 36.0], [28.0, 36.0], [30.0, 30.0]]))
    other = Sampled(bpp=np.array([[0.1, 1.0]] * 3), quality=np.array([[28.0, 36.0], [35.0, 36.0], [28.0, 36.0]]))
    np.testing.assert_array_equal(np.isfinite(bd_rate_draws(one, other, PSNR_BOUNDS, MonotoneCubic)), [True, False, False])


@pytest.mark.parametrize(
    ("bpp", "psnr"),
    [
        ((1.0,), (30.0,)),
        ((1.0, 2.0), (30.0,)),
        ((0.0, 2.0), (30.0, 40.0)),
        ((1.0, 2.0), (30.0, math.inf)),
        ((1.0, 2.0), (30.0, 30.0)),
        ((1.0, 1.0), (30.0, 31.0)),
    ],
)
def test_what_is_no_curve_is_refused(bpp: tuple[float, ...], psnr: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="a curve needs"):
        Curve(bpp=bpp, psnr=psnr)


def test_of_points_with_equal_psnr_the_cheapest_counts() -> None:
    bpp, psnr = KODAK["webp"]
    assert bd_rate(curve("webp"), Curve(bpp=(*bpp, 9.0), psnr=(*psnr, psnr[3]))) == 0


@pytest.mark.parametrize(("ours", "theirs"), [(MonotoneCubic, PchipInterpolator), (AkimaCubic, Akima1DInterpolator)])
@given(
    steps=st.lists(st.floats(0.01, 10), min_size=1, max_size=8),
    values=st.lists(st.floats(-5, 5), min_size=9, max_size=9),
)
def test_the_interpolants_are_those_of_scipy(ours: type[Cubic], theirs: type, steps: list[float], values: list[float]) -> None:
    x = np.cumsum([0.5, *steps])
    y = np.round(values[: len(x)], 2)
    at = np.linspace(x[0], x[-1], 41)
    own, known = ours(np.tile(x, (41, 1)), np.tile(y, (41, 1))), theirs(x, y)
    np.testing.assert_allclose(own(at), known(at), rtol=1e-7, atol=1e-7)
    start = np.full(41, x[0] + 0.1 * (x[-1] - x[0]))
    wanted = [float(known.integrate(a, b)) for a, b in zip(start, at, strict=True)]
    np.testing.assert_allclose(own.integral(start, at), wanted, rtol=1e-7, atol=1e-7)
