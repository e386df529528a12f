"""Suites: which pictures, how they are cut, at which qualities. A TOML file of the room ``eval/``, or a folder of pictures."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tokodec.catalogue import folder
from tokodec.errors import InputError, NoInput
from tokodec.eval.classes import Classifier
from tokodec.eval.frames import FRAMES
from tokodec.eval.labels import LabelFile, Labels, read_labels
from tokodec.media.alpha import parse_alpha_rule
from tokodec.media.formats import INPUT_SUFFIXES
from tokodec.media.read import read_picture
from tokodec.settings import fill, read_toml

QUALITIES = tuple(i / 12 for i in range(13))
_SIDE = 256
_IMAGENET = 1000
"""Classes: their names in order are the outputs of classifiers in order."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A picture of a suite; ``sha256`` of the whole file."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Suite:
    """``pictures``: which files of the data folder; none means all there are. ``qualities``: of models of variable rate.

    ``frame``: what contestants are given of a picture. ``judges``: who looks at it beside the measures of all pictures, a name, or
    ``name:network``; ``labels``: what they need to know; ``classifier`` and ``places`` (its output for each class): of ``classes``.
    """

    name: str
    version: int = 1
    note: str = ""
    crop: str = "native"
    qualities: tuple[float, ...] = QUALITIES
    pictures: tuple[File, ...] = ()
    frame: str = "native"
    judges: tuple[str, ...] = ()
    labels: tuple[LabelFile, ...] = ()
    classifier: Classifier | None = None
    places: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A picture that is there: where, the hash of its bytes, and what is known of it."""

    path: Path
    name: str
    sha256: str
    labels: Labels | None = None


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


def find_suite(named: str, data: Path | None, labels: Path | None = None) -> tuple[Suite, list[Entry]]:
    """The suite of that name, path or folder, and its pictures in order of their names.

    ``data``: the folder that holds a suite's pictures; with it, ``named`` is a suite even if there is a folder of that name.
    ``labels``: a file with what is known of the pictures of a folder; else its ``labels.json``, if it has one. Raises InputError and
    NoInput saying what is missing.
    """
    path = Path(named)
    if data is None and path.is_dir():
        return _of_folder(path, labels)
    suite = _read(path, named)
    if data is None:
        raise InputError(f"the suite {suite.name} needs its pictures: --data FOLDER")
    entries = _those(suite.pictures, data) if suite.pictures else _all(data)
    known: dict[str, Labels] = {}
    for source in (LabelFile(file=str(labels.resolve())),) if labels else suite.labels:
        place = "" if labels else f"{Path(source.file).parent.as_posix()}/"
        known |= {f"{place}{name}".removeprefix("./"): found for name, found in read_labels(data / source.file, source).items()}
    return suite, _halved(_labelled(entries, known) if known else entries)


def _of_folder(path: Path, labels: Path | None) -> tuple[Suite, list[Entry]]:
    """A folder of pictures, with the judges that its labels call for."""
    suite, entries = Suite(name=path.resolve().name), _all(path)
    file = labels or path / "labels.json"
    if labels or file.is_file():
        entries = _labelled(entries, read_labels(file, LabelFile(file=file.name)))
    every = [entry.labels for entry in entries if entry.labels]
    text, faces = any(e.words for e in every), any(e.faces or e.look for e in every)
    wanted = {"text": text, "faces": faces, "classes": any(e.category for e in every)}
    classes = sorted({e.category for e in every if e.category})
    places = {name: i for i, name in enumerate(classes)} if len(classes) == _IMAGENET else {}
    return replace(suite, judges=tuple(name for name, there in wanted.items() if there), places=places), _halved(entries)


def _halved(entries: Sequence[Entry]) -> list[Entry]:
    """Of each class the first half of the pictures teaches a probe."""
    count = Counter(entry.labels.category for entry in entries if entry.labels)
    seen, found = Counter[str | None](), list[Entry]()
    for entry in entries:
        labels = entry.labels
        if labels and labels.category:
            seen[labels.category] += 1
            labels = replace(labels, teaches=seen[labels.category] <= count[labels.category] // 2)
        found.append(replace(entry, labels=labels))
    return found


def _labelled(entries: Sequence[Entry], known: Mapping[str, Labels]) -> list[Entry]:
    found = [replace(entry, labels=known.get(entry.name, entry.labels)) for entry in entries]
    if known.keys().isdisjoint(entry.name for entry in entries):
        raise InputError(f"the labels are of {', '.join(sorted(known)[:3])} ..., and none of those is among the pictures")
    return found


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
    if suite.frame not in FRAMES:
        raise InputError(f"{path}: there is no frame {suite.frame!r}; there are {', '.join(FRAMES)}")
    if suite.labels and suite.crop != "native":
        raise InputError(f"{path}: labels are of whole pictures, which the crop rule {suite.crop!r} cuts")
    return suite


def _all(folder: Path) -> list[Entry]:
    """Those in a folder; where there are none, those in its folders, which are classes then, as ImageNet's validation part is kept."""
    if paths := _pictures(folder):
        return _entries(paths)
    classes = sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    found = [
        replace(entry, name=f"{of.name}/{entry.name}", labels=Labels(category=of.name))
        for of in classes
        for entry in _entries(_pictures(of))
    ]
    if not found:
        raise NoInput(f"no pictures in {folder}")
    return found


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in INPUT_SUFFIXES) if folder.is_dir() else []


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
    return [replace(entry, name=file.name) for file, entry in zip(files, entries, strict=True)]


def hash_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entries(paths: Sequence[Path]) -> list[Entry]:
    """Several are read at a time: hashing leaves the interpreter to others."""
    with ThreadPoolExecutor() as pool:
        return [Entry(path=path, name=path.name, sha256=found) for path, found in zip(paths, pool.map(hash_of, paths), strict=True)]
