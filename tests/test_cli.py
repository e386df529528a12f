"""The command: what it writes, what it says where, and which code it ends with."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tokodec
from tokodec.cli import batch, main, talk
from tokodec.cli.options import parse_size
from tokodec.entropy.container import pack, unpack
from tokodec.errors import CorruptFile, InputError, OutOfMemory, TokodecError

TINY = ("-m", "hyperprior_vr_test")


class Told:
    """What one run of the command gave."""

    def __init__(self, code: int, out: bytes, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.decode().splitlines()]


@pytest.fixture
def tk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Any:
    """Runs the command in an empty folder. ``stdin``: what it can read."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path, stdin: bytes = b"") -> Told:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin))))  # type: ignore[arg-type]
        code = main.run([str(a) for a in arguments])
        out, err = capfdbinary.readouterr()
        text = err.decode()
        assert "Traceback" not in text
        assert code == 0 or text, "a failure says why"
        return Told(code, out, text)

    return call


def draw(path: Path | str, height: int = 40, width: int = 56, channels: int = 3) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y = np.arange(width)[:, None], np.arange(height)[:, None, None]
    pixels = (128 + 60 * np.sin(x / 9 + np.arange(channels)) * np.cos(y / 7)).astype(np.uint8)
    Image.fromarray(pixels.squeeze()).save(path)
    return path


def opened(path: str) -> Image.Image:
    image = Image.open(path)
    image.load()
    return image


def compressed(path: Path | str, **header: Any) -> Path:
    file = unpack(tokodec.compress(np.full((20, 30, 3), 90, np.uint8), model=TINY[1]))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pack(replace(file, header=replace(file.header, **header))))
    return path


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


# --- the direction follows the names


def test_picture_to_tkd_and_back(tk: Any, tmp_path: Path) -> None:
    draw("photo.jpg")
    assert tk("photo.jpg", *TINY).code == 0
    assert tk("photo.tkd").code == 0
    assert names(tmp_path) == {"photo.jpg", "photo.tkd", "photo.png"}
    assert opened("photo.png").size == (56, 40)


def test_round_trip(tk: Any, tmp_path: Path) -> None:
    draw("a.png")
    before = Path("a.png").read_bytes()
    assert tk("a.png", "b.webp", *TINY).code == 0
    assert names(tmp_path) == {"a.png", "b.webp"}
    assert opened("b.webp").format == "WEBP"
    told = tk("a.png", "a.png", "-f", *TINY)
    assert told.code == 2
    assert "over an input" in told.err
    assert Path("a.png").read_bytes() == before


def test_round_trip_never_writes_over_its_input_through_a_link(tk: Any) -> None:
    draw("a.png")
    Path("b.png").symlink_to("a.png")
    assert tk("a.png", "b.png", "-f", *TINY).code == 2


def test_two_tkd_names_and_folders_are_told(tk: Any) -> None:
    compressed("a.tkd")
    assert tk("a.tkd", "b.tkd").code == 2
    Path("folder").mkdir()
    assert "tokodec compress" in tk("folder").err
    assert tk("a.tkd", "b.png", "-o", "c.png").code == 2


def test_a_mistyped_verb_is_told(tk: Any) -> None:
    told = tk("compres", "x.png")
    assert told.code == 2
    assert "did you mean tokodec compress" in told.err


def test_options_may_stand_first_and_names_may_begin_with_a_dash(tk: Any, tmp_path: Path) -> None:
    draw("-odd.png")
    assert tk(*TINY, "-q", "0.2", "--", "-odd.png").code == 0
    assert "-odd.tkd" in names(tmp_path)


# --- streams


def test_streams(tk: Any) -> None:
    stored = draw("a.png").read_bytes()
    data = tk(*TINY, "-", "-", stdin=stored).out
    assert unpack(data).header.width == 56
    assert tk("decompress", "-", stdin=data).out[:4] == b"\x89PNG"
    assert tk("-", "webp:-", stdin=data).out[8:12] == b"WEBP"
    assert tk("-", stdin=data).out[:4] == b"\x89PNG"
    assert tk("a.png", "jpeg:-", *TINY).out[:2] == b"\xff\xd8"
    assert tk("decompress", "-", "-o", "bmp:-", stdin=data).out[:2] == b"BM"
    assert tk("-", "b.png", stdin=data).code == 0
    assert opened("b.png").size == (56, 40)


def test_nothing_but_data_on_stdout(tk: Any) -> None:
    draw("a.png")
    told = tk("a.png", *TINY)
    assert told.out == b""
    assert "a.png -> a.tkd" in told.err
    assert tk("a.tkd", "b.png", "--quiet").err == ""


def test_bytes_are_not_sent_to_a_terminal(tk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    draw("a.png")
    monkeypatch.setattr("tokodec.cli.streams.sys.stdout.isatty", lambda: True)
    told = tk("a.png", "-", *TINY)
    assert told.code == 2
    assert "terminal" in told.err


def test_closed_streams(tk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    draw("a.png")
    with monkeypatch.context() as closed:
        closed.setattr(sys, "stdout", None)
        assert main.run(["a.png", "-", *TINY]) == 2
    monkeypatch.setattr(sys, "stdin", None)
    assert main.run(["-", "x.png", *TINY]) == 2


def test_stdout_takes_one_thing(tk: Any) -> None:
    draw("a.png")
    draw("b.png")
    assert tk("compress", "a.png", "b.png", "-o", "-", *TINY).code == 2
    assert tk("a.png", "-", "--json", *TINY).code == 2
    assert tk("compress", "-", "-", *TINY, stdin=b"x").code == 2
    assert tk("compress", "-", "--files-from", "-", *TINY).code == 2


# --- JSON


def test_json_of_compress_and_decompress(tk: Any) -> None:
    draw("a.png")
    (row,) = tk("a.png", "--json", *TINY).rows
    size = Path("a.tkd").stat().st_size
    assert list(row) == ["input", "output", "bytes", "bpp", "seconds", "ok", "error"]
    assert (row["input"], row["output"], row["bytes"], row["ok"], row["error"]) == ("a.png", "a.tkd", size, True, None)
    assert row["bpp"] == pytest.approx(8 * size / (40 * 56), abs=1e-6)
    assert row["seconds"] > 0
    (row,) = tk("decompress", "a.tkd", "--json", "-o", "b.png").rows
    assert (row["output"], row["bytes"], row["ok"]) == ("b.png", size, True)
    told = tk("decompress", "nowhere.tkd", "--json")
    (row,) = told.rows
    assert told.code == 4
    assert (row["bytes"], row["bpp"], row["ok"], row["error"]) == (None, None, False, "nowhere.tkd: no such file")


def test_json_of_inspect_and_verify(tk: Any) -> None:
    path = compressed("a.tkd")
    (row,) = tk("inspect", "a.tkd", "--json").rows
    file = unpack(path.read_bytes())
    assert row == {
        "model": TINY[1],
        "fingerprint": file.header.fingerprint.hex(),
        "width": 30,
        "height": 20,
        "file_bytes": path.stat().st_size,
        "payload_bytes": file.payload_bytes,
        "bpp": pytest.approx(8 * path.stat().st_size / 600, abs=1e-6),
    }
    Path("b.tkd").write_bytes(path.read_bytes()[:-1])
    told = tk("verify", "a.tkd", "b.tkd", "--json")
    assert told.code == 7
    assert [(list(r), r["file"], r["ok"]) for r in told.rows] == [
        (["file", "ok", "error"], "a.tkd", True),
        (["file", "ok", "error"], "b.tkd", False),
    ]
    assert "b.tkd" in told.rows[1]["error"]


def test_json_of_models(tk: Any) -> None:
    rows = tk("models", "list", "--json").rows
    expected = ["name", "kind", "media", "family", "pretrained", "variable_rate", "variable_length", "licence", "params", "bytes"]
    assert all(list(row) == expected for row in rows)
    (tiny,) = [row for row in rows if row["name"] == TINY[1]]
    assert tiny["kind"] == "codec"
    assert tiny["pretrained"] is False
    assert tiny["bytes"] > 0
    (row,) = tk("models", "info", TINY[1], "--json").rows
    assert row["ledger"]["bytes"] == tiny["bytes"]


# --- talk of the smaller verbs


def test_inspect_and_verify_for_people(tk: Any) -> None:
    compressed("a.tkd")
    told = tk("inspect", "a.tkd")
    assert "30 x 20" in told.out.decode()
    assert TINY[1] in told.out.decode()
    assert tk("verify", "a.tkd").out == b"a.tkd: ok\n"
    assert tk("verify", "a.tkd", "--quiet").out == b""


def test_verify_decodes_only_when_asked(tk: Any) -> None:
    compressed("a.tkd", symbol_crc=1)
    assert tk("verify", "a.tkd").code == 0
    told = tk("verify", "a.tkd", "--decode")
    assert told.code == 7
    assert "CRC" in told.err


def test_models(tk: Any) -> None:
    assert TINY[1] in tk("models", "list", "hyper*").out.decode()
    assert tk("models", "list", "nothing*").code == 4
    assert tk("models", "list", "--kind", "nonsense").code == 2
    assert "fingerprint" not in tk("models", "info", "hyperprior_vr").out.decode()
    assert tk("models", "info", "hyperprior").code == 6
    assert b"hyperprior_vr_test.safetensors: ok" in tk("models", "verify").out


def test_damaged_weights_are_found(tk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = tokodec.catalogue.ledger()  # type: ignore[attr-defined]
    monkeypatch.setattr("tokodec.catalogue.folder", lambda _: tmp_path)
    for row in ledger.values():
        (tmp_path / row.file).write_bytes(b"other")
    assert tk("models", "verify").code == 7
    (row, *_) = tk("models", "verify", "--json").rows
    assert row["ok"] is False
    assert tk("doctor", "--json").code == 7


def test_doctor(tk: Any) -> None:
    (report,) = tk("doctor", "--json", "--numerics").rows
    assert report["tokodec"] == tokodec.__version__
    assert report["numerics"][TINY[1]] == "exact"
    assert {"torch", "threads", "extras", "weights"} <= report.keys()
    assert "pillow" in tk("doctor").out.decode()


def test_version_and_help(tk: Any) -> None:
    assert tk("--version").out.decode() == f"tokodec {tokodec.__version__}\n"
    assert tk("-V").code == 0
    assert b"compress" in tk().out
    for verb in ("convert", "compress", "decompress", "inspect", "verify", "train", "doctor"):
        told = tk(verb, "--help")
        assert told.code == 0
        assert b"Usage" in told.out


def test_every_flag_is_on_the_page(tk: Any) -> None:
    page = (Path(__file__).parent.parent / "docs" / "command.md").read_text(encoding="utf-8")
    for verb in (("convert",), ("inspect",), ("verify",), ("train",), ("doctor",), ("models", "list")):
        for flag in re.findall(r"^  (?:-\w, )?(--[a-z-]+)", tk(*verb, "--help").out.decode(), re.MULTILINE):
            assert f"`{flag}" in page or f" {flag}`" in page, flag


def test_train(tk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Trainer:
        def __init__(self, recipe: Any, out: Path, *, device: Any, base: Path) -> None:
            self.made = f"{recipe.model} {out} {device} {base}"

        def run(self) -> Path:
            return Path(self.made)

    monkeypatch.setattr("tokodec.train.loop.Trainer", Trainer)
    told = tk("train", "codecs/hyperprior_vr.toml", "--data", "shards", "--device", "cpu", "--threads", "1")
    assert told.out.decode() == f"hyperprior_vr.v1 {Path('runs/hyperprior_vr')} cpu shards\n"
    assert tk("train", "codecs/hyperprior_vr.toml", "-o", "mine").out.split()[1] == b"mine"
    assert tk("train", "nowhere.toml").code == 2
    assert tk("train", "codecs/nowhere.toml").code == 2


# --- rate


def test_targets_are_met_or_told(tk: Any) -> None:
    draw("a.png", 160, 240)
    assert tk("compress", "a.png", "-o", "q.tkd", "-q", "0.6", *TINY).code == 0
    size = Path("q.tkd").stat().st_size
    assert tk("compress", "a.png", "-o", "s.tkd", "--target-size", str(size), *TINY).code == 0
    assert abs(Path("s.tkd").stat().st_size - size) <= 0.03 * size
    told = tk("compress", "a.png", "-o", "high.tkd", "--target-bpp", "50", *TINY)
    assert told.code == 0
    assert "50 bpp cannot be reached: quality 1, the highest, gives" in told.err
    told = tk("compress", "a.png", "-o", "low.tkd", "--target-size", "10", "--strict", *TINY)
    assert told.code == 3
    assert not Path("low.tkd").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("-q", "1.5"),
        ("-q", "x"),
        ("-q", "0.5", "--target-bpp", "1"),
        ("--target-size", "many"),
        ("--target-bpp", "-1"),
        ("--alpha", "invert"),
        ("--alpha", "flatten=nocolour"),
        ("--progress", "loud"),
        ("--device", "nonsense"),
        ("--numerics", "sloppy"),
        ("--max-pixels", "x"),
        ("--jobs", "0"),
        ("--bogus",),
        ("-o", "b.png"),
        ("-o", "no/such/folder.tkd"),
    ],
)
def test_wrong_usage(tk: Any, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    draw("a.png")
    told = tk("compress", "a.png", *TINY, *arguments)
    assert told.code == 2
    assert told.err.count("\n") == 1
    assert names(tmp_path) == {"a.png"}


@pytest.mark.parametrize(
    "arguments", [("--format", "nonsense"), ("-o", "x.nonsense"), ("-o", "png:-", "--format", "webp"), ("--force-model", "a/b")]
)
def test_wrong_usage_of_decompress(tk: Any, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    compressed("a.tkd")
    assert tk("decompress", "a.tkd", *arguments).code == 2
    assert names(tmp_path) == {"a.tkd"}


@pytest.mark.parametrize(
    ("text", "size"), [("40k", 40_000), ("40Ki", 40_960), ("1.5M", 1_500_000), ("4GiB", 4 * 2**30), ("512", 512), ("0.5 KB", 500)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "k", "-1", "1e3", "4X", "nan", "1 0"])
def test_wrong_sizes(text: str) -> None:
    with pytest.raises(InputError):
        parse_size(text)


# --- pictures


def test_alpha_and_profile(tk: Any) -> None:
    draw("a.png", channels=4)
    assert tk("a.png", *TINY).code == 0
    assert tk("a.tkd", "b.png").code == 0
    assert opened("b.png").mode == "RGBA"
    assert tk("a.png", "c.tkd", "--alpha", "flatten=white", *TINY).code == 0
    assert tk("c.tkd", "c.jpg").code == 0
    told = tk("a.tkd", "d.jpg")
    assert told.code == 2
    assert "flatten" in told.err
    assert not Path("d.jpg").exists()


def test_format_names_the_suffix(tk: Any, tmp_path: Path) -> None:
    compressed("a.tkd")
    assert tk("decompress", "a.tkd", "--format", "jpg").code == 0
    assert opened("a.jpg").format == "JPEG"


# --- models


def test_a_model_that_is_not_here(tk: Any, tmp_path: Path) -> None:
    draw("a.png")
    told = tk("compress", "a.png", "-m", "no_such_model")
    assert told.code == 6
    assert told.err.count("\n") == 1
    assert tk("compress", "a.png", "-m", "dir:nowhere").code == 6
    assert names(tmp_path) == {"a.png"}


def test_foreign_fingerprints(tk: Any) -> None:
    compressed("a.tkd", fingerprint=bytes(8))
    told = tk("a.tkd")
    assert told.code == 7
    assert "0000000000000000" in told.err
    assert tk("a.tkd", "-m", TINY[1]).code == 7
    assert tk("a.tkd", "--force-model", TINY[1]).code == 0
    compressed("b.tkd", model="other.name")
    assert tk("b.tkd").code == 7
    assert tk("b.tkd", "-m", TINY[1]).code == 0


# --- many files


def test_folders_are_mirrored(tk: Any, tmp_path: Path) -> None:
    for name in ("in/a.png", "in/x/b.PNG", "in/x/y/c.jpg", "elsewhere/d.png"):
        draw(name)
    Path("in/notes.txt").write_text("no picture")
    Path("in/link.png").symlink_to("../elsewhere/d.png")
    Path("in/linked").symlink_to("../elsewhere")
    assert tk("compress", "in", "-o", "flat", *TINY).code == 0
    assert names(tmp_path / "flat") == {"a.tkd"}
    assert tk("compress", "in", "-r", "-o", "out", *TINY).code == 0
    assert names(tmp_path / "out") == {"a.tkd", "x/b.tkd", "x/y/c.tkd"}
    assert tk("decompress", "out", "-r", "-o", "back", "--format", "webp").code == 0
    assert names(tmp_path / "back") == {"a.webp", "x/b.webp", "x/y/c.webp"}
    assert tk("verify", "out", "-r", "--decode").out.count(b": ok\n") == 3


def test_glob_and_lists(tk: Any, tmp_path: Path) -> None:
    for name in ("in/a.png", "in/b.png", "odd name.png"):
        draw(name)
    assert tk("compress", "in", "--glob", "b*", "-o", "out", *TINY).code == 0
    assert names(tmp_path / "out") == {"b.tkd"}
    Path("list").write_bytes(b"odd name.png\0in/a.png\0")
    assert tk("compress", "--files-from", "list", "-0", "-o", "listed", *TINY).code == 0
    assert names(tmp_path / "listed") == {"odd name.tkd", "a.tkd"}
    assert tk("compress", "--files-from", "-", "-o", "piped/", *TINY, stdin=b"in/a.png\n").code == 0
    assert names(tmp_path / "piped") == {"a.tkd"}
    assert tk("compress", "--files-from", "nowhere", *TINY).code == 2
    assert tk("compress", "in", "--glob", "z*", *TINY).code == 4
    assert tk("compress", "--files-from", "-", *TINY, stdin=b"").code == 4


def test_no_input(tk: Any) -> None:
    Path("empty").mkdir()
    assert tk("compress", "empty", *TINY).code == 4
    assert tk("compress", *TINY).code == 4
    assert tk("nowhere.png", *TINY).code == 4
    assert tk("nowhere.tkd").code == 4
    assert tk("inspect", "nowhere.tkd").code == 4


def test_existing_outputs_are_kept(tk: Any, tmp_path: Path) -> None:
    draw("a.png")
    draw("b.png")
    Path("b.tkd").write_text("mine")
    told = tk("compress", "a.png", "b.png", *TINY)
    assert told.code == 5
    assert "b.tkd" in told.err
    assert names(tmp_path) == {"a.png", "b.png", "b.tkd"}, "found before anything was written"
    told = tk("compress", "a.png", "b.png", "--skip-existing", "--json", *TINY)
    assert told.code == 0
    assert {row["input"]: row["bytes"] is None for row in told.rows} == {"a.png": False, "b.png": True}
    assert Path("b.tkd").read_text() == "mine"
    assert tk("compress", "a.png", "b.png", "-f", *TINY).code == 0
    assert Path("b.tkd").read_bytes()[:4] == b"\xd4TKD"


def test_collisions_and_bad_targets_are_found_first(tk: Any, tmp_path: Path) -> None:
    draw("a.png")
    draw("a.jpg")
    draw("x/a.png")
    told = tk("compress", "a.png", "a.jpg", *TINY)
    assert told.code == 2
    assert "both" in told.err
    assert tk("compress", "a.png", "x/a.png", "-o", "out", *TINY).code == 2
    assert tk("compress", "a.png", "a.png", *TINY).code == 2
    Path("file").write_text("")
    assert tk("compress", "a.png", "-o", "file/b.tkd", *TINY).code == 2
    assert tk("compress", "x", "-o", "file", *TINY).code == 2
    Path("folder.tkd").mkdir()
    assert tk("compress", "x/a.png", "-o", "x", "-f", *TINY).code == 0
    assert names(tmp_path) == {"a.png", "a.jpg", "x/a.png", "x/a.tkd", "file"}


def test_folders_that_cannot_be_written_are_found_first(tk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw("a.png")
    Path("locked").mkdir()
    monkeypatch.setattr(os, "access", lambda place, _: Path(place).name != "locked")  # root may write everywhere
    told = tk("compress", "a.png", "-o", "locked/", *TINY)
    assert told.code == 2
    assert "cannot be written" in told.err
    assert names(tmp_path) == {"a.png"}


def test_one_bad_file_does_not_stop_a_batch(tk: Any, tmp_path: Path) -> None:
    draw("in/a.png")
    Path("in/b.png").write_text("no picture")
    draw("in/c.png")
    told = tk("compress", "in", "-o", "out", "--json", *TINY)
    assert told.code == 3
    assert names(tmp_path / "out") == {"a.tkd", "c.tkd"}
    assert [row["ok"] for row in told.rows] == [True, False, True]
    assert "2 done, 1 failed" in told.err
    told = tk("compress", "in", "-o", "fast", "--fail-fast", *TINY)
    assert told.code == 3
    assert names(tmp_path / "fast") == {"a.tkd"}
    assert "1 not begun" in told.err
    assert tk("compress", "in/b.png", *TINY).code == 3


def test_jobs_side_by_side_give_the_same_files(tk: Any, tmp_path: Path) -> None:
    for i in range(5):
        draw(f"in/{i}.png", 40 + i, 50)
    Path("in/bad.png").write_text("no picture")
    assert tk("compress", "in", "-o", "one", *TINY).code == 3
    told = tk("compress", "in", "-o", "three", "-j", "3", "--json", *TINY)
    assert told.code == 3
    assert [row["input"] for row in told.rows] == [f"in/{i}.png" for i in range(5)] + ["in/bad.png"]
    assert [p.read_bytes() for p in sorted((tmp_path / "one").iterdir())] == [
        p.read_bytes() for p in sorted((tmp_path / "three").iterdir())
    ]


def test_dry_run(tk: Any, tmp_path: Path) -> None:
    draw("in/a.png")
    told = tk("compress", "in", "-o", "out", "--dry-run", *TINY)
    assert told.out == b"in/a.png -> out/a.tkd\n"
    assert tk("compress", "in", "-o", "out", "--dry-run", "--json", *TINY).rows[0]["output"] == "out/a.tkd"
    assert names(tmp_path) == {"in/a.png"}


@pytest.mark.parametrize(
    ("codes", "inputs", "expected"),
    [
        ([], 3, 0),
        ([7], 1, 7),
        ([4], 1, 4),
        ([1], 1, 1),
        ([7, 7], 3, 7),
        ([8], 2, 8),
        ([6, 6], 2, 6),
        ([6, 7], 2, 3),
        ([4, 4], 2, 3),
        ([1], 2, 3),
    ],
)
def test_exit_code_of_a_batch(codes: list[int], inputs: int, expected: int) -> None:
    errors: list[Exception] = []
    for code in codes:
        error: Exception = TokodecError() if code != 1 else ZeroDivisionError()
        if code != 1:
            error.exit_code = code  # type: ignore[attr-defined]
        errors.append(error)
    assert batch.exit_code([*errors, *[None] * (inputs - len(codes))], inputs) == expected


# --- progress and talk


def test_progress_as_json(tk: Any) -> None:
    draw("a.png")
    events = [json.loads(line) for line in tk("a.png", "--progress", "json", *TINY).err.splitlines()]
    assert [(e["event"], e["input"], e["number"], e["total"]) for e in events] == [("start", "a.png", 1, 1), ("done", "a.png", 1, 1)]


def test_progress_as_a_bar(tk: Any) -> None:
    draw("in/a.png")
    Path("in/b.png").write_text("no picture")
    told = tk("compress", "in", "-o", "out", "--progress", "bar", *TINY)
    assert told.code == 3
    assert "in/b.png: " in told.err
    assert told.out == b""


def test_names_cannot_drive_a_terminal(tk: Any) -> None:
    draw("a\x1b[31m\n.png")
    told = tk("compress", "a\x1b[31m\n.png", *TINY)
    assert told.code == 0
    assert "\x1b" not in told.err
    assert told.err.count("\n") == 1


def test_one_line() -> None:
    assert talk.one_line("a\nb\tc\x07 ü") == "a b\\tc\\x07 ü"
    assert talk.complaint(CorruptFile("x.tkd: bad"), "x.tkd") == "x.tkd: bad"
    assert talk.complaint(CorruptFile("bad"), "x.tkd") == "x.tkd: bad"
    assert talk.complaint(ZeroDivisionError("1/0"), "x") == "x: unexpected ZeroDivisionError: 1/0"


# --- what goes wrong


@pytest.mark.parametrize(
    ("error", "code"), [(ZeroDivisionError("boom"), 1), (MemoryError(), 8), (OutOfMemory("full"), 8), (KeyboardInterrupt(), 130)]
)
def test_errors_become_codes(tk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int) -> None:
    def fail(*_: object) -> None:
        raise error

    draw("a.png")
    monkeypatch.setattr("tokodec.files.encode", fail)
    told = tk("a.png", *TINY)
    assert told.code == code
    assert told.err.count("\n") == 1
    assert names(tmp_path) == {"a.png"}


def test_verbose_shows_where_an_unexpected_error_comes_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    draw(tmp_path / "a.png")
    monkeypatch.setattr("tokodec.files.encode", fail)
    assert main.run([str(tmp_path / "a.png"), "-v", *TINY]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_when_writing_fails(tk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(_: int) -> None:
        raise error

    draw("a.png")
    monkeypatch.setattr(os, "fsync", fail)
    assert tk("a.png", *TINY).code == (3 if isinstance(error, OSError) else 130)
    assert names(tmp_path) == {"a.png"}


def test_limits(tk: Any, tmp_path: Path) -> None:
    draw("a.png")
    assert tk("a.png", "--max-pixels", "2k", *TINY).code == 3
    assert tk("a.png", "--max-memory", "100k", *TINY).code == 8
    compressed("b.tkd")
    assert tk("b.tkd", "--max-pixels", "100").code == 7
    assert tk("b.tkd", "--max-memory", "10k").code == 8
    assert names(tmp_path) == {"a.png", "b.tkd"}


def test_damaged_files(tk: Any, tmp_path: Path) -> None:
    data = compressed("a.tkd").read_bytes()
    Path("a.tkd").write_bytes(data[:-1])
    for arguments in (("a.tkd",), ("decompress", "a.tkd"), ("inspect", "a.tkd"), ("verify", "a.tkd"), ("verify", "--decode", "a.tkd")):
        told = tk(*arguments)
        assert told.code == 7
        assert told.err.count("\n") == 1
    assert names(tmp_path) == {"a.tkd"}


def test_offline_is_passed_on(tk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    draw("a.png")
    assert tk("a.png", "--offline", *TINY).code == 0
    assert os.environ["HF_HUB_OFFLINE"] == "1"


# --- processes


def process(*arguments: str, before: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    program = f"import sys\n{before}\nfrom tokodec.cli import main\nsys.exit(main.run(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), ("compress", "--help"), ("models", "list"), ("models", "info", "hyperprior_vr"), ("models", "verify")],
)
def test_no_torch_for_talk(arguments: tuple[str, ...]) -> None:
    run = process(*arguments, before="sys.modules['torch'] = sys.modules['numpy'] = None")
    assert (run.returncode, run.stderr) == (0, "")


def test_no_torch_for_looking_at_files(tmp_path: Path) -> None:
    path = str(compressed(tmp_path / "a.tkd"))
    for verb in ("inspect", "verify"):
        run = process(verb, path, before="sys.modules['torch'] = sys.modules['numpy'] = None")
        assert (run.returncode, run.stderr) == (0, "")


def test_help_is_quick() -> None:
    before = os.times()
    process("--help")
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1, "seconds; usually 0.2"


def test_kill_during_compress_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    kill = "import os, signal\nos.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)"
    run = process("a.png", *TINY, before=kill, cwd=tmp_path)
    assert run.returncode == -signal.SIGKILL
    assert not (tmp_path / "a.tkd").exists()


def test_termination_cleans_up(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    kill = "import os, signal\nos.fsync = lambda _: os.kill(os.getpid(), signal.SIGTERM)"
    program = f"import sys\n{kill}\nfrom tokodec.cli import main\nsys.exit(main.main())"
    run = subprocess.run([sys.executable, "-c", program, "a.png", *TINY], capture_output=True, cwd=tmp_path, timeout=60, check=False)
    assert run.returncode == 128 + signal.SIGTERM
    assert names(tmp_path) == {"a.png"}
