"""The measuring loop: figures, protocols, interruptions, failures that are counted."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tokodec import catalogue, files
from tokodec.cli import main
from tokodec.errors import InputError, NoInput
from tokodec.eval import suite as suites
from tokodec.eval.contestants import Named
from tokodec.eval.journal import Journal
from tokodec.eval.measure import PictureMeasure
from tokodec.eval.measures import ALWAYS, MEASURES
from tokodec.eval.protocol import protocol_of
from tokodec.eval.suite import Entry, Suite, find_suite, load
from tokodec.eval.work import code
from tokodec.media.picture import Picture
from tokodec.rate import Length

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


def results(path: str = "out/results.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(path).read_text())
    return found


def untimed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if "seconds" not in k and k != "peak_bytes"} for row in rows]


def test_a_run_writes_everything_and_runs_again_for_nothing(folder: Path, alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main.run(COMMAND) == 0
    made = {p.name for p in Path("out").iterdir() if p.is_file()}
    assert made == {"journal.jsonl", "results.json", "results.csv", "results.md", "rd.png", "rd.svg"}
    first = results()
    assert len(first["rows"]) == 2 * (13 + 1 + 14 + 11)
    assert all(row["error"] is None for row in first["rows"])
    assert all(row["ms_ssim"] is None for row in first["rows"]), "too small for five scales"
    assert all(0 < row["ssim"] <= 1 for row in first["rows"])
    assert tuple(first["protocol"]["measures"]) == ALWAYS
    assert {p.name for p in Path("out").iterdir() if p.is_dir()} == {"cache"}, "no more is kept than is asked for"
    assert len(Path("out/results.csv").read_text().splitlines()) == len(first["rows"]) + 1
    monkeypatch.setattr("tokodec.eval.run.Pool", lambda *_, **__: pytest.fail("computed twice"))
    files = {p.name: p.read_bytes() for p in Path("out").iterdir() if p.is_file()}
    assert main.run(COMMAND) == 0
    assert {p.name: p.read_bytes() for p in Path("out").iterdir() if p.is_file()} == files


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


def test_a_killed_run_goes_on_and_ends_alike(folder: Path, alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that was coded is coded again, and no figure, not even a time, differs from those of a run that was not killed."""
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
    assert before.count(b"\n") > 5
    journal.write_bytes(before + b'{"contestant": "jp')  # as if the kill had torn a line
    coded: list[Any] = []
    monkeypatch.setattr("tokodec.eval.work.code", lambda c, p, s, frame: coded.append((c.name, s)) or code(c, p, s, frame))
    assert main.run((*short, "out")) == 0
    assert journal.read_bytes().startswith(before[: before.rindex(b"\n")])
    resumed = results()
    assert len(coded) <= len(resumed["rows"]) - (before.count(b"\n") - 1)
    coded.clear()
    assert main.run((*short, "whole", "--cache", "out/cache")) == 0
    assert coded == []
    assert {k: v for k, v in resumed.items() if k != "command"} == {
        k: v for k, v in results("whole/results.json").items() if k != "command"
    }
    assert Path("out/results.md").read_bytes() == Path("whole/results.md").read_bytes()


def test_a_new_measure_codes_nothing(folder: Path, alone: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    short = ("bench", "run", "pictures", "-m", "vq_test", "--quiet", "-o")
    assert main.run((*short, "out")) == 0
    monkeypatch.setattr("tokodec.eval.work.code", lambda *_: pytest.fail("coded again"))
    more = {
        **MEASURES,
        "largest": PictureMeasure(compute=lambda p: float(np.abs(p.original.astype(int) - p.decoded).max()), unit="", definition="d"),
    }
    for module in ("measures", "work", "protocol"):
        monkeypatch.setattr(f"tokodec.eval.{module}.MEASURES", more)
    short = (*short[:-1], "--measures", "psnr,largest", "-o")
    assert main.run((*short, "out")) == 2
    assert "--cache out/cache it codes nothing again" in capfd.readouterr().err
    assert main.run((*short, "more", "--cache", "out/cache")) == 0
    assert all(row["largest"] > 0 for row in results("more/results.json")["rows"])


def test_what_is_kept_can_be_damaged_or_unwanted(folder: Path, alone: None) -> None:
    short = ("bench", "run", "pictures", "-m", "vq_test", "--quiet", "-o")
    assert main.run((*short, "out")) == 0
    for path in Path("out/cache").rglob("*.png"):
        path.write_bytes(path.read_bytes()[:-40])
    assert main.run((*short, "again", "--cache", "out/cache")) == 0
    assert untimed(results()["rows"]) == untimed(results("again/results.json")["rows"])
    assert main.run((*short, "none", "--cache", "none")) == 0
    assert not Path("none/cache").exists()


def test_processes_of_their_own_and_one_that_is_lost(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real pool: rows come in order, and what a picture does to a process is that picture's failure."""
    Path("pictures/c.png").write_bytes(b"no picture")
    assert main.run(("bench", "run", "pictures", "-m", "vq_test", "-o", "out", "--quiet", "-j", "2")) == 3
    errors = {row["picture"]: row["error"] for row in results()["rows"]}
    assert (errors["a.png"], errors["b.png"]) == (None, None)
    assert errors["c.png"].startswith("UnsupportedInput: ")


def test_a_picture_that_changes_under_way_fails(folder: Path, alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = suites.find_suite("pictures", None)
    paint(Path("pictures/b.png"), 50, 70, 9)
    monkeypatch.setattr("tokodec.eval.suite.find_suite", lambda *_: whole)
    assert main.run(("bench", "run", "pictures", "-m", "vq_test", "-o", "out", "--quiet")) == 3
    errors = [row["error"] for row in results()["rows"]]
    assert errors[0] is None
    assert "b.png: has changed since the run began" in errors[1]


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
        (("nowhere", "-o", "out"), 2, "neither a folder of pictures nor a suite; suites are faces, kodak"),
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
    protocol = protocol_of(Suite(name="s"), [], {})
    row = {"contestant": "c", "identity": "i", "setting": 0.5, "picture": "p", "error": None}
    Journal(tmp_path, protocol).add(row)
    path = tmp_path / "journal.jsonl"
    whole = path.read_bytes()
    for end in range(whole.index(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:end])
        assert Journal(tmp_path, protocol).rows == {}
        assert path.read_bytes() == whole[: whole.index(b"\n") + 1]
    path.write_bytes(whole)
    assert Journal(tmp_path, protocol).done("c", "i") == {(0.5, "p")}


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


# --- numbers of ids


def test_settings_may_be_numbers_of_ids(folder: Path, alone: None) -> None:
    command = ("bench", "run", "pictures", "-m", "one_d_piece_test", "--baselines", "jpeg_ds4", "-o", "out", "--lengths", "1,2,4,99")
    assert main.run((*command, "--quiet")) == 0
    rows = [r for r in results()["rows"] if r["contestant"] == "one_d_piece_test"]
    assert [r["setting"] for r in rows] == [1, 1, 2, 2, 4, 4, 6, 6], "6 are all there are"
    machine = files.Machine()
    for row in rows[::2]:
        picture = Picture(rgb=np.asarray(Image.open(Path("pictures") / row["picture"])))
        coded = files.encode(picture, machine.codec("one_d_piece_test"), Length(row["setting"]), machine)
        assert row["bytes"] == len(coded.data)
    table = Path("out/results.md").read_text().rpartition("\n\n")[2].splitlines()
    assert table[0] == "| contestant | ids of a window | bytes | bpp | psnr dB | jpeg_ds4 at these bytes |"
    assert [line.split(" | ")[1] for line in table[2:]] == ["1", "2", "4", "6"]
    assert Path("out/ids.png").stat().st_size > 0


def test_lengths_are_for_models_that_have_them() -> None:
    row, plain = (Named(name=n, baseline=False, qualities=(0.0, 1.0), lengths=(2, 4)) for n in ("one_d_piece_test", "hyperprior_vr_test"))
    rated = replace(row, lengths=())
    assert [n.make().settings for n in (row, plain, rated)] == [(2, 4), (0.0, 1.0), (0.0, 1.0)]
    assert row.make().identity() != rated.make().identity(), "2 ids are not quality 2"


def test_two_decoders_of_one_set_of_ids_are_two_contestants() -> None:
    identities = [Named(name=n, baseline=False).make().identity() for n in ("vq_f16.v2", "vq_f16.v2-crisp")]
    assert identities[0]["fingerprint"] == identities[1]["fingerprint"]
    assert identities[0] != identities[1], "a decoded picture of one would stand in for the other's"


def test_points_are_spread_over_the_settings_of_each() -> None:
    rated = Named(name="hyperprior_vr_test", baseline=False, qualities=tuple(i / 12 for i in range(13)), points=3)
    jpeg = Named(name="jpeg", baseline=True, points=4)
    assert rated.make().settings == pytest.approx((2 / 12, 6 / 12, 10 / 12))
    assert jpeg.make().settings == (3, 18, 50, 90)
    assert replace(jpeg, points=1).make().settings == (35,)
    assert replace(jpeg, points=99).make().settings == replace(jpeg, points=None).make().settings
    assert replace(rated, name="vq_test").make().settings == (None,)


@pytest.mark.parametrize(
    ("rest", "words"),
    [(("--lengths", "1,x"), "numbers of ids"), (("--lengths", "0"), "numbers of ids"), (("--lengths", "2", "-m", "vq_test"), "no model")],
)
def test_lengths_that_are_none(folder: Path, capsys: pytest.CaptureFixture[str], rest: tuple[str, ...], words: str) -> None:
    assert main.run(("bench", "run", "pictures", "-o", "out", *rest)) == 2
    assert words in capsys.readouterr().err
