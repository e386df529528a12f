"""Rows of frequencies: what a prefix is, and ids that do not depend on circumstances."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tokodec.codecs.prefix import COUNTED, COUNTED_PRIOR, PrefixCodec
from tokodec.errors import CorruptFile, InputError, WeightsMismatch
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


@pytest.mark.parametrize("count", range(1, 6))
def test_the_last_of_two_or_three_ids_counts_less(tokenizer: SpectralTokenizer, count: int) -> None:
    """Alone and in a batch of several lengths."""
    z = torch.randn(2, tokenizer.row, tokenizer.quantizer.dim)
    counts = torch.ones(count, 1)
    counts[-1] = spectral.DAMPED if count in (2, 3) else 1
    synthesis, basis = tokenizer.synthesis, tokenizer.synthesis.basis[:count]
    wanted = basis.T @ (synthesis.head(z[:, :count]) * synthesis.scale[:count, None].exp() * counts)
    seen = torch.zeros(2, tokenizer.row, dtype=torch.bool)
    seen[0, :count] = True
    seen[1, : count + 7] = True
    assert torch.allclose(synthesis(z[:, :count]).flatten(2).mT, wanted, atol=1e-5)
    assert torch.allclose(synthesis(z, seen)[0].flatten(1).mT, wanted[0], atol=1e-5)


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


def without(path: Path, dropped: str) -> str:
    """The tiny sibling's weights less those whose names begin so."""
    store.save(store.load("spectral_test"), path, name="spectral_test")
    with safe_open(str(path), "pt") as file:
        kept = {name: file.get_tensor(name) for name in file.keys() if not name.startswith(dropped)}  # noqa: SIM118  no mapping
        meta = file.metadata()
    save_file(kept, str(path), meta)
    return f"dir:{path}"


def test_weights_of_before_the_prior_have_the_same_ids_and_plain_files(tokenizer: SpectralTokenizer, picture: Any, tmp_path: Path) -> None:
    old = store.load(without(tmp_path / "old.safetensors", "prior."))
    assert isinstance(old, SpectralTokenizer)
    assert not int(old.prior.trained)
    assert old.fingerprint == tokenizer.fingerprint
    before, now, size = PrefixCodec(old), PrefixCodec(tokenizer), (40, 70)
    assert before.fingerprint != now.fingerprint
    with torch.inference_mode():
        symbols = now.symbols(picture(*size))
    (plain,), (under,) = before.write(symbols), now.write(symbols)
    assert (plain[0], under[0]) == (COUNTED, COUNTED_PRIOR)
    assert len(under) < len(plain)
    assert before.read([plain], size).crc32() == now.read([under], size).crc32() == now.read([plain], size).crc32()
    assert 0 <= 8 * len(under) - float(now.estimate(symbols)[0]) <= 40
    with pytest.raises(CorruptFile, match="begin with 03"):
        before.read([under], size)


def test_a_prior_that_lacks_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsMismatch, match=r"missing prior\.table_1"):
        store.load(without(tmp_path / "less.safetensors", "prior.table_1"))


def test_only_the_prior_is_computed_where_only_it_learns(tokenizer: SpectralTokenizer, picture: Any) -> None:
    tokenizer.prior.arm()
    found = tokenizer.train()(picture(40, 70, batch=2))
    assert found.pixels is None
    bits = found.terms["id_bits"]
    assert bits.tolist() == pytest.approx([5.906891] * 2), "log2 of 60: nothing is learnt yet"
    bits.sum().backward()
    assert tokenizer.prior.net is not None
    assert all(bool((table.grad != 0).any()) for table in tokenizer.prior.net.tables)


def test_the_last_layer_sees_every_gradient_of_a_picture(tokenizer: SpectralTokenizer, picture: Any) -> None:
    model = tokenizer.requires_grad_().train()
    (gradient,) = torch.autograd.grad(model(picture(32, 32)).pixels.sum(), model.last_layer())
    assert bool((gradient != 0).any())
