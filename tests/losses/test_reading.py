"""Legibility as a loss."""

from pathlib import Path

import numpy as np
import onnxwriter as ow
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from tokodec.api import Output
from tokodec.errors import InputError
from tokodec.losses import reading
from tokodec.losses.objective import OBJECTIVES
from tokodec.perception import ppocr
from tokodec.perception.onnxfile import read_onnx

ONE = torch.ones(2)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recogniser of three letters: bands of eight columns, projected at random."""
    rng = np.random.default_rng(0)
    constants = {
        "w": (rng.normal(size=(6, 3, 48, 8)) / 8).astype(np.float32),
        "v": rng.normal(size=(6, 5)).astype(np.float32),
        "u": np.zeros(5, np.float32),
    }
    nodes = [
        ow.node("Conv", ["x", "w"], "a", {"kernel_shape": (48, 8), "strides": (48, 8)}),
        ow.node("Squeeze", ["a"], "b", {"axes": (2,)}),
        ow.node("Transpose", ["b"], ppocr._FEATURES, {"perm": (0, 2, 1)}),
        ow.node("MatMul", [ppocr._FEATURES, "v"], "c"),
        ow.node("Add", ["c", "u"], "d"),
        ow.node("Softmax", ["d"], "y", {"axis": 2}),
    ]
    graph = read_onnx(ow.write(tmp_path / "n.onnx", nodes, constants, "y", {"character": "a\nb\nc"}))
    network = ppocr.PPOCR(graph).eval().requires_grad_(requires_grad=False)
    monkeypatch.setattr(reading, "READERS", {"ppocr_v6": lambda _: network})


def lowered(objective: reading.ReadingFeatures | reading.ReadingCTC, x: torch.Tensor, steps: int) -> list[float]:
    """Losses of a picture that begins grey and follows the gradient."""
    shown, found = torch.full_like(x, 0.5).requires_grad_(), []
    optimiser = torch.optim.Adam([shown], 0.03)
    for _ in range(steps):
        loss = objective(x, ONE[: len(x)], Output(pixels=shown, terms={}, aux={}))
        assert loss.shape == (len(x),)
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
        found.append(float(loss.detach().sum()))
    return found


@pytest.mark.parametrize("name", ["reading_features", "reading_ctc"])
def test_following_it_makes_it_smaller(name: str, tiny: None) -> None:
    x = torch.rand(2, 3, 40, 64, generator=torch.Generator().manual_seed(0))
    losses = lowered(OBJECTIVES[name](strips=2), x, 25)
    assert losses[-1] < 0.7 * losses[0]


def test_features_of_the_same_picture_are_no_loss(tiny: None) -> None:
    x = torch.rand(2, 3, 40, 64)
    assert reading.ReadingFeatures()(x, ONE, Output(pixels=x, terms={}, aux={})).tolist() == [0, 0]


def test_strips_are_those_with_contrast_and_belong_to_their_item(tiny: None) -> None:
    x = torch.full((2, 3, 96, 64), 0.5)
    x[1, :, 60:70] = torch.rand(3, 10, 64)
    output = Output(pixels=x, terms={}, aux={})
    assert reading.ReadingCTC(strips=1)._tops(x[1]) in ([48], [60])
    originals, decoded, items = reading.ReadingCTC(strips=3).pairs(x, output)
    assert items.tolist() == [0, 0, 0, 1, 1, 1]
    assert torch.equal(originals, decoded)
    with pytest.raises(InputError, match="at least 24 rows"):
        reading.ReadingCTC()(x[:, :, :20], ONE, Output(pixels=x[:, :, :20], terms={}, aux={}))
    with pytest.raises(InputError, match="no recogniser 'none'"):
        reading.ReadingCTC(recogniser="none")(x, ONE, output)


@pytest.fixture
def line() -> torch.Tensor:
    image = Image.new("RGB", (192, 48), "white")
    ImageDraw.Draw(image).text((8, 8), "Hello 2026", "black", ImageFont.load_default(28))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255


def blurred(x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(x, 8), size=x.shape[2:], mode="bilinear")


def step(
    objective: reading.ReadingFeatures | reading.ReadingCTC, x: torch.Tensor, shown: torch.Tensor, length: float
) -> tuple[float, float]:
    """The loss, and what a step of that length against the gradient should take off it; ``shown`` makes it."""
    shown.requires_grad_()
    loss = objective(x, ONE[:1], Output(pixels=shown, terms={}, aux={})).sum()
    (gradient,) = torch.autograd.grad(loss, shown)
    with torch.no_grad():
        shown -= length * gradient / gradient.norm()
    return float(loss.detach()), length * float(gradient.norm())


@pytest.mark.slow
def test_the_real_recogniser_teaches_what_to_read(line: torch.Tensor) -> None:
    pytest.importorskip("rapidocr")
    shown, objective = blurred(line), reading.ReadingCTC(rows=48, strips=1)
    losses = [step(objective, line, shown, 0.1)[0] for _ in range(16)]
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.slow
def test_the_gradient_of_the_real_features_is_theirs(line: torch.Tensor) -> None:
    """Its landscape is too rough for more than a short step: what the gradient promises, such a step keeps."""
    pytest.importorskip("rapidocr")
    shown, objective = blurred(line), reading.ReadingFeatures(rows=48, strips=1)
    before, promised = step(objective, line, shown, 1e-3)
    after, _ = step(objective, line, shown, 1e-3)
    assert before - after == pytest.approx(promised, rel=0.5)
