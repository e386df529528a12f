"""Residual quantization: a vector as a sum of codes, each the nearest to what those before it left.

Source: Lee et al., "Autoregressive image generation using residual quantization", CVPR 2022 (RQ-VAE).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.errors import InputError
from tokodec.quantizers.base import Quantized, Quantizer, distance, straight_through


class ResidualQuantizer(Quantizer):
    """``levels`` quantizers of one dimension, one after the other; the same one several times shares its codebook.

    Ids have a last axis of levels, coarse to fine. Terms: ``commitment``, the mean over levels of the squared distance of the sum so
    far from the vector; ``codebook`` the same, which moves codes where gradients do.
    """

    def __init__(self, levels: Sequence[Quantizer]) -> None:
        super().__init__()
        if not levels or len({q.dim for q in levels}) != 1 or any(len(q.vocab) != 1 for q in levels):
            raise InputError("levels are one or more quantizers of one dimension, each with one codebook")
        self.levels = nn.ModuleList(levels)
        self.dim = levels[0].dim
        self.size = 1
        for quantizer in levels:
            self.size *= quantizer.size

    @property
    def vocab(self) -> tuple[int, ...]:
        return tuple(q.size for q in self.quantizers())

    def arm(self) -> None:
        for quantizer in self.quantizers():
            quantizer.arm()

    def forward(self, z: Float[Tensor, "b n d"]) -> Quantized:
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            ids = self.ids(z.detach())
            each = torch.stack([q.lookup(i) for q, i in zip(self.quantizers(), ids.unbind(-1), strict=True)])
            sums = each.cumsum(0)
            terms = {
                "commitment": torch.stack([distance(z, s.detach()) for s in sums]).mean(0),
                "codebook": torch.stack([distance(z.detach(), s) for s in sums]).mean(0),
            }
        return Quantized(z=straight_through(z, sums[-1]), ids=ids, vocab=self.vocab, terms=terms)

    def ids(self, z: Float[Tensor, "b n d"]) -> Int[Tensor, "b n k"]:
        found: list[Tensor] = []
        for quantizer in self.quantizers():
            found.append(quantizer.ids(z))
            z = z - quantizer.lookup(found[-1]).to(z.dtype)
        return torch.stack(found, -1)

    def lookup(self, ids: Int[Tensor, "b n k"]) -> Float[Tensor, "b n d"]:
        """Of a prefix of the levels too: a coarser vector."""
        each = [q.lookup(i) for q, i in zip(self.quantizers(), ids.unbind(-1), strict=False)]
        return torch.stack(each).sum(0)

    def quantizers(self) -> list[Quantizer]:
        """One for each level."""
        return [q for q in self.levels if isinstance(q, Quantizer)]
