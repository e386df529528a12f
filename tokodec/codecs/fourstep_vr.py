"""A variable-rate codec whose latents are coded in four steps: the flagship.

To the hyperprior it adds what is known of y itself. A quarter of y at a time is coded, every channel and every place in each
step (:mod:`tokodec.entropy.quarters`); from the second step on, small nets read the latents and the symbols that are there and
correct means and scales of those to come. All of it is exact in integers after training.

Sources: the quarter schedule of Li et al., "Neural video compression with diverse contexts", CVPR 2023, and of DCVC-RT (CVPR 2025)
and DCVC-UF (CVPR 2026), whose image codecs also work at 1/8 of the size at once. Transforms, gains, integers: our own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokodec.api import Symbols
from tokodec.codecs.variable_rate import SIDE, Batches, Expected, VariableRateCodec, Widths
from tokodec.entropy import quarters
from tokodec.entropy.coder import Hand
from tokodec.entropy.exactcontext import ExactContext, Seen
from tokodec.entropy.fourstep import FourStepContext
from tokodec.entry import Entry, Weights
from tokodec.nn.lowres import STRIDE, LowResAnalysis, LowResSynthesis

_STEPS = range(len(quarters.STEPS))


@dataclass(frozen=True, kw_only=True)
class FourStepVRConfig(Widths):
    """Widths, and numbers of blocks. ``C``, ``D``: outer and inner features of the context."""

    C: int = 192
    D: int = 128
    analysis8: int = 3
    synthesis8: int = 5
    blocks16: int = 2


class FourStepVR(VariableRateCodec):
    """See the module's docstring."""

    stride = STRIDE * quarters.CELL
    bytes_per_pixel = 160

    def __init__(self, config: FourStepVRConfig) -> None:
        c = config
        g_a = LowResAnalysis(c.N, c.W, c.M, c.analysis8, c.blocks16)
        super().__init__(g_a, LowResSynthesis(c.N, c.W, c.M, c.synthesis8, c.blocks16), c)
        self.config = config
        self.context = FourStepContext(c.M, c.H, c.C, c.D, c.rows)
        self.exact_context = ExactContext(self.context, M=c.M, rows=c.rows)

    # --- training

    def expect(
        self, features: Float[Tensor, "b f h w"], y: Float[Tensor, "b m h w"], q: Float[Tensor, " b"], gain: Float[Tensor, "b m 1 1"]
    ) -> Expected:
        return self._expect(features, y, q, gain, [])

    def _expect(
        self,
        features: Float[Tensor, "b f h w"],
        y: Float[Tensor, "b m h w"],
        q: Float[Tensor, " b"],
        gain: Float[Tensor, "b m 1 1"],
        seen: list[Seen],
    ) -> Expected:
        """``seen`` is given what the nets of each step see."""
        prior = self.h_s.layers[-1](features).float()
        known, size, means, scales = (torch.zeros_like(y) for _ in range(4))
        for step in _STEPS:
            mask = quarters.mask(step, y.shape[1], (y.shape[2], y.shape[3]), y.device).to(y.dtype)
            p = prior
            if step:
                inputs = self.context.inputs(known, size, features)
                seen.append(Seen(step=step, known=known, inputs=inputs, quality=q))
                p = prior + self.context(step, inputs, q)
            mean, scale = (part * mask for part in p.chunk(2, 1))
            symbol = self.rounding.for_decoder((y * mask - mean) * gain)
            known = known + (symbol / gain + mean)
            size = size + torch.log2(1 + symbol.detach().abs())
            means, scales = means + mean, scales + scale
        return Expected(mean=means, scale=scales, y_hat=known)

    def freeze_nets(self, pictures: Batches, qualities: Sequence[float]) -> None:
        typical = [self.typical(x, quality) for x in pictures for quality in qualities]
        step = self.exact.freeze(self.h_s, [t.z_hat for t in typical], self.gain_y, self.gain_z, self.scale_y, self.scale_z)
        seen: list[Seen] = []
        for t in typical:
            features = self.h_s.features(t.z_hat)[..., : t.y.shape[2], : t.y.shape[3]]
            self._expect(features, t.y, t.quality, torch.exp2(self.gain_y(t.quality))[..., None, None], seen)
        self.exact_context.freeze(self.context, seen, step)

    def derived(self) -> set[str]:
        names = (name for name, _ in self.named_parameters() if name.startswith(("h_s.", "context.")))
        return set(names) if self.exact.frozen else set()

    def recover(self) -> None:
        self.exact.recover(self.h_s)
        self.exact_context.recover(self.context)

    # --- the codec

    def groups(self, y: Float[Tensor, "b m h w"]) -> dict[str, Float[Tensor, "..."]]:
        return {_name(step): quarters.take(y, step) for step in _STEPS}

    def walk(self, hand: Hand, level: Int[Tensor, " b"], size: tuple[int, ...], context: Mapping[str, Tensor]) -> Symbols:
        values = {SIDE: hand.take(SIDE, self.exact.index_z(level, self.grids(size)[1]), 0.0)}
        if not context:
            return self._predicted(hand, values, level, size)
        for step in _STEPS:
            values[_name(step)] = hand.take(_name(step), quarters.take(context["index"], step), 0.0)
        return Symbols(values=values, level=level, size=size, context=dict(context))

    def _predicted(self, hand: Hand, values: dict[str, Tensor], level: Int[Tensor, " b"], size: tuple[int, ...]) -> Symbols:
        """The walk over y where nothing is known of it yet."""
        grid = self.grids(size)[0]
        prior = self.exact.watched_prior(values[SIDE], level, grid, lambda index: hand.expect(quarters.take(index, 0)))
        gain, log2_gain = self.exact.gain(level), self.exact.gain_y(level)
        means, index = torch.zeros_like(prior.mean), torch.zeros_like(prior.mean, dtype=torch.uint8)
        symbols = torch.zeros_like(index, dtype=torch.int32)
        for step in _STEPS:
            mean, place = prior.mean, prior.place
            if step:
                known = self.exact_context.known(symbols, means, log2_gain)
                inputs = torch.cat([known, self.exact_context.size(symbols), prior.features], 1)
                more = self.exact_context(step, inputs, level)
                mean, place = mean + more.mean, place + more.place
            mean, tables = quarters.take(mean * gain, step), quarters.take(self.exact.index(place, level), step)
            values[_name(step)] = hand.take(_name(step), tables, mean)
            for lattice, part in ((means, mean), (index, tables), (symbols, values[_name(step)])):
                quarters.put(lattice, step, part)
        y_hat = (symbols + means) / gain
        return Symbols(values=values, level=level, size=size, context={"index": index, "y_hat": y_hat})

    def y_hat(self, symbols: Symbols) -> Float[Tensor, "b m h w"]:
        return symbols.context["y_hat"]


def _name(step: int) -> str:
    return f"y{step}"


MODELS = {
    "fourstep_vr.v2": Entry(
        build=FourStepVR,
        config=FourStepVRConfig(),
        family="fourstep_vr",
        weights=Weights(file="fourstep_vr.v2.safetensors"),
        variable_rate=True,
    ),
    "fourstep_vr_test": Entry(
        build=FourStepVR,
        config=FourStepVRConfig(N=8, W=12, M=24, H=8, Z=8, C=12, D=8, analysis8=1, synthesis8=1, blocks16=1, rows=4),
        family="fourstep_vr",
        weights=Weights(file="fourstep_vr_test.safetensors"),
        variable_rate=True,
    ),
}
