"""The 1D tokenizer of FLUX.2's latents: turns, one row whatever the size, lengths, what is refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tokodec.api import Sampler
from tokodec.errors import InputError
from tokodec.nn.rotary import spanning, turned
from tokodec.pretrained import store
from tokodec.zoo import MODELS, create

Pictures = Callable[..., Tensor]


@pytest.fixture
def model() -> Any:
    return store.load("flux2_1d_test")


def test_angles_span_the_same_range_at_every_size() -> None:
    for grid in ((2, 3), (16, 5)):
        angles = spanning(grid, 8, 32.0).view(*grid, 4)
        assert angles[-1, -1].tolist() == pytest.approx([32.0, 0.32, 32.0, 0.32])
        assert angles[-1, 0].tolist() == pytest.approx([32.0, 0.32, 0.0, 0.0])
    assert spanning((1, 1), 8, 32.0).tolist() == [[0.0] * 4]


def test_pairs_are_turned() -> None:
    x = torch.tensor([1.0, 0.0, 0.0, 2.0]).view(1, 1, 1, 4)
    angles = torch.tensor([[torch.pi / 2, torch.pi]])
    assert turned(x, angles).flatten().tolist() == pytest.approx([0.0, 1.0, 0.0, -2.0], abs=1e-6)
    assert torch.equal(turned(x, torch.zeros(1, 2)), x)


@torch.inference_mode()
def test_only_places_of_the_lattice_are_turned(model: Any) -> None:
    """Queries have the same angle, none: of a map of one patch nothing is turned at all."""
    x = torch.rand(1, 3, 8, 8)
    features = model.encoder.features(x)
    h = torch.cat([model.encoder.embed(x), model.encoder.queries[None]], 1)
    flat = model.encoder.run(h, torch.zeros(7, 8))
    assert torch.equal(features, flat[:, 1:])


@torch.inference_mode()
def test_a_row_is_as_long_at_every_size(model: Any, picture: Pictures) -> None:
    for size in ((8, 8), (40, 24), (33, 70)):
        code = model.encode(picture(*size))
        assert tuple(code.ids.shape) == (1, 6)
        assert model.decode(code).shape[2:] == size


@torch.inference_mode()
def test_mixed_lengths_decode_as_they_do_alone(model: Any, picture: Pictures) -> None:
    x = picture(40, 24, batch=3)
    code = model.encode(x, quality=torch.tensor([0.0, 0.4, 1.0]))
    assert code.streams["ids"].lengths.tolist() == [1, 3, 6]
    together = model.decode(code)
    for i in range(3):
        assert torch.equal(together[i : i + 1], model.decode(code[i : i + 1]))
    whole = model.encode(x)
    assert torch.equal(model.truncate(whole, 3).ids[1], code.ids[1])
    z, seen = torch.randn(2, 6, 8), torch.arange(6) < torch.tensor([[2], [6]])
    hidden = model.drawn(z, seen, (40, 24))[0]
    assert torch.allclose(hidden[:1], model.drawn(z[:1, :2], size=(40, 24))[0], atol=1e-5)


@torch.inference_mode()
def test_what_cannot_be_is_refused(model: Any, picture: Pictures) -> None:
    code = model.encode(picture(16, 16))
    with pytest.raises(InputError, match="ids are 0 to 63"):
        model.decode(replace(code, streams={"ids": replace(code.streams["ids"], ids=code.ids + 64)}))
    with pytest.raises(InputError, match="takes no sampler"):
        model.decode(code, sampler=Sampler())
    small: Any = MODELS["flux2_1d_test"].create({"most": 16}).eval()
    with pytest.raises(InputError, match="takes sides up to 16, not 24 x 8"):
        small.encode(picture(24, 8))


def test_latents_are_left_as_they_are() -> None:
    entry = MODELS["flux2_1d_sharp"]
    assert entry.input == "latents:32"
    torch.manual_seed(0)
    model: Any = entry.build(replace(entry.config, width=32, depth=1, heads=2, row=4, size=64, dim=8)).eval()
    x = 9 * torch.randn(1, 32, 6, 5)
    with torch.inference_mode():
        code = model.encode(x)
        model.decoder.smooth.bias.fill_(7.0)
        y = model.decode(code)
    assert y.shape == x.shape
    assert float(y.mean()) > 3


def test_training_drops_a_tail(picture: Pictures) -> None:
    model: Any = create("flux2_1d_test").train()
    found = model(picture(16, 24, batch=2), quality=torch.zeros(2))
    assert set(found.terms) == {"mse", "codebook", "commitment"}
    found.terms["mse"].sum().backward()
    assert bool(model.decoder.positions.grad[0].any())
    assert not bool(model.decoder.positions.grad[1:].any())
    torch.manual_seed(0)
    assert set(model.drawn_lengths(300).tolist()) == set(range(1, 7))
