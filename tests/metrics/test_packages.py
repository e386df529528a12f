"""Measures by packages and programs: their values, and what is said where they are not."""

import io
import shutil
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tokodec.errors import MissingExtra, ModelNotFound
from tokodec.metrics import butteraugli
from tokodec.metrics.similarity import FILTER_MIN_SIDE, VIF_MIN_SIDE, fsim, gmsd, haarpsi, vif
from tokodec.metrics.ssimulacra import SSIMULACRA2_MIN_SIDE, ssimulacra2
from tokodec.metrics.structure import Comparison


def pair(height: int = 48, width: int = 64, quality: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng, y, x = np.random.default_rng(0), np.arange(height)[:, None, None], np.arange(width)[:, None]
    clean = (128 + 60 * np.sin(x / 9 + np.arange(3)) * np.cos(y / 7) + rng.normal(0, 9, (height, width, 3))).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(clean).save(buffer, "JPEG", quality=quality)
    return clean, np.asarray(Image.open(buffer))


@pytest.mark.parametrize(
    ("ours", "theirs", "better"),
    [(haarpsi, "haarpsi", 1), (fsim, "fsim", 1), (gmsd, "gmsd", -1), (vif, "vif_p", 1)],
    ids=["haarpsi", "fsim", "gmsd", "vif"],
)
def test_values_are_those_of_piq(ours: object, theirs: str, better: int) -> None:
    piq = pytest.importorskip("piq")
    assert callable(ours)
    a, b = pair()
    units = [torch.from_numpy(p.copy()).permute(2, 0, 1)[None] / 255 for p in (a, b)]
    assert ours(Comparison(a, b)) == pytest.approx(float(getattr(piq, theirs)(*units)), abs=1e-4)
    values = [ours(Comparison(*pair(quality=q))) for q in (5, 20, 80)]
    assert sorted(values, reverse=better < 0) == values


@pytest.mark.parametrize(
    ("measure", "side"), [(haarpsi, FILTER_MIN_SIDE), (fsim, FILTER_MIN_SIDE), (gmsd, FILTER_MIN_SIDE), (vif, VIF_MIN_SIDE)]
)
def test_the_least_sides_suffice(measure: object, side: int) -> None:
    pytest.importorskip("piq")
    assert callable(measure)
    assert np.isfinite(measure(Comparison(*pair(side, 60))))


def test_ssimulacra2_is_that_of_the_package(tmp_path: Path) -> None:
    package = pytest.importorskip("ssimulacra2")
    a, b = pair()
    for name, picture in (("a", a), ("b", b)):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    assert ssimulacra2(Comparison(a, b)) == pytest.approx(package.compute_ssimulacra2(str(tmp_path / "a.png"), str(tmp_path / "b.png")))
    assert ssimulacra2(Comparison(a, a)) == pytest.approx(100)
    assert ssimulacra2(Comparison(*pair(quality=3))) < ssimulacra2(Comparison(a, b)) < 90
    assert np.isfinite(ssimulacra2(Comparison(*pair(SSIMULACRA2_MIN_SIDE, 9))))


@pytest.mark.parametrize(("package", "measure"), [("piq", gmsd), ("ssimulacra2", ssimulacra2)])
def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch, package: str, measure: object) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert callable(measure)
    with pytest.raises(MissingExtra, match=r'pip install "tokodec\[eval\]"'):
        measure(Comparison(*pair()))


def program(folder: Path, name: str, lines: str) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport sys\n{lines}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


def test_butteraugli_reads_what_the_program_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "butteraugli_main", "print('2.2345678711')\nprint('3-norm: 1.096543')")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert butteraugli.distance("butteraugli_main", Comparison(*pair())) == 2.2345678711
    assert butteraugli.distance_3norm("butteraugli_main", Comparison(*pair())) == 1.096543
    assert len(butteraugli.hash_of("butteraugli_main")) == 64
    program(tmp_path, "butteraugli_main", "sys.exit('no such picture')")
    with pytest.raises(ValueError, match="no such picture"):
        butteraugli.distance("butteraugli_main", Comparison(*pair()))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ModelNotFound, match="no program butteraugli_main in PATH: build libjxl"):
        butteraugli.hash_of("butteraugli_main")


@pytest.mark.skipif(shutil.which("butteraugli") is None, reason="needs Debian's butteraugli")
def test_butteraugli_of_2017_falls_with_quality() -> None:
    values = [butteraugli.distance("butteraugli", Comparison(*pair(quality=q))) for q in (5, 20, 80)]
    assert values[0] > values[1] > values[2] > 0
    assert butteraugli.distance("butteraugli", Comparison(pair()[0], pair()[0])) == 0
