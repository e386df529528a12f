"""Convolutions in bfloat16 by minimal filtering."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from tokodec.nn import winograd_half
from tokodec.nn.conv import Conv

BF16 = torch.bfloat16


def map_of(*shape: int) -> torch.Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))
    return x.to(BF16).contiguous(memory_format=torch.channels_last)


@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 20),
    width=st.integers(1, 20),
    height=st.integers(1, 19),
    across=st.integers(1, 19),
    tiles=st.sampled_from([1, 4, 7, 256]),
    bias=st.booleans(),
)
def test_it_is_a_convolution(batch: int, channels: int, width: int, height: int, across: int, tiles: int, *, bias: bool) -> None:
    """Of any size, in strips of any height, to the precision of bfloat16; what goes in stays as it is."""
    x, before = map_of(batch, channels, height, across), map_of(batch, channels, height, across)
    noise = torch.Generator().manual_seed(channels)
    weight = torch.randn(width, channels, 3, 3, generator=noise) / 3 / channels**0.5
    shift = torch.randn(width, generator=noise) if bias else None
    expected = F.conv2d(x.float(), weight, shift, padding=1)
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(winograd_half, "_TILES_AT_ONCE", tiles)
        found = winograd_half.conv(x, winograd_half.kernels(weight), shift)
    assert found.dtype == BF16
    assert found.shape == expected.shape
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert float((found.float() - expected).abs().max()) < 0.03 * (1 + float(expected.abs().max()))
    assert torch.equal(x, before)


def test_the_error_is_a_few_times_that_of_a_plain_one() -> None:
    x, weight, bias = map_of(1, 64, 40, 40), torch.randn(64, 64, 3, 3) / 24, torch.zeros(64)
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    plain = F.conv2d(x, weight.to(BF16), padding=1)
    ours = winograd_half.conv(x, winograd_half.kernels(weight), bias)
    assert float((ours - exact).norm()) < 3.5 * float((plain - exact).norm())


def test_wide_layers_pay_where_there_are_vectors_of_bfloat16_and_no_matrix_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    has = {"_is_avx512_bf16_supported": True, "_is_amx_tile_supported": False}
    for name in tuple(has):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: has[name])
    assert winograd_half.pays(512, 512)
    assert winograd_half.pays(256, 512)
    assert not winograd_half.pays(256, 256)
    assert not winograd_half.pays(48, 512)
    has["_is_amx_tile_supported"] = True
    assert not winograd_half.pays(512, 512)
    has["_is_amx_tile_supported"], has["_is_avx512_bf16_supported"] = False, False
    assert not winograd_half.pays(512, 512)


def test_layers_take_it_for_inference_in_bfloat16_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd_half, "pays", lambda *_: True)
    layer = Conv(8, 6, 3, padding=1).requires_grad_(requires_grad=False)
    x = map_of(2, 8, 9, 11).float()
    minimal = winograd_half.conv(x.to(BF16), winograd_half.kernels(layer.weight), layer.bias)
    with torch.no_grad():
        exact = layer(x)
        with torch.autocast("cpu", BF16):
            assert torch.equal(layer(x), minimal)
            assert not torch.equal(layer(x.contiguous()), minimal)
            layer.weight.add_(1)  # what is kept follows the weight
            assert not torch.equal(layer(x), minimal)
            layer.weight.sub_(1)
    with torch.autocast("cpu", BF16):
        assert not torch.equal(layer(x), minimal)
    assert exact.dtype == torch.float32
    for other in (Conv(8, 6, 3, padding=1, stride=2), Conv(8, 6, 1), Conv(8, 6, 3)):
        other.requires_grad_(requires_grad=False)
        with torch.no_grad(), torch.autocast("cpu", BF16):
            plain = torch.nn.Conv2d.forward(other, x)
            assert torch.allclose(other(x).float(), plain.float(), atol=0.02)
