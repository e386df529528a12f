"""Codecs of one rate around latents whose probabilities are computed in float64: most of the published ones."""

from abc import abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.api import Output, Pixels
from tokodec.codecs.walked import WalkedCodec
from tokodec.entropy.codingtables import CodingTables
from tokodec.entropy.density import Density
from tokodec.entropy.path import HYPER_STRIDE, HyperPath
from tokodec.nn.pad import padded


class LatentCodec(WalkedCodec):
    """Level: nudges alone."""

    @abstractmethod
    def latents(self, x: Float[Tensor, "b 3 h w"]) -> dict[str, Float[Tensor, "b c h2 w2"]]:
        """The latents by name; sides of ``x`` are multiples of 16."""

    def forward(self, x: Pixels, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        """In training mode with another term, ``quantiles``: how far those of the density are from their place."""
        output = super().forward(x, quality=quality)
        if self.training:
            assert isinstance(self.path.density, Density)
            output.terms["quantiles"] = self.path.density.quantile_loss().expand(len(x))
        return output

    def chosen(self, x: Pixels, quality: float | Float[Tensor, " b"] | None) -> Int[Tensor, " b"]:
        self.refuse(quality)
        return torch.zeros(len(x), dtype=torch.int64, device=x.device)

    def analysed(self, x: Float[Tensor, "b 3 h w"], level: Int[Tensor, " b"]) -> dict[str, Float[Tensor, "b c h2 w2"]]:
        return self.latents(x)

    def synthesised(self, y_hat: Float[Tensor, "b c h w"], level: Int[Tensor, " b"]) -> Float[Tensor, "b 3 h16 w16"]:
        x: Tensor = self.g_s(y_hat)
        return x

    def coding(self, level: int) -> CodingTables:
        return self.tables.coding


class HyperCodec(LatentCodec):
    """With hyper latents z at 1/64 of the picture."""

    def __init__(self, g_a: nn.Module, g_s: nn.Module, h_a: nn.Module, path: HyperPath) -> None:
        super().__init__(g_a, g_s, path)
        self.h_a = h_a

    def latents(self, x: Float[Tensor, "b 3 h w"]) -> dict[str, Float[Tensor, "b c h2 w2"]]:
        y = self.g_a(x)
        return {"z": self.h_a(padded(y, HYPER_STRIDE)), "y": y}
