"""Who judges in a run, by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokodec.errors import InputError
from tokodec.eval.classes import ClassJudge
from tokodec.eval.faces import FaceJudge
from tokodec.eval.frames import FRAMES
from tokodec.eval.judge import Judge, Panel, Pool
from tokodec.eval.probe import ProbeJudge
from tokodec.eval.suite import Entry, Suite
from tokodec.eval.texts import TextJudge
from tokodec.eval.verdicts import Verdicts


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What judges are made of."""

    suite: Suite
    entries: Sequence[Entry]
    device: str


def _text(scene: Scene, network: str) -> Judge[Any] | None:
    return TextJudge(network or "ppocr_v6", scene.device, FRAMES[scene.suite.frame].side)


def _faces(scene: Scene, network: str) -> Judge[Any] | None:
    return FaceJudge(network or "dlib_resnet", scene.device, FRAMES[scene.suite.frame].side)


def _classes(scene: Scene, _: str) -> Judge[Any] | None:
    suite = scene.suite
    return ClassJudge(suite.classifier, suite.places, scene.device) if suite.classifier else None


def _probe(scene: Scene, _: str) -> Judge[Any] | None:
    suite = scene.suite
    return ProbeJudge(suite.classifier, suite, scene.entries, scene.device) if suite.classifier else None


JUDGES: Mapping[str, Callable[[Scene, str], Judge[Any] | None]] = {"text": _text, "faces": _faces, "classes": _classes, "probe": _probe}
"""How a judge is made, of a scene and the name of its network; None where it has no weights: see ``unable``."""
POOLS: Mapping[str, Pool] = {"text": TextJudge.pool, "faces": FaceJudge.pool, "classes": ClassJudge.pool, "probe": ProbeJudge.pool}


def panel_of(suite: Suite, entries: Sequence[Entry], device: str, verdicts: Verdicts | None = None) -> Panel:
    """The judges of a suite, who need not say twice what they said. Raises InputError for a name that nobody has, MissingExtra."""
    judges: list[Judge[Any]] = []
    for spec in suite.judges:
        name, _, network = spec.partition(":")
        if name not in JUDGES:
            raise InputError(f"there is no judge {name!r}; there are {', '.join(JUDGES)}")
        judge = JUDGES[name](Scene(suite=suite, entries=entries, device=device), network)
        judges += [judge] if judge else []
    return Panel(judges, verdicts)


def unable(suite: Suite) -> list[str]:
    """Judges of a suite that have no weights: they do not judge, and nothing stands in their place."""
    return [name for name in ("classes", "probe") if name in suite.judges and suite.classifier is None]
