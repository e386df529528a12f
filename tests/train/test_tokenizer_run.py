"""Runs of tokenizers: a codebook that learns and resumes, and a prior trained on a tokenizer that stays as it is."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tokodec.codecs.token import TokenCodec
from tokodec.errors import InputError, ModelNotFound, WeightsMismatch
from tokodec.pretrained import store
from tokodec.pretrained import tensors as disk
from tokodec.settings import fill
from tokodec.tokenizers.conv import ConvTokenizer
from tokodec.train.loop import Trainer
from tokodec.train.recipe import Recipe

CPU = torch.device("cpu")
RECIPE = {
    "model": "vq_test",
    "data": {"shards": ["*.tar"]},
    "objective": [{"name": "reconstruction"}],
    "batch": 4,
    "micro_batch": 2,
    "warmup": 2,
    "log_every": 1,
    "checkpoint_every": 2,
    "validate_every": 3,
    "validation_pictures": 2,
    "phase": [{"steps": 6, "crop": 32, "rate_end": 0.0}],
}
TERMS = ("semantic", "pooler", "semantic_commitment", "pixel_commitment")
RESIDUAL = {
    "model": "dualtoken_test",
    "objective": [{"name": "mse"}, *({"name": "term", "settings": {"term": term}} for term in TERMS)],
    "frozen": ["tower.*"],
}
PRIOR = {
    "objective": [{"name": "id_bits"}],
    "frozen": ["encoder.*", "quantizer.*", "decoder.*"],
    "warm_start": "vq_test",
    "validate_every": 100,
}
DECODER = {"base": "vq_test", "warm_start": "vq_test", "frozen": ["encoder.*", "quantizer.*", "prior.*"], "ema": 0.0}


def trainer(shard: Path, out: Path, **change: Any) -> Trainer:
    return Trainer(fill(Recipe, {**RECIPE, **change}, "recipe"), out, device=CPU, base=shard)


def test_a_run_learns_validates_and_exports_a_tokenizer(shard: Path, tmp_path: Path) -> None:
    weights = load_file(trainer(shard, tmp_path).run())
    assert not [name for name in weights if "machine" in name or "net." in name], "what only training needs was exported"
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    (measured,) = lines[-1]["validation"]
    assert measured["quality"] is None
    assert 0 < measured["codes used"] <= 64
    assert 1 <= measured["perplexity"] <= 64
    model = store.load(f"dir:{tmp_path}")
    x = torch.rand(1, 3, 40, 50)
    with torch.inference_mode():
        assert model.decode(model.encode(x)).shape == x.shape
    assert store.load(f"dir:{tmp_path / 'latest.safetensors'}").name == "vq_test"


def test_what_takes_no_photographs_is_not_trained_on_them(shard: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes labels:134"):
        trainer(shard, tmp_path, model="fourm_semseg_4k")


@pytest.mark.parametrize("change", [{}, RESIDUAL], ids=["one", "residual"])
def test_a_codebook_resumes_bit_for_bit(shard: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    whole = load_file(trainer(shard, tmp_path / "whole", **change).run())
    cut = trainer(shard, tmp_path / "cut", **change)
    original = cut._after_step

    def stop(terms: dict[str, torch.Tensor]) -> None:
        original(terms)
        if cut.step == 5:
            raise KeyboardInterrupt

    cut._after_step = stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    again = load_file(trainer(shard, tmp_path / "cut", **change).run())
    assert whole.keys() == again.keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())


def test_a_residual_codebook_learns_and_a_frozen_tower_does_not(shard: Path, tmp_path: Path) -> None:
    run = trainer(shard, tmp_path, **RESIDUAL, ema=0.0)
    before = {name: p.detach().clone() for name, p in run.model.named_parameters()}
    after = load_file(run.run())
    assert before.keys() == after.keys(), "what only training needs was exported"
    kept = {name for name, tensor in before.items() if torch.equal(tensor, after[name])}
    assert kept == {name for name in before if name.startswith("tower.")}


def test_a_prior_learns_and_nothing_else_changes(shard: Path, tmp_path: Path) -> None:
    before = store.read_weights("vq_test").tensors
    after = load_file(trainer(shard, tmp_path, **PRIOR).run())
    changed = {name.split(".")[0] for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert changed == {"prior"}
    model = store.load(f"dir:{tmp_path}")
    assert isinstance(model, ConvTokenizer)
    assert int(model.prior.trained) == 1
    assert model.fingerprint == store.load("vq_test").fingerprint


def test_another_decoder_of_the_same_ids_is_stored_as_what_differs(shard: Path, tmp_path: Path) -> None:
    base = store.load("vq_test")
    path = trainer(shard, tmp_path, **DECODER).run()
    assert {name.split(".")[0] for name in load_file(path)} == {"decoder"}
    other = store.load(f"dir:{tmp_path}")
    x = torch.rand(2, 3, 40, 50)
    tokens = base.encode(x)
    assert torch.equal(other.encode(x).ids, tokens.ids)
    assert other.fingerprint == base.fingerprint
    assert TokenCodec(other).fingerprint == TokenCodec(base).fingerprint
    assert not torch.equal(other.decode(tokens), base.decode(tokens))


def test_a_decoder_leaves_ids_alone_that_no_prior_knows(shard: Path, tmp_path: Path) -> None:
    trainer(shard, tmp_path / "first", warm_start="vq_test", fresh=["prior.*"], ema=0.0).run()
    first = store.load(f"dir:{tmp_path / 'first'}")
    run = {"warm_start": f"dir:{tmp_path / 'first'}", "frozen": ["encoder.*", "quantizer.*"], "ema": 0.0}
    trainer(shard, tmp_path / "second", **run).run()
    second = store.load(f"dir:{tmp_path / 'second'}")
    assert second.fingerprint == first.fingerprint


def test_a_decoder_is_not_put_on_another_base(shard: Path, tmp_path: Path) -> None:
    tensors, meta = disk.read(trainer(shard, tmp_path, **DECODER).run())
    disk.write(tmp_path / "model.safetensors", tensors, meta | {"base_fingerprint": "00" * 8})
    with pytest.raises(WeightsMismatch, match="belong to other weights of vq_test"):
        store.load(f"dir:{tmp_path}")
    disk.write(tmp_path / "model.safetensors", tensors, meta | {"base": "nothing"})
    with pytest.raises(ModelNotFound, match="no model 'nothing'"):
        store.load(f"dir:{tmp_path}")


def test_steps_whose_gradient_is_not_finite_are_skipped_and_counted(shard: Path, tmp_path: Path) -> None:
    run = trainer(shard, tmp_path)
    group = run.groups["main"]
    before = {name: p.detach().clone() for name, p in group.parameters.items()}
    for p in group.parameters.values():
        p.grad = torch.full_like(p, torch.nan)
    assert float(group.step(1.0)) == 1
    assert all(torch.equal(p, before[name]) for name, p in group.parameters.items())
    for p in group.parameters.values():
        p.grad = torch.ones_like(p)
    assert float(group.step(1.0)) == 0
    assert not any(torch.equal(p, before[name]) for name, p in group.parameters.items())


def test_a_tokenizer_of_scales_learns_and_tells_how_many_codes_it_uses(shard: Path, tmp_path: Path) -> None:
    objectives = [{"name": "mse"}, *({"name": "term", "settings": {"term": term}} for term in ("codebook", "commitment"))]
    run = trainer(shard, tmp_path, model="tokenflow_test", objective=objectives, phase=[{"steps": 3, "crop": 48}])
    before = {name: p.clone() for name, p in run.model.named_parameters()}
    run.run()
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert all(0 < line["usage"] <= 1 <= line["perplexity"] <= 64 for line in logged if "usage" in line)
    assert any("usage" in line for line in logged)
    changed = {name.split(".")[0] for name, p in run.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"encoder", "quant_conv", "tower", "head", "pyramid", "post_quant_conv", "decoder"}


def test_two_lattices_learn_and_the_tower_does_not(shard: Path, tmp_path: Path) -> None:
    terms = ("semantic", *(f"{kind}_{term}" for kind in ("semantic", "pixel") for term in ("codebook", "commitment")))
    objectives = [{"name": "mse"}, *({"name": "term", "settings": {"term": term}} for term in terms)]
    run = trainer(shard, tmp_path, model="illume_test", objective=objectives, phase=[{"steps": 3, "crop": 48}])
    before = {name: p.clone() for name, p in run.model.named_parameters()}
    run.run()
    kept = {name for name, p in run.model.named_parameters() if torch.equal(p, before[name])}
    assert {name for name in kept if not name.startswith("tower.")} == {f"quantizers.{kind}.codebook" for kind in ("semantic", "pixel")}
    assert {name for name in before if name.startswith("tower.")} <= kept
