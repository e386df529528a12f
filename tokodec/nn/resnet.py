"""Residual blocks of convolutions, without normalisation or attention."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Depthwise(nn.Conv2d):
    """A depthwise convolution of an odd ``kernel`` that keeps the size.

    Where no library has a fast kernel for it, it is computed as a sum of shifted pictures: in float64, and inside
    ``torch.compile``, which makes one pass over memory of the whole sum.
    """

    def __init__(self, channels: int, kernel: int = 3) -> None:
        super().__init__(channels, channels, kernel, padding=kernel // 2, groups=channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:  # type: ignore[override]
        if x.dtype == torch.float64:
            return self._shifted(x)
        return super().forward(x)

    def _shifted(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        side, (height, width) = self.kernel_size[0], x.shape[2:]
        weight = self.weight.to(x.dtype)
        padded = F.pad(x, (side // 2,) * 4)
        assert self.bias is not None
        total = self.bias.to(x.dtype)[:, None, None]
        for i in range(side):
            for j in range(side):
                total = total + padded[:, :, i : i + height, j : j + width] * weight[:, :, i, j, None]
        return total


class Pointwise(nn.Conv2d):
    """A 1x1 convolution. In float64, for which no library has a fast one, it is a matrix product.

    On a processor, oneDNN computes it in float32: with one thread and fewer than 16 pictures PyTorch takes a matrix product of another
    library, half as fast on some processors, and in another order of summation than with two threads.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:  # type: ignore[override]
        if x.dtype == torch.float64:
            return F.linear(x.movedim(1, -1), self.weight.flatten(1), self.bias).movedim(-1, 1)
        if _is_onednns(x):
            return torch.mkldnn_convolution(x, self.weight, self.bias, (0, 0), (1, 1), (1, 1), 1)
        return super().forward(x)


def _is_onednns(x: Tensor) -> bool:
    onednn = torch.backends.mkldnn
    wanted = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return wanted and onednn.is_available() and bool(onednn.enabled)


class Shrink(nn.Conv2d):
    """A convolution of blocks of ``factor`` x ``factor`` that do not overlap: fewer, wider places.

    What pixel unshuffle and a 1x1 convolution compute, without the copy.
    """

    def __init__(self, channels: int, width: int, factor: int) -> None:
        super().__init__(channels, width, factor, stride=factor)
        self.factor = factor

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:  # type: ignore[override]
        if x.dtype == torch.float64:
            blocks = F.pixel_unshuffle(x, self.factor).movedim(1, -1)
            return F.linear(blocks, self.weight.flatten(1), self.bias).movedim(-1, 1)
        return super().forward(x)


class ConvBlock(nn.Module):
    """``x + 1x1(depthwise(act(1x1(x))))``, then ``x + 1x1(act(1x1(x)))`` at twice the width.

    Both branches start at zero: a block that starts as the identity lets a stack train at a large learning rate from
    the first step. The depthwise form of Li et al., "Neural video compression with feature modulation", CVPR 2024; at equal
    training time it beat pairs of full 3x3 convolutions (see the card of hyperprior_vr).
    """

    def __init__(self, channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.mix_in = Pointwise(channels, channels)
        self.depthwise = Depthwise(channels, kernel)
        self.mix_out = Pointwise(channels, channels)
        self.widen = Pointwise(channels, 2 * channels)
        self.narrow = Pointwise(2 * channels, channels)
        for last in (self.mix_out, self.narrow):
            nn.init.zeros_(last.weight)
            assert last.bias is not None
            nn.init.zeros_(last.bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        x = added(x, self.mix_out(self.depthwise(_bent(self.mix_in(x)))))
        return added(x, self.narrow(_bent(self.widen(x))))


def _bent(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """In place where no gradient needs what was there: a third of the memory of large pictures."""
    return F.leaky_relu(x, 0.1, inplace=not torch.is_grad_enabled())


def added(x: Float[Tensor, "b c h w"], branch: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Their sum, in the memory of ``branch`` where no gradient needs what was there."""
    return x + branch if torch.is_grad_enabled() or x.dtype != branch.dtype else branch.add_(x)
