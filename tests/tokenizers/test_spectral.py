"""Rows of frequencies: what a prefix is, and ids that do not depend on circumstances."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from tokodec.errors import InputError
from tokodec.losses.reconstruction import Growth
from tokodec.pretrained import store
from tokodec.tokenizers import spectral
from tokodec.tokenizers.spectral import SpectralTokenizer


@pytest.fixture
def tokenizer() -> SpectralTokenizer:
    model = store.load("spectral_test")
    assert isinstance(model, SpectralTokenizer)
    return model


def test_a_prefix_is_the_row_with_its_higher_frequencies_zero(tokenizer: SpectralTokenizer) -> None:
    z = torch.randn(2, tokenizer.row, tokenizer.quantizer.dim)
    seen = torch.zeros(2, tokenizer.row, dtype=torch.bool)
    seen[:, :5] = True
    assert torch.allclose(tokenizer.synthesis(z[:, :5]), tokenizer.synthesis(z, seen), atol=1e-6)
    one = tokenizer.synthesis(z[:, :1])
    assert torch.allclose(one, one[..., :1, :1].expand_as(one), atol=1e-6), "the first frequency is the mean of features"


def test_qualities_are_lengths_by_their_logarithm(tokenizer: SpectralTokenizer) -> None:
    kept = tokenizer.kept(torch.linspace(0, 1, 101))
    assert (int(kept[0]), int(kept[-1])) == (1, tokenizer.row)
    assert bool((kept.diff() >= 0).all())
    assert int(kept[50]) == round(tokenizer.row**0.75)


def test_a_window_with_an_id_in_doubt_is_decided_in_float64(
    tokenizer: SpectralTokenizer, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = picture(32, 32, batch=3)
    monkeypatch.setattr(spectral, "TOLERANCE", 1e9)
    with torch.inference_mode():
        found = tokenizer.encode(x).ids
        wide = tokenizer.double()
        assert torch.equal(found, wide.quantizer.ids(wide.latents(x.double() - 0.5)))


def test_ids_do_not_depend_on_batch_threads_or_layout(tokenizer: SpectralTokenizer, picture: Any) -> None:
    x = picture(40, 70, batch=4)
    with torch.inference_mode():
        together = tokenizer.encode(x).ids
        assert torch.equal(together, torch.cat([tokenizer.encode(one).ids for one in x.split(1)]))
        assert torch.equal(together, tokenizer.encode(x.contiguous(memory_format=torch.channels_last)).ids)
        torch.set_num_threads(2)
        try:
            assert torch.equal(together, tokenizer.encode(x).ids)
        finally:
            torch.set_num_threads(1)


def test_what_stands_after_the_length_does_not_count(tokenizer: SpectralTokenizer, picture: Any) -> None:
    with torch.inference_mode():
        tokens = tokenizer.truncate(tokenizer.encode(picture(32, 32)), 4)
        stream = tokens.streams["ids"]
        other = stream.ids.clone()
        other[:, 4:] = 1
        changed = replace(tokens, streams={"ids": replace(stream, ids=other)})
        assert torch.equal(tokenizer.decode(tokens), tokenizer.decode(changed))


def test_growth_is_asked_of_pictures_that_more_ids_make_worse(tokenizer: SpectralTokenizer, picture: Any) -> None:
    x = picture(32, 64, batch=2)  # two windows each
    output = tokenizer.train()(x, quality=torch.tensor([0.0, 0.7]))
    with torch.no_grad():
        z = tokenizer.quantizer(tokenizer.latents(tokenizer.cut(x - 0.5))).z
        half = tokenizer.decoder(tokenizer.synthesis(z[2:, : int(tokenizer.kept(torch.tensor([0.7]))) // 2]))
        assert torch.allclose(output.aux["shorter"][1:], tokenizer.whole(half, (32, 64)) + 0.5, atol=1e-5)
    better = replace(output, aux={"shorter": x + 10}, terms={"mse": output.terms["mse"]})
    assert torch.equal(Growth()(x, torch.ones(2), better), torch.zeros(2))
    worse = replace(output, aux={"shorter": x}, terms={"mse": output.terms["mse"]})
    assert torch.allclose(Growth(margin=0.1)(x, torch.ones(2), worse), (output.terms["mse"] / 3e-4 + 1).log() + 0.1)
    with pytest.raises(InputError, match="growth needs a model"):
        Growth()(x, torch.ones(2), replace(output, aux={}))


def test_a_decoder_does_not_change_the_fingerprint() -> None:
    assert not SpectralTokenizer.decides_ids("synthesis.scale")
    assert not SpectralTokenizer.decides_ids("decoder.layers.0.weight")
    assert SpectralTokenizer.decides_ids("analysis.scale")
