"""The encoder's choice of symbols: rounding that looks at what a symbol costs."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int, Int32, UInt8
from torch import Tensor

from tokodec.entropy.coder import Hand, flat, shaped
from tokodec.entropy.fixed import LEVELS
from tokodec.entropy.scaletables import BANDS, TABLES, ScaleTables

_MOST = 1.0
"""No value moves further towards zero than this beyond rounding."""


class Rounder(Hand):
    """Rounds latents, already in quantiser steps, to symbols.

    All latents but the ``plain`` ones are rounded towards zero where that saves more bits than the error is worth. A step from
    s to s - 1 adds ``2 (|v| - s) + 1`` to the squared error of v and saves some bits b of its table; it pays when the error
    is below ``thrift * b``. ``thrift`` is the model's, for the middle of each band of quality: squared error that a bit is worth.
    Decoders know nothing of it. Source: rate-distortion optimised quantisation, as in every classical video encoder.
    """

    def __init__(
        self, tables: ScaleTables, level: Int[Tensor, " b"], latents: Mapping[str, Float[Tensor, "b c h w"]], *, plain: str
    ) -> None:
        self._skip_below = int(tables.skip_below)
        self._latents = latents
        self._plain = plain
        savings = torch.from_numpy(np.stack([tables.coding(int(i)).savings for i in level])).to(level.device, torch.float32)
        shift = (0.5 * _thrift(tables.thrift, level)[:, None, None] * savings).clamp(max=_MOST)  # (b, 2, tables)
        shift[..., : self._skip_below] = torch.inf
        self._addend = 0.5 - shift

    def take(self, name: str, index: UInt8[Tensor, "b c h w"], mean: Float[Tensor, "b c h w"] | float) -> Int32[Tensor, "b c h w"]:
        v = self._latents[name] - mean
        symbols = v.round_().masked_fill_(index < self._skip_below, 0) if name == self._plain else self._frugal(v, index)
        return symbols.to(torch.int32)

    def _frugal(self, v: Float[Tensor, "b c h w"], index: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        magnitude = v.abs()
        item = torch.arange(len(v), dtype=torch.int32, device=v.device)[:, None, None, None] * self._addend[0].numel()
        place = item + (index + (magnitude >= 1.5).view(torch.uint8) * TABLES)
        addend = shaped(self._addend.flatten().index_select(0, flat(place)), v)
        return magnitude.add_(addend).floor_().clamp_(min=0).copysign_(v)


def _thrift(bands: Float[Tensor, " bands"], level: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    """Between the middles of bands interpolated: a jump would make a higher quality smaller."""
    place = (level * BANDS / LEVELS - 0.5).clamp(0, BANDS - 1)
    below = place.long().clamp(max=BANDS - 2)
    return torch.lerp(bands[below], bands[below + 1], place - below)
