"""Teachers from files, what is compared with them, and a tokenizer that learns to tell their features."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from tokodec.api import Output
from tokodec.data.shards import number_of
from tokodec.errors import InputError
from tokodec.losses.distillation import ContrastiveDistillation, CosineDistillation
from tokodec.losses.teacher import Teaching, teacher_on
from tokodec.settings import fill
from tokodec.train.loop import Trainer
from tokodec.train.recipe import Recipe

timm = pytest.importorskip("timm")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A transformer of timm with 64 features, as a recipe names it."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "vit.safetensors"
    save_file(timm.create_model("test_vit", num_classes=5, img_size=32).state_dict(), path)
    return {"teacher": "timm:test_vit", "file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "side": 32}


def output(prediction: Tensor) -> Output:
    return Output(pixels=None, terms={}, aux={"semantic": prediction})


def test_a_teacher_of_timm_sees_what_timm_shows_it(vit: dict[str, Any]) -> None:
    net = teacher_on(Teaching(**vit), CPU)
    x = torch.rand(2, 3, 50, 40)
    inside = timm.create_model("test_vit", num_classes=0, img_size=32).eval()
    inside.load_state_dict(net.net.state_dict())
    wanted = inside.forward_features(F.interpolate(x, (32, 32), mode="bicubic") * 2 - 1)
    assert torch.allclose(net(x, {}), wanted, atol=1e-5)
    assert net(x, {}).shape == (2, 1 + 4, 64)
    assert not any(p.requires_grad for p in net.parameters())


def test_contrast_is_the_cross_entropy_of_cosines(vit: dict[str, Any]) -> None:
    loss = ContrastiveDistillation(**vit, temperature=0.5)
    x = torch.rand(3, 3, 32, 32)
    theirs = teacher_on(Teaching(**vit), CPU)(x, {})
    ours = torch.randn(3, 1, 5, 64)
    cosines = torch.stack([F.cosine_similarity(ours[i, 0, 0][None], theirs[:, 0]) for i in range(3)]) / 0.5
    wanted = torch.stack([-(cosines[i, i].exp() / cosines[i].exp().sum()).log() for i in range(3)])
    assert torch.allclose(loss(x, torch.zeros(3), output(ours)), wanted, atol=1e-5)


def test_cosines_of_places_are_zero_for_the_teachers_own_features(vit: dict[str, Any]) -> None:
    loss = CosineDistillation(**vit)
    x = torch.rand(2, 3, 32, 32)
    theirs = teacher_on(Teaching(**vit), CPU)(x, {})
    assert torch.allclose(loss(x, torch.zeros(2), output(3 * theirs)), torch.zeros(2), atol=1e-6)
    assert torch.allclose(loss(x, torch.zeros(2), output(-theirs)), torch.full((2,), 2.0), atol=1e-6)
    finer = torch.cat([theirs[:, :1], theirs[:, 1:].unflatten(1, (2, 2)).repeat_interleave(2, 1).repeat_interleave(2, 2).flatten(1, 2)], 1)
    assert torch.allclose(loss(x, torch.zeros(2), output(finer)), torch.zeros(2), atol=1e-6)


def test_what_cannot_be_compared_is_said(vit: dict[str, Any]) -> None:
    x, q, features = torch.rand(2, 3, 32, 32), torch.zeros(2), torch.randn(2, 5, 64)
    for change, given, said in (
        ({"prediction": "meaning"}, features, "predicts no 'meaning'; it predicts semantic"),
        ({}, features[..., :60], "64 features; the model predicts 60"),
        ({}, features[:, None].repeat(1, 4, 1, 1), "one window"),
        ({"teacher": "timm:nothing"}, features, "timm has no model 'nothing'"),
        ({"teacher": "timm:test_resnet"}, features, "say side = 0"),
        ({"teacher": "timm:test_resnet", "side": 0}, features, "no class token"),
        ({"teacher": "jax:vit"}, features, "no kind of teacher 'jax'; there are timm, transformers, stored"),
        ({"sha256": "0" * 64}, features, f"{vit['sha256']}, not {'0' * 64}"),
        ({"file": "nowhere"}, features, "no file nowhere: objectives fetch nothing"),
        ({"teacher": "timm:test_vit3"}, features, "lacks"),
    ):
        with pytest.raises(InputError, match=said):
            CosineDistillation(**{**vit, **change})(x, q, output(given))


def test_a_teacher_of_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    torch.manual_seed(0)
    net = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**sizes)).eval()
    net.save_pretrained(tmp_path)
    sha256 = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    found = teacher_on(Teaching(teacher="transformers:CLIPVisionModel", file=str(tmp_path), sha256=sha256, interpolation="nearest"), CPU)
    x = torch.rand(2, 3, 56, 56)
    with torch.no_grad():
        wanted = net(pixel_values=(x[..., ::2, ::2] - found.shift) / found.scale).last_hidden_state
    assert torch.allclose(found(x, {}), wanted, atol=1e-6)
    with pytest.raises(InputError, match="no model 'Nothing'"):
        teacher_on(Teaching(teacher="transformers:Nothing", file=str(tmp_path), sha256=sha256), CPU)


def stored(path: Path, features: dict[str, Tensor]) -> dict[str, Any]:
    """Features on disk, as a recipe names them."""
    save_file({**features, **{f"{name}/class": t.mean((0, 1)) for name, t in features.items()}}, path)
    return {"teacher": "stored", "file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_stored_features_are_cut_where_the_crop_was(tmp_path: Path) -> None:
    rows, columns = torch.arange(40.0)[:, None].expand(40, 30), torch.arange(30.0).expand(40, 30)
    places = torch.stack([(rows + 0.5) / 40, (columns + 0.5) / 30], -1)  # every place says where it is
    teaching = Teaching(**stored(tmp_path / "f.safetensors", {"s/7": places}), side=4)
    window = torch.tensor([[0.25, 0.5, 0.75, 0.9, 0.0], [0.25, 0.5, 0.75, 0.9, 1.0]])
    found = teacher_on(teaching, CPU)(torch.rand(2, 3, 8, 8), {"picture": torch.tensor([number_of("s/7")] * 2), "window": window})
    assert torch.allclose(found[:, 0], places.mean((0, 1)).expand(2, 2), atol=1e-6)
    down, across = 0.5 + (torch.arange(4) + 0.5) / 4 * 0.4, 0.25 + (torch.arange(4) + 0.5) / 4 * 0.5
    square = found[:, 1:].unflatten(1, (4, 4))
    assert torch.allclose(square[0, ..., 0], down[:, None].expand(4, 4), atol=1e-5)
    assert torch.allclose(square[0, ..., 1], across.expand(4, 4), atol=1e-5)
    assert torch.allclose(square[1], square[0].flip(1), atol=1e-5), "a mirrored crop"
    with pytest.raises(InputError, match="lacks the features of a training picture"):
        teacher_on(teaching, CPU)(torch.rand(1, 3, 8, 8), {"picture": torch.tensor([5]), "window": window[:1]})


def test_a_file_without_features_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    save_file({"s/7": torch.zeros(2, 2, 4)}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(InputError, match="a picture has SHARD/KEY and SHARD/KEY/class"):
        teacher_on(Teaching(teacher="stored", file=str(path), sha256=sha256), CPU)


def test_a_toy_training_learns_what_is_stored(shard: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    teacher = stored(tmp_path / "f.safetensors", {f"mini/{i:06d}": torch.randn(5, 6, 64) for i in range(12)})
    recipe = {
        "model": "fqgan_test",
        "overrides": {"teachers": [64, 64], "side": 32},
        "data": {"shards": ["*.tar"]},
        "objective": [{"name": "mse"}, {"name": "cosine_distillation", "settings": {**teacher, "prediction": "semantic_1"}}],
        "batch": 8,
        "log_every": 1,
        "autocast": False,
        "validate_every": 1000,
        "optimiser": {"main": {"learning_rate": 3e-3}},
        "phase": [{"steps": 40, "crop": 32}],
    }
    Trainer(fill(Recipe, recipe, "recipe"), tmp_path / "run", device=CPU, base=shard).run()
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    losses = [line["cosine_distillation"] for line in lines if "loss" in line]
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])


def test_a_toy_training_lowers_every_term_it_weighs(shard: Path, vit: dict[str, Any], tmp_path: Path) -> None:
    objectives = [
        {"name": "mse"},
        {"name": "contrastive_distillation", "weight": 0.5, "settings": {**vit, "prediction": "semantic_0", "temperature": 0.05}},
        {"name": "cosine_distillation", "weight": 0.5, "settings": {**vit, "prediction": "semantic_1"}},
        {"name": "term", "weight": 0.1, "settings": {"term": "disentanglement"}},
        {"name": "term", "settings": {"term": "codebook"}},
        {"name": "term", "weight": 0.25, "settings": {"term": "commitment"}},
    ]
    recipe = {
        "model": "fqgan_test",
        "overrides": {"teachers": [64, 64], "side": 32},
        "data": {"shards": ["*.tar"]},
        "objective": objectives,
        "batch": 8,
        "warmup": 5,
        "log_every": 1,
        "autocast": False,
        "validate_every": 1000,
        "optimiser": {"main": {"learning_rate": 3e-3}},
        "phase": [{"steps": 60, "crop": 32}],
    }
    Trainer(fill(Recipe, recipe, "recipe"), tmp_path, device=CPU, base=shard).run()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    logged = [line for line in lines if "loss" in line]
    for name in ("loss", "mse", "contrastive_distillation", "cosine_distillation", "disentanglement"):
        first, last = (sum(line[name] for line in part) / 8 for part in (logged[:8], logged[-8:]))
        assert last < 0.97 * first, name
