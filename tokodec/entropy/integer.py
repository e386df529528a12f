"""Convolutions in exact integer arithmetic, carried by float32.

Weights are integers of 8 bits, activations integers of 0..255 (the input: -127..127), and every possible sum stays below
2^24. So each product and each partial sum is an integer that float32 holds exactly, whatever the order of summation,
thread count, memory format or device, and even when a backend rounds the operands to TF32 or bfloat16, which hold
integers up to 256. Between layers stand one IEEE multiplication, one rounding and one clamp: the same bits everywhere.
Source: Ballé et al., "Integer networks for data compression with latent-variable models", ICLR 2019.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.chain import ConvChain, Link

INPUT_MAX = 127
ACTIVATION_MAX = 255
RECOVERED_STEP = 4 / ACTIVATION_MAX
"""What one integer step of an activation is worth in float nets that are made from integer ones: typical ones reach from 1 to 10."""
_WEIGHT_MAX = 127
_SUM_MAX = 2**24 - 1


class IntegerConv(nn.Module):
    """One convolution: integer weights and bias, and what one unit of its sums is worth."""

    weight: Tensor
    bias: Tensor
    unit: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.padding = conv.padding
        self.register_buffer("weight", torch.zeros_like(conv.weight, dtype=torch.int8))
        self.register_buffer("bias", torch.zeros(conv.out_channels, dtype=torch.int32))
        self.register_buffer("unit", torch.ones(conv.out_channels))

    def quantise(self, conv: nn.Conv2d, step_in: Float[Tensor, " c"], input_max: int) -> Float[Tensor, " d"]:
        """Take the weights of ``conv`` for inputs in steps of ``step_in``; returns the value of one unit of each sum."""
        weight = conv.weight.detach().double() * step_in.double()[None, :, None, None]
        bias = torch.zeros(conv.out_channels, device=conv.weight.device) if conv.bias is None else conv.bias.detach()
        bias = bias.double()
        magnitude = weight.abs().flatten(1)
        # The largest integer scale for which neither a weight nor any possible sum leaves its range.
        by_weight = _WEIGHT_MAX / magnitude.amax(1).clamp(min=1e-12)
        rounding_room = input_max * magnitude.shape[1] * 0.5 + 1
        by_sum = (_SUM_MAX - rounding_room) / (magnitude.sum(1) * input_max + bias.abs()).clamp(min=1e-12)
        scale = torch.minimum(by_weight, by_sum)
        self.weight.copy_((weight * scale[:, None, None, None]).round().to(torch.int8))
        self.bias.copy_((bias * scale).round().to(torch.int32))
        worst = self.weight.double().abs().flatten(1).sum(1) * input_max + self.bias.double().abs()
        assert bool((worst <= _SUM_MAX).all())
        return 1 / scale

    @torch.no_grad()
    def recover(self, conv: nn.Conv2d, step_in: Float[Tensor, " c"], step_out: float) -> None:
        """The inverse of :meth:`quantise`, up to rounding: the weights of ``conv``, whose outputs ``step_out`` turns into units."""
        scale = self.unit * step_out
        conv.weight.copy_(self.weight * scale[:, None, None, None] / step_in[None, :, None, None])
        if conv.bias is not None:
            conv.bias.copy_(self.bias * scale)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Exact sums: integers held in float32."""
        with torch.autocast(x.device.type, enabled=False):
            return F.conv2d(x, self.weight.float(), self.bias.float(), padding=self.padding)


class IntegerChain(nn.Module):
    """A :class:`ConvChain` in integers: inputs -127..127, outputs sums, ``layers[-1].unit`` says what one is worth."""

    def __init__(self, chain: ConvChain) -> None:
        super().__init__()
        self.links: tuple[Link, ...] = chain.links
        self.slope = chain.slope
        self.convs = nn.ModuleList(IntegerConv(conv) for conv in chain.layers)

    @property
    def layers(self) -> list[IntegerConv]:
        """The convolutions in order."""
        return [conv for conv in self.convs if isinstance(conv, IntegerConv)]

    def quantise(
        self, chain: ConvChain, step_in: Float[Tensor, " c"], samples: list[Float[Tensor, "b c h w"]], input_max: int = INPUT_MAX
    ) -> Float[Tensor, " e"]:
        """Take the weights of ``chain``; ``samples`` are typical inputs, from which the ranges of activations are read.

        ``step_in``: the value of one integer step of each input channel; ``input_max``: the largest integer that goes in.
        Returns the same of what the last convolution sees.
        """
        step = step_in
        for conv, trained, link in zip(self.layers[:-1], chain.layers[:-1], self.links[:-1], strict=True):
            unit = conv.quantise(trained, step, input_max)
            samples = [F.leaky_relu(F.pixel_shuffle(trained(s), link.shuffle), self.slope) for s in samples]
            step = activation_step(samples)
            # Channels of a shuffled convolution lie side by side: each takes the step of the channel it becomes.
            conv.unit.copy_(unit / step.repeat_interleave(link.shuffle**2))
            input_max = ACTIVATION_MAX
        self.last.unit.copy_(self.last.quantise(chain.layers[-1], step, input_max))
        return step

    def recover(self, chain: ConvChain, step_in: Float[Tensor, " c"]) -> None:
        """The inverse of :meth:`quantise`, up to rounding; activations have RECOVERED_STEP each, which no output shows."""
        step = step_in
        for conv, trained, link in zip(self.layers[:-1], chain.layers[:-1], self.links[:-1], strict=True):
            conv.recover(trained, step, RECOVERED_STEP)
            step = torch.full((link.width,), RECOVERED_STEP, device=step.device)
        self.last.recover(chain.layers[-1], step, 1.0)

    @property
    def last(self) -> IntegerConv:
        """The last convolution."""
        return self.layers[-1]

    def features(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b e h2 w2"]:
        """What the last convolution sees, integers up to 255 in float32, for integer inputs."""
        for conv, link in zip(self.layers[:-1], self.links[:-1], strict=True):
            x = F.pixel_shuffle(activation(conv(x) * conv.unit[:, None, None], self.slope), link.shuffle)
        return x

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        """Exact sums of the last convolution, for integer inputs held in float32."""
        return self.last(self.features(x))


def activation(x: Float[Tensor, "b c h w"], slope: float) -> Float[Tensor, "b c h w"]:
    """Leaky ReLU to integers in float32. ``slope`` is zero or a power of two, so that products are exact."""
    x = x.round_()
    return torch.maximum(x, (x * slope).round_()).clamp_(-ACTIVATION_MAX, ACTIVATION_MAX)


def activation_step(samples: Sequence[Float[Tensor, "b c h w"]]) -> Float[Tensor, " c"]:
    """What one integer step of each channel is worth, for activations like ``samples``."""
    reach = torch.stack([s.abs().amax((0, 2, 3)) for s in samples]).amax(0) * 1.2
    return torch.where(reach > 0, reach, reach.amax().clamp(min=1e-6)).double() / ACTIVATION_MAX
