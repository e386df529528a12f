"""DISTS and FID's Inception are the networks that others use, on weights of chance."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from tokodec.errors import InputError
from tokodec.metrics.dists import CHANNELS, DISTS
from tokodec.metrics.inception import FEATURES, FIDInception


def vgg(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])  # without the classifier, most of its weights
    return layers.eval().requires_grad_(requires_grad=False)


@pytest.mark.slow
def test_dists_is_that_of_its_authors(monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("DISTS_pytorch")
    layers = vgg()
    monkeypatch.setattr("torchvision.models.vgg16", lambda **_: SimpleNamespace(features=layers))
    theirs = package.DISTS(load_weights=False)
    ours = DISTS(layers, theirs.alpha.detach().flatten(), theirs.beta.detach().flatten())
    a = torch.rand(2, 3, 40, 56)
    b = (a + 0.2 * torch.randn_like(a)).clamp(0, 1)
    torch.testing.assert_close(ours(a, b), theirs(a, b), rtol=0, atol=1e-5)
    torch.testing.assert_close(ours(a, a), torch.zeros(2), rtol=0, atol=1e-5)


def test_dists_of_equal_pictures_is_zero() -> None:
    ours = DISTS(vgg(), torch.rand(sum(CHANNELS)), torch.rand(sum(CHANNELS)))
    a = torch.rand(1, 3, 16, 17)
    with torch.inference_mode():
        assert abs(float(ours(a, a))) < 1e-5
        assert float(ours(a, 1 - a)) > 0.01


def inception() -> dict[str, Any]:
    torch.manual_seed(0)
    return torchvision.models.inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False).state_dict()


@pytest.mark.oracle
def test_inception_is_that_of_pytorch_fid(monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("pytorch_fid.inception")
    state = inception()
    monkeypatch.setattr(package, "load_state_dict_from_url", lambda *_, **__: state)
    theirs = package.InceptionV3([3]).eval()
    x = torch.rand(2, 3, 70, 90)
    with torch.inference_mode():
        torch.testing.assert_close(FIDInception(state).eval()(x), theirs(x)[0].flatten(1), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_inception_pools_in_its_own_way() -> None:
    state = inception()
    plain = torchvision.models.inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False).eval()
    plain.load_state_dict(state)
    plain.fc = nn.Identity()
    x = torch.rand(1, 3, 40, 40)
    with torch.inference_mode():
        ours = FIDInception(state).eval()(x)
        theirs = plain(2 * nn.functional.interpolate(x, (299, 299), mode="bilinear") - 1)
    assert ours.shape == theirs.shape == (1, FEATURES)
    assert not torch.allclose(ours, theirs, rtol=1e-3)


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(InputError, match="no weights of FID's Inception"):
        FIDInception({"conv.weight": torch.zeros(1)})
