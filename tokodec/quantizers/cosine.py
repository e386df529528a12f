"""The cosine codebook of 4M: the direction decides the id, and the decoder sees the row as it is stored.

Source: Mizrahi et al., "4M: massively multimodal masked modeling", NeurIPS 2023 (apple/ml-4m, ``fourm/vq/quantizers``).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec.quantizers.base import Quantized, Quantizer, distance, straight_through
from tokodec.quantizers.nearest import strongest

_DECAY = 0.99


class CosineQuantizer(Quantizer):
    """``size`` codes of ``dim`` coordinates that follow the directions that chose them; they drift away from unit length.

    Codes that are chosen, by their moving average, less often than ``revive_below`` times an even share of a batch, are given a vector
    of the batch.
    """

    cluster_size: Tensor

    def __init__(self, size: int, dim: int, revive_below: float = 0.0) -> None:
        super().__init__()
        self.size, self.dim, self.revive_below = size, dim, revive_below
        self.codebook = nn.Parameter(F.normalize(torch.randn(size, dim), dim=1), requires_grad=False)
        self.register_buffer("cluster_size", torch.zeros(size), persistent=False)

    def forward(self, z: Float[Tensor, "b n d"]) -> Quantized:
        """Terms: ``commitment``, the mean squared distance of raw vectors from raw rows."""
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            ids = self.ids(z.detach())
            codes = self.lookup(ids)
            self._follow(F.normalize(z.detach().flatten(0, 1), dim=1), ids.flatten())
        return Quantized(z=straight_through(z, codes), ids=ids, vocab=self.vocab, terms={"commitment": distance(z, codes)})

    def ids(self, z: Float[Tensor, "b n d"]) -> Int[Tensor, "b n"]:
        codes = F.normalize(self.codebook.to(z.dtype), dim=1)
        return strongest(F.normalize(z, dim=-1).flatten(0, 1), codes).view(z.shape[:2])

    def lookup(self, ids: Int[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        return F.embedding(ids, self.codebook.detach())

    @torch.no_grad()
    def _follow(self, unit: Float[Tensor, "m d"], ids: Int[Tensor, " m"]) -> None:
        """Move every code a little towards the mean direction of its vectors, or to its own where it has none."""
        counts = torch.bincount(ids, minlength=self.size).to(unit.dtype)
        sums = torch.zeros_like(self.codebook).index_add_(0, ids, unit)
        target = F.normalize(torch.where(counts[:, None] > 0, sums, self.codebook), dim=1)
        self.codebook.lerp_(target, 1 - _DECAY)
        self.cluster_size.lerp_(counts, 1 - _DECAY)
        least = self.revive_below * len(unit) / self.size
        dead = self.cluster_size < least
        drawn = unit[torch.randint(len(unit), (self.size,), device=unit.device)]
        self.codebook.copy_(torch.where(dead[:, None], drawn, self.codebook))
        self.cluster_size.copy_(torch.where(dead, least, self.cluster_size))
