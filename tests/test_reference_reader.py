"""docs/reference_reader.py, a second implementation, says the same as ours; docs/format.md shows the golden file."""

import random
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seal import reseal
from tkd import GOLDEN_FILE, GOLDEN_LISTING, from_listing, mutated, tkd_files

from tokodec.entropy.container import MAX_SIDE, TkdFile, pack, unpack
from tokodec.errors import CorruptFile

DOCS = Path(__file__).parent.parent / "docs"
SCRIPT = DOCS / "reference_reader.py"
READER = runpy.run_path(str(SCRIPT))

GOLDEN_OUTPUT = """\
version: 0.0 (experimental)
gray: True
model: example.v1
fingerprint: 0123456789abcdef
width: 300
height: 2
symbol_crc: deadbeef
field 200: 6869
segment 1: i ICC profile, 3 bytes
segment 2: P payload, 6 bytes
segment 3: P payload, 4 bytes
segment 4: z unknown, 0 bytes
"""


def reference(data: bytes) -> tuple[dict[str, Any], list[tuple[str, bytes]]] | None:
    """Header and segments as the reference reader sees them, None for a file that it refuses."""
    reader = READER["Reader"](data)
    try:
        return READER["read_header"](reader), READER["read_segments"](reader)
    except READER["Damaged"]:
        return None


def ours(data: bytes) -> tuple[dict[str, Any], list[tuple[str, bytes]]] | None:
    """The same from unpack."""
    try:
        file = unpack(data, max_pixels=MAX_SIDE**2)
    except CorruptFile:
        return None
    h = file.header
    header = {
        "version": f"{h.version[0]}.{h.version[1]} (experimental)",
        "gray": h.gray,
        "model": h.model,
        "fingerprint": h.fingerprint.hex(),
        "width": h.width,
        "height": h.height,
        "symbol_crc": f"{h.symbol_crc:08x}",
    }
    return header | {f"field {e.tag}": e.data.hex() for e in h.extensions}, [(chr(s.kind), s.data) for s in file.segments]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The script in an interpreter that sees no installed package."""
    return subprocess.run([sys.executable, "-I", "-S", SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_prints_and_extracts(tmp_path: Path) -> None:
    source, target = tmp_path / "a.tkd", tmp_path / "payload"
    source.write_bytes(pack(GOLDEN_FILE))
    done = run(source, "--extract", "2", "--to", target)
    assert (done.returncode, done.stdout, done.stderr) == (0, GOLDEN_OUTPUT, "")
    assert target.read_bytes() == GOLDEN_FILE.segments[1].data
    assert run(source, "--extract", "5").returncode == 2


@pytest.mark.parametrize("lost", [0, 5, 12])
def test_of_files_in_layers_it_says_the_layers(tmp_path: Path, lost: int) -> None:
    """Whole, without its end, and without its last layer; damaged is one byte less."""
    golden = (Path(__file__).parent / "golden" / "v0-prefix-low.tkd").read_bytes()
    segment = len(unpack(golden).payloads[-1]) + 6
    source = tmp_path / "a.tkd"
    for cut, code in (
        (len(golden) - (5 + segment if lost == 12 else lost), 0),
        (len(golden) - 1 - (5 + segment if lost == 12 else lost), 7),
    ):
        source.write_bytes(golden[:cut])
        done = run(source)
        assert (done.returncode, "layers: 3, ids after each: 6 12 18" in done.stdout) == (code, code == 0)


def test_of_every_cut_it_says_what_we_say() -> None:
    golden = (Path(__file__).parent / "golden" / "v0-prefix-high.tkd").read_bytes()
    assert sum(reference(golden[:cut]) is not None for cut in range(len(golden))) == len(unpack(golden).payloads)
    assert all(reference(golden[:cut]) == ours(golden[:cut]) for cut in range(len(golden)))


def test_refuses_in_one_line(tmp_path: Path) -> None:
    source = tmp_path / "a.tkd"
    source.write_bytes(pack(GOLDEN_FILE)[:-1])
    done = run(source)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (7, "", 1)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(tkd_files())
def test_reads_what_we_pack(file: TkdFile) -> None:
    data = pack(file)
    assert reference(data) == ours(data) is not None


@pytest.mark.parametrize("seal", [bytes, reseal])
def test_refuses_what_we_refuse(seal: Any) -> None:
    rng = random.Random(2)
    golden = pack(GOLDEN_FILE)
    for _ in range(2000):
        data = seal(mutated(golden, rng))
        assert reference(data) == ours(data), data.hex()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(tkd_files(), st.randoms(use_true_random=False))
def test_refuses_what_we_refuse_of_other_files(file: TkdFile, rng: random.Random) -> None:
    data = reseal(mutated(pack(file), rng))
    assert reference(data) == ours(data)


def test_format_page_shows_the_golden_file() -> None:
    page = (DOCS / "format.md").read_text(encoding="utf-8")
    listing = page.partition("```golden\n")[2].partition("```")[0]
    assert from_listing(listing) == from_listing(GOLDEN_LISTING)
