"""tokodec models convert: from CompressAI's checkpoint to files and back."""

import json
from pathlib import Path

import pytest
import torch
from parity import compressai_cases
from PIL import Image

from tokodec.cli.main import run


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Of a model of the size of mean_scale_test, by formula, as CompressAI saves it."""
    row = json.loads(compressai_cases.FILE.read_text(encoding="utf-8"))["mean_scale"]
    change = {8: 6, 12: 8, 18: 12, 24: 16}  # N, M, 3 M / 2 and 2 M of the tiny sibling
    shapes = {name: [change.get(n, n) if i < 2 else n for i, n in enumerate(shape)] for name, shape in row["shapes"].items()}
    torch.save({"state_dict": compressai_cases.weights(shapes, {})}, tmp_path / "checkpoint.pth.tar")
    return tmp_path / "checkpoint.pth.tar"


def test_convert_makes_weights_that_code_pictures(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine"
    assert run(["models", "convert", "mean_scale_test", str(checkpoint), "-o", str(folder)]) == 0
    name = capsys.readouterr().out.strip()
    assert name == f"dir:{folder}"
    Image.radial_gradient("L").resize((50, 40)).convert("RGB").save(tmp_path / "in.png")
    assert run([str(tmp_path / "in.png"), str(tmp_path / "out.tkd"), "-m", name]) == 0
    assert run([str(tmp_path / "out.tkd"), str(tmp_path / "out.png"), "-m", name]) == 0
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (50, 40)
    capsys.readouterr()
    assert run([str(tmp_path / "out.tkd"), str(tmp_path / "other.png")]) == 7  # mean_scale_test of the package is another
    assert "fingerprint" in capsys.readouterr().err


def test_convert_keeps_what_is_there(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["models", "convert", "mean_scale_test", str(checkpoint), "-o", str(tmp_path / "mine")]
    assert run(command) == 0
    assert run(command) == 5
    assert run([*command, "--force"]) == 0
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["mean_scale_test", "nowhere.pth"], 6, "cannot be read"),
        (["nothing", "CHECKPOINT"], 6, "no model"),
        (["vq_test", "CHECKPOINT"], 2, "no weights elsewhere"),
        (["joint_ar_test", "CHECKPOINT"], 6, "does not fit"),
    ],
)
def test_convert_says_in_a_line_what_is_wrong(
    arguments: list[str], code: int, message: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(checkpoint) if a == "CHECKPOINT" else a for a in arguments]
    assert run(["models", "convert", *given, "-o", str(tmp_path / "mine")]) == code
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "mine").exists()
