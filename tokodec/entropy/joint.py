"""The ids of several codebooks at a place as one number, and back: mixed radix, the first codebook highest."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor


def joined(ids: Int[Tensor, "... k"], vocab: Sequence[int]) -> Int[Tensor, "..."]:
    """A number below the product of ``vocab``, of one id below each."""
    number = torch.zeros_like(ids[..., 0])
    for one, size in zip(ids.unbind(-1), vocab, strict=True):
        number = number * size + one
    return number


def parted(numbers: Int[Tensor, "..."], vocab: Sequence[int]) -> Int[Tensor, "... k"]:
    """The inverse."""
    ids: list[Tensor] = []
    for size in reversed(vocab):
        ids.append(numbers % size)
        numbers = torch.div(numbers, size, rounding_mode="floor")
    return torch.stack(ids[::-1], -1)
