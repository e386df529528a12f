"""Every format out: size, samples and alpha come back; what a format cannot hold is refused; all of a file or nothing."""

import io
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tokodec.atomic import write_whole
from tokodec.errors import InputError, MissingExtra, TokodecError
from tokodec.media.picture import Picture
from tokodec.media.read import read_picture
from tokodec.media.write import OUTPUT_FORMATS, encode_picture, format_of, to_pil, write_picture

WITH_ALPHA = ["png", "webp", "avif", "tiff", "heif", "jxl"]
LOSSLESS = ["png", "webp", "tiff", "bmp", "jxl"]
PLUGINS = {"heif": "pillow_heif", "jxl": "pillow_jxl"}


def a_picture(height: int, width: int, *, gray: bool = False, alpha: bool = False) -> Picture:
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([x * 3 + y, y * 4, x + y], axis=-1).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    return Picture(rgb=np.repeat(rgb[..., :1], 3, axis=2) if gray else rgb, alpha=noise if alpha else None, gray=gray)


def needs(format: str) -> None:  # noqa: A002
    pytest.importorskip(PLUGINS.get(format, "PIL"))


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (13, 17), (64, 48)])
@pytest.mark.parametrize("format", OUTPUT_FORMATS)
def test_pictures_come_back(format: str, size: tuple[int, int], gray: bool, alpha: bool) -> None:  # noqa: A002
    needs(format)
    picture = a_picture(*size, gray=gray, alpha=alpha)
    if alpha and format not in WITH_ALPHA:
        with pytest.raises(InputError, match="choose png or webp, or flatten"):
            encode_picture(picture, format)
        return
    again = read_picture(encode_picture(picture, format))
    assert again.rgb.shape == picture.rgb.shape
    if format in LOSSLESS:
        assert np.array_equal(again.rgb, picture.rgb)
    else:
        assert np.abs(again.rgb.astype(int) - picture.rgb).mean() < 4
    if picture.alpha is None:
        assert again.alpha is None
    else:
        assert again.alpha is not None
        assert np.array_equal(again.alpha, picture.alpha)


@pytest.mark.parametrize("format", OUTPUT_FORMATS)
def test_thin_pictures_come_back(format: str) -> None:  # noqa: A002
    needs(format)
    for size in ((1, 3000), (3000, 2)):
        assert read_picture(encode_picture(a_picture(*size), format)).rgb.shape[:2] == size


@pytest.mark.parametrize(("gray", "alpha", "mode"), [(0, 0, "RGB"), (0, 1, "RGBA"), (1, 0, "L"), (1, 1, "LA")])
def test_modes_of_pil(gray: bool, alpha: bool, mode: str) -> None:
    picture = a_picture(9, 7, gray=bool(gray), alpha=bool(alpha))
    image = to_pil(picture)
    assert image.mode == mode
    assert image.size == (7, 9)
    assert np.array_equal(np.asarray(image.convert("RGBA"))[..., :3], picture.rgb)
    assert "icc_profile" not in image.info


def test_gray_is_the_rounded_mean_of_the_channels() -> None:
    rgb = np.array([[[1, 1, 2], [1, 2, 2], [255, 255, 255], [0, 0, 1], [0, 0, 0]]], np.uint8)
    assert np.asarray(to_pil(Picture(rgb=rgb, gray=True))).tolist() == [[1, 2, 255, 0, 0]]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.png", "png"), ("a.JPG", "jpeg"), ("a.jpeg", "jpeg"), ("b.webp", "webp"), ("a.tif", "tiff"), ("x.heic", "heif"), ("x.jxl", "jxl")],
)
def test_suffixes(name: str, kind: str) -> None:
    assert format_of(Path(name)) == kind


@pytest.mark.parametrize("name", ["a", "a.gif", "a.tkd", ".png", "png"])
def test_other_suffixes(name: str) -> None:
    with pytest.raises(InputError, match="no picture format"):
        format_of(Path(name))


def test_unknown_formats() -> None:
    for name in ("gif", "", "PNG"):
        with pytest.raises(InputError, match="choose one of png"):
            encode_picture(a_picture(2, 2), name)
    with pytest.raises(InputError, match="choose one of png"):
        write_picture(a_picture(2, 2), io.BytesIO())


@pytest.mark.parametrize(("format", "size"), [("webp", (1, 16384)), ("avif", (1, 32769)), ("heif", (1, 16384)), ("jpeg", (65501, 1))])
def test_sizes_that_a_format_cannot_hold(format: str, size: tuple[int, int]) -> None:  # noqa: A002
    with pytest.raises(InputError, match="pixels a side"):
        encode_picture(a_picture(*size), format)


def test_what_an_encoder_cannot_do_is_one_line() -> None:
    pytest.importorskip("pillow_heif")
    with pytest.raises(TokodecError, match="heif: cannot hold this picture, choose png: "):
        encode_picture(a_picture(2, 9000), "heif")


@pytest.mark.parametrize(("format", "plugin"), list(PLUGINS.items()))
def test_missing_extras_say_what_to_install(format: str, plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: A002
    monkeypatch.setitem(sys.modules, plugin, None)
    with pytest.raises(MissingExtra, match=rf'pip install "tokodec\[{format}\]"'):
        encode_picture(a_picture(2, 2), format)


class TestFiles:
    def test_the_suffix_or_the_format_decides(self, tmp_path: Path) -> None:
        for target, format, magic in (  # noqa: A001
            (tmp_path / "a.png", None, b"\x89PNG"),
            (tmp_path / "a.png", "jpeg", b"\xff\xd8"),
            (str(tmp_path / "b.bmp"), None, b"BM"),
        ):
            write_picture(a_picture(5, 4), target, format)
            assert Path(target).read_bytes().startswith(magic)

    def test_streams_need_not_seek(self) -> None:
        read_end, write_end = os.pipe()
        with open(write_end, "wb") as stream:  # noqa: PTH123
            write_picture(a_picture(5, 4), stream, "tiff")
        with open(read_end, "rb") as stream:  # noqa: PTH123
            assert np.array_equal(read_picture(stream).rgb, a_picture(5, 4).rgb)

    def test_a_picture_that_cannot_be_written_leaves_the_old_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jpg"
        path.write_bytes(b"old")
        with pytest.raises(InputError):
            write_picture(a_picture(5, 4, alpha=True), path)
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_write_that_fails_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(TokodecError, match="cannot write: No space left"):
            write_whole(tmp_path / "a.png", b"data")
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(TokodecError, match="cannot write"):
            write_picture(a_picture(5, 4), tmp_path / "absent" / "a.png")

    def test_a_folder_as_the_target(self, tmp_path: Path) -> None:
        with pytest.raises(TokodecError, match="cannot write"):
            write_picture(a_picture(5, 4), tmp_path, "png")

    @pytest.mark.skipif(os.name != "posix", reason="links and permissions of POSIX")
    def test_links_are_followed_and_permissions_are_the_usual_ones(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        link, real = tmp_path / "link.png", tmp_path / "real" / "a.png"
        real.write_bytes(b"old")
        link.symlink_to(real)
        write_whole(link, b"new")
        assert link.is_symlink()
        assert real.read_bytes() == b"new"
        plain = tmp_path / "plain"
        plain.touch()
        assert stat.S_IMODE(real.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)

    @pytest.mark.skipif(os.name != "posix", reason="devices of POSIX")
    def test_devices_are_written_to(self) -> None:
        write_whole(Path(os.devnull), b"data")
        assert not Path(os.devnull).is_file()


def test_tiffs_are_compressed() -> None:
    assert len(encode_picture(a_picture(64, 64), "tiff")) < 64 * 64
    assert Image.open(io.BytesIO(encode_picture(a_picture(64, 64), "tiff"))).info["compression"] == "tiff_adobe_deflate"
