"""Intervals and tests of means: against scipy's, and on values whose answer is known."""

import numpy as np
import pytest
from scipy.stats import bootstrap, permutation_test

from tokodec.metrics.resampling import FLIP_DRAWS, flip_test, holm, mean_interval, resamplings

VALUES = np.random.default_rng(3).normal(0.4, 1, 24)


def test_the_interval_is_that_of_scipy() -> None:
    known = bootstrap((VALUES,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)).confidence_interval
    np.testing.assert_allclose(mean_interval(VALUES), (known.low, known.high), atol=0.05)
    assert mean_interval(VALUES) == mean_interval(VALUES.copy()), "the same every time"


def test_the_interval_of_equal_values_is_that_value() -> None:
    assert mean_interval(np.full(7, 3.5)) == (3.5, 3.5)


def test_the_interval_holds_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    held = [low <= 2 <= high for low, high in (mean_interval(rng.gamma(2, 1, 40)) for _ in range(200))]
    assert 0.88 <= np.mean(held) <= 0.98


def test_p_is_that_of_scipy() -> None:
    known = permutation_test(
        (VALUES,), lambda x, axis: x.mean(axis), permutation_type="samples", n_resamples=9999, rng=np.random.default_rng(1)
    )
    assert flip_test(VALUES) == pytest.approx(known.pvalue, abs=0.01)


def test_p_of_few_pictures_is_exact() -> None:
    assert flip_test(np.array([1.0, 1.0, 1.0])) == pytest.approx(2 / 8, abs=0.015), "two of eight ways to flip are as far from 0"
    assert flip_test(np.array([1.0])) == 1
    assert flip_test(np.zeros(9)) == 1
    assert flip_test(np.full(30, 0.1)) == 1 / (FLIP_DRAWS + 1)


def test_a_difference_that_is_none_is_rarely_seen() -> None:
    rng = np.random.default_rng(6)
    assert np.mean([flip_test(rng.normal(0, 1, 20)) < 0.05 for _ in range(100)]) < 0.12


def test_weights_of_resamplings() -> None:
    weights = resamplings(8, 500)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(weights.mean(0), 1 / 8, atol=0.02)
    assert weights.std() > 0.05


def test_many_tests_at_once() -> None:
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1, 1])
    assert holm(np.empty(0)).size == 0
