"""SEED beyond what the contract covers: causal ids, what they decode to, and something that draws it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tokodec.api import Sampler, Tokens
from tokodec.codecs.token import TokenCodec
from tokodec.errors import FingerprintMismatch, InputError
from tokodec.pretrained import store
from tokodec.pretrained.convert import seed
from tokodec.pretrained.convert.origins import from_checkpoint
from tokodec.tokenizers.drawn import Drawn
from tokodec.zoo import create

Pictures = Callable[..., Tensor]


@pytest.fixture
def model() -> Any:
    return store.load("seed_test")


def tokens(model: Any, picture: Pictures, batch: int = 2) -> Tokens:
    with torch.inference_mode():
        return model.encode(picture(30, 41, batch=batch))


def paint(embedding: Tensor, sampler: Sampler) -> Tensor:
    """Its own size is 20 x 24, a colour a picture and a level that tells the sampler."""
    colours = embedding[:, :3, None, None].sigmoid() * 0.5
    return (colours + sampler.seed / 10).expand(-1, -1, 20, 24)


def test_a_picture_of_any_size_has_as_many_ids(model: Any, picture: Pictures) -> None:
    for size in ((8, 8), (32, 32), (57, 20)):
        code = model.encode(picture(*size, batch=2))
        assert code.ids.shape == (2, 6)
        assert code.bits.tolist() == [6 * 6.0] * 2
        assert model.decode(code).shape == (2, 12)


def test_ids_are_of_what_the_former_says(model: Any, picture: Pictures) -> None:
    x = picture(30, 41)
    with torch.inference_mode():
        seen = model.features(x)
        ids = model.quantizer.ids(model.head(seen["causal"]))
    assert seen["tower"].shape == (1, 16, 4, 6)
    assert torch.equal(ids, model.encode(x).ids)


def test_queries_see_earlier_ones_only(model: Any) -> None:
    memory = torch.randn(1, 5, 16)
    with torch.inference_mode():
        first = model.former(memory)
        model.former.queries[0, 4] += torch.randn(16)
        second = model.former(memory)
    assert torch.equal(first[:, :4], second[:, :4])
    assert bool((first[:, 4:] - second[:, 4:]).abs().amax(2).gt(1e-4).all())


def test_every_feature_is_seen(model: Any) -> None:
    memory = torch.randn(1, 5, 16, requires_grad=True)
    model.former(memory)[:, 0].square().sum().backward()
    assert memory.grad is not None
    assert bool(memory.grad.abs().amax(2).gt(0).all())


def test_every_id_counts(model: Any, picture: Pictures) -> None:
    code = tokens(model, picture, batch=1)
    (stream,) = code.streams.values()
    with torch.inference_mode():
        y, said = model.decode(code), model.causal(code)
        assert said.shape == (1, 6, 16)
        for i in range(6):
            ids = stream.ids.clone()
            ids[:, i] = (ids[:, i] + 7) % 64
            other = replace(code, streams={"ids": replace(stream, ids=ids)})
            assert not torch.equal(model.decode(other), y)
            assert not torch.equal(model.causal(other), said)


@pytest.mark.parametrize(
    ("change", "message"), [(lambda ids: ids[:, :5], "6 ids in a row, not"), (lambda ids: ids + 64, "ids are 0 to 63")]
)
def test_ids_that_cannot_be_are_refused(model: Any, picture: Pictures, change: Callable[[Tensor], Tensor], message: str) -> None:
    code = tokens(model, picture)
    (stream,) = code.streams.values()
    with pytest.raises(InputError, match=message):
        model.decode(replace(code, streams={"ids": replace(stream, ids=change(stream.ids))}))


def test_ids_of_another_model_are_refused(model: Any, picture: Pictures) -> None:
    with pytest.raises(FingerprintMismatch):
        model.decode(replace(tokens(model, picture), fingerprint=bytes(8)))


def test_a_decoder_does_not_change_what_ids_are(model: Any, tmp_path: Path) -> None:
    """The decoder is left out of the fingerprint, the tower and the Q-Former are not."""
    for name, equal in (("decoder.end.out.bias", True), ("former.queries", False)):
        other: Any = store.load("seed_test")
        dict(other.named_parameters())[name].data.add_(1)
        store.save(other, tmp_path / "model.safetensors", name="seed_test")
        assert (store.load(f"dir:{tmp_path}").fingerprint == model.fingerprint) == equal


def test_it_draws_nothing_itself(model: Any, picture: Pictures) -> None:
    with pytest.raises(InputError, match="no sampler"):
        model.decode(tokens(model, picture), sampler=Sampler())
    with pytest.raises(InputError, match="seed_test decodes to embeddings, not pictures"):
        TokenCodec(model)


def test_a_painter_makes_it_a_tokenizer_of_pictures_and_a_codec(model: Any, picture: Pictures) -> None:
    x, drawn = picture(30, 41, batch=2), Drawn(model, paint)
    with torch.inference_mode():
        code = drawn.encode(x)
        y, brighter = drawn.decode(code), drawn.decode(code, sampler=Sampler(seed=3))
        assert torch.equal(code.ids, model.encode(x).ids)
        assert y.shape == x.shape
        wanted = model.decode(code)[:, :3, None, None].sigmoid() * 0.5
        assert torch.allclose(y, wanted.expand_as(y), atol=1e-5)
        assert torch.allclose(brighter, y + 0.3, atol=1e-5)
        codec = TokenCodec(drawn)
        symbols = codec.symbols(x)
        data = codec.write(symbols)
        assert [len(one) for one in data] == [1 + 5] * 2  # a byte, and 36 bits
        assert torch.equal(codec.synthesise(codec.read(data, symbols.size)), y)


def test_what_is_no_embedding_is_not_drawn() -> None:
    with pytest.raises(InputError, match="lavit_test decodes to features: only embeddings"):
        Drawn(store.load("lavit_test"), paint)  # type: ignore[arg-type]


@pytest.mark.slow
def test_shapes_are_the_published_ones() -> None:
    """Of the whole model that has no figures, without numbers."""
    with torch.device("meta"):
        model: Any = create("seed_2_asking")
        tower = model.tower(torch.empty(1, 3, 224, 224))
        said = model.former(tower)
        assert tower.shape == (1, 257, 1408)
        assert said.shape == model.decoder.text(said).shape == (1, 32, 768)
        assert model.decoder.end(model.decoder.image(said)).shape == (1, 1024)
    assert model.blank((224, 224)).bits.tolist() == [416.0]


def test_the_asking_way_to_a_vector() -> None:
    small = {field: value for field, value in vars(create("seed_test").config).items() if field != "decoder_downs"}
    model: Any = create("seed_2_asking", small)
    with torch.inference_mode():
        z = torch.randn(2, 6, 4)
        first = model.decoder(z)
        z[1, 5] += 1
        second = model.decoder(z)
    assert first.shape == (2, 12)
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[1], second[1])


def descend(model: nn.Module, loss: Tensor) -> None:
    """A step of one length for all: what ``torch.optim`` brings takes longer to import than the test."""
    learning = [p for p in model.parameters() if p.requires_grad]
    for parameter, gradient in zip(learning, torch.autograd.grad(loss, learning), strict=True):
        parameter.data.sub_(1e-2 * gradient.sign())


@pytest.mark.slow
def test_training_lowers_every_term(model: Any, picture: Pictures) -> None:
    """With a teacher's embedding, as theirs; weights are those of the recipe."""
    torch.manual_seed(0)
    fresh: Any = create("seed_test").train()
    x, wanted = picture(32, 32, batch=4), torch.randn(4, 12)
    history: list[tuple[float, float]] = []
    for _ in range(60):
        output = fresh(x)
        distance = (output.aux["embedding"] - wanted).square().mean(1)
        terms = output.terms
        loss = 0.5 * distance + 2 * terms["cosine"] + 5 * terms["commitment"] + 1.25 * terms["codebook"]
        descend(fresh, loss.mean())
        history.append((float(distance.detach().mean()), float(terms["cosine"].detach().mean())))
    (far, apart), (near, together) = history[0], history[-1]
    assert near < 0.7 * far
    assert together < 0.5 * apart


def test_a_checkpoint_of_the_authors_is_taken(tmp_path: Path) -> None:
    model: Any = create("seed_test")
    theirs = {seed.NAMES.upstream(name): torch.randn_like(p) for name, p in model.named_parameters()}
    assert len(theirs) == len(list(model.parameters())), "two of ours have one name there"
    torch.save({**theirs, "Qformer.bert.embeddings.position_ids": torch.arange(512)[None]}, tmp_path / "seed_quantizer.pt")
    taken: Any = from_checkpoint("seed_test", tmp_path / "seed_quantizer.pt")
    assert torch.equal(taken.former.queries, theirs["query_tokens"])
    assert torch.equal(taken.decoder.image.positions, theirs["pos_embed_image"])
    assert torch.equal(taken.decoder.text.blocks[0].attention.qkv.weight, theirs["blocks.0.attn.qkv.weight"])
    assert torch.equal(taken.encoder.blocks[0].attention.query_bias, theirs["visual_encoder.blocks.0.attn.q_bias"])
