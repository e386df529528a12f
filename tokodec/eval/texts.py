"""How much of the writing can still be read: a recogniser on labelled boxes. Sources: TokBench (arXiv 2505.18142), ICDAR 2019 (1-NED)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from tokodec.errors import InputError, MissingExtra
from tokodec.eval.judge import (
    CLASSES,
    Definitions,
    Detail,
    Judge,
    Pixels8,
    Values,
    longer,
    mean,
    mean_of_classes,
    pixels,
    ratio,
    size_class,
)
from tokodec.eval.labels import READINGS, Labels, Word
from tokodec.perception import ppocr
from tokodec.perception.box import Box


class Recogniser(Protocol):
    """Reads the text in boxes of a picture in [0, 1]; ``alphabet``: what it can write."""

    alphabet: frozenset[str]

    def read(self, picture: Float[Tensor, "3 h w"], boxes: Sequence[Box]) -> list[str]:
        """A text a box, in their order. Raises InputError for a box that is not in the picture."""
        ...


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How a recogniser is made, and what tells it from others."""

    make: Callable[[torch.device], Recogniser]
    identity: Callable[[], Mapping[str, Any]]


def _ppocr_identity() -> Mapping[str, Any]:
    return {"margin": ppocr.MARGIN, "batch": ppocr.BATCH, **ppocr.WEIGHTS.identity()}


RECOGNISERS: Mapping[str, Reader] = {"ppocr_v6": Reader(make=ppocr.ppocr, identity=_ppocr_identity)}
"""Recognisers by name. A new one is a row."""

_WHOLE = "share of words read as labelled (case and white space count unless the suite folds them)"
_NED = "mean of 1 - edit distance / longer length"
_OWN = "divided by the same score of the original"


class TextJudge(Judge[list[str]]):
    """T-ACC and T-NED, by relative size, with what is left of the original's own score."""

    name = "text"
    definitions: ClassVar[Definitions] = {
        "text_words": ("", "words looked at"),
        "text_outside": ("", "of them, words with characters that the recogniser cannot write: they count as read wrongly"),
        "text_dropped": ("", "of them, words that are read wrongly on the original, which the clean scores leave out as TokBench does"),
        "text_acc": ("higher", f"T-ACC: {_WHOLE}"),
        "text_ned": ("higher", f"T-NED: {_NED}"),
        "text_acc_retention": ("higher", f"T-ACC {_OWN}"),
        "text_ned_retention": ("higher", f"T-NED {_OWN}"),
        "text_acc_clean": ("higher", "T-ACC over words that are read as labelled on the original"),
        "text_ned_clean": ("higher", "T-NED over words that are read as labelled on the original"),
        "text_acc_tokbench": ("higher", "mean of the clean T-ACC of three classes of relative size"),
        "text_ned_tokbench": ("higher", "mean of the clean T-NED of three classes of relative size"),
        **{f"text_{key}_{size}": ("higher", f"T-{key.upper()} of {size} words") for size in CLASSES for key in ("acc", "ned")},
        **{
            f"text_{key}_{size}_retention": ("higher", f"T-{key.upper()} of {size} words {_OWN}")
            for size in CLASSES
            for key in ("acc", "ned")
        },
    }

    def __init__(self, recogniser: str = "ppocr_v6", device: str = "cpu", side: int | None = None) -> None:
        super().__init__()
        if recogniser not in RECOGNISERS:
            raise InputError(f"there is no recogniser {recogniser!r}; there are {', '.join(RECOGNISERS)}")
        self._name, self._device, self._side = recogniser, torch.device(device), side
        self._recogniser = RECOGNISERS[recogniser].make(self._device)
        self._distance = _edit_distance()

    def identity(self) -> dict[str, Any]:
        return {"network": self._name, **RECOGNISERS[self._name].identity(), "device": self._device.type}

    def scene(self) -> dict[str, Any]:
        return {"side": self._side}

    def look(self, original: Pixels8, labels: Labels) -> list[str]:
        return self._recogniser.read(pixels(original, self._device), [w.box for w in labels.words]) if labels.words else []

    def compare(self, seen: list[str], decoded: Pixels8, labels: Labels) -> list[Detail]:
        side = self._side or max(decoded.shape[:2])
        texts = self.look(decoded, labels)
        given = zip(labels.words, texts, seen, strict=True)
        return [self._word(word, read, first, labels.reading, max(decoded.shape[:2]), side) for word, read, first in given]

    def _word(self, word: Word, read: str, first: str, reading: str, extent: int, side: int) -> Detail:
        fold = READINGS[reading]
        label = fold(word.text)
        size = word.ratio if word.ratio is not None else longer(word.box) / (len(word.text) * extent)
        return {
            "box": word.box,
            "text": word.text,
            "read": read,
            "read_original": first,
            "size": size_class("text", size, side),
            "outside": not self._recogniser.alphabet.issuperset(label),
            "acc": float(fold(read) == label),
            "acc_original": float(fold(first) == label),
            "ned": self._alike(fold(read), label),
            "ned_original": self._alike(fold(first), label),
        }

    def _alike(self, a: str, b: str) -> float:
        return 1 - self._distance(a, b) / max(len(a), len(b), 1)

    @staticmethod
    def pool(details: Sequence[Detail]) -> Values:
        if not details:
            return dict.fromkeys(TextJudge.definitions)
        clean = [d for d in details if d["acc_original"]]
        values: Values = {
            "text_words": float(len(details)),
            "text_outside": float(sum(d["outside"] for d in details)),
            "text_dropped": float(len(details) - len(clean)),
        }
        for key in ("acc", "ned"):
            values |= {f"text_{key}": mean(details, key), f"text_{key}_clean": mean(clean, key)}
            values[f"text_{key}_retention"] = ratio(mean(details, key), mean(details, f"{key}_original"))
            for size in CLASSES:
                of = [d for d in details if d["size"] == size]
                values[f"text_{key}_{size}"] = mean(of, key)
                values[f"text_{key}_{size}_retention"] = ratio(mean(of, key), mean(of, f"{key}_original"))
            by_size = [mean([d for d in clean if d["size"] == size], key) for size in CLASSES]
            values[f"text_{key}_tokbench"] = mean_of_classes(by_size)
        return values


def _edit_distance() -> Callable[[str, str], int]:
    try:
        from rapidfuzz.distance import Levenshtein  # noqa: PLC0415  an extra
    except ImportError:
        raise MissingExtra("reading text", "eval") from None
    return Levenshtein.distance
