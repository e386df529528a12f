"""Tiles and regions on the command line."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import TINY, draw, opened

from tokodec.entropy.container import Kind, pack, unpack
from tokodec.entropy.tileplan import TilePlan


def plan(path: str) -> TilePlan | None:
    file = unpack(Path(path).read_bytes())
    data = file.segment(Kind.TILES)
    return None if data is None else TilePlan.unpack(data, len(file.payloads))


def test_a_picture_is_cut_when_it_is_said(tk: Any) -> None:
    draw("a.png", 100, 150)
    assert tk("a.png", "whole.tkd", *TINY).code == 0
    assert tk("a.png", "cut.tkd", "--tile", "64", *TINY).code == 0
    assert tk("a.png", "none.tkd", "--tile", "none", *TINY).code == 0
    assert plan("whole.tkd") is None
    assert Path("whole.tkd").read_bytes() == Path("none.tkd").read_bytes()
    cut = plan("cut.tkd")
    assert cut is not None
    assert (cut.side, len(cut.crcs)) == (64, 6)
    assert tk("cut.tkd").code == 0
    assert opened("cut.png").size == (150, 100)


def test_jobs_of_one_file_are_tiles_and_change_nothing(tk: Any) -> None:
    draw("a.png", 100, 150)
    for jobs in ("1", "2"):
        assert tk("compress", "a.png", "-o", f"{jobs}.tkd", "--tile", "64", "-j", jobs, *TINY).code == 0
        assert tk("decompress", f"{jobs}.tkd", "-j", jobs).code == 0
    assert Path("1.tkd").read_bytes() == Path("2.tkd").read_bytes()
    assert (np.asarray(opened("1.png")) == np.asarray(opened("2.png"))).all()


@pytest.mark.parametrize("tile", ["none", "64"])
def test_a_region(tk: Any, tile: str) -> None:
    draw("a.png", 100, 150)
    assert tk("a.png", "a.tkd", "--tile", tile, *TINY).code == 0
    assert tk("a.tkd", "whole.png").code == 0
    assert tk("a.tkd", "part.png", "--region", "30,40,70,20").code == 0
    part, whole = np.asarray(opened("part.png")).astype(int), np.asarray(opened("whole.png")).astype(int)
    assert part.shape == (20, 70, 3)
    assert np.abs(part - whole[40:60, 30:100]).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--tile", "100"), "multiple of 64"),
        (("--tile", "big"), "side of tiles in pixels"),
        (("--region", "0,0,10,10"), "when you decompress"),
    ],
)
def test_what_cannot_be_compressed_so(tk: Any, arguments: tuple[str, ...], words: str) -> None:
    draw("a.png")
    told = tk("a.png", "a.tkd", *arguments, *TINY)
    assert told.code == 2
    assert words in told.err
    assert not Path("a.tkd").exists()


@pytest.mark.parametrize(("region", "words"), [("0,0,10", "X,Y,WIDTH,HEIGHT"), ("0,0,500,10", "not inside"), ("-1,0,5,5", "X,Y,WIDTH")])
def test_regions_that_cannot_be(tk: Any, region: str, words: str) -> None:
    draw("a.png")
    assert tk("a.png", "a.tkd", *TINY).code == 0
    told = tk("a.tkd", "b.png", f"--region={region}")
    assert told.code == 2
    assert words in told.err


def test_codecs_without_tiles_say_so(tk: Any) -> None:
    draw("a.png")
    told = tk("a.png", "a.tkd", "--tile", "64", "-m", "vq_test")
    assert told.code == 2
    assert "no tiles" in told.err


def test_inspect_tells_of_tiles(tk: Any) -> None:
    draw("a.png", 100, 150)
    assert tk("a.png", "a.tkd", "--tile", "64", *TINY).code == 0
    told = tk("inspect", "a.tkd")
    assert "tiles        6 of 64 x 64" in told.out.decode()
    assert told.out.decode().count("segment P") == 1
    (row,) = tk("inspect", "a.tkd", "--json").rows
    assert row["tiles"] == 6
    assert tk("verify", "a.tkd", "--decode").code == 0


def test_verify_compares_the_plan_without_a_model(tk: Any) -> None:
    draw("a.png", 100, 150)
    assert tk("a.png", "a.tkd", "--tile", "64", *TINY).code == 0
    file = unpack(Path("a.tkd").read_bytes())
    Path("b.tkd").write_bytes(pack(replace(file, header=replace(file.header, symbol_crc=1))))
    told = tk("verify", "a.tkd", "b.tkd")
    assert told.code == 7
    assert "not those of the header" in told.err
