"""Judges of letters, faces and classes: figures by hand, labels, suites, and a whole run."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.models import shufflenet_v2_x0_5

from tokodec.cli import main
from tokodec.cli.judging import Judging
from tokodec.errors import InputError
from tokodec.eval import faces, texts
from tokodec.eval.classes import Classifier, ClassJudge
from tokodec.eval.faces import Embedder, FaceJudge
from tokodec.eval.frames import FRAMES
from tokodec.eval.judge import Panel, pooled, size_class
from tokodec.eval.labels import Face, LabelFile, Labels, Word, read_labels
from tokodec.eval.panel import POOLS
from tokodec.eval.probe import ProbeJudge
from tokodec.eval.protocol import protocol_of
from tokodec.eval.suite import Suite, find_suite
from tokodec.eval.texts import Reader, TextJudge
from tokodec.eval.verdicts import Verdicts

pytest.importorskip("rapidfuzz")


class Bright:
    """Reads ``abcd`` where a box is bright, one letter less for each quarter that it is darker."""

    alphabet = frozenset("abcd")

    def __init__(self) -> None:
        self.looked = 0

    def read(self, picture: torch.Tensor, boxes: Sequence[Sequence[float]]) -> list[str]:
        self.looked += 1
        cuts = [picture[:, int(b[1]) : int(b[3]), int(b[0]) : int(b[2])].mean() for b in boxes]
        return ["abcd"[: round(4 * float(c))] for c in cuts]


class Colours(torch.nn.Module):
    """The mean colour of a chip."""

    def forward(self, chips: torch.Tensor) -> torch.Tensor:
        return chips.mean((2, 3))


@pytest.fixture(autouse=True)
def networks(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Bright()
    monkeypatch.setattr(texts, "RECOGNISERS", {"ppocr_v6": Reader(make=lambda _: made, identity=lambda: {"weights_sha256": "00"})})
    embedder = Embedder(make=lambda _: Colours(), identity=lambda: {"weights_sha256": "11"}, side=16, strangers=0.5, same=0.1)
    monkeypatch.setattr(faces, "EMBEDDERS", {"dlib_resnet": embedder})


def flat(value: float, height: int = 100, width: int = 200) -> np.ndarray:
    return np.full((height, width, 3), round(255 * value), np.uint8)


WORDS = (
    Word(text="abcd", box=(0, 0, 100, 20)),  # a letter is an eighth of the picture: large
    Word(text="abcd", box=(0, 20, 12, 32)),  # 0.015: medium of 256 is from 0.03 on, small from 0.02 on: in no class
    Word(text="abxd", box=(100, 0, 120, 10)),  # not in the alphabet
)


def test_figures_of_text_by_hand() -> None:
    judge = TextJudge()
    details = judge.compute(flat(1), flat(0.75), Labels(words=WORDS))
    assert [d["read"] for d in details] == ["abc"] * 3
    assert [d["size"] for d in details] == ["large", None, "small"]
    assert [d["outside"] for d in details] == [False, False, True]
    found = judge.pool(details)
    assert found["text_words"] == 3
    assert found["text_outside"] == 1
    assert found["text_dropped"] == 1
    assert found["text_acc"] == 0
    assert found["text_ned"] == pytest.approx((0.75 + 0.75 + 0.5) / 3)
    assert found["text_ned_retention"] == pytest.approx((0.75 + 0.75 + 0.5) / (1 + 1 + 0.75))
    assert found["text_ned_clean"] == 0.75
    assert found["text_ned_large"] == 0.75
    assert found["text_acc_small_retention"] is None, "nothing was read rightly that could be lost"
    assert found["text_ned_tokbench"] is None, "a class is empty"
    assert set(found) == set(judge.definitions) == set(TextJudge.pool([]))


def test_an_unchanged_picture_keeps_all_and_an_original_is_looked_at_once() -> None:
    judge, labels = TextJudge(), Labels(words=WORDS[:2], faces=(Face(box=(0, 0, 40, 40), landmarks=((10, 10), (30, 10))),))
    picture = flat(1)
    for _ in range(3):
        row = Panel([judge, FaceJudge()]).row(picture, picture, labels)
        assert row["text_acc_retention"] == row["text_ned_retention"] == row["face_sim_retention"] == row["face_same"] == 1
        assert row["face_l2"] == 0
    assert judge._recogniser.looked == 4  # type: ignore[attr-defined]


def test_what_was_said_is_not_asked_again_unless_something_differs(tmp_path: Path) -> None:
    labels, kept = Labels(words=WORDS[:2]), Verdicts(folder=tmp_path)

    def looked(judge: TextJudge, original: np.ndarray, decoded: np.ndarray, labels: Labels) -> tuple[int, str]:
        before = judge._recogniser.looked  # type: ignore[attr-defined]
        row = Panel([judge], kept).row(original, decoded, labels)
        return judge._recogniser.looked - before, json.dumps(row)  # type: ignore[attr-defined]

    given = (flat(1), flat(0.5), labels)
    first = looked(TextJudge(), *given)
    assert first[0] == 2
    assert looked(TextJudge(), *given) == (0, first[1])
    assert looked(TextJudge(), flat(1), flat(0.25), labels)[0] == 2
    assert looked(TextJudge(), flat(0.25), flat(0.5), labels)[0] == 2
    assert looked(TextJudge(), flat(1), flat(0.5), Labels(words=WORDS[:1]))[0] == 2
    assert looked(TextJudge(side=256), *given)[0] == 2
    for path in tmp_path.rglob("*.json"):
        path.write_text("[")
    assert looked(TextJudge(), *given) == first


def test_folding_is_the_suites_choice() -> None:
    word = (Word(text="A B C", box=(0, 0, 100, 20)),)
    found = [TextJudge().compute(flat(0.75), flat(0.75), Labels(words=word, reading=r))[0] for r in ("exact", "folded")]
    assert [d["acc"] for d in found] == [0, 1]
    assert [d["outside"] for d in found] == [True, False]


def test_figures_of_faces_by_hand() -> None:
    judge, face = FaceJudge(), Face(box=(0, 0, 100, 100), landmarks=((80, 40), (120, 40)))
    red, grey = flat(1), flat(0.5)
    red[..., 1:] = 0
    (found,) = judge.compute(red, grey, Labels(faces=(face,)))
    assert found["cosine"] == pytest.approx(1 / np.sqrt(3), abs=1e-3)
    assert found["sim"] == pytest.approx((1 / np.sqrt(3) - 0.5) / 0.5, abs=2e-3)
    assert found["same"] == 0
    assert found["size"] == "large"
    assert judge.pool([found, {"missing": True}])["face_missing"] == 1
    assert set(judge.pool([found])) == set(judge.definitions)


def test_relative_sizes_are_tokbenchs() -> None:
    assert [size_class("text", r, 256) for r in (0.01, 0.02, 0.03, 0.04, 0.9)] == [None, "small", "medium", "large", "large"]
    assert [size_class("text", 0.01, side) for side in (257, 512, 513, 4000)] == ["small", "small", "medium", "medium"]
    assert [size_class("faces", r, 1024) for r in (0, 0.05, 0.1)] == ["small", "medium", "large"]


def test_a_word_counts_once_wherever_it_stands() -> None:
    panel = Panel([TextJudge()])
    rows = [panel.row(flat(1), flat(1), Labels(words=WORDS[:2])), panel.row(flat(1), flat(0.5), Labels(words=WORDS[:1])), {}]
    assert pooled(rows, POOLS)["text_acc"] == pytest.approx(2 / 3)
    assert Panel().row(flat(1), flat(1), None) == {}
    nothing = panel.row(flat(1), flat(1), None)
    assert nothing["text_acc"] is None


def test_frames_give_the_size_back() -> None:
    picture = np.zeros((30, 50, 3), np.uint8) + np.arange(0, 250, 5, np.uint8)[:, None]
    assert FRAMES["native"].shown(picture) is picture
    shown = FRAMES["square256"].shown(picture)
    assert shown.shape == (256, 256, 3)
    assert shown[170:].max() == 0
    assert np.abs(FRAMES["square256"].restored(shown, picture).astype(float) - picture).mean() < 2


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_both_layouts_of_labels_are_read(tmp_path: Path) -> None:
    ours = {
        "reading": "folded",
        "files": [
            {"file": "a.png", "bytes": 7, "words": [{"text": "hi", "box": [0, 0, 9, 9], "px": 9}], "class": "n1"},
            {"file": "b.png", "faces": [{"box": [0, 0, 9, 9], "landmarks": [[1, 2], [3, 2]]}]},
        ],
    }
    found = read_labels(written(tmp_path / "l.json", ours), LabelFile(file="l.json", look=True))
    assert found["a.png"].words == (Word(text="hi", box=(0, 0, 9, 9)),)
    assert (found["a.png"].reading, found["a.png"].look, found["a.png"].category) == ("folded", True, "n1")
    assert not found["b.png"].look
    theirs = [
        {"file_name": "a.jpg", "height": 9, "width": 9, "annotations": [{"rec": "hi", "bbox": [0, 0, 9, 9], "ratio": 0.3}]},
        {"image_name": "f.jpg", "faces": [{"box": [0, 0, 9, 9], "kps": [[i, i] for i in range(5)], "ratio": 0.1, "gt": 1}]},
    ]
    found = read_labels(written(tmp_path / "t.json", theirs), LabelFile(file="t.json"))
    assert found["a.jpg"].words[0].ratio == 0.3
    assert found["f.jpg"].faces[0].landmarks == ((0, 0), (1, 1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"words": []}, "neither an object"),
        ({"files": [{"file": "a", "words": [{"text": "", "box": [0, 0, 1, 1]}]}]}, "a: the text '' is empty"),
        ({"files": [{"file": "a", "words": [{"text": "x", "box": [5, 0, 1, 1]}]}]}, "is not .left, top, right, bottom"),
        ({"files": [{"file": "a", "words": [{"text": "x"}]}]}, "lacks 'box'"),
        ({"files": [{"file": "a", "words": [{"text": "x", "box": [0, 0, 1, 1], "bok": 1}]}]}, "has bok, which is not known"),
        ({"files": [{"file": "a", "faces": [{"box": [0, 0, 1, 1], "landmarks": [[1, 2]]}]}]}, "has 1 landmarks"),
        ({"files": [{"file": "a"}, {"file": "a"}]}, "a is labelled twice"),
        ({"files": [], "reading": "loud"}, "no reading 'loud'"),
        ([3], "entry 0 is no object"),
    ],
)
def test_labels_are_held_to_their_rules(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_labels(written(tmp_path / "l.json", content), LabelFile(file="l.json"))


def save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def test_a_run_with_labels(tmp_path: Path, alone: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    save(Path("pictures/a.png"), flat(1, 16, 32))
    save(Path("pictures/b.png"), flat(0.75, 16, 32))
    box = [0, 0, 16, 8]
    labels = {"files": [{"file": n, "words": [{"text": "abcd", "box": box}], "class": "n1"} for n in ("a.png", "b.png")]}
    written(Path("pictures/labels.json"), labels)
    command = ("bench", "run", "pictures", "-m", "vq_test", "--baselines", "jpeg", "-o", "out", "--quiet")
    assert main.run(command) == 0
    assert "classes: not run: weights missing" in capfd.readouterr().err
    found = json.loads(Path("out/results.json").read_text())
    assert found["protocol"]["measures"]["text_acc"]["weights_sha256"] == "00"
    assert "class_top1" not in found["protocol"]["measures"]
    assert set(found["protocol"]["labels"]) == {"a.png", "b.png"}
    (best,) = [p for p in found["points"] if p["contestant"] == "jpeg" and p["setting"] == 95]
    assert (best["values"]["text_acc"], best["values"]["text_acc_retention"], best["values"]["text_words"]) == (0.5, 1, 2)
    (row,) = [r for r in found["rows"] if r["contestant"] == "jpeg" and r["setting"] == 95 and r["picture"] == "b.png"]
    assert row["detail"]["text"][0]["read"] == "abc"
    assert main.run((*command, "--judges", "ears")) == 2
    assert "no judge 'ears'" in capfd.readouterr().err


def test_flags_of_judges(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    suite = Suite(name="s", judges=("text", "classes"))
    asked = Judging(judges="none", frame="square256").applied(suite)
    assert (asked.judges, protocol_of(asked, [], {}).name) == ((), "s-v1-square256")
    assert capfd.readouterr().err == ""
    Judging().applied(suite)
    assert "classes: not run: weights missing" in capfd.readouterr().err
    for flags, message in (
        (Judging(frame="round"), "no frame 'round'"),
        (Judging(classifier="resnet50=nowhere"), "with a file that is there"),
    ):
        with pytest.raises(InputError, match=message):
            flags.applied(suite)


def test_a_suite_of_several_folders_has_the_labels_of_each(tmp_path: Path) -> None:
    """As ``text`` and ``perception`` are: a picture goes by its path in the folder, so that names may repeat."""
    toml = ['name = "both"', 'judges = ["text"]']
    for name, reading in (("one", "exact"), ("two", "folded")):
        save(tmp_path / name / "a.png", flat(0.5, 8, 16))
        file = {"file": "a.png", "words": [{"text": name, "box": [0, 0, 8, 8]}]}
        written(tmp_path / name / "manifest.json", {"files": [file]})
        toml += ["[[labels]]", f'file = "{name}/manifest.json"', f'reading = "{reading}"']
    for name in ("one", "two"):
        sha256 = hashlib.sha256((tmp_path / name / "a.png").read_bytes()).hexdigest()
        toml += ["[[pictures]]", f'name = "{name}/a.png"', f'sha256 = "{sha256}"']
    (tmp_path / "both.toml").write_text("\n".join(toml))
    _, entries = find_suite(str(tmp_path / "both.toml"), tmp_path)
    assert [e.name for e in entries] == ["one/a.png", "two/a.png"]
    assert [e.labels and (e.labels.words[0].text, e.labels.reading) for e in entries] == [("one", "exact"), ("two", "folded")]


def test_folders_of_classes_are_a_suite(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for i in range(4):
            save(tmp_path / name / f"{i}.png", flat(0.5, 8, 8))
    suite, entries = find_suite(str(tmp_path), None)
    assert suite.judges == ("classes",)
    assert [e.name for e in entries][:2] == ["cat/0.png", "cat/1.png"]
    assert [e.labels.teaches for e in entries if e.labels] == [True, True, False, False] * 2
    other = written(tmp_path / "labels.json", {"files": [{"file": "x.png"}]})
    with pytest.raises(InputError, match="none of those is among the pictures"):
        find_suite(str(tmp_path), None, other)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A network that was never trained."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "n.safetensors"
    save_file(shufflenet_v2_x0_5(weights=None).state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Classifier(network="shufflenet_v2_x0_5", file=str(path), sha256=digest, resize=32, side=32)


def test_classes_beside_those_of_the_original(classifier: Classifier) -> None:
    judge = ClassJudge(classifier, {"n1": 5})
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    (found,) = judge.compute(picture, picture, Labels(category="n1"))
    assert found["agree"] == 1
    assert found["top1"] == found["top1_original"]
    assert judge.compute(picture, picture, Labels()) == []
    with pytest.raises(InputError, match="no output of shufflenet_v2_x0_5 is known for the class 'n2'"):
        judge.compute(picture, picture, Labels(category="n2"))
    with pytest.raises(InputError, match="SHA-256"):
        ClassJudge(Classifier(network="shufflenet_v2_x0_5", file=classifier.file, sha256="00"), {})


def test_a_probe_learns_from_one_half_and_is_asked_about_the_other(classifier: Classifier, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, channel in (("red", 0), ("blue", 2)):
        for i in range(6):
            picture = rng.integers(0, 60, (32, 32, 3), np.uint8)
            picture[..., channel] += 150
            save(tmp_path / name / f"{i}.png", picture)
    suite, entries = find_suite(str(tmp_path), None)
    judge = ProbeJudge(classifier, suite, entries)
    details = []
    for entry in entries:
        picture = np.asarray(Image.open(entry.path))
        assert entry.labels is not None
        details += judge.compute(picture, picture[..., ::-1].copy(), entry.labels)
    found = judge.pool(details)
    assert found["probe_count"] == 6
    assert [d["top1_original"] for d in details] == [1] * 6
    assert found["probe_top1"] == 0, "with red and blue exchanged each picture is one of the other class"
    with pytest.raises(InputError, match="two classes"):
        ProbeJudge(classifier, Suite(name="s"), [])
