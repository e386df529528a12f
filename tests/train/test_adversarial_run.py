"""Runs in two phases, plain and adversarial: what is learnt, what is logged, and that a run goes on exactly where it stood."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tokodec.errors import InputError
from tokodec.settings import fill
from tokodec.train.loop import Trainer
from tokodec.train.recipe import Recipe, read_recipe
from tokodec.train.schedule import past

CPU = torch.device("cpu")
RECIPE: dict[str, Any] = {
    "model": "vqgan_test",
    "data": {"shards": ["*.tar"]},
    "objective": [
        {"name": "l1"},
        {"name": "term", "weight": 0.25, "settings": {"term": "codebook"}},
        {"name": "term", "settings": {"term": "commitment"}},
    ],
    "batch": 4,
    "micro_batch": 2,
    "warmup": 2,
    "log_every": 1,
    "checkpoint_every": 2,
    "validate_every": 100,
    "validation_pictures": 2,
    "adversary": {"settings": {"layers": 1, "width": 4}, "weight": "adaptive", "lecam": 0.05, "r1": 1.0, "r1_every": 2},
    "phase": [{"steps": 3, "crop": 32}, {"steps": 4, "crop": 32, "adversary": 0.5}],
}


def trainer(shard: Path, out: Path, **change: Any) -> Trainer:
    return Trainer(fill(Recipe, {**RECIPE, **change}, "recipe"), out, device=CPU, base=shard)


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_the_discriminator_rests_in_the_first_phase_and_is_logged_in_the_second(shard: Path, tmp_path: Path) -> None:
    run = trainer(shard, tmp_path)
    assert run.adversary is not None
    before = [p.clone() for p in run.adversary.net.parameters()]
    run.run()
    logged = [line for line in lines(tmp_path) if "loss" in line]
    names = {"discriminator", "generator", "adversarial_weight", "logits_real", "logits_fake", "lecam"}
    assert [names <= line.keys() for line in logged] == [False] * 3 + [True] * 4
    assert [("r1" in line) for line in logged] == [False] * 4 + [True, False, True]
    assert all(0 < line["usage"] <= 1 <= line["perplexity"] <= 64 for line in logged)
    assert any(not torch.equal(a, b) for a, b in zip(before, run.adversary.net.parameters(), strict=True))


@pytest.mark.parametrize("cut_at", [2, 4, 6])
def test_a_run_resumes_bit_for_bit(shard: Path, tmp_path: Path, cut_at: int) -> None:
    whole = trainer(shard, tmp_path / "whole")
    weights = load_file(whole.run())
    cut = trainer(shard, tmp_path / "cut")
    after = cut._after_step

    def stop(terms: dict[str, torch.Tensor]) -> None:
        after(terms)
        if cut.step == cut_at:
            raise KeyboardInterrupt

    cut._after_step = stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    again = trainer(shard, tmp_path / "cut")
    assert again.step == cut_at
    assert all(torch.equal(t, weights[name]) for name, t in load_file(again.run()).items())
    assert whole.adversary is not None
    assert again.adversary is not None
    state = again.adversary.state()
    assert all(torch.equal(t, state[name]) for name, t in whole.adversary.state().items())


def test_the_discriminator_learns_to_tell_a_generator_that_stays_as_it_is(shard: Path, tmp_path: Path) -> None:
    frozen = {
        "optimiser": {"main": {"learning_rate": 0.0}},
        "adversary": {"settings": {"layers": 2, "width": 16}, "criterion": "non_saturating"},
    }
    frozen["adversary"]["optimiser"] = {"learning_rate": 2e-3, "betas": [0.5, 0.9]}
    trainer(shard, tmp_path, **frozen, phase=[{"steps": 40, "crop": 32, "adversary": 1.0}]).run()
    losses = [line["discriminator"] for line in lines(tmp_path) if "discriminator" in line]
    assert losses[0] > 0.6
    assert sum(losses[-5:]) / 5 < 0.35


def test_the_generator_follows_it(shard: Path, tmp_path: Path) -> None:
    plain = load_file(trainer(shard, tmp_path / "plain", phase=[{"steps": 2, "crop": 32}]).run())
    against = load_file(trainer(shard, tmp_path / "against", phase=[{"steps": 2, "crop": 32, "adversary": 0.5}]).run())
    moved = [name for name, t in plain.items() if not torch.equal(t, against[name])]
    assert "decoder.conv_out.weight" in moved
    assert "encoder.conv_in.weight" in moved


def test_pieces_of_a_batch_add_up_without_batch_statistics(shard: Path, tmp_path: Path) -> None:
    style = {"discriminator": "style", "settings": {"width": 4, "blocks": 1}}
    phase = [{"steps": 1, "crop": 32, "adversary": 0.5}]
    run = trainer(shard, tmp_path / "b", adversary=style, phase=phase)
    run.run()
    assert run.adversary is not None
    assert int(run.skipped) == 0
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in run.adversary.net.parameters())


@pytest.mark.parametrize(
    "judge",
    [{"settings": {"layers": 1, "width": 4}}, {"discriminator": "style", "settings": {"width": 4, "blocks": 2}}],
    ids=["patch", "style"],
)
def test_each_kind_is_judged_by_itself(shard: Path, tmp_path: Path, judge: dict[str, Any]) -> None:
    adversary = trainer(shard, tmp_path, adversary=judge).adversary
    assert adversary is not None
    real, fake = torch.rand(4, 3, 32, 32), torch.full((4, 3, 32, 32), 0.5)
    terms = adversary.learn(real, fake, 0, 1.0)
    assert torch.allclose(terms["logits_real"], adversary.net(real * 2 - 1).mean(), rtol=1e-5, atol=1e-6)
    assert torch.allclose(terms["logits_fake"], adversary.net(fake * 2 - 1).mean(), rtol=1e-5, atol=1e-6)


def test_what_the_recipe_got_wrong_is_named(shard: Path, tmp_path: Path) -> None:
    for change, said in (
        ({"discriminator": "nobody"}, "no discriminator 'nobody'; there are patch, style"),
        ({"criterion": "x"}, "no criterion 'x'"),
        ({"weight": "heavy"}, "no weight 'heavy'"),
        ({"settings": {"depth": 3}}, "no setting depth"),
    ):
        with pytest.raises(InputError, match=said):
            trainer(shard, tmp_path / "x", adversary=change)
    with pytest.raises(InputError, match="use a fixed weight"):
        trainer(
            shard,
            tmp_path / "y",
            model="hyperprior_vr_test",
            objective=[{"name": "rate_distortion"}],
            phase=[{"steps": 1, "crop": 64, "adversary": 1.0}],
        ).run()
    (tmp_path / "r.toml").write_text(
        'model = "vqgan_test"\n[data]\nshards = ["x"]\n[[objective]]\nname = "l1"\n[[phase]]\nsteps = 1\nadversary = 1.0\n'
    )
    with pytest.raises(InputError, match="no section"):
        read_recipe(tmp_path / "r.toml")


def test_runs_from_before_there_were_adversaries_go_on() -> None:
    plain = {key: value for key, value in RECIPE.items() if key not in ("adversary", "phase")}
    recipe = fill(Recipe, {**plain, "phase": [{"steps": 3, "crop": 32}]}, "recipe")
    assert recipe.adversary is None
    assert past(recipe, 3) == "6a0618d35f43797f"
