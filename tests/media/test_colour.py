"""Profiles to sRGB and back, CMYK and Lab."""

import io
from typing import Any

import numpy as np
import pytest
from handmade import (
    P3_PRIMARIES,
    SRGB_PRIMARIES,
    icc_gamma,
    icc_srgb_curve,
    make_cmyk_icc,
    make_file,
    make_icc,
    make_rgb_icc,
)
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tokodec.media.read import from_image, read_picture
from tokodec.media.write import encode_picture, to_pil

P3 = make_rgb_icc(*P3_PRIMARIES, icc_srgb_curve())
SRGB = make_rgb_icc(*SRGB_PRIMARIES, icc_srgb_curve())
GRAY_18 = make_icc(b"GRAY", {b"kTRC": icc_gamma(1.8)})
RGB_18 = make_rgb_icc(*SRGB_PRIMARIES, icc_gamma(1.8))
CMYK = make_cmyk_icc()
NOISE = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
RAMP = Image.fromarray(np.arange(256, dtype=np.uint8)[None])


def linear(x: NDArray[Any]) -> NDArray[Any]:
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def encoded(x: NDArray[Any]) -> NDArray[Any]:
    return np.where(x <= 0.0031308, x * 12.92, 1.055 * np.maximum(x, 0) ** (1 / 2.4) - 0.055)


def p3_to_srgb(rgb: NDArray[Any]) -> NDArray[Any]:
    """By the primaries alone."""
    to_xyz, from_xyz = np.array(P3_PRIMARIES).T, np.linalg.inv(np.array(SRGB_PRIMARIES).T)
    return encoded((linear(rgb / 255) @ to_xyz.T @ from_xyz.T).clip(0, 1)) * 255


def test_a_wide_gamut_is_converted_and_clipped() -> None:
    picture = read_picture(make_file(Image.fromarray(NOISE), "PNG", icc_profile=P3))
    assert np.abs(picture.rgb - p3_to_srgb(NOISE)).max() <= 2
    assert picture.icc is None


NEAR_SRGB = make_rgb_icc((0.4361, 0.2227, 0.0139), *SRGB_PRIMARIES[1:], icc_srgb_curve())
"""Some colours differ by one level."""


@pytest.mark.parametrize("profile", [SRGB, NEAR_SRGB, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()])
def test_srgb_profiles_change_nothing(profile: bytes) -> None:
    assert np.array_equal(read_picture(make_file(Image.fromarray(NOISE), "PNG", icc_profile=profile)).rgb, NOISE)


@pytest.mark.parametrize("profile", [GRAY_18, RGB_18])
def test_gray_samples_follow_gray_and_rgb_profiles(profile: bytes) -> None:
    picture = read_picture(make_file(RAMP, "PNG", icc_profile=profile))
    wanted = encoded((np.arange(256) / 255) ** 1.8) * 255
    assert picture.gray
    assert np.array_equal(picture.rgb[..., 0], picture.rgb[..., 2])
    assert np.abs(picture.rgb[0, :, 0] - wanted).max() <= 2


def test_palettes_are_converted_after_the_look_up() -> None:
    image = Image.fromarray(NOISE).quantize(32)
    picture = read_picture(make_file(image, "PNG", icc_profile=P3))
    assert np.abs(picture.rgb - p3_to_srgb(np.asarray(image.convert("RGB")))).max() <= 2


def test_alpha_is_not_converted() -> None:
    image = Image.fromarray(NOISE)
    image.putalpha(Image.fromarray(NOISE[..., 0]))
    picture = read_picture(make_file(image, "PNG", icc_profile=P3))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, NOISE[..., 0])


@pytest.mark.parametrize("profile", [b"", b"nonsense", P3[:200], P3[:-1500], CMYK, GRAY_18])
def test_damaged_profiles_and_those_for_other_samples_are_ignored(profile: bytes) -> None:
    picture = read_picture(make_file(Image.fromarray(NOISE), "PNG", icc_profile=profile), keep_icc=True)
    assert np.array_equal(picture.rgb, NOISE)
    assert picture.icc is None


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
@pytest.mark.parametrize("inks", [(0, 0, 0, 0), (255, 0, 0, 0), (0, 0, 255, 0), (100, 50, 20, 30), (10, 20, 30, 255)])
class TestCmyk:
    def test_without_a_profile(self, format: str, inks: tuple[int, int, int, int]) -> None:  # noqa: A002
        """Pillow writes JPEG as Adobe does, inverted."""
        picture = read_picture(make_file(Image.new("CMYK", (16, 16), inks), format))
        wanted = [(255 - ink) * (255 - inks[3]) / 255 for ink in inks[:3]]
        assert np.abs(picture.rgb - np.array(wanted)).max() <= 2

    def test_with_a_profile(self, format: str, inks: tuple[int, int, int, int]) -> None:  # noqa: A002
        picture = read_picture(make_file(Image.new("CMYK", (16, 16), inks), format, icc_profile=CMYK), keep_icc=True)
        gray = {(0, 0, 0, 0): 255, (255, 0, 0, 0): 119, (10, 20, 30, 255): 0}.get(inks)
        if gray is not None:
            assert np.abs(picture.rgb.astype(int) - gray).max() <= 3
        else:  # yellow shows less blue, and the mixture is darker than paper
            assert picture.rgb[..., 2].max() < picture.rgb[..., 0].min() or picture.rgb.max() < 200
        assert picture.icc is None


def test_lab() -> None:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(Image.new("RGB", (4, 4), (200, 100, 50)), to_lab)
    assert lab is not None
    assert np.abs(read_picture(make_file(lab, "TIFF")).rgb.astype(int) - (200, 100, 50)).max() <= 2


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "avif", "tiff"])
def test_a_kept_profile_comes_back_with_its_colours(format: str) -> None:  # noqa: A002
    inside = np.full((16, 16, 3), (180, 120, 90), np.uint8)
    kept = read_picture(make_file(Image.fromarray(inside), "PNG", icc_profile=P3), keep_icc=True)
    assert kept.icc == P3
    image = Image.open(io.BytesIO(encode_picture(kept, format)))
    assert image.info["icc_profile"] == P3
    assert np.abs(np.asarray(image).astype(int) - inside).max() <= 3


@pytest.mark.parametrize(("format", "plugin"), [("bmp", "PIL"), ("jxl", "pillow_jxl")])
def test_formats_without_profiles_stay_in_srgb(format: str, plugin: str) -> None:  # noqa: A002
    pytest.importorskip(plugin)
    kept = read_picture(make_file(Image.new("RGB", (8, 8), (180, 120, 90)), "PNG", icc_profile=P3), keep_icc=True)
    again = read_picture(encode_picture(kept, format))
    assert np.array_equal(again.rgb, kept.rgb)


def test_a_kept_gray_profile_comes_back() -> None:
    kept = read_picture(make_file(RAMP, "PNG", icc_profile=GRAY_18), keep_icc=True)
    image = to_pil(kept)
    assert (image.mode, image.info["icc_profile"]) == ("L", GRAY_18)
    assert np.abs(np.asarray(image).astype(int)[0] - np.arange(256)).max() <= 2


def test_a_profile_that_srgb_cannot_be_brought_back_into_is_not_kept() -> None:
    gray = read_picture(make_file(RAMP, "PNG", icc_profile=RGB_18), keep_icc=True)
    assert gray.icc is None
    assert to_pil(gray).mode == "L"


def test_pil_pictures_bring_their_profile() -> None:
    image = Image.fromarray(NOISE)
    image.info["icc_profile"] = P3
    assert np.abs(from_image(image).rgb - p3_to_srgb(NOISE)).max() <= 2
