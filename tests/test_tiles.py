"""Pictures in tiles: no seams, regions, damage, and the same bytes however many tiles are coded at a time."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import tokodec
from tokodec import files
from tokodec.codecs.variable_rate import VariableRateCodec
from tokodec.entropy.container import Kind, Segment, TkdFile, pack, unpack
from tokodec.entropy.tileplan import NEVER, Box, TilePlan, Tiles, Tiling
from tokodec.errors import CorruptFile, InputError, OutOfMemory
from tokodec.files import Named
from tokodec.machine import Machine
from tokodec.media.picture import Picture
from tokodec.rate import Quality, TargetBytes

MODELS = ("hyperprior_vr_test", "fourstep_vr_test")
SMALL = Tiling(side=64, above=0)
MACHINE = Machine()


def scene(height: int, width: int) -> Picture:
    y, x = np.arange(height)[:, None, None], np.arange(width)[:, None]
    noise = np.random.default_rng(7).normal(0, 4, (height, width, 3))
    return Picture(rgb=(128 + 60 * np.sin(x / 9 + np.arange(3)) * np.cos(y / 7) + noise).clip(0, 255).astype(np.uint8))


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def codec_of(name: str) -> VariableRateCodec:
    codec = MACHINE.codec(name)
    assert isinstance(codec, VariableRateCodec)
    return codec


@pytest.fixture(scope="module", params=MODELS)
def codec(request: pytest.FixtureRequest) -> VariableRateCodec:
    return codec_of(request.param)


@pytest.fixture(scope="module")
def tiled() -> TkdFile:
    return unpack(files.encode(scene(150, 200), codec_of(MODELS[1]), Quality(0.7), MACHINE, SMALL).data)


@pytest.mark.parametrize("size", [(150, 200), (64, 64), (65, 64), (1, 300), (129, 70)])
def test_tiles_leave_no_seams(codec: VariableRateCodec, size: tuple[int, int]) -> None:
    picture = scene(*size)
    whole, tiled = (files.encode(picture, codec, Quality(0.7), MACHINE, t).data for t in (NEVER, SMALL))
    a, b = (files.decode(data, Named(), MACHINE).rgb for data in (whole, tiled))
    assert b.shape == picture.rgb.shape
    assert psnr(b, picture.rgb) > psnr(a, picture.rgb) - 0.05


def test_latents_of_tiles_are_those_of_the_whole(codec: VariableRateCodec) -> None:
    """So far does a codec see, and no further: the pixels of a window beyond its reach do not matter."""
    x = torch.from_numpy(scene(320, 320).rgb).permute(2, 0, 1)[None].float() / 255
    level = torch.tensor([700])
    with torch.inference_mode():
        y = codec.analyse(x, level)
        box = Box(top=128, left=128, bottom=192, right=192)
        around = box.grown(codec.reach[0], codec.stride, Box(top=0, left=0, bottom=320, right=320))
        part = codec.analyse(x[(..., *around.slices)], level)
        inner = box.within(around).divided(16)
        assert torch.allclose(part[(..., *inner.slices)], y[(..., *box.divided(16).slices)], atol=1e-5)
        seen = box.grown(codec.reach[1], codec.stride, Box(top=0, left=0, bottom=320, right=320))
        pixels = codec.render(y[(..., *seen.divided(16).slices)], level)
        assert torch.allclose(pixels[(..., *box.within(seen).slices)], codec.render(y, level)[(..., *box.slices)], atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 149), st.integers(0, 199), st.integers(1, 150), st.integers(1, 200))
def test_a_region_is_a_part_of_the_whole(tiled: TkdFile, top: int, left: int, height: int, width: int) -> None:
    data = pack(tiled)
    box = Box(top=top, left=left, bottom=min(top + height, 150), right=min(left + width, 200))
    whole = files.decode(data, Named(), MACHINE).rgb
    region = files.decode(data, Named(), MACHINE, box).rgb
    assert np.abs(region.astype(int) - whole[box.slices]).max() <= 1  # float32 in windows of other shapes


def test_a_region_of_a_file_without_tiles(codec: VariableRateCodec) -> None:
    picture = replace(scene(60, 90), alpha=np.arange(60 * 90, dtype=np.uint8).reshape(60, 90))
    data = files.encode(picture, codec, Quality(0.5), MACHINE).data
    box = Box(top=10, left=20, bottom=30, right=60)
    region, whole = files.decode(data, Named(), MACHINE, box), files.decode(data, Named(), MACHINE)
    assert (region.rgb == whole.rgb[box.slices]).all()
    assert region.alpha is not None
    assert picture.alpha is not None
    assert (region.alpha == picture.alpha[box.slices]).all()


def test_a_region_at_the_door(tiled: TkdFile) -> None:
    data = pack(tiled)
    part = np.asarray(tokodec.decompress(data, region=(30, 70, 50, 40))).astype(int)
    assert part.shape == (40, 50, 3)
    assert np.abs(part - np.asarray(tokodec.decompress(data))[70:110, 30:80]).max() <= 1
    with pytest.raises(InputError, match="not inside"):
        tokodec.decompress(data, region=(190, 0, 50, 40))


@pytest.mark.parametrize("box", [(0, 0, 151, 10), (-1, 0, 10, 10), (5, 5, 5, 9), (0, 190, 10, 201)])
def test_a_region_outside_is_refused(tiled: TkdFile, box: tuple[int, int, int, int]) -> None:
    with pytest.raises(InputError, match="not inside the picture of 200 x 150"):
        files.decode(pack(tiled), Named(), MACHINE, Box(top=box[0], left=box[1], bottom=box[2], right=box[3]))


def test_a_region_needs_only_the_tiles_that_it_sees(tiled: TkdFile) -> None:
    """A payload beyond what a region sees may hold anything that is long enough."""
    last = max(i for i, s in enumerate(tiled.segments) if s.kind == Kind.PAYLOAD)  # the tile at the right below
    data = tiled.segments[last].data
    broken = replace(
        tiled, segments=(*tiled.segments[:last], Segment(kind=Kind.PAYLOAD, data=data[:-2] + b"\7\7"), *tiled.segments[last + 1 :])
    )
    corner = Box(top=0, left=0, bottom=20, right=20)
    assert (files.decode(pack(broken), Named(), MACHINE, corner).rgb == files.decode(pack(tiled), Named(), MACHINE, corner).rgb).all()
    with pytest.raises(CorruptFile):
        files.decode(pack(broken), Named(), MACHINE)


def test_jobs_change_no_bit(codec: VariableRateCodec) -> None:
    picture, two = scene(150, 200), replace(MACHINE, jobs=2)
    data = files.encode(picture, codec, Quality(0.6), MACHINE, SMALL).data
    assert files.encode(picture, codec, Quality(0.6), two, SMALL).data == data
    assert (files.decode(data, Named(), two).rgb == files.decode(data, Named(), MACHINE).rgb).all()


def test_a_size_can_be_aimed_at(codec: VariableRateCodec) -> None:
    low, high = (len(files.encode(scene(150, 200), codec, Quality(q), MACHINE, SMALL).data) for q in (0.3, 0.8))
    target = (low + high) / 2
    coded = files.encode(scene(150, 200), codec, TargetBytes(target), MACHINE, SMALL)
    assert not coded.missed
    assert abs(len(coded.data) - target) <= 0.03 * target


def _with(file: TkdFile, plan: TilePlan) -> bytes:
    return pack(replace(file, segments=(Segment(kind=Kind.TILES, data=plan.pack()), *file.segments[1:])))


def test_damaged_plans(tiled: TkdFile) -> None:
    plan = TilePlan.unpack(tiled.segments[0].data, 12)
    swapped = replace(plan, crcs=(plan.crcs[1], plan.crcs[0], *plan.crcs[2:]))
    cases = {
        "checksums of the tiles": _with(tiled, swapped),
        "make 3 tiles of 128": pack(
            replace(
                tiled,
                header=replace(tiled.header, symbol_crc=replace(plan, side=128).crc32, width=300, height=100),
                segments=(Segment(kind=Kind.TILES, data=replace(plan, side=128).pack()), *tiled.segments[1:]),
            )
        ),
        "multiple of 64": _with(tiled, replace(plan, side=100)),
        "holds 48 bytes of checksums for 11 tiles": pack(replace(tiled, segments=tiled.segments[:-1])),
    }
    for words, data in cases.items():
        with pytest.raises(CorruptFile, match=words):
            files.decode(data, Named(), MACHINE)
    two = tiled.segments[1:3]
    exchanged = replace(tiled, segments=(tiled.segments[0], *reversed(two), *tiled.segments[3:]))
    with pytest.raises(CorruptFile, match="tile 0"):
        files.decode(pack(exchanged), Named(), MACHINE)


def test_tiles_in_a_file_of_a_tokenizer(tiled: TkdFile) -> None:
    tokenizer = MACHINE.codec("vq_test")
    header = replace(tiled.header, model=tokenizer.name, fingerprint=tokenizer.fingerprint)
    with pytest.raises(CorruptFile, match="never writes"):
        files.decode(pack(replace(tiled, header=header)), Named(), MACHINE)


def test_what_cannot_be_cut() -> None:
    with pytest.raises(InputError, match="no tiles"):
        files.encode(scene(70, 70), MACHINE.codec("vq_test"), Quality(None), MACHINE, SMALL)
    with pytest.raises(InputError, match="multiple of 64"):
        Tiling(side=100)
    with pytest.raises(InputError, match="choose larger ones"):
        Tiling(side=64, above=0).tiles((1 << 20, 1 << 14))


def test_memory_is_that_of_few_tiles(codec: VariableRateCodec) -> None:
    limited = replace(MACHINE, max_memory=30_000_000)
    picture = scene(800, 900)
    with pytest.raises(OutOfMemory):
        files.encode(picture, codec, Quality(0.1), limited, NEVER)
    assert files.encode(picture, codec, Quality(0.1), limited, Tiling(side=128, above=0)).data


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 20))
def test_tiles_cover_a_picture_once(height: int, width: int, units: int) -> None:
    tiles = Tiles(height=height, width=width, side=64 * units)
    boxes = [tiles.box(i) for i in range(len(tiles))]
    assert sum(b.size[0] * b.size[1] for b in boxes) == height * width
    assert all(b.cut(tiles.whole) == b and min(b.size) > 0 for b in boxes)
    assert tiles.touching(tiles.whole) == list(range(len(tiles)))


@given(st.integers(0, 999), st.integers(0, 999), st.integers(1, 300), st.integers(1, 300))
def test_touching(top: int, left: int, height: int, width: int) -> None:
    tiles = Tiles(height=1000, width=1000, side=192)
    box = Box(top=top, left=left, bottom=min(top + height, 1000), right=min(left + width, 1000))
    common = [i for i in range(len(tiles)) if min(tiles.box(i).cut(box).size) > 0]
    assert tiles.touching(box) == common
