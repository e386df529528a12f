"""Reducers: what all of them promise, and what is particular to each."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tokodec import zoo
from tokodec.api import Latents, Reducer
from tokodec.catalogue import list_models
from tokodec.errors import InputError, WeightsMismatch
from tokodec.numerics import Fast
from tokodec.pretrained import store
from tokodec.pretrained.convert import m3, mqt
from tokodec.pretrained.convert.names import Names

NAMES = {"mqt_test": mqt.NAMES, "m3_test": m3.NAMES}


@pytest.fixture(params=[name for name, entry in zoo.MODELS.items() if entry.kind == "reducer" and name.endswith("_test")])
def model(request: pytest.FixtureRequest) -> Any:
    return store.load(request.param)


def features(*, batch: int = 2, places: int = 16) -> Tensor:
    return torch.randn(batch, places, 16, generator=torch.Generator().manual_seed(1))


def changed(model: nn.Module) -> nn.Module:
    """With weights that no initialisation gives, so that none is trivial."""
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


def test_they_are_listed_as_what_they_are(model: Any) -> None:
    assert isinstance(model, Reducer)
    assert model.name in list_models(kind="reducer")
    assert zoo.MODELS[model.name].gives == "vectors"


def test_any_number_of_vectors_is_the_beginning_of_more(model: Any) -> None:
    x = features()
    with torch.inference_mode():
        whole = model.encode(x)
        assert whole.z.shape == (2, model.counts[-1], 24)
        for i, k in enumerate(model.counts):
            code = model.encode(x, quality=i / (len(model.counts) - 1))
            assert code.z.shape == (2, k, 24)
            assert torch.equal(code.z, model.truncate(whole, k).z)
            assert torch.allclose(code.z, model.pooled(x, k), atol=1e-6)


def test_fewer_can_be_fewer_still(model: Any) -> None:
    with torch.inference_mode():
        whole = model.encode(features())
        (*_, between, _) = model.counts
        twice = model.truncate(model.truncate(whole, between), model.counts[0])
    assert torch.allclose(twice.z, model.truncate(whole, model.counts[0]).z, atol=1e-6)


def test_a_batch_is_its_items(model: Any) -> None:
    x = features(batch=3)
    with torch.inference_mode():
        assert torch.equal(model.encode(x).z, torch.cat([model.encode(one).z for one in x.split(1)]))


def test_fast_numerics_are_near(model: Any) -> None:
    x = features()
    with torch.inference_mode():
        stable = model.encode(x, quality=0.5).z
        model.numerics = Fast()
        fast = model.encode(x, quality=0.5).z
    assert fast.dtype == torch.float32
    assert torch.allclose(stable, fast, atol=0.05)
    assert not torch.equal(stable, fast)


def test_vectors_depend_on_features(model: Any) -> None:
    """Of every place: none is left out."""
    x = features(batch=1).requires_grad_()
    model.pooled(x, model.counts[0]).square().sum().backward()
    assert x.grad is not None
    assert bool((x.grad.abs().amax(2) > 0).all())


def test_bits_and_files(model: Any, tmp_path: Path) -> None:
    with torch.inference_mode():
        code = model.encode(features())
    assert code.size == (16,)
    assert code.bits.tolist() == [model.counts[-1] * 24 * 32.0] * 2
    code.save(tmp_path / "code.safetensors")
    assert torch.equal(Latents.load(tmp_path / "code.safetensors").z, code.z)


def test_saved_and_loaded_is_the_same_model(model: Any, tmp_path: Path) -> None:
    store.save(model, tmp_path / "model.safetensors", name=model.name)
    again: Any = store.load(f"dir:{tmp_path}")
    assert again.fingerprint == model.fingerprint
    assert again.takes == "features:16"
    assert torch.equal(model.encode(features()).z, again.encode(features()).z)


def test_nothing_decodes_them(model: Any) -> None:
    with pytest.raises(InputError, match=f"{model.name} reduces features"):
        model.decode(model.encode(features()))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(1, 16, 8), r"takes features \(b, n, 16\) of a square of places, not \(1, 16, 8\)"),
        (torch.zeros(1, 15, 16), "of a square"),
        (torch.zeros(1, 0, 16), "of a square"),
    ],
)
def test_other_features_are_refused(model: Any, x: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.encode(x)


@pytest.mark.parametrize("quality", [-0.1, 1.5, float("nan"), torch.tensor([0.0, 1.0])])
def test_other_qualities_are_refused(model: Any, quality: Any) -> None:
    with pytest.raises(InputError, match="quality"):
        model.encode(features(), quality=quality)


@pytest.mark.parametrize("k", [0, -1, 17, 1000])
def test_other_numbers_of_vectors_are_refused(model: Any, k: int) -> None:
    with pytest.raises(InputError, match=f"not {k}"):
        model.truncate(model.encode(features()), k)


def test_more_than_there_are_is_refused(model: Any) -> None:
    few = model.encode(features(), quality=0.0)
    with pytest.raises(InputError, match="of 1 vectors there can be 1, not"):
        model.truncate(few, model.counts[1])


def test_training_reaches_every_parameter(model: Any) -> None:
    fresh = changed(zoo.create(model.name).train())
    output = fresh(features())
    assert output.pixels is None
    torch.stack([found.square().mean() for found in output.aux.values()]).mean().backward()
    learning = [p for p in fresh.parameters() if p.requires_grad]
    assert all(p.grad is not None and bool(p.grad.any()) for p in learning)


def test_training_by_what_reads_the_vectors_lowers_its_loss_at_every_length(model: Any) -> None:
    """A reader that takes the mean of the vectors stands for a language model."""
    torch.manual_seed(0)
    fresh: Any = zoo.create(model.name).train()
    reader, x = nn.Linear(24, 4), features(batch=16)
    wanted = x[..., :4].mean(1).sign()
    learning = [*(p for p in fresh.parameters() if p.requires_grad), *reader.parameters()]

    def loss(vectors: Tensor) -> Tensor:
        return (reader(vectors.mean(1)) - wanted).square().mean()

    def losses() -> list[float]:
        with torch.inference_mode():
            return [float(loss(fresh.pooled(x, k))) for k in (model.counts[1], model.counts[-1])]

    before = losses()
    for _ in range(60):
        mean = torch.stack([loss(vectors) for vectors in fresh(x).aux.values()]).mean()
        # A step of one length for all: what torch.optim brings takes longer to import than the test.
        for parameter, gradient in zip(learning, torch.autograd.grad(mean, learning), strict=True):
            parameter.data.sub_(5e-3 * gradient.sign())
    assert all(after < 0.7 * earlier for after, earlier in zip(losses(), before, strict=True))


def test_forward_says_how_many(model: Any) -> None:
    fresh: Any = zoo.create(model.name).train()
    (vectors,) = fresh(features(), quality=torch.zeros(2)).aux.values()
    assert vectors.shape == (2, 1, 24)


def test_mqt_draws_even_numbers_of_queries_for_a_batch() -> None:
    fresh: Any = zoo.create("mqt_test").train()
    drawn = {fresh(features()).aux["vectors"].shape[1] for _ in range(200)}
    assert drawn == set(range(2, 17, 2))
    assert fresh.eval()(features()).aux["vectors"].shape[1] == 16


def test_mqt_weighs_places_alike_in_all_pictures() -> None:
    """Without the normalisation of values it is linear in them."""
    model: Any = store.load("mqt_test")
    queries, keys = (torch.randn(n, 16) for n in (3, 16))
    a, b = features(batch=1), features(batch=2)[1:]
    with torch.inference_mode():
        nothing = model.attention(queries, keys, torch.zeros_like(a))
        apart = model.attention(queries, keys, a) + model.attention(queries, keys, b) - nothing
        assert torch.allclose(model.attention(queries, keys, a + b), apart, atol=1e-5)


def test_mqt_takes_other_squares() -> None:
    model: Any = store.load("mqt_test")
    with torch.inference_mode():
        assert model.encode(features(places=49)).z.shape == (2, 16, 24)


def test_m3_has_all_scales_in_training_and_means_of_squares() -> None:
    model: Any = store.load("m3_test")
    x = features()
    found = model(x).aux
    assert {name: t.shape[1] for name, t in found.items()} == {"vectors_1": 1, "vectors_4": 4, "vectors_16": 16}
    finest = found["vectors_16"]
    assert torch.allclose(found["vectors_1"], finest.mean(1, keepdim=True), atol=1e-6)
    second = finest[:, [2, 3, 6, 7]].mean(1)  # the square at the right above, row by row
    assert torch.allclose(found["vectors_4"][:, 1], second, atol=1e-6)
    with pytest.raises(InputError, match="features of 16 places, not 49"):
        model.encode(features(places=49))


def test_the_published_scales_are_nested() -> None:
    with torch.device("meta"):
        sizes = zoo.create("m3_llava_7b")
    assert list(sizes.counts) == [1, 9, 36, 144, 576]  # type: ignore[arg-type]
    z = torch.randn(1, 576, 3)
    for k in (144, 36, 9, 1):
        again = sizes.fewer(z, k)  # type: ignore[operator]
        assert torch.allclose(again, sizes.fewer(sizes.fewer(z, 144), k), atol=1e-6)  # type: ignore[operator]


@pytest.mark.parametrize("prefix", ["", "model.mm_projector."])
def test_a_projector_is_found_in_a_whole_model(model: Any, prefix: str) -> None:
    names: Names = NAMES[model.name]
    theirs = {prefix + names.upstream(name): torch.randn_like(p) for name, p in model.named_parameters()}
    assert len(theirs) == len(list(model.parameters())), "two of ours have one name there"
    more = {"model.layers.0.mlp.weight": torch.ones(3), "model.image_newline": torch.ones(3)} if prefix else {}
    take = {"mqt_test": mqt.take, "m3_test": m3.take}[model.name]
    taken = take(zoo.create(model.name), {**theirs, **more})  # type: ignore[arg-type]
    for name, parameter in taken.named_parameters():
        assert torch.equal(parameter, theirs[prefix + names.upstream(name)])
    first = next(iter(theirs))
    with pytest.raises(WeightsMismatch, match="missing"):
        take(zoo.create(model.name), {key: t for key, t in theirs.items() if key != first})  # type: ignore[arg-type]


def test_the_keys_of_llavas_projector() -> None:
    with torch.device("meta"):
        model = zoo.create("m3_llava_7b")
    found = {m3.NAMES.upstream(name): tuple(p.shape) for name, p in model.named_parameters()}
    assert found == {"0.weight": (4096, 1024), "0.bias": (4096,), "2.weight": (4096, 4096), "2.bias": (4096,)}
