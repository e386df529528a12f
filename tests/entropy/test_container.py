"""The .tkd file: bytes written by hand, every message, and mutations that must never end in anything but CorruptFile."""

import random
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seal import claim_size, reseal
from tkd import GOLDEN_FILE, GOLDEN_LISTING, from_listing, mutated, tkd_files

from tokodec.entropy.container import (
    DEFAULT_MAX_PIXELS,
    MAX_SEGMENTS,
    MAX_SIDE,
    Extension,
    Header,
    Kind,
    Segment,
    TkdFile,
    pack,
    unpack,
)
from tokodec.errors import CorruptFile, InputError
from tokodec.media import limits

GOLDEN = from_listing(GOLDEN_LISTING)
ANY_SIZE = MAX_SIDE * MAX_SIDE


def photograph(width: int, height: int, payload: int) -> TkdFile:
    header = Header(model="hyperprior_vr.v1", fingerprint=bytes(range(8)), width=width, height=height, gray=False, symbol_crc=7)
    return TkdFile(header=header, segments=(Segment(kind=Kind.PAYLOAD, data=bytes(payload)),))


def accepted(data: bytes) -> bool:
    """Whether ``data`` is refused as it should be, or is a file that packs to the same bytes."""
    try:
        file = unpack(data, max_pixels=ANY_SIZE)
    except CorruptFile:
        return False
    assert pack(file) == data
    return True


def test_golden_file_both_ways() -> None:
    assert unpack(GOLDEN) == GOLDEN_FILE
    assert pack(GOLDEN_FILE) == GOLDEN


def test_properties_of_a_file() -> None:
    assert GOLDEN_FILE.payload == b"\x20\x03abcdefgh"
    assert GOLDEN_FILE.payload_bytes == 10
    assert GOLDEN_FILE.segment(Kind.ICC) == b"icc"
    assert GOLDEN_FILE.segment(Kind.ALPHA) is None
    assert GOLDEN_FILE.experimental


@pytest.mark.parametrize(
    ("width", "height", "payload", "overhead"),
    [(768, 512, 16_383, 61), (768, 512, 60_000, 62), (4000, 3000, 2**21 - 1, 62), (4000, 3000, 2**21, 63), (2**14, 2**14 - 1, 2**21, 64)],
)
def test_overhead(width: int, height: int, payload: int, overhead: int) -> None:
    file = photograph(width, height, payload)
    assert len(pack(file)) - file.payload_bytes == overhead


@settings(max_examples=150, deadline=None, derandomize=True)
@given(tkd_files())
def test_unpack_inverts_pack(file: TkdFile) -> None:
    assert unpack(pack(file), max_pixels=ANY_SIZE) == file


def test_needs_neither_numpy_nor_torch() -> None:
    code = "import sys, tokodec.entropy.container; print([m for m in ('numpy', 'torch', 'PIL') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_limits_are_those_of_pictures() -> None:
    assert (DEFAULT_MAX_PIXELS, MAX_SIDE) == (limits.DEFAULT_MAX_PIXELS, limits.MAX_SIDE)


# What is refused, and in which words

LENGTH, BODY, SIDES, SEGMENT = 11, 16, 35, 46
"""Where the golden file has the length of its header body, that body, the width in it, and its first segment."""


def put(at: int, length: int, new: bytes) -> bytes:
    """The golden file with ``new`` instead of ``length`` bytes at ``at``; checksums stay."""
    return GOLDEN[:at] + new + GOLDEN[at + length :]


def body(new: bytes) -> bytes:
    """The golden file with another header body and right checksums."""
    return reseal(GOLDEN[:LENGTH] + bytes((len(new),)) + GOLDEN[LENGTH + 1 : BODY] + new + GOLDEN[SEGMENT:])


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "ends inside its first bytes"),
    "other format": (b"\x89PNG\r\n\x1a\n" + bytes(50), "not a .tkd file"),
    "cr lf to lf": (GOLDEN.replace(b"\r\n", b"\n"), "text mode"),
    "lf to cr lf": (GOLDEN.replace(b"\n", b"\r\n"), "text mode"),
    "seven bits": (bytes(b & 0x7F for b in GOLDEN), "text mode"),
    "latin-1 to utf-8": (GOLDEN.decode("latin-1").encode(), "text mode"),
    "utf-8 with replacement": (GOLDEN.decode("utf-8", "replace").encode(), "text mode"),
    "later major version": (reseal(put(8, 1, b"\1")), r"format version 1\.0.*update tokodec"),
    "unknown flag": (reseal(put(10, 1, b"\7")), "flags 0x07"),
    "version 0 that claims to be stable": (reseal(put(10, 1, b"\2")), "flags 0x02"),
    "header too long": (put(LENGTH, 1, b"\x80\x80\4"), "header claims 65536 bytes; the limit is 65535"),
    "header past the end": (put(LENGTH, 1, b"\x7f"), "ends inside the header: it needs 127 bytes"),
    "header damaged": (put(BODY + 3, 1, b"X"), "checksum of the header is wrong"),
    "header ends early": (body(b"\5model1234"), "header ends inside the fingerprint: it needs 8 bytes, 4 are there"),
    "no model": (body(b"\0" + GOLDEN[BODY + 11 : SEGMENT]), "model id ''"),
    "model of 65": (body(b"\x41" + b"m" * 65 + GOLDEN[BODY + 11 : SEGMENT]), "1 to 64 of"),
    "model with a new line": (reseal(put(BODY + 1, 1, b"\n")), r"model id '\\nxample\.v1'"),
    "model beyond ASCII": (reseal(put(BODY + 1, 1, b"\xe9")), r"model id '\\xe9xample\.v1'"),
    "no width": (claim_size(GOLDEN, 0, 2), "0 x 2 pixels; a side has 1 to 1048576"),
    "absurd sides": (claim_size(GOLDEN, 2**30, 2**30), "1073741824 x 1073741824 pixels; a side has 1 to 1048576"),
    "too many pixels": (claim_size(GOLDEN, 2**14, 2**14 + 1), "16384 x 16385 pixels; the limit is 268435456"),
    "varint of 33 bits": (claim_size(GOLDEN, 2**32, 1), "the width is not a number of up to 32 bits"),
    "same field twice": (body(GOLDEN[BODY : SEGMENT - 4] + b"\5\1a\5\1b"), "strictly ascending"),
    "fields that descend": (body(GOLDEN[BODY : SEGMENT - 4] + b"\6\1a\5\1b"), "strictly ascending"),
    "field past the end": (body(GOLDEN[BODY : SEGMENT - 4] + b"\5\x7fa"), "header ends inside a field"),
    "length in a long spelling": (reseal(put(SEGMENT + 1, 1, b"\x83\0")), "length of segment 1 is not .* shortest form"),
    "length of 6 bytes": (put(SEGMENT + 1, 1, b"\x83\x80\x80\x80\x80\0"), "length of segment 1 is not .* 32 bits"),
    "segment past the end": (put(SEGMENT + 1, 1, b"\xff\xff\xff\xff\x0f"), "inside segment 1: it needs 4294967295"),
    "segment damaged": (put(SEGMENT + 6, 1, b"I"), r"checksum of segment 1 \(i\) is wrong"),
    "kind damaged": (put(SEGMENT, 1, b"\7"), "segment 1 has kind 0x07"),
    "unknown critical segment": (reseal(put(SEGMENT, 1, b"V")), "kind V, .* update tokodec"),
    "no payload": (reseal(GOLDEN.replace(b"P", b"p")), "no payload"),
    "two profiles": (reseal(put(len(GOLDEN) - 11, 1, b"i")), "2 segments of kind i; at most one"),
    "two alphas": (reseal(put(len(GOLDEN) - 11, 6, b"A\0----A\0----")), "2 segments of kind A; at most one"),
    "not ended": (GOLDEN[:-5], "ends inside segment 5"),
    "no last checksum": (GOLDEN[:-4], "ends inside its last checksum"),
    "last checksum damaged": (GOLDEN[:-1] + b"\0", "checksum of the whole file"),
    "bytes after the end": (GOLDEN + b"\n", "1 bytes follow the end"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    data, words = REFUSED[case]
    with pytest.raises(CorruptFile, match=words) as error:
        unpack(data)
    assert "\n" not in str(error.value)


def test_every_cut_is_refused() -> None:
    assert not any(accepted(GOLDEN[:n]) or accepted(reseal(GOLDEN[:n])) for n in range(len(GOLDEN)))


def test_every_flipped_bit_is_refused() -> None:
    whole = int.from_bytes(GOLDEN, "big")
    for bit in range(8 * len(GOLDEN)):
        assert not accepted((whole ^ 1 << bit).to_bytes(len(GOLDEN), "big")), bit


@pytest.mark.parametrize("part", [slice(8, SEGMENT), slice(SEGMENT, SEGMENT + 9), slice(SEGMENT + 9, SEGMENT + 21)])
def test_part_of_another_good_file_is_refused(part: slice) -> None:
    """Each part is as long as ours and has its own right checksum: only the checksum of the whole can tell."""
    segments = (Segment(kind=ord("i"), data=b"ICC"), Segment(kind=ord("P"), data=b"ABCDEF"), *GOLDEN_FILE.segments[2:])
    other = TkdFile(header=replace(GOLDEN_FILE.header, model="another.v2"), segments=segments)
    mixed = bytearray(GOLDEN)
    mixed[part] = pack(other)[part]
    with pytest.raises(CorruptFile, match="checksum of the whole file"):
        unpack(bytes(mixed))


def test_limit_of_pixels_is_inclusive() -> None:
    file = photograph(2**14, DEFAULT_MAX_PIXELS // 2**14, 3)
    assert unpack(pack(file)) == file
    with pytest.raises(CorruptFile, match="the limit is 100 pixels"):
        unpack(pack(photograph(101, 1, 3)), max_pixels=100)


def test_most_segments() -> None:
    file = replace(photograph(3, 2, 1), segments=(Segment(kind=Kind.PAYLOAD, data=b"x"),) * MAX_SEGMENTS)
    assert len(unpack(pack(file)).segments) == MAX_SEGMENTS
    with pytest.raises(InputError, match="more than 65536 segments"):
        pack(replace(file, segments=(*file.segments, *file.segments[:1])))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "Upper.v1"}, "model id 'Upper.v1'"),
        ({"model": "a" * 65}, "model id"),
        ({"fingerprint": b"short"}, "5 bytes; it must have 8"),
        ({"width": 0}, "0 x 2 pixels"),
        ({"height": MAX_SIDE + 1}, "300 x 1048577 pixels"),
        ({"symbol_crc": -1}, "checksum of the symbols"),
        ({"version": (1, 0)}, "version 1.0"),
        ({"extensions": (Extension(tag=256, data=b""),)}, "0 to 255"),
        ({"extensions": (Extension(tag=1, data=bytes(65_535)),)}, "more than 65535 bytes"),
    ],
)
def test_pack_refuses_a_header(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        pack(replace(GOLDEN_FILE, header=replace(GOLDEN_FILE.header, **changes)))


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ("", "no payload"),
        ("PV", "kind V"),
        ("PT", "stands behind a payload"),
        ("TTP", "2 segments of kind T"),
        ("PAA", "2 segments of kind A"),
        ("P7", "kind 55"),
    ],
)
def test_pack_refuses_segments(kinds: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        pack(replace(GOLDEN_FILE, segments=tuple(Segment(kind=ord(kind), data=b"") for kind in kinds)))


# Mutations


def test_mutations() -> None:
    rng = random.Random(0)
    good = sum(accepted(mutated(GOLDEN, rng)) for _ in range(4000))
    assert good < 40  # changes that change nothing


def test_mutations_with_right_checksums() -> None:
    """Some stay valid: what the checksums no longer protect is then the payload's own business."""
    rng = random.Random(1)
    good = sum(accepted(reseal(mutated(GOLDEN, rng))) for _ in range(4000))
    assert 400 < good < 3600


@settings(max_examples=150, deadline=None, derandomize=True)
@given(tkd_files(), tkd_files(), st.data())
def test_splices(one: TkdFile, two: TkdFile, data: st.DataObject) -> None:
    a, b = pack(one), pack(two)
    spliced = a[: data.draw(st.integers(0, len(a)))] + b[data.draw(st.integers(0, len(b))) :]
    assert accepted(spliced) == (spliced in (a, b))
    accepted(reseal(spliced))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.binary(max_size=200), st.sampled_from([0, 8, LENGTH, BODY, SIDES, SEGMENT]))
def test_any_bytes_behind_a_good_beginning(tail: bytes, kept: int) -> None:
    accepted(GOLDEN[:kept] + tail)
    accepted(reseal(GOLDEN[:kept] + tail))


def test_segments_beyond_the_limit_are_not_piled_up() -> None:
    smallest = GOLDEN[-11:-5]
    with pytest.raises(CorruptFile, match="more than 65536 segments"):
        unpack(GOLDEN[:SEGMENT] + smallest * (MAX_SEGMENTS + 1))
