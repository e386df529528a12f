"""Two streams over one lattice, windows on their own, features, and checkpoints of the authors."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tokodec.api import Stream, Tokens
from tokodec.codecs.token import TokenCodec
from tokodec.errors import InputError, WeightsMismatch
from tokodec.nn.projection import CausalAttention, MeanAttention
from tokodec.pretrained import store
from tokodec.pretrained.convert import dualtoken
from tokodec.pretrained.convert.origins import from_checkpoint
from tokodec.tokenizers.dualtoken import DualToken
from tokodec.zoo import create

Pictures = Callable[..., Tensor]


@pytest.fixture
def tokenizer() -> DualToken:
    model = store.load("dualtoken_test")
    assert isinstance(model, DualToken)
    return model


def made() -> DualToken:
    """With fresh weights."""
    model = create("dualtoken_test")
    assert isinstance(model, DualToken)
    return model


def encoded(model: DualToken, x: Tensor) -> Tokens:
    with torch.inference_mode():
        return model.encode(x)


def other(code: Tokens, name: str) -> Tokens:
    """With other ids in one stream."""
    stream = code.streams[name]
    return replace(code, streams={**code.streams, name: replace(stream, ids=(stream.ids + 7) % stream.vocab[0])})


# --- streams


def test_two_streams_of_a_place_each(tokenizer: DualToken, picture: Pictures) -> None:
    """A window of 16 pixels has 5 x 5 places of 3 pixels."""
    code = encoded(tokenizer, picture(16, 33, batch=2))
    assert list(code.streams) == ["semantic", "pixel"]
    for stream in code.streams.values():
        assert stream.ids.shape == (2, 5, 15, 2)
        assert stream.axes == ("h", "w", "k")
        assert stream.vocab == (64, 64)
    assert code.bits.tolist() == [5 * 15 * 4 * 6] * 2
    blank = tokenizer.blank((16, 33))
    assert {n: s.ids.shape[1:] for n, s in blank.streams.items()} == {n: s.ids.shape[1:] for n, s in code.streams.items()}


def test_published_bits() -> None:
    with torch.device("meta"):
        models = {name: create(f"dualtoken_{name}") for name in ("256_rvq4", "384_rvq8")}
    bits = {name: float(model.blank((200, 300)).bits[0]) for name, model in models.items() if isinstance(model, DualToken)}
    assert bits == {"256_rvq4": 2 * 256 * (56 + 56), "384_rvq8": 729 * (112 + 112)}


def test_the_picture_is_in_the_pixel_ids_alone(tokenizer: DualToken, picture: Pictures) -> None:
    code = encoded(tokenizer, picture(30, 20))
    with torch.inference_mode():
        y = tokenizer.decode(code)
        assert torch.equal(tokenizer.decode(other(code, "semantic")), y)
        assert not torch.equal(tokenizer.decode(other(code, "pixel")), y)


def test_files_hold_both(tokenizer: DualToken, picture: Pictures) -> None:
    codec = TokenCodec(tokenizer)
    with torch.inference_mode():
        symbols = codec.symbols(picture(20, 30))
        again = codec.read(codec.write(symbols), symbols.size)
    assert list(again.values) == ["semantic", "pixel"]
    assert all(torch.equal(again.values[name], values) for name, values in symbols.values.items())


def test_sequences_hold_both(tokenizer: DualToken, picture: Pictures) -> None:
    code = encoded(tokenizer, picture(20, 30))
    again = Tokens.unflatten(code.flatten(offset=3), like=tokenizer.blank((20, 30)), offset=3)
    assert all(torch.equal(again.streams[name].ids, stream.ids) for name, stream in code.streams.items())


@pytest.mark.parametrize(
    "change",
    [
        lambda s: {"pixel": s["pixel"]},
        lambda s: {"ids": s["pixel"]},
        lambda s: {"semantic": s["semantic"], "pixel": cut(s["pixel"], 1)},
        lambda s: {"semantic": widened(s["semantic"]), "pixel": cut(s["pixel"], 1)},
    ],
)
def test_streams_that_do_not_fit_are_refused(
    tokenizer: DualToken, picture: Pictures, change: Callable[[dict[str, Stream]], dict[str, Stream]]
) -> None:
    code = encoded(tokenizer, picture(16, 16))
    with pytest.raises(InputError, match="pictures of 16 x 16 have ids of the shapes"):
        tokenizer.decode(replace(code, streams=change(dict(code.streams))))


def cut(stream: Stream, count: int) -> Stream:
    return replace(stream, ids=stream.ids[..., :count], vocab=stream.vocab[:count])


def widened(stream: Stream) -> Stream:
    return replace(stream, ids=torch.cat([stream.ids, stream.ids[..., :1]], -1), vocab=(*stream.vocab, 64))


def test_ids_that_there_are_not_are_named(tokenizer: DualToken, picture: Pictures) -> None:
    code = encoded(tokenizer, picture(16, 16))
    stream = code.streams["semantic"]
    wrong = replace(code, streams={**code.streams, "semantic": replace(stream, ids=stream.ids + 64)})
    with pytest.raises(InputError, match="ids are 0 to 63"):
        tokenizer.decode(wrong)


# --- windows


def test_a_window_does_not_see_the_next(tokenizer: DualToken, picture: Pictures) -> None:
    x = picture(32, 48)
    whole, part = encoded(tokenizer, x), encoded(tokenizer, x[..., 16:, 32:])
    for name, stream in whole.streams.items():
        assert torch.equal(stream.ids[:, 5:, 10:], part.streams[name].ids)
    with torch.inference_mode():
        assert torch.allclose(tokenizer.decode(whole)[..., 16:, 32:], tokenizer.decode(part), atol=1e-5)


def test_pixels_beside_whole_patches_are_not_seen(tokenizer: DualToken, picture: Pictures) -> None:
    """Fifteen of sixteen pixels are."""
    x = picture(16, 16)
    beside, inside = x.clone(), x.clone()
    beside[..., 15, :] = 1 - beside[..., 15, :]
    inside[..., :8, :] = 1 - inside[..., :8, :]
    ids = [encoded(tokenizer, one).streams["pixel"].ids for one in (x, beside, inside)]
    assert torch.equal(ids[0], ids[1])
    assert not torch.equal(ids[0], ids[2])


# --- features


def test_features_of_every_kind(tokenizer: DualToken, picture: Pictures) -> None:
    x = picture(16, 40, batch=2)
    with torch.inference_mode():
        found = tokenizer.features(x)
        code = tokenizer.encode(x)
        moved = {name: tokenizer.features_of(other(code, name)) for name in code.streams}
        alone = tokenizer.features(x[1:, :, :, :16])
    assert {name: tuple(t.shape) for name, t in found.items()} == {
        "semantic": (2, 16, 5, 15),
        "pixel": (2, 16, 5, 15),
        "pooler": (2, 3, 16),
    }
    assert [name for name in found if not torch.equal(found[name], moved["pixel"][name])] == ["pixel"]
    assert [name for name in found if not torch.equal(found[name], moved["semantic"][name])] == ["semantic", "pooler"]
    assert torch.allclose(found["pooler"][1, 0], alone["pooler"][0, 0], atol=1e-5)
    assert torch.allclose(found["semantic"][1, :, :, :5], alone["semantic"][0], atol=1e-5)


def test_codes_go_back_in_order_and_forth_without() -> None:
    """What comes later is not seen on the way back."""
    torch.manual_seed(0)
    x = torch.randn(1, 6, 8)
    changed = torch.cat([x[:, :4], -x[:, 4:]], 1)
    back, forth = CausalAttention(8, 16), MeanAttention(8, 4)
    with torch.no_grad():
        assert torch.allclose(back(x)[:, :4], back(changed)[:, :4], atol=1e-6)
        assert not torch.allclose(back(x)[:, 4:], back(changed)[:, 4:], atol=1e-3)
        assert not torch.allclose(forth(x)[:, :4], forth(changed)[:, :4], atol=1e-3)


# --- training


def test_terms_are_means_over_the_windows_of_an_item(picture: Pictures) -> None:
    model, x = made().train(), picture(16, 32, batch=2)
    together = model(x)
    assert set(together.terms) == {"mse", "semantic_commitment", "pixel_commitment", "semantic", "pooler"}
    assert together.aux["pooler"].shape == (2, 2, 16)
    assert together.aux["ids"].shape == (2, 5, 10, 4)
    left, right = model(x[..., :16]), model(x[..., 16:])
    for name, term in together.terms.items():
        assert torch.allclose(term, (left.terms[name] + right.terms[name]) / 2, atol=1e-5), name
    ids = model.eval().encode(x)
    assert torch.equal(together.aux["ids"], torch.cat([s.ids for s in ids.streams.values()], -1))


def moved(model: DualToken, term: str, start: str, x: Tensor) -> bool:
    """Whether a term moves the weights whose names start so."""
    model.zero_grad()
    model(x).terms[term].sum().backward()
    return any(p.grad is not None and bool(p.grad.any()) for name, p in model.named_parameters() if name.startswith(start))


def test_each_term_moves_what_it_is_about(picture: Pictures) -> None:
    model, x = made().train(), picture(16, 16)
    deepest = "tower.blocks.2."
    assert moved(model, "mse", "tower.blocks.1.", x)
    assert not moved(model, "mse", deepest, x)
    assert not moved(model, "semantic", "post_quant_tail.", x)
    assert moved(model, "pooler", "post_quant_tail.", x)
    assert moved(model, "pooler", deepest, x)
    for parameter in model.to_semantic.parameters():
        parameter.data.zero_()
    for term in ("semantic", "pooler"):
        assert not moved(model, term, deepest, x), "features move towards what codes can say"


# --- checkpoints


def upstream(model: DualToken) -> dict[str, Tensor]:
    """A checkpoint of the authors: every table under every level, with a last row; what training keeps; the text tower."""
    names = dualtoken.names_of(model)
    found = {names.upstream(name): p.detach().clone() for name, p in model.named_parameters()}
    for kind in ("sem", "pix"):
        table = torch.cat([found[f"quantizer_{kind}.codebooks.1.weight"], torch.full((1, 4), 5.0)])
        for level in range(2):
            start = f"quantizer_{kind}.codebooks.{level}"
            found |= {f"{start}.weight": table, f"{start}.cluster_size_ema": torch.ones(64), f"{start}.embed_ema": table[:-1]}
        found[f"prequant_{kind}.attn.zero_k_bias"] = torch.zeros(16)
    return {**found, "siglip_model.logit_scale": torch.ones(1), "siglip_model.text_model.head.bias": torch.ones(16)}


def test_a_checkpoint_of_training_is_taken(tmp_path: Path) -> None:
    theirs = made()
    torch.save({"state_dict": upstream(theirs), "epoch": 3}, tmp_path / "last.pt")
    taken = from_checkpoint("dualtoken_test", tmp_path / "last.pt")
    assert all(torch.equal(p, taken.get_parameter(name)) for name, p in theirs.named_parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quantizer_pix.codebooks.0.weight": torch.zeros(65, 4)}, "levels share one codebook"),
        ({"quantizer_pix.codebooks.0.weight": None}, "missing quantizer_pix.codebooks.0.weight"),
        ({"quantizer_sem.codebooks.2.weight": torch.zeros(65, 4)}, "unexpected quantizer_sem.codebooks.2.weight"),
        ({"prequant_sem.attn.zero_k_bias": torch.ones(16)}, "zero_k_bias is not zero"),
        ({"siglip_model.vision_model.encoder.layers.4.norm1.bias": torch.zeros(16)}, "unexpected siglip_model.vision_model"),
    ],
)
def test_what_is_not_as_it_should_be_is_refused(change: dict[str, Tensor | None], message: str) -> None:
    model = made()
    theirs = {key: t for key, t in {**upstream(model), **change}.items() if t is not None}
    with pytest.raises(WeightsMismatch, match=message):
        dualtoken.take(model, theirs)
