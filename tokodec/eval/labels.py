"""What is known of pictures: words and where they stand, faces, classes. Read from JSON; the page is ``docs/labels.md``.

Two layouts are told apart by what the file holds: an object with ``files`` is ours, a list is TokBench's.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokodec.errors import InputError
from tokodec.perception.box import Box


def _exact(text: str) -> str:
    return text.strip()


def _folded(text: str) -> str:
    return "".join(text.casefold().split())


READINGS: Mapping[str, Callable[[str], str]] = {"exact": _exact, "folded": _folded}
"""What becomes of a label and of what is read before they are compared: ``folded`` without case and white space."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """A text in a box. ``ratio``: its relative size, where a data set says it; else it is computed."""

    text: str
    box: Box
    ratio: float | None = None


@dataclass(frozen=True, kw_only=True)
class Face:
    """``landmarks``: five points, or the two centres of the eyes, or none, which are then looked for."""

    box: Box
    landmarks: tuple[tuple[float, float], ...] = ()
    ratio: float | None = None


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Of one picture. ``reading``: a row of READINGS. ``look``: no face is labelled, and the largest is to be looked for.

    ``teaches``: the picture teaches a probe, which is not asked about it.
    """

    words: tuple[Word, ...] = ()
    faces: tuple[Face, ...] = ()
    category: str | None = None
    reading: str = "exact"
    look: bool = False
    teaches: bool = False


@dataclass(frozen=True, kw_only=True)
class LabelFile:
    """A file of labels beside a suite's pictures: names in it are relative to its folder. ``reading`` and ``look`` of all its pictures."""

    file: str
    reading: str = "exact"
    look: bool = False


def read_labels(path: Path, source: LabelFile) -> dict[str, Labels]:
    """Labels by name of picture. Raises InputError, naming the picture and what is wrong."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} holds no labels: {error}") from None
    if isinstance(content, Mapping) and isinstance(content.get("files"), Sequence):
        entries, read = content["files"], _ours
    elif isinstance(content, Sequence) and not isinstance(content, str):
        entries, read = content, _tokbench
    else:
        raise InputError(f'{path} holds no labels: it is neither an object with "files" nor a list as TokBench has')
    if isinstance(content, Mapping):
        source = replace(source, reading=content.get("reading", source.reading), look=bool(content.get("look", source.look)))
    if source.reading not in READINGS:
        raise InputError(f"{path}: there is no reading {source.reading!r}; there are {', '.join(READINGS)}")
    found: dict[str, Labels] = {}
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise InputError(f"{path}: entry {number} is no object")
        try:
            name, labels = read(entry, source)
        except (KeyError, TypeError, ValueError) as error:
            where = entry.get("file") or entry.get("file_name") or entry.get("image_name") or f"entry {number}"
            what = f"lacks {error}" if isinstance(error, KeyError) else error
            raise InputError(f"{path}: {where}: {what}; see docs/labels.md") from None
        if name in found:
            raise InputError(f"{path}: {name} is labelled twice")
        found[name] = labels
    return found


def _ours(entry: Mapping[str, Any], source: LabelFile) -> tuple[str, Labels]:
    faces = tuple(_face(_known(f, "box", "landmarks", "ratio"), f.get("landmarks", ())) for f in entry.get("faces", ()))
    return str(entry["file"]), Labels(
        words=tuple(_word(_known(w, "text", "box", "ratio", "px"), w["text"]) for w in entry.get("words", ())),
        faces=faces,
        category=None if entry.get("class") is None else str(entry["class"]),
        reading=source.reading,
        look=source.look and not faces,
    )


def _tokbench(entry: Mapping[str, Any], source: LabelFile) -> tuple[str, Labels]:
    """``annotations`` of words, or ``faces`` with five ``kps``, of which the first two are the centres of the eyes."""
    words = tuple(_word({"box": w["bbox"], "ratio": w.get("ratio")}, w["rec"]) for w in entry.get("annotations", ()))
    faces = tuple(_face(f, f["kps"][:2]) for f in entry.get("faces", ()))
    name = entry["file_name"] if "file_name" in entry else entry["image_name"]
    return str(name), Labels(words=words, faces=faces, reading=source.reading)


def _known(entry: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    unknown = sorted(set(entry) - set(keys))
    if unknown:
        raise ValueError(f"has {', '.join(unknown)}, which is not known; known are {', '.join(keys)}")
    return entry


def _word(entry: Mapping[str, Any], text: Any) -> Word:
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"the text {text!r} is empty or no string")
    return Word(text=text, box=_box(entry["box"]), ratio=_ratio(entry))


def _face(entry: Mapping[str, Any], points: Sequence[Sequence[float]]) -> Face:
    landmarks = tuple((float(x), float(y)) for x, y in points)
    if len(landmarks) not in (0, 2, 5):
        raise ValueError(f"has {len(landmarks)} landmarks; five or two are known")
    return Face(box=_box(entry["box"]), landmarks=landmarks, ratio=_ratio(entry))


def _ratio(entry: Mapping[str, Any]) -> float | None:
    return None if entry.get("ratio") is None else float(entry["ratio"])


def _box(value: Sequence[float]) -> Box:
    left, top, right, bottom = (float(n) for n in value)
    if not (0 <= left < right and 0 <= top < bottom):
        raise ValueError(f"the box {list(value)} is not [left, top, right, bottom] in pixels")
    return left, top, right, bottom
