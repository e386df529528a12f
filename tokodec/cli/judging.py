"""Flags of the benchmark that say who judges pictures beside the measures, and what is known of the pictures."""

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from tokodec.cli import talk
from tokodec.errors import InputError

if TYPE_CHECKING:
    from tokodec.eval.classes import Classifier
    from tokodec.eval.suite import Suite


@dataclass(frozen=True, kw_only=True)
class Judging:
    """Judges, labels, a classifier, and what contestants are given of a picture."""

    labels: Annotated[Path | None, Option(metavar="FILE", help="What is known of the pictures; by default labels.json beside them.")] = None
    judges: Annotated[
        str | None, Option(metavar="NAME,...|none", help="text, faces, classes, probe, or text:RECOGNISER; by default those of the suite.")
    ] = None
    classifier: Annotated[
        str | None, Option(metavar="NETWORK=FILE", help="A classifier of torchvision and its weights, for the judge of classes.")
    ] = None
    frame: Annotated[
        str | None, Option(metavar="native|square256|square512|square1024", help="What of a picture is coded: TokBench's settings.")
    ] = None
    judge_device: Annotated[str, Option(metavar="NAME", help="Where judges look: cpu, cuda, cuda:1 ...")] = "cpu"

    def applied(self, suite: "Suite") -> "Suite":
        """The suite with what was asked for; says which of its judges have no weights. Raises InputError."""
        from tokodec.eval.classes import NOT_RUN
        from tokodec.eval.frames import FRAMES
        from tokodec.eval.panel import unable

        if self.judges is not None:
            names = () if self.judges == "none" else tuple(name.strip() for name in self.judges.split(",") if name.strip())
            suite = dataclasses.replace(suite, judges=names)
        if self.frame is not None:
            if self.frame not in FRAMES:
                raise InputError(f"there is no frame {self.frame!r}; there are {', '.join(FRAMES)}")
            suite = dataclasses.replace(suite, frame=self.frame)
        if self.classifier is not None:
            suite = dataclasses.replace(suite, classifier=_classifier(self.classifier))
        for name in unable(suite):
            talk.say(f"{name}: {NOT_RUN}")
        return suite


def _classifier(given: str) -> "Classifier":
    from tokodec.eval.classes import Classifier

    network, _, file = given.partition("=")
    if not file or not Path(file).is_file():
        raise InputError(f"--classifier is NETWORK=FILE with a file that is there, such as resnet50=resnet50.pth, not {given!r}")
    with Path(file).open("rb") as opened:
        return Classifier(network=network, file=file, sha256=hashlib.file_digest(opened, "sha256").hexdigest())
