"""What every model promises, over the zoo's own tiny siblings: a new family is tested without writing a test."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tokodec import rate, zoo
from tokodec.api import Bitstream, Codec, DiscreteTokenizer, Latents, Tokens
from tokodec.codecs.token import TokenCodec
from tokodec.entropy.fixed import LEVELS
from tokodec.errors import CorruptFile, InputError, WeightsMismatch
from tokodec.files import FILE_KINDS
from tokodec.numerics import Fast
from tokodec.pretrained import store

TINY = [name for name in zoo.MODELS if name.endswith("_test")]
TOKENIZERS = [name for name in TINY if zoo.MODELS[name].kind == "discrete" and zoo.MODELS[name].input == "rgb"]
DRAWING = [name for name in TINY if not zoo.MODELS[name].gives]
"""All that decode to pictures."""
CODECS = [name for name in DRAWING if zoo.MODELS[name].kind in FILE_KINDS]
SIZES = [(1, 1), (1, 70), (33, 2), (64, 64), (37, 61), (17, 128)]

Pictures = Callable[..., Tensor]


@pytest.fixture(params=TINY)
def model(request: pytest.FixtureRequest) -> Any:
    return store.load(request.param)


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> Codec:
    return opened(request.param)


def opened(name: str, numerics: str = "stable") -> Codec:
    """The codec of that name; of a discrete tokenizer, the one that writes its ids."""
    loaded = store.load(name, numerics=numerics)
    codec = TokenCodec(loaded) if isinstance(loaded, DiscreteTokenizer) else loaded
    assert isinstance(codec, Codec)
    return codec


def variable(codec: Codec) -> bool:
    return zoo.MODELS[codec.name].variable_rate


def quality(model: Any, value: float = 0.6) -> float | None:
    return value if zoo.MODELS[model.name].variable_rate else None


def test_every_family_has_a_tiny_sibling() -> None:
    assert {e.family for e in zoo.MODELS.values()} == {zoo.MODELS[name].family for name in TINY}


@pytest.mark.parametrize("size", SIZES)
def test_any_size_in_the_same_size_out(model: Any, picture: Pictures, size: tuple[int, int]) -> None:
    x = picture(*size)
    with torch.inference_mode():
        y = model.decode(model.encode(x, quality=quality(model)))
    if model.name not in DRAWING:
        assert bool(y.isfinite().all())
        assert y.shape[2:] == tuple(-(-n // model.stride) for n in size)
        return
    assert y.shape == x.shape
    assert 0 <= float(y.min()) <= float(y.max()) <= 1


def test_encoding_twice_gives_the_same(model: Any, picture: Pictures) -> None:
    x = picture(48, 80)
    with torch.inference_mode():
        first, second = (model.encode(x, quality=quality(model)) for _ in range(2))
    assert same(first, second)


def test_a_batch_is_its_items(model: Any, picture: Pictures) -> None:
    x = picture(48, 80, batch=3)
    with torch.inference_mode():
        together = model.encode(x, quality=quality(model))
        for i in range(3):
            assert same(together[i : i + 1], model.encode(x[i : i + 1], quality=quality(model)))


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize(
    ("threads", "kernels", "maps"),
    [
        (1, torch.contiguous_format, torch.channels_last),
        (1, torch.channels_last, torch.contiguous_format),
        (2, torch.contiguous_format, torch.contiguous_format),
        (2, torch.channels_last, torch.channels_last),
    ],
)
def test_ids_do_not_depend_on_circumstances(
    name: str, picture: Pictures, threads: int, kernels: torch.memory_format, maps: torch.memory_format
) -> None:
    model: Any = store.load(name)
    x = picture(96, 112, batch=3)
    with torch.inference_mode():
        alone = [model.encode(x[i : i + 1]) for i in range(3)]
        model = model.to(memory_format=kernels)
        torch.set_num_threads(threads)
        try:
            together = model.encode(x.contiguous(memory_format=maps))
        finally:
            torch.set_num_threads(1)
    assert all(same(one, together[i : i + 1]) for i, one in enumerate(alone))


def test_bits_are_positive_and_one_an_item(model: Any, picture: Pictures) -> None:
    with torch.inference_mode():
        code = model.encode(picture(48, 80, batch=2), quality=quality(model))
    assert code.bits.shape == (2,)
    assert float(code.bits.min()) > 0


def test_saved_and_loaded_is_the_same_model(model: Any, picture: Pictures, tmp_path: Any) -> None:
    store.save(model, tmp_path / "model.safetensors", name=model.name)
    again = store.load(f"dir:{tmp_path}")
    assert again.fingerprint == model.fingerprint
    x = picture(40, 56)
    with torch.inference_mode():
        assert same(model.encode(x, quality=quality(model)), again.encode(x, quality=quality(model)))


def test_training_reaches_every_parameter(model: Any, picture: Pictures) -> None:
    torch.manual_seed(1)
    fresh = zoo.create(model.name).train()
    for parameter in fresh.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))  # layers that start at zero would hide those before them
    q = torch.tensor([0.2, 0.9]) if zoo.MODELS[model.name].variable_rate else None
    output = fresh(picture(64, 64, batch=2), quality=q)
    assert (output.pixels is not None) == (model.name in DRAWING)
    assert all(term.shape == (2,) for term in output.terms.values())
    given = [*output.terms.values(), *(found.square() for found in output.aux.values() if found.requires_grad)]
    torch.stack([t.sum() for t in given]).sum().backward()
    learning = {name: p for name, p in fresh.named_parameters() if p.requires_grad}
    without = [n for n, p in learning.items() if p.grad is None or not bool(torch.isfinite(p.grad).all()) or not bool(p.grad.any())]
    assert not without


@pytest.mark.parametrize("bad", [None, -0.1, 1.5, float("nan")])
def test_a_variable_rate_model_names_a_wrong_quality(model: Any, picture: Pictures, bad: float | None) -> None:
    if not zoo.MODELS[model.name].variable_rate:
        pytest.skip("fixed rate")
    if bad is None and isinstance(model, DiscreteTokenizer):
        pytest.skip("without a quality all ids are kept")
    with pytest.raises(InputError, match="quality"):
        model.encode(picture(16, 16), quality=bad)


def test_quality_is_monotone_in_rate(codec: Codec, picture: Pictures) -> None:
    if not variable(codec):
        pytest.skip("fixed rate")
    x = picture(64, 96)
    with torch.inference_mode():
        sizes = [len(codec.encode(x, quality=q / 40).data[0]) for q in range(41)]
    assert sizes == sorted(sizes)


def test_items_of_a_batch_may_have_their_own_quality(codec: Codec, picture: Pictures) -> None:
    if not variable(codec):
        pytest.skip("fixed rate")
    x = picture(48, 64).expand(3, -1, -1, -1)
    with torch.inference_mode():
        together = codec.encode(x, quality=torch.tensor([0.0, 0.5, 1.0]))
        assert [codec.encode(x[:1], quality=q).data[0] for q in (0.0, 0.5, 1.0)] == list(together.data)


def test_symbols_survive_bytes(codec: Codec, picture: Pictures) -> None:
    with torch.inference_mode():
        symbols = codec.symbols(picture(50, 70, batch=2), quality(codec, 0.7))
        again = codec.read(codec.write(symbols), symbols.size)
    assert again.crc32() == symbols.crc32()
    assert torch.equal(codec.synthesise(again), codec.synthesise(symbols))


def test_real_bits_are_the_models_estimate(codec: Codec, picture: Pictures) -> None:
    x = picture(96, 96, batch=2)
    with torch.inference_mode():
        q = torch.tensor([0.3, 1.0]) if variable(codec) else None
        output = codec(x, quality=q)
        bits = codec.encode(x, quality=q).bits
    estimate = output.terms["bpp"].double() * 96 * 96
    assert bool(((bits - estimate).abs() <= 0.005 * estimate + 64).all())


@pytest.mark.parametrize("condition", ["two threads", "channels_last", "fast", "batch"])
def test_symbols_are_read_alike_whatever_the_reader_runs_on(codec: Codec, picture: Pictures, condition: str) -> None:
    x = picture(80, 112, batch=2)
    with torch.inference_mode():
        symbols = codec.symbols(x, torch.tensor([0.4, 0.9]) if variable(codec) else None)
        data = codec.write(symbols)
        assert read_under(condition, codec, data, symbols.size) == symbols.crc32()


def read_under(condition: str, codec: Codec, data: list[bytes], size: tuple[int, ...]) -> list[int]:
    if condition == "two threads":
        torch.set_num_threads(2)
        try:
            return codec.read(data, size).crc32()
        finally:
            torch.set_num_threads(1)
    if condition == "channels_last":
        return codec.to(memory_format=torch.contiguous_format).read(data, size).crc32()
    if condition == "fast":
        codec.numerics = Fast()
        return codec.read(data, size).crc32()
    return [codec.read([item], size).crc32()[0] for item in data]


def test_fast_numerics_write_what_stable_reads(codec: Codec, picture: Pictures) -> None:
    x = picture(80, 112)
    fast = opened(codec.name, "fast")
    with torch.inference_mode():
        symbols = fast.symbols(x, quality(codec))
        assert codec.read(fast.write(symbols), symbols.size).crc32() == symbols.crc32()


def test_damaged_payloads_raise_or_differ(codec: Codec, picture: Pictures) -> None:
    with torch.inference_mode():
        symbols = codec.symbols(picture(48, 64), quality(codec, 0.8))
        (data,) = codec.write(symbols)
        for at in range(len(data)):
            spoilt = bytearray(data)
            spoilt[at] ^= 0x10
            try:
                again = codec.read([bytes(spoilt)], symbols.size)
            except CorruptFile:
                continue
            assert again.crc32() != symbols.crc32(), f"byte {at} says nothing"
        for length in range(len(data)):
            try:
                assert codec.read([data[:length]], symbols.size).crc32() != symbols.crc32()
            except CorruptFile:
                continue


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Bitstream):
        return list(a.data) == list(b.data) and a.size == b.size
    if isinstance(a, Tokens):
        return all(torch.equal(s.ids, b.streams[n].ids) for n, s in a.streams.items())
    assert isinstance(a, Latents)
    return torch.equal(a.z, b.z)


def test_weights_never_run_code(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps({"weights": 1}))
    with pytest.raises(WeightsMismatch, match="not a tokodec weights file"):
        store.load(f"dir:{tmp_path}")


def test_a_search_over_quality_steps_through_every_level() -> None:
    """rate.py loads no torch, so it cannot ask the models."""
    assert rate.LAST == LEVELS - 1
