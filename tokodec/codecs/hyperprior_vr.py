"""A variable-rate mean-scale hyperprior: y is expected from z alone, so all of it is coded at once.

``h_s`` sees values without gain, so its predictions hold for all rates: the mean is multiplied by the gain of y, the scale
likewise and by a learned factor.

Source: Minnen et al., "Joint autoregressive and hierarchical priors for learned image compression", NeurIPS 2018.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from tokodec.api import Symbols
from tokodec.codecs.variable_rate import SIDE, Expected, VariableRateCodec, Widths
from tokodec.entropy.coder import Hand
from tokodec.entropy.hyper import Parameters
from tokodec.entry import Entry, Weights
from tokodec.nn.lowres import LowResAnalysis, LowResSynthesis


@dataclass(frozen=True, kw_only=True)
class HyperpriorVRConfig(Widths):
    """Widths, and numbers of blocks at 1/8 and at 1/16."""

    blocks8: int = 2
    blocks16: int = 2


class HyperpriorVR(VariableRateCodec):
    """See the module's docstring."""

    def __init__(self, config: HyperpriorVRConfig) -> None:
        c = config
        shape = (c.N, c.W, c.M, c.blocks8, c.blocks16)
        super().__init__(LowResAnalysis(*shape), LowResSynthesis(*shape), c)
        self.config = config

    def expect(
        self, features: Float[Tensor, "b f h w"], y: Float[Tensor, "b m h w"], q: Float[Tensor, " b"], gain: Float[Tensor, "b m 1 1"]
    ) -> Expected:
        mean, scale = self.h_s.layers[-1](features).float().chunk(2, 1)
        return Expected(mean=mean, scale=scale, y_hat=self.rounding.for_decoder((y - mean) * gain) / gain + mean)

    def groups(self, y: Float[Tensor, "b m h w"]) -> dict[str, Float[Tensor, "..."]]:
        return {"y": y}

    def walk(self, hand: Hand, level: Int[Tensor, " b"], size: tuple[int, ...], context: Mapping[str, Tensor]) -> Symbols:
        grid, grid_z = self.grids(size)
        z = hand.take(SIDE, self.exact.index_z(level, grid_z), 0.0)
        p = Parameters(**context) if context else self.exact.predict(z, level, grid, hand.expect)
        y = hand.take("y", p.index, p.mean)
        return Symbols(values={SIDE: z, "y": y}, level=level, size=size, context={"mean": p.mean, "index": p.index})

    def y_hat(self, symbols: Symbols) -> Float[Tensor, "b m h w"]:
        return (symbols.values["y"] + symbols.context["mean"]) / self.exact.gain(symbols.level)


MODELS = {
    "hyperprior_vr.v3": Entry(
        build=HyperpriorVR,
        config=HyperpriorVRConfig(),
        family="hyperprior_vr",
        variable_rate=True,
    ),
    "hyperprior_vr_test": Entry(
        build=HyperpriorVR,
        config=HyperpriorVRConfig(N=8, W=12, M=24, H=8, Z=8, blocks8=1, blocks16=1, rows=4),
        family="hyperprior_vr",
        weights=Weights(file="hyperprior_vr_test.safetensors"),
        variable_rate=True,
    ),
}
