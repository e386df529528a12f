"""dlib's networks without dlib, and the chips they look at."""

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tokodec.errors import CorruptFile
from tokodec.perception import dlibface, facefinder
from tokodec.perception.dlibfile import read_dlib
from tokodec.perception.facechip import _EYES, _FACE, chip

SHARED = Path(__file__).parents[3] / "shared" / "data" / "heldout" / "faces_lfw100"


def number(value: int) -> bytes:
    data = value.to_bytes((value.bit_length() + 7) // 8 or 1, "little")
    return bytes([len(data)]) + data


def layer(name: str, before: tuple[int, ...], values: np.ndarray, after: tuple[int, ...]) -> bytes:
    data = number(len(name)) + name.encode() + b"".join(map(number, before))
    data += b"".join(map(number, (2, values.size, 1, 1, 1) if name != "fc_2" else (2, *values.shape, 1, 1)))
    return data + values.astype("<f4").tobytes() + b"".join(map(number, after))


def tiny(path: Path) -> Path:
    """The face embedder with four channels instead of up to 256."""
    rng, data = np.random.default_rng(0), bytes([1, 1])
    halving = [h for h in dlibface._HALVING for _ in range(2)]
    for i, first in enumerate([None, *(j % 2 == 0 for j in range(len(halving)))]):
        side, inputs = (7, 3) if first is None else (3, 4)
        step = 2 if first is None or (first and halving[i - 1]) else 1
        values = rng.normal(size=4 * inputs * side * side + 4) / side
        data += layer("con_4", (), values, (4, side, side, step, step, side // 2 if step == 1 else 0, side // 2 if step == 1 else 0))
        data += layer("affine_", (), np.concatenate([np.ones(4), np.zeros(4)]), (1, 1)) + bytes([0, 49])
    path.write_bytes(data + layer("fc_2", (128, 4), rng.normal(size=(4, 128)), ()))
    return path


def test_a_network_is_read_and_runs(tmp_path: Path) -> None:
    network = dlibface.FaceNetwork(read_dlib(tiny(tmp_path / "n.dat")))
    x = torch.rand(2, 3, 150, 150, requires_grad=True)
    found = network(x)
    assert found.shape == (2, 128)
    assert not torch.allclose(found[0], found[1])
    found.sum().backward()
    assert x.grad is not None


def test_scale_and_shift_are_part_of_the_convolution(tmp_path: Path) -> None:
    layers = read_dlib(tiny(tmp_path / "n.dat"))
    (convolution,) = dlibface._convolutions(layers[:2])
    (scaled,) = dlibface._convolutions([layers[0], dlibface.Layer(kind="affine_", values=torch.tensor([2.0] * 4 + [3.0] * 4), shape=())])
    x = torch.rand(1, 3, 20, 20)
    assert torch.allclose(scaled(x), 2 * convolution(x) + 3, atol=1e-4)


def test_files_that_are_no_such_network_are_refused(tmp_path: Path) -> None:
    data, path = tiny(tmp_path / "n.dat").read_bytes(), tmp_path / "b.dat"
    places = sorted({*range(0, 300, 7), *range(300, len(data) - 1, 997)})
    for end in places:
        path.write_bytes(data[:end])
        with pytest.raises(CorruptFile):
            dlibface.FaceNetwork(read_dlib(path))
    path.write_bytes(data.replace(b"affine_", b"affin0_", 1))
    with pytest.raises(CorruptFile, match="is not the face embedder"):
        dlibface.FaceNetwork(read_dlib(path))
    path.write_bytes(struct.pack("<i", 7))
    with pytest.raises(CorruptFile):
        read_dlib(path)


def painted(side: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.linspace(0, 6, side), torch.linspace(0, 6, side), indexing="ij")
    return torch.stack([x.sin(), y.cos(), (x + y).sin()]) / 2 + 0.5


def at(side: int, face: tuple[tuple[float, float], ...] = _FACE) -> torch.Tensor:
    """Landmarks whose chip is a picture of that side."""
    return (torch.tensor(face, dtype=torch.float64) + 0.25) / 1.5 * side


def test_a_chip_is_what_its_landmarks_say() -> None:
    picture = painted(150)
    straight = chip(picture, at(150))
    # dlib spreads 150 places over the picture's 149 steps around the corner (75, 75): half a pixel to the right.
    assert (straight[:, 1:-1, 1:-1] - (picture[:, 1:-1, 1:-1] + picture[:, 2:, 2:]) / 2).abs().max() < 0.02
    assert (chip(picture, at(150, _EYES)) - straight).abs().max() < 0.02
    turned = at(150) @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64) + torch.tensor([149.0, 0.0], dtype=torch.float64)
    again = chip(picture.rot90(-1, (1, 2)), turned)
    assert (again - straight)[:, 5:-5, 5:-5].abs().max() < 0.03


def test_large_faces_are_halved_first() -> None:
    noise = torch.rand(3, 900, 900, generator=torch.Generator().manual_seed(0))
    assert chip(noise, at(900)).std() < 0.1 < chip(noise[:, :150, :150], at(150)).std()


def test_chips_have_gradients() -> None:
    picture = painted(64).requires_grad_()
    chip(picture, at(64)).sum().backward()
    assert picture.grad is not None
    assert (picture.grad != 0).float().mean() > 0.8


@pytest.fixture(scope="module")
def dlib() -> Any:
    return pytest.importorskip("dlib")


def faces(count: int) -> list[np.ndarray]:
    if not SHARED.is_dir():
        pytest.skip("needs pictures of faces, which are not part of this repository")
    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted(SHARED.glob("*.jpg"))[:count]]


@pytest.mark.oracle
def test_embeddings_and_chips_are_those_of_dlib(dlib: Any) -> None:
    theirs, ours = dlib.face_recognition_model_v1(str(dlibface.WEIGHTS.path())), dlibface.face_network(torch.device("cpu"))
    predictor, finder = dlib.shape_predictor(str(facefinder.FINDER.path())), facefinder.FaceFinder()
    for picture in faces(5):
        (found,) = finder.largest(picture)
        left, top, right, bottom = map(int, found.box)
        shapes = dlib.full_object_detections()
        shapes.append(predictor(picture, dlib.rectangle(left, top, right - 1, bottom - 1)))
        (wanted,) = dlib.get_face_chips(picture, shapes, size=150)
        x = torch.from_numpy(wanted.copy()).permute(2, 0, 1) / 255
        assert np.abs(ours(x[None])[0].numpy() - np.array(theirs.compute_face_descriptor(wanted))).max() < 1e-3
        cut = chip(torch.from_numpy(picture.copy()).permute(2, 0, 1) / 255, torch.tensor(found.landmarks, dtype=torch.float64))
        assert (cut - x).abs().max() < 1.01 / 255, "dlib cuts fractions off"


@pytest.mark.slow
def test_people_are_told_apart_on_originals(dlib: Any) -> None:
    """AUC of distances of one person's pictures against those of two: at least 0.99."""
    pictures = faces(100)
    names = [f["class"] for f in sorted(json.loads((SHARED / "manifest.json").read_text())["files"], key=lambda f: f["file"])]
    network, finder = dlibface.face_network(torch.device("cpu")), facefinder.FaceFinder()
    chips = []
    for picture in pictures:
        (found,) = finder.largest(picture)
        points = torch.tensor(found.landmarks, dtype=torch.float64)
        chips.append(chip(torch.from_numpy(picture.copy()).permute(2, 0, 1) / 255, points))
    embeddings = torch.cat([network(torch.stack(chips[i : i + 10])) for i in range(0, 100, 10)])
    distance, first, second = torch.cdist(embeddings, embeddings), *torch.triu_indices(100, 100, 1)
    same = torch.tensor([names[i] == names[j] for i, j in zip(first.tolist(), second.tolist(), strict=True)])
    one, two = distance[first, second][same], distance[first, second][~same]
    assert (len(one), len(two)) == (450, 4500)
    assert (one[:, None] < two).double().mean() >= 0.99
    cosine = torch.cosine_similarity(embeddings[first[~same]], embeddings[second[~same]])
    assert math.isclose(float(cosine.mean()), 0.847, abs_tol=0.002), "what the judge of faces rescales by"
