"""Ids that do not depend on circumstances, and what is refused."""

from typing import Any

import pytest
import torch

from tokodec import zoo
from tokodec.api import Tokens
from tokodec.codecs.token import TokenCodec
from tokodec.errors import FingerprintMismatch, InputError
from tokodec.nn.resnet import Depthwise, Pointwise, Shrink
from tokodec.pretrained import store
from tokodec.tokenizers import conv
from tokodec.tokenizers.conv import ConvTokenizer


@pytest.fixture
def tokenizer() -> ConvTokenizer:
    model = store.load("vq_test")
    assert isinstance(model, ConvTokenizer)
    return model


def ids_of(model: ConvTokenizer, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model.encode(x).ids


def test_ids_are_the_same_alone_in_a_batch_and_in_any_layout(tokenizer: ConvTokenizer, picture: Any) -> None:
    x = picture(80, 112, batch=8)
    together = ids_of(tokenizer, x)
    assert torch.equal(together, torch.cat([ids_of(tokenizer, x[i : i + 1]) for i in range(8)]))
    assert torch.equal(together, ids_of(tokenizer, x.contiguous(memory_format=torch.channels_last)))
    assert torch.equal(together, ids_of(tokenizer.to(memory_format=torch.contiguous_format), x))
    torch.set_num_threads(2)
    try:
        assert torch.equal(together, ids_of(tokenizer, x))
    finally:
        torch.set_num_threads(1)


def test_what_is_in_doubt_is_decided_as_in_float64(tokenizer: ConvTokenizer, picture: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a tolerance above every margin, all ids are decided window by window; they must be those of the whole picture."""
    x = picture(200, 330, batch=2)
    with torch.inference_mode():
        padded = torch.nn.functional.pad(x, (0, -330 % 16, 0, -200 % 16), mode="replicate")
        weights = {name: p.double() for name, p in tokenizer.encoder.named_parameters()}
        z = torch.func.functional_call(tokenizer.encoder, weights, (padded.double() - 0.5,))
        whole = tokenizer.quantizer.ids(z.flatten(2).transpose(1, 2)).view(2, *z.shape[2:])
    monkeypatch.setattr(conv, "TOLERANCE", 1e9)
    assert torch.equal(ids_of(tokenizer, x), whole)


def test_only_what_is_in_doubt_is_computed_twice(tokenizer: ConvTokenizer, picture: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConvTokenizer, "_decided", lambda *_: pytest.fail("nothing was in doubt"))
    monkeypatch.setattr(conv, "TOLERANCE", 0.0)
    ids_of(tokenizer, picture(64, 64))


@pytest.mark.parametrize("layer", [Depthwise(6, 5), Pointwise(6, 4), Shrink(6, 5, 2)], ids=lambda m: type(m).__name__)
def test_float64_computes_what_float32_does(layer: torch.nn.Module) -> None:
    x = torch.randn(2, 6, 12, 10)
    wide = torch.func.functional_call(layer, {n: p.double() for n, p in layer.named_parameters()}, (x.double(),))
    assert wide.dtype == torch.float64
    assert torch.allclose(layer(x), wide.float(), atol=1e-5)


def test_the_reach_of_the_encoder_is_no_less_than_it_says(tokenizer: ConvTokenizer) -> None:
    x = torch.rand(1, 3, 256, 256, requires_grad=True)
    z = tokenizer.encoder(x - 0.5)
    z[0, :, 8, 8].sum().backward()
    assert x.grad is not None
    touched = x.grad.abs().amax((0, 1)).nonzero()
    reach = tokenizer.encoder.reach
    assert int(touched.min()) >= 8 * 16 - reach
    assert int(touched.max()) < 9 * 16 + reach


def test_a_quality_is_refused_by_name(tokenizer: ConvTokenizer, picture: Any) -> None:
    with pytest.raises(InputError, match="one rate"):
        tokenizer.encode(picture(16, 16), quality=0.5)


def test_ids_that_cannot_be_are_refused(tokenizer: ConvTokenizer, picture: Any) -> None:
    tokens = tokenizer.encode(picture(32, 32))
    tokens.ids[0, 0, 0] = 64
    with pytest.raises(InputError, match="0 to 63"):
        tokenizer.decode(tokens)
    with pytest.raises(InputError, match="3 x 2 ids"):
        tokenizer.decode(Tokens(streams=tokens.streams, size=(40, 32)))


def test_tokens_of_another_model_are_refused(tokenizer: ConvTokenizer, picture: Any) -> None:
    tokens = tokenizer.encode(picture(32, 32))
    assert (tokens.model, tokens.fingerprint) == ("vq_test", tokenizer.fingerprint)
    tokenizer.fingerprint = b"\0" * 8
    with pytest.raises(FingerprintMismatch, match="were made by vq_test"):
        tokenizer.decode(tokens)


def test_the_fingerprint_covers_what_decides_ids(tokenizer: ConvTokenizer, tmp_path: Any) -> None:
    def fingerprint(change: str) -> bytes:
        model = store.load("vq_test")
        dict(model.named_parameters())[change].data.add_(0.01)
        store.save(model, tmp_path / "model.safetensors", name="vq_test")
        return store.load(f"dir:{tmp_path}").fingerprint

    assert fingerprint("decoder.layers.0.weight") == tokenizer.fingerprint
    assert fingerprint("encoder.layers.0.weight") != tokenizer.fingerprint
    assert fingerprint("quantizer.codebook") != tokenizer.fingerprint


def test_fsq_trains_and_tokenizes(picture: Any) -> None:
    small = {"widths": (8, 8), "encoder_blocks": (1, 1), "decoder_blocks": (1, 1), "kernels": (3, 3), "levels": (5, 4, 3)}
    model = zoo.create("fsq_f16", small).train()
    output = model(picture(24, 40, batch=2))
    output.terms["mse"].sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    assert isinstance(model, ConvTokenizer)
    tokens = model.encode(picture(20, 33))
    assert tokens.ids.shape == (1, 3, 5)
    assert model.decode(tokens).shape == (1, 3, 20, 33)


def test_a_decoder_can_learn_alone(picture: Any) -> None:
    model = zoo.create("vq_test").train()
    assert isinstance(model, ConvTokenizer)
    model.encoder.requires_grad_(False)
    codes = model.quantizer.lookup(torch.arange(64)[None])
    output = model(picture(64, 64, batch=2))
    assert list(output.terms) == ["mse"]
    output.terms["mse"].sum().backward()
    assert all(p.grad is not None for p in model.decoder.parameters())
    assert torch.equal(model.quantizer.lookup(torch.arange(64)[None]), codes), "the codebook moved"


def test_what_is_frozen_is_not_computed(picture: Any) -> None:
    model = zoo.create("vq_test").train()
    assert isinstance(model, ConvTokenizer)
    model.prior.arm()
    for part in (model.encoder, model.decoder):
        part.requires_grad_(False)
    codes = model.quantizer.lookup(torch.arange(64)[None])
    output = model(picture(64, 64, batch=2))
    assert output.pixels is None
    assert list(output.terms) == ["id_bits"]
    output.terms["id_bits"].sum().backward()
    assert torch.equal(model.quantizer.lookup(torch.arange(64)[None]), codes), "the codebook moved"


def test_one_set_of_ids_has_two_decoders(picture: Any) -> None:
    one, other = (store.load(name) for name in ("vq_f16", "vq_f16-crisp"))
    assert isinstance(one, ConvTokenizer)
    assert isinstance(other, ConvTokenizer)
    assert (one.name, other.name, other.fingerprint) == ("vq_f16.v2", "vq_f16.v2-crisp", one.fingerprint)
    x = picture(64, 96)
    with torch.inference_mode():
        tokens = one.encode(x)
        assert torch.equal(other.encode(x).ids, tokens.ids)
        assert not torch.equal(other.decode(tokens), one.decode(tokens))
        writer, reader = TokenCodec(one), TokenCodec(other)
        assert writer.fingerprint == reader.fingerprint
        read = reader.read(writer.write(writer.symbols(x)), (64, 96))
        assert torch.equal(reader.synthesise(read), other.decode(tokens))
