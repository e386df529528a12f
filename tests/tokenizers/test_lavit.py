"""LaVIT beyond what the contract covers: how many ids there are, what they decode to, and which patches see which."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tokodec.api import Sampler, Tokens
from tokodec.codecs.token import TokenCodec
from tokodec.errors import InputError
from tokodec.nn.position import restretched
from tokodec.pretrained import store
from tokodec.pretrained.convert import lavit
from tokodec.zoo import create

Pictures = Callable[..., Tensor]


@pytest.fixture
def model() -> Any:
    return store.load("lavit_test")


def tokens(model: Any, picture: Pictures, batch: int = 2) -> Tokens:
    with torch.inference_mode():
        return model.encode(picture(30, 41, batch=batch))


def test_ids_are_of_kept_patches_in_their_order(model: Any, picture: Pictures) -> None:
    x = picture(32, 32)
    with torch.inference_mode():
        code, seen = model.encode(x), model.features(x)
        ids = model.quantizer.ids(model.head(seen["merged"].flatten(2).transpose(1, 2)))
    keep = seen["kept"].flatten(1)
    (stream,) = code.streams.values()
    count = int(keep.sum())
    assert stream.lengths.tolist() == [count]
    assert torch.equal(stream.ids[0, :count], ids[keep])
    assert not bool(stream.ids[0, count:].any())
    assert code.bits.tolist() == [count * 6.0]


def test_length_follows_the_picture(model: Any) -> None:
    features = torch.randn(8, 16, 16)
    chances = model.selector(features)
    model.selector.leave[-1].bias.data[0] -= (chances[..., 0] - chances[..., 1]).median()  # so that half of all are kept
    counts = model.kept(features).sum(1)
    assert len(set(counts.tolist())) > 1
    assert int(counts.sum()) == 64


def test_something_is_always_kept(model: Any) -> None:
    model.selector.leave[-1].bias.data.copy_(torch.tensor([-100.0, 100.0]))
    keep = model.kept(torch.randn(4, 16, 16))
    assert keep.sum(1).tolist() == [1, 1, 1, 1]


def test_what_is_dropped_later_does_not_change_what_was_kept(model: Any) -> None:
    """A kept patch sees those kept before it and all that are dropped, and nothing that is kept later, but for a millionth."""
    x, keep = torch.randn(1, 8, 16), torch.tensor([[1.0, 0, 1, 1, 0, 1, 1, 1]])
    other = x.clone()
    other[:, 6] = torch.randn(16)
    with torch.inference_mode():
        first, second = model.merger(x, keep), model.merger(other, keep)
    assert torch.allclose(first[:, :6], second[:, :6], atol=1e-5)
    assert not torch.allclose(first[:, 7], second[:, 7], atol=1e-3)
    other = x.clone()
    other[:, 4] = torch.randn(16)
    with torch.inference_mode():
        assert not torch.allclose(first[:, 0], model.merger(other, keep)[:, 0], atol=1e-3)


def test_an_item_decodes_as_it_does_alone(model: Any, picture: Pictures) -> None:
    code = tokens(model, picture)
    with torch.inference_mode():
        y, told = model.decode(code), model.conditions(code)
        alone = [model.decode(code[i : i + 1]) for i in range(2)]
    assert y.shape == (2, 16, 4, 6)
    assert torch.equal(y, torch.cat(alone))
    assert {name: t.shape for name, t in told.items()} == {"prompt": (2, 24, 32), "pooled": (2, 20)}


def test_padding_does_not_count(model: Any, picture: Pictures) -> None:
    code = tokens(model, picture, batch=1)
    (stream,) = code.streams.values()
    assert stream.lengths is not None
    ids = stream.ids.clone()
    ids[0, int(stream.lengths) :] = 63
    with torch.inference_mode():
        assert torch.equal(model.decode(code), model.decode(replace(code, streams={"ids": replace(stream, ids=ids)})))


def test_sequences_come_back(model: Any, picture: Pictures) -> None:
    code = tokens(model, picture)
    rows = code.flatten(offset=32002)
    again = Tokens.unflatten(rows, model.blank(code.size), offset=32002)
    (one,), (other,) = code.streams.values(), again.streams.values()
    assert one.lengths.tolist() == other.lengths.tolist() == [len(row) for row in rows]  # type: ignore[union-attr]
    with torch.inference_mode():
        assert torch.equal(model.decode(code), model.decode(again))


@pytest.mark.parametrize(("length", "first", "message"), [(0, 0, "1 to 24 ids in a row"), (25, 0, "1 to 24"), (3, 64, "ids are 0 to 63")])
def test_ids_that_cannot_be_are_refused(model: Any, picture: Pictures, length: int, first: int, message: str) -> None:
    code = tokens(model, picture, batch=1)
    (stream,) = code.streams.values()
    ids = stream.ids.clone()
    ids[0, 0] = first
    with pytest.raises(InputError, match=message):
        model.decode(replace(code, streams={"ids": replace(stream, ids=ids, lengths=torch.tensor([length]))}))


def test_it_draws_nothing_and_makes_no_pictures(model: Any, picture: Pictures) -> None:
    with pytest.raises(InputError, match="no sampler"):
        model.decode(tokens(model, picture), sampler=Sampler())
    with pytest.raises(InputError, match="lavit_test decodes to features, not pictures"):
        TokenCodec(model)


def test_a_table_at_its_own_size_is_itself() -> None:
    table = torch.randn(9, 4)
    assert torch.equal(restretched(table, (3, 3)), table)
    assert restretched(table, (2, 5)).shape == (10, 4)


def test_three_files_are_one_checkpoint() -> None:
    model: Any = create("lavit_test")
    theirs = {lavit.NAMES.upstream(name): torch.randn_like(p) for name, p in model.named_parameters()}
    assert len(theirs) == len(list(model.parameters())), "two of ours have one name there"
    parts: list[dict[str, Tensor]] = [
        {key.removeprefix(part): t for key, t in theirs.items() if key.startswith(part)} for part in ("encoder.", "decoder.")
    ]
    rest = {key: t for key, t in theirs.items() if not key.startswith(("encoder.", "decoder."))}
    rest |= {"vit_proj.weight": torch.ones(3)}
    taken = lavit.take(create("lavit_test"), lavit.joined(parts[0], rest, parts[1]))  # type: ignore[arg-type]
    assert torch.equal(taken.decoder.queries, theirs["decoder.query_embed"])
    assert torch.equal(taken.encoder.cls_token, theirs["encoder.cls_token"])
