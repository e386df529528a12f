"""Decoded pictures as they stand in a page: WebP of a window of each, as good and as large as the budget allows.

The steps of LADDER are tried from the top; a sample of the pictures says what each would take.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image

from tokodec.eval.kept import Key, Pixels8, Store
from tokodec.eval.report.chosen import chosen_pictures, chosen_settings
from tokodec.eval.results import Results

_SAMPLE = 12
_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class Step:
    """``pictures``: at most so many; ``side``: of their windows at most, in pixels; ``quality`` of WebP, lossless if there is none."""

    pictures: int
    side: int
    quality: int | None

    @property
    def words(self) -> str:
        """How pictures are shown."""
        how = "without loss" if self.quality is None else f"through WebP at quality {self.quality}"
        return f"windows of at most {self.side} x {self.side} pixels, {how}"


LADDER = (
    Step(pictures=100, side=2048, quality=None),
    Step(pictures=100, side=1024, quality=95),
    Step(pictures=60, side=768, quality=92),
    Step(pictures=40, side=768, quality=88),
    Step(pictures=30, side=512, quality=88),
    Step(pictures=24, side=512, quality=80),
    Step(pictures=16, side=384, quality=80),
    Step(pictures=12, side=320, quality=75),
    Step(pictures=6, side=256, quality=70),
    Step(pictures=2, side=192, quality=50),
)


@dataclass(frozen=True, kw_only=True)
class Window:
    """What is shown of a picture of ``width`` x ``height`` pixels."""

    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int

    def cut(self, pixels: Pixels8) -> Pixels8:
        """Of a picture of that size."""
        return np.ascontiguousarray(pixels[self.top : self.bottom, self.left : self.right])


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture of a page. ``contestant`` and ``setting``: empty and None of the original. ``webp``: its bytes."""

    picture: str
    contestant: str
    setting: float | None
    webp: bytes


@dataclass(frozen=True, kw_only=True)
class Frames:
    """``windows`` by picture; ``missing``: how many were not kept; ``step``: of the ladder."""

    step: Step
    settings: Mapping[str, Sequence[float | None]]
    windows: Mapping[str, Window]
    frames: Sequence[Frame]
    missing: int


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    picture: str
    contestant: str
    setting: float | None
    key: Key


def frames(results: Results, store: Store, budget: int, told: Callable[[int, int], None]) -> Frames:
    """The first step of the ladder whose pictures take ``budget`` bytes at most, or none at all.

    ``told``: called with how many are done, of how many.
    """
    settings = chosen_settings(results)
    for step in LADDER:
        windows = _windows(results, store, chosen_pictures(results, settings, step.pictures), step.side)
        wanted = list(_wanted(results, settings, windows))
        if _estimate(wanted, windows, store, step) > budget:
            continue
        found = _encoded(wanted, windows, store, step, budget, told)
        if found is not None:
            return Frames(step=step, settings=settings, windows=windows, frames=found, missing=len(wanted) - len(found))
    return Frames(step=LADDER[-1], settings=settings, windows={}, frames=(), missing=0)


def _wanted(results: Results, settings: Mapping[str, Sequence[float | None]], windows: Mapping[str, Window]) -> Iterator[_Wanted]:
    by_name = {c["name"]: c for c in results.contestants}
    failed = {(r["picture"], r["contestant"], r["setting"]) for r in results.failed}
    for picture in windows:
        yield _Wanted(picture=picture, contestant="", setting=None, key=results.original(picture))
        for name, own in settings.items():
            for setting in own:
                if (picture, name, setting) not in failed:
                    yield _Wanted(picture=picture, contestant=name, setting=setting, key=results.key(by_name[name], setting, picture))


def _windows(results: Results, store: Store, pictures: Sequence[str], side: int) -> dict[str, Window]:
    """Of the pictures whose original is kept."""
    found: dict[str, Window] = {}
    boxes = _boxes(results)
    for picture in pictures:
        size = store.size(results.original(picture))
        if size is not None:
            found[picture] = _window(size, boxes.get(picture, ()), side)
    return found


def _boxes(results: Results) -> dict[str, list[Sequence[float]]]:
    """Boxes of text and faces, by picture."""
    found: dict[str, list[Sequence[float]]] = {}
    for row in results.rows:
        for part in (part for parts in (row.get("detail") or {}).values() for part in parts):
            found.setdefault(row["picture"], []).append(part["box"])
    return found


def _window(size: tuple[int, int], boxes: Sequence[Sequence[float]], side: int) -> Window:
    """About the centre of the picture, or of what is labelled in it."""
    width, height = size
    x, y = (width / 2, height / 2) if not boxes else (float(np.mean([(b[i] + b[i + 2]) / 2 for b in boxes])) for i in (0, 1))
    wide, high = min(width, side), min(height, side)
    left, top = (round(min(max(at - part / 2, 0), whole - part)) for at, part, whole in ((x, wide, width), (y, high, height)))
    return Window(left=left, top=top, right=left + wide, bottom=top + high, width=width, height=height)


def _estimate(wanted: Sequence[_Wanted], windows: Mapping[str, Window], store: Store, step: Step) -> float:
    """Bytes that all of them take."""
    sample = [wanted[i] for i in np.linspace(0, len(wanted) - 1, min(_SAMPLE, len(wanted))).astype(int)]
    sizes = [len(frame.webp) for item in sample if (frame := _frame(item, windows, store, step)) is not None]
    return float(np.mean(sizes)) * len(wanted) if sizes else 0.0


def _encoded(
    wanted: Sequence[_Wanted], windows: Mapping[str, Window], store: Store, step: Step, budget: int, told: Callable[[int, int], None]
) -> list[Frame] | None:
    """None as soon as they take more than the budget."""
    found: list[Frame] = []
    size, items = 0, iter(wanted)
    with ThreadPoolExecutor(_AT_ONCE // 2) as pool:  # Pillow leaves the interpreter to others while it compresses
        while batch := list(islice(items, _AT_ONCE)):
            made = [frame for frame in pool.map(lambda item: _frame(item, windows, store, step), batch) if frame is not None]
            found += made
            size += sum(len(frame.webp) for frame in made)
            if size > budget:
                return None
            told(len(found), len(wanted))
    return found


def _frame(item: _Wanted, windows: Mapping[str, Window], store: Store, step: Step) -> Frame | None:
    coded = store.find(item.key)
    if coded is None:
        return None
    buffer = io.BytesIO()
    options: dict[str, Any] = {"lossless": True, "quality": 20} if step.quality is None else {"quality": step.quality}
    Image.fromarray(windows[item.picture].cut(coded.pixels)).save(buffer, "WEBP", method=2, **options)
    return Frame(picture=item.picture, contestant=item.contestant, setting=item.setting, webp=buffer.getvalue())
