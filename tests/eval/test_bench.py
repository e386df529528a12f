"""The measuring loop: figures, protocols, interruptions, failures that are counted."""

import json
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tokodec import catalogue
from tokodec.cli import main
from tokodec.errors import InputError, NoInput
from tokodec.eval import suite as suites
from tokodec.eval.journal import Journal
from tokodec.eval.measures import ALWAYS
from tokodec.eval.protocol import protocol_of
from tokodec.eval.suite import Entry, Suite, find_suite, load

COMMAND = (
    "bench",
    "run",
    "pictures",
    "-m",
    "hyperprior_vr_test",
    "-m",
    "vq_test",
    "--baselines",
    "jpeg,webp_ds2",
    "-o",
    "out",
    "--quiet",
    "--measures",
    ",".join(ALWAYS),
)


def paint(path: Path, height: int, width: int, seed: int = 0) -> None:
    rng, y, x = np.random.default_rng(seed), np.arange(height)[:, None, None], np.arange(width)[:, None]
    waves = 128 + 50 * np.sin(x / (9 + seed) + np.arange(3)) * np.cos(y / 13) + rng.normal(0, 6, (height, width, 3))
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(waves.clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    paint(Path("pictures/a.png"), 64, 96, 1)
    paint(Path("pictures/b.png"), 50, 70, 2)
    return tmp_path


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers as threads of this process: starting Python four times takes longer than all the work."""

    def pool(workers: int, _context: object, *, initializer: Any, initargs: Any) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, initializer=initializer, initargs=initargs)

    monkeypatch.setattr("tokodec.eval.run.ProcessPoolExecutor", pool)


def results(path: str = "out/results.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(path).read_text())
    return found


def untimed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if "seconds" not in k and k != "peak_bytes"} for row in rows]


def test_a_run_writes_everything_and_runs_again_for_nothing(folder: Path, alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main.run(COMMAND) == 0
    assert {p.name for p in Path("out").iterdir()} == {"journal.jsonl", "results.json", "results.csv", "results.md", "rd.png", "rd.svg"}
    first = results()
    assert len(first["rows"]) == 2 * (13 + 1 + 14 + 11)
    assert all(row["error"] is None for row in first["rows"])
    assert all(row["ms_ssim"] is None for row in first["rows"]), "too small for five scales"
    assert all(0 < row["ssim"] <= 1 for row in first["rows"])
    assert tuple(first["protocol"]["measures"]) == ALWAYS
    assert {p.name for p in Path("out").iterdir() if p.is_dir()} == set(), "nothing is kept that no measure asks for"
    assert len(Path("out/results.csv").read_text().splitlines()) == len(first["rows"]) + 1
    monkeypatch.setattr("tokodec.eval.run._measured", lambda *_: pytest.fail("computed twice"))
    files = {p.name: p.read_bytes() for p in Path("out").iterdir()}
    assert main.run(COMMAND) == 0
    assert {p.name: p.read_bytes() for p in Path("out").iterdir()} == files


def test_bytes_are_those_of_whole_files(folder: Path, alone: None) -> None:
    main.run(("bench", "run", "pictures", "-m", "vq_test", "-o", "out", "--quiet"))
    main.run(("pictures/a.png", "a.tkd", "-m", "vq_test"))
    (row,) = [r for r in results()["rows"] if r["picture"] == "a.png"]
    assert row["bytes"] == Path("a.tkd").stat().st_size
    assert row["bpp"] == 8 * row["bytes"] / (64 * 96)


def test_weights_elsewhere_take_part_under_their_place(folder: Path, alone: None) -> None:
    Path("mine").mkdir()
    shutil.copy(catalogue.folder("pretrained") / "vq_test.safetensors", "mine/model.safetensors")
    assert main.run(("bench", "run", "pictures", "-m", "vq_test", "-m", "dir:mine", "-o", "out", "--quiet")) == 0
    rows = results()["rows"]
    bytes_of = {name: [row["bytes"] for row in rows if row["contestant"] == name] for name in ("vq_test", "dir:mine")}
    assert len(bytes_of["dir:mine"]) == 2
    assert bytes_of["dir:mine"] == bytes_of["vq_test"]


def test_a_killed_run_goes_on_and_ends_alike(folder: Path, alone: None) -> None:
    short = ("bench", "run", "pictures", "-m", "vq_test", "--baselines", "jpeg", "--measures", "psnr", "--quiet", "-o")
    command = [sys.executable, "-m", "tokodec.cli.main", *short, "out"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    journal = Path("out/journal.jsonl")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (journal.exists() and len(journal.read_bytes().splitlines()) > 5):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = journal.read_bytes()
    journal.write_bytes(before + b'{"contestant": "jp')  # as if the kill had torn a line
    assert main.run((*short, "out")) == 0
    assert journal.read_bytes().startswith(before[: before.rindex(b"\n")])
    resumed = results()
    assert main.run((*short, "whole")) == 0
    assert untimed(resumed["rows"]) == untimed(results("whole/results.json")["rows"])


def test_results_of_another_protocol_are_not_mixed(folder: Path, alone: None, capfd: pytest.CaptureFixture[str]) -> None:
    short = ("bench", "run", "pictures", "-m", "vq_test", "-o", "out", "--quiet")
    assert main.run(short) == 0
    paint(Path("pictures/b.png"), 50, 70, 3)
    assert main.run(short) == 2
    assert "pictures differ; choose another folder" in capfd.readouterr().err


def test_a_picture_that_fails_is_counted_in_the_title(folder: Path, alone: None) -> None:
    Path("pictures/c.png").write_bytes(b"no picture")
    assert main.run(("bench", "run", "pictures", "-m", "vq_test", "--baselines", "jpeg", "-o", "out", "--quiet")) == 3
    found = results()
    assert "30 of 45 scored, 15 FAILED" in found["title"]
    assert found["title"] in Path("out/results.md").read_text()
    assert sum(row["error"] is None for row in found["rows"]) + sum(row["error"] is not None for row in found["rows"]) == 45


def test_measures_of_the_whole_suite_and_of_files(folder: Path, alone: None) -> None:
    command = (
        "bench",
        "run",
        "pictures",
        "-m",
        "vq_test",
        "--baselines",
        "png",
        "--quiet",
        "--measures",
        "bits_raw,codebook_usage,psnr",
        "-o",
        "out",
    )
    assert main.run(command) == 0
    found = results()
    assert list(found["protocol"]["measures"]) == ["psnr", "codebook_usage", "bits_raw"]
    values = {p["contestant"]: p["values"] for p in found["points"]}
    assert values["png"]["psnr"] == 100
    assert values["png"]["codebook_usage"] is None
    assert 0 < values["vq_test"]["codebook_usage"] <= 1
    assert values["vq_test"]["bits_raw"] > 0
    assert all(row["codebook_usage"] is None for row in found["rows"]), "it is of no single picture"
    assert "| ≥ 100.00 ± 0.00 |" in Path("out/results.md").read_text()
    before = json.dumps(found["points"])
    assert main.run(command) == 0
    assert json.dumps(results()["points"]) == before, "what was kept of each picture is there the next time"
    assert main.run(("bench", "run", "pictures", "-m", "vq_test", "--quiet", "--measures", "psnr", "-o", "out")) == 2, "another protocol"
    shutil.rmtree("out/observations")
    assert main.run(command) == 2, "nothing is made up"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("pictures",), 2, "name the folder"),
        (("nowhere", "-o", "out"), 2, "neither a folder of pictures nor a suite; suites are kodak"),
        (("kodak", "-o", "out"), 2, "needs its pictures: --data"),
        (("kodak", "--data", "pictures", "-o", "out"), 4, "lacks 24 of the suite's 24 pictures"),
        (("pictures", "-o", "out", "-m", "nobody"), 6, "no model 'nobody'"),
        (("pictures", "-o", "out", "--baselines", "bpg"), 2, "there is no baseline 'bpg'"),
        (("pictures", "-o", "out", "--baselines", "jpeg,jpeg"), 2, "named twice"),
        (("pictures", "-o", "out", "--measures", "beauty"), 2, "there is no measure 'beauty'; there are psnr, "),
        (("empty", "-o", "out"), 4, "no pictures in empty"),
    ],
)
def test_what_is_asked_wrongly(
    folder: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, message: str
) -> None:
    Path("empty").mkdir()
    assert main.run(("bench", "run", *arguments)) == code
    assert message in capfd.readouterr().err


def test_a_missing_extra_is_told_before_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("tokodec.eval.plot.find_spec", lambda _: None)
    assert main.run(("bench", "run", "pictures", "-m", "vq_test", "-o", "out")) == 6
    assert 'pip install "tokodec[eval]"' in capfd.readouterr().err
    assert not Path("out").exists()


def test_an_anchor_that_does_not_take_part(folder: Path, alone: None, capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run((*COMMAND, "--anchor", "avif")) == 2
    assert "avif does not take part" in capfd.readouterr().err


def test_a_torn_journal_loses_its_last_line_alone(tmp_path: Path) -> None:
    protocol = protocol_of(Suite(name="s"), [])
    row = {"contestant": "c", "identity": "i", "setting": 0.5, "picture": "p", "error": None}
    Journal(tmp_path, protocol).add(row)
    path = tmp_path / "journal.jsonl"
    whole = path.read_bytes()
    for end in range(whole.index(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:end])
        assert Journal(tmp_path, protocol).rows == {}
        assert path.read_bytes() == whole[: whole.index(b"\n") + 1]
    path.write_bytes(whole)
    assert Journal(tmp_path, protocol).done("c", "i", 0.5, "p")


def test_crop_rules(tmp_path: Path) -> None:
    paint(tmp_path / "p.png", 300, 500)
    entry = Entry(path=tmp_path / "p.png", name="p.png", sha256="")
    assert load(entry, Suite(name="s")).shape == (300, 500, 3)
    assert load(entry, Suite(name="s", crop="centre256")).shape == (256, 256, 3)
    assert set(suites.CROPS) == {"native", "centre256"}


def test_suites_are_held_to_their_rules(tmp_path: Path) -> None:
    paint(tmp_path / "p.png", 16, 16)
    for text, message in (
        ('name = "s"\ncrop = "round"', "no crop rule 'round'"),
        ('name = "s"\nqualities = [2.0]', "not numbers of 0 to 1"),
        ('name = "s"\ncolour = 1', "no setting colour"),
        ('name = "s"\n[[pictures]]\nname = "p.png"\nsha256 = "00"', "another picture"),
    ):
        (tmp_path / "s.toml").write_text(text)
        with pytest.raises(InputError, match=message):
            find_suite(str(tmp_path / "s.toml"), tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(NoInput):
        find_suite(str(tmp_path / "none"), None)
