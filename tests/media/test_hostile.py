"""Files that mean harm or are no pictures: one clear line each, before anything is decoded, and no warning."""

import io
import struct
import subprocess
import sys
import threading
import tracemalloc
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import P3_PRIMARIES, chunk, icc_srgb_curve, make_file, make_png, make_rgb_icc, make_tiff
from PIL import Image, ImageFile

from tokodec.errors import MissingExtra, TokodecError, UnsupportedInput
from tokodec.media.foreign import deaf_stderr, foreign
from tokodec.media.headers import jxl_shape
from tokodec.media.limits import MAX_SIDE, check_size
from tokodec.media.read import from_image, read_picture

Y, X = np.mgrid[:40, :50]
IMAGE = Image.fromarray(np.stack([X * 5 + Y, Y * 4, X * Y], axis=-1).astype(np.uint8))
FORMATS = ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "HEIF", "JXL"]


def a_file(format: str, image: Image.Image = IMAGE, **options: Any) -> bytes:  # noqa: A002
    if format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    if format == "JXL":
        pytest.importorskip("pillow_jxl")
    return make_file(image, format, **options)


def png_claiming(width: int, height: int) -> bytes:
    data = make_png(np.zeros((1, 1, 3)), bits=8)
    return data[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + data[33:]


def webp_claiming(width: int, height: int) -> bytes:
    data = bytearray(make_file(IMAGE.convert("RGBA"), "WEBP", exif=b"Exif\0\0II*\0"))
    assert data[12:16] == b"VP8X"
    data[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


def gif_claiming(width: int, height: int) -> bytes:
    data = bytearray(make_file(IMAGE, "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def bmp_claiming(width: int, height: int) -> bytes:
    data = bytearray(make_file(IMAGE, "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def jpeg_claiming(width: int, height: int) -> bytes:
    data = bytearray(make_file(IMAGE, "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def tiff_claiming(width: int, height: int) -> bytes:
    return make_tiff(np.zeros((1, 1, 1), np.uint8), {256: [width], 257: [height], 258: [8], 262: [1], 277: [1]})


BOMBS = {
    "png": png_claiming(2**18, 2**18),
    "png long": png_claiming(2**30, 1),
    "png huge": png_claiming(2**31 - 1, 2**31 - 1),
    "webp": webp_claiming(2**14 + 1, 2**14),
    "webp huge": webp_claiming(2**24, 2**24),
    "gif": gif_claiming(65535, 65535),
    "bmp": bmp_claiming(2**30, 2**20),
    "jpeg": jpeg_claiming(65500, 65500),
    "tiff": tiff_claiming(2**20, 2**20),
    "tiff huge": tiff_claiming(2**32 - 1, 2**32 - 1),
    "jxl": b"\xff\x0a" + (0b0 | 3 << 1 | (2**20 - 1) << 3 | 1 << 33).to_bytes(16, "little"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_by_their_header(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "jxl":
        pytest.importorskip("pillow_jxl")
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    tracemalloc.start()
    with pytest.raises(UnsupportedInput, match=r"pixels are more than the limit|a side may have at most"):
        read_picture(BOMBS[name])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**21


@pytest.mark.parametrize("format", FORMATS)
def test_max_pixels_holds_for_every_format(format: str, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: A002
    data = a_file(format)
    assert read_picture(data, max_pixels=2000).rgb.shape == (40, 50, 3)
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    with pytest.raises(UnsupportedInput, match="50 x 40 pixels are more than the limit of 1999"):
        read_picture(data, max_pixels=1999)


def test_limits_of_size() -> None:
    check_size(MAX_SIDE, 256)
    for width, height in ((0, 1), (1, 0), (-1, 5), (MAX_SIDE + 1, 1), (1, MAX_SIDE + 1), (2**14, 2**14 + 1)):
        with pytest.raises(UnsupportedInput, match="pixels"):
            check_size(width, height)


def test_more_pixels_than_pillow_likes_are_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our limit holds, not Pillow's, and Pillow's warning does not leave."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1500)
    assert read_picture(a_file("TIFF")).rgb.shape == (40, 50, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read_picture(a_file("PNG")).rgb.shape == (40, 50, 3)
    with pytest.raises(UnsupportedInput, match="more pixels than Pillow allows"):
        read_picture(a_file("TIFF"))


@pytest.mark.parametrize("format", FORMATS)
def test_files_that_are_cut_off_are_refused(format: str) -> None:  # noqa: A002
    data = a_file(format)
    end = len(data) * 9 // 10
    with deaf_stderr():
        for cut in {1, 5, 12, 20, 33, *range(0, end, end // 12), end}:
            with pytest.raises(UnsupportedInput):
                read_picture(data[:cut])


@pytest.mark.parametrize("format", [*FORMATS, "PNG16", "TIFF16"])
def test_damaged_files_give_a_picture_or_one_line(format: str) -> None:  # noqa: A002
    profile: dict[str, Any] = {"icc_profile": make_rgb_icc(*P3_PRIMARIES, icc_srgb_curve())} if format in ("PNG", "JPEG", "TIFF") else {}
    if format == "PNG16":
        data = make_png(np.arange(20 * 20 * 3).reshape(20, 20, 3) * 50)
    elif format == "TIFF16":
        deep = (np.arange(20 * 20 * 3).reshape(20, 20, 3) * 50).astype(np.uint16)
        data = make_tiff(deep, {258: [16] * 3, 262: [2], 277: [3]}, deflate=True)
    else:
        data = a_file(format, **profile)
    rng, said = np.random.default_rng(5), list[str]()
    with deaf_stderr():
        for _ in range(60):
            broken = bytearray(data)
            for at in rng.integers(0, rng.choice([64, 300, len(data)]), 3):
                broken[at % len(data)] = rng.integers(256)
            try:
                read_picture(bytes(broken), keep_icc=True, max_pixels=2**20)
            except TokodecError as error:
                said.append(str(error))
    assert said
    assert all("\n" not in line and 5 < len(line) < 300 for line in said)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "an empty file"),
        (b"hello, world\n", "not a picture"),
        (b"%PDF-1.7", "not a picture"),
        (b"<svg xmlns=''/>", "not a picture"),
        (b"8BPS" + bytes(100), "not a picture"),
        (b"\x89TKD", "not a picture"),
        (b"\0\0\0\x18ftypmp42" + bytes(20), "a video"),
        (b"\x1aE\xdf\xa3" + bytes(20), "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"\xff\xd8\xff\xe0", "damaged"),
        (b"\xff\xd8\xff\xd9", "damaged"),
        (b"GIF89a", "damaged"),
        (b"GIF89a\x01\0\x01\0\0\0\0;", "damaged"),
        (b"II*\0\x08\0\0\0\0\0\0\0\0\0", "damaged"),
        (b"BM", "damaged"),
        (b"RIFF\0\0\0\0WEBP", "damaged"),
        (b"\xff\x0a", "damaged"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(10), "damaged"),
    ],
    ids=repr,
)
def test_what_is_no_picture(data: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "some file"
    path.write_bytes(data)
    with pytest.raises(UnsupportedInput, match=says) as caught:
        read_picture(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF", "TIFF", "HEIF"])
def test_animations_are_refused_with_a_way_out(format: str) -> None:  # noqa: A002
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "green", "blue")]
    data = a_file(format, frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(UnsupportedInput, match=r"extract one first.*tokodec\[video\]"):
        read_picture(data)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF", "TIFF", "HEIF"])
def test_one_frame_is_no_animation(format: str) -> None:  # noqa: A002
    assert read_picture(a_file(format, IMAGE, save_all=True)).rgb.shape == (40, 50, 3)


def test_jxl_headers() -> None:
    """Sizes as the plugin writes them, bare and in a container, and the bit that says animation."""
    for size in ((1, 1), (8, 8), (16, 9), (1920, 1080), (3, 1000), (513, 512)):
        for options in ({}, {"use_container": True}):
            shape = jxl_shape(io.BytesIO(a_file("JXL", Image.new("RGB", size), **options)))
            assert (shape.width, shape.height, shape.animated) == (*size, False)
    bits = 0b1 | 3 << 1 | 1 << 6  # small: 32 high, ratio 1:1
    animated = bits | 0 << 9 | 1 << 10 | 0 << 11 | 0b100 << 14
    assert jxl_shape(io.BytesIO(b"\xff\x0a" + animated.to_bytes(8, "little"))).animated
    with pytest.raises(UnsupportedInput, match=r"an animation \(jxl\)"):
        read_picture(b"\xff\x0a" + animated.to_bytes(8, "little"))


@pytest.mark.parametrize(("format", "plugin"), [("heif", "pillow_heif"), ("jxl", "pillow_jxl")])
def test_missing_extras_say_what_to_install(format: str, plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: A002
    monkeypatch.setitem(sys.modules, plugin, None)
    monkeypatch.setitem(sys.modules, "pillow_jxl.JpegXLImagePlugin", None)
    data = {"heif": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "jxl": b"\xff\x0a" + (0b1 | 3 << 1 | 1 << 6 | 1 << 9).to_bytes(8, "little")}
    with pytest.raises(MissingExtra, match=rf'pip install "tokodec\[{format}\]"'):
        read_picture(data[format])


def test_texts_that_pose_as_metadata_do_no_harm() -> None:
    texts = [(b"tEXt", key + b"\0nonsense") for key in (b"transparency", b"icc_profile", b"gamma", b"interlace")]
    x = np.arange(48).reshape(4, 4, 3)
    assert np.array_equal(read_picture(make_png(x, *texts[:3], bits=8)).rgb, x)
    with pytest.raises(UnsupportedInput):  # Pillow believes the last one
        read_picture(make_png(x, texts[3], (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**23))), bits=8))


def test_no_warning_leaves_and_none_is_lost_afterwards() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with foreign("outer: "):
            with foreign("inner: "):  # as another thread would
                warnings.warn("of Pillow", stacklevel=1)
            warnings.warn("of Pillow", stacklevel=1)
        warnings.warn("still heard", stacklevel=1)
    assert [str(w.message) for w in caught] == ["still heard"]


def test_threads_leave_the_warning_filters_alone() -> None:
    data, before = a_file("PNG"), list(warnings.filters)
    threads = [threading.Thread(target=lambda: [read_picture(data) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


MANY_SAMPLES = make_tiff(np.zeros((1, 1, 1), np.uint8), {258: [8], 262: [1], 277: [99]})
LZW = make_file(IMAGE, "TIFF", compression="tiff_lzw")


@pytest.mark.parametrize(
    ("data", "around"),
    [(MANY_SAMPLES, "contextlib.nullcontext"), (LZW[:200] + bytes(len(LZW) - 200), "deaf_stderr")],
    ids=["log of Pillow", "libtiff"],
)
def test_nothing_is_printed(data: bytes, around: str) -> None:
    """Pillow's log falls back to stderr where no program set it up; libtiff prints there past Python."""
    code = (
        "import contextlib, sys\nfrom tokodec.errors import TokodecError\nfrom tokodec.media.read import read_picture\n"
        "from tokodec.media.foreign import deaf_stderr\n"
        f"try:\n    with {around}():\n        read_picture(sys.stdin.buffer.read())\n"
        "except TokodecError as error:\n    sys.stderr.write(type(error).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert done.stderr == b"UnsupportedInput"


def test_pil_pictures_that_are_damaged() -> None:
    image = Image.open(io.BytesIO(make_file(IMAGE, "JPEG")[:-100]))
    with pytest.raises(UnsupportedInput, match="damaged"):
        from_image(image)
