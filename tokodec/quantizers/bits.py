"""Bits to whole numbers and back, exactly, however many there are."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def number_of(bits: Bool[Tensor, "*n d"]) -> Int[Tensor, "*n"]:
    """The number whose binary digits they are, the first bit highest. In int64: at most 63 bits."""
    return (bits.to(torch.int64) << _places(bits.shape[-1], bits.device)).sum(-1)


def bits_of(numbers: Int[Tensor, "*n"], count: int) -> Bool[Tensor, "*n d"]:
    """The inverse: ``count`` bits, the first highest."""
    return (numbers[..., None] >> _places(count, numbers.device) & 1).bool()


def _places(count: int, device: torch.device) -> Int[Tensor, " d"]:
    return torch.arange(count - 1, -1, -1, device=device)
