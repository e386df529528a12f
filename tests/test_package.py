"""What is installed: wheel and sdist hold the catalogue, and the package finds it from any folder."""

import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("tokenizers", "codecs", "eval", "pretrained")
CATALOGUE = {
    path.relative_to(ROOT).as_posix(): path.read_bytes()
    for room in ROOMS
    for path in sorted((ROOT / room).rglob("*"))
    if path.suffix in {".md", ".toml", ".json", ".safetensors"}
}
PROBE = """
import json, sys
import tokodec
from tokodec import catalogue
files = {room: sorted(p.name for p in catalogue.folder(room).rglob("*") if p.is_file()) for room in catalogue.ROOMS}
print(json.dumps({"where": tokodec.__file__, "rooms": files, "models": tokodec.list_models(), "ledger": sorted(catalogue.ledger())}))
"""


def build(target: str, source: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    subprocess.run(command, cwd=source, capture_output=True, check=True, timeout=60)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the sdist unpacks to."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # Python before 3.11.4 has none
        tar.extractall(folder)
    (unpacked,) = folder.iterdir()
    return unpacked


def members(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def test_wheel_holds_the_catalogue(wheel: Path) -> None:
    held = members(wheel)
    assert CATALOGUE.items() <= {name.removeprefix("tokodec/_catalogue/"): data for name, data in held.items()}.items()
    assert {"tokodec/py.typed", "tokodec/zoo.json"} <= held.keys()
    assert {name.split("/")[0] for name in held} == {"tokodec"}


def test_sdist_builds_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    assert members(build("wheel", sdist, tmp_path)) == members(wheel)


def test_installed_package_finds_its_rooms_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    probe = f"import sys; sys.path.insert(0, {str(site)!r})\n{PROBE}"
    run = subprocess.run([sys.executable, "-P", "-c", probe], cwd=elsewhere, capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(run.stdout)
    assert Path(found["where"]).is_relative_to(site)
    assert {f"{room}/{name}" for room, names in found["rooms"].items() for name in names} >= {
        f"{Path(n).parts[0]}/{Path(n).name}" for n in CATALOGUE
    }
    assert found["models"]
    assert sorted(found["ledger"]) == sorted(Path(name).name for name in CATALOGUE if name.endswith(".safetensors"))
