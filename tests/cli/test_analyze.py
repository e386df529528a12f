"""tokodec analyze."""

import json
from pathlib import Path
from typing import Any

import pytest
from commands import draw, names

from tokodec import files
from tokodec.pretrained import store


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    draw("in/a.png", 40, 56)
    draw("in/b.jpg", 33, 90)
    draw("in/deep/c.png", 33, 33, 1)
    return tmp_path


def analysis(folder: str) -> dict[str, Any]:
    return json.loads((Path(folder) / "analysis.json").read_text())


def test_a_model_with_one_codebook(tk: Any, pictures: Path) -> None:
    told = tk("analyze", "vq_test", "in", "-r", "-o", "out", "--json")
    assert told.code == 0
    assert "3 done, 0 failed" in told.err
    found = analysis("out")
    assert (found["model"], found["pictures"], found["failed"], len(found["codebooks"])) == ("vq_test", 3, [], 1)
    assert found["pixels"] == 40 * 56 + 33 * 90 + 33 * 33
    (row,) = told.rows
    assert (row["output"], row["pictures"], row["codebooks"][0]["ids"]) == ("out", 3, 3 * 4 + 3 * 6 + 3 * 3)
    assert found["codebooks"][0]["positions"]["relative"]
    assert tk("tokenize", "in", "-r", "-o", "t.npz", "-m", "vq_test").code == 0
    coded = tk("compress", "in/a.png", "-o", "a.tkd", "-m", "vq_test", "--json").rows[0]["bytes"]
    assert tk("analyze", "vq_test", "in/a.png", "-o", "one").code == 0
    assert 0 < analysis("one")["file_coder"]["payload_bytes"] < coded


def test_a_model_with_several_codebooks(tk: Any, pictures: Path) -> None:
    assert tk("analyze", "bae_test", "in", "-o", "out").code == 0
    found = analysis("out")
    assert [c["name"] for c in found["codebooks"]] == ["ids[0]", "ids[1]"]
    assert [c["frequency"]["size"] for c in found["codebooks"]] == [8, 8]
    assert found["file_coder"]["ids"] == 2 * (20 * 28 + 17 * 45) == 2 * found["codebooks"][1]["frequency"]["total"]
    assert found["file_coder"]["bits_per_id"] == pytest.approx(3, abs=0.05)


def test_the_page_shows_every_code(tk: Any, pictures: Path) -> None:
    for model, sheets in (("vq_test", 1), ("bae_test", 2)):
        told = tk("analyze", model, "in", "-o", model)
        assert "atlas of ids" in told.err
        assert names(Path(model)) == {"analysis.json", "index.html"}
        page = Path(model, "index.html").read_text()
        assert page.count("data:image/png;base64,iVBOR") == sheets
        assert model in page
    assert tk("analyze", "vq_test", "in", "-o", "none", "--atlas", "0", "--quiet").err == ""
    assert "data:image/png" not in Path("none/index.html").read_text()


def test_the_same_in_several_processes_and_in_fewer_pictures(tk: Any, pictures: Path) -> None:
    assert tk("analyze", "vq_test", "in", "-r", "-o", "one").code == 0
    assert tk("analyze", "vq_test", "in", "-r", "-o", "two", "-j", "2").code == 0
    assert {n: (Path("one") / n).read_bytes() for n in names(Path("one"))} == {
        n: (Path("two") / n).read_bytes() for n in names(Path("two"))
    }
    assert tk("analyze", "vq_test", "in", "-r", "-o", "few", "--limit", "1").code == 0
    assert analysis("few")["pixels"] == 40 * 56


def test_a_picture_that_fails_is_told_and_left_out(tk: Any, pictures: Path) -> None:
    Path("in/bad.png").write_bytes(b"no picture")
    told = tk("analyze", "vq_test", "in", "-o", "out")
    assert told.code == 3
    found = analysis("out")
    assert (found["pictures"], [f["name"] for f in found["failed"]]) == (2, ["in/bad.png"])
    assert tk("analyze", "vq_test", "in", "-o", "none", "--fail-fast").code == 3
    assert tk("analyze", "vq_test", "in/bad.png", "-o", "none").code == 3
    assert not Path("none").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("vq_test", "in"), 2, "name the folder of the results with -o"),
        (("vq_test", "in", "-o", "-"), 2, "name the folder of the results with -o"),
        (("vq_test", "in", "-o", "new/out"), 2, "there is no folder new"),
        (("vq_test", "in", "-o", "in/a.png"), 2, "is a file"),
        (("vq_test", "in", "-o", "in/deep"), 5, "exists already"),
        (("vq_test", "in", "-o", "out", "--alpha", "keep"), 2, "hold no transparency"),
        (("vq_test", "in", "-o", "out", "--limit", "0"), 2, "--limit"),
        (("hyperprior_vr_test", "in", "-o", "out"), 2, "no discrete tokenizer"),
        (("vq_tset", "in", "-o", "out"), 6, "did you mean vq_test"),
        (("dir:nowhere", "in", "-o", "out"), 6, "nowhere"),
        (("vq_test", "none.png", "-o", "out"), 4, "no such file"),
        (("vq_test", "-o", "out"), 4, "no input was named"),
    ],
)
def test_what_is_asked_wrongly(tk: Any, pictures: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    told = tk("analyze", *arguments)
    assert (told.code, message in told.err) == (code, True), told.err
    assert not Path("out").exists()


def test_nothing_is_replaced_unasked_and_nothing_else_is_touched(tk: Any, pictures: Path) -> None:
    Path("out").mkdir()
    Path("out/mine.txt").write_text("mine")
    assert tk("analyze", "vq_test", "in", "-o", "out").code == 5
    assert names(Path("out")) == {"mine.txt"}
    assert tk("analyze", "vq_test", "in", "-o", "out", "-f").code == 0
    assert Path("out/mine.txt").read_text() == "mine"
    assert analysis("out")["pictures"] == 2
    assert [p.name for p in Path().iterdir() if p.name.startswith(".")] == []


def test_a_dry_run_does_nothing(tk: Any, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "tokenize", lambda *_: pytest.fail("worked"))
    assert tk("analyze", "vq_test", "in", "-o", "out", "--dry-run").out == b"in/a.png -> out\nin/b.jpg -> out\n"
    assert not Path("out").exists()


def test_weights_of_ones_own(tk: Any, pictures: Path) -> None:
    Path("own").mkdir()
    store.save(store.load("vq_test"), Path("own/model.safetensors"), name="vq_test")
    assert tk("analyze", "dir:own", "in", "-o", "out").code == 0
    assert analysis("out")["fingerprint"] == store.load("vq_test").fingerprint.hex()
