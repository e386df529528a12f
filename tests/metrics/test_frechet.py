"""FID and KID: against the formulas as they are usually written, and clouds whose distance is known."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from tokodec.metrics.frechet import fid, kid


def clouds(count: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    mix = rng.normal(0, 1, (width, width))
    return rng.normal(0, 1, (count, width)).astype(np.float32), (rng.normal(0.3, 1, (count, width)) @ mix).astype(np.float32)


@pytest.mark.parametrize(("count", "width"), [(40, 6), (7, 6), (6, 6), (4, 9), (2, 5)])
def test_fid_is_the_usual_formula(count: int, width: int) -> None:
    a, b = clouds(count, width)
    covariance_a, covariance_b = (np.cov(x, rowvar=False) + 0 * np.eye(width) for x in (a, b))
    root = np.real(np.linalg.eigvals(covariance_a @ covariance_b).astype(complex) ** 0.5).sum()
    wanted = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(covariance_a) + np.trace(covariance_b) - 2 * root
    assert fid(a, b) == pytest.approx(wanted, rel=1e-4, abs=1e-4)
    if count > width + 1:
        assert root == pytest.approx(np.trace(np.real(sqrtm(covariance_a @ covariance_b))), rel=1e-6)


def test_fid_of_a_cloud_and_itself_and_moved() -> None:
    a, _ = clouds(50, 4)
    assert fid(a, a) == pytest.approx(0, abs=1e-6)
    assert fid(a, a + np.float32(2)) == pytest.approx(4 * 2**2, rel=1e-4)


def test_kid_is_the_unbiased_estimate() -> None:
    a, b = clouds(9, 5)
    kernel = lambda x, y: (float(x.astype(float) @ y) / 5 + 1) ** 3  # noqa: E731
    within = [np.mean([kernel(c[i], c[j]) for i in range(9) for j in range(9) if i != j]) for c in (a, b)]
    across = np.mean([kernel(x, y) for x in a for y in b])
    assert kid(a, b) == pytest.approx(sum(within) - 2 * across)


def test_kid_of_one_law_is_near_zero() -> None:
    rng = np.random.default_rng(2)
    values = [kid(rng.normal(0, 1, (40, 8)), rng.normal(0, 1, (40, 8))) for _ in range(40)]
    assert abs(np.mean(values)) < 0.02
    assert min(values) < 0, "unbiased: may be below 0"
