"""Two lattices of different sizes under one picture, what each of them says, turned places, training, and checkpoints of the authors."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import tokodec
from tokodec.api import Stream, Tokens
from tokodec.codecs.token import TokenCodec
from tokodec.errors import InputError, WeightsMismatch
from tokodec.pretrained import store
from tokodec.pretrained.convert import illume
from tokodec.pretrained.convert.origins import from_checkpoint
from tokodec.quantizers.codebook import SimVectorQuantizer
from tokodec.quantizers.replacement import CodeReplacement
from tokodec.tokenizers.illume import DualViTok
from tokodec.tokenizers.illume_pixels import CodeNorm, FoldDown, UnfoldUp
from tokodec.tokenizers.illume_semantics import merged, turned, turns_of
from tokodec.zoo import create

Pictures = Callable[..., Tensor]


@pytest.fixture
def tokenizer() -> DualViTok:
    model = store.load("illume_test")
    assert isinstance(model, DualViTok)
    return model


def made() -> DualViTok:
    """With fresh weights."""
    model = create("illume_test")
    assert isinstance(model, DualViTok)
    return model


def encoded(model: DualViTok, x: Tensor) -> Tokens:
    with torch.inference_mode():
        return model.encode(x)


def other(code: Tokens, name: str) -> Tokens:
    """With other ids in one stream."""
    stream = code.streams[name]
    return replace(code, streams={**code.streams, name: replace(stream, ids=(stream.ids + 7) % stream.vocab[0])})


# --- streams


def test_two_lattices_of_a_window(tokenizer: DualViTok, picture: Pictures) -> None:
    """A window of 32 pixels has 3 x 3 places of meaning and 8 x 8 of pixels."""
    code = encoded(tokenizer, picture(33, 32, batch=2))
    assert {n: (tuple(s.ids.shape), s.axes, s.vocab) for n, s in code.streams.items()} == {
        "semantic": ((2, 6, 3), ("h", "w"), (64,)),
        "pixel": ((2, 16, 8), ("h", "w"), (96,)),
    }


def test_published_bits() -> None:
    with torch.device("meta"):
        models = [create(f"illume_{side}") for side in (256, 512)]
    codes = [model.blank((200, 250)) for model in models if isinstance(model, DualViTok)]
    shapes = [{name: tuple(s.ids.shape[1:]) for name, s in code.streams.items()} for code in codes]
    assert shapes == [{"semantic": (9, 9), "pixel": (16, 16)}, {"semantic": (18, 18), "pixel": (32, 32)}]
    assert [round(float(code.bits[0]), 2) for code in codes] == [5460.75, 21843.0]


def test_files_hold_both(tokenizer: DualViTok, picture: Pictures) -> None:
    codec = TokenCodec(tokenizer)
    with torch.inference_mode():
        symbols = codec.symbols(picture(40, 30))
        (data,) = codec.write(symbols)
        again = codec.read([data], symbols.size)
    assert list(again.values) == ["semantic", "pixel"]
    assert all(torch.equal(again.values[name], values) for name, values in symbols.values.items())
    assert len(data) == 1 + -(-int(float(encoded(tokenizer, picture(40, 30)).bits[0]) + 1) // 8)


def test_a_tkd_file_comes_back(tokenizer: DualViTok, picture: Pictures) -> None:
    image = (picture(30, 50)[0].permute(1, 2, 0) * 255).round().byte()
    again = np.asarray(tokodec.decompress(tokodec.compress(image.numpy(), model="illume_test")))
    with torch.inference_mode():
        wanted = tokenizer.decode(tokenizer.encode((image.float() / 255).permute(2, 0, 1)[None]))
    assert int(np.abs(again.astype(int) - (wanted[0] * 255).permute(1, 2, 0).numpy()).max()) <= 1


@pytest.mark.parametrize("wrong", ["missing", "swapped", "short"])
def test_streams_that_do_not_fit_are_refused(tokenizer: DualViTok, picture: Pictures, wrong: str) -> None:
    code = encoded(tokenizer, picture(32, 32))
    semantic, pixel = code.streams.values()
    streams: dict[str, dict[str, Stream]] = {
        "missing": {"pixel": pixel},
        "swapped": {"semantic": pixel, "pixel": semantic},
        "short": {"semantic": semantic, "pixel": replace(pixel, ids=pixel.ids[:, 1:])},
    }
    with pytest.raises(InputError, match="pictures of 32 x 32 have ids of the shapes"):
        tokenizer.decode(replace(code, streams=streams[wrong]))


@pytest.mark.parametrize(("name", "last"), [("semantic", 63), ("pixel", 95)])
def test_ids_that_there_are_not_are_named(tokenizer: DualViTok, picture: Pictures, name: str, last: int) -> None:
    code = encoded(tokenizer, picture(32, 32))
    stream = code.streams[name]
    wrong = replace(code, streams={**code.streams, name: replace(stream, ids=stream.ids * 0 + last + 1)})
    with pytest.raises(InputError, match=f"ids are 0 to {last}"):
        tokenizer.decode(wrong)


def test_a_window_does_not_see_the_next(tokenizer: DualViTok, picture: Pictures) -> None:
    x = picture(64, 96)
    whole, part = encoded(tokenizer, x), encoded(tokenizer, x[..., 32:, 64:])
    for name, stream in whole.streams.items():
        side = tokenizer.config.sides[name]
        assert torch.equal(stream.ids[:, side:, 2 * side :], part.streams[name].ids)
    with torch.inference_mode():
        assert torch.allclose(tokenizer.decode(whole)[..., 32:, 64:], tokenizer.decode(part), atol=1e-5)


# --- what ids say


def test_a_picture_is_made_of_both_and_features_of_one_each(tokenizer: DualViTok, picture: Pictures) -> None:
    x = picture(32, 50, batch=2)
    with torch.inference_mode():
        code = tokenizer.encode(x)
        found = tokenizer.features(x)
        moved = {name: tokenizer.features_of(other(code, name)) for name in code.streams}
        y = tokenizer.decode(code)
        assert not any(torch.equal(tokenizer.decode(other(code, name)), y) for name in code.streams)
    assert {name: tuple(t.shape) for name, t in found.items()} == {"semantic": (2, 24, 3, 6), "pixel": (2, 4, 8, 16)}
    for name in code.streams:
        assert [kind for kind in found if not torch.equal(found[kind], moved[name][kind])] == [name]
    book = tokenizer.books["pixel"]
    wanted = F.linear(book.codebook, book.transform.weight)[code.streams["pixel"].ids]
    assert torch.allclose(found["pixel"], wanted.permute(0, 3, 1, 2), atol=1e-6)


def test_turns_tell_how_far_apart_places_are() -> None:
    """Scores of turned vectors depend on the difference of places alone, and on rows and columns apart."""
    torch.manual_seed(0)
    turns = turns_of((4, 5), 8, torch.device("cpu"))
    q, k = (turned(torch.randn(8).expand(1, 1, 20, 8), turns)[0, 0].double() for _ in range(2))
    scores = (q @ k.T).view(4, 5, 4, 5)
    assert torch.allclose(scores[1, 1, 2, 4], scores[2, 0, 3, 3], atol=1e-5)
    assert torch.allclose(scores[0, 3, 0, 3], scores[3, 2, 3, 2], atol=1e-5)
    assert not torch.allclose(scores[1, 1, 2, 1], scores[1, 1, 1, 2], atol=1e-3)
    assert not torch.allclose(scores[0, 0, 0, 1], scores[0, 1, 0, 0], atol=1e-3)


def test_four_places_stand_side_by_side() -> None:
    grid = torch.arange(24).view(1, 24, 1)
    assert merged(grid, (4, 6))[0].tolist()[:4] == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11], [12, 13, 18, 19]]


@torch.no_grad()
def test_shortcuts_are_means_and_repetitions() -> None:
    x, down, up = torch.randn(1, 4, 6, 6), FoldDown(4), UnfoldUp(4)
    for conv in (down, up):
        torch.nn.init.zeros_(conv.weight)
        assert conv.bias is not None
        conv.bias.zero_()
    assert torch.allclose(down(x), x.unflatten(2, (3, 2)).unflatten(4, (3, 2)).mean((3, 5)), atol=1e-6)
    assert torch.equal(up(x), x.repeat_interleave(2, 2).repeat_interleave(2, 3))


@torch.no_grad()
def test_norms_follow_the_code_of_their_place() -> None:
    norm, x, code = CodeNorm(4, 3, 2), torch.randn(1, 4, 8, 8), torch.randn(1, 3, 4, 4)
    large = code.repeat_interleave(2, 2).repeat_interleave(2, 3)
    wanted = F.group_norm(x, 2, eps=1e-6) * norm.gain(large) + norm.offset(large)
    assert torch.allclose(norm(x, code), wanted, atol=1e-5)


# --- training


def test_terms_are_means_over_the_windows_of_an_item(picture: Pictures) -> None:
    model, x = made().train(), picture(32, 64, batch=2)
    model.replacement.rate = 0.0
    together = model(x)
    both = {f"{kind}_{term}" for kind in ("semantic", "pixel") for term in ("codebook", "commitment")}
    assert set(together.terms) == {"mse", "semantic", *both}
    assert together.aux["ids"].shape == (2, 2 * (9 + 64))
    left, right = model(x[..., :32]), model(x[..., 32:])
    for name, term in together.terms.items():
        assert torch.allclose(term, (left.terms[name] + right.terms[name]) / 2, atol=1e-5), name
    assert torch.equal(model.eval()(x).aux["ids"], together.aux["ids"])


def moved(model: DualViTok, term: str, x: Tensor) -> set[str]:
    """Which parts a term moves."""
    model.zero_grad()
    model(x).terms[term].sum().backward()
    return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}


def test_each_term_moves_what_it_is_about(picture: Pictures) -> None:
    model, x = made().train(), picture(32, 32)
    assert moved(model, "mse", x) == {"to_semantic", "encoder", "quant_conv", "post_quant_conv", "decoder"}
    assert moved(model, "semantic", x) == {"to_semantic", "decoder_semantic"}
    assert moved(model, "pixel_codebook", x) == moved(model, "semantic_codebook", x) == {"quantizers"}
    assert moved(model, "pixel_commitment", x) == {"encoder", "quant_conv"}
    assert moved(model, "semantic_commitment", x) == {"to_semantic"}


def test_the_tower_and_the_table_do_not_learn() -> None:
    still = {name for name, p in made().named_parameters() if not p.requires_grad}
    assert {name for name in still if not name.startswith("tower.")} == {f"quantizers.{kind}.codebook" for kind in ("semantic", "pixel")}


def test_some_codes_are_others_in_training() -> None:
    torch.manual_seed(0)
    quantizer, replacement = SimVectorQuantizer(1000, 4), CodeReplacement(0.3).train()
    z = quantizer(torch.randn(2, 2000, 4, requires_grad=True)).z
    found = replacement(z, quantizer).detach()
    kept = (found == z).all(-1)
    assert 0.68 < float(kept.float().mean()) < 0.72
    codes = quantizer.codes().detach()
    assert float(torch.cdist(found[~kept][:50], codes).amin(1).max()) < 1e-3, "they are codes too"
    assert len(found[~kept].unique(dim=0)) > 500, "any of them"
    assert torch.equal(replacement.eval()(z, quantizer), z)
    assert torch.equal(CodeReplacement(0.0).train()(z, quantizer), z)


def test_replaced_codes_say_nothing_to_the_encoder() -> None:
    quantizer = SimVectorQuantizer(50, 4)
    z = torch.randn(1, 30, 4, requires_grad=True)
    CodeReplacement(1.0).train()(z, quantizer).sum().backward()
    assert z.grad is not None
    assert not bool(z.grad.any())
    assert quantizer.transform.weight.grad is None


# --- checkpoints


def upstream(model: DualViTok) -> dict[str, Tensor]:
    """A checkpoint of the authors: kernels of patches have an axis of frames."""
    names = illume.names_of(model)
    found = {names.upstream(name): p.detach().clone() for name, p in model.named_parameters()}
    key = "semantic_encoder.model.patch_embed.proj.weight"
    return {**found, key: found[key].unflatten(1, (3, 2))}


def test_a_checkpoint_of_the_authors_is_taken(tmp_path: Path) -> None:
    theirs = made()
    torch.save(upstream(theirs), tmp_path / "pytorch_model.bin")
    taken = from_checkpoint("illume_test", tmp_path / "pytorch_model.bin")
    assert all(torch.equal(p, taken.get_parameter(name)) for name, p in theirs.named_parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_quantizer.frozen_codebook": None}, "missing pixel_quantizer.frozen_codebook"),
        ({"semantic_encoder.model.patch_embed.proj.weight": torch.zeros(16, 3, 3, 4, 4)}, "patch_embed.proj.weight is"),
        ({"pixel_decoder.up.0.upsample.conv.bias": torch.zeros(16)}, "unexpected pixel_decoder.up.0.upsample"),
        ({"pixel_quant_conv.bias": torch.full((4,), torch.nan)}, "no numbers"),
        ({"pixel_quant_conv.bias": torch.tensor([0, torch.inf, 0, 0])}, "no numbers"),
    ],
)
def test_what_is_not_as_it_should_be_is_refused(change: dict[str, Tensor | None], message: str) -> None:
    model = made()
    theirs = {key: t for key, t in {**upstream(model), **change}.items() if t is not None}
    with pytest.raises(WeightsMismatch, match=message):
        illume.take(model, theirs)
