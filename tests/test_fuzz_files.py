"""Damaged and hostile files: the picture, or an error of ours, soon and in little memory. Never anything else."""

import random
import resource
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from zlib import crc32

import numpy as np
import pytest
from PIL import ImageCms
from seal import claim_size, reseal
from tkd import mutated

import tokodec
from tokodec.entropy.container import MAX_SEGMENTS, Kind, Segment, TkdFile, pack, unpack
from tokodec.entropy.tileplan import Tiling
from tokodec.errors import CorruptFile, FingerprintMismatch, TokodecError
from tokodec.files import Named, decode, encode
from tokodec.machine import Machine
from tokodec.media.read import from_image
from tokodec.rate import Quality

TINY = "hyperprior_vr_test"
EXPECTED = (CorruptFile, FingerprintMismatch)
"""All of exit code 7."""


def photograph(height: int, width: int, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(7)
    x, y = np.arange(width)[:, None], np.arange(height)[:, None, None]
    return (
        (120 + 50 * np.sin(x / 9 + np.arange(channels)) * np.cos(y / 7) + rng.normal(0, 9, (height, width, channels)))
        .clip(0, 255)
        .astype(np.uint8)
    )


@pytest.fixture(
    scope="module",
    params=[
        (TINY, 0.7),
        ("fourstep_vr_test", 0.7),
        ("vq_test", None),
        ("joint_ar_test", None),
        ("elic_test", None),
        ("factorized_test", None),
        ("dcvc_uf_intra_test", 0.7),
    ],
    ids=lambda made: made[0],
)
def good(request: pytest.FixtureRequest) -> bytes:
    model, quality = request.param
    return tokodec.compress(photograph(72, 100), model=model, quality=quality)


@pytest.fixture(scope="module")
def with_alpha() -> bytes:
    return tokodec.compress(photograph(40, 56, 4), model=TINY, quality=0.3)


def flipped(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def spliced(data: bytes, rng: random.Random) -> bytes:
    """The front of one file and the back of another."""
    other = bytes(rng.sample(data, len(data)))
    at = rng.randrange(len(data))
    return data[:at] + other[at:] if rng.random() < 0.5 else data[:at]


def inside(data: bytes, rng: random.Random) -> bytes:
    """Mutations of the payload alone, where only the model and the CRC of the symbols can notice."""
    file = unpack(data)
    payload = mutated(file.payload, rng)
    return pack(TkdFile(header=file.header, segments=(Segment(kind=Kind.PAYLOAD, data=payload),)))


def repaired(data: bytes, rng: random.Random) -> bytes:
    return reseal(mutated(data, rng))


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (flipped, mutated, spliced, repaired, inside)


def outcomes(data: bytes, mutate: Callable[[bytes, random.Random], bytes], count: int) -> Iterator[bool]:
    """For each mutation whether it gave a picture. Fails on any other picture than that which the header describes."""
    original = decode(data, Named(), Machine()).rgb
    for seed in range(count):
        bad = mutate(data, random.Random(f"{mutate.__name__} {seed}"))
        start = time.monotonic()
        try:
            picture = decode(bad, Named(), Machine())
        except EXPECTED:
            yield False
        else:
            header = unpack(bad).header
            assert picture.rgb.shape == (header.height, header.width, 3)
            assert np.array_equal(picture.rgb, original), "same symbols, same picture"
            yield True
        assert time.monotonic() - start < 2


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda m: m.__name__)
def test_damage_is_seen(good: bytes, mutate: Callable[[bytes, random.Random], bytes]) -> None:
    pictures = sum(outcomes(good, mutate, 120))
    assert pictures < 40


@pytest.fixture(scope="module")
def tiled() -> bytes:
    machine = Machine()
    picture, tiling = from_image(photograph(72, 140)), Tiling(side=64, above=0)
    return encode(picture, machine.codec("fourstep_vr_test"), Quality(0.7), machine, tiling).data


def in_a_tile(data: bytes, rng: random.Random) -> bytes:
    """One payload, or the plan, with a checksum that is right again."""
    file = unpack(data)
    at = rng.randrange(len(file.segments))
    segments = list(file.segments)
    segments[at] = Segment(kind=segments[at].kind, data=mutated(segments[at].data, rng))
    return pack(TkdFile(header=file.header, segments=tuple(segments)))


@pytest.mark.parametrize("mutate", [flipped, mutated, spliced, repaired, in_a_tile], ids=lambda m: m.__name__)
def test_damage_to_tiles_is_seen(tiled: bytes, mutate: Callable[[bytes, random.Random], bytes]) -> None:
    assert sum(outcomes(tiled, mutate, 120)) < 40


def test_every_byte_of_a_file_in_tiles_counts(tiled: bytes) -> None:
    for place in range(len(tiled)):
        with pytest.raises(EXPECTED):
            tokodec.decompress(tiled[:place] + bytes((tiled[place] ^ 0xFF,)) + tiled[place + 1 :])


@pytest.mark.parametrize(("width", "height"), [(2**20, 2**20), (2**14, 2**14), (4096, 4096), (141, 72), (193, 72), (64, 64)])
def test_wrong_sizes_of_files_in_tiles(tiled: bytes, width: int, height: int) -> None:
    start = time.monotonic()
    with pytest.raises(CorruptFile):
        tokodec.decompress(claim_size(tiled, width, height))
    assert time.monotonic() - start < 2


@pytest.mark.slow
@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda m: m.__name__)
def test_damage_is_always_seen(good: bytes, mutate: Callable[[bytes, random.Random], bytes]) -> None:
    assert sum(outcomes(good, mutate, 10_000)) < 3_000


def test_every_truncation_is_seen(good: bytes) -> None:
    for length in range(len(good)):
        with pytest.raises(CorruptFile):
            tokodec.decompress(good[:length])


def test_every_byte_counts(good: bytes) -> None:
    for place in range(len(good)):
        with pytest.raises(EXPECTED):
            tokodec.decompress(good[:place] + bytes((good[place] ^ 0xFF,)) + good[place + 1 :])


def test_damage_to_a_file_with_alpha(with_alpha: bytes) -> None:
    """The alpha plane has no checksum behind the container's: with that made right, it may be another plane of its size."""
    for seed in range(150):
        bad = repaired(with_alpha, random.Random(seed))
        try:
            picture = decode(bad, Named(), Machine())
        except EXPECTED:
            continue
        assert picture.alpha is None or picture.alpha.shape == picture.rgb.shape[:2]


def test_a_damaged_profile_is_left_out(good: bytes) -> None:
    file = unpack(good)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for seed in range(300):
        rng = random.Random(seed)
        icc = Segment(kind=Kind.ICC, data=mutated(profile, rng) if seed % 10 else rng.randbytes(seed))
        assert tokodec.decompress(pack(TkdFile(header=file.header, segments=(icc, *file.segments)))).size == (100, 72)


@pytest.mark.parametrize(
    ("width", "height"),
    [
        (2**30, 2**30),
        (2**20, 2**20),
        (2**20, 2**8),
        (2**14, 2**14),
        (1, 2**20),
        (4096, 4096),
        (1000, 720),
        (101, 72),
        (100, 73),
        (128, 128),
        (1, 1),
    ],
)
def test_wrong_sizes_with_right_checksums(good: bytes, width: int, height: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    with pytest.raises(CorruptFile):
        tokodec.decompress(claim_size(good, width, height))
    assert time.monotonic() - start < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "kilobytes"


def test_very_many_segments(good: bytes) -> None:
    assert len(unpack(good).segments) == 1
    end = good[:-5], good[-5:]
    many = end[0] + (b"z\0" + crc32(b"z").to_bytes(4, "little")) * MAX_SEGMENTS + end[1]
    with pytest.raises(CorruptFile, match="segments"):
        tokodec.decompress(reseal(many))


def test_a_segment_that_claims_four_gigabytes(good: bytes) -> None:
    header = len(good) - unpack(good).payload_bytes - 12
    start = next(at for at in range(header - 4, header + 8) if good[at] == Kind.PAYLOAD)
    claim = reseal(good[: start + 1] + b"\xff\xff\xff\xff\x0f" + good[start + 3 :])
    with pytest.raises(CorruptFile):
        tokodec.decompress(claim)


@pytest.mark.parametrize("level", [1024, 65535])
def test_levels_that_do_not_exist(with_alpha: bytes, level: int) -> None:
    file = unpack(with_alpha)
    payload = level.to_bytes(2, "little") + file.payload[2:]
    with pytest.raises(CorruptFile, match=f"level {level}"):
        tokodec.decompress(pack(TkdFile(header=file.header, segments=(Segment(kind=Kind.PAYLOAD, data=payload),))))


def test_a_payload_may_come_in_pieces(good: bytes) -> None:
    file = unpack(good)
    cuts = [0, 1, 2, 50, len(file.payload)]
    pieces = tuple(Segment(kind=Kind.PAYLOAD, data=file.payload[a:b]) for a, b in pairwise(cuts))
    again = tokodec.decompress(pack(TkdFile(header=file.header, segments=pieces)))
    np.testing.assert_array_equal(np.asarray(again), np.asarray(tokodec.decompress(good)))


@pytest.mark.parametrize(
    "junk", [b"", b"\xd4", b"\xd4TKD\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + bytes(99), bytes(1000), b"\xd4TKD\n\x1a\n" + bytes(50)]
)
def test_what_is_no_file_of_ours(junk: bytes) -> None:
    with pytest.raises(CorruptFile) as caught:
        tokodec.decompress(junk)
    assert isinstance(caught.value, TokodecError)
    assert caught.value.exit_code == 7
