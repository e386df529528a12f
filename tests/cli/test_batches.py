"""Many files, and what is said while they are worked on."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from commands import TINY, draw, names

from tokodec.cli import batch, talk
from tokodec.errors import CorruptFile

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
    assert batch.shared_code(codes, inputs) == expected


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
