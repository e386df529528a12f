"""The encoder's choice of symbols: rounding that looks at what a symbol costs."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int, Int32, UInt8
from torch import Tensor

from tokodec.entropy.coder import Hand
from tokodec.entropy.fixed import LEVELS
from tokodec.entropy.tables import BANDS, ScaleTables

_MOST = 1.0
"""No value moves further towards zero than this beyond rounding."""


class Rounder(Hand):
    """Rounds latents, already in quantiser steps, to symbols.

    The latents named ``thrifty`` are rounded towards zero where that saves more bits than the error is worth. A step from
    s to s - 1 adds ``2 (|v| - s) + 1`` to the squared error of v and saves some bits b of its table; it pays when the error
    is below ``thrift * b``. ``thrift`` is the model's, for each band of quality: squared error that a bit is worth.
    Decoders know nothing of it. Source: rate-distortion optimised quantisation, as in every classical video encoder.
    """

    def __init__(
        self, tables: ScaleTables, level: Int[Tensor, " b"], latents: Mapping[str, Float[Tensor, "b c h w"]], *, thrifty: str
    ) -> None:
        self._skip_below = int(tables.skip_below)
        self._latents = latents
        self._thrifty = thrifty
        band = level * BANDS // LEVELS
        savings = torch.from_numpy(tables.savings()).to(level.device, torch.float32)
        self._shift = (0.5 * tables.thrift[band, None, None] * savings[band]).clamp(max=_MOST)  # (b, 2, tables)

    def take(self, name: str, index: UInt8[Tensor, "b c h w"], mean: Float[Tensor, "b c h w"] | float) -> Int32[Tensor, "b c h w"]:
        v = self._latents[name] - mean
        symbols = self._frugal(v, index) if name == self._thrifty else v.round_()
        return symbols.masked_fill_(index < self._skip_below, 0).to(torch.int32)

    def _frugal(self, v: Float[Tensor, "b c h w"], index: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        place = index.long().flatten(1)
        to_zero, to_one = (self._shift[:, i].gather(1, place).view_as(v) for i in range(2))
        magnitude = v.abs()
        shift = torch.where(magnitude < 1.5, to_zero, to_one)
        return (magnitude + 0.5 - shift).floor_().clamp_(min=0).copysign_(v)
