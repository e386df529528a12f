"""Between pictures and .tkd files: what goes in comes out, and what does not fit is an error."""

import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms
from seal import claim_size

import tokodec
from tokodec import catalogue, files
from tokodec.api import Codec, Symbols
from tokodec.entropy.container import Kind, TkdFile, pack, unpack
from tokodec.errors import (
    CorruptFile,
    FingerprintMismatch,
    InputError,
    ModelNotFound,
    NoInput,
    OutOfMemory,
    TokodecError,
    UnsupportedInput,
)
from tokodec.files import Forced, Given, Named
from tokodec.machine import Machine
from tokodec.media import limits
from tokodec.media.picture import Picture
from tokodec.pretrained import store
from tokodec.rate import Quality, TargetBytes

TINY = "hyperprior_vr_test"


def waves(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    y, x = np.arange(height)[:, None, None], np.arange(width)[:, None]
    return (128 + 60 * np.sin(x / 9 + np.arange(channels)) * np.cos(y / 7)).astype(np.uint8)


def round_trip(image: Image.Image) -> Image.Image:
    return tokodec.decompress(tokodec.compress(image, model=TINY))


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Machine().codec(TINY)


@pytest.fixture(scope="module")
def data(codec: Codec) -> bytes:
    return tokodec.compress(waves(80, 120), model=codec, quality=0.8)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2), (97, 101), (64, 64)])
def test_any_size_comes_back(size: tuple[int, int]) -> None:
    image = Image.fromarray(waves(*size))
    again = round_trip(image)
    assert (again.size, again.mode) == (image.size, "RGB")


def test_the_picture_that_comes_back_is_the_one_that_went_in(data: bytes) -> None:
    assert psnr(np.asarray(tokodec.decompress(data)), waves(80, 120)) > 20


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("RGBA", 4)])
def test_gray_and_alpha_come_back(mode: str, channels: int) -> None:
    pixels = waves(50, 70, channels)
    again = round_trip(Image.fromarray(pixels.squeeze(), mode))
    assert (again.mode, again.size) == (mode, (70, 50))
    if mode.endswith("A"):
        np.testing.assert_array_equal(np.asarray(again)[..., -1], pixels[..., -1])


def test_profile_is_kept_in_the_file_and_given_back(codec: Codec) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    coded = files.encode(Picture(rgb=waves(20, 30), icc=profile), codec, Quality(0.5), Machine())
    assert files.decode(coded.data, Named(), Machine()).icc == profile
    assert [chr(s.kind) for s in unpack(coded.data).segments] == ["i", "P"]


def test_what_an_image_may_be(tmp_path: Path) -> None:
    pixels = waves(40, 56)
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "PNG")
    (tmp_path / "x.png").write_bytes(stored.getvalue())
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255
    images = [pixels, Image.fromarray(pixels), tensor, tmp_path / "x.png", str(tmp_path / "x.png"), stored.getvalue()]
    assert len({tokodec.compress(image, model=TINY) for image in images}) == 1


def test_header_and_overhead(data: bytes, codec: Codec) -> None:
    file = unpack(data)
    assert (file.header.model, file.header.fingerprint) == (TINY, codec.fingerprint)
    assert (file.header.width, file.header.height, file.header.gray) == (120, 80, False)
    assert len(data) - file.payload_bytes <= 64


def test_files_do_not_depend_on_threads(data: bytes) -> None:
    torch.set_num_threads(2)
    try:
        assert tokodec.compress(waves(80, 120), model=TINY, quality=0.8) == data
    finally:
        torch.set_num_threads(1)


def test_rate_follows_quality_and_targets() -> None:
    pixels = waves(160, 240) ^ np.random.default_rng(0).integers(0, 32, (160, 240, 3)).astype(np.uint8)
    low, high = (len(tokodec.compress(pixels, model=TINY, quality=q)) for q in (0.1, 0.9))
    assert low < high
    target = (low + high) / 2
    bpp = 8 * target / (160 * 240)
    assert abs(len(tokodec.compress(pixels, model=TINY, target_bpp=bpp)) - target) <= 0.03 * target


def test_a_target_counts_every_byte_of_the_file(codec: Codec) -> None:
    rgb, alpha = waves(64, 96), np.random.default_rng(0).integers(0, 256, (64, 96)).astype(np.uint8)
    coded = files.encode(Picture(rgb=rgb, alpha=alpha), codec, TargetBytes(6_400), Machine())
    assert abs(len(coded.data) - 6_400) <= 192, coded.missed


def test_default_quality() -> None:
    assert tokodec.compress(waves(16, 16), model=TINY) == tokodec.compress(waves(16, 16), model=TINY, quality=files.DEFAULT_QUALITY)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"quality": 1.5}, InputError),
        ({"quality": -0.1}, InputError),
        ({"quality": 0.5, "target_bpp": 1.0}, InputError),
        ({"target_bpp": 0.0}, InputError),
        ({"model": "no_such_model"}, ModelNotFound),
        ({"model": "some/path"}, InputError),
        ({"model": "dir:nowhere"}, ModelNotFound),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], error: type[TokodecError]) -> None:
    with pytest.raises(error):
        tokodec.compress(waves(8, 8), **{"model": TINY, **arguments})  # type: ignore[arg-type]


def test_wrong_images_and_bytes_are_named() -> None:
    with pytest.raises(NoInput, match="no such file"):
        tokodec.compress("nowhere.png", model=TINY)
    with pytest.raises(UnsupportedInput):
        tokodec.compress(b"not a picture", model=TINY)
    with pytest.raises(InputError, match="read_bytes"):
        tokodec.decompress("photo.tkd")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_bytes_like_objects_are_decompressed(data: bytes, kind: type) -> None:
    assert tokodec.decompress(kind(data)).size == (120, 80)


# --- which model


def changed(data: bytes, **header: object) -> bytes:
    file = unpack(data)
    return pack(TkdFile(header=replace(file.header, **header), segments=file.segments))  # type: ignore[arg-type]


def test_another_fingerprint_is_refused_naming_both(data: bytes, codec: Codec) -> None:
    foreign = changed(data, fingerprint=bytes(range(8)))
    with pytest.raises(FingerprintMismatch, match=f"0001020304050607.*{codec.fingerprint.hex()}.*--force-model"):
        tokodec.decompress(foreign)
    with pytest.raises(FingerprintMismatch):
        files.decode(foreign, Given(codec), Machine())
    assert files.decode(foreign, Forced(codec), Machine()).rgb.shape == (80, 120, 3)


def test_a_given_model_replaces_the_name_not_the_fingerprint(data: bytes, codec: Codec) -> None:
    renamed = changed(data, model="something.else")
    with pytest.raises(CorruptFile, match=r"something\.else"):
        tokodec.decompress(renamed)
    assert files.decode(renamed, Given(codec), Machine()).rgb.shape == (80, 120, 3)


@pytest.mark.parametrize("name", ["dir:.", "hf:org/repo@main", "hyperprior_vr", "../x"])
def test_a_file_names_only_models_of_the_zoo(data: bytes, name: str) -> None:
    with pytest.raises(CorruptFile, match="no codec of this version"):
        tokodec.decompress(changed(data, model=name))


def test_weights_of_a_folder_make_files_that_they_read(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = tokodec.create(TINY).eval()
    model.freeze([torch.rand(1, 3, 64, 64)])  # type: ignore[operator]
    store.save(model, tmp_path / "model.safetensors", name=TINY)
    mine = Machine().codec(f"dir:{tmp_path}")
    data = tokodec.compress(waves(32, 32), model=mine)
    assert files.decode(data, Given(mine), Machine()).rgb.shape == (32, 32, 3)
    with pytest.raises(FingerprintMismatch):
        tokodec.decompress(data)


def test_models_of_the_zoo_are_loaded_once() -> None:
    assert Machine().codec(TINY) is Machine().codec(TINY)
    assert Machine().codec(TINY) is not Machine(numerics="fast").codec(TINY)


def test_fast_numerics_read_what_stable_wrote(data: bytes) -> None:
    fast = files.decode(data, Named(), Machine(numerics="fast")).rgb
    assert psnr(fast, files.decode(data, Named(), Machine()).rgb) > 35


@pytest.mark.parametrize("machine", [Machine(device="nonsense"), Machine(device="meta:7:7"), Machine(numerics="sloppy")])
def test_unknown_machines_are_named(machine: Machine) -> None:
    with pytest.raises(InputError):
        machine.codec(TINY)


# --- what must never become a picture


def test_wrong_symbols_are_an_error(data: bytes) -> None:
    with pytest.raises(CorruptFile, match="CRC"):
        tokodec.decompress(changed(data, symbol_crc=unpack(data).header.symbol_crc ^ 1))


def test_the_encoder_reads_what_it_wrote(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    read = type(codec).read

    def wrong(self: Codec, payloads: list[bytes], size: tuple[int, ...]) -> Symbols:
        symbols = read(self, payloads, size)
        return replace(symbols, values={**symbols.values, "y": symbols.values["y"] + 1})

    monkeypatch.setattr(type(codec), "read", wrong)
    with pytest.raises(CorruptFile, match="not kept"):
        tokodec.compress(waves(16, 16), model=codec)


def test_alpha_of_another_size_is_an_error() -> None:
    data = tokodec.compress(waves(16, 16, 4), model=TINY)
    file = unpack(data)
    shorter = [replace(s, data=s.data[:-2]) if s.kind == Kind.ALPHA else s for s in file.segments]
    with pytest.raises(CorruptFile, match="alpha"):
        tokodec.decompress(pack(replace(file, segments=tuple(shorter))))


@pytest.mark.parametrize("side", [4_000, 16_000])
def test_a_large_claim_on_a_short_payload_is_refused_before_anything_is_computed(
    data: bytes, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(torch.nn.functional, "conv2d", never)
    with pytest.raises(CorruptFile, match="too short for the size"):
        tokodec.decompress(claim_size(data, side, side))


def test_claims_beyond_the_limit_are_refused(data: bytes) -> None:
    with pytest.raises(CorruptFile, match="limit"):
        tokodec.decompress(claim_size(data, 2**15, 2**14))
    with pytest.raises(CorruptFile, match="limit"):
        files.decode(data, Named(), Machine(max_pixels=9_599))
    files.decode(data, Named(), Machine(max_pixels=9_600))


def test_pictures_beyond_the_limits_are_not_coded(data: bytes, codec: Codec) -> None:
    picture = Picture(rgb=waves(80, 120))
    with pytest.raises(UnsupportedInput, match=r"120 x 80 .* 9599"):
        files.encode(picture, codec, Quality(0.5), Machine(max_pixels=9_599))
    with pytest.raises(OutOfMemory, match="120 x 80"):
        files.encode(picture, codec, Quality(0.5), Machine(max_memory=10_000))
    with pytest.raises(OutOfMemory, match="max_memory"):
        files.decode(data, Named(), Machine(max_memory=10_000))


@pytest.mark.parametrize(
    "error", [MemoryError(), np._core._exceptions._ArrayMemoryError((9,), np.dtype(int)), torch.OutOfMemoryError("CUDA out of memory")]
)
def test_running_out_of_memory_is_said(codec: Codec, data: bytes, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(type(codec), "synthesise", fail)
    with pytest.raises(OutOfMemory):
        tokodec.decompress(data)


def test_torch_says_that_memory_is_short_in_words_we_know() -> None:
    with pytest.raises(OutOfMemory), files.memory_told():
        torch.empty(2**60, dtype=torch.uint8)


def test_memory_of_the_machine() -> None:
    assert 2**28 < limits.physical_memory() <= 2**60
    assert os.cpu_count()


def test_default_model_is_in_the_zoo() -> None:
    assert catalogue.model_info(files.DEFAULT_MODEL).kind == "codec"
