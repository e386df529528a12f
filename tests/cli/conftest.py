"""The command, run in a folder of its own."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import Told

from tokodec.cli import main


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
