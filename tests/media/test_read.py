"""Every kind of picture comes in with exactly its size, its alpha, and the samples that docs/pictures.md promises."""

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from handmade import make_bmp_with_alpha, make_file, make_png, make_tiff
from numpy.typing import NDArray
from PIL import Image

from tokodec.errors import InputError, NoInput, UnsupportedInput
from tokodec.media.alpha import DropAlpha, FlattenAlpha
from tokodec.media.read import from_image, read_picture

Array = NDArray[Any]
RNG = np.random.default_rng(3)
EIGHT = RNG.integers(0, 256, (23, 37, 4), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (23, 37, 4), dtype=np.uint16)
BLOCKS = np.zeros((32, 48, 3), np.uint8)
BLOCKS[:16, :16], BLOCKS[:16, 32:], BLOCKS[16:, :16] = (250, 10, 10), (10, 250, 10), (10, 10, 250)
TURNS: dict[int, Callable[[Array], Array]] = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: np.transpose(x, (1, 0, 2)),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.transpose(np.rot90(x, 2), (1, 0, 2)),
    8: np.rot90,
}
LOSSLESS = {"PNG": {}, "TIFF": {}, "BMP": {}, "WEBP": {"lossless": True, "exact": True}, "GIF": {}, "JXL": {"lossless": True}}
LOSSLESS_MODES = [
    *(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
    *(("TIFF", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "RGBX")),
    *(("BMP", mode) for mode in ("1", "L", "P", "RGB")),
    *(("GIF", mode) for mode in ("1", "L", "P")),
    *(("WEBP", mode) for mode in ("RGB", "RGBA")),
    *(("JXL", mode) for mode in ("L", "LA", "RGB", "RGBA")),
]


def narrowed(x: Array, white: int = 65535) -> Array:
    """round(x * 255 / white), the slow and obvious way."""
    return np.floor(x.astype(np.float64) * 255 / white + 0.5).astype(np.uint8)


def needs(format: str) -> None:  # noqa: A002
    if format in ("HEIF", "JXL"):
        plugin = pytest.importorskip("pillow_heif" if format == "HEIF" else "pillow_jxl")
        if format == "HEIF":
            plugin.register_heif_opener()


def in_mode(mode: str) -> Image.Image:
    image = Image.fromarray(EIGHT)
    return image if mode == "RGBA" else image.convert("LA") if mode == "LA" else image.convert("RGB").convert(mode)


@pytest.mark.parametrize(("format", "mode"), LOSSLESS_MODES)
def test_lossless_formats_give_their_samples(format: str, mode: str) -> None:  # noqa: A002
    needs(format)
    source = in_mode(mode)
    picture = read_picture(make_file(source, format, **LOSSLESS[format]))
    assert np.array_equal(picture.rgb, np.asarray(source.convert("RGBA").convert("RGB")))
    assert picture.gray == (mode in ("1", "L", "LA"))
    assert picture.icc is None
    if mode in ("LA", "RGBA"):
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha, EIGHT[..., 3])
    else:
        assert picture.alpha is None


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 2), (17, 13), (101, 211)])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "HEIF", "JXL"])
def test_every_format_keeps_the_size(format: str, size: tuple[int, int]) -> None:  # noqa: A002
    needs(format)
    picture = read_picture(make_file(Image.new("RGB", size, (200, 100, 50)), format))
    assert (picture.width, picture.height) == size
    assert np.abs(picture.rgb.astype(int) - (200, 100, 50)).max() <= 4
    assert picture.alpha is None


@pytest.mark.parametrize("format", ["AVIF", "HEIF"])
def test_lossy_formats_keep_alpha(format: str) -> None:  # noqa: A002
    needs(format)
    image = Image.new("RGBA", (40, 30), (200, 100, 50, 0))
    image.paste((10, 20, 30, 255), (10, 5, 30, 25))
    picture = read_picture(make_file(image, format, quality=100))
    assert picture.alpha is not None
    assert np.abs(picture.alpha.astype(int) - np.asarray(image)[..., 3]).max() <= 2


@pytest.mark.parametrize("clear", [3, bytes([0, 128, 255, 7])])
def test_palettes_with_transparency(clear: int | bytes) -> None:
    source = in_mode("RGB").quantize(16)
    picture = read_picture(make_file(source, "PNG", transparency=clear))
    table = np.full(256, 255, np.uint8)
    if isinstance(clear, int):
        table[clear] = 0
    else:
        table[: len(clear)] = list(clear)
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, table[np.asarray(source)])
    assert np.array_equal(picture.rgb, np.asarray(source.convert("RGB")))


def test_a_gif_with_transparency() -> None:
    index = np.tile(np.arange(4, dtype=np.uint8), (6, 3))
    source = Image.frombytes("P", (12, 6), index.tobytes())
    source.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    picture = read_picture(make_file(source, "GIF", transparency=2, optimize=False))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha == 0, index == 2)
    assert picture.rgb[0, :2].tolist() == [[255, 0, 0], [0, 255, 0]]


def test_a_palette_of_grays_is_gray() -> None:
    source = Image.frombytes("P", (2, 2), bytes(range(4)))
    source.putpalette([10, 10, 10, 90, 90, 90, 200, 200, 200, 33, 33, 33])
    picture = read_picture(make_file(source, "PNG"))
    assert picture.gray
    assert picture.rgb[..., 0].tolist() == [[10, 90], [200, 33]]


def test_an_index_outside_the_palette_is_black() -> None:
    chunks = ((b"PLTE", bytes([1, 2, 3, 4, 5, 6])),)
    gray = bytearray(make_png(np.array([[[0], [1], [9]]]), *chunks, bits=8))
    gray[25] = 3  # from gray to palette
    gray[29:33] = struct.pack(">I", zlib.crc32(bytes(gray[12:29])))
    assert read_picture(bytes(gray)).rgb.tolist() == [[[1, 2, 3], [4, 5, 6], [0, 0, 0]]]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png(channels: int, interlaced: bool) -> None:
    picture = read_picture(make_png(DEEP[..., :channels], interlaced=interlaced))
    colours = DEEP[..., :1] if channels < 3 else DEEP[..., :3]
    assert np.array_equal(picture.rgb, np.broadcast_to(narrowed(colours), picture.rgb.shape))
    assert picture.gray == (channels < 3)
    if channels in (2, 4):
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha, narrowed(DEEP[..., channels - 1]))
    else:
        assert picture.alpha is None


def test_all_16_bit_values_round_to_the_nearest() -> None:
    x = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    assert np.array_equal(read_picture(make_png(x)).rgb[..., :1], narrowed(x))
    assert np.array_equal(read_picture(make_png(np.repeat(x, 3, axis=2))).rgb, np.repeat(narrowed(x), 3, axis=2))


@pytest.mark.parametrize(("channels", "bits"), [(1, 2), (1, 4), (1, 8), (1, 16), (3, 8), (3, 16)])
def test_png_with_one_clear_colour(channels: int, bits: int) -> None:
    x = RNG.integers(0, 2**bits, (9, 11, channels))
    x[4:6, 3:7] = x[2, 2]
    picture = read_picture(make_png(x, (b"tRNS", struct.pack(f">{channels}H", *x[2, 2])), bits=bits))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha == 0, (x == x[2, 2]).all(-1))
    assert set(np.unique(picture.alpha)) == {0, 255}
    assert np.array_equal(picture.rgb, np.broadcast_to(narrowed(x, 2**bits - 1), picture.rgb.shape))


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
class TestTiff:
    def test_16_bit_colour(self, order: Literal["<", ">"], deflate: bool) -> None:
        picture = read_picture(make_tiff(DEEP[..., :3], {258: [16] * 3, 262: [2], 277: [3]}, order, deflate))
        assert np.array_equal(picture.rgb, narrowed(DEEP[..., :3]))

    def test_16_bit_colour_and_alpha(self, order: Literal["<", ">"], deflate: bool) -> None:
        picture = read_picture(make_tiff(DEEP, {258: [16] * 4, 262: [2], 277: [4], 338: [2]}, order, deflate))
        assert picture.alpha is not None
        assert np.array_equal(picture.rgb, narrowed(DEEP[..., :3]))
        assert np.array_equal(picture.alpha, narrowed(DEEP[..., 3]))

    def test_16_bit_colour_multiplied_by_alpha(self, order: Literal["<", ">"], deflate: bool) -> None:
        alpha = DEEP[..., 3:].astype(np.float64)
        product = np.concatenate([np.rint(DEEP[..., :3] * alpha / 65535).astype(np.uint16), DEEP[..., 3:]], axis=2)
        picture = read_picture(make_tiff(product, {258: [16] * 4, 262: [2], 277: [4], 338: [1]}, order, deflate))
        exact = product[..., :3].astype(np.float64) * 255 / np.maximum(alpha, 1)
        exact = exact.clip(0, 255)
        assert np.abs(picture.rgb - exact).max() <= 0.5
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha, narrowed(DEEP[..., 3]))

    def test_16_bit_cmyk(self, order: Literal["<", ">"], deflate: bool) -> None:
        picture = read_picture(make_tiff(DEEP, {258: [16] * 4, 262: [5], 277: [4]}, order, deflate))
        c, k = 255.0 - narrowed(DEEP[..., :3]), 255.0 - narrowed(DEEP[..., 3:])
        assert np.abs(picture.rgb - c * k / 255).max() <= 1

    def test_16_bit_gray(self, order: Literal["<", ">"], deflate: bool) -> None:
        picture = read_picture(make_tiff(DEEP[..., :1], {258: [16], 262: [1], 277: [1]}, order, deflate))
        assert picture.gray
        assert np.array_equal(picture.rgb[..., :1], narrowed(DEEP[..., :1]))

    def test_8_bit_gray_whose_white_is_zero(self, order: Literal["<", ">"], deflate: bool) -> None:
        picture = read_picture(make_tiff(EIGHT[..., :1], {258: [8], 262: [0], 277: [1]}, order, deflate))
        assert np.array_equal(picture.rgb[..., :1], 255 - EIGHT[..., :1])

    @pytest.mark.parametrize("orientation", TURNS)
    def test_orientation_of_16_bit(self, order: Literal["<", ">"], deflate: bool, orientation: int) -> None:
        data = make_tiff(DEEP[..., :3], {258: [16] * 3, 262: [2], 274: [orientation], 277: [3]}, order, deflate)
        assert np.array_equal(read_picture(data).rgb, TURNS[orientation](narrowed(DEEP[..., :3])))

    def test_planes_of_16_bits_are_refused(self, order: Literal["<", ">"], deflate: bool) -> None:
        planes = np.moveaxis(DEEP[..., :3], 2, 0)
        with pytest.raises(UnsupportedInput, match="separate planes"):
            read_picture(make_tiff(planes, {258: [16] * 3, 262: [2], 277: [3], 284: [2]}, order, deflate))

    @pytest.mark.parametrize(("dtype", "kind"), [(np.float32, 3), (np.int16, 2)])
    def test_samples_without_a_white_are_refused(self, order: Literal["<", ">"], deflate: bool, dtype: type, kind: int) -> None:
        x = DEEP[..., :1].astype(dtype)
        with pytest.raises(UnsupportedInput, match="no defined white"):
            read_picture(make_tiff(x, {258: [8 * x.itemsize], 262: [1], 277: [1], 339: [kind]}, order, deflate))

    def test_pages_are_refused_but_smaller_copies_are_not_pages(self, order: Literal["<", ">"], deflate: bool) -> None:
        tags = {258: [8], 262: [1], 277: [1]}
        with pytest.raises(UnsupportedInput, match="several pages"):
            read_picture(make_tiff(EIGHT[..., :1], tags, order, deflate, pages=2))
        thumbnails = make_tiff(EIGHT[..., :1], {**tags, 254: [1]}, order, deflate, pages=3)
        assert np.array_equal(read_picture(thumbnails).rgb[..., :1], EIGHT[..., :1])


def test_16_bit_tiff_whose_white_is_zero() -> None:
    picture = read_picture(make_tiff(DEEP[..., :1], {258: [16], 262: [0], 277: [1]}))
    assert np.array_equal(picture.rgb[..., :1], 255 - narrowed(DEEP[..., :1]))


def test_12_bit_gray() -> None:
    x = RNG.integers(0, 4096, (6, 10))
    packed = np.packbits(((x.reshape(-1, 1) >> np.arange(11, -1, -1)) & 1).astype(np.uint8).reshape(-1))
    tags = {256: [10], 257: [6], 258: [12], 262: [1], 277: [1], 278: [6]}
    picture = read_picture(make_tiff(packed.reshape(1, -1, 1), tags))
    assert np.array_equal(picture.rgb[..., 0], narrowed(x, 4095))


@pytest.mark.parametrize("photometric", [0, 1])
def test_1_bit_tiff(photometric: int) -> None:
    x = RNG.integers(0, 2, (6, 16), dtype=np.uint8)
    tags = {256: [16], 257: [6], 258: [1], 262: [photometric], 277: [1], 278: [6]}
    picture = read_picture(make_tiff(np.packbits(x, axis=1)[..., None], tags))
    assert np.array_equal(picture.rgb[..., 0], 255 * (x if photometric else 1 - x))
    assert picture.gray


def test_a_bmp_with_alpha() -> None:
    picture = read_picture(make_bmp_with_alpha(EIGHT))
    assert picture.alpha is not None
    assert np.array_equal(picture.rgb, EIGHT[..., :3])
    assert np.array_equal(picture.alpha, EIGHT[..., 3])


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 100, "subsampling": 0}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_orientation_is_applied(format: str, options: dict[str, Any], orientation: int) -> None:  # noqa: A002
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read_picture(make_file(Image.fromarray(BLOCKS), format, exif=exif.tobytes(), **options))
    wanted = TURNS[orientation](BLOCKS)
    assert picture.rgb.shape == wanted.shape
    assert np.abs(picture.rgb.astype(int) - wanted).max() <= 6


def test_orientation_turns_alpha_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = read_picture(make_file(Image.fromarray(EIGHT), "PNG", exif=exif.tobytes()))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, np.rot90(EIGHT[..., 3], -1))


def test_exif_does_not_turn_a_jpeg_xl() -> None:
    """Its codestream says how it is turned, and its decoder has done that."""
    pytest.importorskip("pillow_jxl")
    exif = Image.Exif()
    exif[0x0112] = 6
    data = make_file(Image.fromarray(BLOCKS), "JXL", lossless=True, exif=exif.tobytes())
    assert np.array_equal(read_picture(data).rgb, BLOCKS)


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0nonsense"])
def test_damaged_exif_is_ignored(exif: bytes) -> None:
    assert read_picture(make_file(Image.fromarray(BLOCKS), "PNG", exif=exif)).rgb.shape == BLOCKS.shape


def test_the_second_picture_of_a_jpeg_is_ignored() -> None:
    images = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue")]
    data = make_file(images[0], "MPO", save_all=True, append_images=images[1:])
    for picture in (read_picture(data), from_image(Image.open(io.BytesIO(data)))):
        assert picture.rgb.shape == (10, 20, 3)
        assert picture.rgb[0, 0, 0] > 240


class TestSources:
    DATA = make_file(Image.fromarray(BLOCKS), "PNG")

    def test_paths_bytes_and_streams(self, tmp_path: Path) -> None:
        path = tmp_path / "picture without suffix"
        path.write_bytes(self.DATA)
        with path.open("rb") as stream:
            sources = [path, self.DATA, io.BytesIO(self.DATA), stream]
            for source in sources:
                assert np.array_equal(read_picture(source).rgb, BLOCKS)
                assert np.array_equal(from_image(source).rgb, BLOCKS)
        assert np.array_equal(from_image(str(path)).rgb, BLOCKS)
        assert path.read_bytes() == self.DATA

    def test_a_pipe(self) -> None:
        code = "import sys; from tokodec.media.read import read_picture; print(read_picture(sys.stdin.buffer).rgb.shape)"
        done = subprocess.run([sys.executable, "-c", code], input=self.DATA, capture_output=True, check=True)
        assert done.stdout.split() == b"(32, 48, 3)".split()

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(NoInput, match=r"absent\.png: no such file"):
            read_picture(tmp_path / "absent.png")

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UnsupportedInput, match="cannot read"):
            read_picture(tmp_path)

    def test_pil_pictures_are_left_as_they_are(self) -> None:
        image = Image.open(io.BytesIO(self.DATA))
        assert np.array_equal(from_image(image).rgb, BLOCKS)
        assert image.size == (48, 32)
        assert np.array_equal(np.asarray(image), BLOCKS)

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBX", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "I;16"])
    def test_pil_modes(self, mode: str) -> None:
        opaque = Image.fromarray(BLOCKS)
        via = {"La": "LA", "RGBa": "RGBA", "I;16": "L", "PA": "P"}.get(mode, mode)
        picture = from_image(opaque.convert(via).convert(mode))
        assert picture.rgb.shape == BLOCKS.shape
        assert (picture.alpha is not None) == (mode in ("LA", "La", "PA", "RGBA", "RGBa"))
        assert picture.alpha is None or bool((picture.alpha == 255).all())

    @pytest.mark.parametrize("mode", ["I", "F"])
    def test_pil_modes_without_a_white(self, mode: str) -> None:
        with pytest.raises(UnsupportedInput, match="no defined white"):
            from_image(Image.new(mode, (2, 2)))

    def test_pil_animations(self) -> None:
        frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
        animated = Image.open(io.BytesIO(make_file(frames[0], "GIF", save_all=True, append_images=frames[1:])))
        with pytest.raises(UnsupportedInput, match=r"image\.copy"):
            from_image(animated)
        assert from_image(animated.copy()).rgb.shape == (4, 4, 3)


class TestArraysAndTensors:
    @pytest.mark.parametrize("channels", [1, 2, 3, 4])
    def test_arrays(self, channels: int) -> None:
        x = EIGHT[..., :channels]
        picture = from_image(x)
        assert np.array_equal(picture.rgb, np.broadcast_to(x[..., :1] if channels < 3 else x[..., :3], picture.rgb.shape))
        assert picture.gray == (channels < 3)
        assert (picture.alpha is not None) == (channels in (2, 4))
        assert picture.alpha is None or np.array_equal(picture.alpha, x[..., -1])

    def test_flat_arrays_are_gray(self) -> None:
        assert from_image(EIGHT[..., 0]).gray

    def test_tensors(self) -> None:
        x = torch.from_numpy(EIGHT[..., :3].transpose(2, 0, 1).copy()).float() / 255
        assert np.array_equal(from_image(x).rgb, EIGHT[..., :3])
        assert from_image(x[:1]).gray

    @pytest.mark.parametrize(
        "image",
        [
            np.zeros((4, 4, 3), np.float32),
            np.zeros((4, 4, 3), np.uint16),
            np.zeros((4, 4, 5), np.uint8),
            np.zeros((1, 4, 4, 3), np.uint8),
            np.zeros(4, np.uint8),
            torch.zeros(3, 4, 4, dtype=torch.uint8),
            torch.zeros(1, 3, 4, 4),
            torch.zeros(4, 4, 3 + 4)[:, 0],
            torch.full((3, 2, 2), 1.01),
            torch.full((3, 2, 2), -0.01),
            torch.full((3, 2, 2), float("nan")),
            None,
            3,
            [1, 2],
        ],
        ids=str,
    )
    def test_what_is_no_picture(self, image: Any) -> None:
        with pytest.raises(InputError):
            from_image(image)

    @pytest.mark.parametrize("image", [np.zeros((0, 4, 3), np.uint8), torch.zeros(3, 4, 0), np.zeros((100, 101, 3), np.uint8)], ids=str)
    def test_sizes(self, image: Any) -> None:
        with pytest.raises(UnsupportedInput, match="pixels"):
            from_image(image, max_pixels=10_000)


def test_rules_for_alpha_apply_to_every_source() -> None:
    image = Image.new("RGBA", (3, 2), (0, 0, 0, 0))
    for source in (image, np.asarray(image), make_file(image, "PNG")):
        assert from_image(source, alpha=DropAlpha()).alpha is None
        flat = from_image(source, alpha=FlattenAlpha("#0a0b0c"))
        assert flat.alpha is None
        assert flat.rgb[1, 2].tolist() == [10, 11, 12]


def test_reading_and_writing_need_no_torch() -> None:
    code = "import sys, tokodec.media.read, tokodec.media.write; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
