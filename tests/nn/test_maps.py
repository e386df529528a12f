"""Small parts of networks that must be exact: the wavelet and its inverse, 1x1 convolutions, convolutions of any layout."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokodec.nn.conv import Conv
from tokodec.nn.magvit import AdaptiveNorm, Spread
from tokodec.nn.mix import Mix
from tokodec.nn.wavelet import haar, inverse_haar


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
@settings(deadline=None, max_examples=30)
def test_the_wavelet_comes_back(levels: int, height: int, width: int, channels: int) -> None:
    x = torch.randn(2, channels, height * 2**levels, width * 2**levels, dtype=torch.float64)
    y = haar(x, levels)
    assert y.shape == (2, channels * 4**levels, height, width)
    assert torch.allclose(inverse_haar(y, levels), x, atol=1e-12)


def test_the_wavelet_averages() -> None:
    x = torch.tensor([[[[1.0, 2.0], [5.0, 8.0]]]])
    assert haar(x).flatten().tolist() == [16 / 4, (3 - 13) / 4, (1 - 2 + 5 - 8) / 4, (1 - 2 - 5 + 8) / 4]


@pytest.mark.parametrize("width", [5, 80])
@pytest.mark.parametrize("bias", [True, False])
def test_a_mix_is_a_1x1_convolution_whoever_computes_it(width: int, bias: bool) -> None:
    mix, x = Mix(70, width, bias=bias), torch.randn(2, 70, 9, 11)
    wanted = torch.nn.functional.conv2d(x, mix.weight, mix.bias)
    with torch.no_grad():
        found = mix(x)
        assert torch.allclose(found, wanted, atol=1e-5)
        assert torch.allclose(mix(x.contiguous(memory_format=torch.channels_last)), wanted, atol=1e-5)
        torch.set_num_threads(3)
        try:
            assert torch.equal(mix(x), found)
        finally:
            torch.set_num_threads(1)


def test_the_layout_of_a_kernel_does_not_count() -> None:
    conv, x = Conv(16, 24, 3, padding=1), torch.randn(1, 16, 20, 30)
    with torch.no_grad():
        first = conv(x)
        assert torch.equal(conv.to(memory_format=torch.channels_last)(x), first)


def test_depth_is_laid_out_places_first() -> None:
    spread = Spread(2)
    torch.nn.init.zeros_(spread.weight)
    assert spread.bias is not None
    spread.bias.data = torch.arange(8.0)
    assert spread(torch.zeros(1, 2, 1, 1)).tolist() == [[[[0.0, 2.0], [4.0, 6.0]], [[1.0, 3.0], [5.0, 7.0]]]]


def test_one_place_has_no_deviation() -> None:
    norm = AdaptiveNorm(4, 3, 2)
    assert bool(torch.isfinite(norm(torch.randn(1, 4, 2, 2), torch.randn(1, 3, 1, 1))).all())
