"""Who judges in a run, by name."""

from collections.abc import Callable, Mapping
from typing import Any

from tokodec.errors import InputError
from tokodec.eval.classes import ClassJudge
from tokodec.eval.faces import FaceJudge
from tokodec.eval.frames import FRAMES
from tokodec.eval.judge import Judge, Panel, Pool
from tokodec.eval.suite import Suite
from tokodec.eval.texts import TextJudge


def _text(suite: Suite, network: str, device: str) -> Judge[Any] | None:
    return TextJudge(network or "ppocr_v6", device, FRAMES[suite.frame].side)


def _faces(suite: Suite, network: str, device: str) -> Judge[Any] | None:
    return FaceJudge(network or "dlib_resnet", device, FRAMES[suite.frame].side)


def _classes(suite: Suite, _: str, device: str) -> Judge[Any] | None:
    return ClassJudge(suite.classifier, suite.places, device) if suite.classifier else None


JUDGES: Mapping[str, Callable[[Suite, str, str], Judge[Any] | None]] = {"text": _text, "faces": _faces, "classes": _classes}
"""How a judge is made of a suite, the name of its network, and a device; None where it has no weights: see ``unable``."""
POOLS: Mapping[str, Pool] = {"text": TextJudge.pool, "faces": FaceJudge.pool, "classes": ClassJudge.pool}


def panel_of(suite: Suite, device: str) -> Panel:
    """The judges of a suite. Raises InputError for a name that nobody has, MissingExtra."""
    judges: list[Judge[Any]] = []
    for spec in suite.judges:
        name, _, network = spec.partition(":")
        if name not in JUDGES:
            raise InputError(f"there is no judge {name!r}; there are {', '.join(JUDGES)}")
        judge = JUDGES[name](suite, network, device)
        judges += [judge] if judge else []
    return Panel(judges)


def unable(suite: Suite) -> list[str]:
    """Judges of a suite that have no weights: they do not judge, and nothing stands in their place."""
    return ["classes"] if "classes" in suite.judges and suite.classifier is None else []
