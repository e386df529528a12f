"""AiT beyond what the contract covers: depth and masks, what is not known of depth, and soft tokens."""

from typing import Any

import pytest
import torch

from tokodec.codecs.token import TokenCodec
from tokodec.errors import InputError
from tokodec.pretrained.convert import ait
from tokodec.zoo import create

SMALL = {"width": 4, "levels": 2, "blocks": 1, "size": 64, "dim": 8}


@pytest.fixture(params=["ait_depth", "ait_insseg"])
def model(request: pytest.FixtureRequest) -> Any:
    return create(request.param, SMALL).eval()


def test_what_goes_in_comes_out_in_its_own_shape(model: Any) -> None:
    x = torch.rand(2, 1, 30, 41)
    with torch.inference_mode():
        tokens = model.encode(x)
        assert torch.equal(tokens.ids, torch.cat([model.encode(one).ids for one in x.split(1)]))
        assert model.decode(tokens).shape == x.shape
    assert tokens.ids.shape == (2, 8, 11)
    assert model.blank(tokens.size).ids.shape == (1, 8, 11)


def test_as_published_a_lattice_has_so_many_ids() -> None:
    with torch.device("meta"):
        assert create("ait_depth").blank((480, 480)).ids.shape == (1, 15, 15)  # type: ignore[operator]
        assert create("ait_insseg").blank((64, 64)).ids.shape == (1, 4, 4)  # type: ignore[operator]


def test_depth_that_is_not_known_does_not_count() -> None:
    model: Any = create("ait_depth", SMALL).eval()
    x = 1 + torch.rand(2, 1, 16, 16)
    x[0, :, :8] = 0
    x[1] = 0
    with torch.inference_mode():
        output = model(x)
    wrong = (output.pixels - x).square()
    assert torch.allclose(output.terms["mse"], torch.stack([wrong[0, :, 8:].mean(), torch.zeros(())]))


def test_a_model_that_is_sure_decodes_as_its_ids_do(model: Any) -> None:
    x = torch.rand(2, 1, 14, 18)
    with torch.inference_mode():
        tokens = model.encode(x)
        sure = 1e4 * torch.nn.functional.one_hot(tokens.ids, 64).permute(0, 3, 1, 2).float()
        assert torch.allclose(model.blended(sure, tokens.size), model.decode(tokens), atol=1e-5)


def test_gradients_of_soft_tokens_reach_logits(model: Any) -> None:
    logits = torch.randn(1, 64, 4, 5, requires_grad=True)
    model.blended(logits, (16, 20)).mean().backward()
    assert logits.grad is not None
    assert bool(logits.grad.any())


def test_temperature_is_of_the_softmax() -> None:
    model: Any = create("ait_depth", {**SMALL, "temperature": 0.5}).eval()
    plain: Any = create("ait_depth", {**SMALL, "temperature": 1.0}).eval()
    plain.load_state_dict(model.state_dict())
    logits = torch.randn(1, 64, 2, 2)
    with torch.inference_mode():
        assert torch.allclose(model.blended(logits, (8, 8)), plain.blended(2 * logits, (8, 8)), atol=1e-6)


def test_logits_of_another_lattice_are_refused(model: Any) -> None:
    with pytest.raises(InputError, match=r"have the shape \(64, 4, 5\), not \(64, 4, 4\)"):
        model.blended(torch.zeros(1, 64, 4, 4), (16, 20))


def test_they_make_no_files_of_photographs(model: Any) -> None:
    model.takes = "depth"
    with pytest.raises(InputError, match="takes depth, not photographs"):
        TokenCodec(model)


def test_codes_are_taken_and_averages_are_not(model: Any) -> None:
    theirs = {ait.NAMES.upstream(name): torch.randn_like(p) for name, p in model.named_parameters()}
    kept = theirs["_vq_vae._embedding"]
    theirs |= {"_vq_vae._ema_w": torch.ones(64, 8), "_vq_vae._ema_cluster_size": torch.ones(64), "codebook.weight": torch.ones(64, 8)}
    assert torch.equal(ait.take(model, theirs).quantizer.codebook, kept)
