"""What ``fast`` numerics keep and compute in another order on a processor."""

import pytest
import torch
import torch.nn.functional as F

from tokodec.nn.attention import attend
from tokodec.nn.conv import Conv
from tokodec.nn.halved import Halved
from tokodec.nn.mix import ThinLinear

BF16 = torch.bfloat16


@pytest.mark.parametrize("places", [1, 255, 256, 700])
def test_attention_by_matrices_is_attention(places: int) -> None:
    q, k, v = (torch.randn(2, 3, places, 16, generator=torch.Generator().manual_seed(i)) for i in range(3))
    with torch.inference_mode():
        ours = attend(q.to(BF16), k.to(BF16), v.to(BF16)).float()
    wanted = F.scaled_dot_product_attention(q, k, v)
    assert (ours - wanted).norm() < 0.01 * wanted.norm()
    assert torch.allclose(attend(q, k, v), wanted, rtol=0, atol=2e-6)
    assert places >= 512 or torch.equal(attend(q, k, v), wanted)


def test_attention_in_bfloat16_takes_batches_however_they_lie_in_memory() -> None:
    """As they come out of one linear map, queries fewer than keys too."""
    for queries in (6, 1):
        fused = torch.randn(3, 6, 3 * 16).to(BF16).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
        q, k, v = fused[0][:, :, :queries], fused[1], fused[2]
        with torch.no_grad():
            found = attend(q, k, v).float()
        assert torch.allclose(found, torch.nn.functional.scaled_dot_product_attention(q.float(), k.float(), v.float()), atol=0.02)


@pytest.mark.parametrize("keys", [511, 512, 600])
def test_attention_in_float32_does_not_depend_on_threads_batch_or_memory(keys: int) -> None:
    q, k, v = (
        torch.randn(3, keys, 2 * 16, generator=torch.Generator().manual_seed(i)).unflatten(2, (2, 16)).transpose(1, 2) for i in range(3)
    )
    q, before = q[:, :, :130], torch.get_num_threads()
    with torch.inference_mode():
        whole = attend(q, k, v)
        assert torch.allclose(whole, F.scaled_dot_product_attention(q, k, v), rtol=0, atol=2e-6)
        try:
            for threads in (1, 2):
                torch.set_num_threads(threads)
                assert torch.equal(attend(q, k, v), whole)
                assert torch.equal(attend(q[1:2], k[1:2], v[1:2])[0], whole[1])
                assert torch.equal(attend(q.contiguous(), k.contiguous(), v.contiguous()), whole)
        finally:
            torch.set_num_threads(before)


def test_attention_in_bfloat16_has_gradients() -> None:
    q, k, v = (torch.randn(1, 1, 5, 8, dtype=BF16).requires_grad_() for _ in range(3))
    attend(q, k, v).sum().backward()
    assert all(t.grad is not None for t in (q, k, v))


def test_a_kept_copy_follows_its_weight() -> None:
    weight, halved = torch.nn.Parameter(torch.randn(4, 3, 3, 3), requires_grad=False), Halved()
    with torch.no_grad(), torch.autocast("cpu", BF16):
        first = halved.of(weight)
        assert first.dtype == BF16
        assert halved.of(weight) is first
        weight.add_(1)
        assert torch.equal(halved.of(weight), weight.to(BF16))
    assert halved.of(weight) is weight
    with torch.autocast("cpu", BF16):
        assert halved.of(weight) is weight
    learning = torch.nn.Parameter(torch.randn(4, 3))
    with torch.no_grad(), torch.autocast("cpu", BF16):
        assert halved.of(learning) is learning
    with torch.no_grad():
        assert halved.of(weight) is weight


@pytest.mark.parametrize(
    ("layer", "x"), [(ThinLinear(8, 70), torch.randn(2, 5, 8)), (Conv(8, 9, 3, padding=1), torch.randn(2, 8, 6, 7))], ids=["linear", "conv"]
)
def test_layers_compute_as_autocast_does(layer: torch.nn.Module, x: torch.Tensor) -> None:
    if x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    layer.requires_grad_(requires_grad=False)
    with torch.no_grad(), torch.autocast("cpu", BF16):
        plain = (torch.nn.Linear if x.ndim == 3 else torch.nn.Conv2d).forward(layer, x)  # type: ignore[arg-type]
        assert torch.allclose(layer(x).float(), plain.float(), rtol=0.01, atol=0.01)
    assert layer(x).dtype == torch.float32
