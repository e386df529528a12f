"""Suites: which pictures, how they are cut, at which qualities. A TOML file of the room ``eval/``, or a folder of pictures."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tokodec.catalogue import folder
from tokodec.errors import InputError, NoInput
from tokodec.media.alpha import parse_alpha_rule
from tokodec.media.formats import INPUT_SUFFIXES
from tokodec.media.read import read_picture
from tokodec.settings import fill, read_toml

QUALITIES = tuple(i / 12 for i in range(13))
_SIDE = 256


@dataclass(frozen=True, kw_only=True)
class File:
    """A picture of a suite; ``sha256`` of the whole file."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Suite:
    """``pictures``: which files of the data folder; none means all there are. ``qualities``: of models of variable rate."""

    name: str
    version: int = 1
    note: str = ""
    crop: str = "native"
    qualities: tuple[float, ...] = QUALITIES
    pictures: tuple[File, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A picture that is there: where, and the hash of its bytes."""

    path: Path
    name: str
    sha256: str


def _native(picture: Image.Image) -> Image.Image:
    return picture


def _centre256(picture: Image.Image) -> Image.Image:
    """The shorter side brought to 256 by Lanczos, then the centre, its corner rounded down."""
    scale = _SIDE / min(picture.size)
    width, height = (max(round(n * scale), _SIDE) for n in picture.size)
    picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    left, top = (width - _SIDE) // 2, (height - _SIDE) // 2
    return picture.crop((left, top, left + _SIDE, top + _SIDE))


CROPS: Mapping[str, Callable[[Image.Image], Image.Image]] = {"native": _native, "centre256": _centre256}


def find_suite(named: str, data: Path | None) -> tuple[Suite, list[Entry]]:
    """The suite of that name, path or folder, and its pictures in order of their names.

    ``data``: the folder that holds a suite's pictures; with it, ``named`` is a suite even if there is a folder of that name. Raises
    InputError and NoInput saying what is missing.
    """
    path = Path(named)
    if data is None and path.is_dir():
        return Suite(name=path.resolve().name), _all(path)
    suite = _read(path, named)
    if data is None:
        raise InputError(f"the suite {suite.name} needs its pictures: --data FOLDER")
    return suite, _those(suite.pictures, data) if suite.pictures else _all(data)


def load(entry: Entry, suite: Suite) -> UInt8[np.ndarray, "h w 3"]:
    """The picture as it is coded: upright, sRGB, 8 bits, transparency on white, cut by the suite's rule."""
    picture = Image.fromarray(read_picture(entry.path, alpha=parse_alpha_rule("flatten=white")).rgb)
    return np.asarray(CROPS[suite.crop](picture))


def _read(path: Path, named: str) -> Suite:
    if not path.is_file():
        path = folder("eval") / f"{Path(named).stem}.toml"
    if not path.is_file():
        known = sorted(p.stem for p in folder("eval").glob("*.toml"))
        raise InputError(f"{named} is neither a folder of pictures nor a suite; suites are {', '.join(known)}")
    suite = fill(Suite, read_toml(path), str(path))
    if suite.crop not in CROPS:
        raise InputError(f"{path}: there is no crop rule {suite.crop!r}; there are {', '.join(CROPS)}")
    if not suite.qualities or not all(0 <= q <= 1 for q in suite.qualities):
        raise InputError(f"{path}: qualities {suite.qualities} are not numbers of 0 to 1")
    return suite


def _all(folder: Path) -> list[Entry]:
    paths = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in INPUT_SUFFIXES) if folder.is_dir() else []
    if not paths:
        raise NoInput(f"no pictures in {folder}")
    return _entries(paths)


def _those(files: Sequence[File], data: Path) -> list[Entry]:
    missing = [file.name for file in files if not (data / file.name).is_file()]
    if missing:
        raise NoInput(f"{data} lacks {len(missing)} of the suite's {len(files)} pictures, first {missing[0]}")
    entries = _entries([data / file.name for file in files])
    for file, entry in zip(files, entries, strict=True):
        if not entry.sha256.startswith(file.sha256):
            raise InputError(
                f"{entry.path}: is another picture than the suite's (its SHA-256 is {entry.sha256[:16]}, not {file.sha256[:16]})"
            )
    return entries


def hash_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entries(paths: Sequence[Path]) -> list[Entry]:
    """Several are read at a time: hashing leaves the interpreter to others."""
    with ThreadPoolExecutor() as pool:
        return [Entry(path=path, name=path.name, sha256=found) for path, found in zip(paths, pool.map(hash_of, paths), strict=True)]
