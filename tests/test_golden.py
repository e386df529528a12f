"""Files that earlier versions wrote decode for ever: the same symbols, the same picture up to float rounding."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tokodec import decompress
from tokodec.entropy.container import unpack

FILES = sorted((Path(__file__).parent / "golden").glob("*.tkd"))


def test_there_are_golden_files() -> None:
    assert len(FILES) >= 6


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_golden_files_decode(path: Path) -> None:
    header = unpack(path.read_bytes()).header
    got = decompress(path.read_bytes())  # the CRC of the symbols is checked on the way
    assert got.size == (header.width, header.height)
    with Image.open(path.with_suffix(".png")) as wanted:
        assert got.mode == wanted.mode
        difference = np.asarray(got).astype(int) - np.asarray(wanted).astype(int)
    assert int(np.abs(difference).max()) <= 1
