"""Whole little runs: resumed after a kill, shared by two processes, warm-started, exported."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tokodec.errors import InputError
from tokodec.pretrained import store
from tokodec.pretrained import tensors as disk
from tokodec.train.loop import Trainer
from tokodec.train.recipe import Recipe, fill

CPU = torch.device("cpu")
RECIPE = {
    "model": "hyperprior_vr_test",
    "data": {"shards": ["*.tar"]},
    "objective": [{"name": "rate_distortion"}],
    "batch": 4,
    "micro_batch": 2,
    "warmup": 2,
    "log_every": 1,
    "checkpoint_every": 2,
    "validate_every": 100,
    "validation_pictures": 2,
    "validation_qualities": [0.0, 1.0],
    "phase": [{"steps": 6, "crop": 64, "rounding": "noise"}, {"steps": 4, "crop": 32, "rate_end": 0.0, "reduce_from": 0.5}],
}


def recipe(**change: Any) -> Recipe:
    return fill(Recipe, {**RECIPE, **change}, "recipe")


def run(shard: Path, out: Path, **change: Any) -> dict[str, torch.Tensor]:
    return load_file(Trainer(recipe(**change), out, device=CPU, base=shard).run())


def losses(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(t, b[n]) for n, t in a.items())


def test_a_run_learns_validates_and_exports_a_codec(shard: Path, tmp_path: Path) -> None:
    run(shard, tmp_path)
    seen = losses(tmp_path)
    assert len(seen) == 10
    assert all(np.isfinite(seen))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["quality"] for row in lines[-1]["validation"]] == [0.0, 1.0]
    with Image.open(tmp_path / "validation.png") as grid:
        assert grid.width == 2 * 90
    model = store.load(f"dir:{tmp_path}")
    x = torch.rand(1, 3, 40, 50)
    with torch.inference_mode():
        assert model.decode(model.encode(x, quality=0.5)).shape == x.shape


def test_stopped_and_continued_is_bit_equal(shard: Path, tmp_path: Path) -> None:
    whole = run(shard, tmp_path / "whole")
    trainer = Trainer(recipe(), tmp_path / "cut", device=CPU, base=shard)
    original = trainer._after_step

    def stop(terms: dict[str, torch.Tensor]) -> None:
        original(terms)
        if trainer.step == 7:
            raise KeyboardInterrupt

    trainer._after_step = stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert equal(run(shard, tmp_path / "cut"), whole)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_killed_and_continued_is_bit_equal(shard: Path, tmp_path: Path) -> None:
    """kill -9 while a process trains, wherever it is by then."""
    whole = run(shard, tmp_path / "whole")
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(shard), str(tmp_path / "cut")], env=environment())
    while not (tmp_path / "cut" / "checkpoint.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert equal(run(shard, tmp_path / "cut"), whole)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_a_run_is_continued_by_its_own_recipe_alone(shard: Path, tmp_path: Path) -> None:
    run(shard, tmp_path)
    tensors, meta = disk.read(tmp_path / "checkpoint.safetensors")
    older = {name: value for name, value in meta["recipe"].items() if name != "base"}  # of a version that knew none
    disk.write(tmp_path / "checkpoint.safetensors", tensors, meta | {"recipe": older})
    assert Trainer(recipe(), tmp_path, device=CPU, base=shard).step == 10
    with pytest.raises(InputError, match=r"at step 10 of another recipe \(data, seed differ\)"):
        Trainer(recipe(seed=9, data={"shards": ["*.tar"], "times": {"text": 2}}), tmp_path, device=CPU, base=shard)


SCRIPT = f"""
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tokodec.train.loop import Trainer
from tokodec.train.recipe import Recipe, fill
Trainer(fill(Recipe, {RECIPE!r}, "recipe"), Path(sys.argv[2]), device=torch.device("cpu"), base=Path(sys.argv[1])).run()
"""


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def test_two_processes_see_the_loss_of_one_with_twice_the_batch(shard: Path, tmp_path: Path) -> None:
    run(shard, tmp_path / "one")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    arguments = [sys.executable, "-c", SCRIPT, str(shard), str(tmp_path / "two")]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    processes = [subprocess.Popen(arguments, env=environment(RANK=str(rank), **shared)) for rank in range(2)]
    assert [p.wait(timeout=120) for p in processes] == [0, 0]
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=2e-3)
    np.testing.assert_allclose(losses(tmp_path / "two")[0], losses(tmp_path / "one")[0], rtol=1e-5)


def test_warm_start_takes_the_averaged_weights(shard: Path, tmp_path: Path) -> None:
    run(shard, tmp_path / "first")
    second = Trainer(recipe(warm_start=f"dir:{tmp_path / 'first'}"), tmp_path / "second", device=CPU, base=shard)
    stored = load_file(tmp_path / "first" / "model.safetensors")
    assert all(torch.equal(p.half(), stored[n]) for n, p in second.model.named_parameters())


def test_a_warm_start_may_leave_weights_fresh(shard: Path, tmp_path: Path) -> None:
    """Another architecture, grown out of the one that was trained: what both have is taken over, strictly."""
    run(shard, tmp_path / "first")
    grown = {
        "model": "fourstep_vr_test",
        "overrides": {**recipe().overrides, "analysis8": 2},
        "warm_start": f"dir:{tmp_path / 'first'}",
    }
    fresh = ["context.*", "exact*", "g_a.blocks8.1.*"]
    second = Trainer(recipe(**grown, fresh=fresh), tmp_path / "second", device=CPU, base=shard)
    stored = load_file(tmp_path / "first" / "model.safetensors")
    own = dict(second.model.named_parameters())
    assert all(torch.equal(own[n].half(), t) for n, t in stored.items() if n.startswith(("g_a.", "g_s.", "h_a.")))
    with pytest.raises(RuntimeError, match="context"):
        Trainer(recipe(**grown, fresh=["exact*", "g_a.blocks8.1.*"]), tmp_path / "third", device=CPU, base=shard)


def test_a_finished_run_is_exported_again(shard: Path, tmp_path: Path) -> None:
    first = run(shard, tmp_path)
    assert equal(run(shard, tmp_path), first)


def test_another_recipe_in_the_same_folder_is_refused(shard: Path, tmp_path: Path) -> None:
    run(shard, tmp_path)
    with pytest.raises(InputError, match="seed differ"):
        Trainer(recipe(seed=5), tmp_path, device=CPU, base=shard)


def test_a_phase_that_lies_ahead_may_change(shard: Path, tmp_path: Path) -> None:
    run(shard, tmp_path)
    more = dataclasses.replace(recipe(), phase=(*recipe().phase, dataclasses.replace(recipe().phase[0], steps=2)))
    assert Trainer(more, tmp_path, device=CPU, base=shard).step == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"shards": ["none-*.tar"]}}, "no shard matches"),
        ({"data": {"shards": ["*.tar"], "validation_below": 0}}, "0 for validation"),
        ({"objective": [{"name": "vibes"}]}, "no objective 'vibes'"),
        ({"optimiser": {"main": {"parameters": ["g_a.*"]}}}, "no optimiser of the recipe takes"),
        ({"overrides": {"depth": 3}}, "no setting depth"),
        ({"model": "hyperprior_rv"}, "no model"),
    ],
)
def test_what_a_recipe_can_get_wrong_is_said(shard: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Trainer(recipe(**change), tmp_path, device=CPU, base=shard)
