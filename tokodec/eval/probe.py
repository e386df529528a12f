"""A linear probe: whether classes can still be told from features of a network that was never trained to tell them.

Ridge regression from features (what a torchvision network gives its last layer) to classes, on originals: of each class the first half
of its pictures, in order of their names, teaches, and the rest is looked at. Source: MPQ (Jacobellis et al., DCC 2024) for the rule that
networks see originals in training and decoded pictures in the test.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.errors import InputError
from tokodec.eval.classes import Classifier, network_of, shown
from tokodec.eval.judge import Definitions, Detail, Judge, Pixels8, Values, mean, ratio
from tokodec.eval.labels import Labels
from tokodec.eval.suite import Entry, Suite, load

_RIDGE = 1e-2
"""Times the mean variance of the features."""


class ProbeJudge(Judge[int]):
    """Top-1 of the probe. ``entries``: all pictures of the run, of which it takes those that teach."""

    name = "probe"
    definitions: ClassVar[Definitions] = {
        "probe_count": ("", "pictures looked at"),
        "probe_top1": ("higher", "share of pictures that a linear probe on originals gives their class"),
        "probe_top1_retention": ("higher", "top-1 of the probe divided by that of the originals"),
    }

    def __init__(self, classifier: Classifier, suite: Suite, entries: Sequence[Entry], device: str = "cpu") -> None:
        super().__init__()
        self._classifier, self._suite, self._device = classifier, suite, torch.device(device)
        self._network = _headless(network_of(classifier)).to(self._device)
        self._taught = [entry for entry in entries if entry.labels and entry.labels.teaches]
        self._classes = sorted({entry.labels.category for entry in self._taught if entry.labels and entry.labels.category})
        self._weights: Float[Tensor, "d classes"] | None = None
        if len(self._classes) < 2:
            raise InputError("a probe needs pictures of two classes at least, two of each")

    def identity(self) -> dict[str, Any]:
        return {
            "network": self._classifier.network,
            "weights_sha256": self._classifier.sha256,
            "ridge": _RIDGE,
            "device": self._device.type,
        }

    def scene(self) -> None:
        """It was taught by other pictures."""

    def look(self, original: Pixels8, labels: Labels) -> int:
        if labels.category not in self._classes:
            return -1
        weights = self._fitted()
        return int((_with_one(self._features(original)[None]) @ weights).argmax())

    def compare(self, seen: int, decoded: Pixels8, labels: Labels) -> list[Detail]:
        if labels.category not in self._classes or labels.teaches:
            return []
        place = self._classes.index(labels.category)
        whole = (0, 0, decoded.shape[1], decoded.shape[0])
        return [{"box": whole, "top1": float(self.look(decoded, labels) == place), "top1_original": float(seen == place)}]

    @torch.inference_mode()
    def _features(self, picture: Pixels8) -> Float[Tensor, " d"]:
        return self._network(shown(picture, self._classifier, self._device))[0].double().cpu()

    def _fitted(self) -> Float[Tensor, "d classes"]:
        if self._weights is not None:
            return self._weights
        x = _with_one(torch.stack([self._features(load(entry, self._suite)) for entry in self._taught]))
        names = [entry.labels.category for entry in self._taught if entry.labels]
        y = torch.tensor([[float(name == c) for c in self._classes] for name in names], dtype=torch.float64)
        ridge = _RIDGE * len(x) * x[:, :-1].var(0).mean() * torch.eye(x.shape[1], dtype=torch.float64)
        weights: Tensor = torch.linalg.solve(x.T @ x + ridge, x.T @ y)
        self._weights = weights
        return weights

    @staticmethod
    def pool(details: Sequence[Detail]) -> Values:
        if not details:
            return dict.fromkeys(ProbeJudge.definitions)
        top1 = mean(details, "top1")
        return {
            "probe_count": float(len(details)),
            "probe_top1": top1,
            "probe_top1_retention": ratio(top1, mean(details, "top1_original")),
        }


def _with_one(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d2"]:
    return torch.cat([x, x.new_ones(len(x), 1)], 1)


def _headless(network: nn.Module) -> nn.Module:
    """Without its last linear layer. Raises InputError for a network that has none."""
    found = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not found:
        raise InputError("a probe needs a network whose last layer is linear")
    parent, _, name = found[-1][0].rpartition(".")
    setattr(network.get_submodule(parent), name, nn.Identity())
    return network
