"""CompressAI's own classes as codecs, with weights by formula in place of fetched ones."""

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from tokodec import files
from tokodec.cli.main import run
from tokodec.errors import CorruptFile, InputError, ModelNotFound, WeightsMismatch
from tokodec.pretrained import store

INSTALLED = importlib.util.find_spec("compressai") is not None


@pytest.mark.skipif(INSTALLED, reason="compressai is installed")
def test_without_compressai_the_error_says_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelNotFound, match="pip install --no-deps compressai"):
        store.load("compressai/mbt2018-mean-4")
    assert run(["samples/coffee.png", "-m", "compressai/mbt2018-mean-4", "-o", "nowhere.tkd"]) == ModelNotFound.exit_code
    assert capsys.readouterr().err.count("\n") == 1


@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    zoo: Any = pytest.importorskip("compressai.zoo", reason="compressai is not installed")
    torch.manual_seed(0)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    model = zoo.image.model_architectures["mbt2018-mean"](8, 12)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    digest = hashlib.sha256((tmp_path / "weights.pth").read_bytes()).hexdigest()
    name = f"mbt2018-mean-4-{digest[:8]}.pth.tar"
    (tmp_path / "weights.pth").rename(tmp_path / "checkpoints" / name)
    monkeypatch.setitem(zoo.image.model_urls, "mbt2018-mean", {"mse": {4: f"nowhere/{name}", 5: "nowhere/mbt2018-mean-5-00000000.pth.tar"}})
    return zoo.image


@pytest.mark.oracle
def test_a_model_of_compressai_makes_files(image: Any, picture: Any) -> None:
    codec = store.load("compressai/mbt2018-mean-4")
    x = picture(70, 90, batch=2)
    with torch.inference_mode():
        stream = codec.encode(x)
        decoded = codec.decode(stream)
        assert decoded.shape == x.shape
        assert torch.equal(codec.decode(stream[:1]), decoded[:1])
    data = files.compress(x[0], model=codec)  # type: ignore[arg-type]
    coded = files.decode(data, files.Given(codec), files.Machine())  # type: ignore[arg-type]
    assert coded.rgb.shape == (70, 90, 3)
    with pytest.raises(InputError, match="one rate"):
        codec.encode(x, quality=0.5)
    payload = stream.data[0]
    for damaged in (b"", payload[:3], payload[:9], payload[:-1], payload + b"x", b"\0" * len(payload)):
        with pytest.raises(CorruptFile):
            codec.read([damaged], (70, 90))  # type: ignore[attr-defined]


@pytest.mark.oracle
def test_names_and_weights_that_are_not_here(image: Any, tmp_path: Path) -> None:
    messages = {"nothing-3": "NAME one of", "mbt2018-mean-6": "no weights", "mbt2018-mean-5": "fetches nothing"}
    for name, message in messages.items():
        with pytest.raises(ModelNotFound, match=message):
            store.load(f"compressai/{name}")
    (tmp_path / "checkpoints" / "mbt2018-mean-5-00000000.pth.tar").write_bytes(b"damaged")
    with pytest.raises(WeightsMismatch, match="damaged"):
        store.load("compressai/mbt2018-mean-5")
