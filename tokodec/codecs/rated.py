"""Codecs of many rates around latents whose probabilities are computed in float64, which leave out what is nearly certain.

A quality chooses one of the rates. What is learned for each of them are factors of features and the densities of z; all else is
shared. Symbols whose scale is that of the first ``skipped`` tables are zero on both sides and not coded.
"""

from abc import abstractmethod
from collections.abc import Mapping

from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.api import Pixels
from tokodec.quality import qualities_of
from tokodec.codecs.walked import WalkedCodec
from tokodec.entropy.codingtables import CodingTables
from tokodec.entropy.path import HYPER_STRIDE, GaussianPath
from tokodec.entropy.rated import RatedLearner, SkippingEncoder
from tokodec.entropy.rateddensity import RatedDensity
from tokodec.entropy.roles import Encoder, Learner
from tokodec.errors import CorruptFile
from tokodec.nn.pad import padded

_BYTE = 256
"""A level is made of bytes: nudges, the rate, how many tables are skipped."""


class RatedCodec(WalkedCodec):
    """``skipped``: how many tables, from the narrowest on, this encoder leaves out; decoders are told in the payload."""

    level_bytes = 3

    def __init__(self, g_a: nn.Module, g_s: nn.Module, h_a: nn.Module, path: GaussianPath, skipped: int) -> None:
        super().__init__(g_a, g_s, path)
        assert isinstance(path.density, RatedDensity)
        self.h_a, self.skipped, self.rates = h_a, skipped, path.density.rates

    @abstractmethod
    def analysis(self, x: Float[Tensor, "b 3 h w"], rate: Int[Tensor, " b"]) -> Float[Tensor, "b c h16 w16"]:
        """y before factors of its own."""

    @abstractmethod
    def synthesis(self, y_hat: Float[Tensor, "b c h w"], rate: Int[Tensor, " b"]) -> Float[Tensor, "b 3 h16 w16"]:
        """The pictures, not clamped."""

    def weighed(self, y: Float[Tensor, "b c h w"], rate: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        """y as it is coded."""
        return y

    def chosen(self, x: Pixels, quality: float | Float[Tensor, " b"] | None) -> Int[Tensor, " b"]:
        q = qualities_of(quality, x).double()
        return ((q * (self.rates - 1)).round().long() + _BYTE * self.skipped) * _BYTE

    def analysed(self, x: Float[Tensor, "b 3 h w"], level: Int[Tensor, " b"]) -> dict[str, Float[Tensor, "b c h2 w2"]]:
        y = self.analysis(x, _rate(level))
        return {"z": self.h_a(padded(y, HYPER_STRIDE)), "y": self.weighed(y, _rate(level))}

    def synthesised(self, y_hat: Float[Tensor, "b c h w"], level: Int[Tensor, " b"]) -> Float[Tensor, "b 3 h16 w16"]:
        return self.synthesis(y_hat, _rate(level))

    def coding(self, level: int) -> CodingTables:
        skipped, rate = divmod(level // _BYTE, _BYTE)
        first, channels = self.path.gaussians.count, self.path.density.channels
        if rate >= self.rates or skipped > first:
            raise CorruptFile(f"there is no rate {rate} of {self.rates}, or no {skipped} of {first} tables to leave out")
        start = first + rate * channels
        return self.tables.some((range(first), range(start, start + channels)), skipped)

    def learner(self, latents: Mapping[str, Float[Tensor, "b c h w"]], level: Int[Tensor, " b"]) -> Learner:
        return RatedLearner(latents, self.rounding, _rate(level))

    def encoder(self, latents: Mapping[str, Float[Tensor, "b c h w"]], level: Int[Tensor, " b"]) -> Encoder:
        return SkippingEncoder(self.path.gaussians, level % _BYTE, latents, self.skipped)


def _rate(level: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
    return level // _BYTE % _BYTE
