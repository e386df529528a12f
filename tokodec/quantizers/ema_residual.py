"""Residual quantization with one codebook for all levels, which follows what chose it: no gradient moves it.

Source: Lee et al., "Autoregressive image generation using residual quantization", CVPR 2022 (RQ-VAE), as in DualToken.
"""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.quantizers.base import Quantized, Quantizer
from tokodec.quantizers.codebook import VectorQuantizer
from tokodec.quantizers.residual import ResidualQuantizer

_DECAY, _EPS = 0.99, 1e-5
_NOISE = 0.01
"""Times the inverse square root of the number of coordinates: by so much at most differ codes that are given one vector."""


class EmaResidualQuantizer(ResidualQuantizer):
    """``size`` codes of ``dim`` coordinates, at each of ``depth`` levels the nearest. Term: ``commitment`` alone.

    Once armed and in training mode, a step moves every code to the moving average of what was left for it, at whatever level. Codes
    whose average count falls below 1 are given what was left of a vector of the batch, and a little noise. Averages start at one
    vector a code, the code itself.
    """

    counts: Tensor
    sums: Tensor

    def __init__(self, size: int, dim: int, depth: int) -> None:
        table = VectorQuantizer(size, dim)
        nn.init.normal_(table.codebook, std=dim**-0.5).requires_grad_(False)
        super().__init__([table])
        self.depth, self.size, self.armed = depth, size**depth, False

    @property
    def table(self) -> nn.Parameter:
        """The codes."""
        quantizer = self.levels[0]
        assert isinstance(quantizer, VectorQuantizer)
        return quantizer.codebook

    def quantizers(self) -> list[Quantizer]:
        """The same one for every level: it is kept once."""
        return super().quantizers() * self.depth

    def arm(self) -> None:
        if not self.armed:
            self.register_buffer("counts", torch.ones(len(self.table), device=self.table.device))
            self.register_buffer("sums", self.table.detach().clone())
            self.armed = True

    def forward(self, z: Float[Tensor, "b n d"]) -> Quantized:
        quantized = super().forward(z)
        if self.armed and self.training:
            self._follow(z.detach().float(), quantized.ids)
        return replace(quantized, terms={"commitment": quantized.terms["commitment"]})

    @torch.no_grad()
    def _follow(self, z: Float[Tensor, "b n d"], ids: Int[Tensor, "b n k"]) -> None:
        levels = ids.movedim(-1, 0)
        codes = self.table[levels]
        left = (z - codes.cumsum(0) + codes).flatten(0, 2)
        chosen = levels.flatten()
        self.counts.lerp_(torch.bincount(chosen, minlength=len(self.table)).to(left.dtype), 1 - _DECAY)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, chosen, left), 1 - _DECAY)
        dead = self.counts < 1
        drawn = left[torch.randint(len(left), (len(self.table),), device=left.device)]
        drawn = drawn + torch.rand_like(drawn) * _NOISE * self.dim**-0.5
        self.sums.copy_(torch.where(dead[:, None], drawn, self.sums))
        self.counts.clamp_(min=1)
        total = self.counts.sum()
        smooth = (self.counts + _EPS) * total / (total + len(self.table) * _EPS)
        self.table.copy_(self.sums / smooth[:, None])
