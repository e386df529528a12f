"""Vectors of ids with gradients: what trains a tokenizer together with what reads its tokens."""

import torch
import torch.nn.functional as F
from torch import nn

from tokodec.tokenizers.lattice import LatticeTokenizer
from tokodec.zoo import create


def made(name: str) -> LatticeTokenizer:
    torch.manual_seed(0)
    model = create(name)
    assert isinstance(model, LatticeTokenizer)
    return model.train()


def test_a_readers_loss_reaches_the_encoder_and_every_code_of_ibq() -> None:
    model = made("ibq_test")
    embedded = model.embed(torch.rand(2, 3, 16, 16))
    assert embedded.z.shape == (2, 64, model.quantizer.dim)
    (embedded.z * torch.randn_like(embedded.z)).sum().backward()
    codes = model.quantizer.get_parameter("codebook").grad
    assert codes is not None
    assert bool((codes.abs().sum(1) > 0).all())
    first = model.get_parameter("encoder.conv_in.weight").grad
    assert first is not None
    assert bool(first.any())


def test_vectors_are_those_of_the_ids() -> None:
    for name in ("ibq_test", "vqgan_test", "fqgan_test"):
        model = made(name)
        embedded = model.embed(torch.rand(2, 3, 16, 16))
        assert torch.allclose(embedded.z, model.quantizer.lookup(embedded.ids), atol=1e-5)


def test_tuning_end_to_end_teaches_a_reader_what_frozen_tokens_hardly_tell() -> None:
    """Noisy pictures of two kinds, which differ by a fiftieth in brightness."""
    torch.manual_seed(1)
    kinds = torch.arange(8) % 2
    x = (0.5 + 0.02 * kinds[:, None, None, None] + 0.3 * torch.rand(8, 3, 16, 16)).clamp(0, 1)
    ends, mse = {}, []
    for tuned in (False, True):
        model, reader = made("ibq_test"), nn.Sequential(nn.Linear(4, 32), nn.GELU(), nn.Linear(32, 2))
        model.quantizer.get_parameter("codebook").data.normal_()
        adam = torch.optim.Adam([*reader.parameters(), *(model.parameters() if tuned else [])], 5e-3)
        for _ in range(40):
            loss = F.cross_entropy(reader(model.embed(x).z).mean(1), kinds)
            ends[tuned] = float(loss.detach())
            if tuned:
                reconstruction = model(x).terms["mse"].mean()
                mse.append(float(reconstruction.detach()))
                loss = loss + 0.25 * reconstruction
            adam.zero_grad()
            loss.backward()
            adam.step()
    assert ends[True] < 0.1 * ends[False]
    assert mse[-1] < mse[0]
