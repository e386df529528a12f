"""Checkpoints of others: tensors out of whatever stands around them, never code; and strict names."""

import os
import pathlib
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tokodec.checkpoint import read_checkpoint
from tokodec.errors import InputError, WeightsMismatch
from tokodec.pretrained.convert import vqgan
from tokodec.pretrained.convert.names import Names, averaged
from tokodec.pretrained.convert.origins import from_checkpoint
from tokodec.tokenizers.vqgan import VQGAN
from tokodec.zoo import create


class Touch:
    """Would make a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_does_not_run(tmp_path: Path, zipped: bool) -> None:
    file, made = tmp_path / "bad.ckpt", tmp_path / "made"
    torch.save({"state_dict": {"a": torch.ones(2)}, "more": Touch(made)}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match="without running code"):
        read_checkpoint(file)
    assert not made.exists()


def test_objects_of_packages_that_are_not_here_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("of_a_trainer")

    class Callback:
        def __init__(self) -> None:
            self.best = torch.ones(1)

    Callback.__module__, Callback.__qualname__ = "of_a_trainer", "Callback"
    module.Callback = Callback  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "of_a_trainer", module)
    file = tmp_path / "last.ckpt"
    more = {"callbacks": {Callback: {"state": Callback()}}, "folder": pathlib.PurePosixPath("/here"), "epoch": 3}
    torch.save({"state_dict": {"a": torch.ones(2)}, **more}, file)
    monkeypatch.delitem(sys.modules, "of_a_trainer")
    assert torch.equal(read_checkpoint(file)["a"], torch.ones(2))
    assert "of_a_trainer" not in sys.modules


def test_averaged_weights_come_first(tmp_path: Path) -> None:
    file = tmp_path / "both.pt"
    torch.save({"model": {"a": torch.zeros(2)}, "ema": {"a": torch.ones(2)}, "optimizer": {"state": {}}}, file)
    assert torch.equal(read_checkpoint(file)["a"], torch.ones(2))
    torch.save({"model": {"a": torch.zeros(2)}, "ema": {}}, file)
    assert torch.equal(read_checkpoint(file)["a"], torch.zeros(2))


def test_averages_of_lightning_take_the_place_of_weights() -> None:
    found = averaged({"b.c.d": torch.zeros(1), "model_ema.bcd": torch.ones(1), "model_ema.decay": torch.ones(1), "e.f": torch.zeros(1)})
    assert {name: float(t) for name, t in found.items()} == {"b.c.d": 1.0, "e.f": 0.0}


class TestNames:
    names = Names(renames=((r"^weight$", "w"), (r"^bias$", "b")), ignored=(r"^loss\.",), prefix="net.")

    def test_what_is_named_is_filled(self) -> None:
        weight = torch.randn(2, 3, 1, 1)
        model = self.names.fill(
            nn.Linear(3, 2), {"net.w": weight, "net.b": torch.ones(2), "net.loss.x": torch.ones(1), "other": torch.ones(1)}
        )
        assert torch.equal(model.weight, weight.view(2, 3))

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"net.b": None}, "missing b"),
            ({"net.c": torch.ones(1)}, "unexpected c"),
            ({"net.w": torch.ones(3, 2)}, r"w is \(3, 2\), not \(2, 3\)"),
            ({"net.b": torch.tensor([1.0, float("nan")])}, "no numbers"),
        ],
    )
    def test_what_does_not_fit_is_listed(self, change: dict[str, Any], said: str) -> None:
        checkpoint = {"net.w": torch.ones(2, 3), "net.b": torch.ones(2), **change}
        with pytest.raises(WeightsMismatch, match=said):
            self.names.fill(nn.Linear(3, 2), {k: t for k, t in checkpoint.items() if t is not None})


@pytest.mark.parametrize("name", ["vqgan_test", "llamagen_test", "ibq_test"])
def test_a_checkpoint_comes_back_as_a_model(name: str, tmp_path: Path) -> None:
    torch.manual_seed(5)
    model = create(name)
    assert isinstance(model, VQGAN)
    names = vqgan.names_of(model)
    theirs = {names.upstream(own): p.detach().clone() for own, p in model.named_parameters()}
    assert len(theirs) == len(list(model.parameters()))
    more = {"loss.logvar": torch.zeros(()), "model_ema.decay": torch.zeros(())} if name != "llamagen_test" else {}
    torch.save({"state_dict": {**theirs, **more}}, tmp_path / "last.ckpt")
    found = from_checkpoint(name, tmp_path / "last.ckpt")
    assert all(torch.equal(p, dict(found.named_parameters())[own]) for own, p in model.named_parameters())
