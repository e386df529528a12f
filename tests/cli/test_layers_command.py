"""Files in layers on the command line: cut, damaged, fewer tokens, and what is said of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import draw, opened

from tokodec.entropy.container import pack, unpack

ROW = ("-m", "one_d_piece_test")


def cut(path: str, target: str, layers: int, more: int = 0) -> None:
    """The first layers of a file of the least overhead, and some bytes of the next."""
    data = Path(path).read_bytes()
    behind = sum(len(p) + 6 for p in unpack(data).payloads[layers:])
    Path(target).write_bytes(data[: len(data) - 5 - behind + more])


@pytest.fixture
def coded(tk: Any) -> str:
    draw("a.png", 40, 60)
    assert tk("a.png", "a.tkd", "-q", "1", *ROW).code == 0
    return "a.tkd"


def pixels(path: str) -> np.ndarray:
    return np.asarray(opened(path))


def test_a_cut_file_decodes_and_says_so(tk: Any, coded: str) -> None:
    cut(coded, "cut.tkd", 2)
    told = tk("cut.tkd", "cut.png")
    assert (told.code, "2 of 4 layers: the file was cut behind a layer" in told.err) == (0, True)
    assert tk(coded, "two.png", "--tokens", "2").code == 0
    assert (pixels("cut.png") == pixels("two.png")).all()
    assert tk("decompress", coded, "-o", "all.png").code == 0
    assert (pixels("cut.png") != pixels("all.png")).any()


def test_cut_elsewhere_it_is_damaged_unless_a_part_will_do(tk: Any, coded: str) -> None:
    cut(coded, "cut.tkd", 2, more=3)
    assert tk("cut.tkd", "cut.png").code == 7
    assert not Path("cut.png").exists()
    told = tk("cut.tkd", "cut.png", "--partial")
    assert (told.code, "2 of 4 layers: the file ends inside" in told.err) == (0, True)
    cut(coded, "none.tkd", 0, more=3)
    assert tk("none.tkd", "none.png", "--partial").code == 7


def test_a_damaged_layer(tk: Any, coded: str) -> None:
    data = bytearray(Path(coded).read_bytes())
    data[-6] ^= 1
    Path("bad.tkd").write_bytes(data)
    assert tk("bad.tkd", "bad.png").code == 7
    told = tk("bad.tkd", "bad.png", "--partial")
    assert (told.code, "3 of 4 layers: the checksum of segment 5 (P) is wrong" in told.err) == (0, True)
    assert tk("bad.tkd", "two.png", "--partial", "--tokens", "2").code == 0
    assert tk(coded, "good.png", "--tokens", "2").code == 0
    assert (pixels("two.png") == pixels("good.png")).all()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("plain.tkd", "x.png", "--tokens", "3"), 2, "a file of vq_test has no layers"),
        (("a.tkd", "x.png", "--tokens", "0"), 2, ""),
        (("a.png", "x.tkd", "--tokens", "3", *ROW), 2, "when you decompress"),
        (("a.png", "x.png", "--partial", *ROW), 2, "when you decompress"),
    ],
)
def test_what_is_asked_wrongly(tk: Any, coded: str, arguments: tuple[str, ...], code: int, words: str) -> None:
    assert tk("a.png", "plain.tkd", "-m", "vq_test").code == 0
    told = tk(*arguments)
    assert (told.code, words in told.err, Path("x.png").exists()) == (code, True, False)


def test_inspect_shows_layers(tk: Any, coded: str) -> None:
    cut(coded, "cut.tkd", 2)
    told = tk("inspect", coded, "cut.tkd")
    assert "layers       4\n  layer 1      4 ids, 3 bytes\n" in told.out.decode()
    assert "layers       2 of 4, the file was cut behind a layer\n" in told.out.decode()
    whole, part = tk("inspect", coded, "cut.tkd", "--json").rows
    assert (whole["layers"], whole["lost"]) == ([4, 8, 16, 24], 0)
    assert (part["layers"], part["lost"]) == ([4, 8, 16, 24], 2)


def test_verify_looks_at_every_layer(tk: Any, coded: str) -> None:
    assert tk("verify", "--decode", coded).out == b"a.tkd: ok\n"
    cut(coded, "cut.tkd", 3)
    for flags in ((), ("--decode",)):
        told = tk("verify", *flags, "cut.tkd")
        assert (told.code, "not whole: 3 of 4 layers are there, which decode" in told.err) == (7, True)
    file = unpack(Path(coded).read_bytes())
    plan = bytearray(file.segments[0].data)
    plan[2] ^= 1  # the checksum of the first layer's symbols
    Path("b.tkd").write_bytes(
        pack(type(file)(header=file.header, segments=(type(file.segments[0])(kind=76, data=bytes(plan)), *file.segments[1:])))
    )
    assert tk("verify", "b.tkd").code == 0
    told = tk("verify", "--decode", "b.tkd")
    assert (told.code, "symbols of layer 1" in told.err) == (7, True)


def test_a_size_is_not_exceeded(tk: Any, coded: str) -> None:
    sizes = {}
    for quality in (0.0, 0.4, 1.0):
        assert tk("a.png", "q.tkd", "-q", str(quality), "-f", *ROW).code == 0
        sizes[quality] = Path("q.tkd").stat().st_size
    told = tk("a.png", "b.tkd", "--target-size", str(sizes[0.4]), "--strict", *ROW)
    assert (told.code, Path("b.tkd").stat().st_size, "3 tokens a window" in told.err) == (0, sizes[0.4], True)
    told = tk("a.png", "c.tkd", "--target-size", str(sizes[0.0] - 1), "--strict", *ROW)
    assert (told.code, "1 token a window, the fewest" in told.err) == (3, True)
