"""SSIM and MS-SSIM against the packages that everybody uses."""

import numpy as np
import pytest
import torch

from tokodec.metrics.codebook import perplexity, usage
from tokodec.metrics.structure import Comparison


def pictures(height: int, width: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    rng, y, x = np.random.default_rng(0), np.arange(height)[:, None, None], np.arange(width)[:, None]
    clean = 128 + 60 * np.sin(x / 9 + np.arange(3)) * np.cos(y / 7) + rng.normal(0, 9, (height, width, 3))
    spoilt = clean + rng.normal(0, noise, clean.shape)
    return clean.clip(0, 255).astype(np.uint8), spoilt.clip(0, 255).astype(np.uint8)


def planar(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32))[None]


@pytest.mark.parametrize("size", [(176, 192), (161, 177), (40, 333), (11, 11)])
@pytest.mark.parametrize("noise", [1.0, 15.0, 80.0])
def test_ssim_is_that_of_the_packages(size: tuple[int, int], noise: float) -> None:
    msssim = pytest.importorskip("pytorch_msssim")
    similarity = pytest.importorskip("skimage.metrics").structural_similarity
    a, b = pictures(*size, noise)
    ours = Comparison(a, b).ssim
    assert abs(ours - float(msssim.ssim(planar(a), planar(b), data_range=255))) < 1e-4
    theirs = similarity(a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
    assert abs(ours - theirs) < 1e-4


@pytest.mark.parametrize("size", [(176, 192), (192, 336)])
@pytest.mark.parametrize("noise", [1.0, 15.0, 80.0])
def test_ms_ssim_is_that_of_the_package(size: tuple[int, int], noise: float) -> None:
    msssim = pytest.importorskip("pytorch_msssim")
    a, b = pictures(*size, noise)
    assert abs(Comparison(a, b).ms_ssim - float(msssim.ms_ssim(planar(a), planar(b), data_range=255))) < 1e-4


def test_ms_ssim_of_other_sizes_is_that_of_the_filled_up_picture() -> None:
    a, b = pictures(170, 189, 15.0)
    filled = [np.pad(p, ((0, 6), (0, 3), (0, 0)), mode="edge") for p in (a, b)]
    assert Comparison(a, b).ms_ssim == Comparison(*filled).ms_ssim
    assert Comparison(a, b).ssim != Comparison(*filled).ssim


def test_a_picture_is_like_itself() -> None:
    a, _ = pictures(176, 176, 0)
    assert Comparison(a, a).ssim == pytest.approx(1)
    assert Comparison(a, a).ms_ssim == pytest.approx(1)


def test_usage_and_perplexity() -> None:
    ids = np.array([[0, 0, 1, 1], [2, 2, 3, 3]])
    assert usage(ids, 8) == 0.5
    assert perplexity(ids) == pytest.approx(4)
    assert perplexity(np.zeros(5, np.int64)) == pytest.approx(1)
