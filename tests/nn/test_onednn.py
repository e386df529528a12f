"""Products by oneDNN depend on their factors alone."""

import pytest
import torch
import torch.nn.functional as F

from tokodec.nn import onednn
from tokodec.nn.mix import ThinLinear

there = pytest.mark.skipif(not onednn.computes(torch.ones(2, 2)), reason="this machine or this PyTorch has no products by oneDNN")


def factors(rows: int, channels: int, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    noise = torch.Generator().manual_seed(channels)
    x, weight = torch.randn(rows, channels, generator=noise), torch.randn(width, channels, generator=noise) / channels**0.5
    return x, weight, torch.randn(width, generator=noise)


@there
@pytest.mark.parametrize(("channels", "width"), [(8, 1), (64, 64), (192, 576), (768, 130), (3072, 96), (5, 300)])
def test_a_row_is_the_same_alone_in_any_batch_and_with_any_number_of_threads(channels: int, width: int) -> None:
    x, weight, bias = factors(300, channels, width)
    whole, before = onednn.linear(x, weight, bias), torch.get_num_threads()
    assert torch.allclose(whole.double(), x.double() @ weight.double().T + bias, atol=1e-5)
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            for rows in (1, 2, 3, 8, 15, 16, 17, 33, 197, 300):
                assert torch.equal(onednn.linear(x[:rows], weight, bias), whole[:rows])
                assert torch.equal(onednn.linear(x[-rows:].view(1, rows, -1), weight, bias)[0], whole[-rows:])
    finally:
        torch.set_num_threads(before)


@there
def test_a_column_is_the_same_whatever_stands_beside_it() -> None:
    x, weight, bias = factors(50, 96, 200)
    whole = onednn.linear(x, weight, bias)
    for width in (1, 2, 16, 63, 64, 65):
        assert torch.equal(onednn.linear(x, weight[:width], bias[:width]), whole[:, :width])


@there
def test_it_does_not_matter_how_factors_lie_in_memory() -> None:
    x, weight, bias = factors(40, 24, 70)
    whole = onednn.linear(x, weight, bias)
    for turned in (lambda t: t.T.contiguous().T, lambda t: torch.cat([t, t], 1)[:, : t.shape[1]]):
        assert torch.equal(onednn.linear(turned(x), turned(weight), bias), whole)


@there
def test_shapes_are_those_of_a_linear_map() -> None:
    x, weight, bias = factors(24, 16, 10)
    for shape in ((24, 16), (2, 12, 16), (2, 3, 4, 16), (16,)):
        some = x.flatten()[: torch.Size(shape).numel()].view(shape)
        assert onednn.linear(some, weight, bias).shape == F.linear(some, weight, bias).shape
        assert torch.allclose(onednn.linear(some, weight), F.linear(some, weight), atol=1e-5)
    assert onednn.linear(x[:0], weight, bias).shape == (0, 10)


def test_gradients_other_numbers_and_a_library_that_is_switched_off_go_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, _ = factors(4, 8, 8)
    assert not onednn.computes(x.double(), weight.double())
    assert not onednn.computes(x, weight.requires_grad_())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert not onednn.computes(x, weight)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    with torch.no_grad():
        assert not onednn.computes(x, weight)


def test_a_layer_learns_as_it_infers() -> None:
    layer, x = ThinLinear(32, 80), torch.randn(3, 7, 32)
    learning = layer(x)
    learning.sum().backward()
    assert layer.weight.grad is not None
    with torch.no_grad():
        assert torch.allclose(layer(x), learning, atol=1e-6)
