"""What each verb does with one picture or file."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import TINY, compressed, draw, names, opened

import tokodec
from tokodec.cli import main
from tokodec.cli.options import parse_size
from tokodec.entropy.container import unpack
from tokodec.errors import InputError

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
        "tiles": 1,
        "layers": [],
        "lost": 0,
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
    expected = ["name", "kind", "media", "family", "pretrained", "variable_rate", "variable_length", "licence", "origin", "params", "bytes"]
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
    for verb in ("convert", "compress", "decompress", "tokenize", "detokenize", "inspect", "verify", "bench", "train", "doctor"):
        told = tk(verb, "--help")
        assert told.code == 0
        assert b"Usage" in told.out


def test_every_flag_is_on_the_page(tk: Any) -> None:
    page = (Path(__file__).parents[2] / "docs" / "command.md").read_text(encoding="utf-8")
    verbs = ("convert", "tokenize", "detokenize", "inspect", "verify", "train", "doctor", "models list", "bench run")
    for verb in (words.split() for words in verbs):
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
    assert told.out.decode() == f"hyperprior_vr.v3 {Path('runs/hyperprior_vr')} cpu shards\n"
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
