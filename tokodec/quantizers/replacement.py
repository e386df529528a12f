"""Codes at random in place of some of those that were chosen, in training: a decoder that has seen mistakes forgives them.

What draws pictures is given ids by language models, which are wrong now and then. Source: Huang et al., "ILLUME+: illuminating unified
MLLM with dual visual tokenization and diffusion refinement", 2025.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.quantizers.base import Quantizer


class CodeReplacement(nn.Module):
    """In training a share of places, ``rate`` on average, holds any code of the codebook. Codes drawn so learn nothing from it."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, z: Float[Tensor, "b n e"], quantizer: Quantizer) -> Float[Tensor, "b n e"]:
        """``z``: vectors that ids of ``quantizer``, which has one codebook, stand for."""
        if not self.training or not self.rate:
            return z
        drawn = quantizer.lookup(torch.randint(quantizer.size, z.shape[:2], device=z.device)).detach()
        replaced = torch.rand(z.shape[:2], device=z.device) < self.rate
        return torch.where(replaced[..., None], drawn.to(z.dtype), z)
