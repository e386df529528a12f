"""What a tokenizer predicts of a teacher's features, against what the teacher says.

Sources: Bai et al., "Factorized visual tokenization and generation", 2024 (FQGAN; contrastive, of whole pictures); Peng et al.,
"BEiT v2: masked image modeling with vector-quantized visual tokenizers", 2022 (cosines of places).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tokodec.api import Output, Pixels
from tokodec.errors import InputError
from tokodec.losses.teacher import Teaching, teacher_on


@dataclass(frozen=True, kw_only=True)
class Distillation(Teaching):
    """``prediction``: its name in what the model gives to objectives, such as ``semantic``."""

    prediction: str = "semantic"

    def features(self, x: Pixels, output: Output) -> tuple[Float[Tensor, "b n c"], Float[Tensor, "b m c"]]:
        """The model's and the teacher's, class token first. Raises InputError where they cannot be compared."""
        if self.prediction not in output.aux:
            raise InputError(f"the model predicts no {self.prediction!r}; it predicts {', '.join(output.aux)}")
        ours = output.aux[self.prediction].float()
        if ours.ndim == 4:
            if ours.shape[1] != 1:
                raise InputError("distillation needs crops of one window")
            ours = ours[:, 0]
        # Without the prediction, so that objectives of one teacher share its network.
        teaching = Teaching(teacher=self.teacher, file=self.file, sha256=self.sha256, side=self.side, interpolation=self.interpolation)
        theirs = teacher_on(teaching, x.device)(x, output.aux)
        if ours.shape[2] != theirs.shape[2]:
            raise InputError(f"{self.teacher} has {theirs.shape[2]} features; the model predicts {ours.shape[2]}")
        return ours, theirs


@dataclass(frozen=True, kw_only=True)
class ContrastiveDistillation(Distillation):
    """The cross entropy of finding, by cosine, the teacher's picture among those of the piece of a batch. FQGAN has temperature 1."""

    temperature: float = 1.0

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item; of one picture alone 0."""
        ours, theirs = (F.normalize(found[:, 0], dim=1) for found in self.features(x, output))
        return F.cross_entropy(ours @ theirs.T / self.temperature, torch.arange(len(ours), device=ours.device), reduction="none")


@dataclass(frozen=True, kw_only=True)
class CosineDistillation(Distillation):
    """One minus the cosine, the mean over class token and places; the teacher's places are averaged or repeated to ours."""

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item."""
        ours, theirs = self.features(x, output)
        there = torch.cat([theirs[:, :1], _resized(theirs[:, 1:], ours.shape[1] - 1)], 1)
        return (1 - F.cosine_similarity(ours, there, dim=2)).mean(1)


def _resized(places: Float[Tensor, "b m c"], count: int) -> Float[Tensor, "b n c"]:
    """A square of places as one of another size."""
    old, new = (round(n**0.5) for n in (places.shape[1], count))
    square = places.transpose(1, 2).unflatten(2, (old, old))
    return F.adaptive_avg_pool2d(square, new).flatten(2).transpose(1, 2)
