"""Whether a classifier still sees what is in the picture: top-1 beside that of the original. Source: MPQ (Jacobellis et al., DCC 2024).

Classifiers are torchvision's, as they are; their weights are a file that the caller names, since none comes with any package.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from tokodec.checkpoint import read_checkpoint
from tokodec.errors import InputError
from tokodec.eval.judge import Definitions, Detail, Judge, Pixels8, Values, mean, pixels, ratio
from tokodec.eval.labels import Labels
from tokodec.losses.verified import verified

NOT_RUN = "not run: weights missing. Copy a classifier's file of torchvision here and name it: --classifier resnet50=FILE"
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """``network``: as ``torchvision.models`` names it. ``sha256`` of ``file``. Pictures: shorter side ``resize``, centre ``side``."""

    network: str
    file: str
    sha256: str
    resize: int = 256
    side: int = 224


class ClassJudge(Judge[int]):
    """Top-1 over the classes of the network; ``places``: the output that stands for each class of the labels."""

    name = "classes"
    definitions: ClassVar[Definitions] = {
        "class_count": ("", "pictures looked at"),
        "class_top1": ("higher", "share of pictures whose highest output is that of their class"),
        "class_top1_retention": ("higher", "top-1 divided by that of the originals"),
        "class_agree": ("higher", "share of pictures whose highest output is that of the original"),
    }

    def __init__(self, classifier: Classifier, places: Mapping[str, int], device: str = "cpu") -> None:
        super().__init__()
        self._classifier, self._places, self._device = classifier, dict(places), torch.device(device)
        self._network = network_of(classifier).to(self._device)

    def identity(self) -> dict[str, Any]:
        c = self._classifier
        return {
            "network": c.network,
            "weights_sha256": c.sha256,
            "picture": f"bicubic to {c.resize}, centre {c.side}",
            "device": self._device.type,
        }

    def scene(self) -> dict[str, Any]:
        return {"places": self._places}

    @torch.inference_mode()
    def look(self, original: Pixels8, labels: Labels) -> int:
        if labels.category is None:
            return -1
        return int(self._network(shown(original, self._classifier, self._device)).argmax())

    def compare(self, seen: int, decoded: Pixels8, labels: Labels) -> list[Detail]:
        if labels.category is None:
            return []
        if labels.category not in self._places:
            raise InputError(
                f"no output of {self._classifier.network} is known for the class {labels.category!r}: the suite's places name it"
            )
        place, found = self._places[labels.category], self.look(decoded, labels)
        whole = (0, 0, decoded.shape[1], decoded.shape[0])
        return [{"box": whole, "top1": float(found == place), "top1_original": float(seen == place), "agree": float(found == seen)}]

    @staticmethod
    def pool(details: Sequence[Detail]) -> Values:
        if not details:
            return dict.fromkeys(ClassJudge.definitions)
        top1 = mean(details, "top1")
        return {
            "class_count": float(len(details)),
            "class_top1": top1,
            "class_top1_retention": ratio(top1, mean(details, "top1_original")),
            "class_agree": mean(details, "agree"),
        }


def shown(picture: Pixels8, classifier: Classifier, device: torch.device) -> Float[Tensor, "1 3 side side"]:
    """A picture as the network takes it."""
    x = pixels(_centre(picture, classifier.resize, classifier.side), device)
    shift, scale = (x.new_tensor(v)[:, None, None] for v in (_MEAN, _DEVIATION))
    return ((x - shift) / scale)[None]


def _centre(picture: Pixels8, resize: int, side: int) -> Pixels8:
    image = Image.fromarray(picture)
    scale = resize / min(image.size)
    width, height = (max(round(n * scale), side) for n in image.size)
    left, top = (width - side) // 2, (height - side) // 2
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + side, top + side)))


def network_of(classifier: Classifier) -> nn.Module:
    """The classifier, frozen. Raises InputError for a network or a file that is not what is meant."""
    from torchvision import models  # noqa: PLC0415  slow to import

    if classifier.network not in models.list_models(module=models):
        raise InputError(f"torchvision has no classifier {classifier.network!r}")
    path = verified(Path(classifier.file), classifier.sha256)
    network: nn.Module = models.get_model(classifier.network, weights=None)
    try:
        network.load_state_dict(read_checkpoint(path))
    except RuntimeError as error:
        raise InputError(f"{path} does not hold {classifier.network}: {str(error).splitlines()[-1].strip()}") from None
    return network.eval().requires_grad_(requires_grad=False)
