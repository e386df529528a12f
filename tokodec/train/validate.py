"""Numbers and pictures from the validation part of the shards."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from tokodec.api import Codec, DiscreteTokenizer
from tokodec.data.shards import Sample
from tokodec.errors import InputError
from tokodec.media.pixels import to_uint8, to_unit
from tokodec.metrics.codebook import perplexity
from tokodec.metrics.psnr import psnr

_SIDE = 256
_CALIBRATION_PICTURES = 32


class Validation:
    """Centre crops of the first validation pictures; calibration crops come from the training part."""

    def __init__(self, held: Sequence[Sample], train: Sequence[Sample], pictures: int, qualities: Sequence[float | None]) -> None:
        """``qualities``: at which to measure; None for a model of one rate."""
        if not held or not train:
            raise InputError(f"the shards hold {len(train)} pictures for training and {len(held)} for validation; each part needs some")
        self._held = held[:pictures]
        self._train = train[:: max(1, len(train) // _CALIBRATION_PICTURES)][:_CALIBRATION_PICTURES]
        self._qualities = qualities

    @cached_property
    def _crops(self) -> list[Tensor]:
        return [_centre(s) for s in self._held]

    @cached_property
    def _calibration(self) -> list[Tensor]:
        return [_centre(s) for s in self._train]

    def prepare(self, model: nn.Module) -> None:
        """Give a codec its exact tables, as its export will."""
        if isinstance(model, Codec):
            model.freeze(_on(model, self._calibration))

    def finish(self, model: nn.Module) -> None:
        """All that weights need before they are shipped."""
        self.prepare(model)
        if isinstance(model, Codec):
            model.polish(_on(model, self._calibration))
        if isinstance(model, DiscreteTokenizer):
            model.finish(_on(model, self._calibration))

    def measure(self, model: nn.Module) -> list[dict[str, float | None]]:
        """For each quality: the mean of every term of the model and of PSNR after rounding to 8 bits."""
        return [self._at(model, quality) for quality in self._qualities]

    @torch.inference_mode()
    def _at(self, model: nn.Module, quality: float | None) -> dict[str, float | None]:
        rows: list[dict[str, float]] = []
        ids: list[Tensor] = []
        for x in _on(model, self._crops):
            output = model(x, quality=_asked(quality, x.device))
            terms = {name: float(value) for name, value in output.terms.items()}
            ids += [output.aux["ids"].flatten()] if "ids" in output.aux else []
            rows.append({**terms, "psnr": psnr(to_uint8(output.pixels)[0], to_uint8(x)[0])})
        means = {name: round(float(np.mean([row[name] for row in rows])), 5) for name in rows[0]}
        return {"quality": quality, **means, **(_codes(ids) if ids else {})}

    @torch.inference_mode()
    def grid(self, model: nn.Module, path: Path) -> None:
        """Originals on top, one row of reconstructions a quality below."""
        xs = _on(model, [x for x in self._crops if x.shape == self._crops[0].shape][:6])  # pictures below _SIDE differ in size
        rows = [np.concatenate([to_uint8(x)[0] for x in xs], 1)]
        for quality in self._qualities:
            outputs = [model(x, quality=_asked(quality, x.device)) for x in xs]
            rows += [np.concatenate([to_uint8(output.pixels)[0] for output in outputs], 1)]
        temporary = path.with_suffix(".part.png")
        Image.fromarray(np.concatenate(rows)).save(temporary)
        temporary.replace(path)


def _codes(ids: Sequence[Tensor]) -> dict[str, float]:
    together = torch.cat(list(ids)).cpu().numpy()
    return {"ids": len(together), "codes used": len(np.unique(together)), "perplexity": round(perplexity(together), 1)}


def _asked(quality: float | None, device: torch.device) -> Tensor | None:
    return None if quality is None else torch.tensor([quality], device=device)


def _centre(sample: Sample) -> Tensor:
    picture = sample.read()
    top, left = ((n - _SIDE) // 2 for n in picture.shape[:2])
    return to_unit(np.ascontiguousarray(picture[max(top, 0) :, max(left, 0) :][:_SIDE, :_SIDE]))


def _on(model: nn.Module, pictures: Sequence[Tensor]) -> list[Tensor]:
    device = next(model.parameters()).device
    return [x.to(device) for x in pictures]
