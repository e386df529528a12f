"""Windows and scales, what features mean, the tower of SigLIP, which the contract does not cover, and checkpoints of the authors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokodec.api import Tokens
from tokodec.errors import InputError, WeightsMismatch
from tokodec.pretrained import store
from tokodec.pretrained.convert import tokenflow
from tokodec.pretrained.convert.origins import from_checkpoint
from tokodec.tokenizers.tokenflow import TokenFlow, TokenFlowSigLIP
from tokodec.tokenizers.tokenflow_semantics import spread
from tokodec.zoo import MODELS, create

Pictures = Callable[..., Tensor]
PER_WINDOW, SCALES = 57, (1, 2, 4, 6)
TINY: dict[str, Any] = {
    **{key: getattr(MODELS["tokenflow_test"].config, key) for key in MODELS["tokenflow_test"].config.__dataclass_fields__},
    "side": 26,
    "table": 6,
    "decoder_features": 16,
}


@pytest.fixture
def tokenizer() -> TokenFlow:
    model = store.load("tokenflow_test")
    assert isinstance(model, TokenFlow)
    return model


@pytest.fixture
def siglip() -> TokenFlowSigLIP:
    torch.manual_seed(2)
    model = create("tokenflow_siglip_384", TINY)
    assert isinstance(model, TokenFlowSigLIP)
    return model


def encoded(model: TokenFlow, x: Tensor) -> Tokens:
    with torch.inference_mode():
        return model.encode(x)


def test_a_window_does_not_see_the_next(tokenizer: TokenFlow, picture: Pictures) -> None:
    x = picture(48, 72)
    tokens = encoded(tokenizer, x)
    assert tokens.ids.shape == (1, 6 * PER_WINDOW)
    last = encoded(tokenizer, x[..., 24:, 48:])
    assert torch.equal(tokens.ids[:, 5 * PER_WINDOW :], last.ids)
    with torch.inference_mode():
        assert torch.equal(tokenizer.decode(tokens)[..., 24:, 48:], tokenizer.decode(last))


def test_the_first_scales_are_a_coarser_picture(tokenizer: TokenFlow, picture: Pictures) -> None:
    tokens = encoded(tokenizer, picture(24, 40))
    with torch.inference_mode():
        coarse = tokenizer.truncate(tokens, 2)
        assert torch.equal(coarse.ids, tokens.ids.view(2, PER_WINDOW)[:, :5].reshape(1, 10))
        assert tokenizer.decode(coarse).shape == (1, 3, 24, 40)
        assert torch.equal(tokenizer.truncate(tokens, 4).ids, tokens.ids)
        flat = tokenizer.vectors(tokenizer.truncate(tokens, 1))["pixel"][..., :6]
        assert float((flat - flat[..., :1, :1]).abs().max()) < 1e-5


@pytest.mark.parametrize("scales", [0, 5])
def test_there_are_only_so_many_scales(tokenizer: TokenFlow, picture: Pictures, scales: int) -> None:
    tokens = encoded(tokenizer, picture(24, 24))
    with pytest.raises(InputError, match=f"{scales} scales"):
        tokenizer.truncate(tokens, scales)
    with pytest.raises(InputError, match="3 scales"):
        tokenizer.truncate(tokenizer.truncate(tokens, 2), 3)


def test_what_does_not_fit_is_refused(tokenizer: TokenFlow, picture: Pictures) -> None:
    ids = encoded(tokenizer, picture(24, 48)).ids
    for wrong, message in ((ids[:, :-1], "2 windows"), (ids[:, :-2], "whole scales"), (ids + 60, "0 to 63"), (-ids - 1, "0 to 63")):
        stream = tokenizer.blank((24, 48)).streams["ids"]
        tokens = Tokens(streams={"ids": type(stream)(ids=wrong, axes=("n",), vocab=(64,))}, size=(24, 48))
        with pytest.raises(InputError, match=message):
            tokenizer.decode(tokens)


def test_features_are_sums_of_codes_of_both_books(tokenizer: TokenFlow, picture: Pictures) -> None:
    x = picture(30, 24)
    with torch.inference_mode():
        found, tokens = tokenizer.features(x), tokenizer.encode(x)
        assert {name: tuple(t.shape) for name, t in found.items()} == {"semantic": (1, 6, 12, 6), "pixel": (1, 4, 12, 6)}
        assert tokenizer.understood(tokens).shape == (1, 12, 12, 6)
        for name, table in (("semantic", tokenizer.quantizer.semantic), ("pixel", tokenizer.quantizer.pixel)):  # type: ignore[attr-defined]
            wanted = torch.zeros(1, table.shape[1], 6, 6)
            for ids, scale in zip(tokens.ids[:, :PER_WINDOW].split([s * s for s in SCALES], 1), SCALES, strict=True):
                code = F.normalize(table, dim=1)[ids].transpose(1, 2).unflatten(2, (scale, scale))
                wanted += code if scale == 6 else F.interpolate(code, size=(6, 6), mode="bicubic")
            assert torch.allclose(found[name][..., :6, :], wanted, atol=1e-5)


def test_pixel_codes_alone_make_the_picture(tokenizer: TokenFlow) -> None:
    z = torch.randn(1, 10, 6, 6)
    other = torch.cat([torch.randn(1, 6, 6, 6), z[:, 6:]], 1)
    with torch.inference_mode():
        assert torch.equal(tokenizer.reconstruct(z), tokenizer.reconstruct(other))
        assert not torch.equal(tokenizer.said(z), tokenizer.said(other))


def test_stretched_positions_keep_the_token_and_the_old_size() -> None:
    table = torch.randn(1, 26, 3)
    assert spread(table, 5) is table
    stretched = spread(table, 6)
    assert stretched.shape == (1, 37, 3)
    assert torch.equal(stretched[:, 0], table[:, 0])
    exact = F.interpolate(table[:, 1:].transpose(1, 2).unflatten(2, (5, 5)), size=(6, 6), mode="bicubic")
    assert not torch.allclose(stretched[:, 1:], exact.flatten(2).transpose(1, 2), atol=1e-4), "the tenth counts"


def test_siglip_takes_any_size_and_ids_do_not_depend_on_circumstances(siglip: TokenFlowSigLIP, picture: Pictures) -> None:
    model, x = siglip.eval(), picture(37, 61, batch=3)
    tokens = encoded(model, x)
    assert tokens.ids.shape == (3, 2 * 3 * PER_WINDOW)
    assert torch.equal(tokens.ids, torch.cat([encoded(model, one).ids for one in x.split(1)]))
    assert torch.equal(tokens.ids, encoded(model, x.contiguous(memory_format=torch.channels_last)).ids)
    torch.set_num_threads(2)
    try:
        assert torch.equal(tokens.ids, encoded(model, x).ids)
    finally:
        torch.set_num_threads(1)
    with torch.inference_mode():
        assert model.decode(tokens).shape == x.shape


def test_siglip_does_not_see_beyond_whole_patches(siglip: TokenFlowSigLIP, picture: Pictures) -> None:
    x = picture(26, 26)
    other = x.clone()
    other[..., 24:, :] = 0
    other[..., 24:] = 0
    with torch.inference_mode():
        assert torch.equal(siglip.tower(x), siglip.tower(other))


def test_the_semantic_decoder_of_siglip_learns_what_the_tower_saw(siglip: TokenFlowSigLIP, picture: Pictures) -> None:
    x = picture(52, 26, batch=2)
    optimiser = torch.optim.Adam(siglip.decoder_semantic.parameters(), lr=1e-2)
    found: list[float] = []
    for _ in range(15):
        siglip.zero_grad()
        term = siglip.train()(x).terms["distillation"]
        assert term.shape == (2,)
        term.sum().backward()
        optimiser.step()
        found.append(float(term.detach().mean()))
    assert found[-1] < 0.5 * found[0]
    seen, said = (torch.randn(2, 36, 16, requires_grad=True) for _ in range(2))
    siglip.distilled(seen, said)["distillation"].sum().backward()
    assert (seen.grad is None, said.grad is None) == (True, False), "the teacher is not moved towards the pupil"


@pytest.mark.parametrize("name", ["tokenflow_test", "tokenflow_siglip_384"])
def test_a_checkpoint_of_the_authors_fills_everything(name: str, tmp_path: Path) -> None:
    model = create(name, {} if name.endswith("test") else TINY)
    assert isinstance(model, TokenFlow)
    theirs = upstream(model)
    for parameter in model.parameters():
        parameter.data.zero_()
    taken = tokenflow.take(model, theirs)
    for key, t in taken.named_parameters():
        assert torch.equal(t.flatten(), theirs[tokenflow.names_of(model).upstream(key)].flatten()), key
    assert len(theirs) == len(list(taken.parameters()))
    if name.endswith("test"):
        more = {"quantize.codebook_used": torch.zeros(9), "scaling_layer.shift": torch.zeros(1, 3, 1, 1)}
        torch.save({"model": {**theirs, **more}, "steps": 3}, tmp_path / "theirs.pt")
        assert torch.equal(from_checkpoint(name, tmp_path / "theirs.pt").get_parameter("head.0.bias"), theirs["encode_task_layer.0.bias"])


def test_a_checkpoint_with_more_is_refused() -> None:
    model = create("tokenflow_test")
    assert isinstance(model, TokenFlow)
    with pytest.raises(WeightsMismatch, match="unexpected quantize"):
        tokenflow.take(model, {**upstream(model), "quantize.quant_resi.weight": torch.zeros(2)})


def upstream(model: nn.Module) -> dict[str, Tensor]:
    assert isinstance(model, TokenFlow)
    names = tokenflow.names_of(model)
    return {names.upstream(name): p.detach().clone() for name, p in model.named_parameters()}
