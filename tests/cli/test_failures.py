"""What goes wrong: one line, the right code, nothing half-written."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import TINY, compressed, draw, names

from tokodec.cli import main
from tokodec.errors import OutOfMemory

# --- what goes wrong


@pytest.mark.parametrize(
    ("error", "code"), [(ZeroDivisionError("boom"), 1), (MemoryError(), 8), (OutOfMemory("full"), 8), (KeyboardInterrupt(), 130)]
)
def test_errors_become_codes(tk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int) -> None:
    def fail(*_: object) -> None:
        raise error

    draw("a.png")
    monkeypatch.setattr("tokodec.files.code", fail)
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
    monkeypatch.setattr("tokodec.files.code", fail)
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
