"""Files of networks, read by us and run in torch."""

from pathlib import Path

import numpy as np
import onnxwriter as ow
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont

from tokodec.errors import CorruptFile, InputError
from tokodec.perception import ppocr
from tokodec.perception.graph import GraphNetwork
from tokodec.perception.onnxfile import read_onnx

RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(4, 3, 2, 2)).astype(np.float32)
SAME = {"kernel_shape": (2, 2), "strides": (1, 1), "auto_pad": "SAME_UPPER"}


def small(path: Path) -> Path:
    """A convolution and a maximum that keep the size, then a cut along the rows and a row after row reshape."""
    constants = {"w": WEIGHT, "one": np.array([1]), "three": np.array([3]), "axis": np.array([2]), "shape": np.array([0, -1])}
    nodes = [
        ow.node("Identity", ["w"], "weight"),
        ow.node("Conv", ["x", "weight"], "a", SAME),
        ow.node("MaxPool", ["a"], "b", SAME),
        ow.node("Slice", ["b", "one", "three", "axis", "one"], "c"),
        ow.node("Reshape", ["c", "shape"], "y"),
    ]
    return ow.write(path, nodes, constants, "y", {"character": "ab"})


def test_a_graph_computes_what_its_nodes_say(tmp_path: Path) -> None:
    graph = read_onnx(small(tmp_path / "n.onnx"))
    assert graph.notes == {"character": "ab"}
    x = torch.rand(2, 3, 5, 7, requires_grad=True)
    wanted = F.conv2d(F.pad(x, (0, 1, 0, 1)), torch.from_numpy(WEIGHT))
    wanted = F.max_pool2d(F.pad(wanted, (0, 1, 0, 1), value=-torch.inf), 2, 1)[:, :, 1:3].flatten(1)
    network = GraphNetwork(graph)
    found = network(x)
    assert torch.allclose(found, wanted)
    found.sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert network.values(x, ("b",))[0].shape == (2, 4, 5, 7)
    with pytest.raises(InputError, match="no value 'z'"):
        network.values(x, ("z",))


def test_gradients_are_right_where_they_come_in_transposed(tmp_path: Path) -> None:
    """PyTorch's own batch normalisation of a map of one row is wrong there."""
    names = ("scale", "shift", "mean", "variance")
    constants = {name: RNG.uniform(0.5, 1.5, 6).astype(np.float32) for name in names} | {"shape": np.array([1, 6, 9])}
    nodes = [
        ow.node("BatchNormalization", ["x", *names], "a"),
        ow.node("Reshape", ["a", "shape"], "b"),
        ow.node("Transpose", ["b"], "y", {"perm": (0, 2, 1)}),
    ]
    network = GraphNetwork(read_onnx(ow.write(tmp_path / "n.onnx", nodes, constants, "y", {}))).double()
    weight = torch.arange(6.0, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: network(x) * weight, torch.rand(1, 6, 1, 9, dtype=torch.float64, requires_grad=True))


def test_a_file_that_is_cut_or_changed_is_refused(tmp_path: Path) -> None:
    data = small(tmp_path / "n.onnx").read_bytes()
    broken = tmp_path / "b.onnx"
    for end in range(0, len(data) - 17, 5):  # what follows are the notes
        broken.write_bytes(data[:end])
        with pytest.raises(CorruptFile):
            read_onnx(broken)
    for seed in range(40):
        changed, rng = bytearray(data), np.random.default_rng(seed)
        changed[rng.integers(len(changed))] = rng.integers(256)
        broken.write_bytes(changed)
        try:
            GraphNetwork(read_onnx(broken))
        except (CorruptFile, InputError):
            continue


def test_an_operation_that_nobody_knows_is_named(tmp_path: Path) -> None:
    path = ow.write(tmp_path / "n.onnx", [ow.node("Loop", ["x"], "y")], {}, "y", {})
    with pytest.raises(InputError, match="Loop"):
        GraphNetwork(read_onnx(path))


def test_ctc_writes_repeats_once_and_no_blanks() -> None:
    network = ppocr.PPOCR.__new__(ppocr.PPOCR)
    torch.nn.Module.__init__(network)
    network.characters = ("", "a", "b", " ")
    ids = torch.tensor([[0, 1, 1, 0, 1, 2, 3, 3], [0] * 8, [2] * 8])
    assert network.written(ids) == ["aab ", "", "b"]


def test_crops_have_a_margin_and_lie_in_the_picture() -> None:
    picture = torch.rand(3, 40, 60)
    assert ppocr.cut(picture, (10, 10, 30, 30)).shape == (3, 24, 24)
    assert ppocr.cut(picture, (0, 0, 60, 40)).shape == (3, 40, 60)
    for box in ((-1, 0, 5, 5), (0, 0, 61, 5), (5, 5, 5, 9), (0, 0, 9, 41)):
        with pytest.raises(InputError, match="not inside of a picture of 60x40"):
            ppocr.cut(picture, box)


def test_batches_depend_on_shapes_alone() -> None:
    crops = [torch.empty(3, 10, width) for width in (90, 10, 50, 10, 70, 20, 30, 40)]
    assert ppocr.batches(crops) == [[1, 3, 5, 6, 7, 2], [4, 0]]
    assert ppocr.prepared(crops[:2]).shape == (2, 3, 48, 432)
    assert (ppocr.prepared(crops[:2])[1, :, :, 48:] == 0).all()


@pytest.mark.slow
def test_the_recogniser_reads_what_is_drawn() -> None:
    pytest.importorskip("rapidocr")
    image = Image.new("RGB", (300, 60), "white")
    ImageDraw.Draw(image).text((10, 10), "Hello 2026", "black", ImageFont.load_default(32))
    picture = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
    assert ppocr.ppocr(torch.device("cpu")).read(picture, [(8, 8, 190, 52)]) == ["Hello 2026"]


@pytest.mark.oracle
@pytest.mark.parametrize("shape", [(1, 3, 48, 320), (3, 3, 48, 200), (2, 3, 48, 480)])
def test_the_recogniser_is_that_of_onnxruntime(shape: tuple[int, ...]) -> None:
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(str(ppocr.WEIGHTS.path()))
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    (wanted,) = session.run(None, {"x": x.numpy()})
    found = ppocr.ppocr(torch.device("cpu"))(x)
    assert np.abs(found.numpy() - wanted).max() < 1e-4
