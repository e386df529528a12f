"""The four-step context in exact integers: the same corrections on every machine (see :mod:`tokodec.entropy.integer`)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor, nn

from tokodec.entropy.fixed import ONE, Exp2, FixedGain, round_log2
from tokodec.entropy.fourstep import KNOWN_UNIT, LATER, SIZE_UNIT, SLOPE, FourStepContext
from tokodec.entropy.hyper import input_step
from tokodec.entropy.integer import ACTIVATION_MAX, INPUT_MAX, RECOVERED_STEP, IntegerChain, IntegerConv, activation, activation_step
from tokodec.entropy.scaletables import STEPS_PER_OCTAVE
from tokodec.nn.gain import Gain

_SIZE_ONE = 12
"""Integer steps of log2(1 + |symbol|) to one."""
_SIZES = 1 << INPUT_MAX // _SIZE_ONE
"""Larger symbols look like the largest of these."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the nets of a step were shown: for ranges of activations. ``inputs`` as :class:`FourStepContext` puts them together."""

    step: int
    known: Float[Tensor, "b m h w"]
    inputs: Float[Tensor, "b i h w"]
    quality: Float[Tensor, " b"]


@dataclass(frozen=True, kw_only=True)
class Correction:
    """Of means, in units of y, and of log2 scales, as places among the tables."""

    mean: Float[Tensor, "b m h w"]
    place: Float[Tensor, "b m h w"]


class ExactContext(nn.Module):
    """Integer nets of a :class:`FourStepContext`; nothing here may be fused or compiled."""

    sizes: Tensor
    step_known: Tensor
    shift_unit: Tensor
    index_unit: Tensor

    def __init__(self, context: FourStepContext, *, M: int, rows: int) -> None:
        super().__init__()
        self.M = M
        width = context.width
        self.enter = nn.ModuleList(IntegerConv(conv) for conv in context.layers)
        self.shift = nn.ModuleList(FixedGain(rows, width) for _ in range(LATER))
        self.body = IntegerChain(context.body)
        self.exp2 = Exp2()
        sizes = [round(_SIZE_ONE * math.log2(1 + n)) for n in range(_SIZES)]
        self.register_buffer("sizes", torch.tensor(sizes, dtype=torch.int32))
        self.register_buffer("step_known", torch.zeros(M, dtype=torch.int32))
        self.register_buffer("shift_unit", torch.ones(width))
        self.register_buffer("index_unit", torch.ones(M))

    def freeze(self, context: FourStepContext, seen: Sequence[Seen], step_hyper: Float[Tensor, " f"]) -> None:
        """Take trained nets. ``step_hyper``: the value of one integer step of each hyper feature."""
        self.step_known.copy_(input_step([s.known for s in seen]))
        steps = self._steps(step_hyper)
        with torch.no_grad():
            samples = [context.entered(s.step, s.inputs, s.quality) for s in seen]
            step = activation_step(samples)
            for exact, conv, fixed, shift in self._entries(context):
                exact.unit.copy_(exact.quantise(conv, steps, ACTIVATION_MAX) / step)
                fixed.rows.copy_(round_log2(shift.log2))
            self.shift_unit.copy_(1 / (ONE * step))
            self.body.quantise(context.body, step, samples, ACTIVATION_MAX)
        self.index_unit.copy_(self.body.last.unit[self.M :] * STEPS_PER_OCTAVE)

    def recover(self, context: FourStepContext) -> None:
        """Make the trained nets from the integer ones, up to rounding."""
        width, device = context.width, self.step_known.device
        hyper = context.layers[0].in_channels - 2 * self.M
        steps = self._steps(torch.full((hyper,), RECOVERED_STEP, device=device))
        for exact, conv, fixed, shift in self._entries(context):
            exact.recover(conv, steps, RECOVERED_STEP)
            shift.log2.data.copy_(fixed.rows * self.shift_unit * RECOVERED_STEP)
        self.body.recover(context.body, torch.full((width,), RECOVERED_STEP, device=device))

    def _steps(self, step_hyper: Float[Tensor, " f"]) -> Float[Tensor, " i"]:
        """What one integer step of each input is worth."""
        known = torch.exp2(self.step_known.to(step_hyper.dtype) / ONE)
        return torch.cat([known / KNOWN_UNIT, torch.full_like(known, 1 / (_SIZE_ONE * SIZE_UNIT)), step_hyper])

    def _entries(self, context: FourStepContext) -> Iterator[tuple[IntegerConv, nn.Conv2d, FixedGain, Gain]]:
        for exact, conv, fixed, shift in zip(self.enter, context.layers, self.shift, context.shifts, strict=True):
            assert isinstance(exact, IntegerConv)
            assert isinstance(fixed, FixedGain)
            yield exact, conv, fixed, shift

    def known(
        self, symbols: Int32[Tensor, "b m h w"], mean: Float[Tensor, "b m h w"], log2_gain: Int[Tensor, "b m"]
    ) -> Float[Tensor, "b m h w"]:
        """Latents as the nets see them, from symbols and means in steps of the quantiser; integers in float32."""
        shrink = self.exp2(-log2_gain - self.step_known)[..., None, None]
        return ((symbols + mean) * shrink).round_().clamp_(-INPUT_MAX, INPUT_MAX)

    def size(self, symbols: Int32[Tensor, "b m h w"]) -> Float[Tensor, "b m h w"]:
        """Logarithms of the sizes of symbols as the nets see them; integers in float32."""
        return self.sizes[symbols.abs().clamp(max=_SIZES - 1).long()].float()

    def forward(self, step: int, inputs: Float[Tensor, "b i h w"], level: Int[Tensor, " b"]) -> Correction:
        """For step 1 to 3."""
        enter = self.enter[step - 1]
        assert isinstance(enter, IntegerConv)
        sums = enter(inputs) * enter.unit[:, None, None]
        shift = self.shift[step - 1](level).float() * self.shift_unit
        found = self.body(activation(sums + shift[..., None, None], SLOPE))
        unit = self.body.last.unit[: self.M]
        return Correction(mean=found[:, : self.M] * unit[:, None, None], place=found[:, self.M :] * self.index_unit[:, None, None])
