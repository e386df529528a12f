"""Rows from coarse to fine: prefixes, qualities, mixed lengths in one batch, files, sequences, the search for the shortest."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tokodec.api import Tokens
from tokodec.codecs.token import TokenCodec
from tokodec.errors import CorruptFile, InputError
from tokodec.pretrained import store
from tokodec.sequence import Packed, pack, unpack
from tokodec.tokenizers.retok_layers import groups
from tokodec.tokenizers.shortest import shortest_prefix
from tokodec.zoo import create

Pictures = Callable[..., Tensor]
NAMES = ("one_d_piece_test", "retok_test")


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest) -> Any:
    return store.load(request.param)


def encoded(model: Any, x: Tensor, quality: Any = None) -> Tokens:
    with torch.inference_mode():
        return model.encode(x, quality=quality)


def lengths(code: Tokens) -> list[int]:
    found = code.streams["ids"].lengths
    assert found is not None
    return found.tolist()


def test_quality_chooses_how_many_ids(model: Any, picture: Pictures) -> None:
    x = picture(32, 32).expand(4, -1, -1, -1)
    code = encoded(model, x, torch.tensor([0.0, 0.2, 0.6, 1.0]))
    assert lengths(code) == [1, 1 + round(0.2 * (model.row - 1)), 1 + round(0.6 * (model.row - 1)), model.row]
    assert code.bits.tolist() == [n * 6 for n in lengths(code)]
    whole = encoded(model, x)
    assert lengths(whole) == [model.row] * 4
    assert all(torch.equal(code.ids[i, :n], whole.ids[i, :n]) for i, n in enumerate(lengths(code)))
    assert all(not bool(code.ids[i, n:].any()) for i, n in enumerate(lengths(code)))


def test_truncating_is_encoding_fewer(model: Any, picture: Pictures) -> None:
    x = picture(64, 40, batch=2)
    whole = encoded(model, x)
    for k in range(1, model.row + 1):
        fewer = encoded(model, x, (k - 1) / (model.row - 1))
        cut = model.truncate(whole, k)
        assert torch.equal(cut.ids, fewer.ids)
        assert lengths(cut) == lengths(fewer) == [k * 4] * 2
    assert lengths(model.truncate(model.truncate(whole, 2), 5)) == [8, 8]
    for k in (0, model.row + 1):
        with pytest.raises(InputError, match=f"a window has 1 to {model.row} ids, not {k}"):
            model.truncate(whole, k)


def test_mixed_lengths_decode_as_they_do_alone(model: Any, picture: Pictures) -> None:
    """Bit for bit, whatever stands beside them, and whatever is written behind what counts."""
    x = picture(64, 32, batch=4)
    whole = encoded(model, x)
    for cut in ([2, 3, 7, 12], [12, 2, 5, 9]):  # of two windows each, so that some have an id more than others
        stream = replace(whole.streams["ids"], lengths=torch.tensor(cut))
        code = replace(whole, streams={"ids": stream})
        with torch.inference_mode():
            together = model.decode(code)
            for i, n in enumerate(cut):
                alone = replace(code[i : i + 1], streams={"ids": replace(stream, ids=whole.ids[i : i + 1, :n], lengths=None)})
                assert torch.equal(together[i : i + 1], model.decode(alone))


def test_every_id_says_something(model: Any, picture: Pictures) -> None:
    whole = encoded(model, picture(32, 32))
    with torch.inference_mode():
        pictures = [model.decode(model.truncate(whole, k)) for k in range(1, model.row + 1)]
    assert all(not torch.equal(a, b) for a, b in zip(pictures, pictures[1:], strict=False))


def test_a_tail_is_not_padded(picture: Pictures) -> None:
    """Ids of nothing in place of those that were dropped would change the picture."""
    model: Any = store.load("one_d_piece_test")
    code = model.truncate(encoded(model, picture(32, 32)), 2)
    filled = replace(code, streams={"ids": replace(code.streams["ids"], lengths=torch.tensor([model.row]))})
    with torch.inference_mode():
        assert not torch.equal(model.decode(code), model.decode(filled))


def test_masked_rows_are_shorter_rows(model: Any) -> None:
    """Up to rounding: what training and fast numerics do is what is done for good."""
    torch.manual_seed(0)
    z = torch.randn(3, model.row, model.quantizer.dim)
    seen = torch.arange(model.row) < torch.tensor([[1], [4], [model.row]])
    with torch.inference_mode():
        together = model.drawn(z, seen)[0]
        for i, n in enumerate((1, 4, model.row)):
            assert torch.allclose(together[i : i + 1], model.drawn(z[i : i + 1, :n])[0], atol=1e-5)


def test_lengths_that_cannot_be_are_refused(model: Any, picture: Pictures) -> None:
    code = encoded(model, picture(64, 32))
    stream = code.streams["ids"]
    for wrong in (1, 2 * model.row + 1):
        with pytest.raises(InputError, match=f"have 2 to {2 * model.row} ids in a row, not \\[{wrong}\\]"):
            model.decode(replace(code, streams={"ids": replace(stream, lengths=torch.tensor([wrong]))}))
    with pytest.raises(InputError, match="ids are 0 to 63"):
        model.decode(replace(code, streams={"ids": replace(stream, ids=stream.ids + 64)}))


# --- training


def test_one_length_is_dropped_to_for_a_whole_batch() -> None:
    model: Any = create("one_d_piece_test")
    torch.manual_seed(0)
    drawn = [model.drawn_lengths(4).tolist() for _ in range(200)]
    assert all(len(set(some)) == 1 for some in drawn)
    assert {some[0] for some in drawn} == set(range(1, model.row + 1))


def test_nested_dropout_draws_a_length_for_each_item() -> None:
    model: Any = create("retok_test")
    torch.manual_seed(0)
    drawn = model.drawn_lengths(400)
    assert set(drawn.tolist()) == set(range(1, model.row + 1))


@pytest.mark.parametrize("name", NAMES)
def test_training_sees_the_prefix_and_quantizes_everything(name: str, picture: Pictures) -> None:
    model: Any = create(name).train()
    x = picture(32, 32, batch=2)
    quality = torch.tensor([0.0, 1.0])
    found = model(x, quality=quality)
    assert set(found.terms) == {"mse", "codebook", "commitment"}
    with torch.no_grad():
        code = encoded(model.eval(), x, quality)
        whole = encoded(model, x)
        assert torch.allclose(found.pixels.clamp(0, 1), model.decode(code), atol=1e-4)
    assert torch.equal(found.aux["ids"], whole.ids)
    model.train()
    found = model(x, quality=torch.zeros(2))
    found.terms["mse"].sum().backward()
    rows = model.decoder.tower.row_positions if name.startswith("one") else model.decoder.lattice.row_positions
    assert bool(rows.grad[0].any())
    assert not bool(rows.grad[1:].any())


def test_redundant_queries_decide_ids() -> None:
    """Dropping them would change every vector."""
    model: Any = store.load("retok_test")
    x = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        before = model.latents(x)
        assert model.vectors(x).shape == (1, model.row + model.row - model.config.head, 4)
        model.encoder.row.spare_positions.add_(1)
        assert not torch.allclose(model.latents(x), before)


def test_parts_of_a_picture() -> None:
    assert groups(256) == [(1, 1), (1, 1), (1, 2), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (8, 16)]
    assert sum(math.prod(shape) for shape in groups(64)) == 64


# --- files


def test_files_hold_as_many_ids_as_there_are(model: Any, picture: Pictures) -> None:
    codec = TokenCodec(model)
    x = picture(64, 32)
    with torch.inference_mode():
        for quality in (0.0, 0.5, 1.0):
            symbols = codec.symbols(x, quality)
            (data,) = codec.write(symbols)
            assert len(data) == 2 + math.ceil(6 * int(symbols.level) / 8)
            again = codec.read([data], symbols.size)
            assert again.crc32() == symbols.crc32()
            assert torch.equal(codec.synthesise(again), model.decode(model.encode(x, quality=quality)))


def test_a_payload_that_claims_another_count_is_refused(model: Any, picture: Pictures) -> None:
    codec = TokenCodec(model)
    with torch.inference_mode():
        symbols = codec.symbols(picture(32, 32), 0.5)
        (data,) = codec.write(symbols)
    for spoilt in (b"", data[:1], data[:-1], data + b"\0", data[:1] + b"\xff" + data[2:], b"\0" + data[1:], b"\1" + data[1:]):
        with pytest.raises(CorruptFile):
            codec.check(spoilt, symbols.size)
        with pytest.raises(CorruptFile):
            codec.read([spoilt], symbols.size)


# --- sequences


@cache
def create_blank() -> Tokens:
    model: Any = create("retok_test")
    return model.blank((32, 32))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 10**6), st.integers(0, 999))
@settings(deadline=None, max_examples=60)
def test_packing_mixed_lengths_and_back(counts: list[int], offset: int, seed: int) -> None:
    blank = create_blank()
    ids = torch.randint(64, (len(counts), 8), generator=torch.Generator().manual_seed(seed))
    stream = replace(blank.streams["ids"], ids=ids, lengths=torch.tensor(counts).clamp(max=8))
    code = Tokens(streams={"ids": stream}, size=(32, 32))
    packed = pack(code.flatten(offset))
    kept = [min(n, 8) for n in counts]
    assert packed.cu_seqlens.dtype == torch.int32
    assert packed.cu_seqlens.tolist() == [sum(kept[:i]) for i in range(len(kept) + 1)]
    assert (packed.longest, len(packed.ids)) == (max(kept), sum(kept))
    again = Tokens.unflatten(unpack(packed), blank, offset)
    assert lengths(again) == kept
    assert all(torch.equal(again.ids[i, :n], ids[i, :n]) for i, n in enumerate(kept))


def test_starts_that_do_not_divide_are_refused() -> None:
    for starts in ([], [0, 2], [1, 3], [0, 3, 2, 3]):
        with pytest.raises(InputError, match="divide"):
            unpack(Packed(ids=torch.arange(3), cu_seqlens=torch.tensor(starts, dtype=torch.int32), longest=3))
    with pytest.raises(InputError, match="no sequences"):
        pack([])


# --- the shortest prefix


def test_the_shortest_prefix_is_that_of_a_full_search(model: Any, picture: Pictures) -> None:
    """With a distance that falls with every id: how many are missing, which only the pictures tell."""
    x = picture(64, 32, batch=3)
    whole = encoded(model, x)
    with torch.inference_mode():
        by_length = torch.stack([model.decode(model.truncate(whole, k)) for k in range(1, model.row + 1)])
    decodes: list[int] = []

    def missing(y: Tensor, _: Tensor) -> Tensor:
        decodes.append(len(y))
        apart = (by_length - y).abs().flatten(2).amax(2)
        return model.row - 1 - apart.argmin(0).float()

    for k in range(1, model.row + 1):
        decodes.clear()
        found = shortest_prefix(model, x, missing, float(model.row - k))
        assert lengths(found.tokens) == [2 * k] * 3
        assert found.distance.tolist() == [model.row - k] * 3
        assert bool(found.met.all())
        assert len(decodes) <= 1 + math.ceil(math.log2(model.row))
    none = shortest_prefix(model, x, missing, -1.0)
    assert lengths(none.tokens) == [2 * model.row] * 3
    assert not bool(none.met.any())


def test_each_picture_has_its_own_length(model: Any, picture: Pictures) -> None:
    x = picture(32, 32, batch=6)
    wanted = torch.tensor([1, 2, 3, 4, 5, 6])
    whole = encoded(model, x)
    with torch.inference_mode():
        by_length = torch.stack([model.decode(model.truncate(whole, k)) for k in range(1, model.row + 1)])
    found = shortest_prefix(model, x, lambda y, _: (wanted - 1 - (by_length - y).abs().flatten(2).amax(2).argmin(0)).float(), 0.0)
    assert lengths(found.tokens) == wanted.tolist()


def test_models_without_prefixes_are_named(picture: Pictures) -> None:
    model: Any = store.load("titok_test")
    with pytest.raises(InputError, match="titok_test has no prefixes"):
        shortest_prefix(model, picture(32, 32), lambda y, x: (y - x).square().flatten(1).mean(1), 0.1)
