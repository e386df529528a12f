"""Classical codecs: sizes, identities, programs, and the figures that are known of them."""

import importlib.util
import json
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tokodec.errors import InputError, MissingExtra, ModelNotFound, TokodecError
from tokodec.eval.baselines import BASELINES, FORMATS, Baseline
from tokodec.eval.commands import CommandFormat

SHARED = Path(__file__).parents[3] / "shared"
COMMANDS = [name for name, known in FORMATS.items() if isinstance(known, CommandFormat)]
SLOW = ("avif", "heic", "jxl")


def picture(height: int = 50, width: int = 70) -> np.ndarray:
    rng, y, x = np.random.default_rng(2), np.arange(height)[:, None, None], np.arange(width)[:, None]
    waves = 128 + 50 * np.sin(x / 11 + np.arange(3)) * np.cos(y / 13) + rng.normal(0, 6, (height, width, 3))
    return waves.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", [n for n in BASELINES if not n.startswith(SLOW) or n in FORMATS])
def test_baselines_keep_the_size_and_grow(name: str) -> None:
    try:
        baseline = Baseline(name)
    except (ModelNotFound, MissingExtra) as error:
        pytest.skip(str(error))
    sizes: list[int] = []
    for setting in dict.fromkeys((baseline.settings[0], baseline.settings[-1])):
        data = baseline.encode(picture(), setting)
        assert baseline.decode(data).shape == picture().shape
        sizes.append(len(data))
    assert sizes == sorted(set(sizes)) or name == "jpeg2000_ds4", "at a quarter of 70 x 50 nothing but headers is left"
    identity = json.loads(json.dumps(baseline.identity()))
    assert identity["versions"]
    assert all(identity["versions"].values())


def test_png_gives_back_what_went_in() -> None:
    png = Baseline("png")
    np.testing.assert_array_equal(png.decode(png.encode(picture(), None)), picture())


def test_identities_tell_all_baselines_apart() -> None:
    names = [n for n in BASELINES if BASELINES[n][0] not in COMMANDS]
    names = [n for n in names if importlib.util.find_spec("pillow_heif") or "heic" not in n]
    names = [n for n in names if importlib.util.find_spec("pillow_jxl") or "jxl" not in n]
    assert len({json.dumps(Baseline(n).identity(), sort_keys=True) for n in names}) == len(names)


def program(folder: Path, name: str, lines: str) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport sys, shutil\n{lines}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


def test_a_program_writes_and_its_options_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for mozjpeg's cjpeg that takes its arguments and writes what they say."""
    program(
        tmp_path,
        "cjpeg",
        "if sys.argv[1:] == ['-version']: sys.exit('mozjpeg version 4.1.5 (build 20240101)')\n"
        "from PIL import Image\n"
        "given = dict(zip(sys.argv[1:7:2], sys.argv[2:7:2]))\n"
        "Image.open(sys.argv[-1]).save(given['-outfile'], 'JPEG', quality=int(given['-quality']))",
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    baseline = Baseline("mozjpeg_ds2")
    small, large = (baseline.encode(picture(), q) for q in (5, 90))
    assert len(small) < len(large)
    assert baseline.decode(small).shape == picture().shape
    versions = baseline.identity()["versions"]
    assert versions["cjpeg"] == "mozjpeg version 4.1.5 (build 20240101)"
    assert len(versions["cjpeg sha256"]) == 64
    program(tmp_path, "cjpeg", "sys.exit('libjpeg-turbo version 2.1.5')")
    with pytest.raises(ModelNotFound, match=r"needs the cjpeg of mozjpeg; the one in PATH says 'libjpeg-turbo version 2\.1\.5'"):
        Baseline("mozjpeg")
    with pytest.raises(ValueError, match="cjpeg failed with exit code 1: libjpeg"):
        baseline.encode(picture(), 5)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ModelNotFound, match="needs the program cjpeg in PATH"):
        Baseline("mozjpeg")


@pytest.mark.parametrize(("name", "package", "extra"), [("heic", "pillow_heif", "heif"), ("jxl", "pillow_jxl", "jxl")])
def test_a_missing_plugin_is_told(monkeypatch: pytest.MonkeyPatch, name: str, package: str, extra: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("tokodec.eval.formats.find_spec", lambda n: None if n == package else find(n))
    with pytest.raises(MissingExtra, match=rf'pip install "tokodec\[{extra}\]"'):
        Baseline(name)


def test_an_unknown_baseline_is_told() -> None:
    with pytest.raises(InputError, match="there is no baseline 'bpg'; there are jpeg, "):
        Baseline("bpg")


KNOWN = {
    "jpeg_progressive": "jpeg420",
    "webp": "webp",
    "jpeg2000": "jpeg2000",
    "avif": "avif444_s6",
    "avif_420": "avif420_s6",
    "avif_s4_psnr": "avif444_s4_psnr",
    "heic": "heic444",
    "heic_420": "heic420",
}


@pytest.mark.skipif(not (SHARED / "anchors").is_dir(), reason="needs the anchors and Kodak, which are not part of this repository")
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n.startswith(("avif", "heic")) else n for n in KNOWN])
def test_classical_codecs_on_kodak_are_what_is_known_of_them(name: str) -> None:
    anchors = json.loads((SHARED / "anchors" / "classical_kodak24.json").read_text())
    try:
        baseline = Baseline(name)
    except TokodecError as error:
        pytest.skip(str(error))
    for i in (0, 18):
        original = np.asarray(Image.open(SHARED / "data" / "heldout" / "kodak" / anchors["images"][i]["name"]).convert("RGB"))
        for point in anchors["codecs"][KNOWN[name]]["points"][::5]:
            (row,) = [r for r in point["per_image"] if r["i"] == i]
            assert point["param"] in baseline.settings
            data = baseline.encode(original, point["param"])
            mse = np.mean((baseline.decode(data).astype(float) - original) ** 2)
            assert abs(len(data) / row["bytes"] - 1) < 0.01
            assert abs(10 * np.log10(255**2 / mse) - row["psnr"]) < 0.02
