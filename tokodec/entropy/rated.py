"""Who walks in models of many rates (:mod:`tokodec.entropy.roles`)."""

from collections.abc import Mapping

from jaxtyping import Float, Int, Int32, Integer
from torch import Tensor

from tokodec.entropy.density import Densities
from tokodec.entropy.gaussian import Gaussians
from tokodec.entropy.part import Part
from tokodec.entropy.rateddensity import RatedDensity
from tokodec.entropy.roles import Encoder, Learner
from tokodec.entropy.rounding import Rounding


class RatedLearner(Learner):
    """Knows the rate of each item."""

    def __init__(self, latents: Mapping[str, Float[Tensor, "b c h w"]], rounding: Rounding, rate: Int[Tensor, " b"]) -> None:
        super().__init__(latents, rounding)
        self._rate = rate

    def _bits_under(self, density: Densities, values: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        assert isinstance(density, RatedDensity)
        return density.bits(values, self._rate)


class SkippingEncoder(Encoder):
    """Takes zero for all symbols of the first ``skipped`` tables, which are not coded."""

    def __init__(
        self, gaussians: Gaussians, nudge: Int[Tensor, " b"], latents: Mapping[str, Float[Tensor, "b c h w"]], skipped: int
    ) -> None:
        super().__init__(gaussians, nudge, latents)
        self._skipped = skipped

    def _settle(self, name: str, index: Integer[Tensor, "b n c"], mean: Float[Tensor, "*#b #n c"], part: Part) -> Int32[Tensor, "b n c"]:
        values = super()._settle(name, index, mean, part)
        return values.masked_fill_((index < self._skipped).to(values.device), 0)
