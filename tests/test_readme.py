"""What the pages say is so: links lead somewhere, commands name files that exist, the example runs."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tokodec import catalogue

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    path
    for pattern in ("*.md", "docs/*.md", "samples/*.md", "benchmarks/*.md", *(f"{room}/**/*.md" for room in catalogue.ROOMS))
    for path in sorted(ROOT.glob(pattern))
]
LINK = re.compile(r"\]\(([^)#\s]+)")


def broken(page: str, folder: Path) -> list[str]:
    return [link for link in LINK.findall(page) if "://" not in link and not (folder / link).exists()]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    assert broken(path.read_text(encoding="utf-8"), path.parent) == []


def test_a_broken_link_is_seen() -> None:
    assert broken("[a](README.md) [b](nowhere.md) [c](https://example.org/x)", ROOT) == ["nowhere.md"]


def test_both_commands_start_from_nothing() -> None:
    """``.ci/run`` looks for the second one by its beginning and its end."""
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv .venv && ")]
    run, test = (shlex.split(command) for command in commands)
    assert (ROOT / run[run.index(".venv/bin/tokodec") + 1]).is_file()
    assert test[-2:] == ["&&", ".venv/bin/pytest"]


EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_first_example_has_ten_lines() -> None:
    assert len([line for line in EXAMPLES[0].splitlines() if line.strip()]) <= 10


@pytest.mark.parametrize("example", EXAMPLES, ids=["ten lines", "tokens"])
def test_examples_run(example: str, tmp_path: Path) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    run = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (run.returncode, run.stderr) == (0, "")
    assert "tensor" in run.stdout
