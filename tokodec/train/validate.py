"""Numbers and pictures from the validation part of the shards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from tokodec.api import Codec
from tokodec.data.shards import Sample
from tokodec.media.pixels import to_uint8, to_unit
from tokodec.metrics.psnr import psnr
from tokodec.train.recipe import Recipe

_SIDE = 256
_CALIBRATION_PICTURES = 32


class Validation:
    """Centre crops of the first validation pictures; calibration crops come from the training part."""

    def __init__(self, held: Sequence[Sample], train: Sequence[Sample], recipe: Recipe) -> None:
        self._held = held[: recipe.validation_pictures]
        self._train = train[:: max(1, len(train) // _CALIBRATION_PICTURES)][:_CALIBRATION_PICTURES]
        self._qualities = recipe.validation_qualities

    def prepare(self, model: nn.Module) -> None:
        """Give a codec its exact tables, as its export will."""
        if isinstance(model, Codec):
            model.freeze(_centre(s, model) for s in self._train)

    def finish(self, model: nn.Module) -> None:
        """All that weights need before they are shipped."""
        self.prepare(model)
        if isinstance(model, Codec):
            model.polish(_centre(s, model) for s in self._train)

    def measure(self, model: nn.Module) -> list[dict[str, float]]:
        """For each quality: the mean of every term of the model and of PSNR after rounding to 8 bits."""
        return [self._at(model, quality) for quality in self._qualities]

    @torch.inference_mode()
    def _at(self, model: nn.Module, quality: float) -> dict[str, float]:
        rows: list[dict[str, float]] = []
        for sample in self._held:
            x = _centre(sample, model)
            output = model(x, quality=torch.tensor([quality], device=x.device))
            terms = {name: float(value) for name, value in output.terms.items()}
            rows.append({**terms, "psnr": psnr(to_uint8(output.pixels)[0], to_uint8(x)[0])})
        means = {name: round(float(np.mean([row[name] for row in rows])), 5) for name in rows[0]}
        return {"quality": quality, **means}

    @torch.inference_mode()
    def grid(self, model: nn.Module, path: Path) -> None:
        """Originals on top, one row of reconstructions a quality below."""
        xs = [_centre(s, model) for s in self._held[:6]]
        rows = [np.concatenate([to_uint8(x)[0] for x in xs], 1)]
        for quality in self._qualities:
            outputs = [model(x, quality=torch.tensor([quality], device=x.device)) for x in xs]
            rows += [np.concatenate([to_uint8(output.pixels)[0] for output in outputs], 1)]
        temporary = path.with_suffix(".part.png")
        Image.fromarray(np.concatenate(rows)).save(temporary)
        temporary.replace(path)


def _centre(sample: Sample, model: Any) -> Tensor:
    picture = sample.read()
    top, left = ((n - _SIDE) // 2 for n in picture.shape[:2])
    crop = picture[max(top, 0) :, max(left, 0) :][:_SIDE, :_SIDE]
    return to_unit(np.ascontiguousarray(crop)).to(next(model.parameters()).device)
